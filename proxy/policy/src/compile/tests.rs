use super::*;
use crate::verdict::{ConnectionVerdict, connection};
use model::flow::FlowReason;
use model::identity::{Identity, Label};
use model::policy::{HttpRule, HttpRules, PolicyVerdict, RuleRef};
use model::service::ObjectRef;

const WEB: IdentityId = IdentityId(256);
const CLI: IdentityId = IdentityId(257);
const OTHER: IdentityId = IdentityId(258);

fn by(place: &str) -> Arc<RuleRef> {
    let policy = ObjectRef { kind: "CiliumNetworkPolicy", namespace: "ns".into(), name: "p".into() };
    Arc::new(RuleRef { policy, place: place.into() })
}

fn labels(app: &str) -> Labels {
    Labels::new(vec![Label::new("k8s", "app", app)])
}

fn identities() -> Identities {
    let pods = [(WEB, labels("web")), (CLI, labels("cli")), (OTHER, labels("other"))];
    let reserved = |name| Labels::new(vec![Label::new("reserved", name, "")]);
    let all = [(IdentityId::HOST, reserved("host")), (IdentityId::WORLD_IPV4, reserved("world-ipv4"))];
    let net = Identity {
        id: IdentityId::FIRST_CIDR,
        labels: reserved("world-ipv4"),
        cidr: "10.1.0.0/16".parse().ok(),
    };
    let all = pods.into_iter().chain(all).map(|(id, labels)| Identity { id, labels, cidr: None });
    all.chain([net]).map(|identity| (identity.id, Arc::new(identity))).collect()
}

fn from(app: &str) -> EntryPeers {
    EntryPeers::Selected(vec![PeerSelector::Labels(Selector::equals(Some("k8s"), "app", app))])
}

fn tcp(port: Port) -> PortEntry {
    PortEntry { protocol: Some(Protocol::Tcp), port, http: Arc::default(), by: by("port") }
}

fn http(port: Port, path: &str) -> PortEntry {
    let path = regex::Regex::new(path).ok();
    let none = || (None, None, Vec::new(), Vec::new());
    let (method, host, headers, edits) = none();
    let rule = HttpRule { path, method, host, headers, edits, by: by("http") };
    PortEntry { http: Arc::new([Arc::new(rule)]), ..tcp(port) }
}

fn entry(action: Action, peers: EntryPeers, ports: Vec<PortEntry>) -> Entry {
    Entry {
        subject: Selector::equals(None, "app", "web"),
        direction: Direction::Ingress,
        action,
        default_deny: true,
        peers,
        has_ports: !ports.is_empty(),
        ports,
        by: by("rule"),
    }
}

fn ingress(entries: Vec<Entry>) -> DirectionPolicy {
    let entries: Vec<Arc<Entry>> = entries.into_iter().map(Arc::new).collect();
    let labels = labels("web");
    let named = [NamedPort { name: "http".into(), port: 8080, protocol: Protocol::Tcp }];
    let subject = Subject { labels: &labels, named_ports: &named };
    let peers = Peers { identities: &identities(), named_ports: &HashMap::new() };
    compile(subject, &entries, peers).ingress
}

fn word(policy: &DirectionPolicy, peer: IdentityId, protocol: Protocol, port: u16) -> String {
    match connection(policy, peer, protocol, port) {
        ConnectionVerdict::Allow(_) => "allow".into(),
        ConnectionVerdict::Deny { reason: FlowReason::PolicyDefaultDeny, .. } => "none".into(),
        ConnectionVerdict::Deny { reason: FlowReason::PolicyRefused, .. } => "closed".into(),
        ConnectionVerdict::Deny { .. } => "deny".into(),
        ConnectionVerdict::Http(rules) => format!("http {}", rules.rules.len()) + any(rules),
    }
}

fn any(rules: &HttpRules) -> &'static str {
    if rules.any.is_some() { " any" } else { "" }
}

#[test]
fn allows_are_united_and_any_deny_wins() {
    use Action::{Allow, Deny};
    let all = || EntryPeers::Selected(vec![PeerSelector::Labels(Selector::default())]);
    let policy = ingress(vec![
        entry(Allow, from("cli"), Vec::new()),
        entry(Deny, all(), vec![tcp(Port::Range(22, 22))]),
        entry(Allow, EntryPeers::Unsaid, vec![tcp(Port::Range(80, 90))]),
        entry(Allow, from("other"), vec![tcp(Port::Range(22, 85))]),
        entry(Allow, EntryPeers::Unsaid, vec![PortEntry { protocol: None, ..tcp(Port::Range(53, 53)) }]),
    ]);
    let unknown = IdentityId(9999);
    for (peer, protocol, port, want) in [
        (CLI, Protocol::Tcp, 80, "allow"),
        (CLI, Protocol::Udp, 1, "allow"),
        (CLI, Protocol::Icmp, 8, "allow"),
        (CLI, Protocol::Tcp, 22, "deny"),
        (OTHER, Protocol::Tcp, 22, "deny"),
        (OTHER, Protocol::Tcp, 23, "allow"),
        (OTHER, Protocol::Tcp, 90, "allow"),
        (OTHER, Protocol::Tcp, 91, "none"),
        (OTHER, Protocol::Udp, 80, "none"),
        (OTHER, Protocol::Sctp, 53, "allow"),
        (OTHER, Protocol::Icmp, 53, "none"),
        (unknown, Protocol::Tcp, 90, "allow"),
        (unknown, Protocol::Tcp, 22, "deny"),
        (unknown, Protocol::Tcp, 23, "none"),
        (IdentityId::HOST, Protocol::Tcp, 23, "allow"),
        (IdentityId::HOST, Protocol::Tcp, 22, "deny"),
    ] {
        assert_eq!(word(&policy, peer, protocol, port), want, "{peer} {protocol} {port}");
    }
}

#[test]
fn an_allow_beside_http_rules_lets_every_request_pass_through_the_proxy() {
    let rules = || entry(Action::Allow, from("cli"), vec![http(Port::Range(80, 81), "^/a$")]);
    let cases = [
        (vec![rules()], "http 1"),
        (vec![rules(), rules()], "http 1"),
        (vec![rules(), entry(Action::Allow, from("cli"), vec![http(Port::Range(80, 80), "^/b$")])], "http 2"),
        (vec![rules(), entry(Action::Allow, from("cli"), Vec::new())], "http 1 any"),
        (
            vec![rules(), entry(Action::Allow, EntryPeers::Unsaid, vec![tcp(Port::Range(1, 99))])],
            "http 1 any",
        ),
        (vec![rules(), entry(Action::Allow, from("other"), Vec::new())], "http 1"),
        (vec![rules(), entry(Action::Deny, from("cli"), Vec::new())], "deny"),
        (vec![Entry { default_deny: false, ..rules() }], "http 1 any"),
        (
            vec![
                Entry { default_deny: false, ..rules() },
                entry(Action::Allow, EntryPeers::Nobody, Vec::new()),
            ],
            "http 1",
        ),
    ];
    for (at, (entries, want)) in cases.into_iter().enumerate() {
        assert_eq!(word(&ingress(entries), CLI, Protocol::Tcp, 80), want, "case {at}");
    }
}

#[test]
fn absent_peers_are_everybody_only_where_ports_are_named() {
    for (peers, ports, want) in [
        (EntryPeers::Unsaid, Vec::new(), "none"),
        (EntryPeers::Unsaid, vec![tcp(Port::All)], "allow"),
        (EntryPeers::Nobody, vec![tcp(Port::All)], "none"),
        (EntryPeers::Nobody, Vec::new(), "none"),
    ] {
        let policy = ingress(vec![entry(Action::Allow, peers, ports)]);
        assert_eq!(word(&policy, CLI, Protocol::Tcp, 80), want);
        assert_eq!(policy.enforcement, Enforcement::Enforced);
    }
    // `toPorts: [{}]` names no port.
    let empty = Entry { has_ports: true, ..entry(Action::Allow, from("cli"), Vec::new()) };
    assert_eq!(word(&ingress(vec![empty]), CLI, Protocol::Tcp, 80), "none");
}

#[test]
fn rules_without_default_deny_restrict_nothing_but_what_they_deny() {
    let soft = |action, peers| Entry { default_deny: false, ..entry(action, peers, Vec::new()) };
    let policy = ingress(vec![soft(Action::Deny, from("other"))]);
    assert_eq!(word(&policy, OTHER, Protocol::Tcp, 80), "deny");
    assert_eq!(word(&policy, CLI, Protocol::Tcp, 80), "allow");
    assert_eq!(word(&policy, IdentityId(9999), Protocol::Udp, 1), "allow");
}

#[test]
fn what_selects_nobody_enforces_nothing_and_a_refused_policy_closes() {
    assert_eq!(ingress(Vec::new()).enforcement, Enforcement::Open);
    let open = Entry {
        subject: Selector::equals(None, "app", "nobody"),
        ..entry(Action::Deny, from("cli"), Vec::new())
    };
    assert_eq!(word(&ingress(vec![open]), CLI, Protocol::Tcp, 80), "allow");
    let closed = ingress(vec![
        entry(Action::Allow, from("cli"), Vec::new()),
        entry(Action::Close, EntryPeers::Nobody, Vec::new()),
    ]);
    assert_eq!(word(&closed, CLI, Protocol::Tcp, 80), "closed");
    assert_eq!(word(&closed, IdentityId::HOST, Protocol::Tcp, 80), "closed");
}

#[test]
fn an_endpoint_without_labels_is_closed_by_default() {
    let labels = Labels::new(vec![Label::new("reserved", "init", "")]);
    let identities = identities();
    let peers = Peers { identities: &identities, named_ports: &HashMap::new() };
    let policy = compile(Subject { labels: &labels, named_ports: &[] }, &[], peers);
    assert_eq!(word(&policy.ingress, IdentityId::HOST, Protocol::Tcp, 80), "none");
    assert_eq!(word(&policy.egress, CLI, Protocol::Tcp, 80), "none");
}

#[test]
fn cidr_rules_reach_the_world_and_not_the_cluster() {
    let cidr = |net: &str, except: &[&str]| {
        let except = except.iter().map(|hole| hole.parse().expect("a network")).collect();
        EntryPeers::Selected(vec![PeerSelector::Cidr { net: net.parse().expect("a network"), except }])
    };
    for (peers, net, world) in [
        (cidr("10.0.0.0/8", &[]), "allow", "none"),
        (cidr("10.1.2.0/24", &[]), "none", "none"),
        (cidr("0.0.0.0/0", &[]), "allow", "allow"),
        (cidr("0.0.0.0/0", &["10.0.0.0/8"]), "none", "allow"),
        (cidr("10.0.0.0/8", &["10.1.2.0/24"]), "allow", "none"),
        (cidr("::/0", &[]), "none", "none"),
    ] {
        let policy = ingress(vec![entry(Action::Allow, peers.clone(), Vec::new())]);
        assert_eq!(word(&policy, IdentityId::FIRST_CIDR, Protocol::Tcp, 1), net, "{peers:?}");
        assert_eq!(word(&policy, IdentityId::WORLD_IPV4, Protocol::Tcp, 1), world, "{peers:?}");
        assert_eq!(word(&policy, CLI, Protocol::Tcp, 1), "none", "{peers:?}");
    }
}

#[test]
fn named_ports_are_those_of_the_destination() {
    let named = |name: &str| vec![tcp(Port::Named(name.into()))];
    let policy = ingress(vec![entry(Action::Allow, from("cli"), named("http"))]);
    assert_eq!(word(&policy, CLI, Protocol::Tcp, 8080), "allow");
    assert_eq!(word(&policy, CLI, Protocol::Tcp, 80), "none");
    let nothing = ingress(vec![entry(Action::Allow, from("cli"), named("grpc"))]);
    assert_eq!(word(&nothing, CLI, Protocol::Tcp, 8080), "none");

    let entry =
        Entry { direction: Direction::Egress, ..entry(Action::Allow, EntryPeers::Unsaid, named("http")) };
    let port = |port| NamedPort { name: "http".into(), port, protocol: Protocol::Tcp };
    let named_ports = HashMap::from([(CLI, vec![port(81)]), (OTHER, vec![port(82), port(83)])]);
    let (labels, identities) = (labels("web"), identities());
    let peers = Peers { identities: &identities, named_ports: &named_ports };
    let egress = compile(Subject { labels: &labels, named_ports: &[] }, &[Arc::new(entry)], peers).egress;
    assert_eq!(word(&egress, CLI, Protocol::Tcp, 81), "allow");
    assert_eq!(word(&egress, CLI, Protocol::Tcp, 82), "none");
    assert_eq!(word(&egress, OTHER, Protocol::Tcp, 82), "none", "two ports under one name are none");
    assert_eq!(word(&egress, IdentityId::WORLD_IPV4, Protocol::Tcp, 81), "none");
}

/// The kernel's map takes the longest match in a peer's own list and in that of any peer, and of
/// both the one of higher precedence; that must be what [`connection`] says.
#[test]
fn the_longest_match_of_higher_precedence_is_the_verdict() {
    let ranges = [(0, 0), (1, 1023), (80, 80), (80, 95), (64, 127), (443, 8443)];
    let actions = [Action::Allow, Action::Deny];
    let mut seed = 1u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(seed >> 33).expect("31 bits") % below
    };
    for _ in 0..200 {
        let mut entries = Vec::new();
        for _ in 0..4 {
            let peers = [EntryPeers::Unsaid, from("cli"), from("other")][random(3)].clone();
            let (first, last) = ranges[random(ranges.len())];
            let port = if first == 0 { Port::All } else { Port::Range(first, last) };
            let port = if random(3) == 0 && first != 0 { http(port, "^/$") } else { tcp(port) };
            let action = if port.http.is_empty() { actions[random(2)] } else { Action::Allow };
            entries.push(entry(action, peers, if random(8) == 0 { Vec::new() } else { vec![port] }));
        }
        let policy = ingress(entries.clone());
        for peer in [CLI, OTHER, IdentityId(9999)] {
            for port in [1, 22, 79, 80, 81, 95, 96, 127, 443, 8443, 8444] {
                let own = longest(&policy, peer, port);
                let anybody = longest(&policy, IdentityId::UNKNOWN, port);
                let best = own.into_iter().chain(anybody).max_by_key(|e| (e.precedence, e.port_prefix));
                let kind = best.map_or("none", |entry| match entry.verdict {
                    PolicyVerdict::Allow => "allow",
                    PolicyVerdict::Deny => "deny",
                    PolicyVerdict::Http(_) => "http",
                });
                let word = word(&policy, peer, Protocol::Tcp, port);
                assert!(word.starts_with(kind), "{peer} {port}: {word}, the kernel {kind}: {entries:?}");
            }
        }
    }
}

fn longest(policy: &DirectionPolicy, peer: IdentityId, port: u16) -> Option<&PolicyEntry> {
    let list = policy.entries.get(&peer)?.iter();
    let covering = list.filter(|entry| {
        entry.protocol.is_none_or(|p| p == Protocol::Tcp)
            && crate::ports::covers((entry.port, entry.port_prefix), port)
    });
    covering.max_by_key(|entry| (entry.protocol.is_some(), entry.port_prefix))
}
