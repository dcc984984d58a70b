//! Stage 7. What is permitted is connected to its endpoint.

use model::flow::FlowReason;

use crate::http1::Deadline;
use crate::permitted::Permitted;
use crate::refusal::{Refusal, Unsent};
use crate::upstream::{Load, Upstream};
use crate::worker::Worker;

/// A permitted message with a connection to its endpoint.
pub(crate) struct Connected {
    pub(crate) permitted: Permitted,
    pub(crate) upstream: Upstream,
    /// What is left of the time that the route allows.
    pub(crate) deadline: Deadline,
    /// Counts it at the endpoint.
    pub(crate) _load: Load,
}

impl Permitted {
    /// Takes an idle connection (unless `fresh`) or opens one.
    ///
    /// # Errors
    /// No connection could be had, so nothing was sent: what to answer if no other endpoint is tried.
    pub(crate) async fn connect(
        self,
        worker: &Worker,
        fresh: bool,
        mut deadline: Deadline,
    ) -> Result<Connected, Refusal> {
        let _load = worker.upstreams.count(self.endpoint());
        let reusable = !fresh && !self.head().is_empty();
        let idle = if reusable { worker.upstreams.checkout(self.key(), worker.clock.coarse()) } else { None };
        if let Some(upstream) = idle {
            return Ok(Connected { permitted: self, upstream, deadline, _load });
        }
        match deadline.limit(worker.upstreams.open(self.key())).await {
            Some(Ok(upstream)) => Ok(Connected { permitted: self, upstream, deadline, _load }),
            Some(Err(error)) => {
                let key = self.key();
                tracing::debug!("connect to {} from {:?} failed: {error}", key.endpoint, key.source);
                let unsent = Unsent::Unreachable(key.endpoint);
                Err(Refusal::new(503, FlowReason::ConnectFailed).unsent(unsent))
            }
            None => Err(Refusal::new(504, FlowReason::RouteTimeout)),
        }
    }
}
