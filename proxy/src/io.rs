//! Reading into and writing from buffers, as polls: what all drivers move bytes by.

use std::io;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;

use crate::buffer::Buffer;
use crate::stream::Stream;

/// Reads once, at most `max` bytes held in all; 0 at the end of the stream. Takes memory only when
/// there is something to read. The buffer must not be full.
pub(crate) fn poll_fill(
    stream: &mut Stream,
    buffer: &mut Buffer,
    max: usize,
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    if buffer.needs_memory() {
        ready!(stream.poll_read_ready(context))?;
    }
    let Some(room) = buffer.room(max) else {
        return Poll::Ready(Err(io::ErrorKind::StorageFull.into()));
    };
    let mut room = ReadBuf::new(room);
    let polled = stream.poll_read(context, &mut room);
    let count = room.filled().len();
    buffer.advance(count);
    if buffer.is_empty() {
        buffer.release();
    }
    ready!(polled)?;
    Poll::Ready(Ok(count))
}

/// Writes `bytes` from `*sent` on, and sends what the stream holds.
pub(crate) fn poll_send(
    stream: &mut Stream,
    bytes: &[u8],
    sent: &mut usize,
    context: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while *sent < bytes.len() {
        let count = ready!(stream.poll_write(context, &bytes[*sent..]))?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        *sent += count;
    }
    stream.poll_flush(context)
}
