//! A map that costs little to copy and to change a copy of: what a Snapshot holds by the ten
//! thousand.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::ops::Index;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};

/// A map without order. A clone shares everything; a change after it copies a part of about
/// [`SHARD`] entries, however many there are.
#[derive(Clone)]
pub struct SharedMap<K, V> {
    entries: Entries<K, V>,
    len: usize,
    hasher: DefaultHashBuilder,
}

#[derive(Clone)]
enum Entries<K, V> {
    /// At most [`FEW`]: most hosts have one path.
    Few(Vec<(K, V)>),
    /// As many shards as some power of two, by bits of the hash.
    Shards(Vec<Arc<HashTable<(K, V)>>>),
}

/// Entries of a shard on average when there are twice as many shards next.
const SHARD: usize = 64;
/// Entries that are looked through one by one.
const FEW: usize = 8;

impl<K, V> SharedMap<K, V> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Every entry, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let (few, shards) = match &self.entries {
            Entries::Few(few) => (&few[..], &[][..]),
            Entries::Shards(shards) => (&[][..], &shards[..]),
        };
        few.iter().chain(shards.iter().flat_map(|shard| shard.iter())).map(|(key, value)| (key, value))
    }

    /// Every key, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// Every value, in no order.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

impl<K: Eq + Hash, V> SharedMap<K, V> {
    /// The value of a key.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let found = match &self.entries {
            Entries::Few(few) => few.iter().find(|(known, _)| known.borrow() == key),
            Entries::Shards(shards) => {
                let hash = self.hasher.hash_one(key);
                shards[shard_of(hash, shards.len())].find(hash, |(known, _)| known.borrow() == key)
            }
        };
        found.map(|(_, value)| value)
    }

    /// Whether the key has a value.
    pub fn contains_key<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }
}

impl<K: Eq + Hash + Clone, V: Clone> SharedMap<K, V> {
    /// The value of a key, to be changed in this copy alone.
    pub fn get_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let found = match &mut self.entries {
            Entries::Few(few) => few.iter_mut().find(|(known, _)| known.borrow() == key),
            Entries::Shards(shards) => {
                let hash = self.hasher.hash_one(key);
                let at = shard_of(hash, shards.len());
                let is_it = |(known, _): &(K, V)| known.borrow() == key;
                // A look costs no copy.
                shards[at].find(hash, is_it)?;
                Arc::make_mut(&mut shards[at]).find_mut(hash, is_it)
            }
        };
        found.map(|(_, value)| value)
    }

    /// The value of a key, an empty one if it had none.
    pub fn get_or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        if !self.contains_key(&key) {
            self.insert(key.clone(), V::default());
        }
        self.get_mut(&key).expect("it was there or has just been put there")
    }

    /// Gives a key a value; the one it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Some(known) = self.get_mut(&key) {
            return Some(std::mem::replace(known, value));
        }
        self.make_room();
        match &mut self.entries {
            Entries::Few(few) => {
                few.reserve_exact(1);
                few.push((key, value));
            }
            Entries::Shards(shards) => add(shards, &self.hasher, (key, value)),
        }
        self.len += 1;
        None
    }

    /// Takes out a key; the value it had.
    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let is_it = |(known, _): &(K, V)| known.borrow() == key;
        let (_, value) = match &mut self.entries {
            Entries::Few(few) => few.swap_remove(few.iter().position(is_it)?),
            Entries::Shards(shards) => {
                let hash = self.hasher.hash_one(key);
                let at = shard_of(hash, shards.len());
                shards[at].find(hash, is_it)?;
                Arc::make_mut(&mut shards[at]).find_entry(hash, is_it).ok()?.remove().0
            }
        };
        self.len -= 1;
        Some(value)
    }

    /// Makes room for one entry more.
    fn make_room(&mut self) {
        let count = match &self.entries {
            Entries::Few(few) if few.len() < FEW => return,
            Entries::Few(_) => 1,
            Entries::Shards(shards) if self.len < shards.len() * SHARD => return,
            Entries::Shards(shards) => shards.len() * 2,
        };
        let mut more: Vec<_> = (0..count).map(|_| Arc::new(HashTable::new())).collect();
        for (key, value) in self.iter() {
            add(&mut more, &self.hasher, (key.clone(), value.clone()));
        }
        self.entries = Entries::Shards(more);
    }
}

fn add<K: Eq + Hash + Clone, V: Clone>(
    shards: &mut [Arc<HashTable<(K, V)>>],
    hasher: &DefaultHashBuilder,
    entry: (K, V),
) {
    let hash = hasher.hash_one(&entry.0);
    let shard = &mut shards[shard_of(hash, shards.len())];
    Arc::make_mut(shard).insert_unique(hash, entry, |(key, _)| hasher.hash_one(key));
}

/// Of so many shards, a power of two. The table inside goes by the lowest and the highest bits.
fn shard_of(hash: u64, count: usize) -> usize {
    usize::try_from(hash >> 32 & 0xff_ffff).unwrap_or_default() & (count - 1)
}

impl<K, V> Default for SharedMap<K, V> {
    fn default() -> Self {
        Self { entries: Entries::Few(Vec::new()), len: 0, hasher: DefaultHashBuilder::default() }
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for SharedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Eq + Hash + Clone, V: Clone> FromIterator<(K, V)> for SharedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        map.extend(entries);
        map
    }
}

impl<K: Eq + Hash + Clone, V: Clone, const N: usize> From<[(K, V); N]> for SharedMap<K, V> {
    fn from(entries: [(K, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Extend<(K, V)> for SharedMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Eq + Hash + Borrow<Q>, V, Q: Eq + Hash + ?Sized> Index<&Q> for SharedMap<K, V> {
    type Output = V;

    /// # Panics
    /// When the key has no value.
    fn index(&self, key: &Q) -> &V {
        self.get(key).expect("the key has a value")
    }
}

#[cfg(test)]
mod tests;
