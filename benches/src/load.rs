//! The load: what one run of a load generator measured, whichever it was.

use std::time::Duration;

use anyhow::{Result, ensure};

pub(crate) mod h2load;
pub(crate) mod handshakes;
pub(crate) mod hold;
pub(crate) mod probe;
pub(crate) mod wrk;

/// What one run of a load generator measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Load {
    /// What was done: requests, or handshakes.
    pub(crate) done: f64,
    /// Requests that failed, or that were answered by another status than 2xx.
    pub(crate) failed: f64,
    pub(crate) per_second: f64,
    /// Not a number where the generator does not say.
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

impl Load {
    /// An error unless something was done and nothing failed.
    pub(crate) fn flawless(self) -> Result<Self> {
        ensure!(self.failed == 0.0, "{} requests failed", self.failed);
        ensure!(self.done > 0.0, "nothing was answered");
        Ok(self)
    }
}

/// A time as wrk and h2load write it: `843us`, `843.00us`, `1.52ms`, `1.00s`, `2.00m`.
fn microseconds(text: &str) -> Option<f64> {
    let units = [("us", 1.0), ("ms", 1e3), ("s", 1e6), ("m", 60e6)];
    let (number, factor) =
        units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    Some(number.parse::<f64>().ok()? * factor)
}

/// Whole seconds, which is what load generators take; at least one.
fn seconds(time: Duration) -> String {
    time.as_secs().max(1).to_string()
}

#[cfg(test)]
mod tests;
