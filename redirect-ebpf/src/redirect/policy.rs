//! Policy entries in the kernel. An endpoint's entries are a numbered set that is never changed:
//! other entries are a new set, written in full before the endpoint is pointed to it, so no packet
//! is judged by a half-written policy.

use std::collections::{HashMap, HashSet};

use crate::abi;
use crate::error::Error;
use crate::events::Direction;
use crate::kernel::Policy;
use crate::state::{Action, PolicyEntry};
use crate::table::{Prefix, Table};

/// Entries of one set; the set's number is left out of the keys (0).
pub(super) type Entries = HashMap<Prefix<abi::PolicyData>, abi::PolicyValue>;

/// The sets in the kernel.
pub(super) struct PolicySets {
    table: Table<Policy, Prefix<abi::PolicyData>, abi::PolicyValue>,
    sets: HashMap<u32, Entries>,
    next: u32,
}

impl PolicySets {
    /// Takes the sets that are in the kernel; `used` are the numbers that endpoints have.
    pub(super) fn new(
        table: Table<Policy, Prefix<abi::PolicyData>, abi::PolicyValue>,
        used: impl Iterator<Item = u32>,
    ) -> Self {
        // A set without entries is known only by the endpoint that points to it.
        let mut sets: HashMap<u32, Entries> = used.map(|number| (number, Entries::new())).collect();
        for ((length, data), value) in table.written() {
            let key = abi::PolicyData { policy: 0, ..*data };
            sets.entry(data.policy).or_default().insert((*length, key), *value);
        }
        Self { table, sets, next: 0 }
    }

    /// The number of a set with these entries: `current` if that has them, else a new one.
    pub(super) fn place(&mut self, current: Option<u32>, entries: Entries) -> Result<u32, Error> {
        if let Some(number) = current
            && number != 0
            && self.sets.get(&number) == Some(&entries)
        {
            return Ok(number);
        }
        let number = self.free();
        for ((length, data), value) in &entries {
            let key = abi::PolicyData { policy: number, ..*data };
            if let Err(error) = self.table.put((*length, key), *value) {
                // What was written of it is in nobody's way, but takes room.
                self.table.retain(|(_, data)| data.policy != number)?;
                return Err(error);
            }
        }
        self.sets.insert(number, entries);
        Ok(number)
    }

    /// Removes all sets but these.
    pub(super) fn retain(&mut self, used: &HashSet<u32>) -> Result<(), Error> {
        self.sets.retain(|number, _| used.contains(number));
        self.table.retain(|(_, data)| used.contains(&data.policy)).map(drop)
    }

    fn free(&mut self) -> u32 {
        loop {
            self.next = self.next.wrapping_add(1);
            if self.next != 0 && !self.sets.contains_key(&self.next) {
                return self.next;
            }
        }
    }
}

/// The kernel's form of an endpoint's entries.
pub(super) fn entries(policy: &[PolicyEntry]) -> Entries {
    let narrow: HashSet<(Direction, u32)> = policy
        .iter()
        .filter(|entry| entry.protocol.is_some())
        .map(|entry| (entry.direction, entry.identity))
        .collect();
    let narrowed: HashSet<Direction> = narrow.iter().map(|(direction, _)| *direction).collect();
    let mut entries = Entries::new();
    for entry in policy {
        // Of an entry for any peer, a narrower one for some peer may say otherwise.
        let contested = match entry.identity {
            0 => narrowed.contains(&entry.direction),
            peer => [peer, 0].into_iter().any(|identity| narrow.contains(&(entry.direction, identity))),
        };
        let whole = entry.protocol.is_none() && !contested;
        let (key, value) = encode(entry, whole);
        // The compiler makes one entry of a key; were there two, the higher precedence holds.
        entries
            .entry(key)
            .and_modify(|old: &mut abi::PolicyValue| {
                if value.precedence > old.precedence {
                    *old = value;
                }
            })
            .or_insert(value);
    }
    entries
}

fn encode(entry: &PolicyEntry, whole: bool) -> (Prefix<abi::PolicyData>, abi::PolicyValue) {
    let port_prefix = entry.port_prefix.min(16);
    let length = match entry.protocol {
        None => 0,
        Some(_) => 8 + port_prefix,
    };
    let mask = match u16::MAX.checked_shr(u32::from(port_prefix)) {
        Some(host) => !host,
        None => u16::MAX,
    };
    let key = abi::PolicyData {
        policy: 0,
        identity: entry.identity,
        direction: match entry.direction {
            Direction::Ingress => abi::DIRECTION_INGRESS,
            Direction::Egress => abi::DIRECTION_EGRESS,
        },
        protocol: entry.protocol.unwrap_or(0),
        port: if entry.protocol.is_some() { (entry.port & mask).to_be() } else { 0 },
    };
    let value = abi::PolicyValue {
        precedence: entry.precedence,
        action: match entry.action {
            Action::Allow => abi::ACTION_ALLOW,
            Action::Deny => abi::ACTION_DENY,
            Action::Redirect => abi::ACTION_REDIRECT,
        },
        length,
        whole: u8::from(whole),
        unused: 0,
    };
    ((abi::POLICY_PREFIX_PEER + u32::from(length), key), value)
}

#[cfg(test)]
mod tests;
