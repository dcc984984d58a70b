//! Who says what an object is: files claim names, one file holds each name, and the store has
//! what the holder said last that was good.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use objects::{ObjectKey, Problem, Refused, Source, Store};

use crate::decode::{Decoded, Outcome, second};

/// How long an object stays in force after it was last seen in a file. Editors delete and create.
pub const VANISH_AFTER: Duration = Duration::from_secs(1);

/// Every name and the files that claim it.
#[derive(Default)]
pub(super) struct Claims {
    slots: BTreeMap<ObjectKey, Slot>,
    /// What each file claims, in order: mostly one name, so no sets.
    by_file: BTreeMap<Arc<Path>, Box<[ObjectKey]>>,
    /// Names whose holder is gone, with the moment it is given up.
    vanishing: BTreeSet<(Instant, ObjectKey)>,
    /// Names that more than one file claims.
    contested: BTreeSet<ObjectKey>,
}

/// One name.
struct Slot {
    holder: Arc<Path>,
    /// At most one of each file, ordered by file: mostly one, so no map.
    claims: Vec<Claim>,
    /// When the holder's claim is given up, if it is gone.
    until: Option<Instant>,
    /// The digest of what is in the store.
    in_force: Option<u64>,
}

struct Claim {
    source: Source,
    digest: u64,
    outcome: Outcome,
}

impl Claims {
    /// Replaces what a file claims, and returns the names that may have changed. With `keep`,
    /// what it claimed before and does not mention now stays.
    pub(super) fn set(&mut self, file: &Arc<Path>, objects: Vec<Decoded>, keep: bool) -> BTreeSet<ObjectKey> {
        let before: BTreeSet<ObjectKey> = self.by_file.remove(file).into_iter().flatten().collect();
        let mut now: BTreeSet<ObjectKey> = if keep { before.clone() } else { BTreeSet::new() };
        for Decoded { key, source, digest, outcome, .. } in objects {
            now.insert(key.clone());
            let slot = self.slots.entry(key).or_insert_with(|| Slot {
                holder: file.clone(),
                claims: Vec::new(),
                until: None,
                in_force: None,
            });
            slot.put(Claim { source, digest, outcome });
        }
        for key in before.difference(&now) {
            if let Some(slot) = self.slots.get_mut(key) {
                slot.claims.retain(|claim| claim.source.file != *file);
            }
        }
        let touched = &before | &now;
        if !now.is_empty() {
            self.by_file.insert(file.clone(), now.into_iter().collect());
        }
        touched
    }

    /// Brings the store in line with the claims to a name. True if the object in force or its
    /// refusal changed.
    pub(super) fn settle(&mut self, key: &ObjectKey, now: Instant, store: &mut Arc<Store>) -> bool {
        let Some(slot) = self.slots.get_mut(key) else { return false };
        let present = slot.held().is_some();
        if let Some(until) = slot.until.take_if(|until| present || *until <= now) {
            self.vanishing.remove(&(until, key.clone()));
            if !present && !slot.hand_over() {
                self.slots.remove(key);
                self.contested.remove(key);
                return Arc::make_mut(store).remove(key);
            }
        } else if !present && slot.until.is_none() {
            slot.until = Some(now + VANISH_AFTER);
            self.vanishing.insert((now + VANISH_AFTER, key.clone()));
        }
        if slot.claims.len() > 1 {
            self.contested.insert(key.clone());
        } else {
            self.contested.remove(key);
        }
        slot.put_in_force(key, store)
    }

    /// Gives up what vanished long enough ago; returns the names that changed.
    pub(super) fn expire(&mut self, now: Instant, store: &mut Arc<Store>) -> Vec<ObjectKey> {
        let mut changed = Vec::new();
        while let Some((until, key)) = self.vanishing.first().filter(|(until, _)| *until <= now).cloned() {
            if self.settle(&key, now, store) {
                changed.push(key.clone());
            }
            self.vanishing.remove(&(until, key));
        }
        changed
    }

    /// When the next name is given up.
    pub(super) fn next(&self) -> Option<Instant> {
        self.vanishing.first().map(|(until, _)| *until)
    }

    /// Whether the file claims anything.
    pub(super) fn has(&self, file: &Path) -> bool {
        self.by_file.contains_key(file)
    }

    /// Whether the file claims this name.
    pub(super) fn claims(&self, file: &Path, key: &ObjectKey) -> bool {
        self.by_file.get(file).is_some_and(|keys| keys.binary_search(key).is_ok())
    }

    /// The claims to names that another file holds.
    pub(super) fn conflicts(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for key in &self.contested {
            let Some(slot) = self.slots.get(key) else { continue };
            let Some(held) = slot.held().or_else(|| slot.claims.first()) else { continue };
            for claim in slot.claims.iter().filter(|claim| claim.source.file != held.source.file) {
                problems.push(Problem::error(second(&held.source)).at(claim.source.clone()).of(key.clone()));
            }
        }
        problems
    }
}

impl Slot {
    /// The claim of the holder, unless it is gone.
    fn held(&self) -> Option<&Claim> {
        self.claims.iter().find(|claim| claim.source.file == self.holder)
    }

    /// Takes a claim in place of the same file's one before.
    fn put(&mut self, claim: Claim) {
        match self.claims.binary_search_by(|known| known.source.file.cmp(&claim.source.file)) {
            Ok(at) => self.claims[at] = claim,
            Err(at) => {
                self.claims.reserve_exact(1);
                self.claims.insert(at, claim);
            }
        }
    }

    /// The first of the remaining claimants becomes the holder. False if there is none.
    fn hand_over(&mut self) -> bool {
        let Some(next) = self.claims.first() else { return false };
        self.holder = next.source.file.clone();
        true
    }

    fn put_in_force(&mut self, key: &ObjectKey, store: &mut Arc<Store>) -> bool {
        let Some(claim) = self.claims.iter().find(|claim| claim.source.file == self.holder) else {
            return false;
        };
        match &claim.outcome {
            Outcome::Good(_) if self.in_force == Some(claim.digest) => {
                if store.source(key) != Some(&claim.source) {
                    Arc::make_mut(store).relocate(key, claim.source.clone());
                }
                false
            }
            Outcome::Good(object) => {
                Arc::make_mut(store).put(key.clone(), object.clone(), Some(claim.source.clone()));
                self.in_force = Some(claim.digest);
                true
            }
            // The last good version stays in force.
            Outcome::Bad(_) if self.in_force.is_some() => false,
            Outcome::Bad(Some(refused)) => Arc::make_mut(store).refuse(Refused::clone(refused)),
            Outcome::Bad(None) => false,
        }
    }
}
