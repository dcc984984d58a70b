//! Bytes from socket to socket inside the kernel: by splice(2), through a pipe.
//!
//! They are not copied and take none of our memory, but a pipe takes two descriptors and some of the
//! kernel's. So a stream has one only while there is something in it, and there are at most
//! [`crate::Limits::pipes`]; without one, bytes are copied. A pipe that still holds bytes when it is
//! given up is closed: nobody else ever reads them.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::stats::Stats;

/// Most bytes in a pipe. Where the kernel allows no pipe of that size, it holds fewer.
const PIPE_BYTES: usize = 256 * 1024;

/// The pipes of a worker.
#[derive(Debug)]
pub(crate) struct Pipes {
    max: usize,
    idle: RefCell<Vec<PipeEnds>>,
    /// The fewest that were idle at a time since the last sweep.
    unused: Cell<usize>,
    stats: Arc<Stats>,
}

#[derive(Debug)]
struct PipeEnds {
    reader: OwnedFd,
    writer: OwnedFd,
}

/// A pipe in use.
#[derive(Debug)]
pub(crate) struct Pipe {
    home: Rc<Pipes>,
    /// There until the drop.
    ends: Option<PipeEnds>,
    held: usize,
}

impl Pipes {
    /// At most `max` pipes.
    pub(crate) fn new(max: usize, stats: &Arc<Stats>) -> Rc<Self> {
        let (idle, unused) = (RefCell::default(), Cell::default());
        Rc::new(Self { max, idle, unused, stats: stats.clone() })
    }

    /// Reads once, into a pipe, which stays empty at the end of the stream. `None`: there is no pipe
    /// to be had.
    pub(crate) fn poll_fill(
        self: &Rc<Self>,
        from: &TcpStream,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Option<Pipe>>> {
        loop {
            ready!(from.poll_read_ready(context))?;
            let Some(mut pipe) = self.take() else { return Poll::Ready(Ok(None)) };
            match pipe.fill(from) {
                Ok(()) => return Poll::Ready(Ok(Some(pipe))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// An empty pipe; `None`, and counted, when there is none to be had.
    fn take(self: &Rc<Self>) -> Option<Pipe> {
        let kept = self.idle.borrow_mut().pop();
        self.unused.set(self.unused.get().min(self.idle.borrow().len()));
        let ends = kept.or_else(|| self.open());
        if ends.is_none() {
            self.stats.limit_pipes.add();
        }
        ends.map(|ends| Pipe { home: self.clone(), ends: Some(ends), held: 0 })
    }

    fn open(&self) -> Option<PipeEnds> {
        if self.stats.pipes_open.get() >= self.max as u64 {
            return None;
        }
        // Fails for want of descriptors, which bytes that are copied do without.
        let (reader, writer) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC).ok()?;
        // Refused to those who may have no more memory in pipes; a small one does as well.
        fcntl_setpipe_size(&writer, PIPE_BYTES).ok();
        self.stats.pipes_open.add();
        Some(PipeEnds { reader, writer })
    }

    /// Closes the pipes that nobody had a use for since the last sweep.
    pub(crate) fn sweep(&self) {
        let mut idle = self.idle.borrow_mut();
        for ends in idle.drain(..self.unused.get()) {
            self.close(ends);
        }
        self.unused.set(idle.len());
    }

    fn close(&self, ends: PipeEnds) {
        drop(ends);
        self.stats.pipes_open.sub();
    }
}

impl Pipe {
    /// Bytes that were put into it and not yet sent.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Takes what the socket has. The pipe must be empty: otherwise the kernel's `WouldBlock` would
    /// not tell whether the socket has no more or the pipe no room.
    fn fill(&mut self, from: &TcpStream) -> io::Result<()> {
        debug_assert_eq!(self.held, 0, "see above");
        let Some(ends) = &self.ends else { return Ok(()) };
        self.held = from.try_io(Interest::READABLE, || {
            Ok(splice(from, None, &ends.writer, None, PIPE_BYTES, SpliceFlags::NONBLOCK)?)
        })?;
        Ok(())
    }

    /// Sends some of what it holds.
    pub(crate) fn poll_send(&mut self, to: &TcpStream, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(ends) = &self.ends else { return Poll::Ready(Ok(0)) };
        loop {
            ready!(to.poll_write_ready(context))?;
            let moved = to.try_io(Interest::WRITABLE, || {
                Ok(splice(&ends.reader, None, to, None, self.held, SpliceFlags::NONBLOCK)?)
            });
            match moved {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    self.held -= count;
                    self.home.stats.spliced_bytes.add_many(count as u64);
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        match self.ends.take() {
            Some(ends) if self.held == 0 => self.home.idle.borrow_mut().push(ends),
            Some(ends) => self.home.close(ends),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests;
