//! What goes with one message through all its tries.

use std::rc::Rc;

use codec::http1::RequestHead;
use model::flow::HttpFlow;

use crate::addressed::Addressing;
use crate::client::Client;
use crate::clock::Moment;
use crate::flow::Flow;
use crate::http1::Ask;
use crate::mirror::Tee;
use crate::parsed;
use crate::refusal::Refusal;
use crate::resilience::Tries;
use crate::worker::Worker;

/// What is known of a message, whatever becomes of it.
pub(crate) struct About {
    /// When its first byte arrived, or the connection was accepted.
    pub(crate) since: Moment,
    /// Once the head of a request was read.
    pub(crate) ask: Option<Ask>,
    /// The body, for the request's mirrors and retries.
    pub(crate) tee: Tee,
    /// What its answer tells a browser of another origin.
    pub(crate) cors: Vec<route::Header<'static>>,
    flow: Option<Flow>,
}

/// What an exchange fills and reads of a message.
pub(crate) struct Parts<'a> {
    pub(crate) flow: &'a mut Flow,
    pub(crate) tee: &'a mut Tee,
    pub(crate) cors: &'a [route::Header<'static>],
    pub(crate) tries: &'a mut Tries,
}

impl About {
    pub(crate) fn new(since: Moment) -> Self {
        Self { since, ask: None, tee: Tee::default(), cors: Vec::new(), flow: None }
    }

    /// Opens the flow record of a request.
    pub(crate) fn read(&mut self, client: &Client, head: &RequestHead<'_, '_>) {
        let stream = &client.addressed.accepted.stream;
        let mut ask = Ask::of(head);
        // A stream of HTTP/2 ends with its answer; the connection is not this message's.
        ask.keep_alive &= !stream.is_http2();
        self.ask = Some(ask);
        let http = || HttpFlow { version: stream.version(), ..parsed::flow(head) };
        self.flow.get_or_insert_with(|| Flow::request(client, self.since, http()));
    }

    /// The flow record, that of a connection if no request was read.
    pub(crate) fn flow(&mut self, worker: &Rc<Worker>, ends: &Addressing) -> &mut Flow {
        self.flow.get_or_insert_with(|| Flow::connection(worker, ends, self.since))
    }

    /// The parts of a request that was read.
    pub(crate) fn parts<'a>(
        &'a mut self,
        worker: &Rc<Worker>,
        ends: &Addressing,
        tries: &'a mut Tries,
    ) -> Parts<'a> {
        let flow = self.flow.get_or_insert_with(|| Flow::connection(worker, ends, self.since));
        Parts { flow, tee: &mut self.tee, cors: &self.cors, tries }
    }

    /// Answers by ourselves; whether the connection can go on.
    pub(crate) async fn answer(mut self, client: &mut Client, mut refusal: Refusal) -> bool {
        // A head that was refused is a request all the same.
        let nothing = || Flow::refused(client, self.since);
        let flow = self.flow.get_or_insert_with(nothing);
        refusal.fields.append(&mut self.cors);
        client.answer(refusal, self.ask, flow).await
    }
}
