//! The type of each [`Kind`](crate::Kind), by the name of the kind.

pub use gateway_api::apis::experimental::httproutes::HttpRoute;
pub use gateway_api::apis::experimental::tcproutes::TcpRoute;
pub use gateway_api::apis::experimental::udproutes::UdpRoute;
pub use gateway_api::apis::experimental::xbackendtrafficpolicies::XBackendTrafficPolicy as BackendTrafficPolicy;
pub use gateway_api::apis::standard::backendtlspolicies::BackendTlsPolicy;
pub use gateway_api::apis::standard::gatewayclasses::GatewayClass;
pub use gateway_api::apis::standard::gateways::Gateway;
pub use gateway_api::apis::standard::grpcroutes::GrpcRoute;
pub use gateway_api::apis::standard::listenersets::ListenerSet;
pub use gateway_api::apis::standard::referencegrants::ReferenceGrant;
pub use gateway_api::apis::standard::tlsroutes::TlsRoute;
pub use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod, Service};
pub use k8s_openapi::api::discovery::v1::EndpointSlice;

pub use crate::cilium::{CiliumClusterwideNetworkPolicy, CiliumNetworkPolicy};
pub use crate::secret::Secret;
