//! What goes with one message through all its tries.

use std::rc::Rc;

use codec::http1::RequestHead;
use model::address::EndpointAddr;

use crate::addressed::Addressing;
use crate::client::Client;
use crate::clock::Moment;
use crate::flow::Flow;
use crate::http1::Ask;
use crate::mirror::Tee;
use crate::parsed;
use crate::refusal::{Refusal, Unsent};
use crate::worker::Worker;

/// What is known of a message, whatever becomes of it.
pub(crate) struct About {
    /// When its first byte arrived, or the connection was accepted.
    pub(crate) since: Moment,
    /// Once the head of a request was read.
    pub(crate) ask: Option<Ask>,
    /// The body for the request's mirrors.
    pub(crate) tee: Tee,
    flow: Option<Flow>,
}

impl About {
    pub(crate) fn new(since: Moment) -> Self {
        Self { since, ask: None, tee: Tee::default(), flow: None }
    }

    /// Opens the flow record of a request.
    pub(crate) fn read(&mut self, client: &Client, head: &RequestHead<'_, '_>) {
        self.ask = Some(Ask::of(head));
        self.flow.get_or_insert_with(|| Flow::request(client, self.since, parsed::flow(head)));
    }

    /// The flow record, that of a connection if no request was read.
    pub(crate) fn flow(&mut self, worker: &Rc<Worker>, ends: &Addressing) -> &mut Flow {
        self.flow.get_or_insert_with(|| Flow::connection(worker, ends, self.since))
    }

    /// The flow record and the mirrors' body, of a request that was read.
    pub(crate) fn parts(&mut self, worker: &Rc<Worker>, ends: &Addressing) -> (&mut Flow, &mut Tee) {
        let flow = self.flow.get_or_insert_with(|| Flow::connection(worker, ends, self.since));
        (flow, &mut self.tee)
    }

    /// Answers by ourselves; whether the connection can go on.
    pub(crate) async fn answer(mut self, client: &mut Client, refusal: Refusal) -> bool {
        // A head that was refused is a request all the same.
        let nothing = || Flow::refused(client, self.since);
        let flow = self.flow.get_or_insert_with(nothing);
        client.answer(refusal, self.ask, flow).await
    }
}

/// The tries of one message.
pub(crate) struct Tries {
    /// Fixed, so that all tries go to one backend.
    pub(crate) random: u64,
    /// Endpoints that could not be connected to.
    pub(crate) failed: Vec<EndpointAddr>,
    /// No idle connection is to be used.
    pub(crate) fresh: bool,
    /// This is the second try.
    pub(crate) again: bool,
}

impl Tries {
    pub(crate) fn new(worker: &Worker) -> Self {
        Self { random: worker.random(), failed: Vec::new(), fresh: false, again: false }
    }

    /// Whether to try once more: if nothing was sent, and once only.
    pub(crate) fn once_more(&mut self, refusal: &Refusal, worker: &Worker) -> bool {
        match refusal.unsent {
            Unsent::No => return false,
            _ if self.again => return false,
            Unsent::Unreachable(endpoint) => self.failed.push(endpoint),
            Unsent::Stale => self.fresh = true,
        }
        self.again = true;
        worker.stats.retries.add();
        true
    }
}
