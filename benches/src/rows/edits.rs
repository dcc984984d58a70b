//! Routes that are changed while Weir runs, one file of 10,000 at a time.

use std::fs;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use super::many_routes::subject;
use crate::figure::{
    CHANGE_MAX_MS, CHANGE_P50_MS, CHANGE_P99_MS, EDITS, FAILED, Figures, REQUESTS_PER_SECOND, at_most,
    percentile,
};
use crate::load::probe::Probe;
use crate::load::wrk::Wrk;
use crate::routes::Routes;
use crate::row::{Rounds, Row, Turn};

/// From rename(2) to the first answer of the new route.
pub(crate) const LATENCY: Row = Row {
    name: "change_latency",
    title: "One of 10,000 HTTPRoutes changed: from rename(2) to the first new answer",
    rounds: Rounds::Usual(1),
    subjects: &[subject("weir", MANY)],
    offered_share: None,
    turn: latency,
    references: &[],
    targets: &[at_most(CHANGE_P99_MS, 10.0)],
};

/// Requests that fail meanwhile.
pub(crate) const UNDER_LOAD: Row = Row {
    name: "edits_under_load",
    title: "Answers other than 200 during 100 live edits under load",
    rounds: Rounds::Usual(1),
    subjects: &[subject("weir", MANY)],
    offered_share: None,
    turn: under_load,
    references: &[],
    targets: &[at_most(FAILED, 0.0)],
};

fn latency(turn: &Turn<'_>) -> Result<Figures> {
    let weir = turn.subject.weir().context("not Weir")?;
    let mut probe = Probe::new(turn.subject)?;
    let mut times = Vec::new();
    for _ in 0..LATENCY_EDITS {
        turn.subject.context.interrupted()?;
        let edit = weir.next_edit();
        let number = route(edit);
        probe.not_yet(MANY, number, edit)?;
        let renamed = MANY.edit(&weir.objects, number, edit)?;
        probe.wait(MANY, number, edit)?;
        times.push(renamed.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(Figures::new([
        (CHANGE_P99_MS, percentile(&times, 0.99)),
        (CHANGE_P50_MS, percentile(&times, 0.5)),
        (CHANGE_MAX_MS, percentile(&times, 1.0)),
        (EDITS, f64::from(LATENCY_EDITS)),
    ]))
}

fn under_load(turn: &Turn<'_>) -> Result<Figures> {
    let weir = turn.subject.weir().context("not Weir")?;
    let script = turn.subject.context.out.join("routes.lua");
    fs::write(&script, MANY.script())?;
    let wrk = Wrk { connections: turn.connections, one_each: false, script: Some(&script) };
    let (start, mut edits, mut last) = (Instant::now(), 0, 0);
    // The last edits are made well before the load ends.
    let each = turn.time.mul_f64(0.9) / LOAD_EDITS;
    let load = wrk.run(turn.subject, turn.time, || {
        while edits < LOAD_EDITS && start.elapsed() >= each * (edits + 1) {
            edits += 1;
            last = weir.next_edit();
            MANY.edit(&weir.objects, route(last), last)?;
        }
        turn.subject.context.interrupted()
    })?;
    ensure!(edits == LOAD_EDITS, "only {edits} edits were made");
    // They were read, too.
    Probe::new(turn.subject)?.wait(MANY, route(last), last)?;
    Ok(Figures::new([
        (FAILED, load.failed),
        (EDITS, f64::from(edits)),
        (REQUESTS_PER_SECOND, load.per_second),
    ]))
}

/// The route that an edit changes: all over the folder.
fn route(edit: u32) -> u32 {
    edit.wrapping_mul(STRIDE) % MANY.count() + 1
}

const MANY: Routes = Routes::Hosts(10_000);
const LATENCY_EDITS: u32 = 300;
const LOAD_EDITS: u32 = 100;
/// Has no factor in common with the number of routes.
const STRIDE: u32 = 7_919;
