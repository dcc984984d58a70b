//! The text written to a stream, as HTTP/2: heads, data, trailers, and where the message ends.

use std::io::{self, ErrorKind};
use std::task::Poll;

use codec::h2::text::{RequestFields, RequestList, ResponseFields, trailer_fields};
use codec::h2::{Encoding, StreamId};
use codec::http1::chunked::Decoder;
use codec::http1::write::RequestEdits;
use codec::http1::{self, FieldSet, Framing, RequestHead, ResponseHead};

use super::connection::Signals;
use super::stream::{Asked, Side, Stream};
use crate::grpc;
use crate::parsed::Room;

/// What of our message comes next.
#[derive(Debug)]
pub(super) enum Writing {
    /// A head, of which this much has come in pieces.
    Head(Vec<u8>),
    /// So many bytes of the body, at least one.
    Length(u64),
    /// Chunks.
    Chunked(Box<Chunks>),
    /// Bytes until the end of our direction.
    Open,
    /// Nothing: END_STREAM is said.
    Done,
}

/// A body in chunks.
#[derive(Debug)]
pub(super) struct Chunks {
    decoder: Decoder,
    /// Bytes of data at the front of what comes next, which the decoder has seen.
    run: usize,
    trailers: Vec<u8>,
}

impl Default for Writing {
    fn default() -> Self {
        Self::Head(Vec::new())
    }
}

impl Writing {
    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// Whether the end of the stream is the end of the message.
    pub(super) fn is_open_ended(&self) -> bool {
        matches!(self, Self::Open)
    }

    fn after(framing: Framing, tunnels: bool) -> Self {
        match framing {
            _ if tunnels => Self::Open,
            Framing::None | Framing::Length(0) => Self::Done,
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => {
                let decoder = Decoder::new(&LIMITS);
                Self::Chunked(Box::new(Chunks { decoder, run: 0, trailers: Vec::new() }))
            }
            Framing::UntilClose => Self::Open,
        }
    }
}

impl Stream {
    /// Takes some of the text.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        match &self.writing {
            Writing::Head(held) if held.is_empty() => match self.write_head(bytes) {
                Poll::Ready(Ok(0)) => {
                    self.writing = Writing::Head(bytes.to_vec());
                    Poll::Ready(Ok(bytes.len()))
                }
                polled => polled,
            },
            Writing::Head(_) => self.write_head_on(bytes),
            Writing::Length(_) | Writing::Open => self.write_plain(bytes),
            Writing::Chunked(_) => self.write_chunked(bytes),
            Writing::Done => Poll::Ready(Err(ErrorKind::InvalidData.into())),
        }
    }

    /// A head that came in pieces.
    fn write_head_on(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Writing::Head(held) = &mut self.writing else { return Poll::Pending };
        let before = held.len();
        let mut whole = std::mem::take(held);
        whole.extend_from_slice(bytes);
        match self.write_head(&whole) {
            Poll::Ready(Ok(0)) => {
                self.writing = Writing::Head(whole);
                Poll::Ready(Ok(bytes.len()))
            }
            Poll::Ready(Ok(taken)) => Poll::Ready(Ok(taken - before.min(taken))),
            Poll::Pending => {
                whole.truncate(before);
                self.writing = Writing::Head(whole);
                Poll::Pending
            }
            failed @ Poll::Ready(Err(_)) => failed,
        }
    }

    /// Sends the head at the front of `bytes`, and returns its length; 0 if it is not whole.
    fn write_head(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let invalid = || io::Error::from(ErrorKind::InvalidData);
        let mut room: Room<'_> = http1::uninit_headers();
        if let Side::Client(id, _) = self.side {
            let method = if self.asked.head {
                "HEAD"
            } else if self.asked.connect {
                "CONNECT"
            } else {
                "GET"
            };
            let upgrade = self.asked.websocket.is_some().then_some("websocket");
            let asked = http1::Asked { method, upgrade };
            let head = http1::parse_response(bytes, &mut room, &LIMITS, &asked).map_err(|_| invalid())?;
            let Some(head) = head else { return Poll::Ready(Ok(0)) };
            self.write_response(id, &head, FieldSet::EMPTY, std::iter::empty())?;
            return Poll::Ready(Ok(head.head_len));
        }
        if let Some(list) = RequestList::read(bytes) {
            self.write_list(&list)?;
            return Poll::Ready(Ok(list.len));
        }
        let head = http1::parse_request(bytes, &mut room, &LIMITS).map_err(|_| invalid())?;
        let Some(head) = head else { return Poll::Ready(Ok(0)) };
        if head.asked().upgrade.is_some() && !self.connection.is_settled() {
            // Whether the endpoint takes it is said in its SETTINGS.
            return Poll::Pending;
        }
        self.write_request(&head)?;
        Poll::Ready(Ok(head.head_len))
    }

    /// See [`crate::stream::Stream::send_response`].
    pub(crate) fn send_response<'f>(
        &mut self,
        head: &'f ResponseHead<'f, 'f>,
        removed: FieldSet,
        added: impl Iterator<Item = (&'f str, &'f [u8])> + Clone,
    ) -> io::Result<()> {
        self.broken()?;
        match (&self.side, &self.writing) {
            (Side::Client(id, _), Writing::Head(held)) if held.is_empty() => {
                self.write_response(*id, head, removed, added)
            }
            _ => Err(ErrorKind::InvalidData.into()),
        }
    }

    fn write_response<'f>(
        &mut self,
        id: StreamId,
        head: &'f ResponseHead<'f, 'f>,
        removed: FieldSet,
        added: impl Iterator<Item = (&'f str, &'f [u8])> + Clone,
    ) -> io::Result<()> {
        let fields = ResponseFields::new(head, removed, added);
        let mut fields = fields.map_err(|_| io::Error::from(ErrorKind::InvalidData))?;
        if is_end_of_call(head) {
            fields = fields.without_length();
        }
        let mut ends = false;
        if !head.is_interim() {
            self.writing = Writing::after(head.framing, head.tunnel);
            ends = self.writing.is_done();
        }
        self.connection.engine_mut().send_fields(id, |to| fields.encode(to), ends);
        Ok(())
    }

    /// See [`crate::stream::Stream::end_call`]. Trailers follow data of no stated length alone.
    pub(crate) fn end_call(&mut self, trailers: &[(&str, &[u8])]) -> bool {
        let (Some((id, _)), Writing::Chunked(_)) = (self.named(), &self.writing) else { return false };
        let fields = |to: &mut Encoding<'_>| {
            trailers.iter().for_each(|(name, value)| to.field(name.as_bytes(), value));
        };
        self.connection.engine_mut().send_fields(id, fields, true);
        self.writing = Writing::Done;
        true
    }

    /// Opens the stream for a head in text.
    fn write_request(&mut self, head: &RequestHead<'_, '_>) -> io::Result<()> {
        let upgrade = head.asked().upgrade.is_some();
        let connect = head.method == "CONNECT";
        let extended = self.connection.engine().extended_connect();
        let edits = RequestEdits::default();
        let scheme = self.connection.scheme;
        let fields = RequestFields::new(head, &edits, std::iter::empty(), scheme, extended);
        let fields = fields.map_err(|_| io::Error::from(ErrorKind::InvalidData))?;
        let (is_head, call) = (head.method == "HEAD", grpc::is_call(head));
        let asked = Asked { head: is_head, connect, websocket: upgrade.then(|| key(head)), call };
        let writing = Writing::after(head.framing, upgrade || connect);
        self.open(asked, writing, |to| fields.encode(to))
    }

    /// Opens the stream for a head that is a list.
    fn write_list(&mut self, list: &RequestList<'_>) -> io::Result<()> {
        let asked = Asked { head: list.is_head, call: list.is_call, ..Asked::default() };
        let scheme = self.connection.scheme;
        self.open(asked, Writing::after(list.framing, false), |to| list.encode(scheme, to))
    }

    fn open(
        &mut self,
        asked: Asked,
        writing: Writing,
        head: impl FnOnce(&mut Encoding<'_>),
    ) -> io::Result<()> {
        let connection = self.connection.clone();
        let Side::Reserved { .. } = self.side else { return Err(ErrorKind::InvalidData.into()) };
        let begin = connection.position();
        let opened = connection.engine_mut().open(head, writing.is_done());
        // Its place is gone: the endpoint went away or allows fewer streams than before.
        let Some(id) = opened else { return Err(ErrorKind::ConnectionAborted.into()) };
        let signals = Signals::new();
        connection.enter(id, &signals);
        // The place goes: from here on the connection counts the stream itself.
        self.side = Side::Endpoint(id, signals, begin);
        (self.asked, self.writing) = (asked, writing);
        Ok(())
    }

    fn write_plain(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Some((id, _)) = self.named() else { return Poll::Pending };
        let (count, ends) = match self.writing {
            Writing::Length(left) => {
                let count = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                (count, count as u64 == left)
            }
            _ => (bytes.len(), false),
        };
        let taken = self.connection.engine_mut().send_data(id, &bytes[..count], ends);
        if let Writing::Length(left) = &mut self.writing {
            *left -= taken as u64;
            if *left == 0 {
                self.writing = Writing::Done;
            }
        }
        if taken > 0 { Poll::Ready(Ok(taken)) } else { Poll::Pending }
    }

    fn write_chunked(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Some((id, _)) = self.named() else { return Poll::Pending };
        let Writing::Chunked(chunks) = &mut self.writing else { return Poll::Pending };
        let mut engine = self.connection.engine_mut();
        let mut at = 0;
        let mut ended = false;
        while at < bytes.len() {
            if chunks.run > 0 {
                let run = chunks.run.min(bytes.len() - at);
                // The usual end: it goes with the last bytes.
                ended = run == chunks.run && &bytes[at + run..] == LAST_CHUNK;
                let taken = engine.send_data(id, &bytes[at..at + run], ended);
                chunks.run -= taken;
                at += taken;
                if taken < run {
                    break;
                }
                continue;
            }
            let in_trailers = chunks.decoder.in_trailers();
            let step = chunks.decoder.step(&bytes[at..]);
            let step = step.map_err(|_| io::Error::from(ErrorKind::InvalidData))?;
            if in_trailers {
                chunks.trailers.extend_from_slice(&bytes[at..at + step.consumed]);
            }
            at += step.consumed - step.data.len();
            chunks.run = step.data.len();
            if step.done {
                let lines = chunks.trailers.len() - LINE_END.len();
                match &chunks.trailers[..lines] {
                    _ if ended => {}
                    [] => {
                        engine.send_data(id, &[], true);
                    }
                    lines => engine.send_fields(id, |to| trailer_fields(lines, to), true),
                }
                drop(engine);
                self.writing = Writing::Done;
                return Poll::Ready(Ok(at));
            }
        }
        if at > 0 { Poll::Ready(Ok(at)) } else { Poll::Pending }
    }
}

/// Whether the head is nothing but the end of a gRPC call, whose fields are trailers.
fn is_end_of_call(head: &ResponseHead<'_, '_>) -> bool {
    matches!(head.framing, Framing::None | Framing::Length(0)) && grpc::ended(head).is_some()
}

/// The client's `Sec-WebSocket-Key`: what the answer is checked by.
fn key(head: &RequestHead<'_, '_>) -> Vec<u8> {
    let field = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case("sec-websocket-key"));
    field.map(|field| field.value.to_vec()).unwrap_or_default()
}

/// Our own text is written within the proxy's limits already.
const LIMITS: http1::Limits = http1::Limits {
    head_bytes: 1024 * 1024,
    target_bytes: 1024 * 1024,
    fields: http1::MAX_FIELDS,
    chunk_extension_bytes: 64 * 1024,
    trailer_bytes: 1024 * 1024,
};
/// What ends a chunk, and a body that has no trailers.
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";
const LINE_END: &[u8] = b"\r\n";
