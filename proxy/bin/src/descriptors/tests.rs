use super::*;

#[test]
fn the_limit_is_raised_to_the_most_allowed() {
    let before = getrlimit(Resource::Nofile);
    let lowered = before.maximum.unwrap_or(1 << 20).min(before.current.unwrap_or(1 << 20)) / 2;
    setrlimit(Resource::Nofile, Rlimit { current: Some(lowered), maximum: before.maximum }).unwrap();
    raise();
    assert_eq!(getrlimit(Resource::Nofile).current, before.maximum);
    let allowed = limits(&[], 2).connections as u64;
    assert!(allowed <= before.maximum.unwrap_or(u64::MAX) / 2);
}
