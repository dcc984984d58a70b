//! Receiving header blocks: requests, responses and trailers.

use super::encoding::Asked;
use super::fields::{ListDecoder, ListError, ListKind};
use super::frame::{self, FrameHead, MAX_31, flag};
use super::receive::Handled;
use super::{Connection, ConnectionError, ErrorCode, Event, Fields, LimitHit, Role, StreamId};
use crate::grpc;

/// A whole header block, besides its bytes.
#[derive(Clone, Copy)]
struct BlockEnd {
    id: u32,
    end_stream: bool,
    depends_on_itself: bool,
}

/// For whom a header block is.
enum Target {
    /// A stream that the peer opens.
    New,
    /// A stream in the user's hands.
    Held(usize, ListKind),
    /// Nobody, but the compression state must stay in step: what to do afterwards.
    Nobody(Discard),
}

enum Discard {
    /// A stream that is no more, or may not be.
    Late,
    /// A stream whose message is whole already.
    AfterEnd(usize),
    /// Streams are open as many as may be.
    Refuse(Option<LimitHit>),
}

impl Connection {
    pub(super) fn on_headers(
        &mut self,
        head: &FrameHead,
        payload: &[u8],
        now: u64,
        events: &mut Vec<Event>,
    ) -> Handled {
        // Even streams are a server's, and nobody pushes.
        if head.stream.is_multiple_of(2) {
            return Err(ConnectionError::protocol("HEADERS on a stream of the wrong side"));
        }
        let mut fragment = frame::unpadded(head, payload)?;
        let mut depends_on_itself = false;
        if head.has(flag::PRIORITY) {
            let Some((&[a, b, c, d, _], rest)) = fragment.split_first_chunk::<5>() else {
                return Err(ConnectionError::size("HEADERS too short for its priority"));
            };
            depends_on_itself = u32::from_be_bytes([a, b, c, d]) & MAX_31 == head.stream;
            fragment = rest;
        }
        let end = BlockEnd { id: head.stream, end_stream: head.has(flag::END_STREAM), depends_on_itself };
        if head.has(flag::END_HEADERS) {
            return self.block(end, fragment, now, events);
        }
        self.block.stream = end.id;
        self.block.end_stream = end.end_stream;
        self.block.depends_on_itself = depends_on_itself;
        self.block.frames = 0;
        self.block.bytes.clear();
        self.gather(fragment)
    }

    pub(super) fn on_continuation(
        &mut self,
        head: &FrameHead,
        payload: &[u8],
        now: u64,
        events: &mut Vec<Event>,
    ) -> Handled {
        if self.block.stream == 0 {
            return Err(ConnectionError::protocol("CONTINUATION of nothing"));
        }
        self.block.frames += 1;
        if self.block.frames > self.limits.continuation_frames {
            return Err(ConnectionError::limit(LimitHit::ContinuationFrames));
        }
        self.gather(payload)?;
        if !head.has(flag::END_HEADERS) {
            return Ok(());
        }
        let end = BlockEnd {
            id: std::mem::take(&mut self.block.stream),
            end_stream: self.block.end_stream,
            depends_on_itself: self.block.depends_on_itself,
        };
        // Few heads need CONTINUATION: the buffer is not kept.
        let bytes = std::mem::take(&mut self.block.bytes);
        self.block(end, &bytes, now, events)
    }

    fn gather(&mut self, fragment: &[u8]) -> Handled {
        if self.block.bytes.len() + fragment.len() > self.limits.header_block_bytes as usize {
            return Err(ConnectionError::limit(LimitHit::HeaderBlockBytes));
        }
        self.block.bytes.extend_from_slice(fragment);
        Ok(())
    }

    /// A whole header block.
    fn block(&mut self, end: BlockEnd, bytes: &[u8], now: u64, events: &mut Vec<Event>) -> Handled {
        let (slot, kind) = match self.target(end.id) {
            Target::New => (None, ListKind::Request),
            Target::Held(slot, kind) => (Some(slot), kind),
            Target::Nobody(discard) => {
                self.decoder.decode(bytes, &mut |_, _| false).map_err(|_| COMPRESSION)?;
                return self.discard(end, &discard, now, events);
            }
        };
        let mut fields = self.spare.pop().unwrap_or_default();
        let mut list = ListDecoder::new(&mut fields, &self.limits, kind);
        let decoded = self.decoder.decode(bytes, &mut |name, value| list.take(name, value));
        let mut result = list.finish();
        decoded.map_err(|_| COMPRESSION)?;
        if end.depends_on_itself {
            result = Err(ListError::Malformed("stream that depends on itself"));
        }
        let handled = match (slot, result) {
            (None, Ok(())) => return self.on_request(end, fields, now, events),
            (Some(slot), Ok(())) if kind == ListKind::Trailers => {
                return self.on_trailers(slot, end, fields, now, events);
            }
            (Some(slot), Ok(())) => return self.on_response(slot, end, fields, now, events),
            (None, Err(error)) => self.refuse_request(end, error, now, events),
            (Some(slot), Err(ListError::Malformed(_))) => {
                self.misbehaved(slot, ErrorCode::PROTOCOL_ERROR, now, events)
            }
            (Some(slot), Err(ListError::TooLarge { limit, .. })) => {
                events.push(Event::Limit(limit));
                self.misbehaved(slot, ErrorCode::ENHANCE_YOUR_CALM, now, events)
            }
        };
        self.recycle(fields);
        handled
    }

    fn target(&mut self, id: u32) -> Target {
        if let Some(slot) = self.streams.find(id) {
            let stream = self.streams.get(slot);
            return match (stream.is_open() && !stream.remote_ended, stream.has_head) {
                (false, _) => Target::Nobody(Discard::AfterEnd(slot)),
                (true, true) => Target::Held(slot, ListKind::Trailers),
                (true, false) => Target::Held(slot, ListKind::Response),
            };
        }
        if self.role == Role::Client || id <= self.last_remote {
            return Target::Nobody(Discard::Late);
        }
        self.last_remote = id;
        let limit = self.limits.streams as usize;
        // Streams that are over, but not yet let go of, take room too.
        if self.open >= limit || self.streams.len() >= limit.saturating_mul(2) {
            return Target::Nobody(Discard::Refuse(Some(LimitHit::Streams)));
        }
        if self.leaving == super::connection::Leaving::Final {
            return Target::Nobody(Discard::Refuse(None));
        }
        Target::New
    }

    fn discard(&mut self, end: BlockEnd, why: &Discard, now: u64, events: &mut Vec<Event>) -> Handled {
        match *why {
            Discard::Late => self.late(end.id, now),
            Discard::AfterEnd(slot) => {
                let stream = self.streams.get(slot);
                match stream.over {
                    super::stream::Over::ByUs => self.stray(now),
                    super::stream::Over::No if stream.is_open() => {
                        self.misbehaved(slot, ErrorCode::STREAM_CLOSED, now, events)
                    }
                    _ => {
                        Err(ConnectionError::new(ErrorCode::STREAM_CLOSED, "HEADERS after the stream's end"))
                    }
                }
            }
            Discard::Refuse(limit) => {
                self.refuse(end.id, ErrorCode::REFUSED_STREAM);
                let Some(limit) = limit else { return self.stray(now) };
                events.push(Event::Limit(limit));
                // A client that cannot know the limit yet does no wrong.
                if self.acknowledged { self.count_reset(now) } else { Ok(()) }
            }
        }
    }

    /// Resets a stream that the user never sees.
    fn refuse(&mut self, id: u32, code: ErrorCode) {
        self.put_reset(id, code);
        self.closed.push(id, true);
    }

    fn refuse_request(
        &mut self,
        end: BlockEnd,
        error: ListError,
        now: u64,
        events: &mut Vec<Event>,
    ) -> Handled {
        match error {
            ListError::Malformed(_) => self.refuse(end.id, ErrorCode::PROTOCOL_ERROR),
            ListError::TooLarge { limit, is_call } => {
                events.push(Event::Limit(limit));
                self.put_answer(end.id, if is_call { TOO_LARGE_CALL } else { TOO_LARGE });
                // RFC 9113 §8.1: the whole answer is sent, the rest of the request is not wanted.
                if end.end_stream {
                    self.closed.push(end.id, false);
                } else {
                    self.refuse(end.id, ErrorCode::NO_ERROR);
                }
            }
        }
        self.count_reset(now)
    }

    fn on_request(&mut self, end: BlockEnd, fields: Fields, now: u64, events: &mut Vec<Event>) -> Handled {
        let tunnel = fields.method() == b"CONNECT";
        let remaining = if tunnel { None } else { fields.content_length() };
        if end.end_stream && remaining.is_some_and(|length| length > 0) {
            self.recycle(fields);
            self.refuse(end.id, ErrorCode::PROTOCOL_ERROR);
            return self.count_reset(now);
        }
        let (send, recv) = (i64::from(self.peer.window), self.windows.recv_initial);
        self.streams.insert(end.id, |stream| {
            stream.start(end.id, send, recv);
            stream.has_head = true;
            stream.remaining = remaining;
            stream.remote_ended = end.end_stream;
            stream.heads.push_back(fields);
        });
        self.open += 1;
        events.push(Event::Head { stream: StreamId(end.id), end: end.end_stream });
        Ok(())
    }

    fn on_response(
        &mut self,
        slot: usize,
        end: BlockEnd,
        fields: Fields,
        now: u64,
        events: &mut Vec<Event>,
    ) -> Handled {
        let interim = fields.is_interim();
        let remaining = self.response_length(slot, &fields);
        let too_long = end.end_stream && remaining.is_some_and(|length| length > 0);
        // RFC 9113 §8.1: an interim response does not end the stream.
        if too_long || (interim && end.end_stream) {
            self.recycle(fields);
            return self.misbehaved(slot, ErrorCode::PROTOCOL_ERROR, now, events);
        }
        let stream = self.streams.get_mut(slot);
        if interim && stream.heads.len() >= self.limits.interim_heads as usize {
            self.recycle(fields);
            events.push(Event::Limit(LimitHit::InterimHeads));
            return self.misbehaved(slot, ErrorCode::ENHANCE_YOUR_CALM, now, events);
        }
        stream.heads.push_back(fields);
        if !interim {
            stream.has_head = true;
            stream.remaining = remaining;
            stream.remote_ended = end.end_stream;
        }
        events.push(Event::Head { stream: StreamId(end.id), end: end.end_stream });
        self.settle(slot);
        Ok(())
    }

    /// Bytes of DATA that may follow a response head; `None`: any number (RFC 9110 §6.4.1 and §8.6).
    fn response_length(&self, slot: usize, fields: &Fields) -> Option<u64> {
        match (self.streams.get(slot).asked, fields.status()) {
            (_, 100..200) => None,
            (Asked::Head, _) | (_, 204 | 304) => Some(0),
            (Asked::Connect, 200..300) => None,
            _ => fields.content_length(),
        }
    }

    fn on_trailers(
        &mut self,
        slot: usize,
        end: BlockEnd,
        fields: Fields,
        now: u64,
        events: &mut Vec<Event>,
    ) -> Handled {
        let stream = self.streams.get_mut(slot);
        let short = stream.remaining.is_some_and(|left| left > 0);
        // RFC 9113 §8.1: trailers end the stream.
        if !end.end_stream || short {
            self.recycle(fields);
            return self.misbehaved(slot, ErrorCode::PROTOCOL_ERROR, now, events);
        }
        stream.trailers = Some(fields);
        events.push(Event::Trailers { stream: StreamId(end.id) });
        self.end_remote(slot, now, events)
    }
}

/// The answer to a request whose header list is beyond a limit.
const TOO_LARGE: &[(&str, &str)] = &[(":status", "431")];
/// The same for a gRPC call, whose clients read no HTTP status.
const TOO_LARGE_CALL: &[(&str, &str)] = &[
    (":status", "200"),
    ("content-type", grpc::CONTENT_TYPE),
    (grpc::STATUS, grpc::Status::RESOURCE_EXHAUSTED.as_str()),
    (grpc::MESSAGE, "Request header fields too large"),
];

const COMPRESSION: ConnectionError =
    ConnectionError::new(ErrorCode::COMPRESSION_ERROR, "header block cannot be decoded");
