//! One request and its answer, both under way at once: bodies are moved as they come, within
//! bounded buffers, and neither side is read faster than the other takes.
//!
//! ```text
//! client ── input ──► upload ──► endpoint          (head first, with what is there of the body)
//! client ◄── out ──── download ◄── input ── endpoint
//! ```

use std::task::{Context, Poll, ready};
use std::time::Duration;

use model::flow::FlowReason;

use super::download::Download;
use super::pace::Pace;
use super::upload::Upload;
use super::{Ask, Deadline};
use crate::buffer::Buffer;
use crate::client::Client;
use crate::flow::Flow;
use crate::grpc::Trailers;
use crate::io::poll_fill;
use crate::live::{Signal, TICK};
use crate::message::Parts;
use crate::permitted::{Denial, Permitted};
use crate::resilience::{Target, Tries};
use crate::upstream::Upstream;

/// See the module.
pub(crate) struct Exchange<'e> {
    pub(super) client: &'e mut Client,
    pub(super) upstream: &'e mut Upstream,
    pub(super) permitted: &'e Permitted,
    pub(super) target: &'e Target,
    /// The client's head as it came, to be judged again.
    pub(super) head: &'e [u8],
    pub(super) ask: Ask,
    pub(super) flow: &'e mut Flow,
    pub(super) cors: &'e [route::Header<'static>],
    pub(super) tries: &'e mut Tries,
    pub(super) deadline: Deadline,
    pub(super) up: Upload<'e>,
    pub(super) down: Download,
    /// It takes so long that the client is watched too.
    pub(super) watches: bool,
    pub(super) pace: Pace,
}

/// How an exchange ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The answer has been sent.
    Done {
        /// The client's connection goes on.
        keeps_client: bool,
        /// The client said that it sends no more, and all that it sent was read.
        is_last: bool,
        /// The endpoint's connection can be used again.
        keeps_upstream: bool,
    },
    /// The endpoint switched protocols: from here on the connection carries bytes.
    Switched,
    /// Nothing was sent, or what may be repeated unasked: the connection had been closed while it
    /// was idle.
    Unsent,
    /// The answer is one that the route tries again on; nothing of it was passed on.
    Again {
        /// The endpoint's connection can be used again.
        keeps_upstream: bool,
    },
    /// It failed. `status` is what to answer; 0 if the answer had begun.
    Failed { status: u16, reason: FlowReason },
    /// The client is gone, or did not wait.
    ClientGone,
    /// A policy change no longer permits it.
    Revoked(Denial),
}

/// Body bytes that are copied to go out together with a head; more are sent on their own.
pub(super) const TOGETHER_MAX: usize = 16 * 1024;

/// Most exchanges are over before this: they are spared asking twice whether the client is there.
const WATCH_AFTER: Duration = TICK;

/// A permitted request: the permission, the head to send, and the client's own.
pub(crate) struct Sending<'e> {
    pub(crate) permitted: &'e Permitted,
    pub(crate) target: &'e Target,
    pub(crate) bytes: Vec<u8>,
    pub(crate) head: &'e [u8],
    pub(crate) ask: Ask,
}

impl<'e> Exchange<'e> {
    pub(crate) fn new(
        client: &'e mut Client,
        sending: Sending<'e>,
        upstream: &'e mut Upstream,
        deadline: Deadline,
        parts: Parts<'e>,
    ) -> Self {
        let Sending { permitted, target, bytes, head, ask } = sending;
        let Parts { flow, tee, cors, tries } = parts;
        let up = Upload::new(bytes, &ask, &client.worker, tee);
        let down = Download::new(&client.worker);
        let watches = false;
        Self {
            client,
            upstream,
            permitted,
            target,
            head,
            ask,
            flow,
            cors,
            tries,
            deadline,
            up,
            down,
            watches,
            pace: Pace::default(),
        }
    }

    /// To be called before the first poll: takes what is there of the request's body.
    pub(crate) fn begin(&mut self) -> Result<(), End> {
        if self.client.out.capacity() == 0 {
            self.client.out = self.client.worker.spares.take();
        }
        self.client.live().arm(self.client.worker.clock.coarse() + WATCH_AFTER);
        self.take_body()?;
        if self.up.passing > 0 && self.up.passing <= TOGETHER_MAX {
            let count = std::mem::take(&mut self.up.passing);
            self.up.first.extend_from_slice(&self.client.input.filled()[..count]);
            self.client.input.consume(count);
        }
        Ok(())
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<End> {
        if let Some(end) = self.poll_signals(context) {
            return Poll::Ready(end);
        }
        if let Poll::Ready(Err(end)) = self.poll_upload(context) {
            return Poll::Ready(end);
        }
        if let Poll::Ready(end) = self.poll_download(context) {
            return Poll::Ready(end);
        }
        // To look at a stream of HTTP/2 costs nothing.
        let watches = self.watches || self.client.stream().is_http2();
        if watches { self.poll_watch(context) } else { Poll::Pending }
    }

    /// Whether a failure says nothing of the endpoint: it has not had the whole request, and so owed no
    /// answer. A client could eject endpoints by sending half of a body.
    fn waits_for_body(&self, end: &End) -> bool {
        match end {
            // Its own patience with the client may be what ended.
            End::Failed { reason: FlowReason::UpstreamFailed, .. } => self.awaits_client(),
            _ => !self.up.is_done(),
        }
    }

    /// Whether a failure is to be tried again; it counts for the endpoint's health.
    pub(crate) fn grants(&mut self, end: &End) -> bool {
        use FlowReason::{Limit, RouteTimeout, UpstreamFailed};
        let status = match end {
            End::Failed { status, reason: UpstreamFailed | RouteTimeout } => status,
            // It stood still. Other limits are for want of something of our own.
            End::Failed { status: status @ 504, reason: Limit } => status,
            _ => return matches!(end, End::Again { .. }),
        };
        if !self.waits_for_body(end) {
            let worker = self.client.worker.clone();
            worker.resilience.failed(self.target, worker.clock.coarse());
        }
        *status != 0 && may_repeat(self.tries, &self.up, self.client, self.target)
    }

    /// How a gRPC call is told to end whose answer has begun and does not go on.
    pub(crate) fn trailers(&self, end: &End) -> Option<Trailers> {
        match end {
            _ if !self.down.awaits_end.get() => None,
            End::Failed { reason, .. } => Some(Trailers::of(*reason, self.upstream.stream.reset_code())),
            End::Revoked(_) => Some(Trailers::REVOKED),
            _ => None,
        }
    }

    /// Gives the memory of the head to the next one, and returns what was read from the endpoint
    /// and not used. After [`End::Unsent`], and if it is tried `again`, the request's body is as before.
    pub(crate) fn finish(self, end: &End, again: bool) -> Buffer {
        let Self { client, up, down, flow, .. } = self;
        let (is_unsent, is_in_first) = (matches!(end, End::Unsent), up.is_in_first());
        let first = up.first;
        if is_unsent && is_in_first {
            up.tee.forget(up.received);
            let mut whole = Buffer::new(&client.worker.buffers);
            whole.extend(&first[up.head_len..]);
            whole.extend(client.input.filled());
            client.input = whole;
        } else if is_unsent || again {
            let mut whole = up.tee.rewind(&client.worker);
            whole.extend(&client.input.filled()[up.passing..]);
            client.input = whole;
        } else {
            flow.count_in(up.received);
        }
        client.worker.spares.give(first);
        down.input
    }

    fn poll_signals(&mut self, context: &mut Context<'_>) -> Option<End> {
        while let Some(signal) = self.client.live().poll(context) {
            let worker = self.client.worker.clone();
            match signal {
                Signal::Deadline if !self.watches => self.watch(),
                Signal::Deadline if self.is_being_read() => self.progress(),
                // Its connection has ended the stream for the same.
                Signal::Deadline if self.client.stream().reset_code().is_some() => {
                    return Some(End::ClientGone);
                }
                Signal::Deadline => {
                    worker.stats.limit_stall_timeout.add();
                    return Some(self.stalled());
                }
                Signal::Judge => {
                    self.client.addressed.refresh(&worker);
                    let ends = &self.client.addressed.ends;
                    let still = self.permitted.still(ends, Some(self.head), &self.client.address);
                    if let Err(denial) = still {
                        return Some(End::Revoked(denial));
                    }
                }
            }
        }
        let late = self.deadline.poll(context);
        late.then(|| self.failed(504, self.deadline.count(&self.client.worker.stats)))
    }

    pub(super) fn failed(&self, status: u16, reason: FlowReason) -> End {
        End::Failed { status: if self.down.answered { 0 } else { status }, reason }
    }

    /// It stood still for too long.
    fn stalled(&self) -> End {
        if self.client.eof && !self.down.answered {
            End::ClientGone
        } else if self.awaits_client() {
            self.failed(408, FlowReason::ClientTimeout)
        } else {
            self.failed(504, FlowReason::Limit)
        }
    }

    /// While the endpoint is awaited: whether the client is still there. What it sends already of
    /// its next requests is kept, up to a buffer.
    fn poll_watch(&mut self, context: &mut Context<'_>) -> Poll<End> {
        let client = &mut *self.client;
        while !client.eof && self.up.body.is_done() && client.input.len() < TOGETHER_MAX {
            let stream = &mut client.addressed.accepted.stream;
            match ready!(poll_fill(stream, &mut client.input, TOGETHER_MAX, context)) {
                Ok(0) => {
                    // It may have closed its sending side alone; it is waited for, but not forever.
                    client.eof = true;
                    if !self.down.answered {
                        let timeout = client.worker.config.limits.half_closed_timeout;
                        client.live().arm(client.worker.clock.now() + timeout);
                    }
                }
                Ok(_) => {}
                Err(_) => return Poll::Ready(End::ClientGone),
            }
        }
        Poll::Pending
    }
}

/// Whether all that was sent is there to be sent again, and the route, the time and the budget
/// allow it; the retry is then decided on.
pub(super) fn may_repeat(tries: &mut Tries, up: &Upload<'_>, client: &Client, target: &Target) -> bool {
    tries.replays()
        && up.tee.holds(up.received)
        && !client.live().is_draining()
        && tries.grant(&client.worker, Some(target.address()))
}
