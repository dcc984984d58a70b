//! What waits to be used again is bounded, and shrinks to what is needed.

use super::{Idle, KEPT};

#[test]
fn enough_are_kept_and_no_more() {
    let mut idle = Idle::default();
    for one in 0..KEPT {
        assert_eq!(idle.keep(one), Ok(()));
    }
    assert_eq!(idle.keep(KEPT), Err(KEPT));
    assert_eq!(idle.take(), Some(KEPT - 1), "the warmest");
}

#[test]
fn what_nobody_needed_between_two_looks_is_let_go() {
    // After a burst: how many are in use at once between two looks, and how many wait after the second.
    for (used, left) in [(0, 0), (1, 1), (3, 3), (8, 8)] {
        let mut idle = Idle::default();
        (0..8).for_each(|one| idle.keep(one).unwrap());
        assert!(idle.trim().is_empty(), "they may all have been in use until now");
        let taken: Vec<_> = (0..used).map(|_| idle.take().unwrap()).collect();
        taken.into_iter().for_each(|one| idle.keep(one).unwrap());
        assert_eq!(idle.trim().len(), 8 - left, "{used} used");
        assert_eq!(idle.waiting.len(), left, "{used} used");
    }
}
