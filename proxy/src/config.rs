//! What a proxy is started with.

use std::net::TcpListener;

use crate::limits::Limits;

/// How the data plane runs. Fixed for the life of a [`crate::Proxy`].
#[derive(Clone, Debug)]
pub struct Config {
    /// Worker threads; at least one.
    pub workers: usize,
    /// Pin worker `n` to the `n`th CPU that the process may use.
    pub pin: bool,
    /// Upstream sockets may take foreign source addresses and carry the mark [`Config::MARK`].
    /// Needs CAP_NET_ADMIN; false where nothing is redirected by eBPF.
    pub transparent: bool,
    /// Bounds on what connections may use.
    pub limits: Limits,
}

impl Config {
    /// `SO_MARK` of everything the proxy itself sends: tells the TC programs not to redirect it again.
    pub const MARK: u32 = 0xb00;
    /// Source ports of upstream connections, disjoint from those that pods take by default so that
    /// no connection of the proxy can have the 4-tuple of a pod's. They are bound one by one: the
    /// kernel would ignore `IP_LOCAL_PORT_RANGE` outside of the namespace's own range.
    pub const SOURCE_PORTS: std::ops::RangeInclusive<u16> = 61_000..=65_535;
}

impl Default for Config {
    fn default() -> Self {
        Self { workers: 1, pin: false, transparent: false, limits: Limits::default() }
    }
}

/// A listening socket of one worker.
#[derive(Debug)]
pub struct Listener {
    /// Bound and listening. Its backlog is the caller's choice.
    pub socket: TcpListener,
    /// What arrives on it.
    pub kind: ListenerKind,
}

/// What arrives on a listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerKind {
    /// Connections redirected by the kernel: the accepted socket's local address is where the
    /// client wanted to go.
    Transparent,
    /// Connections to a Gateway's own port, from clients that nothing redirects. What is for no
    /// Gateway is refused: it must never be dialled, which would come back here.
    Gateway,
}
