//! Sending: header blocks, DATA within the windows, and who may send next.

use super::encoding::Asked;
use super::frame::{self, FRAME_BYTES, MAX_31, flag, kind};
use super::stream::{Over, Stall};
use super::{Connection, Encoding, Event, Role, StreamId};

impl Connection {
    /// Opens a stream (client) with a request head that `fields` writes; `end`: the request has no more than
    /// this. `None`: no stream is free ([`Self::streams_free`]), and `fields` was not called.
    pub fn open(&mut self, fields: impl FnOnce(&mut Encoding<'_>), end: bool) -> Option<StreamId> {
        if self.streams_free() == 0 {
            return None;
        }
        let id = self.next_local;
        self.next_local += 2;
        let (send, recv) = (i64::from(self.peer.window), self.windows.recv_initial);
        let slot = self.streams.insert(id, |stream| stream.start(id, send, recv));
        self.open += 1;
        // An endpoint may reset a stream that it has answered, and answer with a flush of nothing.
        self.budgets.stray.grant(1);
        self.budgets.empty_data.grant(EMPTY_DATA_GRANTED);
        let asked = self.put_block(id, fields, end);
        let stream = self.streams.get_mut(slot);
        stream.asked = asked;
        stream.local_ended = end;
        Some(StreamId(id))
    }

    /// Sends a response head, an interim one, or trailers (then `end` must be true). On a stream that is over
    /// or that we have ended, nothing.
    pub fn send_fields(&mut self, id: StreamId, fields: impl FnOnce(&mut Encoding<'_>), end: bool) {
        let Some(slot) = self.streams.find(id.0) else { return };
        if !self.streams.get(slot).may_send() {
            return;
        }
        self.put_block(id.0, fields, end);
        if end {
            self.end_local(slot);
        }
    }

    /// Sends as much of `data` as the windows and the out buffer take, and returns how many bytes that is.
    /// END_STREAM goes with the last byte if `end` (and alone if `data` is empty). If not all was taken,
    /// [`Event::Writable`] follows: then offer the rest again. On a stream that is over, 0.
    pub fn send_data(&mut self, id: StreamId, data: &[u8], end: bool) -> usize {
        let Some(slot) = self.streams.find(id.0) else { return 0 };
        if !self.streams.get(slot).may_send() || (data.is_empty() && !end) {
            return 0;
        }
        let accepted = data.len().min(self.sendable(slot));
        let whole = accepted == data.len();
        self.put_data(id.0, &data[..accepted], end && whole);
        let taken = i64::try_from(accepted).unwrap_or(i64::MAX);
        self.windows.send -= taken;
        let stream = self.streams.get_mut(slot);
        stream.send_window -= taken;
        if accepted > 0 && self.role == Role::Client {
            // An endpoint may give back the window of every frame, the stream's and the connection's.
            self.budgets.window_updates.grant(2);
        }
        if accepted > 0 && (whole || accepted >= USEFUL_BYTES) {
            self.budgets.window_updates.earn(WINDOW_UPDATES_EARNED);
            self.budgets.pings.earn(1);
        }
        if whole {
            stream.waiting.over();
            if end {
                self.end_local(slot);
            }
            return accepted;
        }
        // To wait for one's turn is to wait on: only a full out buffer is not the peer's windows' doing.
        let closed = stream.send_window <= 0 || self.windows.send <= 0;
        let stalled =
            closed || (stream.waiting.stall != Stall::No && self.out.room(self.limits.out_bytes) > 0);
        let useful = self.limits.useful_bytes as usize;
        if stream.waiting.hold(accepted, data.len() - accepted, stalled, useful) {
            self.fresh.push(slot);
        }
        self.enqueue(slot);
        accepted
    }

    /// Appends [`Event::Writable`] for the streams whose turn it is, and takes the time of stalls that began.
    /// [`Self::receive`] does this too; call it after [`Self::sent`] and [`Self::send_data`], before waiting
    /// for input or output. Cheap where nothing waits.
    pub fn wake(&mut self, now: u64, events: &mut Vec<Event>) {
        while let Some(slot) = self.fresh.pop() {
            let stall = &mut self.streams.get_mut(slot).waiting.stall;
            if *stall == Stall::Fresh {
                *stall = Stall::Since(now);
            }
        }
        if self.queue.is_empty() {
            return;
        }
        let window = usize::try_from(self.windows.send).unwrap_or(0);
        let mut room = window.min(self.out.room(self.limits.out_bytes));
        while room > 0 {
            let Some(slot) = self.queue.pop_front() else { break };
            let stream = self.streams.get_mut(slot);
            stream.waiting.queued = false;
            if stream.waiting.bytes == 0 || stream.send_window <= 0 {
                continue;
            }
            stream.waiting.woken = true;
            if stream.waiting.turn == 0 {
                stream.waiting.turn = TURN_BYTES;
            }
            let of_stream = usize::try_from(stream.send_window).unwrap_or(0);
            room = room.saturating_sub(stream.waiting.bytes.min(of_stream).min(stream.waiting.turn));
            events.push(Event::Writable { stream: stream.stream_id() });
        }
    }

    /// Since when (ns) data of this stream waits for the peer to open a window. Updates of less than a useful
    /// size ([`super::Limits::useful_bytes`], or what waits) do not count as progress.
    #[must_use]
    pub fn stalled_since(&self, id: StreamId) -> Option<u64> {
        let slot = self.streams.find(id.0)?;
        match self.streams.get(slot).waiting.stall {
            Stall::Since(since) => Some(since),
            Stall::No | Stall::Fresh => None,
        }
    }

    /// Puts a stream that waits in the queue, unless it waits for its own window alone: at the end, or in
    /// front where its turn is not over, so that turns are of bytes, however the window comes.
    pub(super) fn enqueue(&mut self, slot: usize) {
        let stream = self.streams.get_mut(slot);
        if stream.waiting.bytes == 0 || stream.send_window <= 0 || stream.waiting.queued {
            return;
        }
        stream.waiting.queued = true;
        if stream.waiting.turn > 0 {
            self.queue.push_front(slot);
        } else {
            self.queue.push_back(slot);
        }
    }

    /// Bytes that this stream may send now: none before those that wait, and not more than its turn.
    fn sendable(&self, slot: usize) -> usize {
        let stream = self.streams.get(slot);
        let contended = !self.queue.is_empty();
        if contended && !stream.waiting.woken {
            return 0;
        }
        let turn = if contended { stream.waiting.turn } else { usize::MAX };
        let window = usize::try_from(self.windows.send.min(stream.send_window)).unwrap_or(0);
        window.min(self.out.room(self.limits.out_bytes)).min(turn)
    }

    fn put_data(&mut self, id: u32, data: &[u8], end: bool) {
        if data.is_empty() {
            if end {
                frame::put(self.out.buffer(), kind::DATA, flag::END_STREAM, id, &[]);
            }
            return;
        }
        let out = self.out.buffer();
        let mut chunks = data.chunks(FRAME_BYTES).peekable();
        while let Some(chunk) = chunks.next() {
            let last = end && chunks.peek().is_none();
            frame::put(out, kind::DATA, if last { flag::END_STREAM } else { 0 }, id, chunk);
        }
    }

    /// Encodes a header block into the out buffer, as HEADERS and as many CONTINUATION as it needs.
    fn put_block(&mut self, id: u32, fields: impl FnOnce(&mut Encoding<'_>), end: bool) -> Asked {
        let out = self.out.buffer();
        let start = out.len();
        let ending = if end { flag::END_STREAM } else { 0 };
        frame::put_head(out, 0, kind::HEADERS, ending | flag::END_HEADERS, id);
        let body = out.len();
        let mut encoding = Encoding::begin(&mut self.encoder, out, &mut self.scratch);
        fields(&mut encoding);
        let asked = encoding.asked();
        let length = out.len() - body;
        if length <= FRAME_BYTES {
            let head = frame::head_bytes(length, kind::HEADERS, ending | flag::END_HEADERS, id);
            out[start..body].copy_from_slice(&head);
            return asked;
        }
        let block = out.split_off(body);
        out.truncate(start);
        let mut chunks = block.chunks(FRAME_BYTES).peekable();
        let mut first = Some(ending);
        while let Some(chunk) = chunks.next() {
            let last = if chunks.peek().is_none() { flag::END_HEADERS } else { 0 };
            let (frame_kind, flags) = first.take().map_or((kind::CONTINUATION, 0), |f| (kind::HEADERS, f));
            frame::put(out, frame_kind, flags | last, id, chunk);
        }
        asked
    }

    /// Answers with these fields alone a request that no user sees.
    pub(super) fn put_answer(&mut self, id: u32, answer: &[(&str, &str)]) {
        let fields = |to: &mut Encoding<'_>| {
            answer.iter().for_each(|(name, value)| to.field(name.as_bytes(), value.as_bytes()));
        };
        self.put_block(id, fields, true);
    }

    fn end_local(&mut self, slot: usize) {
        let stream = self.streams.get_mut(slot);
        stream.local_ended = true;
        // Trailers may come before data that was offered and not accepted.
        stream.waiting.over();
        self.settle(slot);
    }

    /// Our stream above the peer's last one: refused, and safe to send again elsewhere.
    pub(super) fn refuse_above(&mut self, last: u32, events: &mut Vec<Event>) {
        if self.role == Role::Server {
            return;
        }
        for slot in 0..self.streams.slot_count() {
            let stream = self.streams.get_mut(slot);
            if stream.id > last && stream.is_open() {
                stream.over = Over::ByPeer;
                let stream = stream.stream_id();
                self.settle(slot);
                events.push(Event::Reset { stream, code: super::ErrorCode::REFUSED_STREAM });
            }
        }
    }

    /// Identifiers that were never used: frames for them are errors (RFC 9113 §5.1, idle).
    pub(super) fn is_idle(&self, id: u32) -> bool {
        debug_assert!(self.next_local <= MAX_31 + 2, "identifiers have 31 bits");
        let of_client = id % 2 == 1;
        match (self.role, of_client) {
            (Role::Client, true) => id >= self.next_local,
            (Role::Server, true) => id > self.last_remote,
            // Nobody pushes: a server's streams are never opened.
            (_, false) => true,
        }
    }
}

/// DATA of this size, or all that was to be sent, is useful: the peer's WINDOW_UPDATE and PING for it are no
/// flood. Small enough for honest peers with small windows, and still more bytes out than in.
const USEFUL_BYTES: usize = 64;
/// Empty DATA frames that an answer may have.
const EMPTY_DATA_GRANTED: u32 = 4;
/// One for the stream, one for the connection, and as many for peers that give back what they have read in
/// pieces.
const WINDOW_UPDATES_EARNED: u32 = 4;
/// Bytes that a stream sends before the next that waits.
const TURN_BYTES: usize = FRAME_BYTES;
