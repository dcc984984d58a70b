use std::fs::File;

use config::{Note, Said, ServedRoot, Text};
use objects::{Kind, ObjectKey, Problem};

use super::{Known, Log, VERSION, read};

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(Kind::HttpRoute, "shop", name)
}

fn note(name: &str, text: &str, good: bool) -> Note {
    let said = Some(Said { line: 3, good, text: Text(text.into()) });
    Note { file: std::path::Path::new("/c/a.yaml").into(), key: key(name), said }
}

fn gone(name: &str) -> Note {
    Note { said: None, ..note(name, "", true) }
}

fn roots() -> Vec<ServedRoot> {
    vec![ServedRoot { path: "/c".into(), folder: true }]
}

fn log() -> Log {
    Log::of(&roots(), Known::default()).unwrap()
}

/// What the next process begins with: the good ones, then the later ones.
fn texts(file: &File) -> [Vec<String>; 2] {
    let known = Known::parse(&read(file).unwrap());
    assert_eq!(known.roots, roots());
    known.objects().map(|objects| objects.into_iter().map(|one| one.said.text.0).collect())
}

/// A change: what is read of the object `a`, and whether translation finds an error in it.
type Step = (Note, bool);

/// What it is, the steps, and what the next process begins with.
type Case = (&'static str, Vec<Step>, &'static [&'static str], &'static [&'static str]);

#[test]
fn the_next_process_begins_with_what_was_good_last() {
    let good = |text| (note("a", text, true), false);
    let wrong = |text| (note("a", text, true), true);
    let bad = |text| (note("a", text, false), false);
    let table: [Case; 9] = [
        ("good", vec![good("1")], &["1"], &[]),
        ("good again", vec![good("1"), good("2")], &["2"], &[]),
        ("refused", vec![good("1"), bad("2")], &["1"], &[]),
        ("an error", vec![good("1"), wrong("2")], &["1"], &["2"]),
        (
            "an error, then refused",
            vec![good("1"), wrong("2"), (note("a", "3", false), true)],
            &["1"],
            &["2"],
        ),
        ("never good", vec![bad("1"), bad("2")], &[], &["2"]),
        ("never without an error", vec![wrong("1")], &[], &["1"]),
        ("put right", vec![bad("1"), wrong("2"), good("3")], &["3"], &[]),
        ("removed", vec![good("1"), wrong("2"), (gone("a"), false)], &[], &[]),
    ];
    for (what, steps, good, later) in table {
        let mut log = log();
        for (note, is_wrong) in steps {
            let problems = [Problem::error("wrong").of(key("a"))];
            log.update(vec![note], if is_wrong { &problems } else { &[] }).unwrap();
        }
        assert_eq!(texts(&log.file), [good, later], "{what}");
    }
}

#[test]
fn an_error_that_passes_leaves_a_good_object() {
    let mut log = log();
    log.update(vec![note("a", "1", true)], &[Problem::error("no backend").of(key("a"))]).unwrap();
    assert_eq!(texts(&log.file), [&[][..], &["1"]]);
    log.update(Vec::new(), &[Problem::warning("only said").of(key("a"))]).unwrap();
    assert_eq!(texts(&log.file), [&["1"][..], &[]]);
}

#[test]
fn what_counts_no_more_is_left_out_when_it_is_written_anew() {
    let mut log = log();
    let long = "x".repeat(1 << 20);
    log.update(vec![note("b", "kept", true)], &[]).unwrap();
    for text in [&*long, "y", &*long, "z"] {
        log.update(vec![note("a", text, true)], &[]).unwrap();
    }
    assert!(log.is_slack());
    let log = log.rewritten(&roots()).unwrap();
    assert!(!log.is_slack() && log.size == log.live, "{} of {}", log.live, log.size);
    assert_eq!(texts(&log.file), [&["z", "kept"][..], &[]]);
}

#[test]
fn what_is_half_written_or_of_another_version_counts_for_nothing() {
    let mut log = log();
    log.update(vec![note("a", "1", true), note("b", "2", true)], &[]).unwrap();
    let text = read(&log.file).unwrap();
    let half = Known::parse(&text[..text.len() - 2]);
    assert_eq!(half.objects()[0].len(), 1);
    for text in ["", "\n", &text.replace(VERSION, "weir last good 2 "), &text[5..]] {
        assert_eq!(Known::parse(text), Known::default());
    }
}
