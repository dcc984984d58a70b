//! The time-outs of a route, for one try of a request. Only routes that have them arm a timer.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use model::route::Timeouts;
use tokio::time::Sleep;

/// See the module.
#[derive(Debug)]
pub(crate) struct Deadline(Option<Pin<Box<Sleep>>>);

impl Deadline {
    /// No time-out.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// For a try that begins now, of a request that began `elapsed` ago.
    pub(crate) fn new(timeouts: Timeouts, elapsed: impl FnOnce() -> Duration) -> Self {
        let whole = timeouts.request.map(|timeout| timeout.saturating_sub(elapsed()));
        let left = match (whole, timeouts.backend_request) {
            (Some(whole), Some(one)) => Some(whole.min(one)),
            (whole, one) => whole.or(one),
        };
        Self(left.map(|left| Box::pin(tokio::time::sleep(left))))
    }

    /// Whether it has passed.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> bool {
        self.0.as_mut().is_some_and(|sleep| sleep.as_mut().poll(context).is_ready())
    }

    /// What the future comes to, unless the deadline passes first.
    pub(crate) async fn limit<F: Future>(&mut self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            if self.poll(context) { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    }
}
