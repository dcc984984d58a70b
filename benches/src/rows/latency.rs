//! Latency at a rate that is offered whether answers come or not.
//!
//! h2load sends what is due every 10 ms, on all connections at once: what is measured includes the
//! queue that such a burst makes, the same for each subject.

use anyhow::{Result, ensure};

use crate::figure::{CPU_PER_REQUEST, Figures, P50, P99, REQUESTS_PER_SECOND, ratio};
use crate::listener::Listener;
use crate::load::h2load::H2load;
use crate::row::{Cost, Rounds, Row, Turn};
use crate::subject::{envoy, haproxy, nginx, pingora, weir};

/// At half of HAProxy's peak.
pub(crate) const HALF_PEAK: Row = Row {
    name: "http1_p99_half_peak",
    title: "HTTP/1.1 keep-alive at half of HAProxy's peak rate, open loop",
    rounds: Rounds::Usual(7),
    subjects: &[
        haproxy(Listener::Http1),
        nginx(Listener::Http1),
        envoy(Listener::Http1),
        pingora(Listener::Http1),
        weir(Listener::Http1),
    ],
    offered_share: Some(0.5),
    turn,
    references: &["haproxy"],
    targets: &[ratio(P99, "haproxy", 1.0)],
};

fn turn(turn: &Turn<'_>) -> Result<Figures> {
    let cost = offer(turn)?;
    let rate = cost.load.per_second;
    Ok(Figures::new([
        (P99, cost.load.p99_us),
        (P50, cost.load.p50_us),
        (CPU_PER_REQUEST, cost.cpu_us()),
        (REQUESTS_PER_SECOND, rate),
    ]))
}

/// Loads at the offered rate. Fails if a request fails or if the subject cannot carry the rate.
pub(super) fn offer(turn: &Turn<'_>) -> Result<Cost> {
    let load = H2load { connections: turn.connections, streams: 1, offered: Some(turn.offered) };
    let cost = turn.cost(|time| load.run(turn.subject, time, || turn.subject.context.interrupted()))?;
    let rate = cost.load.flawless()?.per_second;
    ensure!(rate >= turn.offered * CARRIED_MIN, "carries {rate:.0} of the {:.0} req/s offered", turn.offered);
    Ok(cost)
}

/// Below this share of what was offered, latency says how long the test was and nothing else.
const CARRIED_MIN: f64 = 0.95;
