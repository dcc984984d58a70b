//! What is in force, kept for the next proxy process: it begins with it, so that what is bad in the
//! files by then still has its last good version.
//!
//! It is a log in anonymous memory that the supervisor holds like a socket: no file, so nothing
//! outlives Weir or can be out of date when it starts again. One line is one object of one file;
//! later ones replace earlier ones, and what a crash left half written counts for nothing.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use config::{Files, Loaded, Note, OpenError, Recalled, Said, ServedRoot, Text};
use objects::{Kind, ObjectKey, Problem, Severity};
use serde_json::{Value, json};
use translate::Translator;

use crate::listeners::Slots;

/// The name under which the supervisor holds it.
pub(crate) const NAME: &str = "last-good";

/// Most bytes that are kept of objects; with more, nothing is.
const BYTES_MAX: u64 = 256 << 20;
/// The log is written anew when more than half of it, and this much, counts no more.
const SLACK: u64 = 1 << 20;
/// The first line begins with it. Another one is another version's: nothing is read.
const VERSION: &str = "weir last good 1 ";

/// What an earlier process knew.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Known {
    /// The paths that it served; none if there was no such process.
    roots: Vec<ServedRoot>,
    entries: BTreeMap<Place, Entry<Said>>,
}

/// An object of a file.
type Place = (Arc<Path>, ObjectKey);

/// What is kept of one object.
#[derive(Clone, Debug, PartialEq)]
struct Entry<T> {
    /// The last one without any error.
    good: Option<T>,
    /// One after it, with an error: it may be in force all the same, or a part of it.
    later: Option<T>,
}

impl<T> Entry<T> {
    fn put(&mut self, one: T, sound: bool) {
        match sound {
            true => (self.good, self.later) = (Some(one), None),
            false => self.later = Some(one),
        }
    }
}

impl<T> Default for Entry<T> {
    fn default() -> Self {
        Self { good: None, later: None }
    }
}

impl Known {
    /// What the supervisor holds; nothing if it is of no use.
    pub(crate) fn take(slots: &Slots) -> Self {
        let text = slots.get(NAME).and_then(|held| held.map(|fd| read(&File::from(fd))).transpose());
        match text {
            Ok(text) => text.map(|text| Self::parse(&text)).unwrap_or_default(),
            Err(error) => {
                tracing::warn!(%error, "what was in force before cannot be read; only the files count");
                Self::default()
            }
        }
    }

    fn parse(text: &str) -> Self {
        let mut known = Self::default();
        let Some((first, lines)) = text.split_once('\n') else { return known };
        let roots = first.strip_prefix(VERSION).and_then(|roots| serde_json::from_str::<Value>(roots).ok());
        let Some(roots) = roots else { return known };
        let root = |root: &Value| {
            Some(ServedRoot { path: from_json(&root["path"])?, folder: root["folder"].as_bool()? })
        };
        known.roots = roots.as_array().into_iter().flatten().filter_map(root).collect();
        // The last line has an end too, or it was not written to its end.
        let whole = lines.rsplit_once('\n').map_or("", |(whole, _)| whole);
        for line in whole.lines() {
            known.line(line).unwrap_or_default();
        }
        known
    }

    fn line(&mut self, line: &str) -> Option<()> {
        let (head, text) = line.split_once('\t')?;
        let head: Value = serde_json::from_str(head).ok()?;
        let kind = Kind::ALL.iter().copied().find(|kind| kind.as_str() == head["kind"])?;
        let key = ObjectKey::new(kind, head["namespace"].as_str()?, head["name"].as_str()?);
        let place = (Arc::from(from_json(&head["file"])?), key);
        if text.is_empty() {
            self.entries.remove(&place);
            return Some(());
        }
        let line = u32::try_from(head["line"].as_u64()?).ok()?;
        let said = Said { line, good: head["good"].as_bool()?, text: Text(text.to_owned()) };
        self.entries.entry(place).or_default().put(said, head["sound"].as_bool()?);
        Some(())
    }

    /// Takes files and folders, to go on where the earlier process was.
    pub(crate) fn open(&self, paths: &[PathBuf]) -> Result<Files, OpenError> {
        let mut files = Files::open_again(paths, &self.roots)?;
        files.take_note();
        Ok(files)
    }

    /// Puts it in force in `files` and `translator`, in the order in which it came; then reads the files.
    pub(crate) fn load(
        &self,
        files: &mut Files,
        translator: &mut Translator,
        node_addresses: &[IpAddr],
    ) -> Loaded {
        let now = Instant::now();
        for objects in self.objects().iter().filter(|objects| !objects.is_empty()) {
            let store = files.recall(objects, now);
            translator.translate(store, &HashSet::new(), node_addresses);
        }
        files.load(now)
    }

    /// The objects without an error, then those that came after them.
    fn objects(&self) -> [Vec<Recalled>; 2] {
        let pick = |which: fn(&Entry<Said>) -> &Option<Said>| {
            let one = |((file, _), entry): (&Place, &Entry<Said>)| {
                let said = which(entry).clone()?;
                Some(Recalled { file: file.to_path_buf(), said })
            };
            self.entries.iter().filter_map(one).collect()
        };
        [pick(|entry| &entry.good), pick(|entry| &entry.later)]
    }
}

/// What this process knows, for the next one.
#[derive(Debug)]
pub(crate) struct LastGood {
    slots: Slots,
    roots: Vec<ServedRoot>,
    /// `None`: it was too much, or there was no memory for it.
    log: Option<Log>,
    /// The supervisor has it.
    held: bool,
    problem: Option<Problem>,
}

impl LastGood {
    /// Takes over what an earlier process knew, and what was read since.
    pub(crate) fn start(slots: Slots, known: Known, files: &mut Files, problems: &[Problem]) -> Self {
        let mut last_good = Self { slots, roots: files.roots(), log: None, held: false, problem: None };
        last_good.log = last_good.checked(Log::of(&last_good.roots, known));
        last_good.update(files.take_notes(), problems);
        last_good
    }

    /// Takes what was read, and what is wrong with the objects now.
    pub(crate) fn update(&mut self, notes: impl IntoIterator<Item = Note>, problems: &[Problem]) {
        let Some(mut log) = self.log.take() else { return };
        let taken = log.update(notes, problems);
        let rewrite = log.is_slack();
        let log = taken.and_then(|()| if rewrite { log.rewritten(&self.roots) } else { Ok(log) });
        self.log = self.checked(log);
        if rewrite && self.held {
            self.hold();
        }
    }

    /// Leaves it with the supervisor in place of what another process did.
    pub(crate) fn hold(&mut self) {
        self.held = true;
        let Some(log) = &self.log else { return self.slots.release(NAME) };
        let held = log.file.try_clone().and_then(|file| self.slots.hold(NAME, &OwnedFd::from(file)));
        if let Err(error) = held {
            tracing::warn!(%error, "what is in force is not kept for a restart");
        }
    }

    /// What is wrong with it.
    pub(crate) fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }

    fn checked(&mut self, log: io::Result<Log>) -> Option<Log> {
        let why = match log {
            Ok(log) if log.live <= BYTES_MAX => return Some(log),
            Ok(_) => format!("it is more than {} MiB", BYTES_MAX >> 20),
            Err(error) => error.to_string(),
        };
        let message = format!("what is in force cannot be kept for a restart of the proxy: {why}");
        self.problem = Some(Problem::warning(message));
        self.slots.release(NAME);
        None
    }
}

/// The log and where in it each object is.
#[derive(Debug)]
struct Log {
    file: File,
    size: u64,
    /// Bytes of it that count.
    live: u64,
    entries: BTreeMap<Place, Entry<Span>>,
    /// Those of which the later one can be put in force.
    doubtful: BTreeSet<Place>,
}

/// A line of the log.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Span {
    at: u64,
    length: usize,
}

impl Log {
    fn of(roots: &[ServedRoot], known: Known) -> io::Result<Self> {
        let flags = rustix::fs::MemfdFlags::CLOEXEC;
        let file = File::from(rustix::fs::memfd_create(c"weir-last-good", flags)?);
        let root = |root: &ServedRoot| json!({ "path": to_json(&root.path), "folder": root.folder });
        let first = format!("{VERSION}{}\n", roots.iter().map(root).collect::<Value>());
        file.write_all_at(first.as_bytes(), 0)?;
        let size = first.len() as u64;
        let mut log = Self { file, size, live: size, entries: BTreeMap::new(), doubtful: BTreeSet::new() };
        for (place, Entry { good, later }) in known.entries {
            for (said, sound) in [(good, true), (later, false)] {
                said.map_or(Ok(()), |said| log.put(&place, &said, sound))?;
            }
        }
        Ok(log)
    }

    fn update(&mut self, notes: impl IntoIterator<Item = Note>, problems: &[Problem]) -> io::Result<()> {
        let wrong = problems.iter().filter(|problem| problem.severity == Severity::Error);
        let wrong: HashSet<&ObjectKey> = wrong.filter_map(|problem| problem.object.as_ref()).collect();
        for Note { file, key, said } in notes {
            let sound = !wrong.contains(&key);
            let place = (file, key);
            match said {
                None => self.remove(&place)?,
                // It never replaces what was better.
                Some(said) if !said.good && self.is_better(&place)? => {}
                Some(said) => self.put(&place, &said, sound && said.good)?,
            }
        }
        let mended: Vec<Place> =
            self.doubtful.iter().filter(|(_, key)| !wrong.contains(key)).cloned().collect();
        for place in mended {
            if let Some(said) = self.later(&place)? {
                self.put(&place, &said, true)?;
            }
        }
        Ok(())
    }

    /// Whether something of this object could be put in force.
    fn is_better(&self, place: &Place) -> io::Result<bool> {
        let good = self.entries.get(place).is_some_and(|entry| entry.good.is_some());
        Ok(good || self.later(place)?.is_some_and(|said| said.good))
    }

    fn put(&mut self, place: &Place, said: &Said, sound: bool) -> io::Result<()> {
        let (file, key) = place;
        let head = json!({
            "file": to_json(file), "kind": key.kind.as_str(), "namespace": &*key.namespace, "name": &*key.name,
            "line": said.line, "good": said.good, "sound": sound,
        });
        let span = self.write(&format!("{head}\t{}\n", said.text.0))?;
        let entry = self.entries.entry(place.clone()).or_default();
        let old = [entry.later, entry.good.filter(|_| sound)];
        entry.put(span, sound);
        self.live += span.length as u64;
        self.live -= old.into_iter().flatten().map(|span| span.length as u64).sum::<u64>();
        match !sound && said.good {
            true => self.doubtful.insert(place.clone()),
            false => self.doubtful.remove(place),
        };
        Ok(())
    }

    fn remove(&mut self, place: &Place) -> io::Result<()> {
        let Some(entry) = self.entries.remove(place) else { return Ok(()) };
        self.live -=
            [entry.good, entry.later].into_iter().flatten().map(|span| span.length as u64).sum::<u64>();
        self.doubtful.remove(place);
        let (file, key) = place;
        let head = json!({
            "file": to_json(file), "kind": key.kind.as_str(), "namespace": &*key.namespace, "name": &*key.name,
        });
        self.write(&format!("{head}\t\n")).map(drop)
    }

    fn write(&mut self, line: &str) -> io::Result<Span> {
        self.file.write_all_at(line.as_bytes(), self.size)?;
        let span = Span { at: self.size, length: line.len() };
        self.size += line.len() as u64;
        Ok(span)
    }

    /// The later one of an object.
    fn later(&self, place: &Place) -> io::Result<Option<Said>> {
        let Some(span) = self.entries.get(place).and_then(|entry| entry.later) else { return Ok(None) };
        let mut line = vec![0; span.length];
        self.file.read_exact_at(&mut line, span.at)?;
        let mut known = Known::default();
        known.line(String::from_utf8_lossy(&line).trim_end_matches('\n')).unwrap_or_default();
        Ok(known.entries.into_values().next().and_then(|entry| entry.later))
    }

    fn is_slack(&self) -> bool {
        self.size > SLACK + 2 * self.live
    }

    /// The same without what counts no more.
    fn rewritten(&self, roots: &[ServedRoot]) -> io::Result<Self> {
        Self::of(roots, Known::parse(&read(&self.file)?))
    }
}

fn read(file: &File) -> io::Result<String> {
    let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0)?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

/// A path as text, or as bytes where it is none.
fn to_json(path: &Path) -> Value {
    path.to_str().map_or_else(|| json!(path.as_os_str()), Value::from)
}

fn from_json(value: &Value) -> Option<PathBuf> {
    let bytes = || serde_json::from_value::<OsString>(value.clone()).ok();
    value.as_str().map(PathBuf::from).or_else(|| bytes().map(PathBuf::from))
}

#[cfg(test)]
mod tests;
