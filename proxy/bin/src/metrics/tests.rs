//! What is exported is what `docs/operations.md` lists, and no more of it than is bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::Snapshot;
use proxy::{Limits, Stats, Totals};

use super::Metrics;
use crate::admin::observed::Observed;
use crate::redirection::Current;

const OPERATIONS: &str = include_str!("../../../../docs/operations.md");

fn text(workers: usize, snapshot: Snapshot) -> String {
    let workers: Vec<Arc<Stats>> = (0..workers).map(|_| Arc::default()).collect();
    let current = Current::new(Arc::new(snapshot));
    let observed = Observed::new(workers, current, Arc::default(), Arc::default(), Limits::default());
    Metrics::new(Arc::new(observed)).text().unwrap()
}

/// Metrics with their kind and help, named as queries name them.
fn exported(text: &str) -> BTreeMap<String, (String, String)> {
    let mut metrics = BTreeMap::new();
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("# TYPE ") else { continue };
        let (name, kind) = rest.split_once(' ').unwrap();
        let help = text.lines().find_map(|line| line.strip_prefix(&format!("# HELP {name} "))).unwrap();
        let suffix = if kind == "counter" { "_total" } else { "" };
        let twice = metrics.insert(format!("{name}{suffix}"), (kind.to_owned(), help.to_owned()));
        assert!(twice.is_none(), "{name} is there twice");
    }
    metrics
}

#[test]
fn the_manual_lists_every_metric_with_its_kind_and_no_other() {
    let exported = exported(&text(1, Snapshot::default()));
    let rows = OPERATIONS.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let name = cells.next()?.trim_end_matches('`');
        let is_metric = name.starts_with("weir_") || name.starts_with("process_");
        is_metric.then(|| (name.to_owned(), cells.next().unwrap_or_default().to_owned()))
    });
    let listed: BTreeMap<String, String> = rows.collect();
    let kinds = exported.iter().map(|(name, (kind, _))| (name.clone(), kind.clone())).collect();
    assert_eq!(listed, kinds, "left: docs/operations.md; right: what is exported");
}

#[test]
fn the_manual_names_every_limit_and_breaker() {
    let totals = Totals::default();
    for (prefix, metric, ..) in super::FAMILIES {
        let labels = totals.each().filter_map(|sample| sample.name.strip_prefix(prefix));
        let missing: Vec<&str> = labels.filter(|name| !OPERATIONS.contains(&format!("`{name}`"))).collect();
        assert_eq!(missing, Vec::<&str>::new(), "labels of {metric}");
    }
}

#[test]
fn help_is_one_sentence_or_two() {
    for (name, (_, help)) in exported(&text(1, Snapshot::default())) {
        assert!(help.ends_with('.') && !help.ends_with(".."), "{name}: {help:?}");
    }
}

#[test]
fn the_number_of_series_is_bounded() {
    let series = |workers| {
        let text = text(workers, Snapshot::default());
        text.lines().filter(|line| !line.starts_with('#')).count()
    };
    let (one, four) = (series(1), series(4));
    // Requests and connections by worker. Their processor time needs their threads.
    assert_eq!(four - one, 6);
    assert!(one < 150, "{one} series of a proxy that has seen nothing");
    let names: BTreeSet<&str> = super::NAMED.iter().map(|(_, metric, _)| *metric).collect();
    assert_eq!(names.len(), super::NAMED.len());
}
