//! HTTP/1.1 in a closed loop: wrk.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{Load, microseconds, seconds};
use crate::subject::Running;

/// How wrk loads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wrk<'a> {
    /// Connections, each with one request under way.
    pub(crate) connections: usize,
    /// Each request on a connection of its own.
    pub(crate) one_each: bool,
    /// A script that makes the requests.
    pub(crate) script: Option<&'a Path>,
}

impl Wrk<'_> {
    /// Loads a subject. Failed requests are counted; what is not load at all is an error.
    pub(crate) fn run(
        &self,
        subject: &Running<'_>,
        time: Duration,
        tick: impl FnMut() -> Result<()>,
    ) -> Result<Load> {
        let place = subject.client_place();
        let mut command = place.command("wrk");
        command.args(["-t1", "--latency", &format!("-c{}", self.connections), "-d", &seconds(time)]);
        if self.one_each {
            command.args(["-H", "Connection: close"]);
        }
        if let Some(script) = self.script {
            command.arg("-s").arg(script);
        }
        command.env("OPENSSL_CONF", subject.context.out.join("tls/openssl.cnf")).arg(subject.url());
        parse(&place.run(command, tick)?)
    }
}

/// Reads the report of `wrk --latency`.
pub(super) fn parse(text: &str) -> Result<Load> {
    let after = |key: &str| {
        let found = text.lines().map(str::trim).find_map(|line| line.strip_prefix(key));
        found.map(str::trim).with_context(|| format!("wrk does not say {key:?}: {text}"))
    };
    let time = |key: &str| after(key).map(|time| microseconds(time).with_context(|| format!("{time:?}")));
    let done = text.lines().find_map(|line| line.trim().split_once(" requests in "));
    let (done, _) = done.with_context(|| format!("wrk does not say its requests: {text}"))?;
    let per_second: f64 = after("Requests/sec:")?.parse()?;
    let failed = failed(text)?;
    ensure!(per_second > 0.0 || failed > 0.0, "no request was answered");
    Ok(Load { done: done.parse()?, failed, per_second, p50_us: time("50%")??, p99_us: time("99%")?? })
}

/// `Non-2xx or 3xx responses: 5` and `Socket errors: connect 0, read 1, write 0, timeout 0`.
fn failed(text: &str) -> Result<f64> {
    let mut sum = 0.0;
    for line in text.lines().map(str::trim) {
        if let Some(count) = line.strip_prefix("Non-2xx or 3xx responses:") {
            sum += count.trim().parse::<f64>()?;
        }
        for part in line.strip_prefix("Socket errors:").unwrap_or_default().split(',') {
            sum += part.split_whitespace().nth(1).map_or(Ok(0.0), str::parse)?;
        }
    }
    Ok(sum)
}
