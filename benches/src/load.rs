//! The load: one run of wrk, and what it says.

use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::context::Context;
use crate::peer::Running;

/// What one run of wrk measured.
#[derive(Debug, PartialEq)]
pub(crate) struct Load {
    pub(crate) requests: f64,
    pub(crate) requests_per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

/// Loads a peer over keep-alive connections. Fails if any request failed.
pub(crate) fn run(context: &Context, peer: &Running, connections: usize, time: Duration) -> Result<Load> {
    let mut command = peer.client_place(context).command("wrk");
    command.args(["-t1", "--latency"]).arg(format!("-c{connections}")).arg(format!("-d{}s", time.as_secs()));
    let mut child = command.arg(peer.url()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
    loop {
        if child.try_wait()?.is_some() {
            break;
        }
        if let Err(interrupted) = context.interrupted() {
            let _ = child.kill();
            let _ = child.wait();
            return Err(interrupted);
        }
        sleep(POLL);
    }
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "wrk failed: {text}");
    parse(&text)
}

/// Reads the report of `wrk --latency`.
fn parse(text: &str) -> Result<Load> {
    let mut lines = text.lines().map(str::trim);
    if let Some(failed) = lines.find(|l| l.starts_with("Non-2xx") || l.starts_with("Socket errors")) {
        return Err(anyhow!("requests failed: {failed}"));
    }
    let after = |key: &str| {
        let found = text.lines().map(str::trim).find_map(|line| line.strip_prefix(key));
        found.map(str::trim).with_context(|| format!("wrk does not say {key:?}: {text}"))
    };
    let requests = text.lines().find_map(|line| line.trim().split_once(" requests in "));
    let (requests, _) = requests.with_context(|| format!("wrk does not say its requests: {text}"))?;
    let requests = requests.parse::<f64>()?;
    ensure!(requests > 0.0, "no request was answered");
    Ok(Load {
        requests,
        requests_per_second: after("Requests/sec:")?.parse()?,
        p50_us: microseconds(after("50%")?)?,
        p99_us: microseconds(after("99%")?)?,
    })
}

/// A time as wrk writes it: `843.00us`, `1.52ms`, `1.00s`, `2.00m`.
fn microseconds(text: &str) -> Result<f64> {
    let units = [("us", 1.0), ("ms", 1e3), ("s", 1e6), ("m", 60e6)];
    let found = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)));
    let (number, factor) = found.with_context(|| format!("{text:?} is no time of wrk's"))?;
    Ok(number.parse::<f64>()? * factor)
}

const POLL: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests;
