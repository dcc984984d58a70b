//! Whole lines, and the escaping of what clients choose.

use std::sync::Arc;

use model::flow::FlowRecord;
use model::identity::{Identity, IdentityId, Label, Labels};
use serde_json::Value;

use super::{Json, json_lost};
use crate::fixture::{bare, full, with_path};

fn line(record: &FlowRecord) -> String {
    let mut out = Vec::new();
    Json::default().write(record, &mut out);
    let line = String::from_utf8(out).unwrap();
    assert!(line.ends_with('\n') && line.matches('\n').count() == 1, "{line:?} is one line");
    line
}

#[test]
fn writes_what_is_known_and_leaves_out_the_rest() {
    let cases = [
        (
            bare(),
            r#"{"time":"2023-11-14T22:13:20.123456Z","verdict":"FORWARDED","protocol":"TCP",
                "source":{"ip":"10.0.0.1","port":41000},"destination":{"ip":"2001:db8::1","port":443},
                "latency_us":1234,"bytes_in":5,"bytes_out":64}"#,
        ),
        (
            full(),
            r#"{"time":"2023-11-14T22:13:20.123456Z","verdict":"DENIED","reason":"policy_default_deny",
                "direction":"ingress","protocol":"TCP",
                "source":{"ip":"10.0.0.1","port":41000,"identity":257,
                    "labels":["k8s:role=frontend"],
                    "namespace":"default","pod":"frontend"},
                "destination":{"ip":"10.96.0.1","port":80},
                "backend":{"ip":"10.0.0.2","port":8080,"identity":258,
                    "labels":["k8s:role=api"],
                    "namespace":"default","pod":"api"},
                "rule":{"kind":"CiliumNetworkPolicy","namespace":"default","name":"api",
                    "place":"spec.ingress[0].toPorts[0].rules.http[0]"},
                "route":{"kind":"HTTPRoute","namespace":"default","name":"split","rule":2,"rule_name":"main"},
                "http":{"method":"POST","authority":"api","path":"/public?a=1","status":403},
                "latency_us":1234,"bytes_in":5,"bytes_out":64}"#,
        ),
    ];
    for (record, expected) in cases {
        let got: Value = serde_json::from_str(&line(&record)).unwrap();
        assert_eq!(got, serde_json::from_str::<Value>(expected).unwrap());
    }
}

/// What is remembered is told apart: of the same pod at another address, of another pod at the same.
#[test]
fn remembers_what_it_wrote_and_of_whom() {
    let mut json = Json::default();
    let (first, other) = (full(), full());
    let mut moved = first.clone();
    moved.source.address = "10.0.0.9:1".parse().unwrap();
    let mut nameless = first.clone();
    nameless.source.workload = None;
    nameless.rule = None;
    for record in [&first, &first, &bare(), &moved, &nameless, &other, &first] {
        let mut out = Vec::new();
        json.write(record, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), line(record));
    }
}

#[test]
fn leaves_out_labels_that_every_pod_has() {
    let mut record = full();
    let labels = [
        ("k8s", "app", true),
        ("k8s", "io.kubernetes.pod.namespace", false),
        ("k8s", "io.cilium.k8s.policy.cluster", false),
        ("k8s", "app.kubernetes.io/name", true),
        ("reserved", "ingress", true),
        ("cidr", "10.0.0.0/8", true),
        ("generated", "x", false),
    ];
    let all = labels.iter().map(|(source, key, _)| Label::new(source, key, "")).collect();
    let id = IdentityId(7);
    record.source.identity = Some(Arc::new(Identity { id, labels: Labels::new(all), cidr: None }));
    let got: Value = serde_json::from_str(&line(&record)).unwrap();
    let shown: Vec<&str> =
        got["source"]["labels"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for (source, key, is_shown) in labels {
        assert_eq!(shown.contains(&&*format!("{source}:{key}")), is_shown, "{source}:{key}");
    }
}

#[test]
fn escapes_what_clients_choose() {
    let every_control: String = (0..0x20u8).map(char::from).collect();
    for path in ["/\"quoted\"", "/back\\slash", "/\n{\"time\":1}", "/é\u{7f}", &every_control] {
        let line = line(&with_path(path));
        assert!(!line.trim_end().chars().any(char::is_control), "{line:?}");
        let got: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(got["http"]["path"], path);
    }
}

#[test]
fn says_how_many_are_missing() {
    let mut out = Vec::new();
    json_lost(7, &mut out);
    assert_eq!(out, b"{\"lost\":7}\n");
}
