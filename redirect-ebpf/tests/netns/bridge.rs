//! Pods on a bridge, whose frames would go to one another past the proxy.

use redirect::Action::{Allow, Redirect};
use redirect::Direction::Ingress;
use redirect::{Reason, Undiscovered, discover};

use super::node::{A, A6, B, B6, C, ID_B, NODE, Node, TCP, VIP, entry};
use super::socket::{Client, Proxy, serve};

#[test]
fn bridged_pods_are_redirected_and_policed() {
    let Some(mut node) = Node::bridged() else {
        return;
    };
    node.ingress(ID_B, &[entry(Ingress, 101, TCP, 80, Redirect), entry(Ingress, 101, TCP, 81, Allow)]);
    node.egress(ID_B, &[]);
    let _proxy = node.proxy(Proxy::relaying);
    node.apply();
    for ip in [B, B6] {
        for port in [80, 81, 82] {
            serve(&node.net, "b", ip, port);
        }
    }
    for (client, server) in [(A, B), (A6, B6)] {
        let mut connection = Client::connect(&node.net, "a", (server, 80)).unwrap();
        assert!(connection.greeting.contains(&format!("peer={client} ")));
        assert_eq!(connection.say("hello").unwrap(), "hello");
        Client::connect(&node.net, "a", (server, 81)).unwrap();
        Client::fail(&node.net, "a", (server, 82));
        node.assert_dropped(client, Reason::DefaultDeny);
    }
}

#[test]
fn the_proxy_gets_what_bridged_pods_say_to_one_another() {
    let Some(mut node) = Node::bridged() else {
        return;
    };
    node.ingress(ID_B, &[entry(Ingress, 101, TCP, 80, Redirect)]);
    node.frontend(VIP, 80);
    let _proxy = node.proxy(Proxy::answering);
    node.apply();
    serve(&node.net, "b", B, 80);
    serve(&node.net, "b", B6, 80);
    for server in [B, B6, VIP] {
        let mut client = Client::connect(&node.net, "a", (server, 80)).unwrap();
        assert!(client.greeting.starts_with("proxy"), "{}", client.greeting);
        assert_eq!(client.say("hello").unwrap(), "hello");
    }
}

#[test]
fn devices_are_discovered() {
    let Some(node) = Node::bridged() else {
        return;
    };
    let device = |node: &Node, ip| node.net.enter("node", || discover(ip));
    let found = device(&node, B).unwrap();
    assert_eq!(found.name, "vb");
    assert_eq!(found.bridge.as_deref(), Some("br0"));
    assert_eq!(device(&node, B6).unwrap(), found);
    let silent = std::net::IpAddr::from([10, 77, 0, 99]);
    let error = device(&node, silent).unwrap_err();
    assert!(matches!(error, Undiscovered::Silent { .. }), "{error}");

    let Some(node) = Node::routed() else {
        return;
    };
    let found = device(&node, A6).unwrap();
    assert_eq!((found.name.as_str(), found.bridge), ("va", None));
    let error = device(&node, C).unwrap_err();
    assert!(matches!(error, Undiscovered::Remote { .. }), "{error}");
    let error = device(&node, NODE).unwrap_err();
    assert!(matches!(error, Undiscovered::Node { .. }), "{error}");
    let error = device(&node, VIP).unwrap_err();
    assert!(matches!(error, Undiscovered::NoRoute { .. }), "{error}");
}
