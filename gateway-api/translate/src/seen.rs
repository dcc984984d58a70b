//! What changed in one kind's objects since the last look.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use objects::{Entry, ObjectKey, Table};

#[cfg(test)]
mod tests;

/// The objects of one kind as they were last.
#[derive(Debug)]
pub(crate) struct Seen<T> {
    objects: BTreeMap<ObjectKey, Arc<T>>,
    revision: u64,
}

/// The difference between two looks, each list in the order of names. A changed object is in both.
#[derive(Debug)]
pub(crate) struct Diff<'s, T> {
    /// Objects that are new or changed, as they are now.
    pub(crate) fresh: Vec<&'s Entry<T>>,
    /// Objects that are gone or changed, as they were.
    pub(crate) stale: Vec<(ObjectKey, Arc<T>)>,
}

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), revision: 0 }
    }
}

impl<T> Seen<T> {
    /// Compares with a table and remembers it. Looks only at what the table says has changed, as
    /// long as it remembers.
    pub(crate) fn diff<'s>(&mut self, table: &'s Table<T>) -> Diff<'s, T> {
        let changed: BTreeSet<ObjectKey> = match table.changed_since(self.revision) {
            Some(changed) => changed.cloned().collect(),
            None => self.differing(table),
        };
        self.revision = table.revision();
        let mut diff = Diff { fresh: Vec::new(), stale: Vec::new() };
        for key in changed {
            let now = table.get(&key.namespace, &key.name);
            let before = self.objects.get(&key);
            // It may have changed and changed back.
            if before.map(Arc::as_ptr) == now.map(|entry| Arc::as_ptr(&entry.object)) {
                continue;
            }
            let before = match now {
                Some(entry) => self.objects.insert(key.clone(), entry.object.clone()),
                None => self.objects.remove(&key),
            };
            diff.fresh.extend(now);
            diff.stale.extend(before.map(|object| (key, object)));
        }
        diff
    }

    /// The names of all that differ.
    fn differing(&self, table: &Table<T>) -> BTreeSet<ObjectKey> {
        let is_known = |entry: &&Entry<T>| {
            self.objects.get(&entry.key).is_some_and(|known| Arc::ptr_eq(known, &entry.object))
        };
        let fresh = table.iter().filter(|entry| !is_known(entry)).map(|entry| &entry.key);
        let gone = self.objects.keys().filter(|key| table.get(&key.namespace, &key.name).is_none());
        fresh.chain(gone).cloned().collect()
    }
}
