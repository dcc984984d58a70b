//! HTTP/1.1 requests: kept alive, one on each connection, and inside TLS.

use anyhow::Result;

use crate::figure::{CPU_PER_REQUEST, Figures, ratio};
use crate::listener::Listener;
use crate::load::wrk::Wrk;
use crate::routes::Routes;
use crate::row::{Rounds, Row, Turn};
use crate::subject::{Kind, Subject, envoy, floor, haproxy, nginx, pingora, weir};
use crate::weir::Setup;

/// Keep-alive connections.
pub(crate) const KEEP_ALIVE: Row = Row {
    name: "http1_keepalive_1000routes",
    title: "HTTP/1.1 keep-alive; Weir with policy, 1,000 routes and flow records, peers bare",
    rounds: Rounds::Usual(5),
    subjects: &[
        floor(Listener::Http1),
        haproxy(Listener::Http1),
        nginx(Listener::Http1),
        envoy(Listener::Http1),
        pingora(Listener::Http1),
        weir(Listener::Http1),
        Subject {
            name: "weir-ebpf",
            listener: Listener::Http1,
            kind: Kind::Weir(Setup { routes: Routes::Prefixes(999), ebpf: true, workers: 1 }),
        },
    ],
    offered_share: None,
    turn: keep_alive,
    references: &["floor", "haproxy", "envoy"],
    targets: &[ratio(CPU_PER_REQUEST, "floor", 1.30), ratio(CPU_PER_REQUEST, "haproxy", 0.90)],
};

/// A connection a request. Not the floor: its backend keeps connections whatever the client says.
pub(crate) const ONE_EACH: Row = Row {
    name: "http1_no_keepalive",
    title: "HTTP/1.1, one connection a request",
    rounds: Rounds::Usual(3),
    subjects: &[
        haproxy(Listener::Http1),
        nginx(Listener::Http1),
        envoy(Listener::Http1),
        pingora(Listener::Http1),
        weir(Listener::Http1),
    ],
    offered_share: None,
    turn: one_each,
    references: &["haproxy", "envoy"],
    targets: &[ratio(CPU_PER_REQUEST, "envoy", 0.5), ratio(CPU_PER_REQUEST, "haproxy", 1.0)],
};

/// Keep-alive connections with TLS 1.3.
pub(crate) const TLS: Row = Row {
    name: "tls_keepalive",
    title: "HTTP/1.1 keep-alive in TLS 1.3 (AES-128-GCM)",
    rounds: Rounds::Usual(3),
    subjects: &[
        haproxy(Listener::Tls),
        nginx(Listener::Tls),
        envoy(Listener::Tls),
        pingora(Listener::Tls),
        weir(Listener::Tls),
    ],
    offered_share: None,
    turn: keep_alive,
    references: &["haproxy", "envoy"],
    targets: &[ratio(CPU_PER_REQUEST, "envoy", 0.35)],
};

fn keep_alive(turn: &Turn<'_>) -> Result<Figures> {
    turn.wrk(None)?.requests()
}

fn one_each(turn: &Turn<'_>) -> Result<Figures> {
    let wrk = Wrk { connections: turn.connections, one_each: true, script: None };
    turn.cost(|time| wrk.run(turn.subject, time, || turn.subject.context.interrupted()))?.requests()
}
