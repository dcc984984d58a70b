//! Order, overflow and the end of a ring; records that come back.

use super::ring;
use crate::fixture::{bare, full};

fn numbered(bytes_in: u64) -> Box<model::flow::FlowRecord> {
    Box::new(model::flow::FlowRecord { bytes_in, ..bare() })
}

#[test]
fn keeps_order_and_counts_what_does_not_fit() {
    let (mut writer, mut reader) = ring(3);
    for bytes_in in 0..10 {
        writer.write(numbered(bytes_in));
    }
    let seen: Vec<u64> = std::iter::from_fn(|| reader.pop()).map(|record| record.bytes_in).collect();
    assert_eq!(seen, [0, 1, 2]);
    assert_eq!(reader.dropped(), 7);
    writer.write(numbered(0));
    assert!(reader.pop().is_some(), "there is room again");
    assert_eq!(reader.dropped(), 7);
}

#[test]
fn tells_when_the_writer_is_gone() {
    let (mut writer, mut reader) = ring(0);
    writer.write(numbered(0));
    assert!(!reader.is_abandoned());
    drop(writer);
    assert!(reader.is_abandoned());
    assert!(!reader.is_empty());
    assert!(reader.pop().is_some());
    assert!(reader.is_empty());
}

#[test]
fn records_come_back_and_no_more_than_are_kept() {
    let (mut writer, mut reader) = ring(2);
    let first = writer.blank();
    let place = std::ptr::from_ref(&*first);
    writer.write(first);
    let read = reader.pop().unwrap();
    reader.give_back(read);
    assert_eq!(std::ptr::from_ref(&*writer.blank()), place, "the same memory");
    for _ in 0..10 {
        reader.give_back(Box::new(full()));
    }
    writer.write(numbered(0));
    writer.write(numbered(0));
    writer.write(numbered(7));
    assert_eq!(writer.blank().bytes_in, 7, "what found the ring full is used first");
}

#[test]
fn a_peer_that_stays_the_same_is_not_counted_anew() {
    let (one, other) = (full(), full());
    let identity = one.source.identity.clone().unwrap();
    let before = std::sync::Arc::strong_count(&identity);
    let mut record = bare();
    for _ in 0..3 {
        record.source.clone_from(&one.source);
    }
    assert_eq!(std::sync::Arc::strong_count(&identity), before + 1);
    record.source.clone_from(&other.source);
    assert_eq!(std::sync::Arc::strong_count(&identity), before);
    record.source.clone_from(&bare().source);
    assert!(record.source.identity.is_none() && record.source.workload.is_none());
}
