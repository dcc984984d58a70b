//! A row of the table as data, and the runner that all rows share: start every subject, let them
//! take turns, and keep the figures.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::context::{Bed, Context};
use crate::figure::{CPU_PER_REQUEST, Figures, P50, P99, REQUESTS_PER_SECOND, RSS, Target};
use crate::load::Load;
use crate::load::wrk::Wrk;
use crate::report::Outcome;
use crate::subject::{Running, Subject};

/// One piece of work that several subjects do.
#[derive(Debug)]
pub(crate) struct Row {
    /// In JSON and for `--rows`.
    pub(crate) name: &'static str,
    /// What is done, for people.
    pub(crate) title: &'static str,
    /// Each subject has one turn a round.
    pub(crate) rounds: Rounds,
    /// Who does it, in the order of turns.
    pub(crate) subjects: &'static [Subject],
    /// If the load offers a rate: the share of the first subject's peak.
    pub(crate) offered_share: Option<f64>,
    /// One turn.
    pub(crate) turn: fn(&Turn<'_>) -> Result<Figures>,
    /// Whose first figure the others' is divided by in the table.
    pub(crate) references: &'static [&'static str],
    /// What Weir is held to.
    pub(crate) targets: &'static [Target],
}

/// How often a row is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rounds {
    /// So often, unless the command line says.
    Usual(usize),
    /// Once, whatever it says: memory that a process took and freed is not taken again.
    Once,
}

impl Rounds {
    pub(crate) fn count(self, wanted: Option<usize>) -> usize {
        match self {
            Self::Usual(usual) => wanted.unwrap_or(usual),
            Self::Once => 1,
        }
    }
}

/// How long and how much, from the command line.
#[derive(Clone, Debug)]
pub(crate) struct Effort {
    /// None: as each row says.
    pub(crate) rounds: Option<usize>,
    /// Load of one turn.
    pub(crate) time: Duration,
    /// Connections of HTTP/1.1 load.
    pub(crate) connections: usize,
    /// Only these subjects; empty: all.
    pub(crate) only: Vec<String>,
}

/// What a turn works with.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    /// Whose turn it is.
    pub(crate) subject: &'a Running<'a>,
    /// Where peers run.
    pub(crate) plain: &'a Bed,
    /// How long to load.
    pub(crate) time: Duration,
    /// Connections of HTTP/1.1 load.
    pub(crate) connections: usize,
    /// Requests a second, in rows that offer a rate; otherwise 0.
    pub(crate) offered: f64,
}

/// What one load cost the subject.
#[derive(Debug)]
pub(crate) struct Cost {
    pub(crate) load: Load,
    pub(crate) cpu: Duration,
    rss_kib: f64,
    /// Flow records that Weir wrote meanwhile; none for peers.
    records: Option<u64>,
}

impl Row {
    /// Runs the row. Only an interrupt is an error; what cannot be measured is noted as such.
    pub(crate) fn run(&'static self, context: &Context, plain: &Bed, effort: &Effort) -> Result<Outcome> {
        println!("\n{}: {}", self.name, self.title);
        let mut outcome = Outcome::new(self);
        let mut running: Vec<Running<'_>> = Vec::new();
        for (index, subject) in self.subjects.iter().enumerate() {
            // Without the first there is no rate to offer.
            let needed = index == 0 && self.offered_share.is_some();
            let wanted = effort.only.is_empty() || effort.only.iter().any(|name| name == subject.name);
            if !wanted && !needed {
                continue;
            }
            match Running::start(subject, context, plain) {
                Ok(subject) => running.push(subject),
                Err(error) => {
                    context.interrupted()?;
                    outcome.skip(subject.name, format!("{error:#}"));
                }
            }
        }
        match self.rounds(context, plain, effort, running, &mut outcome) {
            Ok(()) => {}
            Err(error) => {
                context.interrupted()?;
                outcome.skip_all(&format!("{error:#}"));
            }
        }
        Ok(outcome)
    }

    fn rounds(
        &self,
        context: &Context,
        plain: &Bed,
        effort: &Effort,
        mut running: Vec<Running<'_>>,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let mut offered = 0.0;
        if let (Some(share), Some(named)) = (self.offered_share, self.subjects.first()) {
            let first = running.first().filter(|first| first.name == named.name);
            let first = first.with_context(|| format!("{} sets the rate, and does not run", named.name))?;
            let peak = Turn::new(first, plain, effort, 0.0).wrk(None)?.load.flawless()?.per_second;
            offered = peak * share;
            println!(
                "offered: {offered:.0} req/s, {share} of the {peak:.0} that {} does at most",
                first.name
            );
        }
        for round in 1..=self.rounds.count(effort.rounds) {
            let mut failed = Vec::new();
            for (index, subject) in running.iter().enumerate() {
                context.interrupted()?;
                match (self.turn)(&Turn::new(subject, plain, effort, offered)) {
                    Ok(figures) => {
                        println!("round {round}: {:<10} {}", subject.name, figures.line());
                        outcome.add(subject.name, figures);
                    }
                    Err(error) => {
                        context.interrupted()?;
                        outcome.skip(subject.name, format!("round {round}: {error:#}"));
                        failed.push(index);
                    }
                }
            }
            for index in failed.into_iter().rev() {
                running.remove(index);
            }
        }
        Ok(())
    }
}

impl<'a> Turn<'a> {
    fn new(subject: &'a Running<'a>, plain: &'a Bed, effort: &Effort, offered: f64) -> Self {
        Self { subject, plain, time: effort.time, connections: effort.connections, offered }
    }

    /// A short warm-up, then the load, and what it cost the subject.
    pub(crate) fn cost(&self, mut load: impl FnMut(Duration) -> Result<Load>) -> Result<Cost> {
        load(WARM_UP)?;
        let daemon = self.subject.daemon();
        let before = daemon.usage()?;
        let load = load(self.time)?;
        let after = daemon.usage()?;
        ensure!(before.pids == after.pids, "its processes changed during the load: it crashed");
        let records = self.subject.weir().map(|weir| weir.end_turn()).transpose()?;
        let cpu = after.cpu.saturating_sub(before.cpu);
        Ok(Cost { load, cpu, rss_kib: after.rss_kib, records })
    }

    /// The cost of keep-alive requests by wrk, perhaps with a script.
    pub(crate) fn wrk(&self, script: Option<&std::path::Path>) -> Result<Cost> {
        let wrk = Wrk { connections: self.connections, one_each: false, script };
        self.cost(|time| wrk.run(self.subject, time, || self.subject.context.interrupted()))
    }
}

impl Cost {
    /// Processor time of one of what was done, in microseconds.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.load.done
    }

    /// The figures of a load of requests. Fails if a request failed, or if Weir wrote no flow record.
    pub(crate) fn requests(&self) -> Result<Figures> {
        self.load.flawless()?;
        ensure!(self.records != Some(0), "no flow record was written");
        let Load { per_second, p50_us, p99_us, .. } = self.load;
        let times = [(P50, p50_us), (P99, p99_us)].into_iter().filter(|(_, time)| time.is_finite());
        let first = [(CPU_PER_REQUEST, self.cpu_us()), (REQUESTS_PER_SECOND, per_second)];
        Ok(Figures::new(first.into_iter().chain(times).chain([(RSS, self.rss_kib)])))
    }
}

/// The row of this name.
pub(crate) fn find(name: &str) -> Result<&'static Row> {
    let names = || crate::rows::ALL.iter().map(|row| row.name).collect::<Vec<_>>().join(", ");
    let mut found = crate::rows::ALL.iter().filter(|row| row.name == name);
    found.next().copied().with_context(|| format!("there is no row {name:?}, but {}", names()))
}

const WARM_UP: Duration = Duration::from_secs(1);
