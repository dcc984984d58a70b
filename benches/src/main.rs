//! `make bench`: what Weir costs a request beside its peers, on one pinned core, side by side.
//!
//! Every peer runs pinned to one core, load and backend on the others; the peers take turns, round
//! by round, and each figure is the median of its rounds. A peer that cannot run is reported with
//! the reason; nothing is filled in for it.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;

use crate::context::Context;
use crate::peer::{Peer, Running};
use crate::report::{Measured, Report};

mod context;
mod load;
mod namespace;
mod peer;
mod process;
mod report;
mod weir;

/// Measures Weir beside Envoy, HAProxy, nginx and a byte forwarder.
#[derive(Debug, Parser)]
struct Args {
    /// The weir binary.
    #[arg(long, default_value = "target/release/weir")]
    weir: PathBuf,

    /// Rounds; each peer has one turn a round.
    #[arg(long, default_value_t = 3)]
    rounds: usize,

    /// Seconds of load in one turn.
    #[arg(long, default_value_t = 5)]
    seconds: u64,

    /// Keep-alive connections of the load.
    #[arg(long, default_value_t = 64)]
    connections: usize,

    /// Only these peers (by name; give it once for each).
    #[arg(long = "only", value_name = "PEER")]
    only: Vec<String>,

    /// Installs nothing: measures with what is there.
    #[arg(long)]
    no_install: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    ensure!(args.rounds > 0 && args.seconds > 0 && args.connections > 0, "nothing to measure");
    if !rustix::process::geteuid().is_root() {
        println!("bench: not root: nothing is measured, since the bench builds network namespaces");
        return Ok(());
    }
    if !args.no_install {
        let status = Command::new("scripts/bench-peers.sh").status();
        ensure!(status.context("run from the repository's root: scripts/bench-peers.sh")?.success());
    }
    let context = Context::new(args.weir.clone())?;
    let peers: Vec<Peer> = Peer::ALL
        .into_iter()
        .filter(|peer| args.only.is_empty() || args.only.iter().any(|name| name == peer.name()))
        .collect();
    if peers.is_empty() {
        bail!("no such peer; there are {}", Peer::ALL.map(Peer::name).join(", "));
    }
    let mut report = Report::default();
    measure(args, &context, &peers, &mut report)?;
    report.write_json(&context.out.join("results.json"))?;
    print!("{}", report.table());
    println!("\nrows: {}", context.out.join("results.json").display());
    Ok(())
}

/// Starts what can be started, then measures it in turns.
fn measure(args: &Args, context: &Context, peers: &[Peer], report: &mut Report) -> Result<()> {
    println!("{}", context.describe());
    let bed = context.bed("wbench-plain")?;
    let mut running: Vec<Running> = Vec::new();
    for &peer in peers {
        match Running::start(peer, context, &bed) {
            Ok(peer) => running.push(peer),
            Err(error) => {
                context.interrupted()?;
                report.skip(peer.name(), format!("{error:#}"));
            }
        }
    }
    let load = Duration::from_secs(args.seconds);
    for round in 1..=args.rounds {
        let mut failed = Vec::new();
        for (index, peer) in running.iter().enumerate() {
            match peer.turn(context, args.connections, load) {
                Ok(measured) => {
                    println!("round {round}: {:<10} {measured}", peer.name());
                    report.add(peer.name(), measured);
                }
                Err(error) => {
                    context.interrupted()?;
                    report.skip(peer.name(), format!("round {round}: {error:#}"));
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

impl Running {
    /// One turn: a short warm-up, then load for `time`.
    fn turn(&self, context: &Context, connections: usize, time: Duration) -> Result<Measured> {
        load::run(context, self, connections, WARM_UP)?;
        let before = self.usage()?;
        let load = load::run(context, self, connections, time)?;
        let after = self.usage()?;
        ensure!(before.pids == after.pids, "its processes changed during the load: it crashed");
        self.end_turn()?;
        let cpu = after.cpu.saturating_sub(before.cpu);
        Ok(Measured {
            requests_per_second: load.requests_per_second,
            cpu_us_per_request: cpu.as_secs_f64() * 1e6 / load.requests,
            p50_us: load.p50_us,
            p99_us: load.p99_us,
            rss_kib: after.rss_kib,
        })
    }
}

const WARM_UP: Duration = Duration::from_secs(1);
