//! The answer's half of an exchange: its head with edits, then its body as it comes.

use std::io::ErrorKind;
use std::task::{Context, Poll, ready};

use codec::http1::write::{self, ResponseEdits};
use codec::http1::{FieldSet, Framing, Version};
use model::flow::FlowReason;

use super::Body;
use super::exchange::{End, Exchange, TOGETHER_MAX, may_repeat};
use crate::buffer::Buffer;
use crate::forward::editable;
use crate::io::{poll_fill, poll_send};
use crate::parsed::Room;
use crate::worker::Worker;

/// The answer on its way to the client.
pub(super) struct Download {
    pub(super) input: Buffer,
    pub(super) answered: bool,
    /// Interim responses that came before.
    interim: usize,
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
            self.progress();
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
        let unprocessed = self.upstream.stream.is_unprocessed() && self.up.is_in_first();
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
        let asked = self.ask.asked();
        let mut room: Room<'_> = codec::http1::uninit_headers();
        let limits = &self.client.worker.codec;
        let head = codec::http1::parse_response(self.down.input.filled(), &mut room, limits, &asked);
        let failed = || End::Failed { status: 502, reason: FlowReason::UpstreamFailed };
        let Some(head) = head.map_err(|_| failed())? else { return Ok(false) };
        let consumed = head.head_len;
        if head.is_interim() {
            self.down.interim += 1;
            if self.down.interim > self.client.worker.config.limits.interim_responses {
                self.client.worker.stats.limit_interim.add();
                return Err(failed());
            }
        }
        if !head.is_interim() {
            let (status, worker) = (head.status, &self.client.worker);
            worker.resilience.answered(self.target, status, worker.clock.coarse());
            if self.tries.wants(status) {
                let mut body = Body::new(head.framing, limits);
                let rest = self.down.input.filled().get(consumed..).unwrap_or_default();
                let whole = body.pass(rest).is_ok_and(|taken| taken == rest.len()) && body.is_done();
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
        let (mut removed, mut fields) = (FieldSet::EMPTY, Vec::new());
        if !head.is_interim() {
            for edits in self.permitted.response_edits() {
                if removed.is_empty() && fields.is_empty() {
                    (removed, fields) = editable(head.headers, head.hop_by_hop);
                }
                route::edit_headers(edits, &mut fields);
            }
            if !self.cors.is_empty() {
                if removed.is_empty() && fields.is_empty() {
                    (removed, fields) = editable(head.headers, head.hop_by_hop);
                }
                route::merge_cors(self.cors, &mut fields);
            }
        }
        let edits = ResponseEdits { removed, client: self.ask.version, keep_alive: keeps_client };
        let added = fields.iter().map(|field| (&*field.name, &*field.value));
        let added = added.filter(|(name, value)| write::is_addable(name, value));
        write::response(&mut self.client.out, &head, &edits, added).map_err(|_| failed())?;
        if !head.is_interim() {
            self.flow.status(head.status);
            self.down.answered = true;
            self.down.switched = head.tunnel;
            self.down.body = Body::new(head.framing, limits);
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

    fn done(&self) -> End {
        let uploaded = self.up.is_done();
        End::Done {
            keeps_client: self.down.keeps_client && uploaded,
            keeps_upstream: self.down.keeps_upstream && uploaded && self.down.input.is_empty(),
        }
    }
}
