//! Medians, the table people read and the rows that are kept.

use std::fmt;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

/// One turn of one peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) requests_per_second: f64,
    pub(crate) cpu_us_per_request: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) rss_kib: f64,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests_per_second, cpu_us_per_request, p50_us, p99_us, rss_kib } = self;
        write!(f, "{requests_per_second:>8.0} req/s  {cpu_us_per_request:>6.1} µs CPU/req  ")?;
        write!(f, "p50 {p50_us:>6.0} µs  p99 {p99_us:>6.0} µs  {rss_kib:>7.0} KiB")
    }
}

/// All turns of all peers, and why some had none.
#[derive(Debug, Default)]
pub(crate) struct Report {
    peers: Vec<(&'static str, Vec<Measured>)>,
    skipped: Vec<(&'static str, String)>,
}

/// A row of `results.json`.
#[derive(Debug, Serialize)]
struct Row {
    work: &'static str,
    peer: &'static str,
    metric: &'static str,
    unit: &'static str,
    value: f64,
}

impl Report {
    /// Notes a turn.
    pub(crate) fn add(&mut self, peer: &'static str, measured: Measured) {
        match self.peers.iter_mut().find(|(name, _)| *name == peer) {
            Some((_, turns)) => turns.push(measured),
            None => self.peers.push((peer, vec![measured])),
        }
    }

    /// Notes why a peer has no figures, and drops those it had.
    pub(crate) fn skip(&mut self, peer: &'static str, reason: String) {
        eprintln!("bench: {peer} left out: {reason}");
        self.peers.retain(|(name, _)| *name != peer);
        self.skipped.push((peer, reason));
    }

    /// The aligned table: medians, and CPU against the peers that matter.
    pub(crate) fn table(&self) -> String {
        let mut out = format!(
            "\n{:<12} {:>9} {:>11} {:>8} {:>8} {:>9}",
            "http1_keepalive", "req/s", "CPU µs/req", "p50 µs", "p99 µs", "RSS KiB"
        );
        for reference in REFERENCES {
            let _ = write!(out, " {:>10}", format!("× {reference}"));
        }
        out.push('\n');
        for (name, turns) in &self.peers {
            let cpu = median(turns, |m| m.cpu_us_per_request);
            let _ = write!(
                out,
                "{name:<15} {:>9.0} {cpu:>10.1} {:>8.0} {:>8.0} {:>9.0}",
                median(turns, |m| m.requests_per_second),
                median(turns, |m| m.p50_us),
                median(turns, |m| m.p99_us),
                median(turns, |m| m.rss_kib),
            );
            for reference in REFERENCES {
                let base = self.peers.iter().find(|(name, _)| *name == reference);
                let ratio = base.map(|(_, turns)| cpu / median(turns, |m| m.cpu_us_per_request));
                let _ = write!(out, " {:>10}", ratio.map_or("-".into(), |ratio| format!("{ratio:.2}")));
            }
            out.push('\n');
        }
        for (name, reason) in &self.skipped {
            let _ = writeln!(out, "{name:<15} left out: {reason}");
        }
        out
    }

    /// Writes every median as rows of work, peer, metric, unit and value.
    pub(crate) fn write_json(&self, path: &Path) -> Result<()> {
        let mut rows = Vec::new();
        for (peer, turns) in &self.peers {
            for (metric, unit, of) in METRICS {
                let value = (median(turns, of) * 1000.0).round() / 1000.0;
                rows.push(Row { work: "http1_keepalive", peer, metric, unit, value });
            }
        }
        let text = serde_json::to_string_pretty(&rows)?;
        std::fs::write(path, text + "\n").with_context(|| path.display().to_string())
    }
}

fn median(turns: &[Measured], of: impl Fn(&Measured) -> f64) -> f64 {
    let mut values: Vec<f64> = turns.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    match (values.get(low), values.get(high)) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => f64::NAN,
    }
}

type Metric = (&'static str, &'static str, fn(&Measured) -> f64);

const METRICS: [Metric; 5] = [
    ("cpu_us_per_request", "us", |m| m.cpu_us_per_request),
    ("requests_per_second", "1/s", |m| m.requests_per_second),
    ("p50_us", "us", |m| m.p50_us),
    ("p99_us", "us", |m| m.p99_us),
    ("rss_kib", "KiB", |m| m.rss_kib),
];

/// The peers that CPU is compared with in the table.
const REFERENCES: [&str; 3] = ["floor", "haproxy", "envoy"];

#[cfg(test)]
mod tests;
