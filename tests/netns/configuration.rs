//! Bad input: what is refused, what stays, what closes.

use tests::client::{Client, curl};
use tests::{Weir, until};

use crate::world::{GET_PUBLIC, World};

fn get(world: &World, path: &str) -> u16 {
    curl(&world.frontend, &[&format!("http://{}{path}", world.api.at(80))]).0
}

#[test]
fn a_refused_change_leaves_the_last_good_version_in_force() {
    needs_lab!();
    let world = World::policed();
    let weir = Weir::start(&world.lab);
    let bad = [
        ("an unknown field", GET_PUBLIC.replace("ingress:", "ingres:"), "ingres"),
        ("a wrong type", GET_PUBLIC.replace("\"80\"", "[80]"), "port"),
        ("a bad regex", GET_PUBLIC.replace("/public", "'/public('"), "path"),
        ("half a file", GET_PUBLIC[..GET_PUBLIC.len() - 30].to_owned(), "policy.yaml"),
    ];
    for (what, text, named) in bad {
        world.lab.write("policy.yaml", &text);
        let problems = until(&format!("{what} to be reported"), || {
            weir.ask("problems").filter(|problems| problems.contains(named))
        });
        assert!(problems.contains("policy.yaml:"), "{what}: no file and line in {problems}");
        assert_eq!(get(&world, "/public"), 200, "{what}");
        assert_eq!(get(&world, "/private"), 403, "{what}");
        assert!(world.stranger.connect(world.api.at(80)).is_err(), "{what}");
        world.lab.write("policy.yaml", GET_PUBLIC);
        until("the problem to be gone", || weir.ask("problems").filter(|problems| problems.is_empty()));
    }
}

#[test]
fn a_policy_refused_from_the_start_closes_its_pods_in_its_directions() {
    needs_lab!();
    let world = World::new();
    world.lab.write("policy.yaml", &GET_PUBLIC.replace("/public", "'/public('"));
    let weir = Weir::start(&world.lab);
    weir.wait_log("CiliumNetworkPolicy default/api");
    assert!(world.frontend.connect(world.api.at(80)).is_err(), "closed");
    weir.wait_flow("the refusal", |flow| flow["reason"] == "policy_refused");
    // Egress was not in it.
    let _echo = tests::Backend::echo(&world.stranger.ns, world.stranger.at(80));
    let mut client = Client::connect(&world.api, world.stranger.at(80)).unwrap();
    client.send("x").unwrap();
    assert_eq!(client.read(1).unwrap(), b"x");
    world.lab.write("policy.yaml", GET_PUBLIC);
    until("the mended policy", || (get(&world, "/public") == 200).then_some(()));
}

#[test]
fn a_vanished_file_counts_as_deleted_after_a_while_and_a_replaced_one_does_not() {
    needs_lab!();
    let world = World::policed();
    let weir = Weir::start(&world.lab);
    let path = world.lab.config().join("policy.yaml");
    let before = weir.revision();
    std::fs::remove_file(&path).unwrap();
    assert!(world.stranger.connect(world.api.at(80)).is_err() || weir.revision() > before);
    weir.wait_revision(before);
    until("the policy to be gone", || world.stranger.connect(world.api.at(80)).ok());
}

#[test]
fn what_hides_a_policy_stops_the_start() {
    needs_lab!();
    let world = World::new();
    let bad = [
        ("half a file", "apiVersion: cilium.io/v2\nkind: [", "policy.yaml:"),
        (
            "a selector that cannot be read",
            &GET_PUBLIC.replace("endpointSelector: {matchLabels: {app: api}}", "endpointSelector: 7"),
            "endpointSelector",
        ),
    ];
    for (what, text, named) in bad {
        world.lab.write("policy.yaml", text);
        let mut weir = Weir::spawn(&world.lab, &[]);
        let status = weir.wait();
        assert!(!status.success(), "{what}: {status}");
        weir.wait_log(named);
    }
    let none = Weir::command(&world.lab, "run").arg("/nonexistent").output().unwrap();
    assert!(!none.status.success());
    assert!(String::from_utf8_lossy(&none.stderr).contains("/nonexistent"));
}
