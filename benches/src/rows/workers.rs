//! Two workers against one.
//!
//! Two workers may use every processor, the load's too: on a machine with two there is no other way
//! to have them run at the same time.

use anyhow::Result;

use super::latency::offer;
use crate::figure::{CPU_PER_REQUEST, Figures, ratio};
use crate::listener::Listener;
use crate::routes::Routes;
use crate::row::{Rounds, Row, Turn};
use crate::subject::{Kind, Subject};
use crate::weir::Setup;

/// At the same offered rate.
pub(crate) const TWO: Row = Row {
    name: "two_workers",
    title: "Two workers against one at the same offered rate",
    rounds: Rounds::Usual(3),
    subjects: &[subject("weir-1", 1), subject("weir", 2)],
    offered_share: Some(0.3),
    turn,
    references: &["weir-1"],
    targets: &[ratio(CPU_PER_REQUEST, "weir-1", 1.1)],
};

const fn subject(name: &'static str, workers: u8) -> Subject {
    let setup = Setup { routes: Routes::Prefixes(999), ebpf: false, workers };
    Subject { name, listener: Listener::Http1, kind: Kind::Weir(setup) }
}

fn turn(turn: &Turn<'_>) -> Result<Figures> {
    offer(turn)?.requests()
}
