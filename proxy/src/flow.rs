//! The flow record of one request or connection: opened when it begins, filled on the way, written
//! exactly once when it is dropped, whatever made it end.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use model::flow::{FlowReason, FlowRecord, FlowVerdict, HttpFlow, Text};
use model::policy::{Direction, RuleRef};
use model::route::RouteRule;
use model::service::BackendId;

use crate::addressed::{Addressing, Party};
use crate::client::Client;
use crate::clock::Moment;
use crate::permitted::Denial;
use crate::refusal::Refusal;
use crate::worker::Worker;

/// What the requests of one connection came to, for the record of the connection itself.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    requests: Cell<u64>,
    bytes_in: Cell<u64>,
    bytes_out: Cell<u64>,
}

impl Carried {
    /// Whether there was any.
    pub(crate) fn is_empty(&self) -> bool {
        self.requests.get() == 0
    }

    fn add(&self, record: &FlowRecord) {
        self.requests.set(self.requests.get() + 1);
        self.bytes_in.set(self.bytes_in.get() + record.bytes_in);
        self.bytes_out.set(self.bytes_out.get() + record.bytes_out);
    }
}

/// See the module.
pub(crate) struct Flow {
    worker: Rc<Worker>,
    /// Of a request: where its connection keeps count.
    carried: Option<Rc<Carried>>,
    /// The Service port that the message was for, where it was for one.
    pub(crate) service: Option<BackendId>,
    /// When its first byte arrived, or the connection was accepted.
    pub(crate) since: Moment,
    record: Option<Box<FlowRecord>>,
}

impl Flow {
    /// A connection of bytes, or one that ended before it became a request.
    pub(crate) fn connection(worker: &Rc<Worker>, ends: &Addressing, since: Moment) -> Self {
        Self::open(worker, ends, since, None)
    }

    /// A connection that carried requests, each with a record of its own.
    pub(crate) fn carrier(worker: &Rc<Worker>, ends: &Addressing, since: Moment, carried: &Carried) -> Self {
        let mut flow = Self::open(worker, ends, since, None);
        flow.record().bytes_in = carried.bytes_in.get();
        flow.record().bytes_out = carried.bytes_out.get();
        flow.end(FlowVerdict::Forwarded, FlowReason::None);
        flow
    }

    /// A request whose head was refused: it stands for its connection too.
    pub(crate) fn refused(client: &Client, since: Moment) -> Self {
        Self::open(&client.worker, &client.addressed.ends, since, Some(HttpFlow::default()))
    }

    /// A request of a connection.
    pub(crate) fn request(client: &Client, since: Moment, http: HttpFlow) -> Self {
        let mut flow = Self::open(&client.worker, &client.addressed.ends, since, Some(http));
        flow.carried = Some(client.carried.clone());
        flow
    }

    fn open(worker: &Rc<Worker>, ends: &Addressing, since: Moment, http: Option<HttpFlow>) -> Self {
        let mut record = worker.blank_record();
        // It was another's: by naming all fields none is left as it was.
        let FlowRecord {
            time_ns,
            source,
            destination,
            backend,
            protocol,
            verdict,
            reason,
            direction,
            rule,
            route,
            http: about_http,
            header_mismatches,
            latency_ns,
            bytes_in,
            bytes_out,
        } = &mut *record;
        source.clone_from(&ends.source.peer);
        destination.clone_from(&ends.destination);
        *protocol = ends.transport;
        // What is dropped before anybody says how it ended was cut short by a drain.
        (*verdict, *reason) = (FlowVerdict::Failed, FlowReason::Limit);
        (*backend, *direction, *rule, *route) = (None, None, None, None);
        *about_http = http;
        header_mismatches.clear();
        [time_ns, latency_ns, bytes_in, bytes_out].into_iter().for_each(|number| *number = 0);
        Self { worker: worker.clone(), carried: None, service: None, since, record: Some(record) }
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

    /// Headers that a rule let pass though it wants others.
    pub(crate) fn mismatched(&mut self, names: Vec<Arc<str>>) {
        self.record().header_mismatches = names;
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
        if let Some(carried) = &self.carried {
            carried.add(&record);
        }
        if std::thread::panicking() {
            record.verdict = FlowVerdict::Failed;
            record.reason = FlowReason::Internal;
        }
        self.worker.stats.outcomes.count(&record, self.service);
        self.worker.record(record);
    }
}
