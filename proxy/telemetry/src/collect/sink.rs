//! Formatting once a format, and one bounded queue a reader.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};

use model::flow::FlowRecord;

use crate::collect::{Chunk, Format};
use crate::json::{self, Json};
use crate::text;

/// A reader as the collector sees it.
pub(super) struct Sink {
    format: Format,
    queue: SyncSender<Chunk>,
    /// Records it has lost and not been told of.
    lost: u64,
    /// Records it was too slow for, not counted yet.
    unread: u64,
    open: bool,
}

impl Sink {
    pub(super) fn new(format: Format, queue: SyncSender<Chunk>) -> Self {
        Self { format, queue, lost: 0, unread: 0, open: true }
    }

    /// Whether the reader is still there.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Notes records that this reader will not see, and says so as soon as there is room.
    pub(super) fn lose(&mut self, records: u64) {
        self.lost += records;
        self.tell();
    }

    fn send(&mut self, chunk: &Chunk, records: u64) {
        self.tell();
        // What comes after a gap that could not be told must not hide it.
        if self.lost > 0 || !self.try_send(chunk.clone()) {
            self.lost += records;
            self.unread += records;
        }
    }

    /// Records it was too slow for since the last call.
    pub(super) fn take_unread(&mut self) -> u64 {
        std::mem::take(&mut self.unread)
    }

    fn tell(&mut self) {
        if self.lost == 0 {
            return;
        }
        let line = match self.format {
            Format::Json => {
                let mut line = Vec::new();
                json::json_lost(self.lost, &mut line);
                line
            }
            Format::Text { .. } => {
                let mut line = String::new();
                text::text_lost(self.lost, &mut line);
                line.into_bytes()
            }
        };
        if self.try_send(Chunk::new(line)) {
            self.lost = 0;
        }
    }

    fn try_send(&mut self, chunk: Chunk) -> bool {
        match self.queue.try_send(chunk) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => false,
            Err(TrySendError::Disconnected(_)) => {
                self.open = false;
                false
            }
        }
    }
}

/// Lines waiting to be handed out, one page for each format that somebody reads.
#[derive(Default)]
pub(super) struct Batch {
    pages: Vec<Page>,
}

struct Page {
    format: Format,
    lines: Vec<u8>,
    /// One record in text form.
    text: String,
    json: Json,
    records: u64,
    /// Chunks handed out, to be filled again when all have read them: their memory is warm, and
    /// that of a new one comes page by page from the kernel.
    used: Vec<Chunk>,
}

impl Batch {
    /// Keeps a page for the formats of these readers and for no other.
    pub(super) fn fit(&mut self, sinks: &[Sink]) {
        self.pages.retain(|page| sinks.iter().any(|sink| sink.format == page.format));
        for sink in sinks {
            if !self.pages.iter().any(|page| page.format == sink.format) {
                let lines = Vec::with_capacity(PAGE_BYTES + RECORD_BYTES);
                self.pages.push(Page {
                    format: sink.format,
                    lines,
                    text: String::new(),
                    json: Json::default(),
                    records: 0,
                    used: Vec::new(),
                });
            }
        }
    }

    /// Formats a record in each format; hands a full page out.
    pub(super) fn push(&mut self, record: &FlowRecord, sinks: &mut [Sink]) {
        for page in &mut self.pages {
            match page.format {
                Format::Json => page.json.write(record, &mut page.lines),
                Format::Text { colour } => {
                    page.text.clear();
                    text::line(record, colour, &mut page.text);
                    page.lines.extend_from_slice(page.text.as_bytes());
                }
            }
            page.records += 1;
            if page.lines.len() >= PAGE_BYTES {
                page.flush(sinks);
            }
        }
    }

    /// Hands out what is left.
    pub(super) fn flush(&mut self, sinks: &mut [Sink]) {
        for page in &mut self.pages {
            page.flush(sinks);
        }
    }
}

impl Page {
    fn flush(&mut self, sinks: &mut [Sink]) {
        if self.records == 0 {
            return;
        }
        let empty = self.recycle();
        let chunk = Chunk::new(std::mem::replace(&mut self.lines, empty));
        for sink in sinks.iter_mut().filter(|sink| sink.format == self.format) {
            sink.send(&chunk, self.records);
        }
        self.records = 0;
        if self.used.len() < USED_MAX {
            self.used.push(chunk);
        }
    }

    fn recycle(&mut self) -> Vec<u8> {
        let free = self.used.iter().position(|chunk| Arc::strong_count(chunk) == 1);
        let lines = free.and_then(|at| Arc::into_inner(self.used.swap_remove(at)));
        let mut lines = lines.unwrap_or_else(|| Vec::with_capacity(PAGE_BYTES + RECORD_BYTES));
        lines.clear();
        lines
    }
}

/// A page is handed out once it is this long, and written with one system call.
const PAGE_BYTES: usize = 60 * 1024;
/// Room for the record that fills a page.
const RECORD_BYTES: usize = 4 * 1024;
/// Chunks kept for another use.
const USED_MAX: usize = 16;
