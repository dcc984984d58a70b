//! HTTP/2 (RFC 9113): one connection's state machine for either role. Bytes in, events out, bytes out.
//!
//! Nothing here knows a socket or a clock: time is an argument (ns, from any origin, never going back). The
//! driver's loop is: [`Connection::receive`] what came, handle the events, send, [`Connection::wake`], write
//! [`Connection::out`], [`Connection::sent`], and before it sleeps `wake` once more.
//!
//! What a stream may hold is bounded by its window, what a connection may hold by its window and by
//! [`Limits`]; every flood ends in GOAWAY with a [`LimitHit`] that names it.

mod connection;
mod encoding;
mod error;
mod fields;
mod frame;
mod heads;
mod limits;
mod out;
mod receive;
mod send;
mod settings;
mod slab;
mod stream;
pub mod text;

pub use connection::Connection;
pub use encoding::Encoding;
pub use error::{ConnectionError, ErrorCode, LimitHit};
pub use fields::Fields;
pub use limits::Limits;

/// Which end of the connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Opens streams.
    Client,
    /// Answers them.
    Server,
}

/// A stream's identifier (RFC 9113 §5.1.1): odd, of 31 bits, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u32);

/// What the peer did, in the order it did it.
///
/// A stream ends for the user once: by `Head { end: true }`, by `End`, or by `Reset`; then, or earlier, the
/// user calls [`Connection::close`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request head, or a response head, interim or final: take it with [`Connection::head`].
    Head {
        /// The stream; of a server, a new one.
        stream: StreamId,
        /// The message has no more than this; no `End` follows.
        end: bool,
    },
    /// [`Connection::data`] has grown.
    Data {
        /// The stream.
        stream: StreamId,
    },
    /// Trailers came: take them with [`Connection::trailers`]. `End` follows at once.
    Trailers {
        /// The stream.
        stream: StreamId,
    },
    /// The peer's message is whole; data may still wait to be consumed.
    End {
        /// The stream.
        stream: StreamId,
    },
    /// The stream is over: reset by the peer, malformed, or refused by the peer's GOAWAY (then the code is
    /// REFUSED_STREAM: the request was not processed). Unread data is gone, but for that of an answer which the
    /// peer reset.
    Reset {
        /// The stream.
        stream: StreamId,
        /// Why.
        code: ErrorCode,
    },
    /// [`Connection::send_data`] had not accepted all; now it accepts some.
    Writable {
        /// The stream.
        stream: StreamId,
    },
    /// The peer goes away; streams of ours above `last` were not processed and are reset (REFUSED_STREAM).
    GoAway {
        /// The last stream of ours that the peer processes.
        last: StreamId,
        /// Why.
        code: ErrorCode,
    },
    /// The peer's settings changed: [`Connection::streams_free`] and
    /// [`Connection::extended_connect`] may say otherwise than before.
    Settings,
    /// The peer answered a [`Connection::ping`].
    Pong([u8; 8]),
    /// A limit stopped one stream, not the connection: to be counted.
    Limit(LimitHit),
}

#[cfg(test)]
mod tests;
