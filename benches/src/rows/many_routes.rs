//! Requests for each of 10,000 HTTPRoutes in turn, against the same with 10.

use std::fs;

use anyhow::{Context as _, Result};

use crate::figure::{CPU_PER_REQUEST, Figures, Target, ratio};
use crate::listener::Listener;
use crate::routes::Routes;
use crate::row::{Rounds, Row, Turn};
use crate::subject::{Kind, Subject};
use crate::weir::Setup;

/// Spread over hosts.
pub(crate) const HOSTS: Row = row(
    "routes_10000_hosts",
    "10,000 HTTPRoutes, a host each, asked for in turn, against 10",
    &[subject("weir-10", Routes::Hosts(10)), subject("weir", Routes::Hosts(10_000))],
);

/// All on one host.
pub(crate) const ONE_HOST: Row = row(
    "routes_10000_one_host",
    "10,000 HTTPRoutes on one host, a path each, asked for in turn, against 10",
    &[subject("weir-10", Routes::OneHost(10)), subject("weir", Routes::OneHost(10_000))],
);

const fn row(name: &'static str, title: &'static str, subjects: &'static [Subject]) -> Row {
    Row {
        name,
        title,
        rounds: Rounds::Usual(3),
        subjects,
        offered_share: None,
        turn,
        references: &["weir-10"],
        targets: TARGETS,
    }
}

const TARGETS: &[Target] = &[ratio(CPU_PER_REQUEST, "weir-10", 1.3)];

/// Weir with a file for each route.
pub(super) const fn subject(name: &'static str, routes: Routes) -> Subject {
    let setup = Setup { routes, ebpf: false, workers: 1 };
    Subject { name, listener: Listener::Http1, kind: Kind::Weir(setup) }
}

fn turn(turn: &Turn<'_>) -> Result<Figures> {
    let weir = turn.subject.weir().context("not Weir")?;
    let script = turn.subject.context.out.join("routes.lua");
    fs::write(&script, weir.routes.script())?;
    turn.wrk(Some(&script))?.requests()
}
