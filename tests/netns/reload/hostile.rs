//! A file among 10,000 that cannot be read, in every way: it is named, what it held stays, and
//! nobody else waits for it.

use std::fs;
use std::path::Path;
use std::process::Command;

use tests::client::Client;
use tests::objects::{documents, gateway, service};
use tests::{Weir, until};

use crate::world::World;

/// How many files there are beside those in question.
const FILES: usize = 10_000;
/// The file that goes bad. Its Service leads to the api.
const BAD: &str = "victim.yaml";
/// The Service's address.
const VICTIM: &str = "10.96.0.1:80";

/// A way to go bad: what it is, how it is done to the file, and what the problem says behind the
/// file's name.
type Case = (&'static str, fn(&Path), &'static str);

const CASES: [Case; 10] = [
    ("half a line", |file| write(file, b"apiVersion: v1\nkind: Service\nmetadata: {name: victim\n"), ":"),
    (
        "a tab for spaces",
        |file| write(file, b"kind: Service\nmetadata:\n\tname: victim\n"),
        ":3: is not YAML",
    ),
    ("no UTF-8", |file| write(file, b"kind: Service\nmetadata: \xff\xfe\n"), ":2: is not UTF-8"),
    ("brackets without end", |file| write(file, &[b'['; 1 << 20]), ":1: "),
    ("a billion laughs", |file| write(file, laughs().as_bytes()), ":"),
    (
        "1 GiB of nothing",
        |file| replace(file, |part| fs::File::create(part)?.set_len(1 << 30)),
        "larger than 16 MiB",
    ),
    (
        "a pipe",
        |file| replace(file, |part| Command::new("mkfifo").arg(part).status().map(drop)),
        "neither a file",
    ),
    (
        "a link to itself",
        |file| replace(file, |part| std::os::unix::fs::symlink(BAD, part)),
        "cannot be read",
    ),
    (
        "a link to nothing",
        |file| replace(file, |part| std::os::unix::fs::symlink("/nonexistent", part)),
        "nothing",
    ),
    (
        "a folder",
        |file| {
            // In one step: a file that is gone for a moment has been removed, and a folder is new.
            let part = file.parent().unwrap().join(".part");
            fs::create_dir(&part).unwrap();
            let exchange = rustix::fs::RenameFlags::EXCHANGE;
            rustix::fs::renameat_with(rustix::fs::CWD, &part, rustix::fs::CWD, file, exchange).unwrap();
            fs::remove_file(part).unwrap();
        },
        "it is a folder now",
    ),
];

/// Puts what `make` makes in place of the file.
fn replace(file: &Path, make: impl FnOnce(&Path) -> std::io::Result<()>) {
    let part = file.parent().unwrap().join(".part");
    make(&part).unwrap();
    fs::rename(part, file).unwrap();
}

fn write(file: &Path, bytes: &[u8]) {
    replace(file, |part| fs::write(part, bytes));
}

/// Thirty lists, each of nine of the one before.
fn laughs() -> String {
    let mut text = "l0: &l0 [ha]\n".to_owned();
    for level in 1..30 {
        let nine = vec![format!("*l{}", level - 1); 9].join(", ");
        text.push_str(&format!("l{level}: &l{level} [{nine}]\n"));
    }
    text
}

/// A route that sends everybody to this host.
fn route(to: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: web, namespace: default}}\n\
         spec:\n  parentRefs: [{{name: web}}]\n  \
         rules: [{{filters: [{{type: RequestRedirect, requestRedirect: {{hostname: {to}}}}}]}}]\n"
    )
}

#[test]
fn a_bad_file_among_ten_thousand_is_named_and_holds_up_nobody() {
    needs_lab!();
    let world = World::new();
    let lab = &world.lab;
    for number in 0..FILES {
        let ip = format!("10.97.{}.{}", number >> 8, number & 255);
        let text = service(&format!("s{number}"), &[&ip], 80, &[]);
        fs::write(lab.config().join(format!("s{number}.yaml")), text).unwrap();
    }
    let good = service("victim", &["10.96.0.1"], 80, &[(world.api.v4.into(), 80)]);
    lab.write(BAD, &good);
    lab.write("gateway.yaml", &documents(&[gateway("web", 8080, &[]), route("first.test")]));
    let weir = Weir::start(lab);
    let bad = lab.config().join(BAD);
    let mut client = Client::connect(&world.frontend, (tests::lab::NODE_V4, 8080).into()).unwrap();
    let mut leads_to = |host: &str| {
        until(&format!("the route to {host}"), || {
            let answer = client.get("/").expect("no request fails");
            answer.header("location").filter(|location| location.contains(host)).map(drop)
        });
    };
    for (number, (what, spoil, said)) in CASES.into_iter().enumerate() {
        spoil(&bad);
        // Whatever it costs to find out that it is bad.
        let host = format!("edit{number}.test");
        lab.write("gateway.yaml", &documents(&[gateway("web", 8080, &[]), route(&host)]));
        leads_to(&host);
        let problems = until(&format!("the problem of {what}"), || {
            weir.ask("problems").filter(|problems| problems.contains(BAD))
        });
        let lines: Vec<&str> = problems.lines().collect();
        assert!(matches!(lines[..], [line] if line.contains(BAD)), "{what}: {problems}");
        let behind = lines[0].split_once(BAD).unwrap().1;
        assert!(behind.contains(said), "{what}: {said:?} is not said: {problems}");
        if said.starts_with(':') {
            let number = behind.trim_start_matches(':').split(':').next().unwrap();
            assert!(number.parse::<u32>().is_ok_and(|line| line > 0), "{what}: no line: {problems}");
        }
        let answer = Client::connect(&world.frontend, VICTIM.parse().unwrap()).unwrap().get("/").unwrap();
        assert_eq!(
            (answer.status, &*answer.text()),
            (200, "v1"),
            "{what}: its last good version is in force"
        );
        if bad.is_dir() {
            fs::remove_dir(&bad).unwrap();
        }
        lab.write(BAD, &good);
        until("no problem", || weir.ask("problems").filter(|problems| problems.is_empty()));
    }
}
