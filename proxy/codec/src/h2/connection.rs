//! The connection: its state, the streams the user holds, and its end.

use std::collections::VecDeque;

use super::frame::{self, MAX_31, PREFACE, WINDOW_INITIAL, flag, kind};
use super::limits::Budget;
use super::out::Out;
use super::settings::{self, PeerSettings};
use super::slab::{Closed, Slab};
use super::stream::Over;
use super::{ConnectionError, ErrorCode, Event, Fields, Limits, Role, StreamId};
use crate::hpack::{Decoder, Encoder};

/// One HTTP/2 connection, of either role.
///
/// Streams are named by their [`StreamId`]; to name one that is gone does nothing and gives nothing. The user
/// must [`Self::close`] every stream it opened or was told of by [`Event::Head`].
#[derive(Debug)]
pub struct Connection {
    pub(super) role: Role,
    pub(super) limits: Limits,
    pub(super) streams: Slab,
    /// Streams that count against the limit: open, in the words of RFC 9113 §5.1.2.
    pub(super) open: usize,
    pub(super) closed: Closed,
    pub(super) out: Out,
    pub(super) encoder: Encoder,
    pub(super) decoder: Decoder,
    /// Buffers for names in lower case, and for heads.
    pub(super) scratch: Vec<u8>,
    pub(super) spare: Vec<Fields>,
    pub(super) peer: PeerSettings,
    /// Bytes of the client's preface still to come.
    pub(super) preface_left: usize,
    /// The peer's first SETTINGS have come.
    pub(super) greeted: bool,
    /// Our SETTINGS are acknowledged.
    pub(super) acknowledged: bool,
    /// The highest stream that the peer opened.
    pub(super) last_remote: u32,
    /// The stream that [`Self::open`] gives next.
    pub(super) next_local: u32,
    pub(super) block: Block,
    pub(super) windows: Windows,
    /// Slots of streams that wait for the connection's window or the out buffer, in turn.
    pub(super) queue: VecDeque<usize>,
    /// Slots whose stall has begun at a time not known yet.
    pub(super) fresh: Vec<usize>,
    pub(super) budgets: Budgets,
    pub(super) leaving: Leaving,
    /// The peer's GOAWAY: the last stream of ours that it processes.
    pub(super) peer_last: Option<u32>,
    pub(super) failed: Option<ConnectionError>,
}

/// A header block of which CONTINUATION frames are still to come.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// Its stream; 0: none is open.
    pub(super) stream: u32,
    pub(super) end_stream: bool,
    pub(super) depends_on_itself: bool,
    pub(super) frames: u32,
    pub(super) bytes: Vec<u8>,
}

/// The connection's flow control.
#[derive(Debug)]
pub(super) struct Windows {
    /// What we may still send.
    pub(super) send: i64,
    /// What the peer may still send.
    pub(super) recv: i64,
    /// Consumed, but not yet given back to the peer.
    pub(super) uncredited: u32,
    /// The window that the peer gives a new stream, as far as it has acknowledged ours.
    pub(super) recv_initial: i64,
}

/// How often per second the peer may do what costs us and brings nothing.
#[derive(Debug)]
pub(super) struct Budgets {
    pub(super) resets: Budget,
    pub(super) pings: Budget,
    pub(super) settings: Budget,
    pub(super) priorities: Budget,
    pub(super) empty_data: Budget,
    pub(super) small_data: Budget,
    pub(super) window_updates: Budget,
    pub(super) unknown: Budget,
    pub(super) stray: Budget,
}

/// How far our own going away is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    No,
    /// GOAWAY without a limit is sent; the PING behind it is not answered yet.
    Announced,
    /// The last stream is said.
    Final,
}

impl Connection {
    /// A connection that has queued its first bytes: a client its preface, both SETTINGS and the window.
    #[must_use]
    pub fn new(role: Role, limits: &Limits) -> Self {
        let mut limits = *limits;
        limits.stream_window = limits.stream_window.min(MAX_31);
        limits.connection_window = limits.connection_window.clamp(WINDOW_INITIAL, MAX_31);
        let mut out = Out::default();
        if role == Role::Client {
            out.buffer().extend_from_slice(PREFACE);
        }
        settings::put_ours(out.buffer(), role, &limits);
        let grown = limits.connection_window - WINDOW_INITIAL;
        if grown > 0 {
            frame::put(out.buffer(), kind::WINDOW_UPDATE, 0, 0, &grown.to_be_bytes());
        }
        Self {
            role,
            streams: Slab::default(),
            open: 0,
            closed: Closed::default(),
            out,
            encoder: Encoder::new(),
            decoder: Decoder::new(limits.header_table_bytes),
            scratch: Vec::new(),
            spare: Vec::new(),
            peer: PeerSettings::initial(),
            preface_left: if role == Role::Server { PREFACE.len() } else { 0 },
            greeted: false,
            acknowledged: false,
            last_remote: 0,
            next_local: 1,
            block: Block::default(),
            windows: Windows {
                send: i64::from(WINDOW_INITIAL),
                recv: i64::from(limits.connection_window),
                uncredited: 0,
                recv_initial: i64::from(WINDOW_INITIAL),
            },
            queue: VecDeque::new(),
            fresh: Vec::new(),
            budgets: Budgets::new(&limits),
            leaving: Leaving::No,
            peer_last: None,
            failed: None,
            limits,
        }
    }

    /// Bytes to be written to the peer.
    #[must_use]
    pub fn out(&self) -> &[u8] {
        self.out.pending()
    }

    /// The first `count` bytes of [`Self::out`] were written.
    pub fn sent(&mut self, count: usize) {
        self.out.sent(count);
    }

    /// Streams that [`Self::open`] would give now (client).
    #[must_use]
    pub fn streams_free(&self) -> usize {
        let gone = self.is_closing() || self.failed.is_some() || self.next_local > MAX_31;
        if gone || self.role == Role::Server {
            return 0;
        }
        (self.peer.streams.min(self.limits.streams) as usize).saturating_sub(self.streams.len())
    }

    /// Whether the peer takes streams of ours at all, though it may be none more at the moment.
    #[must_use]
    pub fn takes_streams(&self) -> bool {
        self.peer.streams > 0 && self.next_local <= MAX_31
    }

    /// Streams that neither side has reset and not both have ended.
    #[must_use]
    pub fn streams_open(&self) -> usize {
        self.open
    }

    /// Whether the peer takes extended CONNECT (RFC 8441): its SETTINGS said so.
    #[must_use]
    pub fn extended_connect(&self) -> bool {
        self.peer.extended_connect
    }

    /// Takes the next head of this stream that [`Event::Head`] announced.
    pub fn head(&mut self, id: StreamId) -> Option<Fields> {
        let slot = self.streams.find(id.0)?;
        self.streams.get_mut(slot).heads.pop_front()
    }

    /// Whether [`Self::head`] has one to give.
    #[must_use]
    pub fn has_head(&self, id: StreamId) -> bool {
        self.streams.find(id.0).is_some_and(|slot| !self.streams.get(slot).heads.is_empty())
    }

    /// Whether [`Self::trailers`] has some to give.
    #[must_use]
    pub fn has_trailers(&self, id: StreamId) -> bool {
        self.streams.find(id.0).is_some_and(|slot| self.streams.get(slot).trailers.is_some())
    }

    /// Takes the trailers of this stream.
    pub fn trailers(&mut self, id: StreamId) -> Option<Fields> {
        let slot = self.streams.find(id.0)?;
        self.streams.get_mut(slot).trailers.take()
    }

    /// Takes back a header list that is done with, for its buffers.
    pub fn recycle(&mut self, mut fields: Fields) {
        if self.spare.len() < SPARE_MAX {
            fields.clear();
            self.spare.push(fields);
        }
    }

    /// What was received on this stream and not consumed, in one piece.
    #[must_use]
    pub fn data(&self, id: StreamId) -> &[u8] {
        self.streams.find(id.0).map_or(&[], |slot| self.streams.get(slot).received.data())
    }

    /// Memory that what was received on this stream takes.
    #[must_use]
    pub fn data_memory(&self, id: StreamId) -> usize {
        self.streams.find(id.0).map_or(0, |slot| self.streams.get(slot).received.memory())
    }

    /// Bytes that wait for the peer: to read what we send it, and to end a header block that it began.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.out.pending().len() + self.block.bytes.len()
    }

    /// The first `count` bytes of [`Self::data`] are done with: the peer may send as many again. It is told
    /// once half a window has gathered.
    pub fn consume(&mut self, id: StreamId, count: usize) {
        let Some(slot) = self.streams.find(id.0) else { return };
        let consumed = self.streams.get_mut(slot).received.consume(count);
        self.credit(Some(slot), consumed);
    }

    /// Whether the peer has ended its message on this stream and all of it was consumed.
    #[must_use]
    pub fn ended(&self, id: StreamId) -> bool {
        self.streams.find(id.0).is_some_and(|slot| {
            let stream = self.streams.get(slot);
            stream.remote_ended && stream.received.data().is_empty()
        })
    }

    /// Resets the stream, unless it is over. Unread data is gone; the user still has to [`Self::close`] it.
    pub fn reset(&mut self, id: StreamId, code: ErrorCode) {
        if let Some(slot) = self.streams.find(id.0) {
            self.reset_slot(slot, code);
        }
    }

    /// Lets go of the stream. If it is not over it is reset: NO_ERROR where a server has answered in full
    /// before the request had ended (RFC 9113 §8.1), else CANCEL. Its identifier means nothing from here on.
    pub fn close(&mut self, id: StreamId) {
        let Some(slot) = self.streams.find(id.0) else { return };
        let answered = self.role == Role::Server && self.streams.get(slot).local_ended;
        self.reset_slot(slot, if answered { ErrorCode::NO_ERROR } else { ErrorCode::CANCEL });
        let stream = self.streams.get_mut(slot);
        let unread = stream.received.data().len();
        stream.received.clear();
        let by_us = stream.over == Over::ByUs;
        let queued = std::mem::take(&mut stream.waiting.queued);
        while let Some(fields) = self.streams.get_mut(slot).heads.pop_front() {
            self.recycle(fields);
        }
        if let Some(fields) = self.streams.get_mut(slot).trailers.take() {
            self.recycle(fields);
        }
        if queued {
            self.queue.retain(|&other| other != slot);
        }
        self.fresh.retain(|&other| other != slot);
        self.credit(None, unread);
        self.closed.push(id.0, by_us);
        self.streams.remove(slot);
    }

    /// Goes away in peace (RFC 9113 §6.8): says so at once, and which stream was the last once the peer has
    /// answered a PING, so that no request in flight is lost. A second call does not wait for that answer.
    pub fn go_away(&mut self) {
        match self.leaving {
            Leaving::No if self.role == Role::Server => {
                self.put_go_away(MAX_31, ErrorCode::NO_ERROR);
                self.ping(LEAVING_PING);
                self.leaving = Leaving::Announced;
            }
            Leaving::No | Leaving::Announced => self.leave(),
            Leaving::Final => {}
        }
    }

    /// Whether either side goes away: no stream can be opened.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.leaving != Leaving::No || self.peer_last.is_some() || self.failed.is_some()
    }

    /// Whether the peer goes away after having taken streams of ours.
    #[must_use]
    pub fn has_taken_leave(&self) -> bool {
        self.peer_last.is_some_and(|last| last > 0)
    }

    /// Whether the connection can be closed once [`Self::out`] is written: it failed, or it is going away and
    /// no stream is left.
    #[must_use]
    pub fn is_done(&self) -> bool {
        let told = self.leaving == Leaving::Final || self.peer_last.is_some();
        self.failed.is_some() || (told && self.streams.len() == 0)
    }

    /// Bytes received and not consumed, of all streams together.
    #[must_use]
    pub fn buffered(&self) -> usize {
        let window = i64::from(self.limits.connection_window);
        usize::try_from(window - self.windows.recv - i64::from(self.windows.uncredited)).unwrap_or_default()
    }

    /// Sends a PING; [`Event::Pong`] follows.
    pub fn ping(&mut self, payload: [u8; 8]) {
        self.out.control(kind::PING, 0, 0, &payload);
    }

    /// Says which stream is the last.
    pub(super) fn leave(&mut self) {
        self.put_go_away(self.last_remote, ErrorCode::NO_ERROR);
        self.leaving = Leaving::Final;
    }

    pub(super) fn put_go_away(&mut self, last: u32, code: ErrorCode) {
        let mut payload = [0; 8];
        payload[..4].copy_from_slice(&last.to_be_bytes());
        payload[4..].copy_from_slice(&code.0.to_be_bytes());
        self.out.control(kind::GOAWAY, 0, 0, &payload);
    }

    /// Ends an open stream by RST_STREAM.
    pub(super) fn reset_slot(&mut self, slot: usize, code: ErrorCode) {
        let stream = self.streams.get_mut(slot);
        if !stream.is_open() {
            return;
        }
        stream.over = Over::ByUs;
        let id = stream.id;
        self.put_reset(id, code);
        if self.role == Role::Client {
            // What the endpoint sent before it heard of this: in the worst case the window in small frames.
            self.budgets.stray.grant(self.limits.stream_window / BYTES_OF_STRAY);
        }
        self.settle(slot);
    }

    pub(super) fn put_reset(&mut self, id: u32, code: ErrorCode) {
        self.out.control(kind::RST_STREAM, 0, id, &code.0.to_be_bytes());
    }

    /// After a change of a stream's state: one that is no longer open counts no more, waits for nothing, and
    /// keeps what was received only if that is a whole message, or of an answer as far as its server came.
    pub(super) fn settle(&mut self, slot: usize) {
        let stream = self.streams.get_mut(slot);
        if stream.is_open() || !std::mem::take(&mut stream.counted) {
            return;
        }
        stream.waiting.over();
        self.open -= 1;
        if stream.over == Over::No {
            self.budgets.resets.earn(1);
        }
        let is_answer = self.role == Role::Client && stream.over == Over::ByPeer;
        if !stream.remote_ended && !is_answer {
            let unread = stream.received.consume(usize::MAX);
            self.credit(None, unread);
        }
    }

    /// Gives consumed bytes back: to the connection, and to the stream while the peer may use them.
    pub(super) fn credit(&mut self, slot: Option<usize>, bytes: usize) {
        // Windows bound what can be received.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.windows.uncredited = self.windows.uncredited.saturating_add(bytes);
        if self.windows.uncredited >= self.limits.connection_window / 2 {
            let increment = std::mem::take(&mut self.windows.uncredited);
            self.windows.recv += i64::from(increment);
            self.out.control(kind::WINDOW_UPDATE, 0, 0, &increment.to_be_bytes());
        }
        let Some(slot) = slot else { return };
        let stream = self.streams.get_mut(slot);
        if stream.remote_ended || stream.over != Over::No {
            return;
        }
        stream.uncredited = stream.uncredited.saturating_add(bytes);
        if stream.uncredited > 0 && stream.uncredited >= self.limits.stream_window / 2 {
            let increment = std::mem::take(&mut stream.uncredited);
            stream.recv_window += i64::from(increment);
            let id = stream.id;
            self.out.control(kind::WINDOW_UPDATE, 0, id, &increment.to_be_bytes());
        }
    }

    /// Fails the connection.
    pub(super) fn fail(&mut self, error: ConnectionError) -> ConnectionError {
        self.put_go_away(self.last_remote, error.code);
        self.failed = Some(error);
        error
    }

    /// Resets a stream for the peer's error and tells the user, if the user knows of it.
    pub(super) fn stream_error(&mut self, slot: usize, code: ErrorCode, events: &mut Vec<Event>) {
        let stream = self.streams.get(slot).stream_id();
        self.reset_slot(slot, code);
        events.push(Event::Reset { stream, code });
    }

    pub(super) fn put_settings_ack(&mut self) {
        self.out.control(kind::SETTINGS, flag::ACK, 0, &[]);
    }
}

impl Budgets {
    fn new(limits: &Limits) -> Self {
        Self {
            resets: Budget::new(limits.resets),
            pings: Budget::new(limits.pings),
            settings: Budget::new(limits.settings),
            priorities: Budget::new(limits.priorities),
            empty_data: Budget::new(limits.empty_data),
            small_data: Budget::new(limits.small_data),
            window_updates: Budget::new(limits.window_updates),
            unknown: Budget::new(limits.unknown_frames),
            stray: Budget::new(limits.stray_frames),
        }
    }
}

/// Bytes of data that a frame has at least which an endpoint in good faith sends on a stream that we have reset.
const BYTES_OF_STRAY: u32 = 10;
/// The PING behind the first GOAWAY.
pub(super) const LEAVING_PING: [u8; 8] = *b"drained?";
/// Header lists kept for their buffers.
const SPARE_MAX: usize = 16;
