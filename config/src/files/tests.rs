use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use objects::{Kind, ObjectKey};

use super::{CHECKED_AT_ONCE, FULL_CHECK, Files, Loaded, VANISH_AFTER};
use crate::testdir::TestDir;

fn namespace(name: &str, label: &str) -> String {
    format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{v: '{label}'}}}}\n")
}

fn policy(name: &str, selector: &str, rest: &str) -> String {
    format!(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\n\
         spec:\n  endpointSelector: {selector}\n{rest}"
    )
}

/// The label of a Namespace in force.
fn label(loaded: &Loaded, name: &str) -> Option<String> {
    let entry = loaded.store.namespaces().get("", name)?;
    entry.object.metadata.labels.as_ref()?.get("v").cloned()
}

/// The problems without the folder of the test.
fn lines(dir: &TestDir, loaded: &Loaded) -> Vec<String> {
    let folder = format!("{}/", dir.path().display());
    loaded.problems.iter().map(|problem| problem.to_string().replace(&folder, "")).collect()
}

struct Test {
    dir: TestDir,
    files: Files,
    start: Instant,
}

impl Test {
    fn with(files: &[(&str, String)]) -> Self {
        let dir = TestDir::new();
        for (name, text) in files {
            dir.put(name, text);
        }
        let files = Files::open([dir.path()]).unwrap();
        Self { dir, files, start: Instant::now() }
    }

    fn load(&mut self) -> Loaded {
        self.files.load(self.start)
    }

    /// A rescan so many milliseconds after the start.
    fn at(&mut self, millis: u64) -> Loaded {
        self.files.rescan(self.start + Duration::from_millis(millis))
    }
}

#[test]
fn only_configuration_files_of_the_folder_itself_are_read() {
    let mut test = Test::with(&[
        ("a.yaml", namespace("a", "1")),
        ("b.yml", namespace("b", "1")),
        (
            "c.json",
            "{\"apiVersion\": \"v1\", \"kind\": \"Namespace\", \"metadata\": {\"name\": \"c\"}}".into(),
        ),
        ("d.txt", namespace("d", "1")),
        (".e.yaml", namespace("e", "1")),
    ]);
    fs::create_dir(test.dir.file("sub.yaml")).unwrap();
    test.dir.put("sub.yaml/f.yaml", &namespace("f", "1"));
    let loaded = test.load();
    let names: Vec<&str> = loaded.store.namespaces().iter().map(|entry| &*entry.key.name).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(lines(&test.dir, &loaded), [""; 0]);
}

#[test]
fn a_file_given_directly_is_read_whatever_its_name() {
    let test = Test::with(&[("conf", namespace("a", "1"))]);
    let mut files = Files::open([test.dir.file("conf"), test.dir.path().to_owned()]).unwrap();
    assert_eq!(label(&files.load(test.start), "a").as_deref(), Some("1"));
}

#[test]
fn a_path_that_is_not_there_cannot_be_opened() {
    let dir = TestDir::new();
    let error = Files::open([dir.file("no")]).err().unwrap().to_string();
    assert!(error.ends_with("no: No such file or directory (os error 2)"), "{error}");
    assert!(Files::open([""; 0]).is_err());
}

#[test]
fn an_edit_changes_its_object_alone() {
    let mut test = Test::with(&[("a.yaml", namespace("a", "1")), ("b.yaml", namespace("b", "1"))]);
    let before = test.load();
    test.dir.put("a.yaml", &namespace("a", "2"));
    let after = test.at(1);
    assert_eq!(label(&after, "a").as_deref(), Some("2"));
    assert_eq!(after.changed, [ObjectKey::new(Kind::Namespace, "", "a")]);
    assert_eq!(label(&before, "a").as_deref(), Some("1"), "a store handed out does not change");
    let same = |loaded: &Loaded| loaded.store.namespaces().get("", "b").unwrap().object.clone();
    assert!(std::sync::Arc::ptr_eq(&same(&before), &same(&after)));
}

#[test]
fn an_object_that_only_moved_is_no_change() {
    let mut test = Test::with(&[("a.yaml", namespace("a", "1"))]);
    let before = test.load().store.revision(Kind::Namespace);
    test.dir.put("a.yaml", &format!("# a comment\n{}", namespace("a", "1")));
    let after = test.at(1);
    assert_eq!(after.changed, []);
    assert_eq!(after.store.revision(Kind::Namespace), before);
    assert_eq!(after.store.namespaces().get("", "a").unwrap().source.as_ref().unwrap().line, 2);
}

#[test]
fn one_change_among_many_files_parses_one() {
    let files: Vec<(String, String)> =
        (0..2000).map(|n| (format!("n{n}.yaml"), namespace(&format!("n{n}"), "1"))).collect();
    let files: Vec<(&str, String)> = files.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
    let mut test = Test::with(&files);
    let changes = test.files.watch();
    test.load();
    let before = test.files.stats();
    assert_eq!((before.parsed, before.listed), (2000, 1));

    test.dir.put("n1234.yaml", &namespace("n1234", "2"));
    assert!(changes.wait(Duration::from_secs(60)), "the change was not reported");
    let loaded = test.at(1);
    let after = test.files.stats();
    assert_eq!(label(&loaded, "n1234").as_deref(), Some("2"));
    assert_eq!(after.parsed - before.parsed, 1);
    assert_eq!(after.read - before.read, 1, "no other file is even read");
    assert_eq!(after.listed, before.listed, "the folder is not listed");
}

#[test]
fn without_a_watch_only_what_changed_is_parsed() {
    let mut test = Test::with(&[("a.yaml", namespace("a", "1")), ("b.yaml", namespace("b", "1"))]);
    test.load();
    test.at(1000);
    let settled = test.files.stats();
    test.at(2000);
    assert_eq!(
        test.files.stats().read,
        settled.read,
        "a file that was read twice and did not change is known"
    );
    test.dir.put("a.yaml", &namespace("a", "2"));
    test.at(3000);
    assert_eq!(test.files.stats().parsed, settled.parsed + 1);
}

#[test]
fn a_reload_reads_what_looks_unchanged_too() {
    let mut test = Test::with(&[("a.yaml", namespace("a", "1")), ("b.yaml", namespace("b", "1"))]);
    test.load();
    test.at(1000);
    let settled = test.files.stats();
    let loaded = test.files.reload(test.start + Duration::from_millis(2000));
    let after = test.files.stats();
    assert_eq!((after.read, after.parsed), (settled.read + 2, settled.parsed), "all read, none changed");
    assert_eq!(loaded.changed, []);
    assert!(loaded.problems.is_empty());
    test.dir.put("a.yaml", &namespace("a", "2"));
    let loaded = test.files.reload(test.start + Duration::from_millis(3000));
    assert_eq!(label(&loaded, "a").as_deref(), Some("2"));
}

/// What a full check finds of many files waits for no other change, and none for it.
#[test]
fn a_full_check_lets_reported_changes_in() {
    let names: Vec<String> = (0..3 * CHECKED_AT_ONCE).map(|number| format!("n{number:04}")).collect();
    let mut test = Test::with(&[]);
    for name in &names {
        test.dir.put(&format!("{name}.yaml"), &namespace(name, "1"));
    }
    let changes = test.files.watch();
    test.load();
    let (first, last) = (&names[0], names.last().unwrap());
    // This one is lost: somebody takes the report away.
    test.dir.put(&format!("{last}.yaml"), &namespace(last, "2"));
    assert!(changes.wait(Duration::from_secs(20)));
    test.files.watch.as_ref().unwrap().take();
    assert_eq!(test.at(100).changed, []);
    let due = u64::try_from(FULL_CHECK.as_millis()).unwrap();
    for step in 1..3 {
        let loaded = test.at(due);
        assert_eq!(label(&loaded, last).as_deref(), Some("1"), "step {step}");
        assert_eq!(loaded.next, test.start + FULL_CHECK, "step {step}: at once again");
    }
    test.dir.put(&format!("{first}.yaml"), &namespace(first, "2"));
    assert!(changes.wait(Duration::from_secs(20)));
    let loaded = test.at(due);
    assert_eq!([first, last].map(|name| label(&loaded, name)), [Some("2".into()), Some("2".into())]);
    assert_eq!(loaded.next, test.start + 2 * FULL_CHECK);
}

#[test]
fn a_vanished_file_counts_as_deleted_after_a_second() {
    let mut test = Test::with(&[("a.yaml", namespace("a", "1"))]);
    test.load();
    test.dir.delete("a.yaml");
    let gone = test.at(100);
    assert_eq!(label(&gone, "a").as_deref(), Some("1"));
    assert_eq!(gone.next, test.start + Duration::from_millis(100) + VANISH_AFTER);
    assert_eq!(label(&test.at(1099), "a").as_deref(), Some("1"));
    let deleted = test.at(1100);
    assert_eq!(label(&deleted, "a"), None);
    assert_eq!(deleted.changed, [ObjectKey::new(Kind::Namespace, "", "a")]);
    assert_eq!(deleted.next, test.start + FULL_CHECK + Duration::from_millis(1100));
}

#[test]
fn a_file_that_comes_back_in_time_never_went() {
    let mut test = Test::with(&[("a.yaml", namespace("a", "1"))]);
    let first = test.load();
    test.dir.delete("a.yaml");
    test.at(100);
    test.dir.put("a.yaml", &namespace("a", "1"));
    assert_eq!(test.at(900).changed, []);
    let later = test.at(5000);
    assert_eq!(label(&later, "a").as_deref(), Some("1"));
    assert_eq!(later.store.revision(Kind::Namespace), first.store.revision(Kind::Namespace));
}

#[test]
fn an_object_that_moves_to_another_file_never_goes() {
    let mut test = Test::with(&[("a.yaml", namespace("a", "1"))]);
    test.load();
    test.dir.delete("a.yaml");
    test.dir.put("b.yaml", &namespace("a", "2"));
    let moved = test.at(100);
    assert_eq!(label(&moved, "a").as_deref(), Some("1"));
    assert_eq!(lines(&test.dir, &moved), [""; 0]);
    assert_eq!(label(&test.at(1100), "a").as_deref(), Some("2"));
}

#[test]
fn a_half_written_file_changes_nothing() {
    let mut test = Test::with(&[("a.yaml", namespace("a", "1") + "---\n" + &namespace("b", "1"))]);
    test.load();
    test.dir.put(
        "a.yaml",
        &(namespace("a", "2") + "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: b,\n"),
    );
    let half = test.at(1);
    assert_eq!(label(&half, "a").as_deref(), Some("1"));
    assert_eq!(half.changed, []);
    let line = &lines(&test.dir, &half)[0];
    assert!(line.starts_with("a.yaml:8: is not YAML: "), "{line}");
    assert!(!half.problems[0].fatal);
    assert_eq!(label(&test.at(5000), "b").as_deref(), Some("1"));
    test.dir.put("a.yaml", &namespace("a", "3"));
    let whole = test.at(5001);
    assert_eq!(label(&whole, "a").as_deref(), Some("3"));
    assert_eq!(lines(&test.dir, &whole), [""; 0]);
}

#[test]
fn the_last_good_version_stays_in_force() {
    let mut test = Test::with(&[("a.yaml", namespace("a", "1") + "---\n" + &namespace("b", "1"))]);
    test.load();
    test.dir.put("a.yaml", &(namespace("a", "1").replace("'1'", "[]") + "---\n" + &namespace("b", "2")));
    let loaded = test.at(5000);
    assert_eq!(label(&loaded, "a").as_deref(), Some("1"));
    assert_eq!(label(&loaded, "b").as_deref(), Some("2"));
    assert_eq!(
        lines(&test.dir, &loaded),
        ["a.yaml:3: Namespace a: metadata.labels.v: invalid type: sequence, expected a string"]
    );
}

#[test]
fn a_document_without_a_name_keeps_what_the_file_held() {
    let mut test = Test::with(&[("a.yaml", policy("p", "{}", "  ingress: [{}]\n"))]);
    test.load();
    test.dir.put("a.yaml", &policy("p", "{}", "  ingress: [{}]\n").replace("name: p, ", ""));
    let loaded = test.at(5000);
    assert!(loaded.store.network_policies().get("shop", "p").is_some());
    assert_eq!(
        lines(&test.dir, &loaded),
        ["a.yaml:3: metadata.name: is missing; nobody can tell which CiliumNetworkPolicy this is"]
    );
    assert!(loaded.problems[0].fatal);
}

#[test]
fn a_refused_policy_without_a_good_version_is_told_of() {
    let bad = policy("p", "{matchLabels: {app: api}}", "  ingress: [{fromEntity: [all]}]\n");
    let mut test = Test::with(&[("a.yaml", bad.clone())]);
    let loaded = test.load();
    let key = ObjectKey::new(Kind::CiliumNetworkPolicy, "shop", "p");
    let refused = &loaded.store.refused()[&key];
    assert!((refused.rules[0].ingress, refused.rules[0].egress) == (true, false), "{refused:?}");
    let labels = refused.rules[0].selector.as_ref().unwrap().match_labels.as_ref().unwrap();
    assert_eq!(labels.get("app").map(String::as_str), Some("api"));
    assert_eq!(loaded.changed, std::slice::from_ref(&key));
    assert!(loaded.problems.iter().all(|problem| !problem.fatal));

    test.dir.put("a.yaml", &policy("p", "{}", "  ingress: [{}]\n"));
    let good = test.at(1);
    assert!(good.store.refused().is_empty());
    assert!(good.store.network_policies().get("shop", "p").is_some());

    test.dir.put("a.yaml", &bad);
    let again = test.at(2);
    assert!(again.store.refused().is_empty(), "there is a last good version");
    assert_eq!(again.changed, []);

    test.dir.delete("a.yaml");
    test.at(3);
    assert!(!test.at(1003).store.contains(&key));
}

#[test]
fn of_two_objects_of_one_name_the_one_in_force_stays() {
    let mut test = Test::with(&[("b.yaml", namespace("a", "b"))]);
    test.load();
    test.dir.put("a.yaml", &namespace("a", "a"));
    let both = test.at(1);
    assert_eq!(label(&both, "a").as_deref(), Some("b"));
    let folder = test.dir.path().display();
    assert_eq!(
        lines(&test.dir, &both),
        ["a.yaml:1: Namespace a: a second object of this name, refused; the first is at b.yaml:1"],
        "{folder}"
    );
    test.dir.delete("b.yaml");
    assert_eq!(label(&test.at(100), "a").as_deref(), Some("b"));
    let one = test.at(1100);
    assert_eq!(label(&one, "a").as_deref(), Some("a"));
    assert_eq!(lines(&test.dir, &one), [""; 0]);
}

#[test]
fn two_writes_that_look_alike_are_told_apart() {
    let mut test = Test::with(&[("a.yaml", namespace("a", "1"))]);
    test.load();
    test.at(10);
    // Neither the time of modification nor the size nor the inode tells.
    let file = test.dir.file("a.yaml");
    let modified = fs::metadata(&file).unwrap().modified().unwrap();
    fs::write(&file, namespace("a", "2")).unwrap();
    fs::File::options().append(true).open(&file).unwrap().set_modified(modified).unwrap();
    assert_eq!(label(&test.at(20), "a").as_deref(), Some("2"));
}

#[test]
fn at_the_start_the_first_file_has_the_name() {
    let mut test = Test::with(&[("b.yaml", namespace("a", "b")), ("a.yaml", namespace("a", "a"))]);
    assert_eq!(label(&test.load(), "a").as_deref(), Some("a"));
}

#[test]
fn a_folder_that_is_gone_changes_nothing() {
    let mut test = Test::with(&[("a.yaml", namespace("a", "1"))]);
    test.load();
    let aside = test.dir.path().with_extension("aside");
    fs::rename(test.dir.path(), &aside).unwrap();
    test.at(1);
    let gone = test.at(5000);
    assert_eq!(label(&gone, "a").as_deref(), Some("1"));
    let problem = gone.problems[0].to_string();
    assert!(problem.ends_with("cannot be read: it is gone; what it held stays in force"), "{problem}");
    fs::rename(&aside, test.dir.path()).unwrap();
    assert_eq!(test.at(5001).problems, []);
}

#[test]
fn a_file_that_cannot_be_read_changes_nothing() {
    let mut test = Test::with(&[("a.yaml", namespace("a", "1"))]);
    test.load();
    // Root reads every file: a loop of symlinks is what nobody can read.
    test.dir.delete("a.yaml");
    symlink("a.yaml", test.dir.file("a.yaml")).unwrap();
    let loaded = test.at(5000);
    assert_eq!(label(&loaded, "a").as_deref(), Some("1"));
    let line = &lines(&test.dir, &loaded)[0];
    assert!(line.starts_with("a.yaml: cannot be read: "), "{line}");
    assert!(!loaded.problems[0].fatal);
    test.dir.put("a.yaml", &namespace("a", "2"));
    let back = test.at(5001);
    assert_eq!((label(&back, "a").as_deref(), back.problems.len()), (Some("2"), 0));
}

#[test]
fn what_hides_policies_at_the_start_is_fatal() {
    let mut test = Test::with(&[("a.yaml", "a: [\n".into()), ("b.yaml", namespace("b", "1"))]);
    symlink("nothing", test.dir.file("c.yaml")).unwrap();
    test.dir.put("d.yaml", &policy("p", "{matchLabel: {}}", "  ingress: [{}]\n"));
    let loaded = test.load();
    assert_eq!(label(&loaded, "b").as_deref(), Some("1"));
    let fatal: Vec<bool> = loaded.problems.iter().map(|problem| problem.fatal).collect();
    assert_eq!(fatal, [true, true, true, false], "{:?}", lines(&test.dir, &loaded));
}

#[test]
fn a_file_too_large_or_not_text_is_refused() {
    let mut test = Test::with(&[("a.yaml", "x".repeat((16 << 20) + 1))]);
    fs::write(test.dir.file("b.yaml"), b"a: 1\nb: \xff\n").unwrap();
    assert_eq!(
        lines(&test.dir, &test.files.load(test.start)),
        ["a.yaml: cannot be read: it is larger than 16 MiB", "b.yaml:2: is not UTF-8"]
    );
}

/// As the kubelet mounts a ConfigMap: `a.yaml → ..data/a.yaml`, `..data → ..1`.
fn swap(dir: &TestDir, version: &str) {
    let folder = format!("..{version}");
    fs::create_dir(dir.file(&folder)).unwrap();
    fs::write(dir.file(&folder).join("a.yaml"), namespace("a", version)).unwrap();
    symlink(&folder, dir.file("..data_tmp")).unwrap();
    fs::rename(dir.file("..data_tmp"), dir.file("..data")).unwrap();
    if !dir.file("a.yaml").exists() {
        symlink("..data/a.yaml", dir.file("a.yaml")).unwrap();
    }
}

#[test]
fn a_config_map_is_swapped_under_its_links() {
    let mut test = Test::with(&[]);
    swap(&test.dir, "1");
    let changes = test.files.watch();
    assert_eq!(label(&test.load(), "a").as_deref(), Some("1"));
    swap(&test.dir, "2");
    fs::remove_dir_all(test.dir.file("..1")).unwrap();
    let mut now = label(&test.at(1), "a");
    while now.as_deref() != Some("2") {
        assert!(changes.wait(Duration::from_secs(60)), "the swap was not reported; {now:?} is in force");
        now = label(&test.at(2), "a");
    }
}

#[test]
fn an_error_that_passes_is_tried_again_within_a_second() {
    let mut test = Test::with(&[]);
    // A file whose first byte can never be read (EIO).
    symlink("/proc/self/mem", test.dir.file("a.yaml")).unwrap();
    let _changes = test.files.watch();
    let loaded = test.load();
    assert!(lines(&test.dir, &loaded)[0].starts_with("a.yaml: cannot be read"), "{:?}", loaded.problems);
    let soon = loaded.next - test.start;
    assert!(soon <= Duration::from_secs(1), "{soon:?}");
    let before = test.files.stats();
    test.files.rescan(test.start + soon / 2);
    assert_eq!(test.files.stats(), before, "too early");
    let next = test.files.rescan(test.start + soon).next;
    assert_eq!(test.files.stats().read, before.read + 1);
    assert_eq!(test.files.stats().listed, before.listed, "only what failed is looked at");
    assert_eq!(next, test.start + soon * 2);
}
