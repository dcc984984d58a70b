//! Stage 7. What is permitted is connected to its endpoint.

use std::io::{Error, ErrorKind};
use std::rc::Rc;

use model::flow::{FlowReason, HttpVersion};

use crate::http1::Deadline;
use crate::permitted::Permitted;
use crate::refusal::{Refusal, Unsent};
use crate::resilience::{Load, Service};
use crate::tls;
use crate::upstream::{Chance, Upstream};
use crate::worker::Worker;

/// A permitted message with a connection to its endpoint.
pub(crate) struct Connected {
    pub(crate) permitted: Permitted,
    pub(crate) upstream: Upstream,
    /// What is left of the time that the route and the client allow.
    pub(crate) deadline: Deadline,
    /// Counts it at the endpoint.
    pub(crate) load: Load,
}

impl Permitted {
    /// Takes an idle connection (unless `fresh`), or a stream of a shared one, or opens one.
    ///
    /// # Errors
    /// No connection could be had, so nothing was sent: what to answer if no other endpoint is tried.
    pub(crate) async fn connect(
        self,
        worker: &Rc<Worker>,
        fresh: bool,
        mut deadline: Deadline,
    ) -> Result<Connected, Refusal> {
        if deadline.had_passed() {
            return Err(Refusal::new(504, deadline.count(&worker.stats)));
        }
        let load = self.target().load();
        match self.upstream(worker, fresh, &mut deadline).await {
            Some(Ok(upstream)) => Ok(Connected { permitted: self, upstream, deadline, load }),
            Some(Err(Unconnected::Full)) => {
                load.forgo();
                Err(Refusal::new(503, FlowReason::Overloaded).unsent(Unsent::Full))
            }
            Some(Err(Unconnected::Io(error))) => {
                let key = self.key();
                tracing::debug!("connect to {} from {:?} failed: {error}", key.endpoint, key.source);
                if is_endpoints(&error) {
                    let now = worker.clock.coarse();
                    self.target().endpoint.was_unreachable(now);
                    worker.resilience.failed(self.target(), now);
                }
                let unsent = Unsent::Unreachable(key.endpoint);
                let reason =
                    if tls::is_failure(&error) { FlowReason::TlsFailed } else { FlowReason::ConnectFailed };
                Err(Refusal::unreachable(reason).unsent(unsent))
            }
            None => {
                let reason = deadline.count(&worker.stats);
                // A client may be in more of a hurry than any endpoint can be.
                if reason == FlowReason::RouteTimeout {
                    worker.resilience.failed(self.target(), worker.clock.coarse());
                }
                Err(Refusal::new(504, reason).unsent(Unsent::Late(self.endpoint())))
            }
        }
    }

    /// `None`: the time is over.
    async fn upstream(
        &self,
        worker: &Rc<Worker>,
        fresh: bool,
        deadline: &mut Deadline,
    ) -> Option<Result<Upstream, Unconnected>> {
        let (upstreams, key) = (&worker.upstreams, self.key());
        let mut opening = None;
        if key.version == HttpVersion::Http2 {
            if let Some(upstream) = upstreams.join(worker, &key) {
                return Some(Ok(upstream));
            }
            // One that was found to be of no use is not among those shared any more.
            match deadline.limit(upstreams.share(worker, key, self.target())).await? {
                Ok(Chance::Stream(upstream)) => return Some(Ok(upstream)),
                Ok(Chance::Open(duty)) => opening = Some(duty),
                Ok(Chance::Full) => return Some(Err(Unconnected::Full)),
                Err(error) => return Some(Err(Unconnected::Io(error))),
            }
        } else if !fresh
            && !self.head().is_empty()
            && let Some(upstream) = upstreams.checkout(key, worker.clock.coarse())
        {
            return Some(Ok(upstream));
        }
        let Ok(charge) = upstreams.charge(self.target()) else { return Some(Err(Unconnected::Full)) };
        let _pending = self.target().service.as_ref().map(Service::wait);
        let opened = deadline.limit(upstreams.open(worker, key, charge, opening)).await?;
        Some(opened.map_err(Unconnected::Io))
    }
}

/// Why there is no connection.
enum Unconnected {
    /// As many are in use as may be.
    Full,
    /// It could not be opened.
    Io(Error),
}

/// Whether a failed connect is the endpoint's fault, and not for want of something of our own.
fn is_endpoints(error: &Error) -> bool {
    use ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable, TimedOut};
    let kinds = [ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable, TimedOut];
    kinds.contains(&error.kind())
}
