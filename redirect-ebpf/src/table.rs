//! Maps of which user space is the only writer, with a copy of what they hold, so that only
//! differences are written.

use std::collections::HashMap;
use std::hash::Hash;

use aya::Pod;
use aya::maps::lpm_trie::Key;
use aya::maps::{self, LpmTrie, MapData, MapError};

use crate::error::Error;

/// A kernel map under keys that can be compared and hashed.
pub(crate) trait KernelMap<K, V> {
    fn put(&mut self, key: &K, value: &V) -> Result<(), MapError>;
    fn delete(&mut self, key: &K) -> Result<(), MapError>;
    fn read(&self) -> Result<HashMap<K, V>, MapError>;
}

impl<K: Pod + Eq + Hash, V: Pod> KernelMap<K, V> for maps::HashMap<MapData, K, V> {
    fn put(&mut self, key: &K, value: &V) -> Result<(), MapError> {
        self.insert(key, value, 0)
    }

    fn delete(&mut self, key: &K) -> Result<(), MapError> {
        self.remove(key)
    }

    fn read(&self) -> Result<HashMap<K, V>, MapError> {
        self.iter().collect()
    }
}

/// Key of a prefix map: length in bits, data.
pub(crate) type Prefix<D> = (u32, D);

impl<D: Pod + Eq + Hash, V: Pod> KernelMap<Prefix<D>, V> for LpmTrie<MapData, D, V> {
    fn put(&mut self, (length, data): &Prefix<D>, value: &V) -> Result<(), MapError> {
        self.insert(&Key::new(*length, *data), value, 0)
    }

    fn delete(&mut self, (length, data): &Prefix<D>) -> Result<(), MapError> {
        self.remove(&Key::new(*length, *data))
    }

    fn read(&self) -> Result<HashMap<Prefix<D>, V>, MapError> {
        self.iter().map(|entry| entry.map(|(key, value)| ((key.prefix_len(), key.data()), value))).collect()
    }
}

/// A map and the copy of its contents.
#[derive(Debug)]
pub(crate) struct Table<M, K, V> {
    name: &'static str,
    map: M,
    written: HashMap<K, V>,
}

impl<M, K, V> Table<M, K, V>
where
    M: KernelMap<K, V>,
    K: Copy + Eq + Hash,
    V: Copy + Eq,
{
    /// Takes the map with whatever it holds, which may have been written by a process before.
    pub(crate) fn new(name: &'static str, map: M) -> Result<Self, Error> {
        let written = map.read().map_err(Error::map(name, "read"))?;
        Ok(Self { name, map, written })
    }

    /// What the map holds.
    pub(crate) fn written(&self) -> &HashMap<K, V> {
        &self.written
    }

    /// Writes one entry unless it is there; returns whether it was written.
    pub(crate) fn put(&mut self, key: K, value: V) -> Result<bool, Error> {
        if self.written.get(&key) == Some(&value) {
            return Ok(false);
        }
        self.map.put(&key, &value).map_err(Error::map(self.name, "write an entry"))?;
        self.written.insert(key, value);
        Ok(true)
    }

    /// Writes what differs; returns whether anything did.
    pub(crate) fn put_all(&mut self, wanted: &HashMap<K, V>) -> Result<bool, Error> {
        let mut changed = false;
        for (key, value) in wanted {
            changed |= self.put(*key, *value)?;
        }
        Ok(changed)
    }

    /// Removes the entries whose keys are not to stay; returns whether there were any.
    pub(crate) fn retain(&mut self, stays: impl Fn(&K) -> bool) -> Result<bool, Error> {
        let stale: Vec<K> = self.written.keys().filter(|key| !stays(key)).copied().collect();
        for key in &stale {
            match self.map.delete(key) {
                Ok(()) | Err(MapError::KeyNotFound) => {}
                Err(error) => return Err(Error::map(self.name, "remove an entry")(error)),
            }
            self.written.remove(key);
        }
        Ok(!stale.is_empty())
    }
}
