//! Memory of a process that does nothing, and of what it is configured with.

use anyhow::Result;

use crate::figure::{Figures, PSS, PSS_PER_1000_ROUTES, at_most};
use crate::listener::Listener;
use crate::routes::Routes;
use crate::row::{Rounds, Row, Turn};
use crate::subject::{Kind, Running, Subject, envoy, haproxy, nginx, pingora};
use crate::weir::Setup;

/// Just started, with one route.
pub(crate) const IDLE: Row = Row {
    name: "idle_memory",
    title: "Idle PSS of all processes, just started (Weir: supervisor and proxy)",
    rounds: Rounds::Once,
    subjects: &[
        haproxy(Listener::Http1),
        nginx(Listener::Http1),
        envoy(Listener::Http1),
        pingora(Listener::Http1),
        weir(0, "weir"),
    ],
    offered_share: None,
    turn: idle,
    references: &["haproxy", "envoy"],
    targets: &[at_most(PSS, 15.0)],
};

/// With many routes, less without.
pub(crate) const ROUTES: Row = Row {
    name: "routes_memory",
    title: "Memory of 1,000 HTTPRoutes (one host each, a tenth of 10,000)",
    rounds: Rounds::Once,
    subjects: &[weir(0, "weir")],
    offered_share: None,
    turn: routes,
    references: &[],
    targets: &[at_most(PSS_PER_1000_ROUTES, 4.0)],
};

const fn weir(routes: u32, name: &'static str) -> Subject {
    let setup = Setup { routes: Routes::Hosts(routes), ebpf: false, workers: 1 };
    Subject { name, listener: Listener::Http1, kind: Kind::Weir(setup) }
}

fn pss_mib(subject: &Running<'_>) -> Result<f64> {
    Ok(subject.daemon().settled_pss_kib(|| subject.context.interrupted())? / 1024.0)
}

fn idle(turn: &Turn<'_>) -> Result<Figures> {
    Ok(Figures::new([(PSS, pss_mib(turn.subject)?)]))
}

fn routes(turn: &Turn<'_>) -> Result<Figures> {
    let without = pss_mib(turn.subject)?;
    let many = Running::start(&weir(ROUTES_MANY, "weir-routes"), turn.subject.context, turn.plain)?;
    let with = pss_mib(&many)?;
    let each = (with - without) * 1000.0 / f64::from(ROUTES_MANY);
    Ok(Figures::new([(PSS_PER_1000_ROUTES, each), (PSS, with)]))
}

/// Enough that what a process has anyway does not matter.
const ROUTES_MANY: u32 = 10_000;
