//! `--limit NAME=VALUE`: limits as an operator writes and reads them.

use std::str::FromStr;

use proxy::{Limit, Limits, Unit};

use crate::explain::name::near;

/// A limit and what it is set to, which is within its range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    limit: &'static Limit,
    value: u64,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((name, value)) = text.split_once('=') else {
            return Err("not NAME=VALUE, as in stall_timeout=60s".into());
        };
        let Some(limit) = Limit::ALL.iter().find(|limit| limit.name == name) else {
            return Err(unknown(name));
        };
        match parse(limit.unit, value).filter(|value| limit.range.contains(value)) {
            Some(value) => Ok(Self { limit, value }),
            None => Err(format!("{name} is {} of {}", expected(limit.unit), range(limit))),
        }
    }
}

impl Setting {
    /// What is said where less is in force; `None` where it is not.
    pub(crate) fn lowered(&self, limits: &Limits) -> Option<String> {
        let (limit, in_force) = (self.limit, self.limit.get(limits));
        let show = |value| show(limit.unit, value);
        (in_force < self.value)
            .then(|| format!("--limit {}={}: {} is in force", limit.name, show(self.value), show(in_force)))
    }
}

/// The defaults with these settings; of two of one limit the last counts.
pub(crate) fn set(settings: &[Setting]) -> Limits {
    let mut limits = Limits::default();
    settings.iter().for_each(|setting| setting.limit.set(&mut limits, setting.value));
    limits
}

/// Every limit with its value, as a flag would set it.
pub(crate) fn each(limits: &Limits) -> impl Iterator<Item = (&'static str, String)> {
    Limit::ALL.iter().map(|limit| (limit.name, show(limit.unit, limit.get(limits))))
}

fn unknown(name: &str) -> String {
    let with_part = |other: &&str| !name.is_empty() && (other.contains(name) || name.contains(*other));
    let names = || Limit::ALL.iter().map(|limit| limit.name);
    let mut likely = near(name, names());
    let parts: Vec<&str> = names().filter(with_part).filter(|other| !likely.contains(other)).collect();
    likely.extend(parts);
    match likely[..] {
        [] => format!("there is no limit {name:?}; docs/operations.md and /config list all"),
        _ => format!("there is no limit {name:?}; did you mean {}?", likely.join(" or ")),
    }
}

fn expected(unit: Unit) -> &'static str {
    match unit {
        Unit::Count => "a count",
        Unit::Bytes => "a number of bytes (as 4096, 64KiB, 1MiB)",
        Unit::Time => "a time (as 500ms, 10s, 5m, 1h)",
    }
}

fn range(limit: &Limit) -> String {
    let show = |value| show(limit.unit, value);
    format!("{} to {}", show(*limit.range.start()), show(*limit.range.end()))
}

/// Unit suffixes with what they stand for, the largest first. A time without one is in seconds.
fn suffixes(unit: Unit) -> &'static [(&'static str, u64)] {
    match unit {
        Unit::Count => &[("", 1)],
        Unit::Bytes => &[("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("", 1)],
        Unit::Time => &[("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1), ("", 1_000)],
    }
}

fn parse(unit: Unit, text: &str) -> Option<u64> {
    let digits = text.find(|byte: char| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let (_, each) = suffixes(unit).iter().find(|(known, _)| *known == suffix)?;
    number.parse::<u64>().ok()?.checked_mul(*each)
}

fn show(unit: Unit, value: u64) -> String {
    let whole = suffixes(unit).iter().find(|(_, each)| value >= *each && value.is_multiple_of(*each));
    match whole {
        Some((suffix, each)) => format!("{}{suffix}", value / each),
        None => value.to_string(),
    }
}

#[cfg(test)]
mod tests;
