//! Who is served by the admin endpoint: so many connections in all and of one address, so that a probe
//! always finds room. A newcomer without a place takes that of the connection idle for the longest time.

use std::net::IpAddr;
use std::time::Instant;

/// See the module. `T` is what ends a connection.
#[derive(Debug)]
pub(crate) struct Places<T> {
    taken: Vec<Place<T>>,
    next: u64,
}

#[derive(Debug)]
struct Place<T> {
    id: u64,
    ip: IpAddr,
    used: Instant,
    task: Option<T>,
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self { taken: Vec::new(), next: 0 }
    }
}

impl<T> Places<T> {
    /// A place for a connection from this address, by its number; and what has to end for it.
    pub(crate) fn enter(&mut self, ip: IpAddr, now: Instant) -> (u64, Option<T>) {
        let of_its = self.taken.iter().filter(|place| place.ip == ip).count();
        let mut ended = None;
        if of_its >= OF_ADDRESS_MAX {
            ended = self.evict(|place| place.ip == ip);
        } else if self.taken.len() >= ALL_MAX {
            ended = self.evict(|_| true);
        }
        let id = self.next;
        self.next += 1;
        self.taken.push(Place { id, ip, used: now, task: None });
        (id, ended)
    }

    /// What ends the connection.
    pub(crate) fn began(&mut self, id: u64, task: T) {
        if let Some(place) = self.place(id) {
            place.task = Some(task);
        }
    }

    /// It asks for something.
    pub(crate) fn used(&mut self, id: u64, now: Instant) {
        if let Some(place) = self.place(id) {
            place.used = now;
        }
    }

    /// It is over.
    pub(crate) fn leave(&mut self, id: u64) {
        self.taken.retain(|place| place.id != id);
    }

    fn place(&mut self, id: u64) -> Option<&mut Place<T>> {
        self.taken.iter_mut().find(|place| place.id == id)
    }

    fn evict(&mut self, among: impl Fn(&Place<T>) -> bool) -> Option<T> {
        let candidates = (0..self.taken.len()).filter(|at| among(&self.taken[*at]));
        let longest = candidates.min_by_key(|at| self.taken[*at].used)?;
        self.taken.remove(longest).task
    }
}

/// Connections at a time.
const ALL_MAX: usize = 32;
/// Those of one address.
const OF_ADDRESS_MAX: usize = 8;

#[cfg(test)]
mod tests;
