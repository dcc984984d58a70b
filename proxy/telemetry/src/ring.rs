//! A bounded ring of flow records from one writer to one reader, without locks or wake-ups.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::flow::FlowRecord;

/// A ring that holds `capacity` records (at least one).
pub fn ring(capacity: usize) -> (Writer, Reader) {
    let (producer, consumer) = rtrb::RingBuffer::new(capacity.max(1));
    let dropped = Arc::new(AtomicU64::new(0));
    (Writer { producer, dropped: dropped.clone() }, Reader { consumer, dropped })
}

/// The end that a worker owns.
#[derive(Debug)]
pub struct Writer {
    producer: rtrb::Producer<FlowRecord>,
    dropped: Arc<AtomicU64>,
}

impl Writer {
    /// Hands a record over; drops and counts it when the ring is full. Never waits.
    pub fn write(&mut self, record: FlowRecord) {
        if self.producer.push(record).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The end that the collector owns.
#[derive(Debug)]
pub struct Reader {
    consumer: rtrb::Consumer<FlowRecord>,
    dropped: Arc<AtomicU64>,
}

impl Reader {
    /// The oldest record, if there is one.
    pub fn pop(&mut self) -> Option<FlowRecord> {
        self.consumer.pop().ok()
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

#[cfg(test)]
mod tests;
