//! The time that one try of a request may take, by its route and by its client. Only those who say so
//! arm a timer.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use model::flow::FlowReason;
use model::route::Timeouts;
use tokio::time::Sleep;

use crate::stats::Stats;

/// See the module.
#[derive(Debug)]
pub(crate) struct Deadline {
    sleep: Option<Pin<Box<Sleep>>>,
    whose: Whose,
    /// It had passed before the try began.
    before: bool,
}

/// Who allows no more time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// The route, for the whole request.
    Request,
    /// The client, for the same.
    Client,
    /// The route, for one try.
    Try,
}

impl Deadline {
    /// No time-out.
    pub(crate) fn none() -> Self {
        Self { sleep: None, whose: Whose::Request, before: false }
    }

    /// For a try that begins now, of a request that began `elapsed` ago and whose client waits for
    /// `client` in all.
    pub(crate) fn new(timeouts: Timeouts, client: Option<Duration>, elapsed: impl Fn() -> Duration) -> Self {
        let Some((left, whose)) = first(timeouts, client, elapsed) else { return Self::none() };
        let before = left.is_zero() && whose != Whose::Try;
        Self { sleep: Some(Box::pin(tokio::time::sleep(left))), whose, before }
    }

    /// Whether it had passed before the try began.
    pub(crate) fn had_passed(&self) -> bool {
        self.before
    }

    /// Whether it has passed.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> bool {
        self.sleep.as_mut().is_some_and(|sleep| sleep.as_mut().poll(context).is_ready())
    }

    /// Counts that it has passed: how flow records say so.
    pub(crate) fn count(&self, stats: &Stats) -> FlowReason {
        let (counter, reason) = match self.whose {
            Whose::Request => (&stats.route_request_timeouts, FlowReason::RouteTimeout),
            Whose::Try => (&stats.route_try_timeouts, FlowReason::RouteTimeout),
            Whose::Client => (&stats.grpc_deadlines, FlowReason::DeadlineExceeded),
        };
        counter.add();
        reason
    }

    /// What the future comes to, unless the deadline passes first.
    pub(crate) fn limit<T>(&mut self, future: impl Future<Output = T>) -> impl Future<Output = Option<T>> {
        // What opens connections is large, and few requests wait for one.
        let mut future = Box::pin(future);
        poll_fn(move |context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            if self.poll(context) { Poll::Ready(None) } else { Poll::Pending }
        })
    }
}

/// What is left of the time that is over first, and whose it is.
fn first(
    timeouts: Timeouts,
    client: Option<Duration>,
    elapsed: impl Fn() -> Duration,
) -> Option<(Duration, Whose)> {
    let left = |timeout: Duration| timeout.saturating_sub(elapsed());
    let times = [
        timeouts.request.map(|timeout| (left(timeout), Whose::Request)),
        client.map(|timeout| (left(timeout), Whose::Client)),
        timeouts.backend_request.map(|timeout| (timeout, Whose::Try)),
    ];
    times.into_iter().flatten().min_by_key(|(left, _)| *left)
}

#[cfg(test)]
mod tests;
