//! What an operator who errs or asks is told: names, addresses, signals and the list of problems.

use rustix::process::Signal;
use tests::Weir;
use tests::client::Client;
use tests::lab::NODE;
use tests::objects::gateway;
use tests::until;

use crate::world::{GET_PUBLIC, World};

/// Waits until the list of problems does or does not name something.
fn wait_problem(weir: &Weir, text: &str, is_there: bool) {
    until(&format!("problems that name {text:?}: {is_there}"), || {
        (weir.ask("problems")?.contains(text) == is_there).then_some(())
    });
}

fn get(world: &World) -> std::io::Result<u16> {
    Ok(Client::connect(&world.frontend, world.api.at(80))?.get("/public")?.status)
}

#[test]
fn a_node_name_that_nothing_has_is_a_problem_until_something_has_it() {
    needs_lab!();
    let world = World::policed();
    let weir = Weir::start_with(&world.lab, &["--node", "node-x"]);
    let said = format!(
        "--node node-x: there is no Node of this name and no Pod on it, so that no pod is \
                        policed; did you mean {NODE}?"
    );
    wait_problem(&weir, &said, true);
    weir.wait_log(&said);
    let (status, page) = crate::metrics::get(&world, "/problems");
    assert_eq!(status, 200);
    assert!(page.contains(&format!("error: {said}")) && page.contains("\n1 error, 0 warnings"), "{page}");
    world.lab.write("node.yaml", "{apiVersion: v1, kind: Node, metadata: {name: node-x}}\n");
    wait_problem(&weir, "--node", false);
    assert_eq!(crate::metrics::get(&world, "/problems").1, "0 errors, 0 warnings");
}

#[test]
fn a_gateway_on_an_address_of_somebody_else_is_told_while_it_is() {
    needs_lab!();
    let world = World::new();
    world.write_gateway("/", 80);
    let weir = Weir::start(&world.lab);
    wait_problem(&weir, "no address of this node", false);
    let before = weir.revision();
    world.lab.write("web.yaml", &gateway("web", 8080, &["10.77.250.1", "10.77.250.9"]));
    weir.wait_revision(before);
    let said = "Gateway default/web: spec.addresses: 10.77.250.9 is no address of this node";
    wait_problem(&weir, said, true);
    world.lab.node.ip("addr add 10.77.250.9/24 dev uplink").unwrap();
    wait_problem(&weir, said, false);
}

#[test]
fn sighup_reads_the_configuration_again_and_stops_nothing() {
    needs_lab!();
    let world = World::policed();
    let weir = Weir::start(&world.lab);
    let proxy = weir.proxy().unwrap();
    let told =
        || weir.log().lines().filter(|line| line.contains("read all of the configuration again")).count();
    for (at, pid) in [(1, weir.supervisor()), (2, proxy)] {
        Weir::signal(pid, Signal::HUP);
        until("all to be read again", || (told() == at).then_some(()));
        assert_eq!(get(&world).unwrap(), 200);
    }
    assert!(weir.log().contains("read=2 changed=0"), "both files, and none of them had changed");
    assert_eq!(weir.proxies(), [proxy]);
}

#[test]
fn signals_while_stopping_say_what_they_do() {
    needs_lab!();
    let (_world, mut weir, mut client) = World::with_a_request_held();
    Weir::signal(weir.supervisor(), Signal::TERM);
    weir.wait_log("stopping; connections may end within");
    Weir::signal(weir.supervisor(), Signal::USR2);
    weir.wait_log("no restart: Weir is stopping");
    Weir::signal(weir.supervisor(), Signal::HUP);
    weir.wait_log("nothing is read again: Weir is stopping");
    Weir::signal(weir.supervisor(), Signal::TERM);
    weir.wait_log("told to stop again: connections get no more time");
    assert!(client.response().is_err(), "cut, as it says");
    assert!(weir.wait().success());
    weir.wait_log("is killed: its connections are cut");
}

#[test]
fn pins_that_end_with_the_processes_are_warned_of() {
    needs_lab!();
    let world = World::new();
    // A lab's bpffs is mounted in a mount namespace of the lab's own.
    let weir = Weir::start(&world.lab);
    weir.wait_log("is mounted in a mount namespace of its own");
}

#[test]
fn a_change_that_goes_live_is_logged() {
    needs_lab!();
    let world = World::new();
    let weir = Weir::start(&world.lab);
    let before = weir.revision();
    world.lab.write("policy.yaml", GET_PUBLIC);
    weir.wait_revision(before);
    weir.wait_log("a change is in force");
    let log = weir.log();
    let line = log.lines().find(|line| line.contains("a change is in force")).unwrap();
    let revision = format!("revision={}", weir.revision());
    for part in [&revision, "objects=1", "files=1", "ms="] {
        assert!(line.contains(part), "no {part} in {line}");
    }
}
