use super::*;

#[test]
fn a_count_is_shared_and_rounded_up() {
    for (count, workers, want) in [
        (None, 4, u32::MAX),
        (Some(0), 4, 0),
        (Some(1), 4, 1),
        (Some(8), 4, 2),
        (Some(9), 4, 3),
        (Some(5), 0, 5),
    ] {
        let breaker = Breaker { requests: count, ..Breaker::default() };
        let caps = Caps::of(&breaker, workers);
        assert_eq!(caps.requests, want, "{count:?} among {workers}");
        assert_eq!((caps.connections, caps.endpoint_requests), (u32::MAX, u32::MAX));
        assert!(!caps.queues());
    }
    assert!(Caps::of(&Breaker { pending: Some(3), ..Breaker::default() }, 2).queues());
}
