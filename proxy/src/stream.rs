//! The byte stream of a client or an endpoint, whatever carries it. A closed enum: every poll
//! matches once, and the plain TCP path costs no more than that.
//!
//! What `poll_write` has accepted may wait inside the stream until `poll_flush` or
//! `poll_shutdown` has sent it; a plain TCP stream holds nothing.

use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;

use codec::h2::ErrorCode;
use codec::http1::{FieldSet, ResponseHead};
use model::flow::HttpVersion;

use crate::grpc;
use crate::http2;
use crate::tcp::Tcp;
use crate::tls::TlsStream;

/// See the module.
#[derive(Debug)]
pub(crate) enum Stream {
    /// In the clear.
    Tcp(Tcp),
    /// In TLS.
    Tls(Box<TlsStream>),
    /// One stream of an HTTP/2 connection, as HTTP/1.1 text.
    Http2(Box<http2::Stream>),
}

impl Stream {
    /// Ready when a read may have something to say; so that nobody holds memory for a read that
    /// has nothing to read. A stream with bytes of its own to give is ready at once.
    pub(crate) fn poll_read_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(context),
            Self::Tls(stream) => stream.poll_read_ready(context),
            Self::Http2(stream) => stream.poll_read_ready(context),
        }
    }

    /// Reads once; nothing read is the end of the stream.
    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read(context, room),
            Self::Tls(stream) => stream.poll_read(context, room),
            Self::Http2(stream) => stream.poll_read(context, room),
        }
    }

    /// Takes some of the bytes.
    pub(crate) fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => stream.poll_write(context, bytes),
            Self::Tls(stream) => stream.poll_write(context, bytes),
            Self::Http2(stream) => stream.poll_write(context, bytes),
        }
    }

    /// Sends what was taken and is still held. To be called before waiting for anything else.
    pub(crate) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tls(stream) => stream.poll_flush(context),
            // The driver of the connection sends it.
            Self::Tcp(_) | Self::Http2(_) => Poll::Ready(Ok(())),
        }
    }

    /// Sends what is held, then the end of our direction.
    pub(crate) fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_shutdown(context),
            Self::Tls(stream) => stream.poll_shutdown(context),
            Self::Http2(stream) => stream.poll_shutdown(),
        }
    }

    /// Has the drop that follows answer with a reset: RST, or RST_STREAM.
    pub(crate) fn reset(&mut self) {
        match self {
            Self::Tcp(stream) => stream.reset(),
            Self::Tls(stream) => stream.reset(),
            Self::Http2(stream) => stream.reset(ErrorCode::INTERNAL_ERROR),
        }
    }

    /// Whether nothing has arrived, no close and no byte that nobody asked for. Costs a system
    /// call only if something may have.
    pub(crate) fn is_quiet(&mut self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_quiet(),
            Self::Tls(stream) => stream.is_quiet(),
            // Never kept: the connection is, by those who share it.
            Self::Http2(_) => false,
        }
    }

    /// The same, and asks the kernel rather than the runtime: of a stream that was idle for a while.
    pub(crate) fn is_quiet_for_kernel(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_quiet_for_kernel(),
            Self::Tls(stream) => stream.is_quiet_for_kernel(),
            Self::Http2(_) => false,
        }
    }

    /// Whether the kernel holds nothing of it that was not read: then a close is no reset.
    pub(crate) fn is_drained(&self) -> bool {
        matches!(self, Self::Tcp(stream) if stream.is_drained())
    }

    /// The version of HTTP that its peer speaks.
    pub(crate) fn version(&self) -> HttpVersion {
        if self.is_http2() { HttpVersion::Http2 } else { HttpVersion::Http1 }
    }

    /// Whether it is a stream of an HTTP/2 connection: it carries one request.
    pub(crate) fn is_http2(&self) -> bool {
        matches!(self, Self::Http2(_))
    }

    /// Whether ALPN settled that HTTP/2 is spoken in it: then nothing else is.
    pub(crate) fn agreed_on_http2(&self) -> bool {
        matches!(self, Self::Tls(stream) if stream.agreed_on_http2())
    }

    /// Whether its end is said by TLS.
    pub(crate) fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// `:scheme` of the requests that HTTP/2 carries in it.
    pub(crate) fn scheme(&self) -> &'static str {
        match self {
            Self::Tls(_) => "https",
            Self::Tcp(_) | Self::Http2(_) => "http",
        }
    }

    /// Bytes that the peer's kernel has acknowledged; 0 if it cannot be told, as of one stream of many.
    pub(crate) fn acknowledged(&self) -> u64 {
        match self {
            Self::Tcp(stream) => stream.acknowledged(),
            Self::Tls(stream) => stream.acknowledged(),
            Self::Http2(_) => 0,
        }
    }

    /// Whether what was written is known not to have reached the application at the other end.
    pub(crate) fn is_unprocessed(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Tls(_) => false,
            Self::Http2(stream) => stream.is_unprocessed(),
        }
    }

    /// Whether that is as the endpoint left after it had taken others.
    pub(crate) fn is_left_out(&self) -> bool {
        matches!(self, Self::Http2(stream) if stream.is_left_out())
    }

    /// How a gRPC call ended, if trailers of HTTP/2 said so.
    pub(crate) fn call_ended(&self) -> Option<grpc::Ended> {
        match self {
            Self::Tcp(_) | Self::Tls(_) => None,
            Self::Http2(stream) => stream.call_ended(),
        }
    }

    /// Ends the answer to a gRPC call by these trailers in the place of what is left of it; false where they
    /// cannot be said.
    pub(crate) fn end_call(&mut self, trailers: &[(&str, &[u8])]) -> bool {
        match self {
            Self::Tcp(_) | Self::Tls(_) => false,
            Self::Http2(stream) => stream.end_call(trailers),
        }
    }

    /// Sends the head of an answer to a client of HTTP/2, but for `removed` and with `added`: what its text would
    /// come to, which is neither written nor read again. `None`: text is what this stream takes.
    pub(crate) fn send_response<'f>(
        &mut self,
        head: &'f ResponseHead<'f, 'f>,
        removed: FieldSet,
        added: impl Iterator<Item = (&'f str, &'f [u8])> + Clone,
    ) -> Option<io::Result<()>> {
        match self {
            Self::Tcp(_) | Self::Tls(_) => None,
            Self::Http2(stream) => Some(stream.send_response(head, removed, added)),
        }
    }

    /// How the peer reset a stream of HTTP/2, if it did.
    pub(crate) fn reset_code(&self) -> Option<ErrorCode> {
        match self {
            Self::Tcp(_) | Self::Tls(_) => None,
            Self::Http2(stream) => stream.reset_code(),
        }
    }

    /// Resets this stream for the reason that another was reset for, if both have such reasons.
    pub(crate) fn reset_like(&mut self, other: &Self) {
        match self {
            Self::Http2(stream) => stream.reset(other.reset_code().unwrap_or(ErrorCode::INTERNAL_ERROR)),
            _ => self.reset(),
        }
    }
}

/// Has the close that follows answer with RST.
pub(crate) fn reset(stream: &impl AsFd) {
    // Fails only on a socket that is broken already.
    drop(SockRef::from(stream).set_linger(Some(Duration::ZERO)));
}

/// See [`Stream::is_quiet`].
pub(crate) fn is_quiet(stream: &TcpStream) -> bool {
    matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
}

/// See [`Stream::is_quiet_for_kernel`].
pub(crate) fn is_quiet_for_kernel(stream: &impl AsFd) -> bool {
    let peeked = SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]);
    matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
}
