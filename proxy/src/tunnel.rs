//! Bytes in both directions, until both have ended: connections that are not looked into, and
//! those that switched protocols. Between two sockets in the clear, much at once stays in the kernel.

use std::io;
use std::task::{Context, Poll, ready};

use model::flow::FlowReason;

use crate::buffer::Buffer;
use crate::clock::Moment;
use crate::flow::Flow;
use crate::io::poll_fill;
use crate::live::{Live, Signal};
use crate::permitted::Denial;
use crate::splice::Pipe;
use crate::stream::Stream;
use crate::worker::Worker;

/// One direction: what was read and not yet written, and how far its end has come.
pub(crate) struct Half {
    buffer: Buffer,
    /// In place of the buffer, what was read and stays in the kernel.
    pipe: Option<Pipe>,
    /// The last read brought so much that the next is worth a pipe.
    is_bulk: bool,
    state: HalfState,
}

/// A read that brings as many bytes is followed by one into a pipe, one that brings fewer by one into
/// a buffer: for messages a copy is cheaper, and no pipe is held.
const BULK_BYTES: usize = 16 * 1024;
/// Bytes after which a direction lets others have their turn.
const TURN_BYTES: usize = 1024 * 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
enum HalfState {
    Open,
    /// The reader has seen the end; what is left is to be written.
    Ending,
    /// The end has been passed on.
    Ended,
}

/// How a tunnel ended.
#[derive(Debug)]
pub(crate) enum TunnelEnd {
    /// Both directions ended.
    Closed,
    /// One side broke off; the other is to be reset as well.
    Broken(FlowReason),
    /// Nothing moved for too long.
    Stalled,
    /// A policy change no longer permits it.
    Revoked(Denial),
}

/// A client's connection and an endpoint's, joined.
pub(crate) struct Tunnel<'t> {
    pub(crate) worker: &'t Worker,
    pub(crate) live: &'t Live,
    pub(crate) flow: &'t mut Flow,
    pub(crate) client: &'t mut Stream,
    pub(crate) upstream: &'t mut Stream,
    pub(crate) to_upstream: Half,
    pub(crate) to_client: Half,
}

impl Half {
    /// With what has been read already.
    pub(crate) fn new(buffer: Buffer) -> Self {
        Self { buffer, pipe: None, is_bulk: false, state: HalfState::Open }
    }

    /// The same, of a reader that has closed its sending side.
    pub(crate) fn ending(buffer: Buffer) -> Self {
        Self { state: HalfState::Ending, ..Self::new(buffer) }
    }

    /// Moves what can be moved; the bytes written are added to `moved`.
    fn poll(
        &mut self,
        from: &mut Stream,
        to: &mut Stream,
        worker: &Worker,
        moved: &mut usize,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), (Side, io::Error)>> {
        loop {
            ready!(self.poll_write(to, moved, context)).map_err(|error| (Side::Writer, error))?;
            match self.state {
                HalfState::Open if *moved >= TURN_BYTES => {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                HalfState::Open => {
                    let count = ready!(self.poll_read(from, to, worker, context));
                    if count.map_err(|error| (Side::Reader, error))? == 0 {
                        self.state = HalfState::Ending;
                    }
                }
                HalfState::Ending => {
                    let shut = ready!(to.poll_shutdown(context));
                    shut.map_err(|error| (Side::Writer, error))?;
                    self.state = HalfState::Ended;
                }
                HalfState::Ended => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Writes all that was read.
    fn poll_write(
        &mut self,
        to: &mut Stream,
        moved: &mut usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.buffer.is_empty() {
            let count = ready!(to.poll_write(context, self.buffer.filled()))?;
            self.buffer.consume(count);
            *moved += count;
        }
        if let (Some(pipe), Stream::Tcp(to)) = (&mut self.pipe, &mut *to) {
            let to = to.watched()?;
            while pipe.held() > 0 {
                *moved += ready!(pipe.poll_send(to, context))?;
            }
            self.pipe = None;
        }
        to.poll_flush(context)
    }

    /// Reads once, into a pipe or the buffer; 0 at the end of the stream.
    fn poll_read(
        &mut self,
        from: &mut Stream,
        to: &Stream,
        worker: &Worker,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut count = None;
        if let (true, Stream::Tcp(from), Stream::Tcp(_)) = (self.is_bulk, &mut *from, to) {
            self.pipe = ready!(worker.pipes.poll_fill(from.watched()?, context))?;
            count = self.pipe.as_ref().map(Pipe::held);
        }
        let count = match count {
            Some(count) => count,
            None => {
                let max = worker.config.limits.buffer_bytes;
                ready!(poll_fill(from, &mut self.buffer, max, context))?
            }
        };
        self.is_bulk = count >= BULK_BYTES;
        Poll::Ready(Ok(count))
    }
}

/// Which end of a half broke.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Reader,
    Writer,
}

impl Tunnel<'_> {
    /// To be polled until it ends; `still` judges it again after a policy change.
    pub(crate) fn poll(
        &mut self,
        mut still: impl FnMut() -> Result<(), Denial>,
        context: &mut Context<'_>,
    ) -> Poll<TunnelEnd> {
        while let Some(signal) = self.live.poll(context) {
            match signal {
                Signal::Deadline => return Poll::Ready(TunnelEnd::Stalled),
                Signal::Judge => {
                    if let Err(denial) = still() {
                        return Poll::Ready(TunnelEnd::Revoked(denial));
                    }
                }
            }
        }
        let (mut moved_in, mut moved_out) = (0, 0);
        let up = self.to_upstream.poll(self.client, self.upstream, self.worker, &mut moved_in, context);
        let down = self.to_client.poll(self.upstream, self.client, self.worker, &mut moved_out, context);
        self.flow.count_in(moved_in);
        self.flow.count_out(moved_out);
        if moved_in + moved_out > 0 {
            self.live.arm(self.deadline());
        }
        let blame = |side, reader, writer| if side == Side::Reader { reader } else { writer };
        let (client, endpoint) = (FlowReason::ClientGone, FlowReason::UpstreamFailed);
        match (up, down) {
            (Poll::Ready(Err((side, _))), _) => Poll::Ready(TunnelEnd::Broken(blame(side, client, endpoint))),
            (_, Poll::Ready(Err((side, _)))) => Poll::Ready(TunnelEnd::Broken(blame(side, endpoint, client))),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(TunnelEnd::Closed),
            _ => Poll::Pending,
        }
    }

    /// Until when something has to move.
    pub(crate) fn deadline(&self) -> Moment {
        self.worker.clock.coarse() + self.worker.config.limits.tunnel_timeout
    }
}
