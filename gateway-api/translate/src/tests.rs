//! A world of objects for the tests of this crate, and what holds across its parts.

use std::collections::HashSet;
use std::net::SocketAddr;

use model::request::{HeaderView, HttpRequest};
use model::route::{RouteMatch, RouteTable};
use model::service::{Backend, Frontend};
use objects::types::{
    BackendTlsPolicy, BackendTrafficPolicy, ConfigMap, EndpointSlice, Gateway, GatewayClass, GrpcRoute,
    ListenerSet, Namespace, Node, Pod, ReferenceGrant, Secret, Service,
};
use objects::{Kind, Object, ObjectKey};
use serde_json::{Value, json};

use super::*;

mod incremental;

/// A store with a translator and what it said last.
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) translator: Translator,
    pub(crate) local: HashSet<IpAddr>,
    pub(crate) last: Translation,
}

impl World {
    /// The GatewayClass `weir` and nothing else. This node has 192.0.2.1.
    pub(crate) fn new() -> Self {
        Self::of(Options::default())
    }

    pub(crate) fn of(options: Options) -> Self {
        let mut translator = Translator::new(options);
        let store = Store::default();
        let last = translator.translate(&store, &HashSet::new(), &[]);
        let mut world = Self { store, translator, local: HashSet::new(), last };
        world.apply("GatewayClass", "weir", json!({"spec": {"controllerName": CONTROLLER}}));
        world
    }

    /// Puts an object in force: `namespace/name`, and everything but its name.
    pub(crate) fn apply(&mut self, kind: &str, name: &str, mut object: Value) -> &mut Self {
        let (namespace, name) = name.split_once('/').unwrap_or(("", name));
        object["metadata"]["name"] = name.into();
        if !namespace.is_empty() {
            object["metadata"]["namespace"] = namespace.into();
        }
        self.store.apply(typed(kind, object), None);
        self
    }

    pub(crate) fn remove(&mut self, kind: Kind, name: &str) -> &mut Self {
        let (namespace, name) = name.split_once('/').unwrap_or(("", name));
        assert!(self.store.remove(&ObjectKey::new(kind, namespace, name)));
        self
    }

    /// A Gateway of one HTTP listener `http` on a port for all namespaces.
    pub(crate) fn gateway(&mut self, name: &str, port: u16) -> &mut Self {
        let all = json!({"namespaces": {"from": "All"}});
        let listener = json!({"name": "http", "port": port, "protocol": "HTTP", "allowedRoutes": all});
        let spec = json!({"gatewayClassName": "weir", "listeners": [listener]});
        self.apply("Gateway", name, json!({ "spec": spec }))
    }

    /// A Service of TCP port 80 with one ready endpoint.
    pub(crate) fn service(&mut self, name: &str, cluster_ip: &str, endpoint: &str) -> &mut Self {
        let spec = json!({"clusterIP": cluster_ip, "ports": [{"port": 80}]});
        self.apply("Service", name, json!({ "spec": spec }));
        self.slice(&format!("{name}-1"), name, endpoint)
    }

    /// An EndpointSlice of one ready IPv4 endpoint on port 8080.
    pub(crate) fn slice(&mut self, name: &str, service: &str, endpoint: &str) -> &mut Self {
        let (_, service) = service.split_once('/').unwrap();
        let slice = json!({
            "metadata": {"labels": {"kubernetes.io/service-name": service}},
            "addressType": "IPv4",
            "ports": [{"port": 8080}],
            "endpoints": [{"addresses": [endpoint]}],
        });
        self.apply("EndpointSlice", name, slice)
    }

    /// An HTTPRoute to Gateway `ns/gw`, or to the parents its spec names.
    pub(crate) fn route(&mut self, name: &str, mut spec: Value) -> &mut Self {
        if spec.get("parentRefs").is_none() {
            spec["parentRefs"] = json!([{"name": "gw", "namespace": "ns"}]);
        }
        self.apply("HTTPRoute", name, json!({ "spec": spec }))
    }

    /// Translates and gives the problems as text.
    pub(crate) fn translate(&mut self) -> Vec<String> {
        let node = ["192.0.2.1".parse().unwrap()];
        self.last = self.translator.translate(&self.store, &self.local, &node);
        self.last.problems.iter().map(ToString::to_string).collect()
    }

    /// Translates; there must be no problem.
    pub(crate) fn ready(&mut self) -> &mut Self {
        assert_eq!(self.translate(), Vec::<String>::new());
        self
    }

    /// What a request at an address of the node finds: `route#rule`, `404` for no route, `no
    /// listener`, or `refused` where nobody listens.
    pub(crate) fn find(&self, port: u16, line: &str, headers: &[(&str, &str)]) -> String {
        let address = SocketAddr::new("192.0.2.1".parse().unwrap(), port);
        let Some(gateway) = self.last.snapshot.gateway(address) else { return "refused".to_owned() };
        with_request(line, headers, |request| match route::listener(gateway, request.authority) {
            None => "no listener".to_owned(),
            Some(listener) => shown(route::find(listener.http_routes().unwrap(), request)),
        })
    }

    pub(crate) fn frontend(&self, address: &str) -> Option<&Arc<Frontend>> {
        self.last.snapshot.frontends.get(&address.parse::<SocketAddr>().unwrap())
    }

    /// What a request to a ClusterIP finds; `bytes` where no route binds.
    pub(crate) fn find_at(&self, address: &str, line: &str) -> String {
        let Some(frontend) = self.frontend(address) else { return "refused".to_owned() };
        let Some(routes) = &frontend.routes else { return "bytes".to_owned() };
        with_request(line, &[], |request| shown(route::find(routes, request)))
    }

    /// The matches that a request to the node on port 80 finds.
    pub(crate) fn matched(&self, line: &str) -> Arc<RouteMatch> {
        let table = self.table(80);
        with_request(line, &[], |request| route::find(table, request).unwrap().clone())
    }

    /// The routes of the first listener on a port.
    pub(crate) fn table(&self, port: u16) -> &Arc<RouteTable> {
        let gateway = self.last.snapshot.gateways.get(&GatewayAddr::tcp(None, port)).unwrap();
        gateway.listeners[0].http_routes().unwrap()
    }

    /// The Service port with this name and number.
    pub(crate) fn backend(&self, name: &str, port: u16) -> Arc<Backend> {
        let same = |b: &&Arc<Backend>| format!("{}/{}", b.service.namespace, b.service.name) == name;
        let mut backends = self.last.snapshot.backends.values().filter(same);
        backends.find(|b| b.port == port).unwrap().clone()
    }

    /// The conditions of an object's parts as `part: Type=Status/Reason ...`, ordered.
    pub(crate) fn statuses(&self, kind: Kind, name: &str) -> Vec<String> {
        let (namespace, name) = name.split_once('/').unwrap();
        let key = ObjectKey::new(kind, namespace, name);
        let shown = |s: Status| {
            let part = match s.part {
                Part::Whole => "whole".to_owned(),
                Part::Ancestor(gateway) => gateway.to_string(),
                Part::Parent(at) => at.to_string(),
                Part::Listener(name) => format!("{name}({})", s.attached_routes.unwrap()),
            };
            let one = |c: &Condition| format!(" {}={}/{}", c.kind, c.status, c.reason);
            format!("{part}:{}", s.conditions.iter().map(one).collect::<String>())
        };
        let statuses = self.translator.statuses().into_iter().filter(|s| s.object == key);
        let mut statuses: Vec<String> = statuses.map(shown).collect();
        statuses.sort();
        statuses
    }
}

/// A block of PEM around these bytes.
pub(crate) fn pem(label: &str, bytes: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = bytes.as_bytes().chunks(3).map(|chunk| {
        let bits = (0..3).fold(0_usize, |bits, at| bits << 8 | usize::from(*chunk.get(at).unwrap_or(&0)));
        let digit =
            |at: usize| if at <= chunk.len() { char::from(DIGITS[bits >> (18 - 6 * at) & 63]) } else { '=' };
        (0..4).map(digit).collect::<String>()
    });
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", digits.collect::<String>())
}

/// A Secret of one certificate, which says its name, and a key.
pub(crate) fn tls_secret_object(name: &str) -> Value {
    let certificate = pem("CERTIFICATE", &format!("{name} certificate"));
    json!({"stringData": {"tls.crt": certificate, "tls.key": pem("PRIVATE KEY", "secret key")}})
}

/// Puts such a Secret in force.
pub(crate) fn tls_secret(world: &mut World, name: &str, certificate: &str) {
    world.apply("Secret", name, tls_secret_object(certificate));
}

/// Puts a ConfigMap of one authority in force.
pub(crate) fn authorities(world: &mut World, name: &str, certificate: &str) {
    world.apply("ConfigMap", name, json!({"data": {"ca.crt": pem("CERTIFICATE", certificate)}}));
}

fn shown(found: Option<&Arc<RouteMatch>>) -> String {
    found.map_or("404".to_owned(), |m| format!("{}#{}", m.rule.route.name, m.rule.index))
}

fn typed(kind: &str, value: Value) -> Object {
    macro_rules! typed {
        ($($kind:literal $variant:ident $type:ty),+ $(,)?) => {
            match kind {
                $($kind => Object::$variant(Arc::new(serde_json::from_value::<$type>(value).unwrap())),)+
                other => panic!("no such kind: {other}"),
            }
        };
    }
    typed! {
        "Node" Node Node,
        "Namespace" Namespace Namespace,
        "Pod" Pod Pod,
        "Service" Service Service,
        "Secret" Secret Secret,
        "ConfigMap" ConfigMap ConfigMap,
        "EndpointSlice" EndpointSlice EndpointSlice,
        "GatewayClass" GatewayClass GatewayClass,
        "Gateway" Gateway Gateway,
        "ListenerSet" ListenerSet ListenerSet,
        "HTTPRoute" HttpRoute HttpRoute,
        "GRPCRoute" GrpcRoute GrpcRoute,
        "TLSRoute" TlsRoute TlsRoute,
        "TCPRoute" TcpRoute TcpRoute,
        "UDPRoute" UdpRoute UdpRoute,
        "BackendTLSPolicy" BackendTlsPolicy BackendTlsPolicy,
        "XBackendTrafficPolicy" BackendTrafficPolicy BackendTrafficPolicy,
        "ReferenceGrant" ReferenceGrant ReferenceGrant,
    }
}

/// Runs `check` with the request `METHOD authority/path?query`.
fn with_request<T>(line: &str, headers: &[(&str, &str)], check: impl FnOnce(&HttpRequest<'_>) -> T) -> T {
    let (method, rest) = line.split_once(' ').unwrap();
    let (authority, target) = rest.split_at(rest.find('/').unwrap());
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let headers: Vec<HeaderView<'_>> =
        headers.iter().map(|(name, value)| HeaderView { name, value: value.as_bytes() }).collect();
    check(&HttpRequest { method, authority, path, query, target, headers: &headers })
}

#[test]
fn an_empty_store_is_an_empty_snapshot() {
    let mut translator = Translator::new(Options::default());
    let first = translator.translate(&Store::default(), &HashSet::new(), &[]);
    assert_eq!(first.snapshot.revision, 1);
    assert!(first.problems.is_empty() && first.listeners().is_empty());
    let again = translator.translate(&Store::default(), &HashSet::new(), &[]);
    assert!(Arc::ptr_eq(&first.snapshot, &again.snapshot), "nothing changed");
}

#[test]
fn the_node_and_its_zone() {
    let node = |zone: &str| json!({"metadata": {"labels": {"topology.kubernetes.io/zone": zone}}});
    let said = |world: &World| {
        let snapshot = &world.last.snapshot;
        (snapshot.node.as_deref().map(str::to_owned), snapshot.zone.as_deref().map(str::to_owned))
    };
    let mut world = World::of(Options { node: Some("n1".to_owned()), ..Options::default() });
    world.apply("Node", "n2", node("z2")).ready();
    assert_eq!(said(&world), (Some("n1".to_owned()), None));
    for zone in ["z1", "moved"] {
        world.apply("Node", "n1", node(zone)).ready();
        assert_eq!(said(&world), (Some("n1".to_owned()), Some(zone.to_owned())));
    }
    let mut unnamed = World::new();
    unnamed.apply("Node", "n1", node("z1")).ready();
    assert_eq!(said(&unnamed), (None, None));
}

#[test]
fn the_main_job() {
    let mut world = World::new();
    world.gateway("ns/gw", 80).service("ns/v1", "10.96.0.1", "10.0.0.1").service(
        "ns/v2",
        "10.96.0.2",
        "10.0.0.2",
    );
    world.service("ns/api", "10.96.0.10", "10.0.0.1");
    let weighted =
        json!([{"name": "v1", "port": 80, "weight": 90}, {"name": "v2", "port": 80, "weight": 10}]);
    let parents = json!([{"name": "gw"}, {"group": "", "kind": "Service", "name": "api", "port": 80}]);
    world.route("ns/api", json!({"parentRefs": parents, "rules": [{"backendRefs": weighted}]}));
    world.ready();
    assert_eq!(world.find(80, "GET anything/at/all", &[]), "api#0");
    assert_eq!(world.find_at("10.96.0.10:80", "GET anything/"), "api#0");
    assert_eq!(world.find_at("10.96.0.1:80", "GET anything/"), "bytes");
    assert_eq!(world.last.listeners(), HashSet::from([GatewayAddr::tcp(None, 80)]));
    let shares: Vec<(u32, Arc<Backend>)> = world
        .matched("GET h/")
        .rule
        .backends
        .iter()
        .map(|b| match b.target {
            model::route::BackendTarget::Service(id) => (b.weight, world.last.snapshot.backends[&id].clone()),
            model::route::BackendTarget::Invalid(_) => panic!("{b:?}"),
        })
        .collect();
    let shown = |(weight, b): &(u32, Arc<Backend>)| format!("{weight} {}", b.endpoints[0].address);
    assert_eq!(shares.iter().map(shown).collect::<Vec<_>>(), ["90 10.0.0.1:8080", "10 10.0.0.2:8080"]);
}
