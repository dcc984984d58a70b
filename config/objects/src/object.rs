//! One object of any kind that Weir reads, and its name.

use std::fmt;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::kind::Kind;
use crate::types::{
    BackendTlsPolicy, BackendTrafficPolicy, CiliumClusterwideNetworkPolicy, CiliumNetworkPolicy, ConfigMap,
    EndpointSlice, Gateway, GatewayClass, GrpcRoute, HttpRoute, ListenerSet, Namespace, Node, Pod,
    ReferenceGrant, Secret, Service, TcpRoute, TlsRoute, UdpRoute,
};

/// The name of an object: no two objects of a [`Store`](crate::Store) share one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// The kind.
    pub kind: Kind,
    /// `metadata.namespace`; empty for cluster-scoped kinds.
    pub namespace: Arc<str>,
    /// `metadata.name`.
    pub name: Arc<str>,
}

impl ObjectKey {
    /// A key of its parts; the namespace is dropped for cluster-scoped kinds.
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        let namespace = if kind.namespaced() { namespace } else { "" };
        Self { kind, namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

macro_rules! objects {
    ($($kind:ident: $doc:literal),+ $(,)?) => {
        /// An object of a kind that Weir reads.
        #[derive(Clone, Debug)]
        pub enum Object {
            $(#[doc = $doc] $kind(Arc<$kind>),)+
        }

        impl Object {
            /// Its kind.
            pub fn kind(&self) -> Kind {
                match self {
                    $(Self::$kind(_) => Kind::$kind,)+
                }
            }

            /// `metadata`.
            pub fn metadata(&self) -> &ObjectMeta {
                match self {
                    $(Self::$kind(object) => &object.metadata,)+
                }
            }
        }
    };
}

objects! {
    Node: "A Node.",
    Namespace: "A Namespace.",
    Pod: "A Pod.",
    Service: "A Service.",
    Secret: "A Secret.",
    ConfigMap: "A ConfigMap.",
    EndpointSlice: "An EndpointSlice.",
    GatewayClass: "A GatewayClass.",
    Gateway: "A Gateway.",
    ListenerSet: "A ListenerSet.",
    HttpRoute: "An HTTPRoute.",
    GrpcRoute: "A GRPCRoute.",
    TlsRoute: "A TLSRoute.",
    TcpRoute: "A TCPRoute.",
    UdpRoute: "A UDPRoute.",
    ReferenceGrant: "A ReferenceGrant.",
    BackendTlsPolicy: "A BackendTLSPolicy.",
    BackendTrafficPolicy: "An XBackendTrafficPolicy.",
    CiliumNetworkPolicy: "A CiliumNetworkPolicy.",
    CiliumClusterwideNetworkPolicy: "A CiliumClusterwideNetworkPolicy.",
}

impl Object {
    /// Its name; a namespaced object that names no namespace is in `default`.
    pub fn key(&self) -> ObjectKey {
        let metadata = self.metadata();
        let namespace = metadata.namespace.as_deref().unwrap_or("default");
        ObjectKey::new(self.kind(), namespace, metadata.name.as_deref().unwrap_or_default())
    }
}
