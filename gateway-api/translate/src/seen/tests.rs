use k8s_openapi::api::core::v1::Namespace;
use objects::{Kind, Object, Store};

use super::*;

/// Applies `name=label` words, removes `-name` words, and gives `fresh | stale` with labels.
fn look(store: &mut Store, seen: &mut Seen<Namespace>, changes: &str) -> String {
    for change in changes.split_whitespace() {
        if let Some(name) = change.strip_prefix('-') {
            assert!(store.remove(&ObjectKey::new(Kind::Namespace, "", name)));
            continue;
        }
        let (name, label) = change.split_once('=').unwrap();
        let mut object = Namespace::default();
        object.metadata.name = Some(name.to_owned());
        object.metadata.labels = Some([("v".to_owned(), label.to_owned())].into());
        store.apply(Object::Namespace(Arc::new(object)), None);
    }
    let shown = |key: &ObjectKey, object: &Namespace| {
        format!("{}={}", key.name, object.metadata.labels.as_ref().unwrap()["v"])
    };
    let diff = seen.diff(store.namespaces());
    let fresh: Vec<_> = diff.fresh.iter().map(|entry| shown(&entry.key, &entry.object)).collect();
    let stale: Vec<_> = diff.stale.iter().map(|(key, object)| shown(key, object)).collect();
    format!("{} | {}", fresh.join(" "), stale.join(" "))
}

#[test]
fn a_diff_has_what_is_new_changed_and_gone() {
    let (mut store, mut seen) = (Store::default(), Seen::default());
    for (changes, want) in [
        ("", " | "),
        ("b=1 d=1 f=1", "b=1 d=1 f=1 | "),
        ("", " | "),
        ("d=2", "d=2 | d=1"),
        ("a=1 c=1 g=1", "a=1 c=1 g=1 | "),
        ("-b", " | b=1"),
        ("-a -g", " | a=1 g=1"),
        ("-c d=3 e=1", "d=3 e=1 | c=1 d=2"),
        ("-d -e -f", " | d=3 e=1 f=1"),
        ("f=1", "f=1 | "),
    ] {
        assert_eq!(look(&mut store, &mut seen, changes), want, "{changes}");
    }
}

#[test]
fn more_changes_than_are_remembered_are_all_found() {
    let (mut store, mut seen) = (Store::default(), Seen::default());
    look(&mut store, &mut seen, "a=1 b=1 c=1");
    let many = "x=1 ".repeat(300);
    assert_eq!(look(&mut store, &mut seen, &format!("a=2 -b {many}")), "a=2 x=1 | a=1 b=1");
    assert_eq!(look(&mut store, &mut seen, ""), " | ");
}
