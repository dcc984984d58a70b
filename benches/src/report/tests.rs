//! Medians of ratios, verdicts, tables and JSON.

use super::{Outcome, targets, write_json};
use crate::figure::{CPU_PER_REQUEST, Figures, P99, at_most, ratio};
use crate::listener::Listener;
use crate::row::{Rounds, Row};
use crate::subject::{haproxy, nginx, weir};

static ROW: Row = Row {
    name: "some_work",
    title: "some work",
    rounds: Rounds::Usual(3),
    subjects: &[haproxy(Listener::Http1), nginx(Listener::Http1), weir(Listener::Http1)],
    offered_share: None,
    turn: |_| Ok(Figures::default()),
    references: &["haproxy"],
    targets: &[
        ratio(CPU_PER_REQUEST, "haproxy", 0.9),
        ratio(CPU_PER_REQUEST, "haproxy", 0.7),
        ratio(CPU_PER_REQUEST, "nginx", 1.0),
        at_most(P99, 5.0),
    ],
};

fn outcome() -> Outcome {
    let mut outcome = Outcome::new(&ROW);
    // Ratios 0.8, 0.5 and 0.9: their median is not the ratio of the medians.
    for (theirs, ours) in [(10.0, 8.0), (20.0, 10.0), (30.0, 27.0)] {
        outcome.add("haproxy", Figures::new([(CPU_PER_REQUEST, theirs), (P99, 9.0)]));
        outcome.add("weir", Figures::new([(CPU_PER_REQUEST, ours), (P99, 5.0)]));
    }
    outcome.add("nginx", Figures::new([(CPU_PER_REQUEST, 1.0)]));
    outcome.skip("nginx", "it ended".into());
    outcome
}

#[test]
fn compares_within_rounds() {
    let table = outcome().table();
    let weir = table.lines().find(|line| line.trim_start().starts_with("weir")).unwrap();
    assert_eq!(weir.split_whitespace().collect::<Vec<_>>(), ["weir", "10.0", "5", "0.80"]);
    assert!(table.contains("nginx       not served: it ended"), "{table}");
}

#[test]
fn says_whether_targets_are_met() {
    let table = targets(&[outcome()]);
    let verdicts: Vec<&str> =
        table.lines().filter_map(|line| line.rsplit_once(": ").map(|(_, v)| v)).collect();
    assert_eq!(verdicts, ["0.800, met", "0.800, MISSED", "not measured", "5.000, met"], "{table}");
}

#[test]
fn keeps_everything_as_json() {
    let path = std::env::temp_dir().join(format!("weir-bench-report-{}.json", std::process::id()));
    write_json(&path, "a machine", &[outcome()]).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["machine"], "a machine");
    assert_eq!(json["figures"].as_array().unwrap().len(), 4);
    assert_eq!(json["figures"][2]["value"], 10.0);
    let met: Vec<_> = json["targets"].as_array().unwrap().iter().map(|t| t["met"].as_bool()).collect();
    assert_eq!(met, [Some(true), Some(false), None, Some(true)]);
    assert_eq!(json["not_served"][0]["subject"], "nginx");
}
