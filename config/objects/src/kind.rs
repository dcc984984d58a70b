//! The kinds that Weir reads and what Kubernetes says about each.

use std::fmt;

/// The group of the Gateway API.
const GATEWAY_API: &str = "gateway.networking.k8s.io";
/// The versions of the kinds that have been in the Gateway API from the start.
const OLDEST: &[&str] = &["v1", "v1beta1"];

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident: $name:literal, $plural:literal, $group:expr, $versions:expr;)+) => {
        /// A Kubernetes kind that Weir reads.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind {
            $($(#[$doc])* $variant,)+
        }

        impl Kind {
            /// Every kind, in the order of the enum.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            fn facts(self) -> Facts {
                match self {
                    $(Self::$variant => Facts {
                        name: $name, plural: $plural, group: $group, versions: $versions,
                    },)+
                }
            }
        }
    };
}

/// What Kubernetes says about a kind.
struct Facts {
    name: &'static str,
    plural: &'static str,
    group: &'static str,
    versions: &'static [&'static str],
}

kinds! {
    /// `v1` Node.
    Node: "Node", "nodes", "", &["v1"];
    /// `v1` Namespace.
    Namespace: "Namespace", "namespaces", "", &["v1"];
    /// `v1` Pod.
    Pod: "Pod", "pods", "", &["v1"];
    /// `v1` Service.
    Service: "Service", "services", "", &["v1"];
    /// `v1` Secret.
    Secret: "Secret", "secrets", "", &["v1"];
    /// `v1` ConfigMap.
    ConfigMap: "ConfigMap", "configmaps", "", &["v1"];
    /// `discovery.k8s.io/v1` EndpointSlice.
    EndpointSlice: "EndpointSlice", "endpointslices", "discovery.k8s.io", &["v1"];
    /// `gateway.networking.k8s.io/v1` GatewayClass.
    GatewayClass: "GatewayClass", "gatewayclasses", GATEWAY_API, OLDEST;
    /// `gateway.networking.k8s.io/v1` Gateway.
    Gateway: "Gateway", "gateways", GATEWAY_API, OLDEST;
    /// `gateway.networking.k8s.io/v1` ListenerSet.
    ListenerSet: "ListenerSet", "listenersets", GATEWAY_API, &["v1"];
    /// `gateway.networking.k8s.io/v1` HTTPRoute.
    HttpRoute: "HTTPRoute", "httproutes", GATEWAY_API, OLDEST;
    /// `gateway.networking.k8s.io/v1` GRPCRoute.
    GrpcRoute: "GRPCRoute", "grpcroutes", GATEWAY_API, &["v1", "v1alpha2"];
    /// `gateway.networking.k8s.io/v1` TLSRoute.
    TlsRoute: "TLSRoute", "tlsroutes", GATEWAY_API, &["v1", "v1alpha3", "v1alpha2"];
    /// `gateway.networking.k8s.io/v1` TCPRoute.
    TcpRoute: "TCPRoute", "tcproutes", GATEWAY_API, &["v1", "v1alpha2"];
    /// `gateway.networking.k8s.io/v1` UDPRoute.
    UdpRoute: "UDPRoute", "udproutes", GATEWAY_API, &["v1", "v1alpha2"];
    /// `gateway.networking.k8s.io/v1` ReferenceGrant.
    ReferenceGrant: "ReferenceGrant", "referencegrants", GATEWAY_API, OLDEST;
    /// `gateway.networking.k8s.io/v1` BackendTLSPolicy.
    BackendTlsPolicy: "BackendTLSPolicy", "backendtlspolicies", GATEWAY_API, &["v1", "v1alpha3"];
    /// `gateway.networking.x-k8s.io/v1alpha1` XBackendTrafficPolicy.
    BackendTrafficPolicy:
        "XBackendTrafficPolicy", "xbackendtrafficpolicies", "gateway.networking.x-k8s.io", &["v1alpha1"];
    /// `cilium.io/v2` CiliumNetworkPolicy.
    CiliumNetworkPolicy: "CiliumNetworkPolicy", "ciliumnetworkpolicies", "cilium.io", &["v2"];
    /// `cilium.io/v2` CiliumClusterwideNetworkPolicy.
    CiliumClusterwideNetworkPolicy:
        "CiliumClusterwideNetworkPolicy", "ciliumclusterwidenetworkpolicies", "cilium.io", &["v2"];
}

impl Kind {
    /// The kind with this name in this API group (`""` is the core group).
    pub fn find(group: &str, name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name && kind.group() == group)
    }

    /// `kind` as objects write it.
    pub fn as_str(self) -> &'static str {
        self.facts().name
    }

    /// The API group; empty for the core group.
    pub fn group(self) -> &'static str {
        self.facts().group
    }

    /// The API versions that carry the fields Weir reads, the preferred one first.
    pub fn versions(self) -> &'static [&'static str] {
        self.facts().versions
    }

    /// `apiVersion` of the preferred version: `v1`, `gateway.networking.k8s.io/v1`.
    pub fn api_version(self) -> String {
        let version = self.versions()[0];
        match self.group() {
            "" => version.to_owned(),
            group => format!("{group}/{version}"),
        }
    }

    /// The resource name in API paths.
    pub fn plural(self) -> &'static str {
        self.facts().plural
    }

    /// Whether its objects live in a namespace.
    pub fn namespaced(self) -> bool {
        !matches!(
            self,
            Self::Node | Self::Namespace | Self::GatewayClass | Self::CiliumClusterwideNetworkPolicy
        )
    }

    /// Whether it is a policy: refused without a last good version, it closes what it selects.
    pub fn is_policy(self) -> bool {
        matches!(self, Self::CiliumNetworkPolicy | Self::CiliumClusterwideNetworkPolicy)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
