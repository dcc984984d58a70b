//! A new proxy process where the files are bad by then: what was in force stays, as it would have in
//! the old one.

use std::fs;

use tests::client::{Client, curl};
use tests::lab::NODE_V4;
use tests::{Weir, until};

use super::is_gone;
use crate::world::{GET_PUBLIC, World};

/// What is done to the text of a file.
type Spoil = fn(&str) -> String;

/// Ways to make a file bad: what it is, the file, the way, and what is said of it.
const CASES: [(&str, &str, Spoil, &str); 9] = [
    ("a typo in a route", "web.yaml", |text| text.replace("backendRefs", "backendRef"), "backendRef"),
    ("a typo in a Gateway", "web.yaml", |text| text.replace("protocol: HTTP", "protocl: HTTP"), "protoc"),
    ("a filter that Weir has not", "web.yaml", with_filter, "ExtensionRef"),
    ("a typo in a policy", "policy.yaml", |text| text.replace("method:", "methud:"), "methud"),
    ("a policy that cannot be compiled", "policy.yaml", |text| text.replace("/public", "'['"), "path"),
    ("a policy without a name", "policy.yaml", |text| text.replace("name: api, ", ""), "metadata.name"),
    ("a policy that is no YAML", "policy.yaml", |text| format!("{text}\n  ["), "not YAML"),
    ("objects that are no YAML", "web.yaml", |_| "a: [b".into(), "not YAML"),
    ("a new file that is no YAML", "zz.yaml", |_| "a: [b".into(), "not YAML"),
];

fn with_filter(text: &str) -> String {
    let filter = "filters: [{type: ExtensionRef, extensionRef: {group: a.test, kind: A, name: a}}]";
    text.replace("    backendRefs", &format!("    {filter}\n    backendRefs"))
}

/// The Gateway leads to the api, and its policy is judged by.
fn is_in_force(world: &World, what: &str) {
    let mut client = Client::connect(&world.frontend, (NODE_V4, 8080).into()).unwrap();
    assert_eq!(client.get("/public").unwrap().status, 200, "{what}");
    assert_eq!(client.get("/private").unwrap().status, 403, "{what}");
    let url = format!("http://{}/public", world.api.at(80));
    assert_eq!(curl(&world.frontend, &[&url, "-X", "POST"]).0, 403, "{what}");
}

/// Waits until a problem says this of the file.
fn wait_problem(weir: &Weir, file: &str, said: &str) {
    until(&format!("{said:?} of {file}"), || {
        let problems = weir.ask("problems")?;
        problems.lines().any(|line| line.contains(file) && line.contains(said)).then_some(())
    });
}

#[test]
fn the_last_good_version_survives_a_restart_and_a_crash() {
    needs_lab!();
    let world = World::policed();
    world.write_gateway("/", 80);
    let weir = Weir::start(&world.lab);
    for (what, file, spoil, said) in CASES {
        let path = world.lab.config().join(file);
        let good = fs::read_to_string(&path).ok();
        let bad = spoil(good.as_deref().unwrap_or_default());
        assert_ne!(good.as_ref(), Some(&bad), "{what}");
        world.lab.write(file, &bad);
        wait_problem(&weir, file, said);
        is_in_force(&world, what);
        weir.restart();
        wait_problem(&weir, file, said);
        is_in_force(&world, &format!("{what}, after a restart"));
        weir.crash_proxy();
        wait_problem(&weir, file, said);
        is_in_force(&world, &format!("{what}, after a crash"));
        match good {
            Some(good) => world.lab.write(file, &good),
            None => fs::remove_file(path).unwrap(),
        }
        until("no problem", || weir.ask("problems").filter(String::is_empty));
    }
}

/// A supervisor that was killed leaves it with the proxy, for the supervisor after it.
#[test]
fn the_last_good_version_is_taken_over_from_an_orphan() {
    needs_lab!();
    let world = World::policed();
    world.write_gateway("/", 80);
    let mut weir = Weir::start(&world.lab);
    world.lab.write("policy.yaml", "a: [b");
    wait_problem(&weir, "policy.yaml", "not YAML");
    weir.stop(rustix::process::Signal::KILL);
    let weir = Weir::start(&world.lab);
    weir.wait_log("INFO ready");
    wait_problem(&weir, "policy.yaml", "not YAML");
    is_in_force(&world, "taken over");
}

#[test]
fn a_change_beside_what_is_bad_counts_after_a_restart() {
    needs_lab!();
    let world = World::policed();
    world.write_gateway("/", 80);
    let weir = Weir::start(&world.lab);
    // A second good version, then a bad one: the second comes back and not the first.
    let before = weir.revision();
    world.lab.write("policy.yaml", &GET_PUBLIC.replace("/public", "/second"));
    weir.wait_revision(before);
    world.lab.write("policy.yaml", "a: [b");
    wait_problem(&weir, "policy.yaml", "not YAML");
    let check = |when: &str| {
        let mut client = Client::connect(&world.frontend, world.api.at(80)).unwrap();
        for (path, status) in [("/second", 200), ("/public", 403)] {
            assert_eq!(client.get(path).unwrap().status, status, "{path} {when}");
        }
    };
    check("at first");
    let old = weir.proxy().unwrap();
    weir.restart();
    until("the old proxy to be gone", || is_gone(old));
    check("after a restart");
    weir.crash_proxy();
    check("after a crash");
}

#[test]
fn a_policy_that_is_removed_does_not_come_back() {
    needs_lab!();
    let world = World::policed();
    world.write_gateway("/", 80);
    let weir = Weir::start(&world.lab);
    world.lab.write("policy.yaml", "a: [b");
    wait_problem(&weir, "policy.yaml", "not YAML");
    weir.restart();
    assert!(world.stranger.connect(world.api.at(80)).is_err(), "closed while nobody removed it");
    let before = weir.revision();
    fs::remove_file(world.lab.config().join("policy.yaml")).unwrap();
    weir.wait_revision(before);
    // Something bad, so that what was in force is asked for.
    world.lab.write("zz.yaml", "a: [b");
    wait_problem(&weir, "zz.yaml", "not YAML");
    for round in ["after a restart", "after a crash"] {
        match round {
            "after a restart" => drop(weir.restart()),
            _ => weir.crash_proxy(),
        }
        let mut client = Client::connect(&world.stranger, world.api.at(80)).unwrap();
        assert_eq!(client.get("/private").unwrap().status, 200, "{round}");
    }
}

/// A policy that was never good closes what it selects, also in a process that cannot read it.
#[test]
fn a_policy_that_was_never_good_stays_closed() {
    needs_lab!();
    let world = World::new();
    world.write_gateway("/", 80);
    let weir = Weir::start(&world.lab);
    world.lab.write("policy.yaml", &GET_PUBLIC.replace("method:", "methud:"));
    wait_problem(&weir, "policy.yaml", "methud");
    assert!(world.stranger.connect(world.api.at(80)).is_err());
    world.lab.write("policy.yaml", "a: [b");
    wait_problem(&weir, "policy.yaml", "not YAML");
    for round in ["after a restart", "after a crash"] {
        match round {
            "after a restart" => drop(weir.restart()),
            _ => weir.crash_proxy(),
        }
        assert!(world.stranger.connect(world.api.at(80)).is_err(), "{round}");
    }
}

/// Without a process before it there is nothing to go on with: it does not start, and says why.
#[test]
fn a_cold_start_on_a_file_that_is_no_yaml_is_refused() {
    needs_lab!();
    let world = World::policed();
    world.lab.write("zz.yaml", "a: [b");
    let mut weir = Weir::spawn(&world.lab, &["--node", tests::lab::NODE]);
    assert_eq!(weir.wait().code(), Some(78));
    weir.wait_log("zz.yaml:2: is not YAML");
}
