//! Readers that do not read, terminals that block, and what is lost then.

use std::io::{self, Write};
use std::sync::mpsc;
use std::time::Duration;

use model::flow::FlowRecord;
use serde_json::Value;

use super::{Collector, Format, Subscription};
use crate::fixture::bare;
use crate::ring::ring;

/// Longer than any machine needs; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

fn records(chunk: &[u8]) -> (usize, u64) {
    let lines = std::str::from_utf8(chunk).unwrap().lines();
    let values = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    values.fold((0, 0), |(records, lost), value| match value["lost"].as_u64() {
        Some(more) => (records, lost + more),
        None => (records + 1, lost),
    })
}

/// Reads until `total` records were seen or reported lost.
fn read(subscription: &Subscription, total: u64) -> (usize, u64) {
    let mut sum = (0, 0);
    while (sum.0 as u64) + sum.1 < total {
        let (seen, lost) = records(&subscription.recv().expect("the collector runs"));
        sum = (sum.0 + seen, sum.1 + lost);
    }
    sum
}

#[test]
fn hands_every_record_to_every_reader_in_order() {
    let (mut first, reader) = ring(100);
    let (mut second, other) = ring(100);
    let collector = Collector::start(vec![reader]).unwrap();
    collector.add(other);
    let readers = [collector.subscribe(Format::Json, 64), collector.subscribe(Format::Json, 64)];
    for bytes_in in 0..50 {
        first.write(Box::new(FlowRecord { bytes_in, ..bare() }));
        second.write(Box::new(bare()));
    }
    drop(second);
    for reader in &readers {
        assert_eq!(read(reader, 100), (100, 0));
    }
    first.write(Box::new(bare()));
    collector.stop(PATIENCE);
    for reader in readers {
        assert_eq!(records(&reader.recv().expect("stop hands out the rest")), (1, 0));
        assert!(reader.recv().is_none());
    }
}

#[test]
fn a_reader_that_never_reads_stalls_nobody() {
    let (mut writer, reader) = ring(1 << 16);
    let collector = Collector::start(vec![reader]).unwrap();
    let blocked = collector.subscribe(Format::Json, 1);
    let good = collector.subscribe(Format::Json, 1 << 10);
    for _ in 0..3 {
        for _ in 0..10_000 {
            writer.write(Box::new(bare()));
        }
        assert_eq!(read(&good, 10_000), (10_000, 0), "the good reader gets all");
    }
    // Once it reads again it learns how many it missed. One more record carries the news.
    let (seen, _) = records(&blocked.recv().unwrap());
    writer.write(Box::new(bare()));
    let (more, lost) = read(&blocked, 30_001 - seen as u64);
    assert_eq!((seen + more) as u64 + lost, 30_001);
    assert!(lost > 0);
    collector.stop(PATIENCE);
}

#[test]
fn a_full_ring_is_reported_to_every_reader() {
    let (mut writer, reader) = ring(4);
    for _ in 0..10 {
        writer.write(Box::new(bare()));
    }
    let collector = Collector::start(Vec::new()).unwrap();
    let readers =
        [collector.subscribe(Format::Json, 64), collector.subscribe(Format::Text { colour: false }, 64)];
    collector.add(reader);
    assert_eq!(read(&readers[0], 10), (4, 6));
    collector.stop(PATIENCE);
    let mut text = Vec::new();
    while let Some(chunk) = readers[1].recv() {
        text.extend_from_slice(&chunk);
    }
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.lines().count(), 5, "{text}");
    assert!(text.contains("6 flow records lost"), "{text}");
}

/// A terminal that takes nothing until the test lets it.
struct Blocked {
    entered: mpsc::Sender<()>,
    release: mpsc::Receiver<()>,
}

impl Write for Blocked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.entered.send(());
        let _ = self.release.recv();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_blocked_terminal_stalls_neither_readers_nor_stop() {
    let (mut writer, reader) = ring(1 << 16);
    let mut collector = Collector::start(vec![reader]).unwrap();
    let (entered, inside) = mpsc::channel();
    let (free, release) = mpsc::channel();
    collector.print(Format::Text { colour: false }, Blocked { entered, release }).unwrap();
    let good = collector.subscribe(Format::Json, 1 << 10);
    writer.write(Box::new(bare()));
    assert_eq!(read(&good, 1), (1, 0));
    inside.recv().expect("the terminal is written to");
    for _ in 0..20_000 {
        writer.write(Box::new(bare()));
    }
    assert_eq!(read(&good, 20_000), (20_000, 0));
    assert_eq!(collector.counts().lost(), 0);
    collector.stop(Duration::ZERO);
    drop(free);
}

#[test]
fn a_printer_writes_all_before_stop_returns() {
    struct Shared(mpsc::Sender<Vec<u8>>);
    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(bytes.to_vec());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (mut writer, reader) = ring(1000);
    let mut collector = Collector::start(vec![reader]).unwrap();
    let (sender, written) = mpsc::channel();
    collector.print(Format::Json, Shared(sender)).unwrap();
    for _ in 0..1000 {
        writer.write(Box::new(bare()));
    }
    collector.stop(PATIENCE);
    let bytes: Vec<u8> = written.try_iter().flatten().collect();
    assert_eq!(records(&bytes), (1000, 0));
}
