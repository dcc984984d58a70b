//! Handshakes that are not of the common kind.

use redirect::Action::Redirect;
use redirect::Direction::Ingress;
use redirect::Reason;

use super::node::{A, A6, B, B6, ID_B, Node, TCP, entry};
use super::socket::{Client, PATIENCE, Proxy, SILENCE};

#[test]
fn a_port_may_be_used_again_at_once() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.ingress(ID_B, &[entry(Ingress, 101, TCP, 80, Redirect)]);
    // It ends connections first, so TIME_WAIT is on its side.
    let _proxy = node.proxy(Proxy::closing);
    node.apply();
    for (from, to) in [(A, B), (A6, B6)] {
        for _ in 0..5 {
            let mut client = Client::connect_from(&node.net, (from, 40_000), (to, 80), PATIENCE).unwrap();
            assert_eq!(client.greeting, "bye");
            client.until_end();
        }
    }
    // What the port was used for gives it no right.
    node.open_up(ID_B);
    node.ingress(ID_B, &[]);
    node.apply();
    for (from, to) in [(A, B), (A6, B6)] {
        let refused = Client::connect_from(&node.net, (from, 40_000), (to, 80), SILENCE);
        assert!(refused.is_err());
        node.assert_dropped(from, Reason::DefaultDeny);
    }
}

#[test]
fn syn_cookies_work() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.net.enter("node", || {
        std::fs::write("/proc/sys/net/ipv4/tcp_syncookies", "2").unwrap();
    });
    node.ingress(ID_B, &[entry(Ingress, 101, TCP, 80, Redirect)]);
    let _proxy = node.proxy(Proxy::answering);
    node.apply();
    for to in [B, B6] {
        for _ in 0..5 {
            let mut client = Client::connect(&node.net, "a", (to, 80)).unwrap();
            assert!(client.greeting.starts_with("proxy"), "{}", client.greeting);
            assert_eq!(client.say("hello").unwrap(), "hello");
        }
    }
}

#[test]
fn strict_source_validation_does_not_matter() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.net.enter("node", || {
        for device in ["all", "va", "vb", "u1"] {
            let path = format!("/proc/sys/net/ipv4/conf/{device}/rp_filter");
            std::fs::write(path, "1").unwrap();
        }
    });
    node.ingress(ID_B, &[entry(Ingress, 101, TCP, 80, Redirect)]);
    super::socket::serve(&node.net, "b", B, 80);
    let _proxy = node.proxy(Proxy::relaying);
    node.apply();
    let client = Client::connect(&node.net, "a", (B, 80)).unwrap();
    assert!(client.greeting.starts_with("server"), "{}", client.greeting);
}
