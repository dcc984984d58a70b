//! A bounded ring of flow records from one writer to one reader, without locks or wake-ups.
//!
//! Records are boxed and come back to be filled again: they are written where they stay, a worker
//! allocates none once enough are under way, and counts of references change on its own thread alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::flow::FlowRecord;

/// A ring that holds `capacity` records (at least one).
pub fn ring(capacity: usize) -> (Writer, Reader) {
    let (producer, consumer) = rtrb::RingBuffer::new(capacity.max(1));
    let (used, free) = rtrb::RingBuffer::new(capacity.clamp(1, FREE_MAX));
    let dropped = Arc::new(AtomicU64::new(0));
    let writer = Writer { producer, free, spare: None, dropped: dropped.clone() };
    (writer, Reader { consumer, used, dropped })
}

/// The end that a worker owns.
#[derive(Debug)]
pub struct Writer {
    producer: rtrb::Producer<Box<FlowRecord>>,
    free: rtrb::Consumer<Box<FlowRecord>>,
    /// One that found the ring full.
    spare: Option<Box<FlowRecord>>,
    dropped: Arc<AtomicU64>,
}

impl Writer {
    /// A record to fill in. What it says is about something else: every field has to be set.
    pub fn blank(&mut self) -> Box<FlowRecord> {
        let used = self.spare.take().or_else(|| self.free.pop().ok());
        used.unwrap_or_else(|| Box::new(FlowRecord::blank()))
    }

    /// Hands a record over; drops and counts it when the ring is full. Never waits.
    pub fn write(&mut self, record: Box<FlowRecord>) {
        if let Err(rtrb::PushError::Full(record)) = self.producer.push(record) {
            self.spare = Some(record);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The end that the collector owns.
#[derive(Debug)]
pub struct Reader {
    consumer: rtrb::Consumer<Box<FlowRecord>>,
    used: rtrb::Producer<Box<FlowRecord>>,
    dropped: Arc<AtomicU64>,
}

impl Reader {
    /// The oldest record, if there is one.
    pub fn pop(&mut self) -> Option<Box<FlowRecord>> {
        self.consumer.pop().ok()
    }

    /// Gives a record that was read back to the writer.
    pub fn give_back(&mut self, record: Box<FlowRecord>) {
        // More than enough are free: this one was for a burst.
        drop(self.used.push(record));
    }

    /// Records that found the ring full, since its beginning.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Whether it holds nothing at this moment.
    pub fn is_empty(&self) -> bool {
        self.consumer.is_empty()
    }

    /// Whether the writer is gone, so that an empty ring stays empty.
    pub fn is_abandoned(&self) -> bool {
        self.consumer.is_abandoned()
    }
}

/// Records kept to be filled again: what a busy worker writes between two visits of the collector.
const FREE_MAX: usize = 1024;

#[cfg(test)]
mod tests;
