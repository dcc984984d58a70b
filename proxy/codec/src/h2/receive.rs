//! Receiving: one frame after the other, each by its rules (RFC 9113 §5.1 and §6).

use super::connection::{LEAVING_PING, Leaving};
use super::frame::{self, FRAME_BYTES, FrameHead, HEADER_BYTES, MAX_31, PREFACE, flag, kind};
use super::slab::Past;
use super::stream::Over;
use super::{Connection, ConnectionError, ErrorCode, Event, LimitHit, Role, StreamId};

/// What a frame's handling may end in.
pub(super) type Handled = Result<(), ConnectionError>;

impl Connection {
    /// Takes whole frames off the front of `input` and returns how many bytes that was; the rest is to be
    /// offered again with more behind it. An input of 16,393 bytes always holds a whole frame. Events are
    /// appended. `now` is the time in ns.
    ///
    /// # Errors
    /// The connection has failed, now or before: its GOAWAY is in [`Self::out`]; write that and close. The
    /// peer is to blame.
    pub fn receive(
        &mut self,
        input: &[u8],
        now: u64,
        events: &mut Vec<Event>,
    ) -> Result<usize, ConnectionError> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        let mut consumed = self.preface(input).map_err(|error| self.fail(error))?;
        while self.preface_left == 0 {
            let rest = &input[consumed..];
            let Some(head) = FrameHead::read(rest) else { break };
            if head.length > FRAME_BYTES {
                return Err(self.fail(ConnectionError::size("frame larger than SETTINGS_MAX_FRAME_SIZE")));
            }
            let Some(payload) = rest[HEADER_BYTES..].get(..head.length) else { break };
            consumed += HEADER_BYTES + head.length;
            self.frame(&head, payload, now, events).map_err(|error| self.fail(error))?;
        }
        self.wake(now, events);
        Ok(consumed)
    }

    /// A client's first bytes (RFC 9113 §3.4).
    fn preface(&mut self, input: &[u8]) -> Result<usize, ConnectionError> {
        let count = self.preface_left.min(input.len());
        let expected = &PREFACE[PREFACE.len() - self.preface_left..];
        if input[..count] != expected[..count] {
            return Err(ConnectionError::protocol("connection preface"));
        }
        self.preface_left -= count;
        Ok(count)
    }

    fn frame(&mut self, head: &FrameHead, payload: &[u8], now: u64, events: &mut Vec<Event>) -> Handled {
        if self.block.stream != 0 && (head.kind != kind::CONTINUATION || head.stream != self.block.stream) {
            return Err(ConnectionError::protocol("frame within a header block"));
        }
        if !self.greeted && (head.kind != kind::SETTINGS || head.has(flag::ACK)) {
            return Err(ConnectionError::protocol("first frame is not SETTINGS"));
        }
        match head.kind {
            kind::DATA => self.on_data(head, payload, now, events),
            kind::HEADERS => self.on_headers(head, payload, now, events),
            kind::PRIORITY => self.on_priority(head, payload, now, events),
            kind::RST_STREAM => self.on_reset(head, payload, now, events),
            kind::SETTINGS => self.on_settings(head, payload, now, events),
            kind::PUSH_PROMISE => Err(ConnectionError::protocol("PUSH_PROMISE, which nobody allowed")),
            kind::PING => self.on_ping(head, payload, now, events),
            kind::GOAWAY => self.on_go_away(head, payload, events),
            kind::WINDOW_UPDATE => self.on_window_update(head, payload, now, events),
            kind::CONTINUATION => self.on_continuation(head, payload, now, events),
            _ if self.budgets.unknown.spend(now) => Ok(()),
            _ => Err(ConnectionError::limit(LimitHit::UnknownFrames)),
        }?;
        if self.out.control_bytes() > self.limits.control_bytes {
            return Err(ConnectionError::limit(LimitHit::ControlBytes));
        }
        Ok(())
    }

    fn on_data(&mut self, head: &FrameHead, payload: &[u8], now: u64, events: &mut Vec<Event>) -> Handled {
        on_stream(head)?;
        let data = frame::unpadded(head, payload)?;
        let charged = i64::try_from(payload.len()).unwrap_or(i64::MAX);
        if charged > self.windows.recv {
            return Err(ConnectionError::new(ErrorCode::FLOW_CONTROL_ERROR, "connection window passed"));
        }
        self.spend_on_data(head, data.len(), now)?;
        self.windows.recv -= charged;
        let Some(slot) = self.streams.find(head.stream) else {
            self.credit(None, payload.len());
            return self.late(head.stream, now);
        };
        let stream = self.streams.get_mut(slot);
        let error = if stream.over == Over::ByUs {
            self.credit(None, payload.len());
            return self.stray(now);
        } else if !stream.is_open() {
            self.credit(None, payload.len());
            return Err(ConnectionError::new(ErrorCode::STREAM_CLOSED, "DATA after the stream's end"));
        } else if stream.remote_ended {
            Some(ErrorCode::STREAM_CLOSED)
        } else if charged > stream.recv_window {
            Some(ErrorCode::FLOW_CONTROL_ERROR)
        } else if !stream.has_head || stream.remaining.is_some_and(|left| left < data.len() as u64) {
            Some(ErrorCode::PROTOCOL_ERROR)
        } else {
            None
        };
        if let Some(code) = error {
            self.credit(None, payload.len());
            return self.misbehaved(slot, code, now, events);
        }
        stream.recv_window -= charged;
        stream.remaining = stream.remaining.map(|left| left - data.len() as u64);
        let id = stream.stream_id();
        if !data.is_empty() {
            stream.received.push(data);
            events.push(Event::Data { stream: id });
        }
        self.credit(Some(slot), payload.len() - data.len());
        if head.has(flag::END_STREAM) {
            return self.end_remote(slot, now, events);
        }
        Ok(())
    }

    /// DATA that brings little is held to a rate. How much of it an endpoint sends is up to those whose streams
    /// share the connection, who must not end it for each other: its messages may be as small as it likes.
    fn spend_on_data(&mut self, head: &FrameHead, length: usize, now: u64) -> Handled {
        if head.has(flag::END_STREAM) {
            return Ok(());
        }
        if length == 0 && !self.budgets.empty_data.spend(now) {
            return Err(ConnectionError::limit(LimitHit::EmptyData));
        }
        let is_small = self.role == Role::Server && length < self.limits.small_data_bytes as usize;
        if is_small && !self.budgets.small_data.spend(now) {
            return Err(ConnectionError::limit(LimitHit::SmallData));
        }
        Ok(())
    }

    /// The peer's message is whole, unless its length was another (RFC 9113 §8.1.1).
    pub(super) fn end_remote(&mut self, slot: usize, now: u64, events: &mut Vec<Event>) -> Handled {
        let stream = self.streams.get_mut(slot);
        if stream.remaining.is_some_and(|left| left > 0) {
            return self.misbehaved(slot, ErrorCode::PROTOCOL_ERROR, now, events);
        }
        stream.remote_ended = true;
        events.push(Event::End { stream: stream.stream_id() });
        self.settle(slot);
        Ok(())
    }

    fn on_priority(
        &mut self,
        head: &FrameHead,
        payload: &[u8],
        now: u64,
        events: &mut Vec<Event>,
    ) -> Handled {
        on_stream(head)?;
        if !self.budgets.priorities.spend(now) {
            return Err(ConnectionError::limit(LimitHit::Priorities));
        }
        let &[a, b, c, d, _] = payload else {
            return self.wrong(head.stream, ErrorCode::FRAME_SIZE_ERROR, now, events);
        };
        if u32::from_be_bytes([a, b, c, d]) & MAX_31 == head.stream {
            return self.wrong(head.stream, ErrorCode::PROTOCOL_ERROR, now, events);
        }
        Ok(())
    }

    fn on_reset(&mut self, head: &FrameHead, payload: &[u8], now: u64, events: &mut Vec<Event>) -> Handled {
        on_stream(head)?;
        let code = ErrorCode(frame::number(payload)?);
        if self.is_idle(head.stream) {
            return Err(ConnectionError::protocol("RST_STREAM on an idle stream"));
        }
        let slot = self.streams.find(head.stream).filter(|&slot| self.streams.get(slot).is_open());
        let Some(slot) = slot else { return self.stray(now) };
        let stream = self.streams.get_mut(slot);
        stream.over = Over::ByPeer;
        events.push(Event::Reset { stream: stream.stream_id(), code });
        self.settle(slot);
        self.count_reset(now)
    }

    fn on_settings(
        &mut self,
        head: &FrameHead,
        payload: &[u8],
        now: u64,
        events: &mut Vec<Event>,
    ) -> Handled {
        on_connection(head)?;
        if self.greeted && !self.budgets.settings.spend(now) {
            return Err(ConnectionError::limit(LimitHit::Settings));
        }
        if head.has(flag::ACK) {
            if !payload.is_empty() {
                return Err(ConnectionError::size("SETTINGS ACK with a payload"));
            }
            self.on_settings_ack();
            return Ok(());
        }
        let before = self.peer;
        self.peer.apply(payload, self.role)?;
        self.greeted = true;
        self.encoder.set_max_table_bytes(self.peer.header_table);
        self.shift_send_windows(i64::from(self.peer.window) - i64::from(before.window))?;
        self.put_settings_ack();
        events.push(Event::Settings);
        Ok(())
    }

    /// The peer heeds our SETTINGS from here on: streams opened before have another window than those that it
    /// opens now (RFC 9113 §6.9.2).
    fn on_settings_ack(&mut self) {
        if std::mem::replace(&mut self.acknowledged, true) {
            return;
        }
        self.decoder.acknowledged();
        let change = i64::from(self.limits.stream_window) - self.windows.recv_initial;
        self.windows.recv_initial += change;
        for slot in 0..self.streams.slot_count() {
            self.streams.get_mut(slot).recv_window += change;
        }
    }

    fn shift_send_windows(&mut self, change: i64) -> Handled {
        if change == 0 {
            return Ok(());
        }
        for slot in 0..self.streams.slot_count() {
            let stream = self.streams.get_mut(slot);
            if stream.id == 0 {
                continue;
            }
            stream.send_window += change;
            if stream.send_window > i64::from(MAX_31) {
                return Err(ConnectionError::new(
                    ErrorCode::FLOW_CONTROL_ERROR,
                    "SETTINGS make a window overflow",
                ));
            }
            self.enqueue(slot);
        }
        Ok(())
    }

    fn on_ping(&mut self, head: &FrameHead, payload: &[u8], now: u64, events: &mut Vec<Event>) -> Handled {
        on_connection(head)?;
        let bytes: [u8; 8] =
            payload.try_into().map_err(|_| ConnectionError::size("PING is not of 8 bytes"))?;
        if !self.budgets.pings.spend(now) {
            return Err(ConnectionError::limit(LimitHit::Pings));
        }
        if !head.has(flag::ACK) {
            self.out.control(kind::PING, flag::ACK, 0, &bytes);
        } else if self.leaving == Leaving::Announced && bytes == LEAVING_PING {
            self.leave();
        } else {
            events.push(Event::Pong(bytes));
        }
        Ok(())
    }

    fn on_go_away(&mut self, head: &FrameHead, payload: &[u8], events: &mut Vec<Event>) -> Handled {
        on_connection(head)?;
        let Some(&[a, b, c, d, e, f, g, h]) = payload.first_chunk::<8>() else {
            return Err(ConnectionError::size("GOAWAY of less than 8 bytes"));
        };
        let said = u32::from_be_bytes([a, b, c, d]) & MAX_31;
        // RFC 9113 §6.8: it may only become less.
        let last = self.peer_last.map_or(said, |before| before.min(said));
        self.peer_last = Some(last);
        events
            .push(Event::GoAway { last: StreamId(last), code: ErrorCode(u32::from_be_bytes([e, f, g, h])) });
        self.refuse_above(last, events);
        Ok(())
    }

    fn on_window_update(
        &mut self,
        head: &FrameHead,
        payload: &[u8],
        now: u64,
        events: &mut Vec<Event>,
    ) -> Handled {
        let increment = i64::from(frame::number(payload)? & MAX_31);
        if !self.budgets.window_updates.spend(now) {
            return Err(ConnectionError::limit(LimitHit::WindowUpdates));
        }
        if head.stream == 0 {
            if increment == 0 {
                return Err(ConnectionError::protocol("WINDOW_UPDATE of 0"));
            }
            self.windows.send += increment;
            if self.windows.send > i64::from(MAX_31) {
                return Err(ConnectionError::new(
                    ErrorCode::FLOW_CONTROL_ERROR,
                    "WINDOW_UPDATE makes the window overflow",
                ));
            }
            return Ok(());
        }
        if self.is_idle(head.stream) {
            return Err(ConnectionError::protocol("WINDOW_UPDATE on an idle stream"));
        }
        let Some(slot) = self.streams.find(head.stream) else { return Ok(()) };
        let stream = self.streams.get_mut(slot);
        if !stream.is_open() {
            return Ok(());
        }
        if increment == 0 {
            return self.misbehaved(slot, ErrorCode::PROTOCOL_ERROR, now, events);
        }
        stream.send_window += increment;
        if stream.send_window > i64::from(MAX_31) {
            return self.misbehaved(slot, ErrorCode::FLOW_CONTROL_ERROR, now, events);
        }
        self.enqueue(slot);
        Ok(())
    }

    /// A stream error of the peer's on a stream that the user knows.
    pub(super) fn misbehaved(
        &mut self,
        slot: usize,
        code: ErrorCode,
        now: u64,
        events: &mut Vec<Event>,
    ) -> Handled {
        if !self.streams.get(slot).is_open() {
            return self.stray(now);
        }
        self.stream_error(slot, code, events);
        self.count_reset(now)
    }

    /// A stream error on any stream: one that is idle cannot be reset, so the connection ends; one that is
    /// over is reset again, for the peer may not know yet, and waits for this code.
    pub(super) fn wrong(&mut self, id: u32, code: ErrorCode, now: u64, events: &mut Vec<Event>) -> Handled {
        if self.is_idle(id) {
            return Err(ConnectionError::new(code, "wrong frame on an idle stream"));
        }
        match self.streams.find(id).filter(|&slot| self.streams.get(slot).is_open()) {
            Some(slot) => self.misbehaved(slot, code, now, events),
            None => {
                self.put_reset(id, code);
                self.stray(now)
            }
        }
    }

    /// A DATA or HEADERS frame for a stream that nobody holds any more.
    pub(super) fn late(&mut self, id: u32, now: u64) -> Handled {
        if self.is_idle(id) {
            return Err(ConnectionError::protocol("frame on an idle stream"));
        }
        match self.closed.past(id) {
            Past::ResetByUs | Past::Forgotten => self.stray(now),
            Past::EndedByPeer => {
                Err(ConnectionError::new(ErrorCode::STREAM_CLOSED, "frame after the stream's end"))
            }
            Past::Skipped => Err(ConnectionError::protocol("frame on a stream that was skipped")),
        }
    }

    /// A frame for a stream that is closed, in good faith until there are too many.
    pub(super) fn stray(&mut self, now: u64) -> Handled {
        if self.budgets.stray.spend(now) {
            Ok(())
        } else {
            Err(ConnectionError::limit(LimitHit::StrayFrames))
        }
    }

    /// One more stream that came to nothing by the peer's doing. A client's streams are its own: it has
    /// nothing to fear of their number.
    pub(super) fn count_reset(&mut self, now: u64) -> Handled {
        if self.role == Role::Client || self.budgets.resets.spend(now) {
            return Ok(());
        }
        Err(ConnectionError::limit(LimitHit::Resets))
    }
}

fn on_stream(head: &FrameHead) -> Handled {
    if head.stream == 0 { Err(ConnectionError::protocol("frame needs a stream")) } else { Ok(()) }
}

fn on_connection(head: &FrameHead) -> Handled {
    if head.stream == 0 { Ok(()) } else { Err(ConnectionError::protocol("frame on a stream")) }
}
