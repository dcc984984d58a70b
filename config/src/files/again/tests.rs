use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use objects::{Kind, ObjectKey};

use super::super::{Files, Loaded, VANISH_AFTER};
use crate::recall::{Note, Recalled};
use crate::testdir::TestDir;

const POLICY: &str = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n\
    metadata: {name: p, namespace: shop}\nspec: {endpointSelector: {}, ingress: [{}]}\n";

fn namespace(name: &str, label: &str) -> String {
    format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{v: '{label}'}}}}\n")
}

fn label(loaded: &Loaded, name: &str) -> Option<String> {
    let entry = loaded.store.namespaces().get("", name)?;
    entry.object.metadata.labels.as_ref()?.get("v").cloned()
}

fn is_policed(loaded: &Loaded) -> bool {
    loaded.store.network_policies().get("shop", "p").is_some()
}

/// What the notes say that files hold, as the process after is told.
fn recalled(notes: Vec<Note>) -> Vec<Recalled> {
    let said = notes.into_iter().filter_map(|note| Some((note.file, note.said?)));
    said.map(|(file, said)| Recalled { file: file.to_path_buf(), said }).collect()
}

/// A process that read the folder, and one after it that begins as the files are then.
fn again(dir: &TestDir, change: impl FnOnce(), now: Instant) -> (Files, Loaded) {
    let mut first = Files::open([dir.path()]).unwrap();
    first.take_note();
    first.load(now);
    let objects = recalled(first.take_notes().collect());
    change();
    let mut second = Files::open_again([dir.path()], &first.roots()).unwrap();
    second.recall(&objects, now);
    let loaded = second.load(now);
    (second, loaded)
}

#[test]
fn what_is_bad_by_then_keeps_its_last_good_version() {
    let good = || namespace("a", "1") + "---\n" + POLICY;
    let table: [(&str, Option<String>, Option<&str>, bool); 6] = [
        (
            "an object refused",
            Some(namespace("a", "1").replace("'1'", "[]") + "---\n" + POLICY),
            Some("1"),
            true,
        ),
        (
            "a good one beside",
            Some(namespace("a", "2") + "---\n" + &POLICY.replace("[{}]", "1")),
            Some("2"),
            true,
        ),
        ("no YAML", Some("a: [b".into()), Some("1"), true),
        ("a policy without a name", Some(good().replace("name: p, ", "")), Some("1"), true),
        ("changed", Some(namespace("a", "3") + "---\n" + POLICY), Some("3"), true),
        ("unchanged", Some(good()), Some("1"), true),
    ];
    for (what, text, expected, policed) in table {
        let dir = TestDir::new();
        dir.put("a.yaml", &good());
        let change = || text.iter().for_each(|text| dir.put("a.yaml", text));
        let (_, loaded) = again(&dir, change, Instant::now());
        assert_eq!((label(&loaded, "a").as_deref(), is_policed(&loaded)), (expected, policed), "{what}");
    }
}

#[test]
fn what_was_removed_does_not_come_back() {
    let table: [(&str, Option<String>); 2] =
        [("from its file", Some(namespace("a", "1"))), ("with its file", None)];
    for (what, text) in table {
        let dir = TestDir::new();
        dir.put("a.yaml", &(namespace("a", "1") + "---\n" + POLICY));
        let now = Instant::now();
        let change = || match &text {
            Some(text) => dir.put("a.yaml", text),
            None => dir.delete("a.yaml"),
        };
        let (mut files, loaded) = again(&dir, change, now);
        // Editors delete and create: as in a process that goes on.
        assert!(is_policed(&loaded), "{what}");
        assert!(!is_policed(&files.rescan(now + VANISH_AFTER)), "{what}");
        assert_eq!(files.rescan(now + VANISH_AFTER).problems, [], "{what}");
    }
}

#[test]
fn a_process_notes_that_objects_are_removed() {
    let dir = TestDir::new();
    dir.put("a.yaml", &(namespace("a", "1") + "---\n" + &namespace("b", "1")));
    let now = Instant::now();
    let mut files = Files::open([dir.path()]).unwrap();
    files.take_note();
    files.load(now);
    assert_eq!(files.take_notes().count(), 2);
    dir.put("a.yaml", &namespace("a", "2"));
    files.rescan(now + Duration::from_secs(40));
    let notes: Vec<Note> = files.take_notes().collect();
    let removed: Vec<&ObjectKey> =
        notes.iter().filter(|note| note.said.is_none()).map(|note| &note.key).collect();
    assert_eq!(removed, [&ObjectKey::new(Kind::Namespace, "", "b")]);
    dir.put("a.yaml", "a: [b");
    files.rescan(now + Duration::from_secs(80));
    assert_eq!(files.take_notes().next(), None, "nobody knows what it holds");
}

#[test]
fn a_refused_policy_stays_closed_where_its_file_is_no_yaml_any_more() {
    let dir = TestDir::new();
    // A key that stands twice refuses it, and is not in what is recalled.
    dir.put("a.yaml", &POLICY.replace("ingress: [{}]", "ingress: [{}], ingress: [{}]"));
    let (_, loaded) = again(&dir, || dir.put("a.yaml", "a: [b"), Instant::now());
    let key = ObjectKey::new(Kind::CiliumNetworkPolicy, "shop", "p");
    let refused = loaded.store.refused().get(&key).expect("it is refused");
    assert!(refused.rules[0].ingress && refused.rules[0].selector.is_some(), "{refused:?}");
    assert!(!is_policed(&loaded));
}

#[test]
fn a_folder_that_is_gone_stays_in_force_and_only_where_it_was_served() {
    let dir = TestDir::new();
    fs::create_dir(dir.file("in")).unwrap();
    dir.put("in/a.yaml", &namespace("a", "1"));
    let inside: PathBuf = dir.file("in");
    let now = Instant::now();
    let mut first = Files::open([&inside]).unwrap();
    first.take_note();
    first.load(now);
    let objects = recalled(first.take_notes().collect());
    fs::remove_dir_all(&inside).unwrap();
    let mut second = Files::open_again([&inside], &first.roots()).unwrap();
    second.recall(&objects, now);
    assert_eq!(label(&second.load(now), "a").as_deref(), Some("1"));
    assert!(second.is_served(&inside.join("b.yaml")));
    // Another path has nothing to do with it.
    let mut other = Files::open_again([dir.path()], &first.roots()).unwrap();
    other.recall(&objects, now);
    assert_eq!(label(&other.load(now), "a"), None);
    assert!(!other.is_served(&dir.file("b.yaml")));
    assert!(Files::open([&inside]).is_err());
}
