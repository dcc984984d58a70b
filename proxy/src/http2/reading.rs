//! What the peer sends on a stream, as text.

use std::io::{self, ErrorKind, Write};

use codec::h2::text::{self, AskedOf};
use codec::h2::{Fields, StreamId};
use tokio::io::ReadBuf;

use super::connection::Connection;
use super::stream::{Asked, Side, Stream};
use crate::grpc;

/// What of the peer's message comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// A head: of an interim response, or of the response.
    Head,
    /// The body as it is: the head has said its length. Trailers cannot be said after it.
    Length,
    /// The body in chunks, then trailers.
    Chunked,
    /// Bytes of a tunnel.
    Tunnel,
    /// Nothing: the message is whole.
    Done,
    /// Nothing: the peer has ended its direction of the tunnel.
    Ended,
}

impl Reading {
    /// What follows this head, in the words that `codec::h2::text` uses for it.
    pub(super) fn after(head: &Fields, ends: bool, tunnels: bool) -> Self {
        if tunnels {
            Self::Tunnel
        } else if ends {
            Self::Done
        } else if head.content_length().is_some() {
            Self::Length
        } else {
            Self::Chunked
        }
    }
}

impl Stream {
    /// Whether a read has something to say.
    ///
    /// # Errors
    /// The stream was reset, or its connection is gone, before the message was whole.
    pub(super) fn may_read(&self) -> io::Result<bool> {
        let Some((id, _)) = self.named() else { return self.broken().map(|()| false) };
        if self.reading == Reading::Done {
            // A client that has sent its request is still there, and an answer that is whole is
            // whole, whatever becomes of the stream.
            if let Side::Endpoint(..) = self.side {
                return Ok(true);
            }
            return self.broken().map(|()| false);
        }
        if self.reading == Reading::Ended {
            return Ok(true);
        }
        let engine = self.connection.engine();
        let has_head = self.reading == Reading::Head && engine.has_head(id);
        let is_there = has_head || (self.reading != Reading::Head && !engine.data(id).is_empty());
        if is_there || engine.ended(id) {
            return Ok(true);
        }
        drop(engine);
        self.broken().map(|()| false)
    }

    /// Reads on, to the room or to the text; false at the end of the stream.
    ///
    /// # Errors
    /// What the peer sent cannot be said.
    pub(super) fn read(&mut self, room: &mut ReadBuf<'_>) -> io::Result<bool> {
        let Some((id, _)) = self.named() else { return Ok(true) };
        match self.reading {
            Reading::Head => self.read_head(id)?,
            Reading::Done | Reading::Ended => return Ok(false),
            Reading::Length | Reading::Chunked | Reading::Tunnel => {
                let ended = {
                    let engine = self.connection.engine();
                    engine.data(id).is_empty() && engine.ended(id)
                };
                if !ended {
                    self.read_data(id, room);
                } else if self.reading == Reading::Chunked {
                    self.read_trailers(id);
                } else {
                    let is_tunnel = self.reading == Reading::Tunnel;
                    self.reading = if is_tunnel { Reading::Ended } else { Reading::Done };
                }
            }
        }
        Ok(true)
    }

    fn read_head(&mut self, id: StreamId) -> io::Result<()> {
        let Some(fields) = self.connection.engine_mut().head(id) else {
            return Err(ErrorKind::UnexpectedEof.into());
        };
        let interim = fields.is_interim();
        let ends = !interim && ends(&self.connection, id);
        let asked = AskedOf {
            head: self.asked.head,
            connect: self.asked.connect,
            websocket_key: self.asked.websocket.as_deref(),
            call: self.asked.call,
        };
        let said = text::response_text(&fields, ends, &asked, &mut self.text);
        if !interim {
            let tunnels = tunnels(&self.asked, fields.status());
            self.reading = match Reading::after(&fields, ends, tunnels) {
                Reading::Length if self.asked.call => Reading::Chunked,
                reading => reading,
            };
        }
        self.recycle(fields);
        said.map_err(|_| ErrorKind::InvalidData.into())
    }

    fn read_data(&mut self, id: StreamId, room: &mut ReadBuf<'_>) {
        let connection = self.connection.clone();
        let count = {
            let engine = connection.engine();
            let data = engine.data(id);
            if self.reading == Reading::Chunked {
                let space = room.remaining();
                if space >= ROOM_LEAST {
                    let count = data.len().min(space - CHUNK_OVERHEAD);
                    chunk(&data[..count], |bytes| room.put_slice(bytes));
                    count
                } else {
                    let count = data.len().min(ROOM_LEAST);
                    chunk(&data[..count], |bytes| self.text.extend_from_slice(bytes));
                    count
                }
            } else {
                let count = data.len().min(room.remaining());
                room.put_slice(&data[..count]);
                count
            }
        };
        let left = {
            let mut engine = connection.engine_mut();
            engine.consume(id, count);
            engine.data_memory(id)
        };
        if let Some((_, signals)) = self.named() {
            // Less than before can be held.
            signals.holds(left);
        }
    }

    fn read_trailers(&mut self, id: StreamId) {
        let trailers = self.connection.engine_mut().trailers(id);
        self.text.extend_from_slice(b"0\r\n");
        if let Some(trailers) = trailers {
            self.call_ended = grpc::ended_by(trailers.lines());
            self.text.extend_from_slice(trailers.lines());
            self.recycle(trailers);
        }
        self.text.extend_from_slice(b"\r\n");
        self.reading = Reading::Done;
    }
}

/// Whether the message has nothing after its head, not even trailers.
pub(super) fn ends(connection: &Connection, id: StreamId) -> bool {
    let engine = connection.engine();
    engine.ended(id) && !engine.has_trailers(id)
}

fn tunnels(asked: &Asked, status: u16) -> bool {
    (asked.connect || asked.websocket.is_some()) && (200..300).contains(&status)
}

/// Writes one chunk.
fn chunk(data: &[u8], mut put: impl FnMut(&[u8])) {
    let mut size = [0; CHUNK_OVERHEAD];
    let mut rest = &mut size[..];
    // A length of memory has no more digits than there is room for.
    drop(write!(rest, "{:x}\r\n", data.len()));
    let left = rest.len();
    put(&size[..CHUNK_OVERHEAD - left]);
    put(data);
    put(b"\r\n");
}

/// Bytes of a chunk besides its data, at most: 16 digits and two line ends.
const CHUNK_OVERHEAD: usize = 20;
/// With less room than this a chunk goes through the text.
const ROOM_LEAST: usize = 256;

#[cfg(test)]
mod tests;
