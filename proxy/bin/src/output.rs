//! Flow records on standard output, which a proxy shares with the one that replaces it.

use std::fs::File;
use std::io::{self, Stdout, Write};

use rustix::fs::FlockOperation;

/// Standard output, taken by one process at a time: what is written in one call stays together,
/// however large. The kernel keeps only small writes to a pipe whole.
#[derive(Debug)]
pub(crate) struct SharedOutput {
    lock: File,
    out: Stdout,
}

impl SharedOutput {
    /// `lock` is a file that all writers open for themselves.
    pub(crate) fn new(lock: File, out: Stdout) -> Self {
        Self { lock, out }
    }
}

impl Write for SharedOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        rustix::fs::flock(&self.lock, FlockOperation::LockExclusive)?;
        let written = self.out.write_all(bytes).and_then(|()| self.out.flush());
        rustix::fs::flock(&self.lock, FlockOperation::Unlock)?;
        written.map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
