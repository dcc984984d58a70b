//! What the clients, the changes and the measurements know of each other: what is right now, what
//! was seen, and the rules by which a failure is excused.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::expect::{Expected, Kills, names};

/// See the module.
#[derive(Debug)]
pub(super) struct Shared {
    stop: AtomicBool,
    next: AtomicU64,
    /// Service `a`: HTTP/1.1.
    pub(super) a: Expected,
    /// Service `b`: HTTP/2.
    pub(super) b: Expected,
    /// A route to both, by weights.
    pub(super) split: Expected,
    /// Servers behind the TCPRoute and the UDPRoute.
    pub(super) tcp: Expected,
    /// See `tcp`.
    pub(super) udp: Expected,
    /// Answers to what a policy allows at times: the server or `403`.
    pub(super) policed: Expected,
    /// Answers on a route that is there at times: a server or `404`.
    pub(super) extra: Expected,
    /// Certificates of the HTTPS listener, by number.
    pub(super) certificate: Expected,
    pub(super) kills: Kills,
    /// `--drain-timeout`.
    pub(super) drain: Duration,
    /// When the proxy was to be replaced, and was.
    restarts: Mutex<Vec<(Instant, Option<Instant>)>>,
    tally: Mutex<Tally>,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Right answers, by what asked.
    pub(super) right: BTreeMap<&'static str, u64>,
    /// Failures by the rule that excuses them.
    pub(super) excused: BTreeMap<&'static str, u64>,
    /// All others, the first of them in words.
    pub(super) wrong_count: u64,
    /// See `wrong_count`.
    pub(super) wrong: Vec<String>,
}

/// An attempt, for the judgement of its failure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt<'e> {
    /// What asked.
    pub(super) what: &'static str,
    expected: &'e Expected,
    begun: usize,
    at: Instant,
}

impl<'e> Attempt<'e> {
    /// Begins now.
    pub(super) fn new(what: &'static str, expected: &'e Expected) -> Self {
        // The expectation first: a change between the two makes more right, not less.
        Self { what, expected, begun: expected.now(), at: Instant::now() }
    }

    /// Whether this answer was right at any time since the beginning.
    pub(super) fn permits(&self, answer: &str) -> bool {
        self.expected.since(self.begun).contains(answer)
    }
}

impl Shared {
    pub(super) fn new(drain: Duration) -> Self {
        let expected = |list: &[&str]| Expected::new(names(list));
        Self {
            stop: AtomicBool::new(false),
            next: AtomicU64::new(1),
            a: expected(&["a1", "a2"]),
            b: expected(&["b1", "b2"]),
            split: expected(&["a1", "a2", "b1", "b2"]),
            tcp: expected(&["a1", "a2"]),
            udp: expected(&["b1", "c1"]),
            policed: expected(&["c1"]),
            extra: expected(&["404"]),
            certificate: expected(&["0"]),
            kills: Kills::default(),
            drain,
            restarts: Mutex::default(),
            tally: Mutex::default(),
        }
    }

    /// Has the clients end.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_over(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// A number that nobody had before.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Records that the proxy is replaced by `replace`, which returns when it is.
    pub(super) fn restart(&self, replace: impl FnOnce()) {
        let restarts = || self.restarts.lock().expect("no panic while it is held");
        restarts().push((Instant::now(), None));
        replace();
        if let Some(last) = restarts().last_mut() {
            last.1 = Some(Instant::now());
        }
    }

    pub(super) fn tally(&self) -> Tally {
        self.with(|tally| tally.clone())
    }

    fn with<T>(&self, work: impl FnOnce(&mut Tally) -> T) -> T {
        work(&mut self.tally.lock().expect("no panic while it is held"))
    }

    pub(super) fn right(&self, attempt: &Attempt<'_>) {
        self.with(|tally| *tally.right.entry(attempt.what).or_default() += 1);
    }

    pub(super) fn excuse(&self, rule: &'static str) {
        self.with(|tally| *tally.excused.entry(rule).or_default() += 1);
    }

    /// Something that no rule excuses.
    pub(super) fn wrong(&self, attempt: &Attempt<'_>, why: &str) {
        let line = format!("{}, begun {:?} ago: {why}", attempt.what, attempt.at.elapsed());
        self.with(|tally| {
            tally.wrong_count += 1;
            if tally.wrong.len() < WRONG_MAX {
                tally.wrong.push(line);
            }
        });
    }

    /// An answer that is whole, under this name.
    pub(super) fn answered(&self, attempt: &Attempt<'_>, answer: &str) {
        if attempt.permits(answer) {
            self.right(attempt);
        } else {
            let right = attempt.expected.since(attempt.begun);
            self.wrong(attempt, &format!("{answer:?} answered, right were {right:?}"));
        }
    }

    /// No answer, half an answer or a 5xx. Rules [`KILLED`] and [`REVOKED`] excuse it.
    pub(super) fn failed(&self, attempt: &Attempt<'_>, why: &str) {
        let right = attempt.expected.since(attempt.begun);
        if right.contains(FORBIDDEN) && right.len() > 1 {
            self.excuse(REVOKED);
        } else if self.kills.hit(&right, attempt.at) {
            self.excuse(KILLED);
        } else {
            self.wrong(attempt, why);
        }
    }

    /// A stream that was to last ended. Rules [`KILLED`] and [`DRAINED`] excuse it.
    pub(super) fn cut(&self, attempt: &Attempt<'_>, server: &str, why: &str) {
        let restarts = self.restarts.lock().expect("no panic while it is held");
        let drained = restarts.iter().any(|(ordered, replaced)| {
            // The time that is left to the old proxy begins after the order.
            replaced.is_none_or(|replaced| attempt.at <= replaced) && ordered.elapsed() >= self.drain
        });
        drop(restarts);
        if self.kills.hit(&names(&[server]), attempt.at) {
            self.excuse(KILLED);
        } else if drained {
            self.excuse(DRAINED);
        } else {
            self.wrong(attempt, &format!("{why}, from {server}"));
        }
    }
}

/// Rule 1: it was under way at a server when that one's connections were reset.
pub(super) const KILLED: &str = "under way at a server that was killed";
/// Rule 2: it outlived the time that a replaced proxy has to end.
pub(super) const DRAINED: &str = "older than a restart by the drain time-out";
/// Rule 3: HTTP/1.1 has no way to end an idle connection without a race. A client that was quiet for
/// longer than a draining proxy waits sends its request again (RFC 9112, 9.3.1).
pub(super) const QUIET: &str = "sent again after a pause on a connection that was closed meanwhile";
/// Rule 4: what a GOAWAY without an error leaves out has not been looked at, and is sent again (RFC
/// 9113, 6.8). That of a stream which the GOAWAY includes is no such failure.
pub(super) const GOODBYE: &str = "sent again because a GOAWAY left it out";
/// Rule 5: a policy changed while it was under way, and no longer allows it.
pub(super) const REVOKED: &str = "under way when a policy withdrew its permission";
/// What is right where a policy denies.
pub(super) const FORBIDDEN: &str = "403";

/// Wrong answers that are kept.
const WRONG_MAX: usize = 100;
