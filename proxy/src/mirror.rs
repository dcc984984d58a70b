//! Copies of requests for mirrors. A copy is sent when the request's body is whole, by a task of
//! its own: it can neither delay nor fail the request. A body beyond the limit is not copied.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use codec::h2::text::RequestList;
use codec::http1::{Asked, Malformed, parse_response};
use model::route::{BackendTarget, Filter, Mirror};

use crate::buffer::Buffer;
use crate::flow::Flow;
use crate::http1::{Body, Deadline};
use crate::io::{poll_fill, poll_send};
use crate::parsed::{Message, Room};
use crate::permitted::Permitted;
use crate::routed::{Context as Stages, Routed, To};
use crate::upstream::Upstream;
use crate::worker::Worker;

/// The body of a request, kept for its mirrors and to be sent again.
#[derive(Default)]
pub(crate) struct Tee {
    mirrors: Vec<Permitted>,
    replays: Replays,
    /// All of the body so far, as it is on the wire, while it is kept.
    body: Option<Buffer>,
}

/// Whether a body is kept to be sent again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Replays {
    /// It is not.
    #[default]
    No,
    /// As long as the endpoint can say that it has not looked at the request. What goes out with
    /// the head is there anyway.
    Unprocessed,
    /// The route retries.
    ByRoute,
}

/// Picks endpoints for the mirrors of a request and judges each of them: a mirror leads around no
/// policy. What is denied or has no endpoint is left out.
pub(crate) fn plan<'r>(routed: &Routed<'r>, context: &Stages<'r>) -> Tee {
    let mut tee = Tee::default();
    if matches!(routed.message, Message::Request(request) if request.is_connect()) {
        // There is no telling what a tunnel carries.
        return tee;
    }
    for filter in routed.route.iter().flat_map(|route| route.filters()) {
        let Filter::Mirror(mirror) = filter else { continue };
        if !is_chosen(mirror, context.worker.random()) {
            continue;
        }
        let BackendTarget::Service(id) = &mirror.target else { continue };
        let Some(backend) = context.ends.view.backends.get(id) else { continue };
        let copy = Routed { to: To::Service(backend), ..*routed };
        let picked = copy.pick_mirror(context);
        let permitted = picked.map(|picked| picked.permit(context, Vec::new(), None::<&mut Flow>));
        tee.mirrors.extend(permitted.and_then(Result::ok));
    }
    tee
}

/// `numerator` of `denominator` requests.
fn is_chosen(mirror: &Mirror, random: u64) -> bool {
    let scaled = (u128::from(random) * u128::from(mirror.denominator)) >> 64;
    scaled < u128::from(mirror.numerator)
}

impl Tee {
    /// Keeps the body to be sent again, or not.
    pub(crate) fn keep(&mut self, replays: Replays) {
        self.replays = replays;
    }

    /// Keeps a part of the body, as it is on the wire. `sent`: all that came before, while it is there
    /// because it went out with the head; `None`: this part is to go out with it.
    pub(crate) fn push(&mut self, worker: &Worker, sent: Option<&[u8]>, bytes: &[u8]) {
        if bytes.is_empty() || (self.mirrors.is_empty() && self.replays == Replays::No) {
            return;
        }
        if self.mirrors.is_empty() && self.replays == Replays::Unprocessed && self.body.is_none() {
            let Some(sent) = sent else { return };
            self.append(worker, sent);
        }
        self.append(worker, bytes);
    }

    fn append(&mut self, worker: &Worker, bytes: &[u8]) {
        let (limits, stats) = (&worker.config.limits, &worker.stats);
        let len = self.body.as_ref().map_or(0, Buffer::len) + bytes.len();
        if len > limits.mirror_bytes && !self.mirrors.is_empty() {
            stats.limit_mirror.add();
            self.mirrors.clear();
        }
        if len > limits.retry_bytes && self.replays != Replays::No {
            if self.replays == Replays::ByRoute {
                stats.limit_retry_bytes.add();
            }
            self.replays = Replays::No;
        }
        if self.mirrors.is_empty() && self.replays == Replays::No {
            self.body = None;
            return;
        }
        self.body.get_or_insert_with(|| Buffer::new(&worker.buffers)).extend(bytes);
    }

    /// Drops the last part, which will come again.
    pub(crate) fn forget(&mut self, bytes: usize) {
        if let Some(body) = &mut self.body {
            body.truncate(body.len().saturating_sub(bytes));
        }
    }

    /// Whether the so many bytes of the body so far are there to be sent again.
    pub(crate) fn holds(&self, received: usize) -> bool {
        let whole = || self.body.as_ref().is_some_and(|body| body.len() == received);
        received == 0 || (self.replays != Replays::No && whole())
    }

    /// Takes the body so far out, which will come again.
    pub(crate) fn rewind(&mut self, worker: &Worker) -> Buffer {
        self.body.take().unwrap_or_else(|| Buffer::new(&worker.buffers))
    }

    /// The body is whole: sends the copies. Later calls do nothing.
    pub(crate) fn send(&mut self, worker: &Rc<Worker>) {
        if self.mirrors.is_empty() {
            return;
        }
        let body: Rc<[u8]> = self.body.as_ref().map(Buffer::filled).unwrap_or_default().into();
        if self.replays == Replays::No {
            self.body = None;
        }
        for permitted in self.mirrors.drain(..) {
            if worker.mirrors.get() >= worker.config.limits.mirrors {
                worker.stats.limit_mirror.add();
                continue;
            }
            worker.stats.mirrored.add();
            let copying = copy(UnderWay::new(worker), permitted, body.clone());
            let timeout = worker.config.limits.mirror_timeout;
            let (copying, stats) = (tokio::time::timeout(timeout, copying), worker.stats.clone());
            tokio::task::spawn_local(async move {
                if copying.await.is_err() {
                    stats.limit_mirror_timeout.add();
                }
            });
        }
    }
}

/// Counts a copy for as long as it is under way.
struct UnderWay(Rc<Worker>);

impl UnderWay {
    fn new(worker: &Rc<Worker>) -> Self {
        worker.mirrors.set(worker.mirrors.get() + 1);
        Self(worker.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.mirrors.set(self.0.mirrors.get().saturating_sub(1));
    }
}

/// Sends one copy and reads the answer to its end, so that the connection can be used again.
async fn copy(under_way: UnderWay, permitted: Permitted, body: Rc<[u8]>) {
    let worker = &under_way.0;
    let Ok(mut connected) = permitted.connect(worker, false, Deadline::none()).await else { return };
    let is_head = {
        let head = connected.permitted.head();
        RequestList::read(head).map_or_else(|| head.starts_with(b"HEAD "), |list| list.is_head)
    };
    let mut bytes = connected.permitted.take_head();
    bytes.extend_from_slice(&body);
    let mut sent = 0;
    let upstream = &mut connected.upstream;
    if poll_fn(|context| poll_send(&mut upstream.stream, &bytes, &mut sent, context)).await.is_err() {
        return;
    }
    let mut answer = Answer { input: Buffer::new(&worker.buffers), body: None, keeps: false, is_head };
    let whole = poll_fn(|context| answer.poll(worker, upstream, context)).await;
    if whole && answer.keeps && answer.input.is_empty() {
        worker.upstreams.checkin(connected.upstream, worker.clock.coarse());
    }
}

/// An answer that nobody reads.
struct Answer {
    input: Buffer,
    body: Option<Body>,
    keeps: bool,
    is_head: bool,
}

impl Answer {
    /// Whether it came to a good end.
    fn poll(&mut self, worker: &Worker, upstream: &mut Upstream, context: &mut Context<'_>) -> Poll<bool> {
        loop {
            if let Some(body) = &mut self.body {
                let Ok(taken) = body.pass(self.input.filled()) else { return Poll::Ready(false) };
                self.input.consume(taken);
                if body.is_done() {
                    return Poll::Ready(true);
                }
            } else {
                match self.take_head(worker) {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(_) => return Poll::Ready(false),
                }
            }
            let max = worker.config.limits.head_bytes;
            match ready!(poll_fill(&mut upstream.stream, &mut self.input, max, context)) {
                Ok(count) if count > 0 => {}
                _ => return Poll::Ready(false),
            }
        }
    }

    /// Takes one head off the input; false when none is whole.
    ///
    /// # Errors
    /// It is no answer: there is nothing to wait for.
    fn take_head(&mut self, worker: &Worker) -> Result<bool, Malformed> {
        let mut room: Room<'_> = codec::http1::uninit_headers();
        let method = if self.is_head { "HEAD" } else { "GET" };
        let asked = Asked { method, upgrade: None };
        let head = parse_response(self.input.filled(), &mut room, &worker.codec, &asked)?;
        let Some(head) = head else { return Ok(false) };
        if !head.is_interim() {
            self.keeps = head.keep_alive;
            self.body = Some(Body::new(head.framing, &worker.codec));
        }
        let consumed = head.head_len;
        self.input.consume(consumed);
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
