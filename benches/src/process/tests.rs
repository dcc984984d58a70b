//! Lines of /proc/PID/stat.

use super::{process, pss};

#[test]
fn reads_fields_after_any_name() {
    let rest = "S 7 1 1 0 -1 4194560 1 2 3 4 150 50 5 6 20 0 1 0 100 1000000 321 184 0";
    for name in ["nginx", "a b", "a) R 1 2 (x", ""] {
        let process = process(42, &format!("42 ({name}) {rest}")).unwrap();
        assert_eq!(
            (process.pid, process.parent, process.ticks, process.rss_pages),
            (42, 7, 200, 321),
            "{name}"
        );
    }
    assert!(process(42, "42 (short) S 7").is_none());
    assert!(process(42, "").is_none());
}

#[test]
fn reads_the_proportional_set_size() {
    let rollup =
        "00400000-7fff rw-p 00000000 00:00 0 [rollup]\nRss:  9000 kB\nPss:  1234 kB\nPss_Anon:  7 kB\n";
    assert_eq!(pss(rollup), Some(1234.0));
    assert_eq!(pss("Rss: 1 kB\nPss_Anon: 7 kB\n"), None);
}
