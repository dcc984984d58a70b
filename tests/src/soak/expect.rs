//! What answers are right, as the configuration changes under the clients' feet.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// A set of answers.
pub(super) type Names = BTreeSet<String>;

/// The names as a set.
pub(super) fn names<S: AsRef<str>>(list: &[S]) -> Names {
    list.iter().map(|name| name.as_ref().to_owned()).collect()
}

/// Which answers are right on one way through the proxy: every set that was in force so far.
///
/// A request is right if its answer was right at any time between its beginning and its end.
#[derive(Debug)]
pub(super) struct Expected(Mutex<Vec<Names>>);

impl Expected {
    pub(super) fn new(first: Names) -> Self {
        Self(Mutex::new(vec![first]))
    }

    /// The present, to ask about later.
    pub(super) fn now(&self) -> usize {
        lock(&self.0).len() - 1
    }

    /// What is right at this moment.
    pub(super) fn current(&self) -> Names {
        self.since(self.now())
    }

    /// Everything that was right since then.
    pub(super) fn since(&self, begun: usize) -> Names {
        lock(&self.0)[begun..].iter().flatten().cloned().collect()
    }

    /// Makes a change by `put`, which returns when it is in force: while it runs, what was right
    /// before and what will be are both right, and afterwards only the new.
    pub(super) fn change(&self, to: Names, put: impl FnOnce()) {
        let both = self.current().union(&to).cloned().collect();
        lock(&self.0).push(both);
        put();
        lock(&self.0).push(to);
    }
}

/// When servers were taken away under their connections.
#[derive(Debug, Default)]
pub(super) struct Kills(Mutex<Vec<Kill>>);

#[derive(Debug)]
struct Kill {
    server: String,
    /// When it was over; `None` while it lasts.
    to: Option<Instant>,
}

impl Kills {
    /// Records what `kill` does to a server; it returns when all its connections are reset.
    pub(super) fn during(&self, server: &str, kill: impl FnOnce()) {
        lock(&self.0).push(Kill { server: server.to_owned(), to: None });
        kill();
        if let Some(last) = lock(&self.0).last_mut() {
            last.to = Some(Instant::now() + ON_ITS_WAY);
        }
    }

    /// Whether one of these servers was killed while a request was under way.
    pub(super) fn hit(&self, servers: &Names, begun: Instant) -> bool {
        lock(&self.0)
            .iter()
            .any(|kill| servers.contains(&kill.server) && kill.to.is_none_or(|to| begun <= to))
    }
}

/// How long a reset may be on its way to the proxy on a machine that is busy.
const ON_ITS_WAY: Duration = Duration::from_millis(100);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic while it is held")
}

#[cfg(test)]
mod tests;
