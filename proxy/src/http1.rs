//! HTTP/1.1 between a client and an endpoint.

mod body;
mod deadline;
mod download;
mod exchange;
mod pace;
mod upload;

pub(crate) use body::Body;
pub(crate) use deadline::Deadline;
pub(crate) use exchange::{End, Exchange, Sending};

use std::time::Duration;

use codec::http1::{Asked, Framing, RequestHead, Version};

use crate::grpc;

/// What an exchange needs to know of its request's head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) head_len: usize,
    pub(crate) framing: Framing,
    pub(crate) version: Version,
    /// The client lets the connection be used again.
    pub(crate) keep_alive: bool,
    /// The method is HEAD.
    pub(crate) is_head: bool,
    /// GET, HEAD or OPTIONS without a body: it may be repeated unasked (RFC 9110 section 9.2.2).
    pub(crate) is_repeatable: bool,
    /// The method is CONNECT.
    pub(crate) is_connect: bool,
    /// `websocket` was asked for.
    pub(crate) upgrades: bool,
    /// The client waits for 100 before it sends the body.
    pub(crate) expects: bool,
    /// It is a gRPC call.
    pub(crate) is_grpc: bool,
    /// The time that the client of a gRPC call allows it.
    pub(crate) timeout: Option<Duration>,
}

impl Ask {
    /// What the framing of the answer depends on.
    pub(crate) fn asked(&self) -> Asked<'static> {
        let method = match self {
            Self { is_head: true, .. } => "HEAD",
            Self { is_connect: true, .. } => "CONNECT",
            _ => "GET",
        };
        Asked { method, upgrade: self.upgrades.then_some("websocket") }
    }

    pub(crate) fn of(head: &RequestHead<'_, '_>) -> Self {
        let is_grpc = grpc::is_call(head);
        Self {
            head_len: head.head_len,
            framing: head.framing,
            version: head.version,
            keep_alive: head.keep_alive,
            is_head: head.method == "HEAD",
            is_connect: head.method == "CONNECT",
            is_repeatable: matches!(head.method, "GET" | "HEAD" | "OPTIONS")
                && matches!(head.framing, Framing::None | Framing::Length(0)),
            upgrades: head.upgrade.is_some_and(|name| name.eq_ignore_ascii_case("websocket")),
            expects: head.expect_continue,
            is_grpc,
            timeout: if is_grpc { grpc::timeout(head) } else { None },
        }
    }
}
