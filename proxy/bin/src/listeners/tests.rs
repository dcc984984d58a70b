use std::collections::HashMap;

use model::service::{GatewayAddr, GatewayPort};

use super::*;

fn snapshot(gateways: &[(Option<&str>, u16)]) -> Snapshot {
    let map: HashMap<_, _> = gateways
        .iter()
        .map(|(ip, port)| {
            let ip = ip.map(|text| text.parse().unwrap());
            (GatewayAddr::tcp(ip, *port), Arc::new(GatewayPort::default()))
        })
        .collect();
    Snapshot { gateways: Arc::new(map), ..Snapshot::default() }
}

fn slots() -> (Slots, Link) {
    let (ours, theirs) = Link::pair().unwrap();
    (Slots::new(Arc::new(ours), Held::new()), theirs)
}

/// A port that is free at this moment.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn sockets_follow_the_gateways_and_the_supervisor_has_them() {
    let (slots, supervisor) = slots();
    let mut sockets = GatewaySockets::new(slots.clone(), 2, false);
    let (a, b) = (free_port(), free_port());
    let changes = sockets.reconcile(&snapshot(&[(Some("127.0.0.1"), a)]));
    assert_eq!(changes.added.iter().map(|(worker, _)| *worker).collect::<Vec<_>>(), [0, 1]);
    let mut kept = Held::new();
    for _ in 0..2 {
        let (message, fd) = supervisor.receive().unwrap().unwrap();
        fdstore::apply(&mut kept, message, fd);
    }
    assert_eq!(kept[1].0, format!("gateway/1/127.0.0.1:{a}"));

    let changes = sockets.reconcile(&snapshot(&[(Some("127.0.0.1"), b)]));
    assert_eq!(changes.removed, [format!("127.0.0.1:{a}").parse().unwrap()]);
    assert_eq!(changes.added.len(), 2);
    assert_eq!(slots.held().len(), 2, "the old ones are released");
    assert!(sockets.reconcile(&snapshot(&[(Some("127.0.0.1"), b)])).added.is_empty());
}

#[test]
fn every_address_is_both_families() {
    let at = addresses(&snapshot(&[(None, 80)]));
    let texts: Vec<String> = at.keys().map(|at| at.address.to_string()).collect();
    assert_eq!(texts, ["0.0.0.0:80", "[::]:80"]);
}

#[test]
fn a_taken_port_is_reported_and_leaves_nothing() {
    let (slots, _supervisor) = slots();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut sockets = GatewaySockets::new(slots.clone(), 2, false);
    let wanted = snapshot(&[(Some("127.0.0.1"), port)]);
    let changes = sockets.reconcile(&wanted);
    assert_eq!(changes.failed.len(), 1);
    assert!(changes.added.is_empty());
    assert!(slots.held().is_empty());
    drop(taken);
    assert_eq!(sockets.reconcile(&wanted).added.len(), 2, "tried again");
}

#[test]
fn inherited_sockets_are_used_and_those_of_no_use_closed() {
    let (slots, _supervisor) = slots();
    let port = free_port();
    let wanted = snapshot(&[(Some("127.0.0.1"), port)]);
    GatewaySockets::new(slots.clone(), 3, false).reconcile(&wanted);
    assert_eq!(slots.held().len(), 3);
    let changes = GatewaySockets::new(slots.clone(), 2, false).reconcile(&wanted);
    assert_eq!(changes.added.len(), 2);
    assert_eq!(slots.held().len(), 2, "worker 2 is no more");
}
