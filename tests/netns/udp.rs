//! Datagrams through the UDP listener of a Gateway and to a UDP port of a Service.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tests::lab::{NODE, NODE_V4};
use tests::objects::{documents, gateway, pod, service};
use tests::wait::PATIENCE;
use tests::{Host, Weir, until};

use crate::world::World;

const VIP: &str = "10.96.0.5";
const VIP6: &str = "fd96::5";

/// Answers every datagram with its name, a space and the datagram, from its own thread.
struct Namer {
    stop: Arc<AtomicBool>,
    last: Arc<Mutex<Option<SocketAddr>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Namer {
    fn new(host: &Host, at: SocketAddr, name: &'static str) -> Self {
        let socket = host.ns.udp(at);
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let (stop, last) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(None)));
        let (stopped, seen) = (stop.clone(), last.clone());
        let thread = thread::spawn(move || {
            let mut datagram = vec![0; 65_535];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut datagram) else { continue };
                *seen.lock().unwrap() = Some(from);
                let answer = [name.as_bytes(), b" ", &datagram[..length]].concat();
                socket.send_to(&answer, from).ok();
            }
        });
        Self { stop, last, thread: Some(thread) }
    }

    /// Who asked last.
    fn last(&self) -> SocketAddr {
        self.last.lock().unwrap().expect("nobody asked")
    }
}

impl Drop for Namer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// A Service of UDP.
fn names(endpoints: &[(IpAddr, u16)]) -> String {
    service("names", &[VIP, VIP6], 53, endpoints).replace("protocol: TCP", "protocol: UDP")
}

fn world() -> (World, [Namer; 2], Host) {
    let mut world = World::new();
    let second = world.lab.pod("api2");
    let namers = [Namer::new(&world.api, world.api.at(53), "one"), Namer::new(&second, second.at(53), "two")];
    let gateway = gateway("web", 8080, &[]) + "  - {name: udp, protocol: UDP, port: 9053}\n";
    let both = [(world.api.v4.into(), 53), (second.v4.into(), 53)];
    let pods = [world.pods(), pod(&second, &["app=api"])];
    world.lab.write("pods.yaml", &documents(&pods));
    world.lab.write("names.yaml", &names(&both));
    world.lab.write("gateway.yaml", &documents(&[gateway, UDP_ROUTE.into()]));
    (world, namers, second)
}

fn socket(from: &Host) -> UdpSocket {
    let socket = from.ns.udp(SocketAddr::from(([0, 0, 0, 0], 0)));
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Sends one datagram to the Gateway; the name of who answered it, rightly and from the right place.
fn ask(socket: &UdpSocket, payload: &[u8]) -> String {
    ask_at(socket, (NODE_V4, 9053).into(), payload)
}

/// The same to somewhere else.
fn ask_at(socket: &UdpSocket, to: SocketAddr, payload: &[u8]) -> String {
    socket.send_to(payload, to).unwrap();
    let mut answer = vec![0; 65_535];
    let (length, from) = socket.recv_from(&mut answer).unwrap();
    assert_eq!(from, to, "an answer comes from where the question went");
    let at = answer.iter().position(|byte| *byte == b' ').unwrap();
    assert!(&answer[at + 1..length] == payload, "the datagram as it was");
    String::from_utf8(answer[..at].to_vec()).unwrap()
}

/// One client has so many flows, and others have theirs; one in which nothing moves makes room.
#[test]
fn a_client_has_so_many_flows_for_so_long() {
    needs_lab!();
    let (world, _namers, _second) = world();
    // So long that the first two are there still when the third comes.
    let limits = ["--limit", "datagram_flows_per_client=2", "--limit", "datagram_timeout=5s"];
    let _weir = Weir::start_with(&world.lab, &[&["--node", NODE, "--workers", "1"], &limits[..]].concat());
    for _ in 0..2 {
        ask(&socket(&world.frontend), b"one of two");
    }
    let third = socket(&world.frontend);
    third.send_to(b"beyond", SocketAddr::from((NODE_V4, 9053))).unwrap();
    let series = "weir_limit_hits_total{limit=\"datagram_flows\"}";
    until("it to be counted", || (tests::metrics::value(&world.lab, series) == 1).then_some(()));
    ask(&socket(&world.stranger), b"another's first");
    ask_on(&third, (NODE_V4, 9053).into());
}

/// Asks until there is an answer: a datagram may be lost while a flow changes its endpoint.
fn ask_on(socket: &UdpSocket, to: SocketAddr) -> String {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    until("an answer", || {
        let question = ASKED.fetch_add(1, Ordering::Relaxed).to_string();
        socket.send_to(question.as_bytes(), to).unwrap();
        let mut answer = [0; 100];
        // Those to earlier questions may come late.
        while let Ok((length, from)) = socket.recv_from(&mut answer) {
            let text = std::str::from_utf8(&answer[..length]).unwrap();
            let (name, of) = text.split_once(' ').unwrap();
            if (of, from) == (&question, to) {
                return Some(name.to_owned());
            }
        }
        None
    })
}

/// That so many come to one of two endpoints alone has a chance of 1 in 2,000,000,000.
const FLOWS: u32 = 32;

fn vip() -> SocketAddr {
    (VIP.parse::<IpAddr>().unwrap(), 53).into()
}

#[test]
fn a_flow_keeps_its_endpoint_and_flows_are_spread() {
    needs_lab!();
    let (mut world, _namers, _second) = world();
    let outside = world.lab.outside("outside");
    let weir = Weir::start(&world.lab);
    for from in [&world.frontend, &outside] {
        let mut names = BTreeSet::new();
        for flow in 0..FLOWS {
            let socket = socket(from);
            let name = ask(&socket, b"first");
            for at in 0..5 {
                assert_eq!(ask(&socket, format!("{flow} {at}").as_bytes()), name);
            }
            names.insert(name);
        }
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["one", "two"], "{}", from.name);
    }
    assert!(!weir.log().contains("ERROR"), "{}", weir.log());
}

#[test]
fn datagrams_of_every_length_pass() {
    needs_lab!();
    let (mut world, _namers, _second) = world();
    let outside = world.lab.outside("outside");
    let _weir = Weir::start(&world.lab);
    let gateway = SocketAddr::from((NODE_V4, 9053));
    for (from, to) in [(&world.frontend, gateway), (&outside, gateway), (&world.frontend, vip())] {
        let socket = socket(from);
        for length in [0, 1, 512, 1_400, 1_600, 9_000, 60_000] {
            ask_at(&socket, to, &vec![b'd'; length]);
        }
    }
}

#[test]
fn datagrams_of_several_packets_are_policed() {
    needs_lab!();
    let (world, _namers, _second) = world();
    let open = Namer::new(&world.api, world.api.at(54), "open");
    world.lab.write("policy.yaml", &documents(&[POLICY, EGRESS]));
    let weir = Weir::start(&world.lab);
    let large = vec![b'd'; 9_000];
    // By way of the Gateway and the Service, and past the proxy.
    let frontend = socket(&world.frontend);
    for to in [(NODE_V4, 9053).into(), vip(), world.api.at(53)] {
        ask_at(&frontend, to, &large);
    }
    for (from, to) in [
        (&world.stranger, SocketAddr::from((NODE_V4, 9053))),
        (&world.stranger, vip()),
        (&world.stranger, world.api.at(53)),
        (&world.frontend, world.api.at(54)),
    ] {
        let socket = socket(from);
        socket.send_to(&large, to).unwrap();
        let port = socket.local_addr().unwrap().port();
        weir.wait_flow("a refusal", |flow| flow["source"]["port"] == port && flow["verdict"] == "DENIED");
    }
    assert!(open.last.lock().unwrap().is_none(), "nothing arrives at another port");
}

#[test]
fn endpoints_see_the_client() {
    needs_lab!();
    let (mut world, namers, _second) = world();
    let outside = world.lab.outside("outside");
    let remote = world.lab.remote_pod("remote");
    let far = Namer::new(&remote, remote.at(53), "far");
    // What may answer need not be allowed to call.
    world.lab.write("policy.yaml", NO_EGRESS);
    world.lab.write("remote.yaml", &pod(&remote, &["app=far"]));
    let weir = Weir::start(&world.lab);
    let gateway = SocketAddr::from((NODE_V4, 9053));
    for (from, to) in [(&world.frontend, gateway), (&world.frontend, vip()), (&outside, gateway)] {
        for length in [10, 9_000] {
            let name = ask_at(&socket(from), to, &vec![b'd'; length]);
            let seen = namers[usize::from(name == "two")].last();
            assert_eq!(seen.ip(), from.v4, "{to}");
            assert!(seen.port() >= 61_000, "{seen}");
        }
    }
    let before = weir.revision();
    world.lab.write("names.yaml", &names(&[(remote.v4.into(), 53)]));
    weir.wait_revision(before);
    for (from, seen) in [(&world.frontend, world.frontend.v4), (&outside, NODE_V4)] {
        assert_eq!(ask_at(&socket(from), gateway, &vec![b'd'; 9_000]), "far");
        assert_eq!(far.last().ip(), seen, "{}", from.name);
    }
}

#[test]
fn a_service_is_served_by_flow() {
    needs_lab!();
    let (world, namers, second) = world();
    let sixth = Namer::new(&second, second.at6(53), "six");
    let all = [(world.api.v4.into(), 53), (second.v4.into(), 53), (second.v6.into(), 53)];
    world.lab.write("names.yaml", &names(&all));
    world.lab.write("policy.yaml", &documents(&[POLICY, EGRESS]));
    let weir = Weir::start(&world.lab);
    let mut found = BTreeSet::new();
    for flow in 0..FLOWS {
        let socket = socket(&world.frontend);
        let name = ask_at(&socket, vip(), b"first");
        for at in 0..5 {
            assert_eq!(ask_at(&socket, vip(), format!("{flow} {at}").as_bytes()), name);
        }
        found.insert(name);
    }
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["one", "two"]);
    let v6 = world.frontend.ns.udp("[::]:0".parse().unwrap());
    v6.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(ask_at(&v6, (VIP6.parse::<IpAddr>().unwrap(), 53).into(), &[b'd'; 4_096]), "six");
    assert_eq!(sixth.last().ip(), world.frontend.v6);
    // Not allowed: neither to the Service nor from it.
    let refused = socket(&world.stranger);
    refused.send_to(b"refused", vip()).unwrap();
    weir.wait_flow("a refusal", |flow| {
        flow["source"]["ip"] == world.stranger.v4.to_string() && flow["verdict"] == "DENIED"
    });
    refused.set_nonblocking(true).unwrap();
    refused.recv_from(&mut [0; 100]).unwrap_err();
    assert!(namers.iter().all(|namer| namer.last().ip() == world.frontend.v4));
}

#[test]
fn a_flow_moves_from_an_endpoint_that_is_gone() {
    needs_lab!();
    let (world, namers, second) = world();
    let weir = Weir::start(&world.lab);
    let [one, two] = namers;
    let both = names(&[(world.api.v4.into(), 53), (second.v4.into(), 53)]);
    let change = |text: &str| {
        let before = weir.revision();
        world.lab.write("names.yaml", text);
        weir.wait_revision(before);
    };
    for to in [SocketAddr::from((NODE_V4, 9053)), vip()] {
        let socket = socket(&world.frontend);
        let stay = ask_at(&socket, to, b"first");
        let left = if stay == "one" { (second.v4.into(), 53) } else { (world.api.v4.into(), 53) };
        // A client that never pauses, and a Service that has lost its endpoint.
        change(&names(&[left]));
        assert_ne!(ask_on(&socket, to), stay, "{to}");
        change(&both);
    }
    // Nobody listens any more: the host says so.
    drop(one);
    change(&names(&[(world.api.v4.into(), 53)]));
    socket(&world.frontend).send_to(b"?", vip()).unwrap();
    weir.wait_flow("the failure", |flow| flow["verdict"] == "FAILED" && flow["reason"] == "connect_failed");
    change(&both);
    let sockets: Vec<UdpSocket> = (0..8).map(|_| socket(&world.frontend)).collect();
    for socket in &sockets {
        assert_eq!(ask_on(socket, vip()), "two");
    }
    assert_eq!(two.last().ip(), world.frontend.v4);
}

#[test]
fn pods_on_a_bridge_are_served_too() {
    needs_lab!();
    let (mut world, _namers, _second) = world();
    let client = world.lab.bridged_pod("asks");
    let server = world.lab.bridged_pod("answers");
    let bridged = Namer::new(&server, server.at(53), "bridged");
    let pods = [pod(&client, &["role=frontend"]), pod(&server, &["app=api"])];
    world.lab.write("bridged.yaml", &documents(&pods));
    world.lab.write("names.yaml", &names(&[(server.v4.into(), 53)]));
    world.lab.write("policy.yaml", &documents(&[POLICY, EGRESS, NO_EGRESS]));
    let _weir = Weir::start(&world.lab);
    for from in [&client, &world.frontend] {
        for to in [vip(), (NODE_V4, 9053).into(), server.at(53)] {
            for length in [10, 9_000] {
                assert_eq!(ask_at(&socket(from), to, &vec![b'd'; length]), "bridged", "{} {to}", from.name);
                assert_eq!(bridged.last().ip(), from.v4, "{to}");
            }
        }
    }
}

#[test]
fn a_port_that_the_node_itself_uses_is_served() {
    needs_lab!();
    let (world, _namers, second) = world();
    let _sixth = Namer::new(&second, second.at6(53), "six");
    let all = [(world.api.v4.into(), 53), (second.v6.into(), 53)];
    world.lab.write("names.yaml", &names(&all));
    // As a name server of the node may: for every address of both families, shared with nobody.
    let _taken = world.lab.node.udp("[::]:53".parse().unwrap());
    let _weir = Weir::start(&world.lab);
    let v6 = world.frontend.ns.udp("[::]:0".parse().unwrap());
    v6.set_read_timeout(Some(PATIENCE)).unwrap();
    for length in [0, 1, 1_400, 9_000] {
        assert_eq!(ask_at(&socket(&world.frontend), vip(), &vec![b'd'; length]), "one");
        let vip6 = (VIP6.parse::<IpAddr>().unwrap(), 53).into();
        assert_eq!(ask_at(&v6, vip6, &vec![b'd'; length]), "six");
    }
}

#[test]
fn a_service_is_not_served_to_the_outside() {
    needs_lab!();
    let (mut world, namers, _second) = world();
    let outside = world.lab.outside("outside");
    // As some make a ClusterIP an address of the node.
    world.lab.node.ip(&format!("addr add {VIP}/32 dev lo")).unwrap();
    let weir = Weir::start(&world.lab);
    let refused = socket(&outside);
    refused.send_to(b"refused", vip()).unwrap();
    let port = refused.local_addr().unwrap().port();
    weir.wait_flow("a refusal", |flow| flow["source"]["port"] == port && flow["reason"] == "no_route");
    assert!(namers.iter().all(|namer| namer.last.lock().unwrap().is_none()));
    ask_at(&socket(&world.frontend), vip(), b"served");
}

#[test]
fn a_replacement_goes_on_serving() {
    needs_lab!();
    let (world, namers, _second) = world();
    let weir = Weir::start(&world.lab);
    let socket = socket(&world.frontend);
    let places = [vip(), (NODE_V4, 9053).into()];
    let replace = |weir: &Weir| {
        weir.restart();
    };
    for act in [Weir::crash_proxy as fn(&Weir), replace] {
        for to in places {
            ask_on(&socket, to);
        }
        act(&weir);
        for to in places {
            ask_on(&socket, to);
        }
    }
    assert!(namers.iter().any(|namer| namer.last().ip() == world.frontend.v4));
}

#[test]
fn a_policy_is_for_datagrams_too() {
    needs_lab!();
    let (world, _namers, _second) = world();
    world.lab.write("policy.yaml", POLICY);
    let weir = Weir::start(&world.lab);
    ask(&socket(&world.frontend), b"allowed");
    let refused = socket(&world.stranger);
    refused.send_to(b"refused", (NODE_V4, 9053)).unwrap();
    until("a flow record of the refusal", || {
        let from = world.stranger.v4.to_string();
        weir.flows()
            .iter()
            .any(|flow| flow["source"]["ip"] == from && flow["verdict"] == "DENIED")
            .then_some(())
    });
    refused.set_nonblocking(true).unwrap();
    let kind = refused.recv_from(&mut [0; 100]).unwrap_err().kind();
    assert!(matches!(kind, std::io::ErrorKind::WouldBlock | std::io::ErrorKind::ConnectionRefused), "{kind}");
}

const UDP_ROUTE: &str = r#"
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: UDPRoute
metadata: {name: names, namespace: default}
spec:
  parentRefs: [{name: web, sectionName: udp}]
  rules:
  - backendRefs: [{name: names, port: 53}]
"#;

const POLICY: &str = r#"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: api, namespace: default}
spec:
  endpointSelector: {matchLabels: {app: api}}
  ingress:
  - fromEndpoints: [{matchLabels: {role: frontend}}]
    toPorts: [{ports: [{port: "53", protocol: UDP}]}]
"#;

const EGRESS: &str = r#"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: frontend, namespace: default}
spec:
  endpointSelector: {matchLabels: {role: frontend}}
  egress:
  - toEndpoints: [{matchLabels: {app: api}}]
    toPorts: [{ports: [{port: "53", protocol: UDP}]}]
"#;

const NO_EGRESS: &str = r#"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: api, namespace: default}
spec:
  endpointSelector: {matchLabels: {app: api}}
  egress: [{}]
"#;
