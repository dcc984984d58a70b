//! `weir`: the composition root. It wires the crates together; what each command does is in the
//! module of its name.

mod admin;
mod check;
mod child;
mod cleanup;
mod cli;
mod control;
mod descriptors;
mod events;
mod explain;
mod fdstore;
mod finder;
mod kernel;
mod listeners;
mod live;
mod offline;
mod redirection;
mod signals;
mod state;
mod supervisor;

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match start(cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("weir: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(cli: Cli) -> Result<u8> {
    log_to_stderr(&cli.log)?;
    match cli.command {
        Command::Run(args) if cli.as_proxy => child::run(&args),
        Command::Run(args) => supervisor::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Explain(args) => live::explain(&args),
        Command::Cleanup(args) => cleanup::run(&args).map(|()| 0),
    }
}

fn log_to_stderr(levels: &str) -> Result<()> {
    let filter: Targets =
        levels.parse().with_context(|| format!("--log {levels:?}: not a level or list of part=level"))?;
    let format = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal());
    tracing_subscriber::registry().with(filter).with(format).init();
    Ok(())
}
