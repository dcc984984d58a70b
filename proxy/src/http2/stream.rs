//! One HTTP/2 stream as a byte stream of HTTP/1.1 text, for those who read and write such.
//!
//! Of a client's stream the request's text is read and the answer's written; of a stream to an
//! endpoint the other way round, and it is opened once the head of the request is whole.

use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::task::{Context, Poll};

use codec::h2::{ErrorCode, Fields, StreamId};
use tokio::io::ReadBuf;

use super::connection::{Connection, Signals};
use super::reading::Reading;
use super::upstream::Place;
use super::writing::Writing;
use crate::grpc;

/// See the module.
pub(crate) struct Stream {
    pub(super) connection: Rc<Connection>,
    pub(super) side: Side,
    pub(super) asked: Asked,
    pub(super) reading: Reading,
    pub(super) writing: Writing,
    /// Text to be read, and how much of it has been.
    pub(super) text: Vec<u8>,
    pub(super) text_read: usize,
    /// Why it could not be opened.
    pub(super) failed: Option<ErrorKind>,
    /// How the trailers read say that a gRPC call ended.
    pub(super) call_ended: Option<grpc::Ended>,
}

/// Whose stream it is, and its name.
pub(super) enum Side {
    /// A client's.
    Client(StreamId, Rc<Signals>),
    /// None: that of a task that waits for a client's stream.
    Resting(Rc<Signals>),
    /// To an endpoint, not opened yet: a stream of the connection is kept for it.
    Reserved { _place: Place },
    /// To an endpoint. Where in all bytes sent it begins.
    Endpoint(StreamId, Rc<Signals>, u64),
}

/// What was asked, as far as the form of the answer depends on it.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) head: bool,
    pub(super) connect: bool,
    /// `websocket` was asked for, with this key.
    pub(super) websocket: Option<Vec<u8>>,
    /// It is a gRPC call.
    pub(super) call: bool,
}

impl Stream {
    /// None yet, for streams of a client.
    pub(super) fn resting(connection: &Rc<Connection>, signals: Rc<Signals>) -> Self {
        Self::new(connection, Side::Resting(signals), Asked::default(), Reading::Done)
    }

    /// Becomes a client's, whose head has been read.
    pub(super) fn begin(&mut self, id: StreamId, asked: Asked, reading: Reading) {
        let Side::Resting(signals) = &self.side else { return };
        self.side = Side::Client(id, signals.clone());
        (self.asked, self.reading) = (asked, reading);
        self.writing = Writing::default();
        self.text.clear();
        (self.text_read, self.failed) = (0, None);
    }

    /// Lets go of a client's, as a drop does.
    pub(crate) fn rest(&mut self) {
        let Side::Client(id, signals) = &self.side else { return };
        self.connection.leave(*id);
        signals.clear();
        self.text.clear();
        self.text.shrink_to(TEXT_KEPT);
        self.side = Side::Resting(signals.clone());
    }

    /// One to an endpoint, not opened yet.
    pub(super) fn to_endpoint(connection: &Rc<Connection>, place: Place) -> Self {
        Self::new(connection, Side::Reserved { _place: place }, Asked::default(), Reading::Head)
    }

    fn new(connection: &Rc<Connection>, side: Side, asked: Asked, reading: Reading) -> Self {
        Self {
            connection: connection.clone(),
            side,
            asked,
            reading,
            writing: Writing::default(),
            text: Vec::new(),
            text_read: 0,
            failed: None,
            call_ended: None,
        }
    }

    /// Its name, once it has one.
    pub(super) fn named(&self) -> Option<(StreamId, &Rc<Signals>)> {
        match &self.side {
            Side::Client(id, signals) | Side::Endpoint(id, signals, ..) => Some((*id, signals)),
            Side::Resting(_) | Side::Reserved { .. } => None,
        }
    }

    /// How the peer reset it, if it did.
    pub(crate) fn reset_code(&self) -> Option<ErrorCode> {
        self.named().and_then(|(_, signals)| signals.reset.get())
    }

    /// How a gRPC call ended, if trailers said so.
    pub(crate) fn call_ended(&self) -> Option<grpc::Ended> {
        self.call_ended
    }

    /// Whether the endpoint is known not to have looked at the request: it refused the stream, or
    /// nothing of it was sent.
    pub(crate) fn is_unprocessed(&self) -> bool {
        match &self.side {
            Side::Client(..) | Side::Resting(_) => false,
            Side::Reserved { .. } => self.failed != Some(ErrorKind::InvalidData),
            Side::Endpoint(_, signals, begin) => match signals.reset.get() {
                Some(code) => code == ErrorCode::REFUSED_STREAM,
                None => self.connection.is_over() && !self.connection.has_written(*begin),
            },
        }
    }

    /// Whether it is unprocessed as the endpoint left after it had taken others on its connection.
    pub(crate) fn is_left_out(&self) -> bool {
        self.is_unprocessed() && self.connection.engine().has_taken_leave()
    }

    /// An error if the stream can neither be read nor written any more.
    pub(super) fn broken(&self) -> io::Result<()> {
        if let Some(kind) = self.failed {
            return Err(kind.into());
        }
        if self.reset_code().is_some() || self.connection.is_over() {
            return Err(ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }

    /// Remembers whom to wake.
    pub(super) fn register(&self, context: &Context<'_>) {
        match self.named() {
            Some((_, signals)) => signals.register(context),
            None => self.connection.register(context),
        }
    }

    pub(crate) fn poll_read_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.register(context);
        if self.text_read < self.text.len() || self.may_read()? { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.register(context);
        let before = room.filled().len();
        loop {
            self.give_text(room);
            if room.remaining() == 0 {
                break;
            }
            match self.may_read() {
                Ok(true) => {}
                // What came before the end of the stream is not lost by it.
                Err(error) if room.filled().len() == before => return Poll::Ready(Err(error)),
                Ok(false) | Err(_) => break,
            }
            if !self.read(room)? {
                // The end of the stream.
                return Poll::Ready(Ok(()));
            }
        }
        if room.filled().len() > before { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn give_text(&mut self, room: &mut ReadBuf<'_>) {
        let left = &self.text[self.text_read..];
        let count = left.len().min(room.remaining());
        room.put_slice(&left[..count]);
        self.text_read += count;
        if self.text_read == self.text.len() {
            self.text.clear();
            self.text_read = 0;
        }
    }

    pub(crate) fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.broken()?;
        self.register(context);
        if matches!(self.side, Side::Endpoint(..)) && !self.connection.is_settled() {
            // The endpoint's SETTINGS may make windows smaller: data sent before they come would leave
            // a window below zero, and servers are known that never open such a one again.
            self.connection.register(context);
            return Poll::Pending;
        }
        let written = self.write(bytes);
        if let (Side::Reserved { .. }, Poll::Ready(Err(error))) = (&self.side, &written) {
            self.failed = Some(error.kind());
        }
        written
    }

    /// Ends our direction. What was promised and not written cannot be made up for: a reset.
    pub(crate) fn poll_shutdown(&mut self) -> Poll<io::Result<()>> {
        let Some((id, _)) = self.named() else { return Poll::Ready(Ok(())) };
        if self.writing.is_done() {
            return Poll::Ready(Ok(()));
        }
        if !self.writing.is_open_ended() {
            self.reset(ErrorCode::INTERNAL_ERROR);
            return Poll::Ready(Err(ErrorKind::WriteZero.into()));
        }
        self.connection.engine_mut().send_data(id, &[], true);
        self.writing = Writing::Done;
        Poll::Ready(Ok(()))
    }

    /// Throws away what the peer still sends, up to `left` bytes. Ready when it has ended, or nothing
    /// is left of them.
    pub(crate) fn poll_discard(&mut self, left: &mut u64, context: &mut Context<'_>) -> Poll<()> {
        self.register(context);
        let Some((id, signals)) = self.named() else { return Poll::Ready(()) };
        let mut engine = self.connection.engine_mut();
        loop {
            let count = engine.data(id).len();
            if count == 0 {
                break;
            }
            engine.consume(id, count);
            *left = left.saturating_sub(count as u64);
        }
        let ended = engine.ended(id);
        drop(engine);
        signals.holds(0);
        if ended || *left == 0 || self.broken().is_err() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Resets the stream.
    pub(crate) fn reset(&mut self, code: ErrorCode) {
        if let Some((id, _)) = self.named() {
            self.connection.engine_mut().reset(id, code);
        }
    }

    /// A header list is done with.
    pub(super) fn recycle(&self, fields: Fields) {
        self.connection.engine_mut().recycle(fields);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some((id, _)) = self.named() {
            self.connection.leave(id);
        }
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("http2::Stream").field("id", &self.named().map(|(id, _)| id)).finish_non_exhaustive()
    }
}

/// Memory for text that is kept from stream to stream: what does not fit a read is short.
const TEXT_KEPT: usize = 1024;
