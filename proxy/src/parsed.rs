//! Stage 3. What the client sent is parsed: a request, its path in the one normal form, or bytes
//! that nobody looks into.

use std::mem::MaybeUninit;

use codec::http1::{self, Header, Malformed, RequestHead};
use codec::path::{self, Normalised, PathError};
use model::flow::{FlowReason, HttpFlow, HttpVersion, Text, Text16};
use model::request::{HeaderView, HttpRequest};

use crate::flow::Flow;
use crate::grpc;
use crate::refusal::Refusal;

/// What the client sent.
#[derive(Clone, Copy)]
pub(crate) struct Parsed<'r> {
    pub(crate) message: Message<'r>,
}

impl<'r> Parsed<'r> {
    /// The message, whose path is noted as it is from here on.
    pub(crate) fn of(message: Message<'r>, flow: &mut Flow) -> Self {
        if let Message::Request(request) = message
            && !request.target.is_borrowed()
        {
            flow.path(request.target.target());
        }
        Self { message }
    }
}

/// What is being forwarded.
#[derive(Clone, Copy)]
pub(crate) enum Message<'r> {
    /// One HTTP request.
    Request(&'r Request<'r>),
    /// A connection as such.
    Bytes,
}

/// Room for the fields of one head.
pub(crate) type Room<'b> = [MaybeUninit<Header<'b>>; http1::MAX_FIELDS];

/// A request head as the client sent it, after the one path normalisation.
pub(crate) struct Request<'r> {
    pub(crate) head: RequestHead<'r, 'r>,
    pub(crate) target: Normalised<'r>,
    headers: Headers<'r>,
}

impl<'r> Request<'r> {
    /// Reads a whole head, which [`http1::parse_request`] has seen complete.
    ///
    /// # Errors
    /// The request cannot be forwarded: what to answer.
    pub(crate) fn read(head: RequestHead<'r, 'r>) -> Result<Self, Refusal> {
        // A CONNECT has no path; to rules and routes it is for the whole server.
        let path = if head.method == "CONNECT" { "/" } else { head.path };
        let target = path::normalise(path).map_err(|error| refused(error, grpc::is_call(&head)))?;
        let headers = Headers::of(head.headers.iter().map(view));
        Ok(Self { head, target, headers })
    }

    /// Whether it is a gRPC call.
    pub(crate) fn is_grpc(&self) -> bool {
        grpc::is_call(&self.head)
    }

    /// Whether it asks for a tunnel (RFC 9110 section 9.3.6).
    pub(crate) fn is_connect(&self) -> bool {
        self.head.method == "CONNECT"
    }

    /// Whether it asks to switch to another protocol.
    pub(crate) fn upgrades(&self) -> bool {
        self.head.asked().upgrade.is_some()
    }

    /// The view that egress policy and routes see.
    pub(crate) fn view(&self) -> HttpRequest<'_> {
        HttpRequest {
            method: self.head.method,
            authority: self.head.authority,
            path: self.target.path(),
            query: self.target.query(),
            target: self.target.target(),
            headers: self.headers.as_slice(),
        }
    }
}

/// The HTTP part of a flow record, as far as the head goes.
pub(crate) fn flow(head: &RequestHead<'_, '_>) -> HttpFlow {
    HttpFlow {
        method: Text16::new(head.method),
        authority: Text::new(head.authority),
        path: Text::new(head.path),
        status: 0,
        version: HttpVersion::Http1,
    }
}

/// Reads the head at the start of `bytes`, which hold all of it.
///
/// # Errors
/// The client is to blame: what to answer.
pub(crate) fn head<'r>(
    bytes: &'r [u8],
    room: &'r mut Room<'r>,
    limits: &http1::Limits,
) -> Result<RequestHead<'r, 'r>, Refusal> {
    let head = http1::parse_request(bytes, room, limits).map_err(malformed)?;
    head.ok_or_else(|| malformed(Malformed::StartLine))
}

/// A head that is refused: the answer, after which the connection is of no use.
pub(crate) fn malformed(error: Malformed) -> Refusal {
    Refusal::new(error.status(), FlowReason::BadRequest).closing()
}

fn refused(error: PathError, is_grpc: bool) -> Refusal {
    let status = error.status();
    match error {
        // A gRPC client follows none.
        PathError::RedirectTo(_) if is_grpc => Refusal::new(400, FlowReason::BadRequest).closing(),
        PathError::RedirectTo(location) => Refusal::redirect(status, location),
        _ => Refusal::new(status, FlowReason::BadRequest).closing(),
    }
}

/// A header field as policies and routes see it.
pub(crate) fn view<'b>(header: &Header<'b>) -> HeaderView<'b> {
    HeaderView { name: header.name, value: header.value }
}

/// Header views without an allocation for as many fields as requests usually have.
pub(crate) struct Headers<'r> {
    few: [HeaderView<'r>; FEW],
    len: usize,
    many: Vec<HeaderView<'r>>,
}

const FEW: usize = 16;

impl<'r> Headers<'r> {
    pub(crate) fn of(views: impl IntoIterator<Item = HeaderView<'r>>) -> Self {
        let mut headers = Self { few: [HeaderView { name: "", value: b"" }; FEW], len: 0, many: Vec::new() };
        for view in views {
            if let Some(slot) = headers.few.get_mut(headers.len) {
                *slot = view;
            } else {
                if headers.many.is_empty() {
                    headers.many.extend_from_slice(&headers.few);
                }
                headers.many.push(view);
            }
            headers.len += 1;
        }
        headers
    }

    pub(crate) fn as_slice(&self) -> &[HeaderView<'r>] {
        if self.len > FEW { &self.many } else { &self.few[..self.len] }
    }
}

#[cfg(test)]
mod tests;
