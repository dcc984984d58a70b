//! Going on where an earlier process was: what it knew, and what the next one is to know.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use objects::{ObjectKey, Source, Store};

use super::{Files, State};
use crate::decode::{Decoded, Outcome};
use crate::recall::{self, Note, Recalled, Said, ServedRoot, Text};

/// Notes in their order. Their texts are in one piece: at the start there is one for each object, and as
/// many pieces would leave holes among what stays.
#[derive(Debug, Default)]
pub(super) struct Notes {
    taken: Vec<Taken>,
    texts: Text,
}

/// A [`Note`] whose text is among the others.
#[derive(Debug)]
struct Taken {
    file: Arc<Path>,
    key: ObjectKey,
    said: Option<(u32, bool, Range<usize>)>,
}

impl Notes {
    fn into_iter(self) -> impl Iterator<Item = Note> {
        let Self { taken, texts } = self;
        taken.into_iter().map(move |Taken { file, key, said }| {
            let said =
                said.map(|(line, good, text)| Said { line, good, text: Text(texts.0[text].to_owned()) });
            Note { file, key, said }
        })
    }

    fn said(&mut self, file: &Arc<Path>, decoded: &Decoded) {
        let begin = self.texts.0.len();
        self.texts.0.push_str(&decoded.text.0);
        let good = matches!(decoded.outcome, Outcome::Good(_));
        let said = Some((decoded.source.line, good, begin..self.texts.0.len()));
        self.taken.push(Taken { file: file.clone(), key: decoded.key.clone(), said });
    }
}

/// The root of an earlier process that this path is.
pub(super) fn served<'a>(served: &'a [ServedRoot], path: &Path) -> Option<&'a ServedRoot> {
    let path = recall::absolute(path);
    served.iter().find(|root| root.path == path)
}

impl Files {
    /// Puts in force what an earlier process knew of the paths that it served too, and returns the
    /// store. Call it before [`load`](Self::load), which then replaces what the files say otherwise,
    /// removes what they do not hold any more, and leaves the rest where they are bad.
    pub fn recall(&mut self, objects: &[Recalled], now: Instant) -> &Arc<Store> {
        let mut by_file: BTreeMap<Arc<Path>, Vec<Decoded>> = BTreeMap::new();
        for Recalled { file, said } in objects {
            let Some(file) = self.here(file) else { continue };
            let source = Source { file: file.clone(), line: said.line };
            by_file.entry(file).or_default().extend(recall::decoded(&source, said));
        }
        for (file, objects) in by_file {
            let unread = || State { fingerprint: None, digest: None, since: now, settled: false };
            self.known.entry(file.clone()).or_insert_with(unread);
            let touched = self.claims.set(&file, objects, true);
            self.settle(touched, now);
        }
        &self.store
    }

    /// From now on what files say is noted for [`take_notes`](Self::take_notes).
    pub fn take_note(&mut self) {
        self.notes.get_or_insert_default();
    }

    /// What was read since the last call, in order.
    pub fn take_notes(&mut self) -> impl Iterator<Item = Note> + use<> {
        self.notes.as_mut().map(std::mem::take).unwrap_or_default().into_iter()
    }

    /// The paths that the user gave, for the next process.
    pub fn roots(&self) -> Vec<ServedRoot> {
        let root =
            |root: &super::Root| ServedRoot { path: recall::absolute(&root.path), folder: root.folder };
        self.roots.iter().map(root).collect()
    }

    /// Whether an earlier process served the path that this file is in: then what it hides was not in
    /// force, or is recalled.
    pub fn is_served(&self, file: &Path) -> bool {
        let holds = |root: &super::Root| *root.path == *file || Some(&*root.path) == file.parent();
        self.roots.iter().any(|root| root.served && holds(root))
    }

    /// The name that a file has here, if it is in a path that an earlier process served.
    fn here(&self, file: &Path) -> Option<Arc<Path>> {
        self.roots.iter().filter(|root| root.served).find_map(|root| {
            let path = recall::absolute(&root.path);
            if path == *file {
                return Some(root.path.clone());
            }
            let name = file.file_name().filter(|_| file.parent() == Some(&path))?;
            Some(root.path.join(name).into())
        })
    }

    /// Notes what a file says, and takes the texts away: they are of no use here.
    pub(super) fn note_objects(&mut self, file: &Arc<Path>, objects: &mut [Decoded]) {
        let Some(notes) = &mut self.notes else { return };
        let file: Arc<Path> = recall::absolute(file).into();
        for decoded in objects {
            notes.said(&file, decoded);
            decoded.text = Text::default();
        }
    }

    /// Notes which of these names the file does not claim any more.
    pub(super) fn note_removals(&mut self, file: &Arc<Path>, touched: &BTreeSet<ObjectKey>) {
        let Some(notes) = &mut self.notes else { return };
        let place: Arc<Path> = recall::absolute(file).into();
        let removed = touched.iter().filter(|key| !self.claims.claims(file, key));
        notes.taken.extend(removed.map(|key| Taken { file: place.clone(), key: key.clone(), said: None }));
    }
}

#[cfg(test)]
mod tests;
