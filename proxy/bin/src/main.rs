//! `weir`: the composition root. It wires the crates together; what each command does is in the
//! module of its name.

mod admin;
mod certificates;
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
mod last_good;
mod limits;
mod listeners;
mod live;
mod metrics;
mod node;
mod offline;
mod output;
mod pins;
mod redirection;
mod signals;
mod state;
mod supervisor;
mod sys;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

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
    let log = admin::log::Log::to_stderr(&cli.log)?;
    match cli.command {
        Command::Run(args) if cli.as_proxy => child::run(&args, log),
        Command::Run(args) => supervisor::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Explain(args) => live::explain(&args),
        Command::Cleanup(args) => cleanup::run(&args).map(|()| 0),
    }
}
