//! What may be written, what is said of the rest, and that the manual lists what there is.

use std::collections::BTreeMap;

use clap::Parser;
use proxy::{Limit, Limits, Unit};

use super::{Setting, each, parse, range, set, show};
use crate::cli::{Cli, Command};

const OPERATIONS: &str = include_str!("../../../../docs/operations.md");

fn given(flags: &[&str]) -> Result<Limits, String> {
    let all = ["weir", "run", "config"].into_iter().chain(flags.iter().flat_map(|flag| ["--limit", flag]));
    match Cli::try_parse_from(all).map_err(|error| error.to_string())?.command {
        Command::Run(args) => Ok(set(&args.limits)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn limits_are_set_by_name() {
    let limits = given(&["stall_timeout=7", "head_bytes=8KiB", "http2_streams=12", "handshakes=1"]).unwrap();
    let of_http2 = Limits::default().http2;
    let expected = Limits {
        stall_timeout: std::time::Duration::from_secs(7),
        head_bytes: 8 * 1024,
        handshakes: 1,
        http2: codec_limits(of_http2, |limits| limits.streams = 12),
        ..Limits::default()
    };
    assert_eq!(limits, expected);
    assert_eq!(given(&[]).unwrap(), Limits::default());
    assert_eq!(given(&["mirrors=1", "mirrors=2"]).unwrap().mirrors, 2, "the last one counts");
}

#[test]
fn what_does_not_fit_is_said() {
    let settings: Vec<Setting> =
        ["connections=1000", "connections_per_pod=900"].iter().map(|text| text.parse().unwrap()).collect();
    let limits = set(&settings).within(1 << 20, 1);
    let said: Vec<String> = settings.iter().filter_map(|setting| setting.lowered(&limits)).collect();
    assert_eq!(said, ["--limit connections_per_pod=900: 500 is in force"]);
}

fn codec_limits<T>(mut limits: T, change: impl FnOnce(&mut T)) -> T {
    change(&mut limits);
    limits
}

#[test]
fn what_cannot_be_set_is_named_with_what_could() {
    let cases: &[(&str, &[&str])] = &[
        ("stall_timeout", &["NAME=VALUE"]),
        ("stal_timeout=1s", &["no limit \"stal_timeout\"", "did you mean stall_timeout"]),
        ("timeout=1s", &["no limit \"timeout\"", "head_timeout", "http2_ping_timeout"]),
        ("xyzzyxyzzy=1", &["no limit \"xyzzyxyzzy\"", "/config"]),
        ("=1", &["no limit \"\""]),
        ("stall_timeout=1ms", &["stall_timeout is a time", "100ms to 24h"]),
        ("stall_timeout=", &["stall_timeout is a time", "100ms to 24h"]),
        ("stall_timeout=+5", &["100ms to 24h"]),
        ("stall_timeout=5 s", &["100ms to 24h"]),
        ("stall_timeout=5KiB", &["100ms to 24h"]),
        ("stall_timeout=99999999999999999999s", &["100ms to 24h"]),
        ("tunnel_timeout=18446744073709551615h", &["100ms to 168h"]),
        ("head_bytes=1", &["head_bytes is a number of bytes", "1KiB to 512KiB"]),
        ("head_bytes=1kb", &["1KiB to 512KiB"]),
        ("head_fields=129", &["head_fields is a count of 1 to 128"]),
        ("head_fields=10KiB", &["head_fields is a count of 1 to 128"]),
    ];
    for (flag, parts) in cases {
        let said = given(&[flag]).expect_err(flag);
        for part in [&["--limit <NAME=VALUE>"], *parts].concat() {
            assert!(said.contains(part), "{flag}: {part:?} is not in {said:?}");
        }
    }
}

#[test]
fn what_is_shown_can_be_given() {
    let mut names: Vec<&str> = Limit::ALL.iter().map(|limit| limit.name).collect();
    for limit in Limit::ALL {
        let default = limit.get(&Limits::default());
        assert!(limit.range.contains(&default), "{}: {default}", limit.name);
        for value in [*limit.range.start(), default, *limit.range.end()] {
            let text = show(limit.unit, value);
            assert_eq!(parse(limit.unit, &text), Some(value), "{}={text}", limit.name);
            let setting: Setting = format!("{}={text}", limit.name).parse().unwrap();
            let limits = set(&[setting]);
            assert_eq!(limit.get(&limits), value, "{}", limit.name);
            let others = Limit::ALL.iter().filter(|other| other.name != limit.name);
            let changed: Vec<_> =
                others.filter(|other| other.get(&limits) != other.get(&Limits::default())).collect();
            assert!(changed.is_empty(), "{} changes {changed:?}", limit.name);
        }
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Limit::ALL.len());
    for (unit, value, text) in [
        (Unit::Time, 300_000, "5m"),
        (Unit::Time, 1_500, "1500ms"),
        (Unit::Time, 0, "0"),
        (Unit::Bytes, 1_536, "1536"),
        (Unit::Bytes, 64 << 30, "64GiB"),
        (Unit::Count, 60_000, "60000"),
    ] {
        assert_eq!(show(unit, value), text);
    }
}

#[test]
fn the_manual_lists_every_limit_with_its_default_and_range_and_no_other() {
    let (_, section) = OPERATIONS.split_once("\n## Limits\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let rows = section.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| `")?.split(" | ").collect();
        let [name, _, default, range, ..] = cells[..] else { panic!("{line}") };
        Some((name.trim_end_matches('`').to_owned(), (default.to_owned(), range.to_owned())))
    });
    let listed: BTreeMap<String, (String, String)> = rows.collect();
    let defaults: BTreeMap<&str, String> = each(&Limits::default()).collect();
    let known = Limit::ALL.iter();
    let known: BTreeMap<String, (String, String)> =
        known.map(|limit| (limit.name.to_owned(), (defaults[limit.name].clone(), range(limit)))).collect();
    assert_eq!(listed, known, "left: docs/operations.md; right: what there is");
    for limit in Limit::ALL {
        assert!(limit.meaning.trim_end().ends_with('.'), "{}: {:?}", limit.name, limit.meaning);
    }
}
