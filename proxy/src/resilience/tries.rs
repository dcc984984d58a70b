//! The tries of one message: what may be tried again, how often and when.
//!
//! What never reached an endpoint is tried again on another one; what did only where the route's
//! rule has `retry`, which declares that repeating its requests is safe.

use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use model::address::EndpointAddr;
use model::flow::FlowReason;
use model::route::{Retry, RouteMatch};

use super::Service;
use super::service::Pending;
use crate::client::Client;
use crate::clock::Moment;
use crate::io::poll_fill;
use crate::refusal::{Refusal, Unsent};
use crate::routed::Route;
use crate::worker::Worker;

/// See the module.
pub(crate) struct Tries {
    /// Fixed, so that all tries go to one backend.
    pub(crate) random: u64,
    /// Endpoints that failed.
    pub(crate) failed: Vec<EndpointAddr>,
    /// Why the last of them could not be connected to.
    pub(crate) why: FlowReason,
    /// No idle connection is to be used.
    pub(crate) fresh: bool,
    /// The route, if its rule has `retry`.
    rule: Option<Arc<RouteMatch>>,
    /// When the route's `timeouts.request`, or the time that the client allows, is over.
    end: Moment,
    service: Option<Rc<Service>>,
    began: bool,
    /// Retries made by the rule, or the one without.
    retries: u32,
    /// A retry that was decided on, and how long to wait for it.
    granted: Option<Duration>,
    queued: Option<Moment>,
    /// How often an endpoint said that it has not looked at it.
    unprocessed: u32,
    /// How often it was left out where others were taken.
    left_out: u32,
}

/// Bytes that a client may send ahead between two tries; more stay in its socket.
const READ_MAX: usize = 16 * 1024;

/// How often a request is tried again that its endpoint has not looked at.
const UNPROCESSED_MAX: u32 = 8;

/// The same where endpoints take others and leave: that many only serves to end at some time.
const LEFT_OUT_MAX: u32 = 128;

/// Its waits grow no more after so many: up to 50 ms each.
const LEFT_OUT_GROWTH: u32 = 2;

/// A wait that a drain does not end: to try on at once would come to nothing.
const BRIEF: Duration = Duration::from_millis(250);

/// What to do after a try that failed.
pub(crate) enum Again {
    /// Answer.
    No,
    /// Try again after this time.
    After(Duration),
    /// Try again when the Service has room, or at this moment at the latest.
    WhenFreed(Pending, Rc<Service>, Moment),
}

impl Again {
    /// Waits until it is time to try again; false if the client is gone. What the client sends
    /// meanwhile is kept, up to a buffer. A drain ends a wait that is not brief.
    pub(crate) async fn wait(self, client: &mut Client) -> bool {
        if matches!(self, Self::After(Duration::ZERO)) {
            return true;
        }
        // Bounded by itself; the deadline of the try before is over.
        client.live().arm(Moment::NEVER);
        let worker = client.worker.clone();
        let is_brief = matches!(self, Self::After(time) if time <= BRIEF);
        let mut over = pin!(self.sleep(&worker));
        poll_fn(|context| match over.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending => poll_meanwhile(client, is_brief, context),
        })
        .await
    }

    /// The same for a client that is not read from.
    pub(crate) async fn sleep(self, worker: &Worker) {
        match self {
            Self::No => {}
            Self::After(time) => tokio::time::sleep(time).await,
            Self::WhenFreed(_pending, service, end) => {
                let left = Duration::from_nanos(end.since(worker.clock.now()));
                // Out of time or not, the next try finds out.
                drop(tokio::time::timeout(left, service.freed()).await);
            }
        }
    }
}

/// Watches a client between two tries: false if it is gone, true if there is no time to wait.
fn poll_meanwhile(client: &mut Client, is_brief: bool, context: &mut Context<'_>) -> Poll<bool> {
    // A policy change is looked at by the next try.
    while client.live().poll(context).is_some() {}
    if client.live().is_draining() && !is_brief {
        return Poll::Ready(true);
    }
    while !client.eof && client.input.len() < READ_MAX {
        let stream = &mut client.addressed.accepted.stream;
        match ready!(poll_fill(stream, &mut client.input, READ_MAX, context)) {
            // It may have closed its sending side alone.
            Ok(0) => client.eof = true,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::StorageFull => break,
            Err(_) => return Poll::Ready(false),
        }
    }
    Poll::Pending
}

impl Tries {
    pub(crate) fn new(worker: &Worker) -> Self {
        Self {
            random: worker.random(),
            failed: Vec::new(),
            why: FlowReason::ConnectFailed,
            fresh: false,
            rule: None,
            end: Moment::NEVER,
            service: None,
            began: false,
            retries: 0,
            granted: None,
            queued: None,
            unprocessed: 0,
            left_out: 0,
        }
    }

    /// Notes the route that a message takes, which began `since`.
    pub(crate) fn route(&mut self, route: Option<Route<'_>>, since: Moment) {
        let Some(route) = route.filter(|_| self.rule.is_none()) else { return };
        let rule = &route.matched.rule;
        self.end = rule.timeouts.request.map_or(Moment::NEVER, |timeout| since + timeout);
        self.rule = rule.retry.is_some().then(|| route.matched.clone());
    }

    /// Nobody waits for it after this moment.
    pub(crate) fn bound(&mut self, end: Moment) {
        self.end = self.end.min(end);
    }

    /// Notes the Service that it goes to, which may turn out to have no room.
    pub(crate) fn to(&mut self, service: Option<Rc<Service>>) {
        self.service = service;
    }

    /// Whether this is the first try that is permitted; it is counted for the retry budget.
    pub(crate) fn begin(&mut self, now: Moment) -> bool {
        let first = !std::mem::replace(&mut self.began, true);
        if let Some(service) = self.service.as_ref().filter(|_| first) {
            service.begin(now);
        }
        first
    }

    fn retry(&self) -> Option<&Retry> {
        self.rule.as_ref().and_then(|matched| matched.rule.retry.as_ref())
    }

    /// Whether endpoints that were tried may be tried again where there is no other.
    pub(crate) fn repeats(&self) -> bool {
        self.retry().is_some()
    }

    /// Whether what was sent may be sent again.
    pub(crate) fn replays(&self) -> bool {
        self.retry().is_some_and(|retry| self.retries < retry.attempts)
    }

    /// Whether an answer with this status is one to try again.
    pub(crate) fn wants(&self, status: u16) -> bool {
        self.retry().is_some_and(|retry| retry.codes.contains(&status)) && self.replays()
    }

    /// Decides on a retry by the rule, of what an endpoint failed at. The caller knows that it can be
    /// sent again and that nothing was answered yet. False: the attempts, the time or the
    /// budget are used up.
    pub(crate) fn grant(&mut self, worker: &Worker, endpoint: Option<EndpointAddr>) -> bool {
        let (random, now) = (worker.random(), worker.clock.now());
        let Some(retry) = self.retry().filter(|retry| self.retries < retry.attempts) else { return false };
        let wait = balance::backoff(retry.backoff, self.retries, random);
        if now + wait >= self.end || !self.afford(worker, now) {
            return false;
        }
        self.failed.extend(endpoint);
        self.granted = Some(wait);
        true
    }

    fn afford(&mut self, worker: &Worker, now: Moment) -> bool {
        let has = self.service.as_ref().is_none_or(|service| service.may_retry(now));
        if has {
            self.retries += 1;
        } else {
            worker.stats.retries_over_budget.add();
        }
        has
    }

    /// What to do after a try that came to a refusal.
    pub(crate) fn next(&mut self, refusal: &Refusal, worker: &Worker, is_draining: bool) -> Again {
        if let Unsent::Unreachable(_) = refusal.unsent {
            self.why = refusal.reason;
        }
        let again = self.decide(refusal, worker, is_draining);
        if matches!(again, Again::After(_)) {
            worker.stats.retries.add();
        }
        again
    }

    fn decide(&mut self, refusal: &Refusal, worker: &Worker, is_draining: bool) -> Again {
        let granted = self.granted.take().map_or(Again::No, Again::After);
        match refusal.unsent {
            // What was not sent is not lost by a drain either, but there is no time to queue.
            Unsent::No | Unsent::Full if is_draining => Again::No,
            Unsent::No => granted,
            Unsent::Stale if self.fresh => self.by_rule(worker, None),
            Unsent::Stale => {
                self.fresh = true;
                Again::After(Duration::ZERO)
            }
            Unsent::Unprocessed if self.unprocessed < UNPROCESSED_MAX => {
                self.unprocessed += 1;
                self.elsewhere(self.unprocessed - 1, worker)
            }
            Unsent::LeftOut if self.left_out < LEFT_OUT_MAX => {
                self.left_out += 1;
                self.elsewhere((self.left_out - 1).min(LEFT_OUT_GROWTH), worker)
            }
            Unsent::Unprocessed | Unsent::LeftOut => self.by_rule(worker, None),
            Unsent::Unreachable(endpoint) if self.rule.is_none() => {
                self.failed.push(endpoint);
                let may = self.retries == 0 && self.afford(worker, worker.clock.now());
                if may { Again::After(Duration::ZERO) } else { Again::No }
            }
            Unsent::Unreachable(endpoint) | Unsent::Late(endpoint) => self.by_rule(worker, Some(endpoint)),
            Unsent::Full => self.queue(worker),
        }
    }

    /// Tries again what is certain not to have been looked at: at once, as the connection is left
    /// for another, and then ever more slowly, as others are in want of the next one too.
    fn elsewhere(&mut self, nth: u32, worker: &Worker) -> Again {
        let wait = nth.checked_sub(1).map(|nth| balance::backoff(None, nth, worker.random()));
        let wait = wait.unwrap_or_default();
        if worker.clock.now() + wait < self.end { Again::After(wait) } else { self.by_rule(worker, None) }
    }

    fn by_rule(&mut self, worker: &Worker, endpoint: Option<EndpointAddr>) -> Again {
        self.grant(worker, endpoint);
        self.granted.take().map_or(Again::No, Again::After)
    }

    /// Waits for room, where the Service's breaker says that so many may.
    fn queue(&mut self, worker: &Worker) -> Again {
        let now = worker.clock.now();
        let since = *self.queued.get_or_insert(now);
        let end = (since + worker.config.limits.pending_timeout).min(self.end);
        let Some(service) = self.service.clone() else { return Again::No };
        if now >= end {
            worker.stats.limit_pending_timeout.add();
            return Again::No;
        }
        match service.queue() {
            Some(pending) => Again::WhenFreed(pending, service, end),
            None => {
                let stats = &worker.stats;
                let counter =
                    if service.queues() { &stats.breaker_pending } else { &stats.breaker_connections };
                counter.add();
                Again::No
            }
        }
    }
}
