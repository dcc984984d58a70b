//! Queues of bytes that grow within bounds and give their memory back.

use super::*;

fn fill(buffer: &mut Buffer, byte: u8, max: usize) -> usize {
    let Some(room) = buffer.room(max) else { return 0 };
    room.fill(byte);
    let count = room.len();
    buffer.advance(count);
    count
}

#[test]
fn bytes_come_out_as_they_went_in() {
    let home = Rc::new(Buffers::default());
    let mut buffer = Buffer::new(&home);
    buffer.extend(b"abc");
    buffer.extend(&[b'x'; SIZE_FIRST]);
    assert_eq!(buffer.len(), SIZE_FIRST + 3);
    buffer.consume(2);
    assert_eq!(&buffer.filled()[..2], b"cx");
    buffer.truncate(1);
    assert_eq!(buffer.filled(), b"c");
    buffer.consume(1);
    assert!(buffer.is_empty());
}

#[test]
fn a_read_never_passes_the_limit() {
    let home = Rc::new(Buffers::default());
    for max in [1, 100, SIZE_FIRST, SIZE_FIRST + 1, 3 * SIZE_FIRST, SIZE_BULK] {
        let mut buffer = Buffer::new(&home);
        let mut total = 0;
        while total < 10 * SIZE_BULK {
            let count = fill(&mut buffer, 1, max);
            if count == 0 {
                break;
            }
            total += count;
        }
        assert_eq!(buffer.len(), max, "max {max}");
        buffer.consume(1);
        assert_eq!(fill(&mut buffer, 2, max), 1, "max {max}: one byte is free again");
    }
}

#[test]
fn a_stream_that_fills_buffers_gets_larger_ones() {
    let home = Rc::new(Buffers::default());
    let mut buffer = Buffer::new(&home);
    let first = fill(&mut buffer, 1, SIZE_BULK);
    buffer.consume(first);
    let second = fill(&mut buffer, 1, SIZE_BULK);
    assert_eq!((first, second), (SIZE_FIRST, SIZE_BULK));
}

#[test]
fn memory_goes_back_when_empty() {
    let home = Rc::new(Buffers::default());
    let mut buffer = Buffer::new(&home);
    assert_eq!(home.first.borrow().len(), 0);
    buffer.extend(b"a");
    buffer.consume(1);
    assert_eq!(home.first.borrow().len(), 1);
    buffer.extend(b"a");
    assert_eq!(home.first.borrow().len(), 0, "the same memory is used again");
    drop(buffer);
    assert_eq!(home.first.borrow().len(), 1);
}

#[test]
fn what_is_kept_for_the_next_taker_is_bounded() {
    let home = Buffers::default();
    for _ in 0..10 * KEPT_FIRST {
        home.give(vec![0; SIZE_FIRST].into_boxed_slice());
        home.give(vec![0; SIZE_BULK].into_boxed_slice());
        home.give(vec![0; SIZE_BULK * 2].into_boxed_slice());
    }
    let kept = home.first.borrow().len() * SIZE_FIRST + home.bulk.borrow().len() * SIZE_BULK;
    assert_eq!(kept, 6 * 1024 * 1024);
}

#[tokio::test]
async fn buffers_of_one_payer_stay_within_its_account() {
    let (home, stats) = (Rc::new(Buffers::default()), Arc::new(Stats::default()));
    let account = Account::new(3 * SIZE_FIRST, &stats);
    let other = Account::new(3 * SIZE_FIRST, &stats);
    Account::pays(account.clone(), async {
        let [mut one, mut two, mut three] = [(); 3].map(|()| Buffer::new(&home));
        assert_eq!(fill(&mut one, 1, SIZE_BULK), SIZE_FIRST);
        assert_eq!(fill(&mut one, 1, SIZE_BULK), SIZE_FIRST, "twice the size");
        assert_eq!(fill(&mut one, 1, SIZE_BULK), 0, "four times the size is too much");
        assert_eq!(fill(&mut two, 1, SIZE_BULK), SIZE_FIRST);
        assert_eq!(fill(&mut three, 1, SIZE_BULK), 0);
        assert_eq!((account.held.get(), stats.limit_buffered.get()), (3 * SIZE_FIRST, 2));
        two.consume(SIZE_FIRST);
        assert_eq!(fill(&mut three, 1, SIZE_BULK), SIZE_FIRST, "others have what it gave back");
        three.release();
        assert_eq!(fill(&mut two, 1, SIZE_BULK), SIZE_FIRST, "no large buffer, but a small one");
    })
    .await;
    assert_eq!(account.held.get(), 0);
    Account::pays(other, async {
        assert_eq!(fill(&mut Buffer::new(&home), 1, SIZE_BULK), SIZE_FIRST);
    })
    .await;
    let mut nobodys = Buffer::new(&home);
    while fill(&mut nobodys, 1, SIZE_BULK) > 0 {}
    assert_eq!(nobodys.len(), SIZE_BULK);
}

#[test]
fn reserved_room_is_there_whatever_it_takes() {
    let home = Rc::new(Buffers::default());
    let mut buffer = Buffer::unpaid(&home);
    for (least, filled) in [(100, 60), (SIZE_FIRST, 10), (SIZE_BULK, 1), (3 * SIZE_BULK, 5)] {
        let before = buffer.filled().to_vec();
        let room = buffer.reserve(least);
        assert!(room.len() >= least, "{least}: {}", room.len());
        room[..filled].fill(7);
        buffer.advance(filled);
        assert_eq!(buffer.filled(), [&before[..], &vec![7; filled]].concat());
        buffer.consume(buffer.len() / 2);
    }
    buffer.filled_mut().fill(9);
    assert_eq!(buffer.filled(), vec![9; buffer.len()]);
}
