//! HTTP/2 and gRPC: 8 connections with 16 streams each, HTTP/2 on both sides, cleartext.

use anyhow::Result;

use crate::figure::{CPU_PER_REQUEST, Figures, ratio};
use crate::listener::Listener;
use crate::load::h2load::H2load;
use crate::row::{Rounds, Row, Turn};
use crate::subject::{envoy, floor, haproxy, nginx, pingora, weir};

/// Plain requests.
pub(crate) const HTTP2: Row = Row {
    name: "http2",
    title: "HTTP/2 by prior knowledge on both sides, 8 connections × 16 streams",
    rounds: Rounds::Usual(3),
    subjects: &[
        floor(Listener::Http2),
        haproxy(Listener::Http2),
        nginx(Listener::Http2),
        envoy(Listener::Http2),
        pingora(Listener::Http2),
        weir(Listener::Http2),
    ],
    offered_share: None,
    turn,
    references: &["floor", "haproxy", "envoy"],
    targets: &[ratio(CPU_PER_REQUEST, "envoy", 0.20), ratio(CPU_PER_REQUEST, "haproxy", 1.0)],
};

/// Unary calls.
pub(crate) const GRPC: Row = Row {
    name: "grpc_unary",
    title: "gRPC unary calls with trailers, 8 connections × 16 streams",
    rounds: Rounds::Usual(3),
    subjects: &[
        floor(Listener::Grpc),
        haproxy(Listener::Grpc),
        nginx(Listener::Grpc),
        envoy(Listener::Grpc),
        pingora(Listener::Grpc),
        weir(Listener::Grpc),
    ],
    offered_share: None,
    turn,
    references: &["floor", "haproxy", "envoy"],
    targets: &[ratio(CPU_PER_REQUEST, "envoy", 0.20), ratio(CPU_PER_REQUEST, "haproxy", 1.0)],
};

fn turn(turn: &Turn<'_>) -> Result<Figures> {
    let load = H2load { connections: 8, streams: 16, offered: None };
    turn.cost(|time| load.run(turn.subject, time, || turn.subject.context.interrupted()))?.requests()
}
