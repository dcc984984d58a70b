//! HTTP/2 and gRPC in a closed loop, and HTTP/1.1 at an offered rate: h2load.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{Load, seconds};
use crate::figure::percentile;
use crate::listener::Listener;
use crate::subject::Running;

/// How h2load loads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct H2load {
    /// Connections.
    pub(crate) connections: usize,
    /// Streams under way on each.
    pub(crate) streams: usize,
    /// Requests a second in all, sent whether the earlier ones are answered or not; none: as fast as
    /// answers come.
    pub(crate) offered: Option<f64>,
}

impl H2load {
    /// Loads a subject. Failed requests are counted; what is not load at all is an error.
    pub(crate) fn run(
        &self,
        subject: &Running<'_>,
        time: Duration,
        tick: impl FnMut() -> Result<()>,
    ) -> Result<Load> {
        let context = subject.context;
        let place = subject.client_place();
        let mut command = place.command("h2load");
        command.args(["-t1", &format!("-c{}", self.connections), &format!("-m{}", self.streams)]);
        command.args(["-D", &seconds(time)]);
        match subject.listener {
            Listener::Http1 | Listener::Tls | Listener::Tcp => {
                command.arg("--h1");
            }
            Listener::Grpc => {
                command.arg("-d").arg(&context.payload);
                command.args(["-H", "content-type: application/grpc", "-H", "te: trailers"]);
            }
            Listener::Http2 | Listener::TlsHttp2 => {}
        }
        let log = context.out.join("h2load.log");
        if let Some(offered) = self.offered {
            let connections = f64::from(u32::try_from(self.connections)?);
            command.args(["--rps", &format!("{:.3}", offered / connections)]);
            // h2load adds to the file that is there.
            fs::write(&log, "")?;
            command.arg("--log-file").arg(&log);
        }
        command.arg(subject.url());
        let mut load = parse(&place.run(command, tick)?)?;
        if self.offered.is_some() {
            (load.p50_us, load.p99_us) = latencies(&fs::read_to_string(&log)?)?;
        }
        Ok(load)
    }
}

/// Reads h2load's report.
pub(super) fn parse(text: &str) -> Result<Load> {
    let line = |key: &str| {
        let found = text.lines().find_map(|line| line.trim().strip_prefix(key));
        found.with_context(|| format!("h2load does not say {key:?}: {text}"))
    };
    // finished in 1.01s, 324272.00 req/s, 31.23MB/s
    let per_second: f64 = number(line("finished in ")?, "req/s")?;
    // requests: 12 total, 12 started, 12 done, 12 succeeded, 0 failed, 0 errored, 0 timeout
    let requests = line("requests: ")?;
    // status codes: 12 2xx, 0 3xx, 0 4xx, 0 5xx
    let (done, good) = (number(requests, "done")?, number(line("status codes: ")?, "2xx")?);
    let unanswered = number(requests, "errored")? + number(requests, "timeout")?;
    ensure!(done > 0.0 || unanswered > 0.0, "no request was answered");
    Ok(Load { done: good, failed: done - good + unanswered, per_second, p50_us: f64::NAN, p99_us: f64::NAN })
}

/// The number before a word: `12 done`.
fn number(text: &str, word: &str) -> Result<f64> {
    let found = text.split(',').find_map(|part| part.trim().strip_suffix(word));
    let found = found.with_context(|| format!("no number of {word} in {text:?}"))?;
    Ok(found.trim().parse()?)
}

/// Median and p99 of `--log-file`: a line a request of start, status and microseconds.
pub(super) fn latencies(log: &str) -> Result<(f64, f64)> {
    let mut all = Vec::new();
    for line in log.lines() {
        let time = line.split('\t').nth(2).with_context(|| format!("{line:?} is no line of h2load's log"))?;
        all.push(time.parse::<f64>()?);
    }
    ensure!(!all.is_empty(), "h2load logged no request");
    all.sort_by(f64::total_cmp);
    Ok((percentile(&all, 0.5), percentile(&all, 0.99)))
}
