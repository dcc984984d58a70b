//! What the admin endpoint of a running Weir says of it, and what the kernel says of its memory.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::process::Pid;

use crate::client::Client;
use crate::namespace::Namespace;

/// The admin endpoint's default port.
const PORT: u16 = 15200;

/// The metrics now.
#[derive(Clone, Debug)]
pub struct Metrics(String);

impl Metrics {
    /// Asks Weir on this node.
    pub fn of(node: &Namespace) -> io::Result<Self> {
        let address = ([127, 0, 0, 1], PORT).into();
        let mut client = Client::new(node.connect(address, Duration::from_secs(10))?, address);
        Ok(Self(client.get("/metrics")?.text()))
    }

    /// The value of one series, labels included; `None` where it is not there.
    pub fn value(&self, series: &str) -> Option<f64> {
        let number = self.0.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        number.and_then(|number| number.parse().ok())
    }

    /// How often a limit stopped something. Panics if there is no such limit.
    pub fn limit(&self, name: &str) -> f64 {
        let series = format!("weir_limit_hits_total{{limit=\"{name}\"}}");
        self.value(&series).unwrap_or_else(|| panic!("{series} is not in:\n{}", self.0))
    }
}

/// Watches how much a process grows.
#[derive(Debug)]
pub struct Memory {
    pid: Pid,
    before: u64,
}

impl Memory {
    /// From now on.
    pub fn watch(pid: Pid) -> Self {
        // 5: the peak is what it has now (proc(5)).
        fs::write(format!("/proc/{}/clear_refs", pid.as_raw_nonzero()), "5").expect("the process is there");
        Self { pid, before: kibibytes(pid, "VmRSS:") }
    }

    /// By how many KiB its resident memory was above that at most.
    pub fn grown(&self) -> u64 {
        kibibytes(self.pid, "VmHWM:").saturating_sub(self.before)
    }
}

fn kibibytes(pid: Pid, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()));
    let status = status.expect("the process is there");
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no {name} in {status}"))
}
