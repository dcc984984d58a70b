//! Tells when files change: inotify on folders, or once a second where that fails.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask, Watches};

/// How often everything is looked at where inotify fails.
pub const POLL: Duration = Duration::from_secs(1);
/// A burst of changes ends with this much silence...
const QUIET: Duration = Duration::from_millis(2);
/// ...or after this long.
const LONGEST_BURST: Duration = Duration::from_millis(50);
/// Room for one read of events: a header and the longest name, many times.
const EVENT_BYTES: usize = 64 << 10;

/// Waits for changes of the files that [`Files`](crate::Files) reads. May be used from another
/// thread than the one that rescans.
pub struct Changes {
    shared: Arc<Shared>,
}

impl Changes {
    /// Blocks until something changed (after a short silence, so that one save is one change),
    /// until a [`Waker`] wakes it, or until the time is over. True: call
    /// [`Files::rescan`](crate::Files::rescan).
    pub fn wait(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.lock();
        while !state.all && state.paths.is_empty() && !state.woken {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let polling = state.polling;
            let (next, waited) = self.shared.wait(state, if polling { left.min(POLL) } else { left });
            state = next;
            state.all |= polling && waited;
        }
        let burst_ends = Instant::now() + LONGEST_BURST;
        while !state.woken && !state.polling && Instant::now() < burst_ends {
            let seen = state.events;
            state = self.shared.wait(state, QUIET).0;
            if state.events == seen {
                break;
            }
        }
        state.woken = false;
        state.all || !state.paths.is_empty()
    }

    /// Something that ends a [`wait`](Self::wait) from elsewhere.
    pub fn waker(&self) -> Waker {
        Waker { shared: self.shared.clone() }
    }
}

/// Ends a [`Changes::wait`] from another thread.
#[derive(Clone)]
pub struct Waker {
    shared: Arc<Shared>,
}

impl Waker {
    /// Ends the wait that is under way, or else the next one.
    pub fn wake(&self) {
        self.shared.lock().woken = true;
        self.shared.changed.notify_all();
    }
}

/// What changed since the last rescan.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Dirty {
    /// Anything may have.
    All,
    /// These paths: files, or names in the folders that are watched.
    Paths(BTreeSet<PathBuf>),
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    all: bool,
    paths: BTreeSet<PathBuf>,
    /// Counts events, to see whether a burst goes on.
    events: u64,
    woken: bool,
    /// inotify does not work: everything may have changed at any time.
    polling: bool,
    stopped: bool,
    /// The folders behind each watch; several names may lead to one folder.
    folders: HashMap<WatchDescriptor, BTreeSet<PathBuf>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves nothing half-changed here.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change; true if the time ran out.
    fn wait<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> (MutexGuard<'a, State>, bool) {
        let (state, result) = self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner);
        (state, result.timed_out())
    }

    fn mark(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        state.events += 1;
        self.changed.notify_all();
    }
}

/// The watch behind [`Changes`]; ends when dropped.
pub(crate) struct Watch {
    shared: Arc<Shared>,
    watches: Option<Watches>,
}

impl Watch {
    /// Begins to watch no folder yet. Where inotify fails it polls and says why.
    pub(crate) fn start() -> (Self, Option<io::Error>) {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        match Inotify::init().and_then(|inotify| spawn(inotify, shared.clone())) {
            Ok(watches) => (Self { shared, watches: Some(watches) }, None),
            Err(error) => {
                shared.lock().polling = true;
                (Self { shared, watches: None }, Some(error))
            }
        }
    }

    /// Watches the entries of a folder; an empty path is the current folder. An error means
    /// that its changes are not seen.
    pub(crate) fn add(&mut self, folder: &Path) -> io::Result<()> {
        let Some(watches) = &mut self.watches else { return Ok(()) };
        let real = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let mask = WatchMask::CLOSE_WRITE
            | WatchMask::CREATE
            | WatchMask::DELETE
            | WatchMask::MOVE
            | WatchMask::ATTRIB
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF
            | WatchMask::ONLYDIR;
        // Held over the call, so that the first event finds the name of its folder.
        let mut state = self.shared.lock();
        let watch = watches.add(real, mask)?;
        state.folders.entry(watch).or_default().insert(folder.to_owned());
        Ok(())
    }

    /// Gives up inotify: from now on everything may have changed every [`POLL`].
    pub(crate) fn poll(&self) {
        self.shared.mark(|state| state.polling = true);
    }

    /// Whether it polls.
    pub(crate) fn is_polling(&self) -> bool {
        self.shared.lock().polling
    }

    /// What changed since the last call.
    pub(crate) fn take(&self) -> Dirty {
        let mut state = self.shared.lock();
        let paths = std::mem::take(&mut state.paths);
        if std::mem::take(&mut state.all) || state.polling { Dirty::All } else { Dirty::Paths(paths) }
    }

    /// The other end.
    pub(crate) fn changes(&self) -> Changes {
        Changes { shared: self.shared.clone() }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.stopped = true;
        // The end of a watch is an event, and that wakes the thread.
        let any = state.folders.keys().next().cloned();
        if let (Some(watches), Some(any)) = (&mut self.watches, any) {
            let _ = watches.remove(any);
        }
    }
}

fn spawn(mut inotify: Inotify, shared: Arc<Shared>) -> io::Result<Watches> {
    let watches = inotify.watches();
    let mut remove = inotify.watches();
    thread::Builder::new().name("config-watch".to_owned()).spawn(move || {
        let mut buffer = vec![0; EVENT_BYTES];
        loop {
            let events = match inotify.read_events_blocking(&mut buffer) {
                Ok(events) => events,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::warn!(%error, "inotify failed; configuration is looked at once a second");
                    return shared.mark(|state| state.polling = true);
                }
            };
            for event in events {
                if event.mask.contains(EventMask::MOVE_SELF) {
                    // It is another folder's name now; whatever takes its place is watched anew.
                    let _ = remove.remove(event.wd.clone());
                }
                note(&shared, &event.wd, event.mask, event.name.map(Path::new));
            }
            if shared.lock().stopped {
                return;
            }
        }
    })?;
    Ok(watches)
}

fn note(shared: &Shared, watch: &WatchDescriptor, mask: EventMask, name: Option<&Path>) {
    if mask.contains(EventMask::Q_OVERFLOW) {
        return shared.mark(|state| state.all = true);
    }
    let folders = shared.lock().folders.get(watch).cloned().unwrap_or_default();
    let paths: Vec<PathBuf> = match name {
        Some(name) => folders.iter().map(|folder| folder.join(name)).collect(),
        None => folders.into_iter().collect(),
    };
    if mask.contains(EventMask::CREATE) && !paths.iter().any(|path| is_complete(path)) {
        return;
    }
    shared.mark(|state| {
        if mask.contains(EventMask::IGNORED) {
            state.folders.remove(watch);
        }
        state.paths.extend(paths);
    });
}

/// Whether a path that was just created will bring no other event: a folder or a link. A file is
/// still empty then, and tells when it is closed.
fn is_complete(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| !metadata.is_file() || metadata.nlink() > 1)
}

#[cfg(test)]
mod tests;
