//! House rules that a program can check: the arrows between crates, the size of files and
//! functions, what product code must not contain. Exceptions stand in the lists below, which may
//! only shrink: an entry that no longer applies fails the test too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Lines a product file may have.
const FILE_LINES_MAX: usize = 500;

/// Files over [`FILE_LINES_MAX`], each with the reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// Crates of ours and the crates of ours each may use (DESIGN §4, ARCHITECTURE.md).
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("objects", &[]),
    ("codec", &[]),
    ("redirect", &[]),
    ("policy", &["model"]),
    ("route", &["model"]),
    ("balance", &["model"]),
    ("telemetry", &["model"]),
    ("tls", &["model"]),
    ("config", &["model", "objects"]),
    ("translate", &["model", "objects", "policy", "route"]),
    ("proxy", &["model", "codec", "policy", "route", "balance", "telemetry", "tls"]),
    (
        "weir",
        &[
            "codec",
            "config",
            "model",
            "objects",
            "policy",
            "proxy",
            "redirect",
            "route",
            "telemetry",
            "tls",
            "translate",
        ],
    ),
];

/// Crates that must stay pure, and what would make them impure.
const NEVER: &[(&str, &[&str])] = &[
    ("model", &["tokio", "serde", "kube", "socket2", "libc"]),
    ("codec", &["tokio", "bytes", "serde", "socket2", "libc"]),
    ("policy", &["tokio", "serde", "httparse", "socket2", "libc"]),
    ("route", &["tokio", "serde", "httparse", "socket2", "libc"]),
    ("balance", &["tokio", "serde", "httparse", "socket2", "libc", "rand"]),
    ("tls", &["tokio", "serde", "socket2", "libc"]),
    ("translate", &["tokio", "kube", "socket2", "libc"]),
    ("proxy", &["kube", "k8s-openapi", "gateway-api", "aya", "serde"]),
    ("redirect", &["kube", "k8s-openapi", "httparse"]),
];

/// Files that only tests compile (`#[cfg(test)] mod`), beside `tests.rs`.
const TEST_SUPPORT: &[&str] = &["fixture.rs", "fixtures.rs", "testdir.rs"];

/// The only places where unsafe code may stand.
const UNSAFE: &[&str] = &["redirect-ebpf/", "proxy/src/sys.rs", "tests/", "benches/", "proxy/bin/src/sys.rs"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ stands in the workspace").to_owned()
}

/// Every Rust file of product code, with its path from the root.
fn product_files() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for top in ["config", "gateway-api", "proxy", "redirect-ebpf"] {
        collect(&root().join(top), &mut files);
    }
    files
}

fn collect(dir: &Path, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(dir).expect("a folder of the repository").flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["target", "tests", "fuzz", "examples", "corpus"].contains(&name.as_str()) {
                collect(&path, files);
            }
        } else if name.ends_with(".rs") && name != "tests.rs" && !TEST_SUPPORT.contains(&name.as_str()) {
            let short = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
            files.insert(short, fs::read_to_string(&path).expect("a readable source file"));
        }
    }
}

#[test]
fn files_are_short_and_introduce_themselves() {
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for (name, text) in product_files() {
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            if LONG_FILES.iter().any(|(file, _)| *file == name) {
                used.insert(name.clone());
            } else {
                wrong.push(format!("{name}: {lines} lines, at most {FILE_LINES_MAX}"));
            }
        }
        if !text.starts_with("//!") {
            wrong.push(format!("{name}: does not begin with a //! line saying what it is for"));
        }
    }
    for (file, _) in LONG_FILES {
        if !used.contains(*file) {
            wrong.push(format!("{file}: on the list of long files, but no longer long: take it off"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn product_code_has_no_loose_ends() {
    let mut wrong = Vec::new();
    for (name, text) in product_files() {
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for word in [".unwrap()", "todo!(", "unimplemented!(", "dbg!("] {
                if code.contains(word) {
                    wrong.push(format!("{name}:{}: {word}", number + 1));
                }
            }
            let is_unsafe =
                code.contains("unsafe {") || code.contains("unsafe fn") || code.contains("unsafe impl");
            if is_unsafe && !UNSAFE.iter().any(|place| name.starts_with(place)) {
                wrong.push(format!("{name}:{}: unsafe code outside {UNSAFE:?}", number + 1));
            }
        }
        if name.ends_with("/mod.rs") {
            wrong.push(format!("{name}: modules are name.rs beside name/"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn crates_use_only_what_the_architecture_allows() {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo metadata runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let ours: BTreeSet<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    let mut wrong = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let uses: BTreeSet<&str> = package["dependencies"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|d| d["kind"].is_null() || d["kind"] == "build")
            .filter_map(|d| d["name"].as_str())
            .collect();
        if let Some((_, never)) = NEVER.iter().find(|(of, _)| *of == name) {
            wrong.extend(
                never.iter().filter(|n| uses.contains(*n)).map(|n| format!("{name} must never use {n}")),
            );
        }
        if ["tests", "benches"].contains(&name) {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(of, _)| *of == name) else {
            wrong.push(format!("{name}: a crate without a line in ARROWS"));
            continue;
        };
        for other in uses.intersection(&ours) {
            if !allowed.contains(other) {
                wrong.push(format!("{name} must not use {other}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_path_of_a_machine_is_committed() {
    let output = Command::new("git")
        .args(["grep", "-nIE", "/(home|work|root)/[a-z]", "--", ".", ":!Cargo.lock", ":!tests/tests/tidy.rs"])
        .current_dir(root())
        .output()
        .expect("git runs");
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
}
