use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::{Kind, Object, ObjectKey, Problem, Refused, Severity, Source, Store};

fn service(namespace: Option<&str>, name: &str) -> Object {
    let metadata = ObjectMeta {
        name: Some(name.into()),
        namespace: namespace.map(str::to_owned),
        ..ObjectMeta::default()
    };
    Object::Service(Arc::new(Service { metadata, ..Service::default() }))
}

fn source(line: u32) -> Source {
    Source { file: std::path::Path::new("f.yaml").into(), line }
}

#[test]
fn objects_are_found_by_name_and_in_order() {
    let mut store = Store::default();
    for (namespace, name) in [(Some("b"), "x"), (None, "z"), (Some("b"), "a")] {
        store.apply(service(namespace, name), None);
    }
    let all: Vec<String> = store.services().iter().map(|entry| entry.key.to_string()).collect();
    assert_eq!(all, ["Service b/a", "Service b/x", "Service default/z"]);
    assert!(store.services().get("b", "x").is_some());
    assert!(store.services().get("default", "x").is_none());
    assert_eq!(store.services().namespace("b").count(), 2);
    assert_eq!((store.services().len(), store.pods().len(), store.count()), (3, 0, 3));
}

#[test]
fn cluster_scoped_kinds_have_no_namespace() {
    let metadata =
        ObjectMeta { name: Some("n".into()), namespace: Some("x".into()), ..ObjectMeta::default() };
    let node = Object::Node(Arc::new(Node { metadata, ..Node::default() }));
    assert_eq!(node.key().to_string(), "Node n");
}

#[test]
fn a_clone_does_not_change_and_shares_what_did_not() {
    let mut store = Store::default();
    store.apply(service(None, "a"), None);
    store.apply(service(None, "b"), None);
    let before = store.clone();
    store.apply(service(None, "b"), None);
    assert!(store.remove(&ObjectKey::new(Kind::Service, "default", "a")));
    assert!(!store.remove(&ObjectKey::new(Kind::Service, "default", "a")));
    assert_eq!((before.services().len(), store.services().len()), (2, 1));
    assert_eq!(before.revision(Kind::Service) + 2, store.revision(Kind::Service));
    assert_eq!(store.revision(Kind::Pod), 0);
}

#[test]
fn the_last_changes_are_known_by_name() {
    let mut store = Store::default();
    let since = |store: &Store, revision| {
        let names = store.services().changed_since(revision)?;
        Some(names.map(|key| key.name.to_string()).collect::<Vec<_>>().join(" "))
    };
    store.apply(service(None, "a"), None);
    store.apply(service(None, "b"), None);
    store.apply(service(None, "a"), None);
    store.remove(&ObjectKey::new(Kind::Service, "default", "b"));
    for (revision, want) in [(0, Some("a b a b")), (2, Some("a b")), (4, Some("")), (5, None)] {
        assert_eq!(since(&store, revision).as_deref(), want, "{revision}");
    }
    let before = store.clone();
    (0..256).for_each(|_| store.apply(service(None, "c"), None));
    assert_eq!(since(&store, 4).map(|names| names.len()), Some(256 * 2 - 1));
    assert_eq!(since(&store, 3), None, "too many to remember");
    assert_eq!(since(&before, 3).as_deref(), Some("b"));
}

#[test]
fn a_version_counts_all() {
    let mut store = Store::default();
    let key = ObjectKey::new(Kind::Service, "default", "a");
    let refused = Refused { key: key.clone(), source: None, rules: Vec::new(), message: String::new() };
    let mut last = store.version();
    let changes: [&dyn Fn(&mut Store); 4] = [
        &|store| assert!(store.refuse(refused.clone())),
        &|store| store.apply(service(None, "a"), Some(source(1))),
        &|store| store.relocate(&key, source(2)),
        &|store| assert!(store.remove(&key)),
    ];
    for change in changes {
        change(&mut store);
        assert_ne!(std::mem::replace(&mut last, store.version()), store.version());
    }
}

#[test]
fn a_move_is_not_a_change() {
    let mut store = Store::default();
    store.apply(service(None, "a"), Some(source(1)));
    let key = ObjectKey::new(Kind::Service, "default", "a");
    store.relocate(&key, source(5));
    assert_eq!(store.source(&key), Some(&source(5)));
    assert_eq!(store.revision(Kind::Service), 1);
}

#[test]
fn a_refusal_ends_when_an_object_comes_or_goes() {
    let key = ObjectKey::new(Kind::Service, "default", "a");
    let refused = Refused { key: key.clone(), source: None, rules: Vec::new(), message: String::new() };
    let mut store = Store::default();
    assert!(store.refuse(refused.clone()));
    assert!(!store.refuse(refused.clone()), "nothing new");
    store.apply(service(None, "a"), None);
    assert!(store.refused().is_empty());
    store.refuse(refused);
    assert!(store.remove(&key));
    assert!(store.refused().is_empty());
    assert_eq!(store.refused_revision(), 4);
}

#[test]
fn what_is_missed_because_it_was_refused_says_so() {
    let gateway = ObjectKey::new(Kind::Gateway, "shop", "edge");
    let class = ObjectKey::new(Kind::GatewayClass, "", "weir");
    let refused = [
        Problem::error("unknown field").of(gateway.clone()).at(source(7)),
        Problem::error("another").of(gateway).at(source(9)),
        Problem::warning("has no effect").of(ObjectKey::new(Kind::Service, "shop", "odd")).at(source(3)),
        Problem::error("bad").of(class).at(source(1)),
        Problem::error("bad").at(source(2)),
    ];
    for (message, wanted) in [
        (
            "there is no Gateway shop/edge (NoMatchingParent)",
            "Gateway shop/edge was refused, see f.yaml:7 (NoMatchingParent)",
        ),
        ("there is no Gateway shop/edge", "Gateway shop/edge was refused, see f.yaml:7"),
        (
            "there is no GatewayClass weir: nobody serves it",
            "GatewayClass weir was refused, see f.yaml:1: nobody serves it",
        ),
        (
            "there is no Gateway shop/edgy (NoMatchingParent)",
            "there is no Gateway shop/edgy (NoMatchingParent)",
        ),
        ("there is no Gateway shop/edge2", "there is no Gateway shop/edge2"),
        ("there is no Service shop/odd", "there is no Service shop/odd"),
        ("there is no entity `x`", "there is no entity `x`"),
        ("there is no", "there is no"),
    ] {
        let mut problems = [Problem::error(message)];
        crate::tell_refused(&mut problems, &refused);
        assert_eq!(problems[0].message, wanted);
    }
}

#[test]
fn a_problem_is_one_line() {
    let key = ObjectKey::new(Kind::HttpRoute, "shop", "r");
    let cases = [
        (Problem::error("m"), "m"),
        (Problem::error("m").at(source(0)), "f.yaml: m"),
        (
            Problem::error("a\n  b").at(source(3)).of(key).field("spec.x"),
            "f.yaml:3: HTTPRoute shop/r: spec.x: a; b",
        ),
        (Problem::warning("m").field(""), "m"),
    ];
    for (problem, expected) in cases {
        assert_eq!(problem.to_string(), expected);
    }
    assert_eq!(Problem::warning("m").severity, Severity::Warning);
}
