//! HTTP/1.1 between a client and an endpoint.

mod body;
mod deadline;
mod download;
mod exchange;
mod upload;

pub(crate) use body::Body;
pub(crate) use deadline::Deadline;
pub(crate) use exchange::{End, Exchange, Sending};

use codec::http1::{Framing, RequestHead, Version};

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
    /// `websocket` was asked for.
    pub(crate) upgrades: bool,
    /// The client waits for 100 before it sends the body.
    pub(crate) expects: bool,
}

impl Ask {
    pub(crate) fn of(head: &RequestHead<'_, '_>) -> Self {
        Self {
            head_len: head.head_len,
            framing: head.framing,
            version: head.version,
            keep_alive: head.keep_alive,
            is_head: head.method == "HEAD",
            upgrades: head.upgrade.is_some_and(|name| name.eq_ignore_ascii_case("websocket")),
            expects: head.expect_continue,
        }
    }
}
