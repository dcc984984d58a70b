//! The answer's half of an exchange: its head with edits, then its body as it comes.

use std::cell::Cell;
use std::io::ErrorKind;
use std::task::{Context, Poll, ready};

use codec::http1::write::{self, ResponseEdits};
use codec::http1::{FieldSet, Framing, Malformed, ResponseHead, Version};
use model::flow::FlowReason;

use super::Body;
use super::exchange::{End, Exchange, TOGETHER_MAX, may_repeat};
use crate::buffer::Buffer;
use crate::client::Client;
use crate::forward::editable;
use crate::grpc;
use crate::io::{poll_fill, poll_send};
use crate::parsed::Room;
use crate::permitted::Permitted;
use crate::worker::Worker;

/// The answer on its way to the client.
pub(super) struct Download {
    pub(super) input: Buffer,
    pub(super) answered: bool,
    /// Interim responses that came before.
    interim: usize,
    /// Whether a gRPC call went well is said at its end.
    pub(super) awaits_end: Cell<bool>,
    pub(super) switched: bool,
    pub(super) body: Body,
    /// Bytes at the front of the input that may be sent.
    pub(super) passing: usize,
    /// The client is told the body without its chunks.
    pub(super) decodes: bool,
    pub(super) keeps_upstream: bool,
    pub(super) keeps_client: bool,
}

impl Download {
    pub(super) fn new(worker: &Worker) -> Self {
        Self {
            input: Buffer::new(&worker.buffers),
            answered: false,
            interim: 0,
            awaits_end: Cell::new(false),
            switched: false,
            body: Body::Done,
            passing: 0,
            decodes: false,
            keeps_upstream: false,
            keeps_client: false,
        }
    }
}

impl Exchange<'_> {
    pub(super) fn poll_download(&mut self, context: &mut Context<'_>) -> Poll<End> {
        loop {
            if let Err(end) = ready!(self.poll_to_client(context)) {
                return Poll::Ready(end);
            }
            if self.down.switched {
                return Poll::Ready(End::Switched);
            }
            if self.down.answered && self.down.body.is_done() {
                return Poll::Ready(self.done());
            }
            match self.take() {
                Ok(true) => {}
                Ok(false) => {
                    if let Err(end) = ready!(self.poll_from_upstream(context)) {
                        return Poll::Ready(end);
                    }
                }
                Err(end) => return Poll::Ready(end),
            }
        }
    }

    fn poll_to_client(&mut self, context: &mut Context<'_>) -> Poll<Result<(), End>> {
        let client = &mut *self.client;
        let stream = &mut client.addressed.accepted.stream;
        if !client.out.is_empty() {
            if ready!(poll_send(stream, &client.out, &mut client.sent, context)).is_err() {
                return Poll::Ready(Err(End::ClientGone));
            }
            client.out.clear();
            client.sent = 0;
        }
        let mut sent = 0;
        let bytes = &self.down.input.filled()[..self.down.passing];
        let polled = poll_send(stream, bytes, &mut sent, context);
        if sent > 0 {
            self.down.input.consume(sent);
            self.down.passing -= sent;
            self.moved_down(sent);
        }
        polled.map_err(|_| End::ClientGone)
    }

    /// Reads on. At the end of the stream a body that only the close ends is whole.
    fn poll_from_upstream(&mut self, context: &mut Context<'_>) -> Poll<Result<(), End>> {
        let limits = &self.client.worker.config.limits;
        let max = if self.down.answered { limits.buffer_bytes } else { limits.head_bytes };
        let polled = poll_fill(&mut self.upstream.stream, &mut self.down.input, max, context);
        Poll::Ready(match ready!(polled) {
            Ok(count) if count > 0 => {
                self.progress();
                Ok(())
            }
            Ok(_) if self.down.answered && matches!(self.down.body, Body::UntilClose) => {
                self.down.body = Body::Done;
                Ok(())
            }
            // Not a head that is too long: the pod's memory is used up.
            Err(error) if error.kind() == ErrorKind::StorageFull && self.down.input.len() < max => {
                Err(self.failed(502, FlowReason::Limit))
            }
            _ if self.was_stale() => Err(End::Unsent),
            _ => Err(self.failed(502, FlowReason::UpstreamFailed)),
        })
    }

    /// Whether the endpoint closed a connection that was idle as a request was on its way that may
    /// be repeated unasked, and said nothing; or has not looked at any request that is still here.
    fn was_stale(&self) -> bool {
        let silent = !self.down.answered && self.down.interim == 0 && self.down.input.is_empty();
        let is_there = self.up.is_in_first() || self.up.tee.holds(self.up.received);
        let unprocessed = self.upstream.stream.is_unprocessed() && is_there;
        silent && (unprocessed || (self.upstream.may_be_stale() && self.ask.is_repeatable))
    }

    /// Takes what can be taken of what is there; false: more has to be read.
    fn take(&mut self) -> Result<bool, End> {
        match (self.down.input.is_empty(), self.down.answered) {
            (true, _) => Ok(false),
            (false, true) => self.take_answer().map(|()| true),
            (false, false) => self.take_head(),
        }
    }

    /// Reads the head of an answer, if it is whole, and as much of the body as is there.
    fn take_head(&mut self) -> Result<bool, End> {
        let mut room: Room<'_> = codec::http1::uninit_headers();
        let (limits, asked) = (self.client.worker.codec, self.ask.asked());
        let head = codec::http1::parse_response(self.down.input.filled(), &mut room, &limits, &asked);
        let failed = || End::Failed { status: 502, reason: FlowReason::UpstreamFailed };
        let Some(head) = head.map_err(|error| self.malformed(error))? else { return Ok(false) };
        let consumed = head.head_len;
        if head.is_interim() {
            self.down.interim += 1;
            if self.down.interim > self.client.worker.config.limits.interim_responses {
                self.client.worker.stats.limit_interim.add();
                return Err(failed());
            }
        } else if self.is_unsayable(&head) {
            return Err(failed());
        }
        if !head.is_interim() {
            self.judge_head(&head);
            if self.tries.wants(head.status) {
                let rest = self.down.input.filled().get(consumed..).unwrap_or_default();
                let whole = is_whole(Body::new(head.framing, &limits), rest);
                let keeps_upstream = head.keep_alive && whole && self.up.is_done();
                if may_repeat(self.tries, &self.up, self.client, self.target) {
                    return Err(End::Again { keeps_upstream });
                }
            }
        }
        let is_old = self.ask.version == Version::Http10;
        if head.is_interim() && is_old {
            self.down.input.consume(consumed);
            return Ok(true);
        }
        let sent_framing = head.framing_for(self.ask.version);
        // A body that is still on its way after the answer would be taken for the next request.
        let keeps_client = self.ask.keep_alive
            && self.up.body.is_done()
            && sent_framing != Framing::UntilClose
            && !self.client.live().is_draining();
        let (removed, fields) = edited(&head, self.permitted, self.cors);
        let edits = ResponseEdits { removed, client: self.ask.version, keep_alive: keeps_client };
        send_head(self.client, &head, &edits, &fields)?;
        if !head.is_interim() {
            self.flow.status(head.status);
            self.down.answered = true;
            self.down.switched = head.tunnel;
            self.down.body = Body::new(head.framing, &limits);
            self.down.decodes = head.framing == Framing::Chunked && is_old;
            self.down.keeps_upstream = head.keep_alive;
            self.down.keeps_client = keeps_client;
        }
        self.down.input.consume(consumed);
        if self.down.answered {
            self.take_answer()?;
        }
        Ok(true)
    }

    /// Finds out how much of the endpoint's bytes belong to the body, and has them sent.
    fn take_answer(&mut self) -> Result<(), End> {
        let out = &mut self.client.out;
        let broken = |_| End::Failed { status: 0, reason: FlowReason::UpstreamFailed };
        if self.down.decodes {
            let before = out.len();
            let taken = self.down.body.decode(self.down.input.filled(), out).map_err(broken)?;
            self.down.input.consume(taken);
            self.flow.count_out(self.client.out.len() - before);
            return Ok(());
        }
        let taken = self.down.body.pass(self.down.input.filled()).map_err(broken)?;
        self.flow.count_out(taken);
        if !out.is_empty() && taken <= TOGETHER_MAX {
            out.extend_from_slice(&self.down.input.filled()[..taken]);
            self.down.input.consume(taken);
        } else {
            self.down.passing = taken;
        }
        Ok(())
    }

    /// A head that cannot be read, or is too long to be.
    fn malformed(&self, error: Malformed) -> End {
        if error.status() == 431 {
            self.client.worker.stats.limit_head.add();
        }
        End::Failed { status: 502, reason: FlowReason::UpstreamFailed }
    }

    /// Whether the client would take this answer for another: to an extended CONNECT any success says
    /// that the tunnel stands (RFC 8441 section 5).
    fn is_unsayable(&self, head: &ResponseHead<'_, '_>) -> bool {
        let no_switch = self.ask.asked().upgrade.is_some() && !head.tunnel;
        no_switch && (200..300).contains(&head.status) && self.client.addressed.accepted.stream.is_http2()
    }

    /// What an answer's head says of the endpoint's health.
    fn judge_head(&self, head: &ResponseHead<'_, '_>) {
        let is_call = self.ask.is_grpc && head.status == 200;
        let ended = is_call.then(|| grpc::ended(head)).flatten();
        self.down.awaits_end.set(is_call && ended.is_none());
        if !self.down.awaits_end.get() {
            self.judge(head.status >= 500 || ended == Some(grpc::Ended::Failed));
        }
    }

    /// The endpoint has answered, well or not: that is noted of its health.
    fn judge(&self, has_failed: bool) {
        let worker = &self.client.worker;
        worker.resilience.answered(self.target, has_failed, worker.clock.coarse());
    }

    fn done(&self) -> End {
        if self.down.awaits_end.get() {
            self.judge(self.upstream.stream.call_ended() == Some(grpc::Ended::Failed));
        }
        let uploaded = self.up.is_done();
        End::Done {
            keeps_client: self.down.keeps_client && uploaded,
            is_last: !self.ask.keep_alive && uploaded,
            keeps_upstream: self.down.keeps_upstream && uploaded && self.down.input.is_empty(),
        }
    }
}

/// Has the head sent: at once where the client's stream takes it as it is, else as text.
fn send_head(
    client: &mut Client,
    head: &ResponseHead<'_, '_>,
    edits: &ResponseEdits,
    fields: &[route::Header<'_>],
) -> Result<(), End> {
    let added = fields.iter().map(|field| (&*field.name, &*field.value));
    let added = added.filter(|(name, value)| write::is_addable(name, value));
    // What is still to be written comes first.
    let is_next = client.out.is_empty();
    let sent = is_next.then(|| client.stream().send_response(head, edits.removed, added.clone())).flatten();
    let failed = || End::Failed { status: 502, reason: FlowReason::UpstreamFailed };
    match sent {
        Some(sent) => sent.map_err(|error| match error.kind() {
            ErrorKind::InvalidData => failed(),
            _ => End::ClientGone,
        }),
        None => write::response(&mut client.out, head, edits, added).map_err(|_| failed()),
    }
}

/// Whether these bytes are the whole of a body and nothing else.
fn is_whole(mut body: Body, bytes: &[u8]) -> bool {
    body.pass(bytes).is_ok_and(|taken| taken == bytes.len()) && body.is_done()
}

/// The fields of an answer that go out changed, and which of its own they stand for: by the filters of
/// the route, then for a browser of another origin. An interim answer goes out as it is.
fn edited<'b>(
    head: &ResponseHead<'_, 'b>,
    permitted: &'b Permitted,
    cors: &'b [route::Header<'static>],
) -> (FieldSet, Vec<route::Header<'b>>) {
    let mut edits = permitted.response_edits().peekable();
    if head.is_interim() || (edits.peek().is_none() && cors.is_empty()) {
        return (FieldSet::EMPTY, Vec::new());
    }
    let (removed, mut fields) = editable(head.headers, head.hop_by_hop);
    for edits in edits {
        route::edit_headers(edits, &mut fields);
    }
    if !cors.is_empty() {
        route::merge_cors(cors, &mut fields);
    }
    (removed, fields)
}
