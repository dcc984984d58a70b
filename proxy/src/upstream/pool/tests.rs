//! Idle connections that still work are used; others never are.

use std::cell::Cell;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::rc::Rc;
use std::time::Duration;

use tokio::net::TcpStream;

use super::{PEEK_AFTER, Slot};
use crate::clock::Moment;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Both ends of a connection.
async fn pair() -> (TcpStream, std::net::TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (stream, listener.accept().unwrap().0)
}

const NOW: Moment = Moment(1_000_000_000_000);

#[test]
fn the_last_one_in_is_the_first_one_out() {
    block_on(async {
        let total = Rc::new(Cell::new(0));
        let slot = Slot::new(&total);
        let ((one, _a), (two, _b)) = (pair().await, pair().await);
        let last = two.local_addr().unwrap();
        slot.put(one, NOW);
        slot.put(two, NOW);
        assert_eq!((slot.len(), total.get()), (2, 2));
        assert_eq!(slot.take(NOW).unwrap().local_addr().unwrap(), last);
        assert_eq!(total.get(), 1);
        drop(slot);
        assert_eq!(total.get(), 0);
    });
}

#[test]
fn what_was_closed_or_has_bytes_is_not_used() {
    block_on(async {
        for closes in [true, false] {
            let slot = Slot::new(&Rc::default());
            let (stream, mut other) = pair().await;
            slot.put(stream, NOW);
            if closes {
                drop(other);
            } else {
                other.write_all(b"x").unwrap();
            }
            // Old enough that the kernel is asked: no event needs to have been seen.
            assert!(slot.take(NOW + PEEK_AFTER).is_none(), "closes: {closes}");
            assert_eq!(slot.len(), 0);
        }
    });
}

#[test]
fn what_is_idle_for_too_long_is_closed() {
    block_on(async {
        let slot = Slot::new(&Rc::default());
        let (stream, _other) = pair().await;
        let timeout = Duration::from_secs(30);
        slot.put(stream, NOW);
        slot.sweep(NOW + (timeout - Duration::from_nanos(1)), timeout);
        assert_eq!(slot.len(), 1);
        slot.sweep(NOW + timeout, timeout);
        assert_eq!(slot.len(), 0);
    });
}
