//! The bytes inside TLS. At rest a stream holds no buffer.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ::tls::{ClientSetup, Output, ServerConfig, Session, Step, Stepped};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::origin::Failure;
use crate::buffer::{Buffer, Buffers};
use crate::stream::{is_quiet_for_kernel, reset};
use crate::sys;

/// Bytes held of what arrived: several records, or the largest message of a handshake.
const INCOMING_MAX: usize = 64 * 1024;
/// Bytes held of what is to be sent, but for messages of a handshake.
const OUTGOING_MAX: usize = 64 * 1024;
/// Bytes encrypted at once: three whole records.
const WRITE_MAX: usize = 48 * 1024;
/// Bytes that their encryption adds, at most.
const WRITE_MORE: usize = 256;

/// See the module.
#[derive(Debug)]
pub(crate) struct TlsStream {
    tcp: TcpStream,
    session: Session,
    incoming: Buffer,
    /// What arrived may hold a record that was not read.
    unread: bool,
    outgoing: Buffer,
    /// What was read and had no room.
    plain: Buffer,
    /// Our direction has ended.
    closed: bool,
}

impl TlsStream {
    /// The server's side, of which `arrived` was read already.
    ///
    /// # Errors
    /// The configuration is of no use.
    pub(super) fn server(tcp: TcpStream, config: Arc<ServerConfig>, arrived: Buffer) -> io::Result<Self> {
        let session = Session::server(config).map_err(failed)?;
        let home = arrived.home();
        let (outgoing, plain) = (Buffer::new(&home), Buffer::new(&home));
        Ok(Self { tcp, session, incoming: arrived, unread: true, outgoing, plain, closed: false })
    }

    /// The client's side. It outlives the request that it was opened for, so its buffers are on
    /// nobody's account.
    ///
    /// # Errors
    /// The configuration is of no use.
    pub(super) fn client(
        tcp: TcpStream,
        setup: &ClientSetup,
        home: &std::rc::Rc<Buffers>,
    ) -> io::Result<Self> {
        let session = Session::client(setup).map_err(failed)?;
        let buffer = || Buffer::unpaid(home);
        let (incoming, outgoing, plain) = (buffer(), buffer(), buffer());
        Ok(Self { tcp, session, incoming, unread: true, outgoing, plain, closed: false })
    }

    /// Whether the session is one of before that was resumed.
    pub(super) fn is_resumed(&self) -> bool {
        self.session.is_resumed()
    }

    /// Bytes that the peer's kernel has acknowledged.
    pub(crate) fn acknowledged(&self) -> u64 {
        sys::acknowledged(&self.tcp).unwrap_or_default()
    }

    /// Whether ALPN settled on HTTP/2.
    pub(crate) fn agreed_on_http2(&self) -> bool {
        self.session.protocol() == Some(b"h2")
    }

    /// Done when bytes can flow. What the handshake leaves to send goes with the first of them.
    pub(super) fn poll_handshake(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.unread
                && let Err(error) = self.read_record(&mut ReadBuf::new(&mut []))
            {
                // The alert that says why goes first: a socket may not be known to be writable this
                // early. The session says the same error again, and the wait is the handshake's.
                drop(ready!(self.poll_flush(context)));
                return Poll::Ready(Err(error));
            }
            if !self.session.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_flush(context))?;
            ready!(self.poll_receive(context))?;
        }
    }

    /// Ready when a read may have something to say.
    pub(crate) fn poll_read_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.plain.is_empty() || self.unread || self.session.peer_closed() {
            return Poll::Ready(Ok(()));
        }
        let ready = self.tcp.poll_read_ready(context);
        if ready.is_pending() && !self.outgoing.is_empty() {
            self.flush_in_passing(context)?;
        }
        ready
    }

    /// Reads what is there. The end is that of TLS; a connection that ends without it is cut off.
    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = room.filled().len();
        loop {
            let count = self.plain.len().min(room.remaining());
            if count > 0 {
                room.put_slice(&self.plain.filled()[..count]);
                self.plain.consume(count);
            }
            let has_some = room.filled().len() > before;
            if room.remaining() == 0 || self.session.peer_closed() {
                return Poll::Ready(Ok(()));
            }
            if self.unread {
                match self.read_record(room) {
                    Ok(()) => continue,
                    // What came before it counts; it will be said again.
                    Err(_) if has_some => return Poll::Ready(Ok(())),
                    Err(error) => {
                        drop(self.poll_flush(context));
                        return Poll::Ready(Err(error));
                    }
                }
            }
            if has_some {
                return Poll::Ready(Ok(()));
            }
            match self.poll_receive(context) {
                Poll::Ready(received) => received?,
                Poll::Pending => {
                    self.flush_in_passing(context)?;
                    return Poll::Pending;
                }
            }
        }
    }

    /// Encrypts some of the bytes.
    pub(crate) fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let count = bytes.len().min(WRITE_MAX);
        if !self.outgoing.is_empty() && self.outgoing.len() + count + WRITE_MORE > OUTGOING_MAX {
            ready!(self.poll_flush(context))?;
        }
        let plain = &mut self.plain;
        let Stepped { consumed, step } =
            self.session.write(self.incoming.filled_mut(), &bytes[..count], &mut self.outgoing, |more| {
                plain.extend(more);
            });
        self.incoming.consume(consumed);
        // All that was whole has been read.
        self.unread = false;
        Poll::Ready(match step {
            Ok(_) => Ok(count),
            Err(error) => Err(failed(error)),
        })
    }

    /// Sends what is held.
    pub(crate) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            let count = ready!(Pin::new(&mut self.tcp).poll_write(context, self.outgoing.filled()))?;
            if count == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            self.outgoing.consume(count);
        }
        Poll::Ready(Ok(()))
    }

    /// Ends our direction in due form, then that of the socket.
    pub(crate) fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closed {
            self.closed = true;
            let plain = &mut self.plain;
            // A session that failed has said so by an alert.
            let Stepped { consumed, .. } =
                self.session.close(self.incoming.filled_mut(), &mut self.outgoing, |more| plain.extend(more));
            self.incoming.consume(consumed);
            self.unread = false;
        }
        ready!(self.poll_flush(context))?;
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }

    /// Has the drop that follows answer with RST.
    pub(crate) fn reset(&mut self) {
        reset(&self.tcp);
    }

    /// Whether nothing for us has arrived. What TLS has to say to itself, as servers do after a
    /// handshake, is taken.
    pub(crate) fn is_quiet(&mut self) -> bool {
        loop {
            if self.unread && self.read_record(&mut ReadBuf::new(&mut [])).is_err() {
                return false;
            }
            if !self.plain.is_empty() || self.session.peer_closed() {
                return false;
            }
            if self.unread {
                continue;
            }
            let Some(room) = self.incoming.room(INCOMING_MAX) else { return false };
            let read = self.tcp.try_read(room);
            self.incoming.advance(*read.as_ref().unwrap_or(&0));
            self.unread = read.is_ok();
            if self.incoming.is_empty() {
                self.incoming.release();
            }
            match read {
                Ok(count) if count > 0 => {}
                Ok(_) => return false,
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    }

    /// The same as the kernel sees it, which cannot tell what is for us.
    pub(crate) fn is_quiet_for_kernel(&self) -> bool {
        is_quiet_for_kernel(&self.tcp)
    }

    /// Sends what can be sent before a wait: it has been held to go with other bytes.
    fn flush_in_passing(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.poll_flush(context) {
            Poll::Ready(flushed) => flushed,
            Poll::Pending => Ok(()),
        }
    }

    /// Reads one record of what arrived, if there is a whole one.
    fn read_record(&mut self, room: &mut ReadBuf<'_>) -> io::Result<()> {
        let plain = &mut self.plain;
        let take = |bytes: &[u8]| {
            let (fits, rest) = bytes.split_at(bytes.len().min(room.remaining()));
            room.put_slice(fits);
            plain.extend(rest);
        };
        let Stepped { consumed, step } =
            self.session.read(self.incoming.filled_mut(), &mut self.outgoing, take);
        self.incoming.consume(consumed);
        self.unread = step != Ok(Step::Wait) && step != Ok(Step::Closed);
        step.map(drop).map_err(|error| failed(::tls::words(&error)))
    }

    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.incoming.needs_memory() {
            ready!(self.tcp.poll_read_ready(context))?;
        }
        let Some(room) = self.incoming.room(INCOMING_MAX) else {
            return Poll::Ready(Err(ErrorKind::StorageFull.into()));
        };
        let mut room = ReadBuf::new(room);
        let polled = Pin::new(&mut self.tcp).poll_read(context, &mut room);
        let count = room.filled().len();
        self.incoming.advance(count);
        if self.incoming.is_empty() {
            self.incoming.release();
        }
        ready!(polled)?;
        if count == 0 {
            return Poll::Ready(Err(ErrorKind::UnexpectedEof.into()));
        }
        self.unread = true;
        Poll::Ready(Ok(()))
    }
}

impl Output for Buffer {
    fn room(&mut self, least: usize) -> &mut [u8] {
        self.reserve(least)
    }

    fn advance(&mut self, count: usize) {
        Buffer::advance(self, count);
    }
}

fn failed(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, Failure(error.to_string()))
}
