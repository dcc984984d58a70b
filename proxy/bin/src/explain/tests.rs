//! Questions about one small cluster, by what the answers must say.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use model::Snapshot;
use model::address::{AddressTable, EndpointAddr};
use model::identity::{Identity, IdentityId, Label, Labels};
use model::policy::{
    DirectionPolicy, EndpointPolicy, Enforcement, HttpRule, HttpRules, PolicyEntry, PolicyVerdict,
    RequiredHeader, RuleRef,
};
use model::route::{
    BackendTarget, Filter, PathEdit, PathMatch, Redirect, Rewrite, RouteMatch, RouteRule, RouteTable,
    Timeouts, WeightedBackend,
};
use model::service::ListenerProtocol;
use model::service::{
    AppProtocol, Backend, BackendId, Endpoint, Frontend, GatewayAddr, GatewayPort, Listener, ObjectRef,
};
use model::shared_map::SharedMap;
use model::tls::UpstreamSecurity;
use model::workload::{EndpointId, NamedPort, Protocol, Workload};

use super::answer::Outcome;
use super::{Args, run};

mod streams;

const FRONTEND: u32 = 256;
const STRANGER: u32 = 257;
const API: u32 = 258;

fn object(kind: &'static str, name: &str) -> ObjectRef {
    ObjectRef { kind, namespace: "default".into(), name: name.into() }
}

fn rule(place: &str) -> Arc<RuleRef> {
    Arc::new(RuleRef { policy: object("CiliumNetworkPolicy", "api"), place: place.into() })
}

/// `GET /public` with a header, or `POST /jobs`.
fn http_rules() -> Arc<HttpRules> {
    let rule = |method, path, headers, place: &str| {
        Arc::new(HttpRule {
            path: Some(route::full_match(path).unwrap()),
            method: Some(route::full_match(method).unwrap()),
            host: None,
            headers,
            edits: Vec::new(),
            by: rule(place),
        })
    };
    let key = RequiredHeader { name: "x-key".into(), value: Some("secret".into()) };
    let rules = vec![rule("GET", "/public", vec![key], "http[0]"), rule("POST", "/jobs", vec![], "http[1]")];
    Arc::new(HttpRules { any: None, rules })
}

/// Frontend may speak HTTP with api on 8080, and nobody else anything.
fn api_policy() -> Arc<EndpointPolicy> {
    let entry = |verdict, by| PolicyEntry {
        protocol: Some(Protocol::Tcp),
        port: 8080,
        port_prefix: 16,
        precedence: 2,
        verdict,
        by,
    };
    let mut entries = HashMap::new();
    let http = entry(PolicyVerdict::Http(http_rules()), Some(rule("ingress[0]")));
    entries.insert(IdentityId(FRONTEND), Arc::from([http]));
    let allow = entry(PolicyVerdict::Allow, Some(rule("ingress[1]")));
    entries.insert(IdentityId::INGRESS, Arc::from([allow]));
    let ingress = DirectionPolicy { enforcement: Enforcement::Enforced, entries };
    Arc::new(EndpointPolicy { ingress, egress: DirectionPolicy::default() })
}

struct Cluster {
    snapshot: Snapshot,
    addresses: AddressTable,
    identities: HashMap<IdentityId, Arc<Identity>>,
    workloads: HashMap<IpAddr, Arc<Workload>>,
}

impl Cluster {
    fn pod(&mut self, name: &str, ip: &str, identity: u32, local: Option<u32>) {
        let ip: IpAddr = ip.parse().unwrap();
        let id = IdentityId(identity);
        let labels = Labels::new(vec![Label::new("k8s", "role", name)]);
        self.identities.insert(id, Arc::new(Identity { id, labels, cidr: None }));
        self.addresses.insert_exact(ip, id);
        let named_ports = vec![NamedPort { name: "http".into(), port: 8080, protocol: Protocol::Tcp }];
        let pod = Workload {
            namespace: "default".into(),
            name: name.into(),
            node: "one".into(),
            addresses: vec![ip],
            identity: id,
            named_ports,
            local: local.map(EndpointId),
        };
        self.workloads.insert(ip, Arc::new(pod));
    }
}

fn backend(id: u32, name: &str, endpoints: &[(&str, bool)]) -> (BackendId, Arc<Backend>) {
    let endpoints = endpoints.iter().map(|(address, ready)| Endpoint {
        address: EndpointAddr(address.parse().unwrap()),
        ready: *ready,
        node: None,
        zone: None,
    });
    let backend = Backend {
        id: BackendId(id),
        service: object("Service", name),
        port: 80,
        protocol: AppProtocol::Unspecified,
        endpoints: endpoints.collect(),
        traffic: Arc::default(),
        security: UpstreamSecurity::Cleartext,
    };
    (BackendId(id), Arc::new(backend))
}

fn routes() -> Arc<RouteTable> {
    let to = |weight, target| WeightedBackend { weight, target, filters: Vec::new() };
    let entry = |index, path: &str, filters, backends| {
        Arc::new(RouteMatch {
            path: PathMatch::Prefix(path.into()),
            method: None,
            headers: Vec::new(),
            query: Vec::new(),
            created: 0,
            rule: Arc::new(RouteRule {
                route: object("HTTPRoute", "split"),
                index,
                name: None,
                filters,
                backends,
                timeouts: Timeouts::default(),
                retry: None,
                grpc: false,
            }),
        })
    };
    let split = || {
        vec![
            to(90, BackendTarget::Service(BackendId(1))),
            to(10, BackendTarget::Service(BackendId(2))),
            to(0, BackendTarget::Invalid("no such Service".into())),
        ]
    };
    let redirect = Redirect { path: Some(PathEdit::Full("/new".into())), status: 301, ..Redirect::default() };
    let rewrite = Rewrite { hostname: None, path: Some(PathEdit::Full("/jobs".into())) };
    let invalid = vec![to(1, BackendTarget::Invalid("no such Service".into()))];
    let empty = vec![to(1, BackendTarget::Service(BackendId(3)))];
    let mut table = RouteTable::default();
    for entry in [
        entry(0, "", Vec::new(), split()),
        entry(1, "/old", vec![Filter::Redirect(redirect)], Vec::new()),
        entry(2, "/rewritten", vec![Filter::Rewrite(rewrite)], split()),
        entry(3, "/invalid", Vec::new(), invalid),
        entry(4, "/empty", Vec::new(), empty),
    ] {
        route::insert(&mut table, &["api.test".into(), "10.96.0.1".into()], entry);
    }
    Arc::new(table)
}

fn snapshot() -> Snapshot {
    let mut cluster = Cluster {
        snapshot: Snapshot::default(),
        addresses: AddressTable::default(),
        identities: HashMap::new(),
        workloads: HashMap::new(),
    };
    cluster.pod("frontend", "10.0.0.1", FRONTEND, Some(1));
    cluster.pod("stranger", "10.0.0.2", STRANGER, Some(2));
    cluster.pod("api-v1", "10.0.0.3", API, Some(3));
    cluster.pod("api-v2", "10.0.0.4", API, Some(4));
    cluster.pod("far", "10.0.1.1", API, None);
    let open = || Arc::new(EndpointPolicy::default());
    let policies = [(1, open()), (2, open()), (3, api_policy()), (4, api_policy())];
    let plain = Frontend { backend: BackendId(4), routes: None };
    let datagrams = Arc::new(plain.clone());
    let routed = Frontend { backend: BackendId(1), routes: Some(routes()) };
    let listener = Listener {
        gateway: object("Gateway", "front"),
        name: "http".into(),
        hostname: Some("api.test".into()),
        protocol: ListenerProtocol::Http(routes()),
        backend_certificate: None,
    };
    let gateway = GatewayPort { listeners: vec![Arc::new(listener)] };
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    let backends = [
        backend(1, "api", &[("10.0.0.3:8080", true)]),
        backend(2, "api-v2", &[("10.0.0.4:8080", true)]),
        backend(3, "empty", &[("10.0.0.4:8080", false)]),
        backend(4, "both", &[("10.0.0.3:9000", true), ("10.0.1.1:9000", true)]),
    ];
    Snapshot {
        addresses: Arc::new(cluster.addresses),
        identities: Arc::new(cluster.identities),
        workloads: Arc::new(cluster.workloads),
        policies: Arc::new(policies.into_iter().map(|(id, policy)| (EndpointId(id), policy)).collect()),
        backends: Arc::new(backends.into_iter().collect()),
        frontends: Arc::new(SharedMap::from([
            (address("10.96.0.1:80"), Arc::new(routed)),
            (address("10.96.0.2:80"), Arc::new(plain)),
        ])),
        datagram_frontends: Arc::new(SharedMap::from([(address("10.96.0.2:53"), datagrams)])),
        gateways: Arc::new(HashMap::from([(
            GatewayAddr::tcp(Some([10, 1, 1, 1].into()), 80),
            Arc::new(gateway),
        )])),
        ..cluster.snapshot
    }
}

/// Parses `weir explain`'s own flags.
fn args(line: &str) -> Args {
    let command = <Args as clap::Args>::augment_args(clap::Command::new("explain").no_binary_name(true));
    let words = line.split_whitespace().map(|word| word.replace('_', " "));
    <Args as clap::FromArgMatches>::from_arg_matches(&command.get_matches_from(words)).unwrap()
}

#[test]
fn verdicts() {
    let cases = [
        // Direct: policed, never routed.
        ("--from default/frontend --to default/api-v1:8080 --path /public --header x-key:_secret", "ALLOWED"),
        ("--from default/frontend --to pod:default/api-v1 --path /public", "DENIED"),
        ("--from default/frontend --to default/api-v1:http --method POST --path /jobs", "ALLOWED"),
        ("--from default/frontend --to 10.0.0.3:8080 --method POST --path /x/../jobs", "ALLOWED"),
        ("--from default/stranger --to default/api-v1:8080", "DENIED"),
        ("--from default/frontend --to default/api-v1:9", "DENIED"),
        ("--from default/api-v1 --to default/frontend:9 --protocol udp", "ALLOWED"),
        // A pod of another node is judged there.
        ("--from default/stranger --to default/far:8080", "ALLOWED"),
        ("--from 192.0.2.7 --to 203.0.113.9:443", "ALLOWED"),
        // Services.
        ("--from default/frontend --to default/api --method POST --path /jobs", "ALLOWED"),
        ("--from default/frontend --to service:default/api:80 --path /rewritten", "DENIED"),
        ("--from default/frontend --to default/api --method POST --path /rewritten", "ALLOWED"),
        ("--from default/frontend --to default/api --path /old", "ANSWERED"),
        ("--from default/frontend --to default/api --path /invalid", "FAILED"),
        ("--from default/frontend --to default/api --path /empty", "FAILED"),
        ("--from default/frontend --to default/api --host other.test", "FAILED"),
        ("--from default/frontend --to default/both", "MIXED"),
        // Gateways: from outside as reserved:ingress, a pod as itself.
        ("--from outside --to default/front --host api.test", "ALLOWED"),
        ("--from 192.0.2.7 --to gateway:default/front:80 --host API.test", "ALLOWED"),
        ("--from default/stranger --to default/front --host api.test", "DENIED"),
        ("--from outside --to default/front --host other.test", "FAILED"),
    ];
    let snapshot = snapshot();
    for (line, expected) in cases {
        let answer = run(&snapshot, &args(line)).expect(line);
        assert_eq!(answer.json()["verdict"], expected, "{line}\n{}", answer.text());
        assert_eq!(answer.allowed(), matches!(expected, "ALLOWED" | "ANSWERED"), "{line}");
        assert!(answer.text().contains(&format!("verdict  {expected}")), "{}", answer.text());
    }
}

#[test]
fn texts_say_why() {
    let cases: [(&str, &[&str]); 7] = [
        (
            "--from default/frontend --to default/api --path /private",
            &[
                "from     default/frontend 10.0.0.1 (k8s:role=frontend, identity 256)",
                "to       Service default/api:80 at 10.96.0.1:80, TCP",
                "request  GET /private at host 10.96.0.1\n",
                "route    HTTPRoute default/split spec.rules[0], by path / (PathPrefix)",
                "backend  Service default/api:80, weight 90 (90.0%)",
                "endpoint 10.0.0.3:8080 default/api-v1: DENIED",
                "egress  of default/frontend: connection allowed: not enforced",
                "ingress of default/api-v1: HTTP rules judge each request (2 for this peer and port)",
                "request DENIED: no rule matches",
                "http[1]: method \"GET\" does not match \"POST\"; path \"/private\" does not match \"/jobs\"",
                "http[0]: path \"/private\" does not match \"/public\"; header \"x-key\" is missing",
                "weight 0 (0.0%): no such Service (HTTP requests get 500)",
                "verdict  DENIED: 403: Access denied",
            ],
        ),
        (
            "--from default/frontend --to default/api-v1 --path /public --header x-key:_wrong",
            &["http[0]: header \"x-key\" has another value: \"wrong\""],
        ),
        (
            "--from default/stranger --to default/api-v1",
            &[
                "connection DENIED (policy_default_deny): no rule allows it",
                "verdict  DENIED: the connection is dropped",
            ],
        ),
        ("--from default/frontend --to default/api-v1", &["request  GET / at host 10.0.0.3:8080 (assumed"]),
        (
            "--from default/frontend --to default/api --path /old/x",
            &["verdict  ANSWERED: 301 to http://10.96.0.1/new"],
        ),
        (
            "--from outside --to default/front --host api.test",
            &[
                "from     outside (identity 8)",
                "listener Gateway default/front listener http",
                "egress  not judged here: the client is no pod",
                "connection allowed by CiliumNetworkPolicy default/api ingress[1]",
            ],
        ),
        (
            "--from default/frontend --to default/both",
            &["default/far is not on this node; one judges it", "verdict  MIXED"],
        ),
    ];
    let snapshot = snapshot();
    for (line, expected) in cases {
        let text = run(&snapshot, &args(line)).expect(line).text();
        for part in expected {
            assert!(text.contains(part), "{line}: {part:?} is not in\n{text}");
        }
    }
}

#[test]
fn a_service_of_udp_is_one_of_udp_only() {
    let snapshot = snapshot();
    let backends = |line: &str| {
        let explanation = run(&snapshot, &args(line)).expect(line);
        explanation.backends.into_iter().map(|backend| backend.name).collect::<Vec<_>>()
    };
    let line = "--from default/frontend --to 10.96.0.2:53 --protocol udp";
    assert_eq!(backends(line), ["Service default/both:80"]);
    let error = run(&snapshot, &args("--from default/frontend --to 10.96.0.2:53")).unwrap_err().to_string();
    assert_eq!(error, "Service default/both:80 at 10.96.0.2:53 answers on UDP only, not TCP");
}

#[test]
fn refuses_questions_that_mean_nothing() {
    let cases = [
        ("--from default/fronted --to default/api", "did you mean default/frontend?"),
        ("--from frontend --to default/api", "names are NAMESPACE/NAME"),
        ("--from zzz/unheard-of --to default/api", "there is no pod of this name"),
        ("--from outside --to default/apj", "did you mean default/api"),
        ("--from outside --to other/api", "did you mean default/api?"),
        ("--from outside --to default/api:81", "it has no such port, but 80"),
        ("--from outside --to default/api-v1:metrics", "\"metrics\" is no port of it"),
        ("--from outside --to 10.0.0.3", "a port is missing"),
        ("--from outside --to gateway:default/api", "there is no gateway of this name"),
        ("--from outside --to default/api --protocol udp", "answers on TCP only, not UDP"),
        ("--from outside --to default/api-v1 --protocol udp --path /", "a request needs --protocol tcp"),
        ("--from outside --to default/api --path /a%2fb", "answered with 307 to /a/b"),
        ("--from outside --to default/api --path /%00", "answered with 400"),
        ("--from outside --to default/api --path public", "a path begins with `/`, as in \"/public\""),
        ("--from outside --to default/api --header nothing", "has no colon"),
        ("--from outside --to default/api --method G(T", "is no HTTP method"),
    ];
    let snapshot = snapshot();
    for (line, expected) in cases {
        let error = run(&snapshot, &args(line)).expect_err(line).to_string();
        assert!(error.contains(expected), "{line}: {error}");
    }
}

#[test]
fn json_names_the_deciding_rule() {
    let question = args("--from default/frontend --to default/api-v1 --method POST --path /jobs?x");
    let denied = run(&snapshot(), &question).unwrap().json();
    assert_eq!(denied["backends"][0]["endpoints"][0]["ingress"]["request"]["verdict"], "denied");
    assert_eq!(denied["request"]["path"], "/jobs?x");
    let question = args("--from default/frontend --to default/api-v1 --method POST --path /jobs");
    let allowed = run(&snapshot(), &question).unwrap().json();
    let ingress = &allowed["backends"][0]["endpoints"][0]["ingress"];
    assert_eq!(ingress["connection"], "by_request");
    assert_eq!(ingress["request"]["rule"], "CiliumNetworkPolicy default/api http[1]");
    assert_eq!(allowed["source"]["identity"], FRONTEND);
}
