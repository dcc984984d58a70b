//! The log: to standard error, with levels that can be changed while the process runs.

use std::collections::BTreeMap;
use std::fmt;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, bail};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, reload};

/// The levels in force and the way to change them.
#[derive(Clone, Debug)]
pub(crate) struct Log(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    levels: Levels,
    filter: reload::Handle<Targets, Registry>,
}

impl Log {
    /// Logs to standard error from now on, at these levels. Once in a process.
    pub(crate) fn to_stderr(levels: &str) -> Result<Self> {
        let levels = Levels::parse(levels).with_context(|| format!("--log {levels:?}"))?;
        let (layer, filter) = reload::Layer::new(levels.targets());
        let format = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_target(false)
            .with_ansi(std::io::stderr().is_terminal());
        tracing_subscriber::registry().with(layer).with(format).init();
        Ok(Self(Arc::new(Mutex::new(State { levels, filter }))))
    }

    /// The levels in force, as [`Log::change`] takes them.
    pub(crate) fn levels(&self) -> String {
        self.0.lock().expect("no panic while it is held").levels.to_string()
    }

    /// Changes the levels that `change` names (`LEVEL` or `PART=LEVEL`, separated by commas); the
    /// others stay. Returns what is in force then.
    ///
    /// # Errors
    /// Something is no level, or there are too many parts; then nothing changes.
    pub(crate) fn change(&self, change: &str) -> Result<String> {
        let mut state = self.0.lock().expect("no panic while it is held");
        let mut levels = state.levels.clone();
        levels.merge(Levels::parse(change)?)?;
        state.filter.reload(levels.targets())?;
        state.levels = levels;
        Ok(state.levels.to_string())
    }
}

/// A level for all, and others for single parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Levels {
    all: Option<LevelFilter>,
    /// By crate or module: `proxy`, `proxy::tunnel`.
    parts: BTreeMap<String, LevelFilter>,
}

impl Levels {
    fn parse(text: &str) -> Result<Self> {
        let mut levels = Self::default();
        for item in text.split(',').map(str::trim) {
            let (part, level) = match item.split_once('=') {
                Some((part, level)) => (Some(part.trim()), level.trim()),
                None => (None, item),
            };
            // An empty text would parse, as `error`.
            let parsed = Some(level).filter(|level| !level.is_empty()).and_then(|level| level.parse().ok());
            let level: LevelFilter =
                parsed.with_context(|| format!("{item:?} is neither LEVEL nor PART=LEVEL"))?;
            match part {
                None => levels.all = Some(level),
                Some(part) if part.chars().all(is_of_name) => {
                    let top = part.split("::").next().unwrap_or_default();
                    if !PARTS.contains(&top) {
                        bail!("there is no part {top:?}; there are {}", PARTS.join(", "));
                    }
                    levels.parts.insert(part.to_owned(), level);
                }
                Some(part) => bail!("{part:?} is no part"),
            }
        }
        levels.bounded()
    }

    fn merge(&mut self, other: Self) -> Result<()> {
        self.all = other.all.or(self.all);
        self.parts.extend(other.parts);
        *self = std::mem::take(self).bounded()?;
        Ok(())
    }

    fn bounded(self) -> Result<Self> {
        if self.parts.len() > PARTS_MAX {
            bail!("levels for more than {PARTS_MAX} parts");
        }
        Ok(self)
    }

    fn targets(&self) -> Targets {
        let parts = Targets::new().with_targets(self.parts.clone());
        self.all.map_or(parts.clone(), |all| parts.with_default(all))
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.all.unwrap_or(LevelFilter::OFF))?;
        self.parts.iter().try_for_each(|(part, level)| write!(f, ",{part}={level}"))
    }
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// The parts: our crates that log.
const PARTS: [&str; 4] = ["config", "proxy", "redirect", "weir"];
/// Parts with a level of their own; each costs a comparison for each event.
const PARTS_MAX: usize = 32;

#[cfg(test)]
mod tests;
