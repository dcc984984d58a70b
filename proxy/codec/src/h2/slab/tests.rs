//! The index of streams, against a map; the memory of closed ones.

use std::collections::BTreeMap;

use super::*;

#[test]
fn the_index_is_a_map() {
    let (mut slab, mut model) = (Slab::default(), BTreeMap::new());
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for step in 0..20_000_u32 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // Few identifiers, far apart and close together: chains, gaps, and the wrap at the end.
        let near = u32::try_from(state % 40).expect("small") * 2 + 1;
        let id = if state & 64 == 0 { near } else { near + (1 << 20) };
        match (model.get(&id).copied(), state & 128 == 0) {
            (None, true) => {
                let slot = slab.insert(id, |stream| stream.start(id, 0, 0));
                model.insert(id, slot);
            }
            (Some(slot), false) => {
                slab.remove(slot);
                model.remove(&id);
            }
            _ => {}
        }
        for (id, slot) in &model {
            assert_eq!((slab.find(*id), slab.get(*slot).id), (Some(*slot), *id), "step {step}");
        }
        assert_eq!(slab.find(id), model.get(&id).copied(), "step {step}");
        assert_eq!(slab.len(), model.len());
    }
    assert!(slab.slot_count() <= 80, "slots are used again");
    assert_eq!(slab.find(0), None);
}

#[test]
fn closed_streams_are_remembered_for_a_while() {
    let mut closed = Closed::default();
    assert_eq!(closed.past(1), Past::Skipped);
    closed.push(3, false);
    closed.push(5, true);
    for (id, past) in [(1, Past::Skipped), (3, Past::EndedByPeer), (5, Past::ResetByUs), (7, Past::Skipped)] {
        assert_eq!(closed.past(id), past, "{id}");
    }
    for count in 0..u32::try_from(CLOSED_MAX).expect("small") {
        closed.push(7 + 2 * count, true);
    }
    for (id, past) in [(3, Past::Forgotten), (5, Past::Forgotten), (1, Past::Forgotten), (7, Past::ResetByUs)]
    {
        assert_eq!(closed.past(id), past, "{id}");
    }
    assert_eq!(closed.ring.len(), CLOSED_MAX);
}
