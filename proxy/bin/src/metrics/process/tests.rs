use super::Stat;

#[test]
fn reads_stat_whatever_the_name_is() {
    let line = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 25 13 14 15 16 9 18 777 20 321 22";
    let stat = Stat::parse(line).unwrap();
    assert_eq!((stat.name.as_str(), stat.cpu_ticks, stat.threads), ("a) b (c", 175, 9));
    assert_eq!((stat.started_ticks, stat.resident_pages), (777, 321));
    for broken in ["", "42 (a", "42 (a) S 1 2"] {
        assert_eq!(Stat::parse(broken), None, "{broken:?}");
    }
    assert!(Stat::read("/proc/self/stat").unwrap().resident_pages > 0);
}
