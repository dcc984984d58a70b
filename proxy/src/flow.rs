//! The flow record of one request or connection: opened when it begins, filled on the way, written
//! exactly once when it is dropped, whatever made it end.

use std::rc::Rc;
use std::sync::Arc;

use model::flow::{FlowReason, FlowRecord, FlowVerdict, HttpFlow, Text};
use model::policy::{Direction, RuleRef};
use model::route::RouteRule;
use model::workload::Protocol;

use crate::addressed::{Addressing, Party};
use crate::clock::Moment;
use crate::permitted::Denial;
use crate::refusal::Refusal;
use crate::worker::Worker;

/// See the module.
pub(crate) struct Flow {
    worker: Rc<Worker>,
    /// When its first byte arrived, or the connection was accepted.
    pub(crate) since: Moment,
    record: Option<FlowRecord>,
}

impl Flow {
    /// A connection of bytes, or one that ended before it became a request.
    pub(crate) fn connection(worker: &Rc<Worker>, ends: &Addressing, since: Moment) -> Self {
        Self::open(worker, ends, since, None)
    }

    /// A request.
    pub(crate) fn request(worker: &Rc<Worker>, ends: &Addressing, since: Moment, http: HttpFlow) -> Self {
        Self::open(worker, ends, since, Some(http))
    }

    fn open(worker: &Rc<Worker>, ends: &Addressing, since: Moment, http: Option<HttpFlow>) -> Self {
        let record = FlowRecord {
            time_ns: 0,
            source: ends.source.peer.clone(),
            destination: ends.destination.clone(),
            backend: None,
            protocol: Protocol::Tcp,
            // What is dropped before anybody says how it ended was cut short by a drain.
            verdict: FlowVerdict::Failed,
            reason: FlowReason::Limit,
            direction: None,
            rule: None,
            route: None,
            http,
            latency_ns: 0,
            bytes_in: 0,
            bytes_out: 0,
        };
        Self { worker: worker.clone(), since, record: Some(record) }
    }

    fn record(&mut self) -> &mut FlowRecord {
        self.record.as_mut().expect("the record is taken by drop alone")
    }

    /// How it ended.
    pub(crate) fn end(&mut self, verdict: FlowVerdict, reason: FlowReason) {
        let record = self.record();
        record.verdict = verdict;
        record.reason = reason;
    }

    /// Policy denied it.
    pub(crate) fn deny(&mut self, denial: &Denial) {
        self.worker.stats.denied.add();
        self.end(FlowVerdict::Denied, denial.reason);
        self.decided(denial.direction, denial.by.clone());
    }

    /// A policy change ended it.
    pub(crate) fn revoke(&mut self, denial: &Denial) {
        self.worker.stats.revoked.add();
        self.end(FlowVerdict::Denied, FlowReason::PolicyRevoked);
        self.decided(denial.direction, denial.by.clone());
    }

    /// We answered instead of passing it on.
    pub(crate) fn refuse(&mut self, refusal: &Refusal) {
        match &refusal.denial {
            Some(denial) => self.deny(denial),
            None => self.end(refusal.verdict, refusal.reason),
        }
    }

    /// The path, once it is normalised.
    pub(crate) fn path(&mut self, target: &str) {
        if let Some(http) = &mut self.record().http {
            http.path = Text::new(target);
        }
    }

    /// The rule that decided.
    pub(crate) fn decided(&mut self, direction: Direction, by: Option<Arc<RuleRef>>) {
        let record = self.record();
        record.direction = Some(direction);
        record.rule = by;
    }

    /// The route taken.
    pub(crate) fn routed(&mut self, rule: &Arc<RouteRule>) {
        self.record().route = Some(rule.clone());
    }

    /// The endpoint chosen.
    pub(crate) fn chose(&mut self, endpoint: &Party<'_>) {
        let record = self.record();
        record.backend = (endpoint.address.0 != record.destination.address).then(|| endpoint.peer());
    }

    /// The status answered.
    pub(crate) fn status(&mut self, status: u16) {
        if let Some(http) = &mut self.record().http {
            http.status = status;
        }
    }

    /// Bytes that came from the client.
    pub(crate) fn count_in(&mut self, bytes: usize) {
        self.record().bytes_in += bytes as u64;
    }

    /// Bytes that went to the client.
    pub(crate) fn count_out(&mut self, bytes: usize) {
        self.record().bytes_out += bytes as u64;
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        let Some(mut record) = self.record.take() else { return };
        let now = self.worker.clock.now();
        record.time_ns = now.0;
        record.latency_ns = now.since(self.since);
        if record.http.is_some() {
            self.worker.stats.requests.add();
        }
        if std::thread::panicking() {
            record.verdict = FlowVerdict::Failed;
            record.reason = FlowReason::Internal;
        }
        self.worker.record(record);
    }
}
