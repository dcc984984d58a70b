//! What the processes of Weir use: memory and descriptors, over time.

use std::fs;
use std::time::Duration;

use rustix::process::Pid;

use crate::Weir;

/// One look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Since the beginning of the load.
    pub(super) at: Duration,
    /// Memory of the supervisor and all proxies, what they share counted in parts (PSS). That of files
    /// is left out: how much of it is whose depends on who else runs the same binary.
    pub(super) pss_kib: u64,
    /// Open descriptors of the same.
    pub(super) descriptors: usize,
}

impl Sample {
    pub(super) fn take(weir: &Weir, at: Duration) -> Self {
        let all = processes(weir);
        Self {
            at,
            pss_kib: all.iter().map(|pid| pss_kib(*pid)).sum(),
            descriptors: all.iter().map(|pid| descriptors(*pid)).sum(),
        }
    }
}

/// Open descriptors of the supervisor and all proxies.
pub(super) fn all_descriptors(weir: &Weir) -> usize {
    processes(weir).into_iter().map(descriptors).sum()
}

/// What each descriptor of the proxy is, for a report of those that are too many.
pub(super) fn kinds(weir: &Weir) -> String {
    let Some(pid) = weir.proxy() else { return "no proxy".into() };
    let mut kinds = std::collections::BTreeMap::<String, usize>::new();
    for entry in fs::read_dir(folder(pid, "fd")).into_iter().flatten().flatten() {
        let target = fs::read_link(entry.path()).unwrap_or_default();
        let target = target.to_string_lossy().into_owned();
        let kind = target.split(":[").next().unwrap_or_default().to_owned();
        *kinds.entry(kind).or_default() += 1;
    }
    format!("{kinds:?}")
}

/// The median of the memory of the samples between two times.
pub(super) fn median(samples: &[Sample], from: Duration, to: Duration) -> Option<u64> {
    let within = samples.iter().filter(|sample| (from..=to).contains(&sample.at));
    let mut values: Vec<u64> = within.map(|sample| sample.pss_kib).collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

fn processes(weir: &Weir) -> Vec<Pid> {
    let mut all = weir.proxies();
    all.push(weir.supervisor());
    all
}

fn folder(pid: Pid, part: &str) -> String {
    format!("/proc/{}/{part}", pid.as_raw_nonzero())
}

/// One that has just ended uses nothing.
fn pss_kib(pid: Pid) -> u64 {
    let text = fs::read_to_string(folder(pid, "smaps_rollup")).unwrap_or_default();
    let of = |kind: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(kind));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default()
    };
    of("Pss_Anon:") + of("Pss_Shmem:")
}

fn descriptors(pid: Pid) -> usize {
    fs::read_dir(folder(pid, "fd")).map_or(0, |entries| entries.flatten().count())
}

#[cfg(test)]
mod tests;
