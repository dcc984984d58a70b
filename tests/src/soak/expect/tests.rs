use super::*;

#[test]
fn an_answer_is_right_if_it_was_at_any_time_of_its_request() {
    let expected = Expected::new(names(&["a"]));
    let early = expected.now();
    let mut during = 0;
    expected.change(names(&["b"]), || {
        during = expected.now();
        assert_eq!(expected.since(during), names(&["a", "b"]));
    });
    assert_eq!(expected.current(), names(&["b"]));
    assert_eq!(expected.since(during), names(&["a", "b"]));
    expected.change(names(&["c"]), || {});
    assert_eq!(expected.current(), names(&["c"]), "the old is wrong for those that begin now");
    assert_eq!(expected.since(early), names(&["a", "b", "c"]));
}

#[test]
fn a_kill_excuses_what_was_under_way_at_that_server_alone() {
    let kills = Kills::default();
    let before = Instant::now();
    kills.during("a1", || assert!(kills.hit(&names(&["a1"]), Instant::now())));
    assert!(kills.hit(&names(&["a1", "a2"]), before));
    assert!(!kills.hit(&names(&["a2"]), before), "another server");
    assert!(!kills.hit(&names(&["a1"]), Instant::now() + 2 * ON_ITS_WAY), "begun afterwards");
}
