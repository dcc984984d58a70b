//! A TCP socket that the runtime watches only once something has to be waited for.
//!
//! To watch one takes two system calls, an allocation and a wake-up. Most clients have sent their
//! request by the time they are accepted and have room for its answer: one that sends no more than
//! that is served without.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::mem;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;

use crate::stream::{is_quiet, is_quiet_for_kernel, reset};
use crate::sys;

/// See the module.
#[derive(Debug)]
pub(crate) enum Tcp {
    /// Just accepted; it may be tried so many times more. A peer that always has more to read would
    /// else keep the worker to itself: what is watched gives way from time to time.
    New(std::net::TcpStream, u8),
    /// Watched by the runtime.
    Watched(TcpStream),
    /// The runtime did not take it: closed.
    Lost,
}

/// Reads and writes without the runtime: two of each.
const TRIES: u8 = 4;

impl Tcp {
    /// One that was just accepted. It must not block.
    pub(crate) fn accepted(socket: OwnedFd) -> Self {
        Self::New(socket.into(), TRIES)
    }

    /// Has it watched, and returns it.
    ///
    /// # Errors
    /// The runtime cannot watch one more.
    pub(crate) fn watched(&mut self) -> io::Result<&mut TcpStream> {
        *self = match mem::replace(self, Self::Lost) {
            Self::New(stream, _) => Self::Watched(TcpStream::from_std(stream)?),
            other => other,
        };
        match self {
            Self::Watched(stream) => Ok(stream),
            Self::New(..) | Self::Lost => Err(ErrorKind::NotConnected.into()),
        }
    }

    /// The same for one that becomes a part of something else.
    ///
    /// # Errors
    /// As above.
    pub(crate) fn into_watched(mut self) -> io::Result<TcpStream> {
        self.watched()?;
        match self {
            Self::Watched(stream) => Ok(stream),
            Self::New(..) | Self::Lost => Err(ErrorKind::NotConnected.into()),
        }
    }

    /// What a try came to; `None`: it has to be watched.
    fn attempt<T>(
        &mut self,
        mut what: impl FnMut(&mut std::net::TcpStream) -> io::Result<T>,
    ) -> Option<io::Result<T>> {
        let Self::New(stream, tries) = self else { return None };
        *tries = tries.checked_sub(1)?;
        match what(stream) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => None,
            done => Some(done),
        }
    }

    /// Ready when a read may have something to say.
    pub(crate) fn poll_read_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::New(_, 1..) => Poll::Ready(Ok(())),
            _ => self.watched()?.poll_read_ready(context),
        }
    }

    /// Reads once; nothing read is the end of the stream.
    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.attempt(|stream| stream.read(room.initialize_unfilled())) {
            Some(done) => Poll::Ready(done.map(|count| room.advance(count))),
            None => Pin::new(self.watched()?).poll_read(context, room),
        }
    }

    /// Takes some of the bytes.
    pub(crate) fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.attempt(|stream| stream.write(bytes)) {
            Some(done) => Poll::Ready(done),
            None => Pin::new(self.watched()?).poll_write(context, bytes),
        }
    }

    /// Ends our direction.
    pub(crate) fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::New(stream, _) => Poll::Ready(stream.shutdown(Shutdown::Write)),
            _ => Pin::new(self.watched()?).poll_shutdown(context),
        }
    }

    /// Has the close that follows answer with RST.
    pub(crate) fn reset(&self) {
        match self {
            Self::New(stream, _) => reset(stream),
            Self::Watched(stream) => reset(stream),
            Self::Lost => {}
        }
    }

    /// Whether nothing has arrived.
    pub(crate) fn is_quiet(&self) -> bool {
        match self {
            Self::New(stream, _) => is_quiet_for_kernel(stream),
            Self::Watched(stream) => is_quiet(stream),
            Self::Lost => false,
        }
    }

    /// The same, and asks the kernel rather than the runtime.
    pub(crate) fn is_quiet_for_kernel(&self) -> bool {
        match self {
            Self::New(stream, _) => is_quiet_for_kernel(stream),
            Self::Watched(stream) => is_quiet_for_kernel(stream),
            Self::Lost => false,
        }
    }

    /// Bytes that the peer's kernel has acknowledged; 0 if it cannot be told.
    pub(crate) fn acknowledged(&self) -> u64 {
        match self {
            Self::New(stream, _) => sys::acknowledged(stream),
            Self::Watched(stream) => sys::acknowledged(stream),
            Self::Lost => return 0,
        }
        .unwrap_or_default()
    }

    /// Whether nothing is unread, the end of the stream apart.
    pub(crate) fn is_drained(&self) -> bool {
        let unread = match self {
            Self::New(stream, _) => stream.peek(&mut [0]),
            Self::Watched(stream) => stream.try_read(&mut [0]),
            Self::Lost => return false,
        };
        match unread {
            Ok(count) => count == 0,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        }
    }
}

impl From<TcpStream> for Tcp {
    fn from(stream: TcpStream) -> Self {
        Self::Watched(stream)
    }
}

#[cfg(test)]
mod tests;
