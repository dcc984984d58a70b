//! What the process takes of the machine, from proc(5).

use std::fmt::Error;

use prometheus_client::encoding::EncodeMetric;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use rustix::process::{Resource, getrlimit};

use super::Out;

/// Fields of `/proc/PID/stat`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stat {
    /// Name of the process or thread.
    name: String,
    /// In user and kernel mode together, in clock ticks.
    cpu_ticks: u64,
    threads: u64,
    /// Clock ticks from the machine's start.
    started_ticks: u64,
    resident_pages: u64,
}

impl Stat {
    fn read(path: &str) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(path).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The name may hold anything, parentheses and spaces too.
        let (_, rest) = text.split_once('(')?;
        let (name, rest) = rest.rsplit_once(')')?;
        // The state is field 3.
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            name: name.to_owned(),
            cpu_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            started_ticks: field(22)?,
            resident_pages: field(24)?,
        })
    }
}

/// The names that Prometheus' client libraries agree on.
pub(super) fn encode(out: &mut Out<'_>) -> Result<(), Error> {
    if let Some(stat) = Stat::read("/proc/self/stat") {
        let help = "Processor time that the proxy process has used.";
        out.seconds("process_cpu_seconds", help, MetricType::Counter, seconds(stat.cpu_ticks))?;
        let bytes = stat.resident_pages * rustix::param::page_size() as u64;
        out.gauge("process_resident_memory_bytes", "Memory of the proxy process that is resident.", bytes)?;
        out.gauge("process_threads", "Threads of the proxy process.", stat.threads)?;
        if let Some(boot) = boot_seconds() {
            let start = boot + seconds(stat.started_ticks);
            let help = "Start of the proxy process, in seconds since the Unix epoch.";
            out.seconds("process_start_time_seconds", help, MetricType::Gauge, start)?;
        }
    }
    if let Ok(list) = std::fs::read_dir("/proc/self/fd") {
        // One of them is the listing's own.
        let open = list.count().saturating_sub(1) as u64;
        out.gauge("process_open_fds", "File descriptors that the proxy process has open.", open)?;
    }
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    out.gauge("process_max_fds", "File descriptors that the proxy process may have.", most)
}

/// How busy the workers are.
pub(super) fn workers(out: &mut Out<'_>) -> Result<(), Error> {
    let mut workers: Vec<(u32, u64)> = Vec::new();
    for thread in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let stat = thread.path().join("stat").to_str().and_then(Stat::read);
        let index = stat.as_ref().and_then(|stat| stat.name.strip_prefix("weir-worker-")?.parse().ok());
        if let (Some(stat), Some(index)) = (stat, index) {
            workers.push((index, stat.cpu_ticks));
        }
    }
    workers.sort_unstable();
    let help = "Processor time by worker; one that uses a second in a second is busy all the time.";
    let mut metric = out.begin("weir_worker_cpu_seconds", help, MetricType::Counter)?;
    for (index, ticks) in workers {
        let worker = index.to_string();
        ConstCounter::new(seconds(ticks)).encode(metric.encode_family(&[("worker", worker.as_str())])?)?;
    }
    Ok(())
}

/// When the machine was started, in seconds since the Unix epoch.
fn boot_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
}

#[allow(clippy::cast_precision_loss)] // Exact for millions of years.
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

#[cfg(test)]
mod tests;
