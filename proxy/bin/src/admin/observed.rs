//! What the admin endpoint can see without asking anybody: all of it is read where it is written,
//! so that an answer waits neither for the control thread nor for a worker, nor they for it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use objects::{Problem, Severity};
use proxy::{Limits, Stats};
use telemetry::Counts;

use crate::redirection::Current;

/// The state of this process.
#[derive(Debug)]
pub(crate) struct Observed {
    /// The counters of each worker.
    pub(crate) workers: Vec<Arc<Stats>>,
    /// The Snapshot in force.
    pub(crate) current: Current,
    /// The flow records.
    pub(crate) flows: Arc<Counts>,
    /// The problems of the configuration.
    pub(crate) problems: Arc<PresentProblems>,
    /// The limits in force.
    pub(crate) limits: Limits,
    /// What the programs in the kernel count, where there are any.
    kernel: OnceLock<redirect::CounterReader>,
    /// Revision that the kernel has.
    applied: AtomicU64,
    draining: AtomicBool,
    start: Instant,
    /// Milliseconds from `start` to the last round of the control loop.
    beat_ms: AtomicU64,
}

/// The problems that there are at this moment.
#[derive(Debug, Default)]
pub(crate) struct PresentProblems {
    /// Of which some object or file is not in force.
    pub(crate) errors: AtomicU64,
    /// The others.
    pub(crate) warnings: AtomicU64,
    list: Mutex<Arc<[Problem]>>,
}

impl PresentProblems {
    /// All of them, as they were set.
    pub(crate) fn list(&self) -> Arc<[Problem]> {
        self.list.lock().expect("no panic while it is held").clone()
    }

    /// These are the problems now.
    pub(crate) fn set<'p>(&self, problems: impl IntoIterator<Item = &'p Problem>) {
        let list: Arc<[Problem]> = problems.into_iter().cloned().collect();
        let (mut errors, mut warnings) = (0, 0);
        for problem in &*list {
            match problem.severity {
                Severity::Error => errors += 1,
                Severity::Warning => warnings += 1,
            }
        }
        self.errors.store(errors, Ordering::Relaxed);
        self.warnings.store(warnings, Ordering::Relaxed);
        *self.list.lock().expect("no panic while it is held") = list;
    }
}

impl Observed {
    /// Of a proxy that was just started.
    pub(crate) fn new(
        workers: Vec<Arc<Stats>>,
        current: Current,
        flows: Arc<Counts>,
        problems: Arc<PresentProblems>,
        limits: Limits,
    ) -> Self {
        Self {
            workers,
            current,
            flows,
            problems,
            limits,
            kernel: OnceLock::new(),
            applied: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            start: Instant::now(),
            beat_ms: AtomicU64::new(0),
        }
    }

    /// The kernel has programs of ours; said once.
    pub(crate) fn set_kernel(&self, counters: redirect::CounterReader) {
        drop(self.kernel.set(counters));
    }

    /// What the programs in the kernel count; `None` where there are none.
    pub(crate) fn kernel(&self) -> Option<redirect::Counters> {
        self.kernel.get().and_then(|counters| counters.read().ok())
    }

    /// The kernel has this revision.
    pub(crate) fn set_applied(&self, revision: u64) {
        self.applied.store(revision, Ordering::Relaxed);
    }

    /// The revision that the kernel and all workers have.
    pub(crate) fn revision(&self) -> u64 {
        let workers = self.workers.iter().map(|worker| worker.revision());
        workers.chain([self.applied.load(Ordering::Relaxed)]).min().unwrap_or_default()
    }

    /// From now on connections end.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// The control loop is alive.
    pub(crate) fn beat(&self) {
        let ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.beat_ms.store(ms, Ordering::Relaxed);
    }

    /// Whether new connections are welcome.
    ///
    /// # Errors
    /// Why they are not.
    pub(crate) fn ready(&self) -> Result<(), String> {
        if self.draining.load(Ordering::Relaxed) {
            return Err("draining".into());
        }
        match self.workers.iter().position(|worker| worker.ticked_ns() == 0) {
            Some(index) => Err(format!("starting: worker {index} does not serve yet")),
            None => Ok(()),
        }
    }

    /// Whether every part of this process makes progress.
    ///
    /// # Errors
    /// The part that does not. Starting the process again is the only cure.
    pub(crate) fn live(&self) -> Result<(), String> {
        self.live_at(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(), self.start.elapsed())
    }

    fn live_at(&self, wall: Duration, since_start: Duration) -> Result<(), String> {
        if self.draining.load(Ordering::Relaxed) {
            // The control thread waits for the workers, and they end one by one.
            return Ok(());
        }
        let beat = Duration::from_millis(self.beat_ms.load(Ordering::Relaxed));
        let quiet = since_start.saturating_sub(beat);
        if quiet > CONTROL_STUCK {
            return Err(format!("the control thread has stood still for {quiet:.0?}"));
        }
        for (index, worker) in self.workers.iter().enumerate() {
            let ticked = Duration::from_nanos(worker.ticked_ns());
            let quiet = wall.saturating_sub(ticked);
            if !ticked.is_zero() && quiet > WORKER_STUCK {
                return Err(format!("worker {index} has stood still for {quiet:.0?}"));
            }
        }
        Ok(())
    }
}

/// Far longer than the translation of any configuration; the control loop turns once a second.
const CONTROL_STUCK: Duration = Duration::from_secs(60);
/// A worker ticks ten times a second.
const WORKER_STUCK: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
