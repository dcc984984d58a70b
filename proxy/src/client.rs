//! The client's side of a connection: its bytes in, its bytes out, and how it ends.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use codec::http1::write::{self, Reply};
use codec::http1::{self, Version};
use codec::{Detected, detect};
use model::flow::{FlowReason, FlowVerdict};

use crate::addressed::{Addressed, Addressing};
use crate::buffer::Buffer;
use crate::clock::Moment;
use crate::flow::{Carried, Flow};
use crate::grpc;
use crate::http1::{Ask, Body};
use crate::io::{poll_fill, poll_send};
use crate::live::{Live, Signal};
use crate::parsed::{self, Room};
use crate::refusal::Refusal;
use crate::stream::Stream;
use crate::worker::Worker;

/// A client on its connection.
pub(crate) struct Client {
    pub(crate) worker: Rc<Worker>,
    pub(crate) addressed: Addressed,
    /// Bytes received and not yet taken.
    pub(crate) input: Buffer,
    /// Bytes to send, and how many of them are sent.
    pub(crate) out: Vec<u8>,
    pub(crate) sent: usize,
    /// The client has closed its sending side.
    pub(crate) eof: bool,
    /// The client said that it sends no more after what was read.
    pub(crate) is_last: bool,
    /// Its address as text.
    pub(crate) address: Rc<str>,
    /// What its requests came to.
    pub(crate) carried: Rc<Carried>,
    /// Why it was ended, if not by its requests.
    ended: Option<(FlowVerdict, FlowReason)>,
    served: bool,
    /// The proxy ends, and nothing was under way: a last request is waited for.
    leaving: bool,
}

impl Client {
    pub(crate) fn new(worker: &Rc<Worker>, addressed: Addressed) -> Self {
        let address = addressed.accepted.client.ip().to_string().into();
        Self::of_streams(worker, addressed, (address, Rc::default()))
    }

    /// The client of HTTP/2 streams, one after the other, with the address as text and the counts of
    /// its connection.
    pub(crate) fn of_streams(
        worker: &Rc<Worker>,
        addressed: Addressed,
        (address, carried): (Rc<str>, Rc<Carried>),
    ) -> Self {
        Self {
            worker: worker.clone(),
            input: Buffer::new(&worker.buffers),
            out: Vec::new(),
            sent: 0,
            eof: false,
            is_last: false,
            address,
            carried,
            ended: None,
            served: false,
            leaving: false,
            addressed,
        }
    }

    /// The connection is ended for this reason.
    pub(crate) fn end_for(&mut self, verdict: FlowVerdict, reason: FlowReason) {
        self.ended = Some((verdict, reason));
    }

    pub(crate) fn live(&self) -> &Live {
        &self.addressed.accepted.live
    }

    pub(crate) fn stream(&mut self) -> &mut Stream {
        &mut self.addressed.accepted.stream
    }

    /// What was received and not yet taken.
    pub(crate) fn take_input(&mut self) -> Buffer {
        std::mem::replace(&mut self.input, Buffer::new(&self.worker.buffers))
    }

    /// Waits until a request's head may be whole, or the client has shown to speak HTTP/2.
    pub(crate) async fn receive(&mut self) -> Received {
        let limits = &self.worker.config.limits;
        let (idle_timeout, head_timeout) = (limits.idle_timeout, limits.head_timeout);
        let since = if self.served { self.worker.clock.coarse() } else { self.addressed.accepted.since };
        let timeout = if self.served { idle_timeout } else { head_timeout };
        let mut checked = 0;
        let mut began = None;
        self.live().arm(since + timeout);
        loop {
            if !self.input.is_empty() {
                if began.is_none() {
                    let now = self.worker.clock.now();
                    began = Some(now);
                    if self.served {
                        self.live().arm(now + head_timeout);
                    }
                }
                match self.check_head(&mut checked) {
                    Ok(Head::Whole) => return Received::Request(began.unwrap_or(since)),
                    Ok(Head::Http2) => return Received::Http2,
                    Ok(Head::NeedMore) => {}
                    Err(refusal) => return Box::pin(self.reject(refusal, began)).await,
                }
            }
            match poll_fn(|context| self.poll_idle(context)).await {
                Wait::Bytes => {}
                Wait::End if self.input.is_empty() => return Received::Done,
                Wait::End => {
                    let refusal = Refusal::new(400, FlowReason::ClientGone).closing();
                    return Box::pin(self.reject(refusal, began)).await;
                }
                Wait::TooLate => return Box::pin(self.too_late(began)).await,
            }
        }
    }

    /// Whether the input may hold a whole head. A head that goes on is looked at when a line has
    /// ended or much has come, so that one sent byte by byte costs little.
    fn check_head(&self, checked: &mut usize) -> Result<Head, Refusal> {
        let input = self.input.filled();
        if !self.served && *checked == 0 {
            if self.addressed.accepted.stream.agreed_on_http2() {
                return Ok(Head::Http2);
            }
            match detect(input) {
                Detected::Http1 => {}
                Detected::NeedMore => return Ok(Head::NeedMore),
                Detected::Http2Preface => return Ok(Head::Http2),
                Detected::NotHttp => return Err(Refusal::new(0, FlowReason::NotHttp).closing()),
            }
        }
        if input.ends_with(b"\r\n\r\n") {
            return Ok(Head::Whole);
        }
        let fresh = &input[*checked..];
        if !fresh.contains(&b'\n') && fresh.len() < CHECK_BYTES {
            return Ok(Head::NeedMore);
        }
        *checked = input.len();
        let mut room: Room<'_> = http1::uninit_headers();
        let head = http1::parse_request(input, &mut room, &self.worker.codec);
        let is_whole = head.map_err(parsed::malformed)?.is_some();
        Ok(if is_whole { Head::Whole } else { Head::NeedMore })
    }

    fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<Wait> {
        let is_idle = self.served && self.input.is_empty();
        while let Some(signal) = self.live().poll(context) {
            match signal {
                Signal::Deadline if is_idle && self.leaving => return Poll::Ready(Wait::End),
                Signal::Deadline => return Poll::Ready(Wait::TooLate),
                Signal::Judge => {
                    let worker = self.worker.clone();
                    self.addressed.refresh(&worker);
                    if self.addressed.ends.is_closed() {
                        worker.stats.revoked.add();
                        self.ended = Some((FlowVerdict::Denied, FlowReason::PolicyRevoked));
                        self.input.release();
                        return Poll::Ready(Wait::End);
                    }
                }
            }
        }
        if is_idle && self.live().is_draining() && !self.leaving {
            // The next request may be on its way: it is answered, with `Connection: close`.
            self.leaving = true;
            self.live().arm(self.worker.clock.now() + self.worker.config.limits.drain_idle);
        }
        let max = self.worker.config.limits.head_bytes.max(self.worker.config.limits.buffer_bytes);
        match ready!(poll_fill(&mut self.addressed.accepted.stream, &mut self.input, max, context)) {
            Ok(count) if count > 0 => Poll::Ready(Wait::Bytes),
            // The pod's memory is used up: there is none to wait for the client's end with.
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                self.eof = true;
                self.ended = Some((FlowVerdict::Failed, FlowReason::Limit));
                self.input.release();
                Poll::Ready(Wait::End)
            }
            Ok(_) | Err(_) => {
                self.eof = true;
                Poll::Ready(Wait::End)
            }
        }
    }

    async fn too_late(&mut self, began: Option<Moment>) -> Received {
        let stats = &self.worker.stats;
        if self.served && began.is_none() {
            stats.limit_idle_timeout.add();
            return Received::Done;
        }
        stats.limit_head_timeout.add();
        let status = if began.is_some() { 408 } else { 0 };
        self.reject(Refusal::new(status, FlowReason::ClientTimeout).closing(), began).await
    }

    /// Answers what never became a request.
    pub(crate) async fn reject(&mut self, refusal: Refusal, began: Option<Moment>) -> Received {
        let since = began.unwrap_or(self.addressed.accepted.since);
        let mut flow = match refusal.status {
            0 => Flow::connection(&self.worker, &self.addressed.ends, since),
            _ => Flow::refused(self, since),
        };
        self.answer(refusal, None, &mut flow).await;
        Received::Done
    }

    /// Answers by ourselves. Whether the connection can go on after it.
    pub(crate) async fn answer(&mut self, refusal: Refusal, ask: Option<Ask>, flow: &mut Flow) -> bool {
        if refusal.status == 431 || refusal.status == 414 {
            self.worker.stats.limit_head.add();
        }
        flow.refuse(&refusal);
        if refusal.status == 0 {
            self.input.release();
            return false;
        }
        flow.status(refusal.status);
        let codec = self.worker.codec;
        let mut body = ask.map_or(Body::Done, |ask| Body::new(ask.framing, &codec));
        let wants = ask.is_some_and(|ask| ask.keep_alive && !ask.expects) && !refusal.closes;
        let keep_alive = wants && !self.live().is_draining() && self.discard(&mut body);
        // A redirect is none for a gRPC client, but it is the route's word.
        let is_call = ask.is_some_and(|ask| ask.is_grpc) && refusal.location.is_none();
        let call = is_call.then(|| grpc::fields(refusal.status, refusal.body()));
        let (status, text) = if is_call { (200, "") } else { (refusal.status, refusal.body()) };
        let reply = Reply {
            status,
            body: text.as_bytes(),
            head_only: ask.is_some_and(|ask| ask.is_head),
            client: ask.map_or(Version::Http11, |ask| ask.version),
            keep_alive,
        };
        let location = refusal.location.as_deref().map(|to| ("location", to.as_bytes()));
        let fields = refusal.fields.iter().map(|field| (&*field.name, &*field.value));
        let fields = location.into_iter().chain(call.into_iter().flatten()).chain(fields);
        if write::reply(&mut self.out, &reply, fields).is_err() {
            // Only a `Location` that a route made of strange parts can be to blame.
            flow.end(refusal.verdict, FlowReason::InvalidBackend);
            return false;
        }
        flow.count_out(reply.body.len());
        self.live().arm(self.worker.clock.coarse() + self.worker.config.limits.head_timeout);
        let sent = poll_fn(|context| self.poll_flush(context)).await;
        sent && keep_alive && self.discard_rest(body).await
    }

    /// Takes what is there of a body that nobody needs; whether the rest is worth waiting for.
    fn discard(&mut self, body: &mut Body) -> bool {
        let Ok(taken) = body.pass(self.input.filled()) else { return false };
        self.input.consume(taken);
        let short = match body {
            Body::Length(left) => *left <= self.worker.config.limits.discard_bytes,
            Body::Done | Body::Chunked(_) => true,
            Body::UntilClose => false,
        };
        if !short {
            self.worker.stats.limit_discard.add();
        }
        short
    }

    async fn discard_rest(&mut self, mut body: Body) -> bool {
        let mut left = self.worker.config.limits.discard_bytes;
        while !body.is_done() {
            if !matches!(poll_fn(|context| self.poll_idle(context)).await, Wait::Bytes) {
                return false;
            }
            let Ok(taken) = body.pass(self.input.filled()) else { return false };
            self.input.consume(taken);
            left = left.saturating_sub(taken as u64);
            if left == 0 && !body.is_done() {
                self.worker.stats.limit_discard.add();
                return false;
            }
        }
        self.done();
        true
    }

    /// A stream begins.
    pub(crate) fn begin(&mut self, since: Moment, ends: Rc<Addressing>) {
        self.addressed.accepted.since = since;
        self.addressed.ends = ends;
    }

    /// The stream is over, whatever came of it.
    pub(crate) fn rest(&mut self) {
        self.input.release();
        self.out.clear();
        (self.sent, self.eof, self.ended) = (0, false, None);
        self.done();
        self.live().arm(Moment::NEVER);
        if let Stream::Http2(stream) = self.stream() {
            stream.rest();
        }
    }

    /// The connection is ready for its next request.
    pub(crate) fn done(&mut self) {
        self.served = true;
        if self.out.is_empty() {
            self.worker.spares.give(std::mem::take(&mut self.out));
        }
    }

    /// Sends what is to be sent; false when the client is gone or too slow.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        while let Some(signal) = self.live().poll(context) {
            if signal == Signal::Deadline {
                return Poll::Ready(false);
            }
        }
        let stream = &mut self.addressed.accepted.stream;
        let sent = ready!(poll_send(stream, &self.out, &mut self.sent, context));
        self.out.clear();
        self.sent = 0;
        Poll::Ready(sent.is_ok())
    }

    /// Writes the record of a connection that carried requests, or was ended for a reason of its own.
    pub(crate) fn conclude(&self) {
        if self.carried.is_empty() && self.ended.is_none() {
            return;
        }
        let since = self.addressed.accepted.since;
        let mut flow = Flow::carrier(&self.worker, &self.addressed.ends, since, &self.carried);
        if let Some((verdict, reason)) = self.ended {
            flow.end(verdict, reason);
        }
    }

    /// Ends the connection so that the client reads the last answer: a close with bytes unread
    /// would reset it.
    pub(crate) async fn close(&mut self) {
        if self.stream().is_http2() {
            if poll_fn(|context| self.stream().poll_shutdown(context)).await.is_ok() {
                self.live().arm(self.worker.clock.coarse() + self.worker.config.limits.linger_timeout);
                let mut left = self.worker.config.limits.discard_bytes;
                poll_fn(|context| self.poll_request_end(&mut left, context)).await;
            }
            return;
        }
        // To wait for the end of one who sends no more would take two system calls and a wake-up.
        let is_last = self.is_last && self.input.is_empty() && self.stream().is_drained();
        if (self.eof || is_last) && !self.stream().is_tls() {
            return;
        }
        self.input.release();
        self.live().arm(self.worker.clock.coarse() + self.worker.config.limits.linger_timeout);
        // In TLS the end has to be said, to one who has ended too.
        if poll_fn(|context| self.poll_end(context)).await && !self.eof {
            poll_fn(|context| self.poll_linger(context)).await;
        }
    }

    /// Ends our direction; false when the client is gone or too slow.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        while let Some(signal) = self.live().poll(context) {
            if signal == Signal::Deadline {
                self.worker.stats.limit_linger_timeout.add();
                return Poll::Ready(false);
            }
        }
        self.stream().poll_shutdown(context).map(|shut| shut.is_ok())
    }

    /// Throws away what an HTTP/2 client still sends of a request that was answered before its end,
    /// up to `left` bytes: dropped now the stream would be reset, which clients take for a failure.
    fn poll_request_end(&mut self, left: &mut u64, context: &mut Context<'_>) -> Poll<()> {
        while let Some(signal) = self.live().poll(context) {
            if signal == Signal::Deadline {
                self.worker.stats.limit_linger_timeout.add();
                return Poll::Ready(());
            }
        }
        let Stream::Http2(stream) = self.stream() else { return Poll::Ready(()) };
        ready!(stream.poll_discard(left, context));
        if *left == 0 {
            self.worker.stats.limit_discard.add();
        }
        Poll::Ready(())
    }

    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            while let Some(signal) = self.live().poll(context) {
                if signal == Signal::Deadline {
                    self.worker.stats.limit_linger_timeout.add();
                    return Poll::Ready(());
                }
            }
            let stream = &mut self.addressed.accepted.stream;
            match ready!(poll_fill(stream, &mut self.input, CHECK_BYTES, context)) {
                Ok(count) if count > 0 => self.input.release(),
                _ => return Poll::Ready(()),
            }
        }
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(&mut self) {
        self.stream().reset();
    }
}

/// What a client sent.
pub(crate) enum Received {
    /// A request, whose head may be whole. When its first byte arrived.
    Request(Moment),
    /// The preface of HTTP/2, which is still in the input.
    Http2,
    /// Nothing more: the connection is done, and an answer, if one is due, has been sent.
    Done,
}

/// What the first look at a head shows.
enum Head {
    Whole,
    NeedMore,
    Http2,
}

/// What a wait for the client's bytes came to.
enum Wait {
    Bytes,
    /// The client is done, or the proxy is with it.
    End,
    TooLate,
}

/// Bytes of a head that come between two looks at it, if no line ends before.
const CHECK_BYTES: usize = 4096;
