//! The language of levels.

use super::Levels;

fn shown(text: &str) -> Option<String> {
    Levels::parse(text).ok().map(|levels| levels.to_string())
}

#[test]
fn reads_levels_and_shows_them_in_the_same_words() {
    let cases = [
        ("info", Some("info")),
        ("WARN", Some("warn")),
        ("off", Some("off")),
        ("warn,proxy=debug", Some("warn,proxy=debug")),
        (" warn , proxy::tunnel = trace ", Some("warn,proxy::tunnel=trace")),
        ("proxy=debug", Some("off,proxy=debug")),
        ("debug,info", Some("info")),
        ("", None),
        ("loud", None),
        ("proxy=loud", None),
        ("=info", None),
        ("a b=info", None),
        ("prxy=info", None),
        ("hyper::proto=info", None),
        ("info,,warn", None),
    ];
    for (text, expected) in cases {
        assert_eq!(shown(text).as_deref(), expected, "{text:?}");
    }
}

#[test]
fn changes_what_is_named_and_no_more() {
    let cases = [
        ("info", "proxy=debug", "info,proxy=debug"),
        ("info,proxy=debug", "warn", "warn,proxy=debug"),
        ("info,proxy=debug", "proxy=off", "info,proxy=off"),
    ];
    for (before, change, after) in cases {
        let mut levels = Levels::parse(before).unwrap();
        levels.merge(Levels::parse(change).unwrap()).unwrap();
        assert_eq!(levels.to_string(), after);
    }
}

#[test]
fn an_unknown_part_is_refused_with_those_there_are() {
    let error = Levels::parse("info,prxy=debug").unwrap_err().to_string();
    assert_eq!(error, "there is no part \"prxy\"; there are config, proxy, redirect, weir");
}

#[test]
fn has_a_bound() {
    let parts = |count: usize| (0..count).map(|n| format!("proxy::p{n}=info")).collect::<Vec<_>>().join(",");
    let mut levels = Levels::parse(&parts(32)).unwrap();
    assert!(Levels::parse(&parts(33)).is_err());
    assert!(levels.merge(Levels::parse("weir::more=info").unwrap()).is_err());
}
