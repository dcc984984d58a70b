//! Deadlines, judging and draining as a connection's task sees them.

use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use super::{Registry, Signal};
use crate::clock::Moment;

#[test]
fn a_deadline_is_told_once_and_not_before_its_time() {
    let registry = Rc::new(Registry::default());
    let live = registry.register();
    let context = Context::from_waker(Waker::noop());
    let at = Moment(1_000);
    live.arm(at);
    registry.sweep(Moment(999));
    assert_eq!(live.poll(&context), None);
    registry.sweep(at);
    assert_eq!(live.poll(&context), Some(Signal::Deadline));
    assert_eq!(live.poll(&context), None);
    registry.sweep(at + Duration::from_secs(1));
    assert_eq!(live.poll(&context), None, "it is not armed any more");
}

#[test]
fn arming_again_takes_back_a_deadline_that_has_passed() {
    let registry = Rc::new(Registry::default());
    let live = registry.register();
    live.arm(Moment(1));
    registry.sweep(Moment(2));
    live.arm(Moment(3));
    assert_eq!(live.poll(&Context::from_waker(Waker::noop())), None);
}

#[test]
fn everybody_is_told_to_judge_and_to_drain() {
    let registry = Rc::new(Registry::default());
    let (one, two) = (registry.register(), registry.register());
    let context = Context::from_waker(Waker::noop());
    registry.judge();
    for live in [&one, &two] {
        assert_eq!(live.poll(&context), Some(Signal::Judge));
        assert_eq!(live.poll(&context), None);
    }
    assert!(!one.is_draining());
    registry.drain();
    assert!(one.is_draining() && two.is_draining());
    assert!(registry.register().is_draining(), "so are those that come later");
}

#[test]
fn places_are_given_back_and_used_again() {
    let registry = Rc::new(Registry::default());
    assert!(registry.is_empty());
    let first = registry.register();
    let second = registry.register();
    drop(first);
    assert!(!registry.is_empty());
    let third = registry.register();
    assert_eq!(third.slot, 0);
    drop((second, third));
    assert!(registry.is_empty());
}
