//! What the five kinds of routes have in common, whatever the bindings call it.

use gateway_api::apis::experimental::{httproutes, tcproutes, udproutes};
use gateway_api::apis::standard::{grpcroutes, tlsroutes};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::kind::Kind;
use crate::store::{Store, Table};
use crate::types::{GrpcRoute, HttpRoute, TcpRoute, TlsRoute, UdpRoute};

/// `spec.parentRefs[]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParentRef<'a> {
    /// `group`; the Gateway API's when it is not said.
    pub group: Option<&'a str>,
    /// `kind`; `Gateway` when it is not said.
    pub kind: Option<&'a str>,
    /// `namespace`; the route's own when it is not said.
    pub namespace: Option<&'a str>,
    /// `name`.
    pub name: &'a str,
    /// `sectionName`: the listener or Service port of this name alone.
    pub section_name: Option<&'a str>,
    /// `port`: the listeners or the Service port of this number alone.
    pub port: Option<i32>,
}

/// `backendRefs[]`, or the `backendRef` of a mirror, which has no weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackendRef<'a> {
    /// `group`; the core group when it is not said.
    pub group: Option<&'a str>,
    /// `kind`; `Service` when it is not said.
    pub kind: Option<&'a str>,
    /// `namespace`; the route's own when it is not said.
    pub namespace: Option<&'a str>,
    /// `name`.
    pub name: &'a str,
    /// `port`.
    pub port: Option<i32>,
    /// `weight`; 1 when it is not said.
    pub weight: Option<i32>,
}

/// A rule of a TLSRoute, TCPRoute or UDPRoute: a name and where the bytes go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamRule<'a> {
    /// `name`.
    pub name: Option<&'a str>,
    /// `backendRefs`.
    pub backends: Vec<BackendRef<'a>>,
}

/// A route of any kind.
pub trait Route: Sized {
    /// Its kind.
    const KIND: Kind;

    /// The routes of this kind in a store.
    fn table(store: &Store) -> &Table<Self>;

    /// `metadata`.
    fn metadata(&self) -> &ObjectMeta;

    /// `spec.parentRefs`.
    fn parents(&self) -> Vec<ParentRef<'_>>;

    /// `spec.hostnames`; empty for kinds that have none.
    fn hostnames(&self) -> &[String];
}

/// A route of bytes: TLSRoute, TCPRoute, UDPRoute.
pub trait StreamRoute: Route {
    /// `spec.rules`.
    fn rules(&self) -> Vec<StreamRule<'_>>;

    /// Whether `useDefaultGateways` asks for parents that the route does not name.
    fn wants_default_gateways(&self) -> bool;
}

macro_rules! backend {
    ($($weight:ident $type:path),+ $(,)?) => {$(
        impl<'a> From<&'a $type> for BackendRef<'a> {
            fn from(from: &'a $type) -> Self {
                Self {
                    group: from.group.as_deref(),
                    kind: from.kind.as_deref(),
                    namespace: from.namespace.as_deref(),
                    name: &from.name,
                    port: from.port,
                    weight: backend!(@$weight from),
                }
            }
        }
    )+};
    (@weighted $from:ident) => { $from.weight };
    (@plain $from:ident) => { None };
}

backend! {
    weighted httproutes::HttpRouteRulesBackendRefs,
    weighted grpcroutes::GrpcRouteRulesBackendRefs,
    weighted tlsroutes::TlsRouteRulesBackendRefs,
    weighted tcproutes::TcpRouteRulesBackendRefs,
    weighted udproutes::UdpRouteRulesBackendRefs,
    plain httproutes::HttpRouteRulesFiltersRequestMirrorBackendRef,
    plain grpcroutes::GrpcRouteRulesFiltersRequestMirrorBackendRef,
}

macro_rules! route {
    ($type:ident, $table:ident, $object:ident => $hostnames:expr) => {
        impl Route for $type {
            const KIND: Kind = Kind::$type;

            fn table(store: &Store) -> &Table<Self> {
                store.$table()
            }

            fn metadata(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn parents(&self) -> Vec<ParentRef<'_>> {
                let parents = self.spec.parent_refs.iter().flatten();
                parents
                    .map(|from| ParentRef {
                        group: from.group.as_deref(),
                        kind: from.kind.as_deref(),
                        namespace: from.namespace.as_deref(),
                        name: &from.name,
                        section_name: from.section_name.as_deref(),
                        port: from.port,
                    })
                    .collect()
            }

            fn hostnames(&self) -> &[String] {
                let $object = self;
                $hostnames
            }
        }
    };
}

route!(HttpRoute, http_routes, route => route.spec.hostnames.as_deref().unwrap_or_default());
route!(GrpcRoute, grpc_routes, route => route.spec.hostnames.as_deref().unwrap_or_default());
route!(TlsRoute, tls_routes, route => &route.spec.hostnames);
route!(TcpRoute, tcp_routes, _route => &[]);
route!(UdpRoute, udp_routes, _route => &[]);

macro_rules! stream_route {
    ($type:ident, $object:ident => $default:expr) => {
        impl StreamRoute for $type {
            fn rules(&self) -> Vec<StreamRule<'_>> {
                let rules = self.spec.rules.iter();
                rules
                    .map(|rule| StreamRule {
                        name: rule.name.as_deref(),
                        backends: rule.backend_refs.iter().map(BackendRef::from).collect(),
                    })
                    .collect()
            }

            fn wants_default_gateways(&self) -> bool {
                let $object = self;
                $default
            }
        }
    };
}

stream_route!(TlsRoute, _route => false);
stream_route!(TcpRoute, route => {
    matches!(route.spec.use_default_gateways, Some(tcproutes::TcpRouteUseDefaultGateways::All))
});
stream_route!(UdpRoute, route => {
    matches!(route.spec.use_default_gateways, Some(udproutes::UdpRouteUseDefaultGateways::All))
});
