//! A node with two pods, `a` and `b`, and a second node with pod `c`; or pods on a bridge.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use redirect::{
    Action, Config, Direction, Endpoint, Enforcement, Event, EventKind, Family, Frontend, Kind, PolicyEntry,
    Reason, Redirect, Report, State, discover,
};

use super::namespace::Net;
use super::socket::Proxy;

pub(crate) const A: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2));
pub(crate) const B: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 3));
pub(crate) const C: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 1, 2));
pub(crate) const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 10));
pub(crate) const A6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2));
pub(crate) const B6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 3));
pub(crate) const C6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd77, 1, 0, 0, 0, 0, 0, 2));
pub(crate) const VIP6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd96, 0, 0, 0, 0, 0, 0, 10));
pub(crate) const NODE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 250, 1));

/// Endpoint ids and, plus 100, identities.
pub(crate) const ID_A: u32 = 1;
pub(crate) const ID_B: u32 = 2;

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const WORKERS: u32 = 2;

/// A node under test.
pub(crate) struct Node {
    pub(crate) net: Net,
    pub(crate) redirect: Redirect,
    pub(crate) state: State,
}

impl Node {
    /// Pods over point-to-point veths (`va`, `vb`), uplink `u1` to the node of `c`.
    pub(crate) fn routed() -> Option<Self> {
        let net = Net::new(&["node", "a", "b", "node2", "c"])?;
        pod(&net, "node", "a", "va", [A, A6]);
        pod(&net, "node", "b", "vb", [B, B6]);
        pod(&net, "node2", "c", "vc", [C, C6]);
        net.ip("node", "link add u1 type veth peer name u2 netns @node2");
        for (node, device, host) in [("node", "u1", 1), ("node2", "u2", 2)] {
            net.ip(node, &format!("addr add 10.77.250.{host}/24 dev {device}"));
            net.ip(node, &format!("-6 addr add fd77:250::{host}/64 dev {device} nodad"));
            net.ip(node, &format!("link set {device} up"));
        }
        net.ip("node", "route add 10.77.1.0/24 via 10.77.250.2");
        net.ip("node", "-6 route add fd77:1::/64 via fd77:250::2");
        net.ip("node2", "route add 10.77.0.0/24 via 10.77.250.1");
        net.ip("node2", "-6 route add fd77::/64 via fd77:250::1");
        Some(Self::on(net))
    }

    /// Pods on a bridge, in one subnet.
    pub(crate) fn bridged() -> Option<Self> {
        let net = Net::new(&["node", "a", "b"])?;
        net.ip("node", "link add br0 type bridge");
        net.ip("node", "addr add 10.77.0.1/24 dev br0");
        net.ip("node", "-6 addr add fd77::1/64 dev br0 nodad");
        net.ip("node", "link set br0 up");
        for (role, veth, host) in [("a", "va", 2), ("b", "vb", 3)] {
            net.ip("node", &format!("link add {veth} type veth peer name eth0 netns @{role}"));
            net.ip("node", &format!("link set {veth} master br0 up"));
            net.ip(role, &format!("addr add 10.77.0.{host}/24 dev eth0"));
            net.ip(role, &format!("-6 addr add fd77::{host}/64 dev eth0 nodad"));
            net.ip(role, "link set eth0 up");
            net.ip(role, "route add default via 10.77.0.1");
            net.ip(role, "-6 route add default via fd77::1");
        }
        Some(Self::on(net))
    }

    fn on(net: Net) -> Self {
        let config = config(&net);
        let redirect = net.enter("node", || Redirect::open(config)).unwrap();
        let endpoint = |id, addresses: [IpAddr; 2]| {
            let device = net.enter("node", || discover(addresses[0])).unwrap();
            Endpoint {
                id,
                addresses: addresses.to_vec(),
                device: Some(device),
                ingress: Enforcement::Open,
                egress: Enforcement::Open,
                policy: Vec::new(),
            }
        };
        let identities = [(A, 101), (B, 102), (C, 103), (A6, 101), (B6, 102), (C6, 103)];
        let state = State {
            endpoints: vec![endpoint(ID_A, [A, A6]), endpoint(ID_B, [B, B6])],
            identities: identities.into_iter().map(|(ip, identity)| (ip.into(), identity)).collect(),
            frontends: Vec::new(),
        };
        Self { net, redirect, state }
    }

    /// Brings the state in force; it must go without problems.
    pub(crate) fn apply(&mut self) -> Report {
        let report = self.try_apply();
        assert_eq!(report.problems, []);
        assert_eq!(report.uplinks, []);
        report
    }

    /// Brings the state in force.
    pub(crate) fn try_apply(&mut self) -> Report {
        let (redirect, state) = (&mut self.redirect, &self.state);
        self.net.enter("node", || redirect.apply(state)).unwrap()
    }

    /// Ends this process' part and begins anew, as after a restart.
    pub(crate) fn reopen(&mut self) {
        let config = config(&self.net);
        self.redirect = self.net.enter("node", || Redirect::open(config)).unwrap();
    }

    /// Starts a proxy and gives its listeners.
    pub(crate) fn proxy(&mut self, proxy: fn(&Net) -> Proxy) -> Proxy {
        let proxy = proxy(&self.net);
        for (worker, pair) in (0..).zip(&proxy.listeners) {
            for (family, listener) in [(Family::V4, &pair[0]), (Family::V6, &pair[1])] {
                use std::os::fd::AsFd;
                self.redirect.set_listener(worker, Kind::Connections, family, listener.as_fd()).unwrap();
            }
        }
        proxy
    }

    fn endpoint(&mut self, id: u32) -> &mut Endpoint {
        self.state.endpoints.iter_mut().find(|e| e.id == id).unwrap()
    }

    /// Enforces an endpoint's ingress with these entries besides what it has.
    pub(crate) fn ingress(&mut self, id: u32, entries: &[PolicyEntry]) {
        let endpoint = self.endpoint(id);
        endpoint.ingress = Enforcement::Enforced;
        endpoint.policy.extend_from_slice(entries);
    }

    /// Enforces an endpoint's egress with these entries besides what it has.
    pub(crate) fn egress(&mut self, id: u32, entries: &[PolicyEntry]) {
        let endpoint = self.endpoint(id);
        endpoint.egress = Enforcement::Enforced;
        endpoint.policy.extend_from_slice(entries);
    }

    /// Forgets an endpoint's policy.
    pub(crate) fn open_up(&mut self, id: u32) {
        let endpoint = self.endpoint(id);
        endpoint.ingress = Enforcement::Open;
        endpoint.egress = Enforcement::Open;
        endpoint.policy.clear();
    }

    /// Closes an endpoint.
    pub(crate) fn close(&mut self, id: u32) {
        let endpoint = self.endpoint(id);
        endpoint.ingress = Enforcement::Closed;
        endpoint.egress = Enforcement::Closed;
    }

    pub(crate) fn frontend(&mut self, address: IpAddr, port: u16) {
        self.state.frontends.push(Frontend { address, port, protocol: TCP, outside: false });
    }

    /// A frontend that may be dialled from outside.
    pub(crate) fn gateway(&mut self, address: IpAddr, port: u16) {
        self.state.frontends.push(Frontend { address, port, protocol: TCP, outside: true });
    }

    /// Reports of dropped packets that are of interest, waited for until there is one.
    pub(crate) fn dropped(&self, of: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut events = self.redirect.events().unwrap();
        let mut found = Vec::new();
        let start = Instant::now();
        while found.is_empty() && start.elapsed() < Duration::from_secs(5) {
            events.drain(|event| {
                if event.kind == EventKind::Dropped && of(&event) {
                    found.push(event);
                }
            });
            std::thread::yield_now();
        }
        found
    }

    /// Asserts that a packet from `source` was dropped for `reason`.
    pub(crate) fn assert_dropped(&self, source: IpAddr, reason: Reason) -> Event {
        let found = self.dropped(|e| e.source.ip() == source && e.reason == reason);
        *found.first().unwrap_or_else(|| panic!("nothing from {source} was dropped for {reason:?}"))
    }
}

fn config(net: &Net) -> Config {
    let mut config = Config::new(net.pins(), WORKERS);
    config.flows = 4096;
    let devices = net.enter("node", || std::fs::read_to_string("/proc/thread-self/net/dev"));
    if devices.unwrap().contains("u1:") {
        config.uplinks = vec!["u1".to_owned()];
    }
    config
}

/// A pod behind a point-to-point veth, as CNI plugins make them.
pub(crate) fn pod(net: &Net, node: &str, role: &str, veth: &str, ips: [IpAddr; 2]) {
    let [v4, v6] = ips;
    net.ip(node, &format!("link add {veth} type veth peer name eth0 netns @{role}"));
    net.ip(node, &format!("link set {veth} up"));
    net.ip(node, &format!("addr add 169.254.1.1/32 dev {veth}"));
    net.ip(node, &format!("-6 addr add fe80::1/64 dev {veth} nodad"));
    net.ip(role, "link set eth0 up");
    net.ip(role, &format!("addr add {v4}/32 dev eth0"));
    net.ip(role, &format!("-6 addr add {v6}/128 dev eth0 nodad"));
    net.ip(role, "route add 169.254.1.1 dev eth0 scope link");
    net.ip(role, "route add default via 169.254.1.1");
    net.ip(role, "-6 route add default via fe80::1 dev eth0");
    net.ip(node, &format!("route add {v4}/32 dev {veth}"));
    net.ip(node, &format!("-6 route add {v6}/128 dev {veth}"));
}

/// An entry for one port.
pub(crate) fn entry(
    direction: Direction,
    identity: u32,
    protocol: u8,
    port: u16,
    action: Action,
) -> PolicyEntry {
    PolicyEntry {
        direction,
        identity,
        protocol: Some(protocol),
        port,
        port_prefix: 16,
        action,
        precedence: u32::from(action == Action::Deny),
    }
}

/// An entry for every protocol and port.
pub(crate) fn whole(direction: Direction, identity: u32, action: Action) -> PolicyEntry {
    PolicyEntry { protocol: None, port: 0, port_prefix: 0, ..entry(direction, identity, 0, 0, action) }
}
