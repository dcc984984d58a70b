//! What changed in one kind's objects since the last look.

use std::sync::Arc;

use objects::{Entry, ObjectKey, Table};

#[cfg(test)]
mod tests;

/// The objects of one kind as they were last, in the store's order.
#[derive(Debug)]
pub(crate) struct Seen<T> {
    objects: Vec<(ObjectKey, Arc<T>)>,
}

/// The difference between two looks. A changed object is in both lists.
#[derive(Debug)]
pub(crate) struct Diff<'s, T> {
    /// Objects that are new or changed, as they are now.
    pub(crate) fresh: Vec<&'s Entry<T>>,
    /// Objects that are gone or changed, as they were.
    pub(crate) stale: Vec<(ObjectKey, Arc<T>)>,
}

impl<T> Default for Seen<T> {
    fn default() -> Self {
        Self { objects: Vec::new() }
    }
}

impl<T> Seen<T> {
    /// Compares with a table and remembers it. Both are in order, so one walk does; an object
    /// that did not change is the same `Arc` and costs no comparison of names.
    pub(crate) fn diff<'s>(&mut self, table: &'s Table<T>) -> Diff<'s, T> {
        let (mut fresh, mut stale) = (Vec::new(), Vec::new());
        let mut objects = Vec::with_capacity(table.len());
        let mut before = std::mem::take(&mut self.objects).into_iter().peekable();
        for entry in table.iter() {
            let is_same = |object: &Arc<T>| Arc::ptr_eq(object, &entry.object);
            let is_gone = |(key, object): &(ObjectKey, _)| !is_same(object) && *key < entry.key;
            while let Some(gone) = before.next_if(is_gone) {
                stale.push(gone);
            }
            match before.next_if(|(key, object)| is_same(object) || *key == entry.key) {
                Some(known) if is_same(&known.1) => objects.push(known),
                changed => {
                    stale.extend(changed);
                    fresh.push(entry);
                    objects.push((entry.key.clone(), entry.object.clone()));
                }
            }
        }
        stale.extend(before);
        self.objects = objects;
        Diff { fresh, stale }
    }
}
