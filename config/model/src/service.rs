//! Services: the addresses clients dial and the endpoints behind them.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::address::EndpointAddr;
use crate::route::{RouteRule, RouteTable, SniTable};
use crate::tls::{KeyPair, ServerTls, UpstreamSecurity};
use crate::traffic::TrafficPolicy;
use crate::workload::Protocol;

/// A namespaced Kubernetes object of a known kind, for messages and flow records.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectRef {
    /// `Service`, `HTTPRoute`, `CiliumNetworkPolicy`...
    pub kind: &'static str,
    /// `metadata.namespace`; empty for cluster-scoped kinds.
    pub namespace: Arc<str>,
    /// `metadata.name`.
    pub name: Arc<str>,
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// The number of one Service port on this node: what routes name their backends by, so that a
/// change of endpoints rebuilds no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BackendId(pub u32);

/// What a Service port speaks (`spec.ports[].appProtocol`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AppProtocol {
    /// Not said.
    #[default]
    Unspecified,
    /// `http`.
    Http,
    /// `kubernetes.io/h2c`.
    H2c,
    /// `kubernetes.io/ws`.
    WebSocket,
    /// Anything else: bytes.
    Opaque,
}

/// One address behind a Service port, from an EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where to connect.
    pub address: EndpointAddr,
    /// `conditions.ready`; only ready endpoints get new requests.
    pub ready: bool,
    /// `endpoints[].nodeName`, for locality.
    pub node: Option<Arc<str>>,
    /// `endpoints[].zone`, for locality.
    pub zone: Option<Arc<str>>,
}

/// One port of one Service with its endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Its number.
    pub id: BackendId,
    /// The Service.
    pub service: ObjectRef,
    /// The Service's port.
    pub port: u16,
    /// What it speaks.
    pub protocol: AppProtocol,
    /// Endpoints of every readiness, ordered by address.
    pub endpoints: Arc<[Endpoint]>,
    /// How load is spread over them and what they are protected by.
    pub traffic: Arc<TrafficPolicy>,
    /// Whether connections to them are encrypted (BackendTLSPolicy).
    pub security: UpstreamSecurity,
}

/// What answers on a ClusterIP and port.
#[derive(Clone, Debug)]
pub struct Frontend {
    /// The Service port behind it.
    pub backend: BackendId,
    /// HTTPRoutes whose parentRef is the Service; `None` means bytes.
    pub routes: Option<Arc<RouteTable>>,
}

/// Where a Gateway listens: an address of its own, or every address of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GatewayAddr {
    /// `None`: every address.
    pub ip: Option<IpAddr>,
    /// The listener's port.
    pub port: u16,
    /// [`Protocol::Udp`] for UDP listeners, [`Protocol::Tcp`] for all others.
    pub transport: Protocol,
}

impl GatewayAddr {
    /// An address of TCP.
    pub fn tcp(ip: Option<IpAddr>, port: u16) -> Self {
        Self { ip, port, transport: Protocol::Tcp }
    }
}

/// The listeners of all Gateways on one address and port. Their protocols go together: HTTP alone,
/// HTTPS with TLS, a single TCP or a single UDP one.
#[derive(Clone, Debug, Default)]
pub struct GatewayPort {
    /// Most specific hostname first: exact, then the longest wildcard, then none. A request
    /// belongs to the first that matches and to no other (listener isolation).
    pub listeners: Vec<Arc<Listener>>,
}

/// One listener of a Gateway.
#[derive(Clone, Debug)]
pub struct Listener {
    /// The Gateway.
    pub gateway: ObjectRef,
    /// `listeners[].name`; that of a ListenerSet's has the set's namespace and name in front.
    pub name: Arc<str>,
    /// `listeners[].hostname`, lower case; `None` matches every host.
    pub hostname: Option<Arc<str>>,
    /// What it speaks, with the routes attached to it.
    pub protocol: ListenerProtocol,
    /// `spec.tls.backend.clientCertificateRef` of the Gateway: presented to endpoints that speak TLS.
    pub backend_certificate: Option<Arc<KeyPair>>,
}

/// `listeners[].protocol` and `tls.mode`.
#[derive(Clone, Debug)]
pub enum ListenerProtocol {
    /// `HTTP`: HTTP/1.1 and cleartext HTTP/2.
    Http(Arc<RouteTable>),
    /// `HTTPS`: the same in TLS.
    Https {
        /// What it presents.
        tls: Arc<ServerTls>,
        /// Its HTTPRoutes and GRPCRoutes.
        routes: Arc<RouteTable>,
    },
    /// `TLS` with `mode: Passthrough`: bytes, routed by the server name that the client sends.
    TlsPassthrough(Arc<SniTable>),
    /// `TLS` with `mode: Terminate`: the bytes inside go to the endpoint.
    TlsTerminate {
        /// What it presents.
        tls: Arc<ServerTls>,
        /// Its TLSRoutes.
        routes: Arc<SniTable>,
    },
    /// `TCP`; `None` without a TCPRoute: connections are reset.
    Tcp(Option<Arc<RouteRule>>),
    /// `UDP`; `None` without a UDPRoute: datagrams are dropped.
    Udp(Option<Arc<RouteRule>>),
}

impl Listener {
    /// The routes of an HTTP or HTTPS listener.
    pub fn http_routes(&self) -> Option<&Arc<RouteTable>> {
        match &self.protocol {
            ListenerProtocol::Http(routes) | ListenerProtocol::Https { routes, .. } => Some(routes),
            _ => None,
        }
    }

    /// What a listener that terminates TLS presents.
    pub fn server_tls(&self) -> Option<&Arc<ServerTls>> {
        match &self.protocol {
            ListenerProtocol::Https { tls, .. } | ListenerProtocol::TlsTerminate { tls, .. } => Some(tls),
            _ => None,
        }
    }
}
