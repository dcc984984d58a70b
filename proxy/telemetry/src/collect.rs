//! The collector: a thread that empties the rings, formats each record once a format, and hands
//! chunks of lines to any number of readers, each behind a bounded queue of its own.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::collect::sink::{Batch, Sink};
use crate::ring::Reader;

mod sink;

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// One line a record for people; the verdict in colour if `colour` is set.
    Text {
        /// Whether the reader is a terminal.
        colour: bool,
    },
    /// One JSON object a line; the fields are in `docs/flows.md`.
    Json,
}

/// Whole lines in one format.
pub type Chunk = Arc<Vec<u8>>;

/// A reader's end: chunks of lines, in order. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Subscription {
    chunks: Receiver<Chunk>,
}

impl Subscription {
    /// Waits for the next chunk; `None` once the collector has stopped and all is read.
    pub fn recv(&self) -> Option<Chunk> {
        self.chunks.recv().ok()
    }
}

/// The thread that empties the rings, and what can be asked of it.
#[derive(Debug)]
pub struct Collector {
    commands: SyncSender<Command>,
    thread: JoinHandle<()>,
    printers: Vec<Receiver<()>>,
    counts: Arc<Counts>,
}

/// What became of the records since the start, to read from elsewhere.
#[derive(Debug, Default)]
pub struct Counts {
    taken: AtomicU64,
    lost: AtomicU64,
    unread: AtomicU64,
}

impl Counts {
    /// Records taken from the rings.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Records that found a ring full.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Records that a reader was too slow for, summed up over the readers.
    pub fn unread(&self) -> u64 {
        self.unread.load(Ordering::Relaxed)
    }
}

enum Command {
    Add(Reader),
    Subscribe(Sink),
    Stop,
}

impl Collector {
    /// Starts the thread over these rings. Fails if the thread cannot be created.
    pub fn start(readers: Vec<Reader>) -> io::Result<Self> {
        let (commands, received) = mpsc::sync_channel(COMMANDS_MAX);
        let counts = Arc::new(Counts::default());
        let state =
            State { readers, retired: 0, sinks: Vec::new(), batch: Batch::default(), counts: counts.clone() };
        let thread = std::thread::Builder::new().name("flows".into()).spawn(move || state.run(&received))?;
        Ok(Self { commands, thread, printers: Vec::new(), counts })
    }

    /// One more ring to empty.
    pub fn add(&self, reader: Reader) {
        // An error means that the thread is gone, and with it whoever would read the record.
        let _ = self.commands.send(Command::Add(reader));
    }

    /// A reader of all records from now on. Its queue holds `chunks` chunks of at most 64 KiB;
    /// what finds it full is lost to this reader alone, which gets a line that says how many.
    pub fn subscribe(&self, format: Format, chunks: usize) -> Subscription {
        let (sender, receiver) = mpsc::sync_channel(chunks.max(1));
        let _ = self.commands.send(Command::Subscribe(Sink::new(format, sender)));
        Subscription { chunks: receiver }
    }

    /// Writes all records from now on to `out`, from a thread of its own, until a write fails.
    /// Fails if the thread cannot be created.
    pub fn print(&mut self, format: Format, mut out: impl Write + Send + 'static) -> io::Result<()> {
        let subscription = self.subscribe(format, PRINTER_CHUNKS);
        let (done, printed) = mpsc::sync_channel(1);
        std::thread::Builder::new().name("flow-printer".into()).spawn(move || {
            yield_to_workers();
            while let Some(chunk) = subscription.recv() {
                if out.write_all(&chunk).and_then(|()| out.flush()).is_err() {
                    break;
                }
            }
            let _ = done.send(());
        })?;
        self.printers.push(printed);
        Ok(())
    }

    /// What became of the records, since the start.
    pub fn counts(&self) -> Arc<Counts> {
        self.counts.clone()
    }

    /// Hands out what the rings still hold, then waits for each printer, but no longer than
    /// `patience`: a printer may be blocked by its terminal.
    pub fn stop(self, patience: Duration) {
        let _ = self.commands.send(Command::Stop);
        let _ = self.thread.join();
        for printer in self.printers {
            let _ = printer.recv_timeout(patience);
        }
    }
}

struct State {
    readers: Vec<Reader>,
    /// Records dropped by rings that are gone.
    retired: u64,
    sinks: Vec<Sink>,
    batch: Batch,
    counts: Arc<Counts>,
}

impl State {
    /// Polls instead of being woken: a wake-up per record would cost the workers a system call.
    fn run(mut self, commands: &Receiver<Command>) {
        yield_to_workers();
        let mut wait = POLL_BUSY;
        loop {
            match commands.recv_timeout(wait) {
                Ok(Command::Add(reader)) => self.readers.push(reader),
                Ok(Command::Subscribe(sink)) => {
                    self.sinks.push(sink);
                    self.batch.fit(&self.sinks);
                }
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    let records = self.drain();
                    wait = match records {
                        0 => (wait * 2).clamp(POLL_BUSY, POLL_IDLE),
                        1..MANY => POLL_BUSY,
                        MANY..DRAIN_MAX => POLL_MANY,
                        _ => Duration::ZERO,
                    };
                }
            }
        }
        while self.drain() > 0 {}
    }

    /// Takes at most [`DRAIN_MAX`] records of each ring and hands them out; returns how many the
    /// fullest ring gave.
    fn drain(&mut self) -> usize {
        let mut most = 0;
        for reader in &mut self.readers {
            let mut taken = 0;
            while taken < DRAIN_MAX
                && let Some(record) = reader.pop()
            {
                self.batch.push(&record, &mut self.sinks);
                reader.give_back(record);
                taken += 1;
            }
            self.counts.taken.fetch_add(taken as u64, Ordering::Relaxed);
            most = most.max(taken);
        }
        self.batch.flush(&mut self.sinks);
        let unread = self.sinks.iter_mut().map(Sink::take_unread).sum();
        self.counts.unread.fetch_add(unread, Ordering::Relaxed);
        self.count_lost();
        if self.sinks.iter().any(|sink| !sink.is_open()) {
            self.sinks.retain(Sink::is_open);
            self.batch.fit(&self.sinks);
        }
        most
    }

    fn count_lost(&mut self) {
        let lost = self.retired + self.readers.iter().map(Reader::dropped).sum::<u64>();
        let new = lost - self.counts.lost.swap(lost, Ordering::Relaxed);
        for sink in &mut self.sinks {
            sink.lose(new);
        }
        self.readers.retain_mut(|reader| {
            let finished = reader.is_abandoned() && reader.is_empty();
            if finished {
                self.retired += reader.dropped();
            }
            !finished
        });
    }
}

/// Has this thread wait while workers have requests to serve: a record can be late, an answer cannot.
fn yield_to_workers() {
    // An error leaves the priority as it was; records are written all the same.
    let _ = rustix::process::nice(NICE);
}

/// Added to the niceness of a thread: it still has a quarter of a processor that a worker keeps busy,
/// which is more than the records of that worker need.
const NICE: i32 = 5;
/// Requests to the collector that may wait; it answers within one poll.
const COMMANDS_MAX: usize = 16;
/// Chunks queued for a printer: 4 MiB of lines.
const PRINTER_CHUNKS: usize = 64;
/// Records taken from one ring before the next ring has its turn.
const DRAIN_MAX: usize = 4096;
/// Records of one poll that are many.
const MANY: usize = 64;
/// Time between polls while many records come: those under way, and those that come back to be filled
/// again, are few enough to stay in the processor's cache.
const POLL_MANY: Duration = Duration::from_millis(2);
/// Time between polls while records come.
const POLL_BUSY: Duration = Duration::from_millis(10);
/// Longest time between polls while none come.
const POLL_IDLE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests;
