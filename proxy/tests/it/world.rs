//! A proxy with a Snapshot made by hand: one Gateway port, one ClusterIP, pods on 127.0.0.x.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use model::Snapshot;
use model::address::{AddressTable, EndpointAddr};
use model::flow::FlowRecord;
use model::identity::{Identities, Identity, IdentityId, Label, Labels};
use model::policy::{
    DirectionPolicy, EndpointPolicy, Enforcement, HttpRule, HttpRules, PolicyEntry, PolicyVerdict, RuleRef,
};
use model::route::{
    BackendTarget, Filter, PathMatch, RouteMatch, RouteRule, RouteTable, Timeouts, WeightedBackend,
};
use model::service::ListenerProtocol;
use model::service::{
    AppProtocol, Backend, BackendId, Endpoint, Frontend, GatewayAddr, GatewayPort, Listener, ObjectRef,
};
use model::shared_map::SharedMap;
use model::tls::UpstreamSecurity;
use model::traffic::TrafficPolicy;
use model::workload::{EndpointId, Protocol, Workload};
use proxy::{Config, Limits, ListenerKind, Proxy};

use crate::client::{pod, until};

/// What a Snapshot is made of.
#[derive(Clone, Default)]
pub(crate) struct Plan {
    /// Endpoints of each Service, numbered from 0.
    pub(crate) services: Vec<Vec<SocketAddr>>,
    /// Routes of the Gateway: any host.
    pub(crate) routes: RouteTable,
    /// Routes of the ClusterIP, whose backend is service 0; `None`: bytes.
    pub(crate) service_routes: Option<RouteTable>,
    /// Pods of this node by the last byte of their address, with their policies.
    pub(crate) pods: HashMap<u8, EndpointPolicy>,
    /// Of every service.
    pub(crate) traffic: Arc<TrafficPolicy>,
    pub(crate) limits: Limits,
    pub(crate) hostname: Option<&'static str>,
    /// What every service says that it speaks.
    pub(crate) protocol: AppProtocol,
    pub(crate) added: i64,
}

pub(crate) struct World {
    pub(crate) gateway: SocketAddr,
    pub(crate) service: SocketAddr,
    pub(crate) proxy: Option<Proxy>,
    reader: telemetry::Reader,
    revision: u64,
}

/// A rule that leads to service 0.
pub(crate) fn rule() -> RouteRule {
    RouteRule {
        route: ObjectRef { kind: "HTTPRoute", namespace: "test".into(), name: "route".into() },
        index: 0,
        name: None,
        filters: Vec::new(),
        backends: vec![to(0, 1)],
        timeouts: Timeouts::default(),
        retry: None,
        grpc: false,
    }
}

/// A backend reference.
pub(crate) fn to(service: u32, weight: u32) -> WeightedBackend {
    WeightedBackend { weight, target: BackendTarget::Service(BackendId(service)), filters: Vec::new() }
}

impl Plan {
    /// One service behind the Gateway and the ClusterIP.
    pub(crate) fn new(endpoints: &[SocketAddr]) -> Self {
        Self { services: vec![endpoints.to_vec()], ..Self::default() }.route("/", rule())
    }

    /// Adds a route by path prefix; it wins over those before it.
    pub(crate) fn route(mut self, prefix: &str, rule: RouteRule) -> Self {
        let entry = RouteMatch {
            path: PathMatch::Prefix(prefix.trim_end_matches('/').into()),
            method: None,
            headers: Vec::new(),
            query: Vec::new(),
            created: -self.added,
            rule: Arc::new(rule),
        };
        self.added += 1;
        route::insert(&mut self.routes, &[], Arc::new(entry));
        self
    }

    pub(crate) fn filtered(self, prefix: &str, filters: Vec<Filter>) -> Self {
        self.route(prefix, RouteRule { filters, ..rule() })
    }

    pub(crate) fn service(mut self, endpoints: &[SocketAddr]) -> Self {
        self.services.push(endpoints.to_vec());
        self
    }

    pub(crate) fn pod(mut self, last: u8, policy: EndpointPolicy) -> Self {
        self.pods.insert(last, policy);
        self
    }

    pub(crate) fn traffic(mut self, traffic: TrafficPolicy) -> Self {
        self.traffic = Arc::new(traffic);
        self
    }

    pub(crate) fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    pub(crate) fn speaks(mut self, protocol: AppProtocol) -> Self {
        self.protocol = protocol;
        self
    }

    fn snapshot(&self, revision: u64, gateway: SocketAddr, service: SocketAddr) -> Snapshot {
        let mut addresses = AddressTable::default();
        let mut identities = Identities::new();
        let mut name = |id: IdentityId, label: Label| {
            let labels = Labels::new(vec![label]);
            identities.insert(id, Arc::new(Identity { id, labels, cidr: None }));
        };
        name(IdentityId::INGRESS, Label::new("reserved", "ingress", ""));
        let (mut workloads, mut policies) = (HashMap::new(), HashMap::new());
        for (last, policy) in &self.pods {
            addresses.insert_exact(pod(*last), identity(*last));
            name(identity(*last), Label::new("k8s", "pod", &last.to_string()));
            workloads.insert(pod(*last), Arc::new(workload(*last)));
            policies.insert(EndpointId(u32::from(*last)), Arc::new(policy.clone()));
        }
        let backends = self
            .services
            .iter()
            .enumerate()
            .map(|(at, list)| Backend { protocol: self.protocol, ..backend(at, list, &self.traffic) });
        let listener = Listener {
            gateway: ObjectRef { kind: "Gateway", namespace: "test".into(), name: "gateway".into() },
            name: "http".into(),
            hostname: self.hostname.map(Into::into),
            protocol: ListenerProtocol::Http(Arc::new(self.routes.clone())),
            backend_certificate: None,
        };
        let frontend = Frontend { backend: BackendId(0), routes: self.service_routes.clone().map(Arc::new) };
        let address = GatewayAddr::tcp(None, gateway.port());
        Snapshot {
            revision,
            identities: Arc::new(identities),
            addresses: Arc::new(addresses),
            workloads: Arc::new(workloads),
            policies: Arc::new(policies),
            backends: Arc::new(backends.map(|b| (b.id, Arc::new(b))).collect()),
            frontends: Arc::new(SharedMap::from([(service, Arc::new(frontend))])),
            datagram_frontends: Arc::default(),
            gateways: Arc::new(HashMap::from([(
                address,
                Arc::new(GatewayPort { listeners: vec![Arc::new(listener)] }),
            )])),
            node_addresses: [IpAddr::V4(Ipv4Addr::LOCALHOST)].into(),
            node: None,
            zone: None,
        }
    }

    pub(crate) fn start(&self) -> World {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (gateway, service) = (listen(), listen());
        let addresses = (gateway.local_addr().unwrap(), service.local_addr().unwrap());
        let snapshot = Arc::new(self.snapshot(1, addresses.0, addresses.1));
        let listeners = vec![
            proxy::Listener { socket: gateway, kind: ListenerKind::Gateway },
            proxy::Listener { socket: service, kind: ListenerKind::Transparent },
        ];
        let (writer, reader) = telemetry::ring(4096);
        let config = Config { limits: self.limits.clone(), ..Config::default() };
        let proxy = Proxy::start(config, snapshot, vec![listeners], vec![writer]).unwrap();
        World { gateway: addresses.0, service: addresses.1, proxy: Some(proxy), reader, revision: 1 }
    }
}

impl World {
    pub(crate) fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().unwrap()
    }

    /// Puts another plan in force and waits until it is.
    pub(crate) fn publish(&mut self, plan: &Plan) {
        self.publish_changed(plan, |_| {});
    }

    /// The same, with a change that no plan has.
    pub(crate) fn publish_changed(&mut self, plan: &Plan, change: impl FnOnce(&mut Snapshot)) {
        self.revision += 1;
        let mut snapshot = plan.snapshot(self.revision, self.gateway, self.service);
        change(&mut snapshot);
        self.proxy().publish(Arc::new(snapshot));
        until("published", || self.proxy().revision() == self.revision);
    }

    /// The next flow record.
    pub(crate) fn flow(&mut self) -> FlowRecord {
        let mut record = None;
        until("a flow record", || {
            record = self.reader.pop();
            record.is_some()
        });
        *record.unwrap()
    }

    /// Whether no further record is there.
    pub(crate) fn has_no_flow(&mut self) -> bool {
        self.flows_left().is_empty()
    }

    /// The records that are there.
    pub(crate) fn flows_left(&mut self) -> Vec<FlowRecord> {
        std::iter::from_fn(|| self.reader.pop()).map(|record| *record).collect()
    }
}

/// The identity of a test pod.
pub(crate) fn identity(last: u8) -> IdentityId {
    IdentityId(IdentityId::FIRST_ALLOCATED.0 + u32::from(last))
}

fn workload(last: u8) -> Workload {
    Workload {
        namespace: "test".into(),
        name: format!("pod-{last}").into(),
        node: "node".into(),
        addresses: vec![pod(last)],
        identity: identity(last),
        named_ports: Vec::new(),
        local: Some(EndpointId(u32::from(last))),
    }
}

fn backend(at: usize, endpoints: &[SocketAddr], traffic: &Arc<TrafficPolicy>) -> Backend {
    let endpoint = |address: &SocketAddr| Endpoint {
        address: EndpointAddr(*address),
        ready: true,
        node: None,
        zone: None,
    };
    Backend {
        id: BackendId(u32::try_from(at).unwrap()),
        service: ObjectRef { kind: "Service", namespace: "test".into(), name: format!("svc-{at}").into() },
        port: 80,
        protocol: AppProtocol::Unspecified,
        endpoints: endpoints.iter().map(endpoint).collect(),
        traffic: traffic.clone(),
        security: UpstreamSecurity::Cleartext,
    }
}

/// The rule behind a test policy.
pub(crate) fn by(place: &str) -> Arc<RuleRef> {
    let policy = ObjectRef { kind: "CiliumNetworkPolicy", namespace: "test".into(), name: "policy".into() };
    Arc::new(RuleRef { policy, place: place.into() })
}

/// One direction that lets a peer do one thing and nothing else.
pub(crate) fn only(peer: IdentityId, verdict: PolicyVerdict) -> DirectionPolicy {
    let entry = PolicyEntry {
        protocol: Some(Protocol::Tcp),
        port: 0,
        port_prefix: 0,
        precedence: 1,
        verdict,
        by: Some(by("spec.rule[0]")),
    };
    let entries = HashMap::from([(peer, Arc::from(vec![entry]))]);
    DirectionPolicy { enforcement: Enforcement::Enforced, entries }
}

/// One direction that lets nothing pass.
pub(crate) fn nothing() -> DirectionPolicy {
    DirectionPolicy { enforcement: Enforcement::Enforced, entries: HashMap::new() }
}

/// HTTP rules that let one method and path pass.
pub(crate) fn http(method: &str, path: &str) -> PolicyVerdict {
    let whole = |text: &str| route::full_match(text).unwrap();
    let rule = HttpRule {
        path: Some(whole(path)),
        method: Some(whole(method)),
        host: None,
        headers: Vec::new(),
        edits: Vec::new(),
        by: by("spec.rule[0].http[0]"),
    };
    PolicyVerdict::Http(Arc::new(HttpRules { any: None, rules: vec![Arc::new(rule)] }))
}

pub(crate) fn ingress(policy: DirectionPolicy) -> EndpointPolicy {
    EndpointPolicy { ingress: policy, egress: DirectionPolicy::default() }
}

pub(crate) fn egress(policy: DirectionPolicy) -> EndpointPolicy {
    EndpointPolicy { ingress: DirectionPolicy::default(), egress: policy }
}
