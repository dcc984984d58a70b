//! Medians, ratios and what a peer that failed leaves behind.

use super::{Measured, Report, median};

fn turn(cpu_us_per_request: f64) -> Measured {
    Measured {
        requests_per_second: 1e6 / cpu_us_per_request,
        cpu_us_per_request,
        p50_us: 1.0,
        p99_us: 2.0,
        rss_kib: 3.0,
    }
}

#[test]
fn takes_the_median() {
    let cases: [(&[f64], f64); 4] =
        [(&[3.0], 3.0), (&[9.0, 1.0, 2.0], 2.0), (&[1.0, 3.0], 2.0), (&[4.0, 1.0, 3.0, 2.0], 2.5)];
    for (values, expected) in cases {
        let turns: Vec<Measured> = values.iter().map(|cpu| turn(*cpu)).collect();
        assert_eq!(median(&turns, |m| m.cpu_us_per_request), expected);
    }
    assert!(median(&[], |m| m.p50_us).is_nan());
}

#[test]
fn compares_with_the_references_that_ran() {
    let mut report = Report::default();
    report.add("floor", turn(20.0));
    report.add("weir", turn(25.0));
    report.add("envoy", turn(100.0));
    report.skip("haproxy", "not installed".into());
    let table = report.table();
    let weir = table.lines().find(|line| line.starts_with("weir")).unwrap();
    let columns: Vec<&str> = weir.split_whitespace().collect();
    assert_eq!(columns[6..], ["1.25", "-", "0.25"], "{table}");
    assert!(table.contains("haproxy         left out: not installed"), "{table}");
}

#[test]
fn a_peer_that_failed_has_no_figures() {
    let mut report = Report::default();
    report.add("floor", turn(20.0));
    report.add("weir", turn(20.0));
    report.skip("weir", "round 2: it crashed".into());
    let path = std::env::temp_dir().join(format!("weir-bench-report-{}.json", std::process::id()));
    report.write_json(&path).unwrap();
    let rows: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 5);
    assert!(rows.as_array().unwrap().iter().all(|row| row["peer"] == "floor"));
    assert_eq!(rows[0]["metric"], "cpu_us_per_request");
    assert_eq!(rows[0]["value"], 20.0);
}
