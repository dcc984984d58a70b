//! Files and folders: read, watched and kept in line with the store.

mod again;
mod claims;
mod read;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use objects::{ObjectKey, Problem, Source, Store};

use self::claims::Claims;
use self::read::{Fingerprint, Found};
use crate::recall::ServedRoot;
use crate::watch::{Changes, Dirty, Watch};
use crate::{decode, yaml};

pub use self::claims::VANISH_AFTER;
pub use self::read::MAX_FILE_BYTES;

/// Most files that are read; more are an error each folder.
pub const MAX_FILES: usize = 100_000;
/// How often everything is looked at even if no change was reported: network file systems
/// report none.
pub const FULL_CHECK: Duration = Duration::from_secs(30);

/// How soon a path is looked at again after an error that passes by itself.
const RETRY: Duration = Duration::from_millis(500);

/// Files that a full check looks at before it looks whether a change was reported: nobody waits for
/// ten thousand.
const CHECKED_AT_ONCE: usize = 256;

/// Longer than a tick of any file system's clock.
const SETTLE: Duration = Duration::from_secs(1);

/// A path that cannot be taken at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No path was given.
    #[error("no configuration: name a file or a folder")]
    Nothing,
    /// There is nothing at this path, or it may not be looked at.
    #[error("{path}: {error}", path = path.display())]
    Path {
        /// The path as given.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}

/// What was done since [`Files::open`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Files read from the disk.
    pub read: u64,
    /// Files whose text had changed and was parsed.
    pub parsed: u64,
    /// Folders listed.
    pub listed: u64,
}

/// The configuration after a rescan.
#[derive(Debug)]
pub struct Loaded {
    /// The objects in force. While somebody holds it, the next change copies the index of names.
    pub store: Arc<Store>,
    /// Everything that is wrong at the moment, ordered by place.
    pub problems: Vec<Problem>,
    /// The objects that were put in force, replaced, removed or refused by this rescan.
    pub changed: Vec<ObjectKey>,
    /// Rescan at the latest then: something that vanished will count as deleted, or something that
    /// could not be read, or everything, is due to be looked at.
    pub next: Instant,
}

/// The files and folders that the user named.
pub struct Files {
    roots: Vec<Root>,
    known: BTreeMap<Arc<Path>, State>,
    /// The known files that are symlinks, and where they lead.
    links: BTreeMap<Arc<Path>, Option<PathBuf>>,
    claims: Claims,
    problems: BTreeMap<Arc<Path>, Vec<Problem>>,
    /// Paths that cannot be read at the moment; what they held stays in force.
    unreadable: BTreeMap<Arc<Path>, Problem>,
    /// Those of them that may be readable soon without any change to them, and when to look.
    retries: BTreeMap<Arc<Path>, Instant>,
    store: Arc<Store>,
    changed: BTreeSet<ObjectKey>,
    watch: Option<Watch>,
    full_check: Option<Instant>,
    /// What a full check that is under way has still to look at.
    unchecked: VecDeque<Arc<Path>>,
    stats: Stats,
    /// What was read since somebody asked, if somebody wants to know.
    notes: Option<again::Notes>,
}

/// A path as the user gave it.
struct Root {
    path: Arc<Path>,
    /// It was a folder when it was last there.
    folder: bool,
    /// It was read before: what cannot be read now leaves everything as it is.
    seen: bool,
    /// An earlier process served what it held.
    served: bool,
}

/// A file that was read.
struct State {
    /// `None`, as the digest: an earlier process read it.
    fingerprint: Option<Fingerprint>,
    digest: Option<u64>,
    /// When this text was first read.
    since: Instant,
    /// It was read again [`SETTLE`] later: the same fingerprint means the same text. (Two writes
    /// within one tick of the file system's clock look the same.)
    settled: bool,
}

impl Files {
    /// Takes files and folders; reads nothing yet. Of a folder, files whose name ends in
    /// `.yaml`, `.yml` or `.json` and does not begin with a dot are read, not its subfolders.
    pub fn open<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self, OpenError> {
        Self::open_again(paths, &[])
    }

    /// The same for a process that goes on where an earlier one was, which served these: one of them
    /// that is gone may come back.
    pub fn open_again<P: AsRef<Path>>(
        paths: impl IntoIterator<Item = P>,
        served: &[ServedRoot],
    ) -> Result<Self, OpenError> {
        let mut roots: Vec<Root> = Vec::new();
        for path in paths {
            let path: PathBuf = path.as_ref().components().collect();
            let before = again::served(served, &path);
            let folder = match (std::fs::metadata(&path), before) {
                (Ok(metadata), _) => metadata.is_dir(),
                (Err(_), Some(before)) => before.folder,
                (Err(error), None) => return Err(OpenError::Path { path, error }),
            };
            if roots.iter().all(|root| *root.path != *path) {
                let served = before.is_some();
                roots.push(Root { path: path.into(), folder, seen: served, served });
            }
        }
        if roots.is_empty() {
            return Err(OpenError::Nothing);
        }
        Ok(Self {
            roots,
            known: BTreeMap::new(),
            links: BTreeMap::new(),
            claims: Claims::default(),
            problems: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            retries: BTreeMap::new(),
            store: Arc::default(),
            changed: BTreeSet::new(),
            watch: None,
            full_check: None,
            unchecked: VecDeque::new(),
            stats: Stats::default(),
            notes: None,
        })
    }

    /// Begins to watch; call it before [`load`](Self::load), so that no change is missed. Where
    /// inotify fails, everything is looked at once a second instead, and a warning says so.
    pub fn watch(&mut self) -> Changes {
        let (watch, error) = Watch::start();
        let changes = watch.changes();
        self.watch = Some(watch);
        if let Some(error) = error {
            tracing::warn!(%error, "inotify failed; configuration is looked at once a second");
        }
        for index in 0..self.roots.len() {
            self.watch_root(index);
        }
        changes
    }

    /// Reads everything. `now` is the time that later rescans are measured from.
    pub fn load(&mut self, now: Instant) -> Loaded {
        self.full_check = None;
        self.rescan(now)
    }

    /// Reads everything, files that look unchanged too.
    pub fn reload(&mut self, now: Instant) -> Loaded {
        self.known.values_mut().for_each(|state| state.settled = false);
        self.load(now)
    }

    /// Reads what changed: what the watch reported and what could not be read for the moment, or
    /// everything where there is no watch or [`FULL_CHECK`] is over.
    pub fn rescan(&mut self, now: Instant) -> Loaded {
        let reported = self.watch.as_ref().map_or(Dirty::All, Watch::take);
        // The first time, the order of the paths decides who has a name: everything is read.
        match &reported {
            Dirty::Paths(paths) if self.full_check.is_some() => {
                paths.iter().for_each(|path| self.path_changed(path, now));
            }
            _ => {}
        }
        let due: Vec<_> =
            self.retries.iter().filter(|(_, at)| **at <= now).map(|(path, _)| path.clone()).collect();
        for path in due {
            self.retries.remove(&path);
            self.path_changed(&path, now);
        }
        let at_once = reported == Dirty::All || self.full_check.is_none();
        if at_once || self.full_check.is_none_or(|at| at <= now) {
            self.full_check = Some(now + FULL_CHECK);
            self.unchecked.clear();
            for index in 0..self.roots.len() {
                let listed = self.scan_root(index, now, false);
                match at_once {
                    true => listed.iter().for_each(|file| self.check(file, now, false)),
                    false => self.unchecked.extend(listed),
                }
            }
        }
        let some = self.unchecked.len().min(CHECKED_AT_ONCE);
        for file in self.unchecked.drain(..some).collect::<Vec<_>>() {
            self.check(&file, now, false);
        }
        self.changed.extend(self.claims.expire(now, &mut self.store));
        let full_check = self.full_check.unwrap_or(now);
        let due = self.retries.values().copied().chain(self.claims.next());
        Loaded {
            store: self.store.clone(),
            problems: self.problems(),
            changed: std::mem::take(&mut self.changed).into_iter().collect(),
            next: if self.unchecked.is_empty() { due.fold(full_check, Instant::min) } else { now },
        }
    }

    /// The objects in force.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Everything that is wrong at the moment, ordered by place.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = self.problems.values().flatten().cloned().collect();
        problems.extend(self.unreadable.values().cloned());
        problems.extend(self.claims.conflicts());
        problems.sort();
        problems
    }

    /// What was done so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// A path that the watch reported.
    fn path_changed(&mut self, path: &Path, now: Instant) {
        if let Some(index) = self.roots.iter().position(|root| &*root.path == path) {
            self.watch_root(index);
            let listed = self.scan_root(index, now, true);
            return listed.iter().for_each(|file| self.check(file, now, false));
        }
        let folder = path.parent();
        if read::is_config(path) && self.roots.iter().any(|root| root.folder && Some(&*root.path) == folder) {
            return self.check(&Arc::from(path), now, true);
        }
        // What a symlink leads through: `..data` of a ConfigMap beside it, or its target.
        let leads_here = |(link, target): &(&Arc<Path>, &Option<PathBuf>)| {
            link.parent() == folder || target.as_ref().is_some_and(|target| target.starts_with(path))
        };
        let links: Vec<_> = self.links.iter().filter(leads_here).map(|(link, _)| link.clone()).collect();
        for link in links {
            self.check(&link, now, true);
        }
    }

    /// Looks at a path that the user gave. `reported`: a change of it was. Gives the files that are to
    /// be checked now.
    fn scan_root(&mut self, index: usize, now: Instant, reported: bool) -> Vec<Arc<Path>> {
        let Root { path, folder, seen, .. } = &self.roots[index];
        let (path, was_folder, seen) = (path.clone(), *folder, *seen);
        match read::look(&path) {
            Found::Folder => return self.scan_folder(index, now),
            Found::Nothing if was_folder => {
                self.cannot_read(&path, "it is gone; what it held stays in force", !seen);
            }
            _ => {
                self.roots[index].folder = false;
                self.check(&path, now, reported);
            }
        }
        Vec::new()
    }

    fn scan_folder(&mut self, index: usize, now: Instant) -> Vec<Arc<Path>> {
        self.stats.listed += 1;
        let root = &self.roots[index];
        let (folder, seen) = (root.path.clone(), root.seen);
        let entries = std::fs::read_dir(&folder).and_then(|entries| {
            let paths = entries.map(|entry| entry.map(|entry| folder.join(entry.file_name())));
            paths.collect::<Result<BTreeSet<PathBuf>, _>>()
        });
        let mut listed = match entries {
            Ok(entries) => entries,
            Err(error) => {
                self.failed(&folder, &error, now, !seen);
                return Vec::new();
            }
        };
        listed.retain(|path| read::is_config(path));
        if listed.len() > MAX_FILES {
            self.cannot_read(&folder, &format!("it holds more than {MAX_FILES} files"), !seen);
            return Vec::new();
        }
        self.unreadable.remove(&folder);
        self.roots[index].folder = true;
        self.roots[index].seen = true;
        let known = self.known.keys().chain(self.unreadable.keys());
        let inside = known.filter(|file| file.parent() == Some(&folder) && !listed.contains(&***file));
        let gone: BTreeSet<Arc<Path>> = inside.cloned().collect();
        let given = |file: &Arc<Path>| self.roots.iter().any(|root| root.path == *file);
        for file in gone.into_iter().filter(|file| !given(file)).collect::<Vec<_>>() {
            self.gone(&file, now);
        }
        listed.into_iter().map(Arc::from).collect()
    }

    /// Looks at one file. `reported`: a change was, so that its fingerprint proves nothing.
    fn check(&mut self, file: &Arc<Path>, now: Instant, reported: bool) {
        let first = !self.known.contains_key(file);
        let (fingerprint, target) = match read::look(file) {
            Found::File(fingerprint, target) => (fingerprint, target),
            Found::Nothing => return self.gone(file, now),
            Found::Folder if first => return,
            Found::Folder => return self.cannot_read(file, "it is a folder now", first),
            Found::Dangling => {
                self.gone(file, now);
                self.links.insert(file.clone(), None);
                return self.cannot_read(file, "it is a symlink to nothing", first);
            }
            Found::Special => return self.cannot_read(file, "it is neither a file nor a folder", first),
            Found::Unreadable(error) => return self.failed(file, &error, now, first),
        };
        self.follow(file, target);
        let state = self.known.get(file);
        let same = state.is_some_and(|state| state.settled && state.fingerprint == Some(fingerprint));
        if same && !reported && !self.unreadable.contains_key(file) {
            return;
        }
        self.stats.read += 1;
        let bytes = match read::read(file) {
            Ok(bytes) => bytes,
            Err(error) if read::is_gone(&error) => return self.gone(file, now),
            Err(error) => return self.failed(file, &error, now, first),
        };
        self.unreadable.remove(file);
        let (digest, fingerprint) = (Some(read::digest(&bytes)), Some(fingerprint));
        if let Some(state) = self.known.get_mut(file).filter(|state| state.digest == digest) {
            state.settled = state.fingerprint == fingerprint && now >= state.since + SETTLE;
            if state.fingerprint != fingerprint {
                (state.fingerprint, state.since) = (fingerprint, now);
            }
            return;
        }
        self.known.insert(file.clone(), State { fingerprint, digest, since: now, settled: false });
        self.parse(file, &bytes, now);
    }

    fn parse(&mut self, file: &Arc<Path>, bytes: &[u8], now: Instant) {
        self.stats.parsed += 1;
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let before = &bytes[..error.valid_up_to()];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            yaml::YamlError { line: u32::try_from(line).unwrap_or(u32::MAX), message: "is not UTF-8".into() }
        });
        let documents = text.and_then(|text| yaml::parse(text.trim_start_matches('\u{feff}')));
        let problems = match documents {
            Ok(documents) => {
                let mut contents = decode::decode(file, &documents);
                self.note_objects(file, &mut contents.objects);
                let touched = self.claims.set(file, contents.objects, contents.unidentified);
                self.note_removals(file, &touched);
                self.settle(touched, now);
                contents.problems
            }
            Err(error) => {
                let source = Source { file: file.clone(), line: error.line };
                let problem = Problem::error(error.message).at(source);
                // Without an earlier version nobody knows which policies are in there.
                vec![if self.claims.has(file) { problem } else { problem.fatal() }]
            }
        };
        self.problems.insert(file.clone(), problems);
        if self.problems[file].is_empty() {
            self.problems.remove(file);
        }
    }

    fn settle(&mut self, touched: BTreeSet<ObjectKey>, now: Instant) {
        for key in touched {
            if self.claims.settle(&key, now, &mut self.store) {
                self.changed.insert(key);
            }
        }
    }

    fn gone(&mut self, file: &Arc<Path>, now: Instant) {
        self.known.remove(file);
        self.links.remove(file);
        self.problems.remove(file);
        self.unreadable.remove(file);
        let touched = self.claims.set(file, Vec::new(), false);
        self.note_removals(file, &touched);
        self.settle(touched, now);
    }

    /// The same for an error of the system, which may be about the moment and not about the path.
    fn failed(&mut self, path: &Arc<Path>, error: &std::io::Error, now: Instant, first: bool) {
        if read::is_passing(error) {
            self.retries.insert(path.clone(), now + RETRY);
        }
        self.cannot_read(path, &error.to_string(), first);
    }

    /// Notes a path that cannot be read. What it held before stays in force.
    fn cannot_read(&mut self, path: &Arc<Path>, message: &str, first: bool) {
        let source = Source { file: path.clone(), line: 0 };
        let problem = Problem::error(format!("cannot be read: {message}")).at(source);
        self.unreadable.insert(path.clone(), if first { problem.fatal() } else { problem });
    }

    /// Notes where a file is if it is a symlink, and watches that place.
    fn follow(&mut self, file: &Arc<Path>, target: Option<PathBuf>) {
        let Some(target) = target else {
            self.links.remove(file);
            return;
        };
        if let Some(folder) = target.parent() {
            self.watch_folder(folder);
        }
        self.links.insert(file.clone(), Some(target));
    }

    fn watch_root(&mut self, index: usize) {
        let path = self.roots[index].path.clone();
        // The folder around it tells when it is replaced as a whole.
        if let Some(parent) = path.parent() {
            self.watch_folder(parent);
        }
        if path.is_dir() {
            self.watch_folder(&path);
        }
    }

    fn watch_folder(&mut self, folder: &Path) {
        let Some(watch) = self.watch.as_mut().filter(|watch| !watch.is_polling()) else { return };
        match watch.add(folder) {
            Ok(()) => {}
            // It is looked at again when the folder around it tells that it is back.
            Err(error) if read::is_gone(&error) => {}
            Err(error) => {
                tracing::warn!(
                    folder = %folder.display(), %error,
                    "cannot be watched; configuration is looked at once a second"
                );
                watch.poll();
            }
        }
    }
}

#[cfg(test)]
mod tests;
