//! Rules of RFC 9113, floods, flow control, and two engines back to back.

mod floods;
mod flow;
mod life;
mod rules;
mod simulation;

use super::frame::{self, FrameHead, HEADER_BYTES, PREFACE, flag, kind};
use super::{Connection, ConnectionError, Encoding, ErrorCode, Event, LimitHit, Limits, Role, StreamId};
use crate::hpack::Encoder;

pub(super) type List = &'static [(&'static str, &'static str)];

pub(super) const GET: List =
    &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a.test")];
pub(super) const POST: List =
    &[(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "a.test")];
pub(super) const OK: List = &[(":status", "200")];

/// One frame.
pub(super) fn raw(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::put(&mut out, kind, flags, stream, payload);
    out
}

/// A header block that leaves no trace in the compression state.
pub(super) fn block(list: &[(&str, &str)]) -> Vec<u8> {
    let (mut encoder, mut out) = (Encoder::new(), Vec::new());
    encoder.set_max_table_bytes(0);
    encoder.begin(&mut out);
    for (name, value) in list {
        encoder.field(name.as_bytes(), value.as_bytes(), &mut out);
    }
    out
}

pub(super) fn headers(stream: u32, list: &[(&str, &str)], end: bool) -> Vec<u8> {
    let ending = if end { flag::END_STREAM } else { 0 };
    raw(kind::HEADERS, flag::END_HEADERS | ending, stream, &block(list))
}

pub(super) fn data(stream: u32, bytes: &[u8], end: bool) -> Vec<u8> {
    raw(kind::DATA, if end { flag::END_STREAM } else { 0 }, stream, bytes)
}

pub(super) fn rst(stream: u32, code: ErrorCode) -> Vec<u8> {
    raw(kind::RST_STREAM, 0, stream, &code.0.to_be_bytes())
}

pub(super) fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    raw(kind::WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

pub(super) fn settings(entries: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> = entries
        .iter()
        .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()[..]].concat())
        .collect();
    raw(kind::SETTINGS, 0, 0, &payload)
}

pub(super) fn settings_ack() -> Vec<u8> {
    raw(kind::SETTINGS, flag::ACK, 0, &[])
}

/// An engine whose peer is the test.
pub(super) struct Engine {
    pub(super) connection: Connection,
    pub(super) events: Vec<Event>,
    pub(super) now: u64,
}

impl Engine {
    /// After both sides' SETTINGS and their acknowledgements; nothing is pending.
    pub(super) fn greeted(role: Role, limits: &Limits) -> Self {
        let mut engine = Self { connection: Connection::new(role, limits), events: Vec::new(), now: 0 };
        if role == Role::Server {
            engine.give(PREFACE).expect("the preface is right");
        }
        engine.give(&settings(&[])).expect("the settings are right");
        engine.give(&settings_ack()).expect("the acknowledgement is right");
        engine.take();
        engine.events.clear();
        engine
    }

    pub(super) fn server() -> Self {
        Self::greeted(Role::Server, &Limits::default())
    }

    pub(super) fn client() -> Self {
        Self::greeted(Role::Client, &Limits::default())
    }

    /// Gives whole frames.
    pub(super) fn give(&mut self, bytes: &[u8]) -> Result<(), ConnectionError> {
        let consumed = self.connection.receive(bytes, self.now, &mut self.events)?;
        assert_eq!(consumed, bytes.len(), "whole frames are consumed");
        Ok(())
    }

    /// Takes all that is to be sent.
    pub(super) fn take(&mut self) -> Vec<(FrameHead, Vec<u8>)> {
        let out = self.connection.out().to_vec();
        self.connection.sent(out.len());
        split(&out)
    }

    /// Frames to be sent of this type, without taking them.
    pub(super) fn sent(&self, wanted: u8) -> Vec<(FrameHead, Vec<u8>)> {
        split(self.connection.out()).into_iter().filter(|(head, _)| head.kind == wanted).collect()
    }

    pub(super) fn get(&mut self, id: u32) -> StreamId {
        self.give(&headers(id, GET, true)).expect("a good request");
        StreamId(id)
    }

    pub(super) fn wake(&mut self) {
        self.connection.wake(self.now, &mut self.events);
    }
}

/// The frames in these bytes.
pub(super) fn split(mut bytes: &[u8]) -> Vec<(FrameHead, Vec<u8>)> {
    if let Some(rest) = bytes.strip_prefix(PREFACE) {
        bytes = rest;
    }
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let head = FrameHead::read(bytes).expect("a whole frame header");
        let end = HEADER_BYTES + head.length;
        frames.push((head, bytes[HEADER_BYTES..end].to_vec()));
        bytes = &bytes[end..];
    }
    frames
}

/// A closure that writes this list.
pub(super) fn write(list: &[(&str, &str)]) -> impl FnOnce(&mut Encoding<'_>) {
    move |to| list.iter().for_each(|(name, value)| to.field(name.as_bytes(), value.as_bytes()))
}

pub(super) fn code_of(payload: &[u8]) -> ErrorCode {
    let at = payload.len() - 4;
    ErrorCode(u32::from_be_bytes(payload[at..].try_into().expect("four bytes")))
}
