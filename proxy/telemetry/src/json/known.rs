//! JSON that was written before: what records say of a pod or a rule is the same each time, so it is
//! kept and copied. Bounded, and forgotten by what comes to the same place.

use std::sync::Arc;

use model::flow::FlowPeer;
use model::identity::Identity;
use model::policy::RuleRef;
use model::workload::Workload;

/// Texts by the objects they are of. An object is known by its address, so it is kept alive: no other
/// can come to have it.
#[derive(Debug)]
pub(super) struct Known<K> {
    places: Vec<Option<(K, Vec<u8>)>>,
}

/// What tells objects apart.
pub(super) trait Key: Clone {
    /// What is compared and what the place is found by: addresses of shared objects, never read.
    fn addresses(&self) -> (usize, usize);
}

/// What the policies and people know a peer by.
pub(super) type PeerKey = (Option<Arc<Identity>>, Option<Arc<Workload>>);

impl Key for PeerKey {
    fn addresses(&self) -> (usize, usize) {
        (self.0.as_ref().map_or(0, address), self.1.as_ref().map_or(0, address))
    }
}

impl Key for Arc<RuleRef> {
    fn addresses(&self) -> (usize, usize) {
        (address(self), 0)
    }
}

/// The same of a record's peer, without a clone.
pub(super) fn addresses_of(peer: &FlowPeer) -> (usize, usize) {
    (peer.identity.as_ref().map_or(0, address), peer.workload.as_ref().map_or(0, address))
}

fn address<T>(object: &Arc<T>) -> usize {
    Arc::as_ptr(object) as usize
}

impl<K> Default for Known<K> {
    fn default() -> Self {
        Self { places: (0..PLACES).map(|_| None).collect() }
    }
}

impl<K: Key> Known<K> {
    /// The text of the object at `addresses`; written by `write` if it is not known.
    pub(super) fn text(
        &mut self,
        addresses: (usize, usize),
        key: impl FnOnce() -> K,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> &[u8] {
        let place = &mut self.places[place(addresses)];
        let is_known = place.as_ref().is_some_and(|(key, _)| key.addresses() == addresses);
        if !is_known {
            // The memory of the text before it is used again.
            let mut text = place.take().map_or_else(Vec::new, |(_, text)| text);
            text.clear();
            write(&mut text);
            *place = Some((key(), text));
        }
        place.as_ref().map(|(_, text)| text.as_slice()).unwrap_or_default()
    }
}

/// Mixes the bits that tell addresses apart; the lowest are those of their alignment.
fn place((a, b): (usize, usize)) -> usize {
    let mixed = ((a ^ b.rotate_left(17)) as u64 >> 4).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from(mixed >> (u64::BITS - PLACES.trailing_zeros())).unwrap_or_default()
}

/// Objects known of each kind, a power of two: a node has far fewer pods and rules in use at a time.
const PLACES: usize = 512;

#[cfg(test)]
mod tests;
