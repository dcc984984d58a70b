//! The request's half of an exchange: its head, then its body as it comes from the client.

use std::task::{Context, Poll, ready};

use codec::http1::Malformed;
use model::flow::FlowReason;

use super::exchange::{End, Exchange, TOGETHER_MAX};
use super::{Ask, Body};
use crate::io::{poll_fill, poll_send};
use crate::mirror::Tee;
use crate::worker::Worker;

/// The request on its way to the endpoint.
pub(super) struct Upload<'e> {
    /// The head, and what was there of the body.
    pub(super) first: Vec<u8>,
    pub(super) first_sent: usize,
    pub(super) head_len: usize,
    pub(super) body: Body,
    /// Bytes of the body so far.
    pub(super) received: usize,
    /// Bytes at the front of the client's input that may be sent.
    pub(super) passing: usize,
    /// The endpoint takes no more; it may have answered all the same.
    pub(super) broken: bool,
    pub(super) tee: &'e mut Tee,
}

impl<'e> Upload<'e> {
    pub(super) fn new(head: Vec<u8>, ask: &Ask, worker: &Worker, tee: &'e mut Tee) -> Self {
        Self {
            head_len: head.len(),
            first: head,
            first_sent: 0,
            body: Body::new(ask.framing, &worker.codec),
            received: 0,
            passing: 0,
            broken: false,
            tee,
        }
    }

    /// Whether no more of the body was sent than what went with the head.
    pub(super) fn is_in_first(&self) -> bool {
        self.head_len + self.received == self.first.len() + self.passing
    }

    /// Whether all of it has been sent.
    pub(super) fn is_done(&self) -> bool {
        self.body.is_done() && self.passing == 0 && self.first_sent == self.first.len() && !self.broken
    }
}

impl Exchange<'_> {
    pub(super) fn poll_upload(&mut self, context: &mut Context<'_>) -> Poll<Result<(), End>> {
        loop {
            if self.up.broken {
                return Poll::Ready(Ok(()));
            }
            if self.up.first_sent < self.up.first.len() {
                let stream = &mut self.upstream.stream;
                if ready!(poll_send(stream, &self.up.first, &mut self.up.first_sent, context)).is_err() {
                    if self.up.first_sent == 0 && self.upstream.is_unsent() {
                        return Poll::Ready(Err(End::Unsent));
                    }
                    self.up.broken = true;
                }
                continue;
            }
            if self.up.passing > 0 {
                let bytes = &self.client.input.filled()[..self.up.passing];
                match ready!(self.upstream.stream.poll_write(context, bytes)) {
                    Ok(count) if count > 0 => {
                        self.client.input.consume(count);
                        self.up.passing -= count;
                        self.moved_up(count);
                    }
                    _ => self.up.broken = true,
                }
                continue;
            }
            if ready!(self.upstream.stream.poll_flush(context)).is_err() {
                self.up.broken = true;
                continue;
            }
            if self.up.body.is_done() {
                return Poll::Ready(Ok(()));
            }
            if self.client.input.is_empty() {
                let max = self.client.worker.config.limits.buffer_bytes;
                let client = &mut *self.client;
                match ready!(poll_fill(
                    &mut client.addressed.accepted.stream,
                    &mut client.input,
                    max,
                    context
                )) {
                    Ok(count) if count > 0 => {}
                    _ => {
                        client.eof = true;
                        return Poll::Ready(Err(End::ClientGone));
                    }
                }
            }
            if let Err(end) = self.take_body() {
                return Poll::Ready(Err(end));
            }
        }
    }

    /// Finds out how much of the client's input belongs to the body.
    pub(super) fn take_body(&mut self) -> Result<(), End> {
        let taken = self.up.body.pass(self.client.input.filled());
        let taken = taken.map_err(|error: Malformed| self.failed(error.status(), FlowReason::BadRequest))?;
        let up = &mut self.up;
        let goes_with_head = up.received == 0 && up.first_sent == 0 && taken <= TOGETHER_MAX;
        up.passing = taken;
        up.received += taken;
        let worker = &self.client.worker;
        let sent = (!goes_with_head).then(|| &up.first[up.head_len..]);
        up.tee.push(worker, sent, &self.client.input.filled()[..taken]);
        if self.up.body.is_done() {
            self.up.tee.send(worker);
        }
        Ok(())
    }
}
