//! The time-outs of a route, for one try of a request. Only routes that have them arm a timer.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use model::route::Timeouts;
use tokio::time::Sleep;

use crate::stats::Stats;

/// See the module.
#[derive(Debug)]
pub(crate) struct Deadline {
    sleep: Option<Pin<Box<Sleep>>>,
    /// It is that of the whole request.
    is_whole: bool,
}

impl Deadline {
    /// No time-out.
    pub(crate) fn none() -> Self {
        Self { sleep: None, is_whole: false }
    }

    /// For a try that begins now, of a request that began `elapsed` ago.
    pub(crate) fn new(timeouts: Timeouts, elapsed: impl FnOnce() -> Duration) -> Self {
        let whole = timeouts.request.map(|timeout| timeout.saturating_sub(elapsed()));
        let (left, is_whole) = match (whole, timeouts.backend_request) {
            (Some(whole), Some(one)) => (Some(whole.min(one)), whole <= one),
            (whole, one) => (whole.or(one), whole.is_some()),
        };
        Self { sleep: left.map(|left| Box::pin(tokio::time::sleep(left))), is_whole }
    }

    /// Whether it has passed.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> bool {
        self.sleep.as_mut().is_some_and(|sleep| sleep.as_mut().poll(context).is_ready())
    }

    /// Counts that it has passed.
    pub(crate) fn count(&self, stats: &Stats) {
        if self.is_whole { stats.route_request_timeouts.add() } else { stats.route_try_timeouts.add() }
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
