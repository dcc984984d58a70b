use super::*;
use crate::fixtures::{entry, table};

#[test]
fn expressions_match_whole_values() {
    for (expression, value, want) in [
        ("a|b", "ab", Some(false)),
        ("a|b", "b", Some(true)),
        ("a", "a\n", Some(false)),
        ("a)|(b", "a", None),
    ] {
        assert_eq!(full_match(expression).ok().map(|r| r.is_match(value)), want, "{expression}");
    }
    assert!(full_match(&format!("({}){{1000}}", "x".repeat(1000))).is_err(), "size is limited");
}

#[test]
fn a_shared_table_does_not_change() {
    let old = table(&[("a.com", "one", "/a"), ("b.com", "two", "/b")]);
    let mut new = old.clone();
    insert(&mut new, &["a.com".into()], entry("three", 0, 0, "/a/b"));
    assert_eq!(old.exact_hosts["a.com"].prefix.len(), 1);
    assert_eq!(new.exact_hosts["a.com"].prefix.len(), 2);
    assert!(Arc::ptr_eq(&old.exact_hosts["b.com"], &new.exact_hosts["b.com"]), "untouched hosts are shared");
}

#[test]
fn removal_leaves_nothing_behind() {
    let hostnames: [Arc<str>; 2] = ["a.com".into(), "*.b.com".into()];
    let mut table = RouteTable::default();
    let entries: Vec<_> = ["/", "/long/prefix", "=/x", "~/y", "GET /long/prefix", "@/method"]
        .iter()
        .map(|text| entry("r", 0, 0, text))
        .collect();
    for entry in &entries {
        insert(&mut table, &hostnames, entry.clone());
        insert(&mut table, &[], entry.clone());
    }
    let longest = |table: &RouteTable| table.exact_hosts["a.com"].prefix_max;
    assert_eq!(longest(&table), "/long/prefix".len());
    remove(&mut table, &hostnames, &entries[1]);
    assert_eq!(longest(&table), "/long/prefix".len(), "another match has it");
    remove(&mut table, &hostnames, &entries[4]);
    assert_eq!(longest(&table), 0);
    for entry in &entries {
        remove(&mut table, &hostnames, entry);
        remove(&mut table, &[], entry);
    }
    assert!(table.exact_hosts.is_empty() && table.wildcard_hosts.is_empty() && table.any_host.is_none());
}
