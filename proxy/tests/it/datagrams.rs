//! Flows of datagrams through a UDP listener.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::Snapshot;
use model::flow::{FlowReason, FlowVerdict};
use model::policy::{PolicyEntry, PolicyVerdict};
use model::route::RouteRule;
use model::service::{GatewayAddr, GatewayPort, Listener, ListenerProtocol, ObjectRef};
use model::workload::Protocol;
use proxy::ListenerKind;

use crate::client::{pod, until};
use crate::world::{Plan, World, by, egress, identity, nothing, rule, to};

/// Where nobody listens: a port that no test beside this one can get.
const GONE: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 1);

/// An endpoint that answers each datagram with its name and the datagram.
struct Echo {
    address: SocketAddr,
}

fn echo(name: &'static str) -> Echo {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 65_535];
        while let Ok((count, from)) = socket.recv_from(&mut buffer) {
            let answer = [name.as_bytes(), b":", &buffer[..count]].concat();
            drop(socket.send_to(&answer, from));
        }
    });
    Echo { address }
}

/// A world with a UDP listener on a port of its own.
struct Datagrams {
    world: World,
    plan: Plan,
    address: SocketAddr,
}

fn listener(rule: Option<RouteRule>) -> GatewayPort {
    let listener = Listener {
        gateway: ObjectRef { kind: "Gateway", namespace: "test".into(), name: "gateway".into() },
        name: "udp".into(),
        hostname: None,
        protocol: ListenerProtocol::Udp(rule.map(Arc::new)),
        backend_certificate: None,
    };
    GatewayPort { listeners: vec![Arc::new(listener)] }
}

impl Datagrams {
    fn start(plan: Plan, rule: Option<RouteRule>) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        let world = plan.start();
        world.proxy().listen_udp(0, socket, ListenerKind::Gateway);
        let mut all = Self { world, plan, address: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port) };
        all.publish(rule);
        all
    }

    fn publish(&mut self, rule: Option<RouteRule>) {
        let at = GatewayAddr { ip: None, port: self.address.port(), transport: Protocol::Udp };
        let change = |snapshot: &mut Snapshot| {
            let mut gateways: HashMap<_, _> = (*snapshot.gateways).clone();
            gateways.insert(at, Arc::new(listener(rule)));
            snapshot.gateways = Arc::new(gateways);
        };
        let plan = self.plan.clone();
        self.world.publish_changed(&plan, change);
    }
}

fn client(ip: std::net::IpAddr, to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((ip, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // Answers must come from where the question went.
    socket.connect(to).unwrap();
    socket
}

fn ask(client: &UdpSocket, question: &str) -> String {
    client.send(question.as_bytes()).unwrap();
    let mut buffer = [0; 65_535];
    let count = client.recv(&mut buffer).unwrap();
    String::from_utf8(buffer[..count].to_vec()).unwrap()
}

#[test]
fn a_flow_keeps_its_endpoint_and_leaves_one_record() {
    let (a, b) = (echo("a"), echo("b"));
    // Longer than anything takes between two datagrams on a busy machine.
    let plan = Plan::new(&[a.address, b.address]).limits(|l| l.datagram_timeout = Duration::from_secs(3));
    let mut all = Datagrams::start(plan, Some(rule()));
    let one = client(pod(1), all.address);
    let first = ask(&one, "x");
    for n in 0..20 {
        let want = format!("{}:{n}", &first[..1]);
        assert_eq!(ask(&one, &n.to_string()), want);
    }
    let record = all.world.flow();
    assert_eq!((record.verdict, record.reason), (FlowVerdict::Forwarded, FlowReason::None));
    assert_eq!((record.protocol, record.bytes_in), (Protocol::Udp, 31));
    assert_eq!(record.bytes_out, 31 + 21 * 2);
    // The next datagram begins another flow.
    assert!(ask(&one, "again").ends_with(":again"));
}

#[test]
fn flows_are_balanced_and_weighed() {
    let (a, b) = (echo("a"), echo("b"));
    let plan = Plan::new(&[a.address]).service(&[b.address]);
    let backends = vec![to(0, 3), to(1, 1)];
    let all = Datagrams::start(plan, Some(RouteRule { backends, ..rule() }));
    let of_b = (0..400).filter(|_| ask(&client(pod(1), all.address), "?").starts_with("b:")).count();
    // Six standard deviations.
    assert!((48..=152).contains(&of_b), "{of_b} of 400 for a quarter");
}

#[test]
fn without_a_route_or_an_endpoint_datagrams_are_dropped() {
    let a = echo("a");
    let mut all = Datagrams::start(Plan::new(&[a.address]), None);
    let one = client(pod(1), all.address);
    one.send(b"lost").unwrap();
    assert_eq!(all.world.flow().reason, FlowReason::NoRoute);
    all.publish(Some(RouteRule { backends: vec![to(7, 1)], ..rule() }));
    one.send(b"lost").unwrap();
    assert_eq!(all.world.flow().reason, FlowReason::InvalidBackend);
    all.publish(Some(rule()));
    assert_eq!(ask(&one, "found"), "a:found");
}

#[test]
fn policy_of_udp_decides_and_a_change_ends_the_flow() {
    let a = echo("a");
    let entry = |protocol| PolicyEntry {
        protocol: Some(protocol),
        port: 0,
        port_prefix: 0,
        precedence: 1,
        verdict: PolicyVerdict::Allow,
        by: Some(by("spec.egress[0]")),
    };
    let policy = |protocol| {
        let mut policy = nothing();
        let world = model::identity::IdentityId::WORLD_IPV4;
        policy.entries = HashMap::from([(world, Arc::from(vec![entry(protocol)]))]);
        egress(policy)
    };
    // A rule about TCP says nothing of datagrams.
    let plan = Plan::new(&[a.address]).pod(5, policy(Protocol::Tcp));
    let mut all = Datagrams::start(plan, Some(rule()));
    let one = client(pod(5), all.address);
    one.send(b"denied").unwrap();
    let record = all.world.flow();
    assert_eq!((record.verdict, record.reason), (FlowVerdict::Denied, FlowReason::PolicyDefaultDeny));
    assert_eq!(record.source.identity.unwrap().id, identity(5));

    all.plan = all.plan.clone().pod(5, policy(Protocol::Udp));
    all.publish(Some(rule()));
    assert_eq!(ask(&one, "allowed"), "a:allowed");
    all.plan = all.plan.clone().pod(5, egress(nothing()));
    all.publish(Some(rule()));
    assert_eq!(all.world.flow().reason, FlowReason::PolicyRevoked);
}

#[test]
fn an_endpoint_that_is_not_there_ends_the_flow() {
    let mut all = Datagrams::start(Plan::new(&[GONE.into()]), Some(rule()));
    client(pod(1), all.address).send(b"x").unwrap();
    let record = all.world.flow();
    assert_eq!((record.verdict, record.reason), (FlowVerdict::Failed, FlowReason::ConnectFailed));
}

#[test]
fn an_endpoint_that_is_not_there_gets_no_more_flows() {
    let a = echo("a");
    let mut all = Datagrams::start(Plan::new(&[a.address, GONE.into()]), Some(rule()));
    let clients: Vec<UdpSocket> = (0..32).map(|_| client(pod(1), all.address)).collect();
    let begun = Instant::now();
    for one in &clients {
        one.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        // What began the flow to the one that is gone is lost; asked again, the other answers.
        until("an answer", || {
            one.send(b"x").unwrap();
            one.recv(&mut [0; 16]).is_ok()
        });
    }
    let failed =
        all.world.flows_left().iter().filter(|flow| flow.reason == FlowReason::ConnectFailed).count();
    // The first that met it. After a second, by a clock that is coarse, it is tried again.
    let seconds = usize::try_from((begun.elapsed() + Duration::from_millis(200)).as_secs()).unwrap();
    assert!((1..=1 + seconds).contains(&failed), "{failed} in {seconds} s");
}

#[test]
fn a_flow_leaves_an_endpoint_that_its_service_has_lost() {
    let (a, b) = (echo("a"), echo("b"));
    let mut all = Datagrams::start(Plan::new(&[a.address, b.address]), Some(rule()));
    let one = client(pod(1), all.address);
    for _ in 0..4 {
        let before = ask(&one, "x");
        let left = if before == "a:x" { b.address } else { a.address };
        all.plan = Plan::new(&[left]);
        all.publish(Some(rule()));
        assert_ne!(ask(&one, "x"), before);
        all.plan = Plan::new(&[a.address, b.address]);
        all.publish(Some(rule()));
    }
}

#[test]
fn flows_are_bounded_for_all_and_for_one_client() {
    let a = echo("a");
    let plan = Plan::new(&[a.address]).limits(|l| {
        l.datagram_flows = 6;
        l.datagram_flows_per_client = 4;
    });
    let all = Datagrams::start(plan, Some(rule()));
    let greedy: Vec<UdpSocket> = (0..8).map(|_| client(pod(1), all.address)).collect();
    let served: Vec<&UdpSocket> = greedy.iter().take(4).collect();
    served.iter().for_each(|one| assert_eq!(ask(one, "x"), "a:x"));
    greedy[4..].iter().for_each(|one| drop(one.send(b"x")));
    until("counted", || all.world.proxy().stats().limit_datagram_flows == 4);
    let other = client(pod(2), all.address);
    assert_eq!(ask(&other, "y"), "a:y", "another client has its share");
    assert_eq!(ask(served[0], "z"), "a:z", "flows that are there go on");
}

#[test]
fn the_largest_datagram_passes() {
    let a = echo("a");
    let all = Datagrams::start(Plan::new(&[a.address]), Some(rule()));
    let one = client(pod(1), all.address);
    let big = "x".repeat(60_000);
    assert_eq!(ask(&one, &big).len(), 60_002);
    assert_eq!(ask(&one, ""), "a:");
}
