//! Order, overflow and the end of a ring.

use super::ring;
use crate::fixture::bare;

#[test]
fn keeps_order_and_counts_what_does_not_fit() {
    let (mut writer, mut reader) = ring(3);
    for bytes_in in 0..10 {
        writer.write(model::flow::FlowRecord { bytes_in, ..bare() });
    }
    let seen: Vec<u64> = std::iter::from_fn(|| reader.pop()).map(|record| record.bytes_in).collect();
    assert_eq!(seen, [0, 1, 2]);
    assert_eq!(reader.dropped(), 7);
    writer.write(bare());
    assert!(reader.pop().is_some(), "there is room again");
    assert_eq!(reader.dropped(), 7);
}

#[test]
fn tells_when_the_writer_is_gone() {
    let (mut writer, mut reader) = ring(0);
    writer.write(bare());
    assert!(!reader.is_abandoned());
    drop(writer);
    assert!(reader.is_abandoned());
    assert!(!reader.is_empty());
    assert!(reader.pop().is_some());
    assert!(reader.is_empty());
}
