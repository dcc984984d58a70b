//! `make bench`: what Weir costs beside its peers, row by row, on one pinned core, side by side.
//!
//! Every subject of a row does the same work pinned to one core, load and backends on the others;
//! the subjects take turns, round by round; a figure is the median of its rounds and a ratio the
//! median of the rounds' ratios. What cannot run is reported with the reason; nothing is filled in.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;

use crate::context::Context;
use crate::report::Outcome;
use crate::row::{Effort, Row};

mod context;
mod figure;
mod listener;
mod load;
mod namespace;
mod peer;
mod process;
mod report;
mod routes;
mod row;
mod rows;
mod subject;
mod tls;
mod weir;

/// Measures Weir beside Envoy, HAProxy, nginx, pingora and a byte forwarder.
#[derive(Debug, Parser)]
struct Args {
    /// The weir binary.
    #[arg(long, default_value = "target/release/weir")]
    weir: PathBuf,

    /// Rounds; each subject has one turn a round. Default: as each row says.
    #[arg(long)]
    rounds: Option<usize>,

    /// Seconds of load in one turn.
    #[arg(long, default_value_t = 5)]
    seconds: u64,

    /// Connections of HTTP/1.1 load.
    #[arg(long, default_value_t = 64)]
    connections: usize,

    /// Only these rows (`--list` names them).
    #[arg(long, value_name = "ROW", value_delimiter = ',')]
    rows: Vec<String>,

    /// Only these subjects: floor, haproxy, nginx, envoy, pingora, weir, ...
    #[arg(long, value_name = "SUBJECT", value_delimiter = ',')]
    only: Vec<String>,

    /// Where the figures go as JSON.
    #[arg(long, value_name = "FILE", default_value = "target/bench/results.json")]
    json: PathBuf,

    /// Names the rows and ends.
    #[arg(long)]
    list: bool,

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
    if args.list {
        rows::ALL.iter().for_each(|row| println!("{:<27} {}", row.name, row.title));
        return Ok(());
    }
    let rows: Vec<&'static Row> = match args.rows.as_slice() {
        [] => rows::ALL.to_vec(),
        names => names.iter().map(|name| row::find(name)).collect::<Result<_>>()?,
    };
    let known = |name: &String| rows.iter().any(|row| row.subjects.iter().any(|s| s.name == name));
    for name in &args.only {
        ensure!(known(name), "no row measures {name:?}");
    }
    ensure!(args.rounds != Some(0) && args.seconds > 0 && args.connections > 0, "nothing to measure");
    if !rustix::process::geteuid().is_root() {
        println!("bench: not root: nothing is measured, since the bench builds network namespaces");
        return Ok(());
    }
    if !args.no_install {
        let status = Command::new("scripts/bench-peers.sh").status();
        ensure!(status.context("run from the repository's root: scripts/bench-peers.sh")?.success());
    }
    measure(args, &rows)
}

/// Runs the rows, then prints and keeps what came of them, of what was run before an interrupt too.
fn measure(args: &Args, rows: &[&'static Row]) -> Result<()> {
    let context = Context::new(std::path::absolute(&args.weir)?)?;
    let machine = context.describe();
    println!("{machine}");
    let effort = Effort {
        rounds: args.rounds,
        time: Duration::from_secs(args.seconds),
        connections: args.connections,
        only: args.only.clone(),
    };
    let plain = context.bed("wbench-plain")?;
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut ended = Ok(());
    for row in rows {
        match row.run(&context, &plain, &effort) {
            Ok(outcome) => outcomes.push(outcome),
            Err(error) => {
                ended = Err(error);
                break;
            }
        }
    }
    outcomes.iter().for_each(|outcome| print!("{}", outcome.table()));
    print!("{}", report::targets(&outcomes));
    report::write_json(&args.json, &machine, &outcomes)?;
    println!("\nfigures: {}", args.json.display());
    ended
}
