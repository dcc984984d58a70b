//! Restarts, devices that come and go, other layouts, cleaning up.

use std::process::Command;

use redirect::Action::{Allow, Redirect};
use redirect::Direction::Ingress;
use redirect::{Config, Error, Reason, discover};

use super::namespace::Net;
use super::node::{A, A6, B, ID_A, ID_B, Node, TCP, WORKERS, entry, pod};
use super::socket::{Client, Proxy, serve};

fn run(net: &Net, role: &str, program: &str, args: &[&str]) -> String {
    net.enter(role, || {
        let output = Command::new(program).args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    })
}

#[test]
fn enforcement_outlives_the_process() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.ingress(ID_B, &[entry(Ingress, 101, TCP, 80, Allow)]);
    node.apply();
    serve(&node.net, "b", B, 80);
    serve(&node.net, "b", B, 81);
    let mut client = Client::connect(&node.net, "a", (B, 80)).unwrap();
    // All descriptors of the first are closed when the second is there; in between both are.
    node.reopen();
    assert_eq!(client.say("still").unwrap(), "still");
    Client::connect(&node.net, "a", (B, 80)).unwrap();
    Client::fail(&node.net, "a", (B, 81));
    // What the new one does not want is taken back, though it did not write it.
    node.open_up(ID_B);
    node.apply();
    assert_eq!(client.say("still").unwrap(), "still");
    Client::connect(&node.net, "a", (B, 81)).unwrap();
}

#[test]
fn a_device_made_anew_is_enforced_again() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.ingress(ID_B, &[entry(Ingress, 101, TCP, 80, Redirect)]);
    node.egress(ID_A, &[super::node::whole(redirect::Direction::Egress, 0, Allow)]);
    let _proxy = node.proxy(Proxy::answering);
    node.apply();
    Client::connect(&node.net, "a", (B, 80)).unwrap();
    let old = node.state.endpoints[0].device.clone().unwrap().ifindex;
    for same_index in [true, false] {
        node.net.ip("node", "link del va");
        if same_index {
            // The pin of the old device is then in the way of the new one's.
            let index = format!("link add name va index {old} type veth peer name eth0 netns @a");
            node.net.ip("node", &index);
            node.net.ip("node", "link del va");
            remake(&node.net, &index);
        } else {
            pod(&node.net, "node", "a", "va", [A, A6]);
        }
        let device = node.net.enter("node", || discover(A)).unwrap();
        assert_eq!(device.ifindex == old, same_index);
        node.state.endpoints[0].device = Some(device);
        node.apply();
        let client = Client::connect(&node.net, "a", (B, 80)).unwrap();
        assert!(client.greeting.starts_with("proxy"), "{}", client.greeting);
    }
    let pins = std::fs::read_dir(node.net.pins().join("v3")).unwrap();
    let stale: Vec<_> = pins
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter(|name| name.ends_with(&format!("_{old}")))
        .collect();
    assert_eq!(stale, Vec::<String>::new());
}

/// As `pod`, with the device made by the given command.
fn remake(net: &Net, link: &str) {
    net.ip("node", link);
    for command in [
        "link set va up",
        "addr add 169.254.1.1/32 dev va",
        "-6 addr add fe80::1/64 dev va nodad",
        "route add 10.77.0.2/32 dev va",
        "-6 route add fd77::2/128 dev va",
    ] {
        net.ip("node", command);
    }
    for command in [
        "link set eth0 up",
        "addr add 10.77.0.2/32 dev eth0",
        "-6 addr add fd77::2/128 dev eth0 nodad",
        "route add 169.254.1.1 dev eth0 scope link",
        "route add default via 169.254.1.1",
        "-6 route add default via fe80::1 dev eth0",
    ] {
        net.ip("a", command);
    }
}

#[test]
fn a_pod_that_is_gone_leaves_no_pins() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.apply();
    let count = |node: &Node| {
        let pins = std::fs::read_dir(node.net.pins().join("v3")).unwrap();
        pins.filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().contains("_pod_")
        })
        .count()
    };
    assert_eq!(count(&node), 4);
    // It may still be there and send: closed until its device goes.
    node.state.endpoints.pop();
    node.apply();
    assert_eq!(count(&node), 4);
    serve(&node.net, "b", B, 80);
    Client::fail(&node.net, "a", (B, 80));
    node.net.ip("node", "link del vb");
    node.apply();
    assert_eq!(count(&node), 2);
}

#[test]
fn maps_of_another_layout_are_not_taken_up() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.ingress(ID_B, &[]);
    node.apply();
    let pins = node.net.pins();
    // As if a version to come had run: its links serve until ours do, then they go.
    let other = pins.join("v999");
    std::fs::create_dir(&other).unwrap();
    let map = other.join("policy");
    bpftool(&["map", "create", map.to_str().unwrap()]);
    // And a map of the right name that is not what it should be.
    let unfit = pins.join("v3/endpoints");
    std::fs::remove_file(&unfit).unwrap();
    bpftool(&["map", "create", unfit.to_str().unwrap()]);
    node.reopen();
    node.apply();
    assert!(!other.exists());
    serve(&node.net, "b", B, 80);
    Client::fail(&node.net, "a", (B, 80));
    node.assert_dropped(A, Reason::DefaultDeny);
}

fn bpftool(args: &[&str]) {
    let small = ["type", "hash", "key", "4", "value", "4", "entries", "1", "name", "x"];
    let output = Command::new("bpftool").args(args).args(small).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "bpftool: {text}");
}

#[test]
fn the_pins_of_another_living_namespace_are_not_touched() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.apply();
    let config = Config::new(node.net.pins(), WORKERS);
    let result = node.net.enter("node2", || redirect::Redirect::open(config).map(drop));
    assert!(matches!(result, Err(Error::OtherNamespace { .. })), "{result:?}");
}

#[test]
fn cleanup_leaves_nothing() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.ingress(ID_B, &[]);
    node.apply();
    serve(&node.net, "b", B, 80);
    Client::fail(&node.net, "a", (B, 80));
    let rules = |node: &Node| {
        ["-4", "-6"].map(|version| {
            run(&node.net, "node", "ip", &[version, "rule"])
                + &run(&node.net, "node", "ip", &[version, "route", "show", "table", "all"])
        })
    };
    assert!(rules(&node).iter().all(|text| text.contains("2004")));
    let pins = node.net.pins();
    assert!(node.redirect.mounted());
    let removed = node.net.enter("node", || redirect::cleanup(&pins)).unwrap();
    assert_eq!(removed.layouts.len(), 1);
    assert!(removed.routing);
    assert!(!pins.exists());
    assert!(!rules(&node).iter().any(|text| text.contains("2004")));
    let attached = run(&node.net, "node", "bpftool", &["net"]);
    assert!(!attached.contains("_pod") && !attached.contains("uplink"), "{attached}");
    Client::connect(&node.net, "a", (B, 80)).unwrap();
    // Again, where there is nothing.
    let removed = node.net.enter("node", || redirect::cleanup(&pins)).unwrap();
    assert_eq!(removed.layouts.len(), 0);
    assert!(!removed.routing);
}
