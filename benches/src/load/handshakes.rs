//! Full TLS handshakes: some `openssl s_time -new` side by side, which ask for nothing.

use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};

use super::{Load, seconds};
use crate::namespace::enter;
use crate::subject::Running;
use crate::tls;

/// Loads a subject with handshakes.
pub(crate) fn run(subject: &Running<'_>, time: Duration) -> Result<Load> {
    let reports = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| client(subject, time))).collect();
        let ended =
            clients.into_iter().map(|client| client.join().map_err(|_| anyhow!("a client panicked"))?);
        ended.collect::<Result<Vec<String>>>()
    })?;
    let (mut done, mut per_second) = (0.0, 0.0);
    for report in reports {
        let (count, rate) = parse(&report)?;
        done += count;
        per_second += rate;
    }
    Load { done, failed: 0.0, per_second, p50_us: f64::NAN, p99_us: f64::NAN }.flawless()
}

fn client(subject: &Running<'_>, time: Duration) -> Result<String> {
    let place = subject.client_place();
    let mut command = place.command("openssl");
    command.args(["s_time", "-new", "-tls1_3", "-connect", &subject.authority(), "-time", &seconds(time)]);
    command.env("OPENSSL_CONF", subject.context.out.join("tls/openssl.cnf"));
    place.run(command, || subject.context.interrupted())
}

/// Makes sure that a handshake is of the kind that is measured.
pub(crate) fn verify(subject: &Running<'_>) -> Result<()> {
    let mut client: Command = enter(&subject.client, "timeout");
    client.args(["5", "openssl", "s_client", "-connect", &subject.authority()]);
    client
        .env("OPENSSL_CONF", subject.context.out.join("tls/openssl.cnf"))
        .stdin(std::process::Stdio::null());
    let output = client.output().context("openssl")?;
    tls::verify(&String::from_utf8_lossy(&output.stdout))
}

/// `1234 connections in 3 real seconds, 0 bytes read per connection`: how many, and how many a second.
pub(super) fn parse(report: &str) -> Result<(f64, f64)> {
    let line = report.lines().find_map(|line| line.trim().split_once(" real seconds"));
    let (count, time) = line
        .and_then(|(line, _)| line.split_once(" connections in "))
        .with_context(|| format!("s_time does not say its connections: {report}"))?;
    let (count, time): (f64, f64) = (count.parse()?, time.parse()?);
    Ok((count, count / time.max(1.0)))
}

/// Clients at a time; s_time waits for each handshake before the next.
const CLIENTS: usize = 8;
