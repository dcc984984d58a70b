//! What the kernel makes hard: TIME_WAIT, SYN cookies, fragments, options, spoofing, bridges, IPv6.

use std::io::ErrorKind;
use std::net::SocketAddr;

use tests::client::{Client, curl};
use tests::lab::sysctl;
use tests::objects::{documents, pod};
use tests::{Backend, Host, Lab, Weir, until};

use crate::world::{GET_PUBLIC, World};

/// The policy of [`GET_PUBLIC`] holds for this client and server.
fn holds(frontend: &Host, stranger: &Host, api: SocketAddr) {
    let mut client = Client::connect(frontend, api).unwrap();
    assert_eq!(client.get("/public").unwrap().status, 200, "{api}");
    assert_eq!(client.get("/private").unwrap().status, 403, "{api}: not through the proxy");
    assert_eq!(client.request("PUT", "/public", &[]).unwrap().status, 403, "{api}");
    assert!(stranger.connect(api).is_err(), "{api}: the stranger is let in");
}

#[test]
fn ipv6() {
    needs_lab!();
    let world = World::policed();
    let backend = Backend::http(&world.api.ns, world.api.at6(80), "six");
    let weir = Weir::start(&world.lab);
    holds(&world.frontend, &world.stranger, world.api.at6(80));
    assert_eq!(backend.last().peer.ip(), world.frontend.v6);
    weir.wait_flow("the drop", |flow| {
        flow["source"]["ip"] == world.stranger.v6.to_string() && flow["verdict"] == "DENIED"
    });
}

#[test]
fn a_bridge_is_no_way_around() {
    needs_lab!();
    let mut lab = Lab::new();
    let frontend = lab.bridged_pod("frontend");
    let stranger = lab.bridged_pod("stranger");
    let api = lab.bridged_pod("api");
    let routed = lab.pod("routed");
    let backend = Backend::http(&api.ns, api.at(80), "v1");
    let _six = Backend::http(&api.ns, api.at6(80), "six");
    lab.write(
        "pods.yaml",
        &documents(&[
            pod(&frontend, &["role=frontend"]),
            pod(&stranger, &["role=stranger"]),
            pod(&api, &["app=api"]),
            pod(&routed, &["role=frontend"]),
        ]),
    );
    lab.write("policy.yaml", GET_PUBLIC);
    let weir = Weir::start(&lab);
    holds(&frontend, &stranger, api.at(80));
    assert_eq!(backend.last().peer.ip(), frontend.v4);
    holds(&routed, &stranger, api.at(80));
    holds(&frontend, &stranger, api.at6(80));
    assert!(!weir.log().contains("not enforced"), "{}", weir.log());
}

/// The proxy closes first, so that its end is in TIME_WAIT; the client comes back on its port.
#[test]
fn a_client_port_is_reused_through_time_wait() {
    needs_lab!();
    let world = World::policed();
    let _weir = Weir::start(&world.lab);
    for round in 0..5 {
        let (from, to) = (world.frontend.at(34460), world.api.at(80));
        // The client's own end of the last round is gone once its FIN was acknowledged.
        let stream = until("its port to be free", || {
            let stream = world.frontend.ns.connect_from(from, to, tests::wait::PATIENCE);
            let is_taken = stream.as_ref().is_err_and(|error| error.kind() == ErrorKind::AddrInUse);
            (!is_taken).then_some(stream)
        });
        let mut client = Client::new(stream.unwrap_or_else(|error| panic!("round {round}: {error}")), to);
        let answer = client.request("GET", "/public", &["Connection: close"]).unwrap();
        assert_eq!(answer.status, 200, "round {round}");
        assert_eq!(client.rest().unwrap(), b"", "round {round}");
    }
    let waiting = world.lab.node.run("ss -tanH state time-wait").unwrap_or_default();
    assert!(waiting.contains(":34460"), "no TIME_WAIT here, nothing was tested:\n{waiting}");
}

#[test]
fn syn_cookies() {
    needs_lab!();
    let world = World::policed();
    sysctl(&world.lab.node, "net.ipv4.tcp_syncookies=2");
    let _weir = Weir::start(&world.lab);
    for _ in 0..5 {
        holds(&world.frontend, &world.stranger, world.api.at(80));
    }
}

#[test]
fn reverse_path_filters_do_not_matter() {
    needs_lab!();
    let world = World::policed();
    for device in ["all", &world.frontend.device, &world.api.device, "uplink"] {
        sysctl(&world.lab.node, &format!("net.ipv4.conf.{device}.rp_filter=1"));
    }
    let _weir = Weir::start(&world.lab);
    holds(&world.frontend, &world.stranger, world.api.at(80));
}

#[test]
fn what_cannot_be_read_is_dropped_towards_policed_destinations() {
    needs_lab!();
    let world = World::policed();
    let weir = Weir::start(&world.lab);
    let socket = world.frontend.ns.udp(world.frontend.at(0));
    // Of a datagram the ports are followed, of nothing else.
    assert!(world.frontend.ns.run(&format!("ping -s 4000 -c1 -W1 {}", world.api.v4)).is_err());
    weir.wait_flow("fragments", |flow| flow["reason"] == "unreadable" && flow["source"]["pod"] == "frontend");
    // Elsewhere they pass.
    let other = world.stranger.ns.udp(world.stranger.at(7000));
    other.set_read_timeout(Some(tests::wait::PATIENCE)).unwrap();
    socket.send_to(&[1; 4000], world.stranger.at(7000)).unwrap();
    let mut bytes = [0; 5000];
    assert_eq!(other.recv(&mut bytes).unwrap(), 4000);
    // Record-route is an IP option.
    let ping = format!("ping -R -c1 -W1 {}", world.api.v4);
    assert!(world.frontend.ns.run(&ping).is_err());
}

#[test]
fn a_foreign_source_address_is_dropped() {
    needs_lab!();
    let world = World::policed();
    let weir = Weir::start(&world.lab);
    // Its ARP request would go under the stolen address, and be dropped without a record.
    world.lab.ping(&world.stranger.ns, world.frontend.v4.into());
    let stolen = world.frontend.v4;
    world.stranger.ns.ip(&format!("addr add {stolen}/32 dev lo")).unwrap();
    let url = format!("http://{}/public", world.api.at(80));
    let arguments = ["--interface", &stolen.to_string(), "--max-time", "2", &url];
    assert_eq!(curl(&world.stranger, &arguments).0, 0);
    weir.wait_flow("the spoofed packet", |flow| flow["reason"] == "spoofed");
    assert_eq!(world.backend.count(), 0);
}

#[test]
fn a_pod_that_comes_later_is_enforced() {
    needs_lab!();
    let mut world = World::policed();
    let weir = Weir::start_with(&world.lab, &[]);
    let late = world.lab.pod("late");
    let _backend = Backend::http(&late.ns, late.at(80), "late");
    let before = weir.revision();
    world.lab.write("late.yaml", &pod(&late, &["app=api"]));
    weir.wait_revision(before);
    until("its policy to hold", || world.stranger.connect(late.at(80)).err());
    holds(&world.frontend, &world.stranger, late.at(80));
}
