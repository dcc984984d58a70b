//! TLS 1.3 handshakes.

use anyhow::Result;

use crate::figure::{CPU_PER_HANDSHAKE, Figures, HANDSHAKES_PER_SECOND, ratio};
use crate::listener::Listener;
use crate::load::handshakes;
use crate::row::{Rounds, Row, Turn};
use crate::subject::{envoy, haproxy, nginx, pingora, weir};

/// Full handshakes, each on a connection that is closed after it.
pub(crate) const FULL: Row = Row {
    name: "tls_handshake",
    title: "TLS 1.3 full handshake: ECDSA P-256, X25519, no resumption, the same certificate",
    rounds: Rounds::Usual(3),
    subjects: &[
        haproxy(Listener::Tls),
        nginx(Listener::Tls),
        envoy(Listener::Tls),
        pingora(Listener::Tls),
        weir(Listener::Tls),
    ],
    offered_share: None,
    turn,
    references: &["haproxy", "envoy"],
    targets: &[ratio(CPU_PER_HANDSHAKE, "envoy", 0.83)],
};

fn turn(turn: &Turn<'_>) -> Result<Figures> {
    handshakes::verify(turn.subject)?;
    let cost = turn.cost(|time| handshakes::run(turn.subject, time))?;
    let each = [(CPU_PER_HANDSHAKE, cost.cpu_us()), (HANDSHAKES_PER_SECOND, cost.load.per_second)];
    Ok(Figures::new(each))
}
