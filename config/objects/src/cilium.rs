//! CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy (`cilium.io/v2`, Cilium 1.20).
//!
//! Every field of the CRDs is here, so that a field which is not can be told to be unknown. What
//! Weir does not enforce yet is typed all the same; the translation refuses a policy that sets it.
//! A list that is absent and a list that is empty mean different things to a policy, hence
//! `Option<Vec<_>>`.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, Time};
use serde::Deserialize;

mod later;

pub use later::{
    Authentication, AwsGroup, DnsRule, EnvoyConfigRef, FqdnSelector, Groups, IcmpField, IcmpRule, K8sService,
    K8sServiceSelector, Listener, Secret, Service, TlsContext,
};

/// `cilium.io/v2` CiliumNetworkPolicy.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CiliumNetworkPolicy {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// One rule.
    pub spec: Option<Rule>,
    /// More rules. At least one of `spec` and `specs` is there.
    pub specs: Option<Vec<Rule>>,
    /// What controllers say of it; never read.
    pub status: Option<Status>,
}

/// `cilium.io/v2` CiliumClusterwideNetworkPolicy.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CiliumClusterwideNetworkPolicy {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// One rule.
    pub spec: Option<Rule>,
    /// More rules. At least one of `spec` and `specs` is there.
    pub specs: Option<Vec<Rule>>,
    /// What controllers say of it; never read.
    pub status: Option<Status>,
}

/// `spec`, or one of `specs`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// The pods it is about.
    pub endpoint_selector: Option<LabelSelector>,
    /// The nodes it is about (not enforced by Weir).
    pub node_selector: Option<LabelSelector>,
    /// What may reach them.
    pub ingress: Option<Vec<IngressRule>>,
    /// What may not reach them, whatever else allows it.
    pub ingress_deny: Option<Vec<IngressRule>>,
    /// What they may reach.
    pub egress: Option<Vec<EgressRule>>,
    /// What they may not reach, whatever else allows it.
    pub egress_deny: Option<Vec<EgressRule>>,
    /// Whether what no rule mentions is denied.
    pub enable_default_deny: Option<DefaultDeny>,
    /// Labels of the rule, for tools.
    pub labels: Option<Vec<RuleLabel>>,
    /// For people.
    pub description: Option<String>,
    /// What flow records carry.
    pub log: Option<LogConfig>,
}

/// `enableDefaultDeny`. Absent: true for each direction that has rules.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct DefaultDeny {
    /// For what reaches the pods.
    pub ingress: Option<bool>,
    /// For what the pods reach.
    pub egress: Option<bool>,
}

/// One of `labels[]` of a rule.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct RuleLabel {
    /// The key.
    pub key: Option<String>,
    /// Where it comes from.
    pub source: Option<String>,
    /// The value.
    pub value: Option<String>,
}

/// `log`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct LogConfig {
    /// At most 32 printable characters.
    pub value: Option<String>,
}

/// One of `ingress[]` or `ingressDeny[]`. At most one of the lists of peers may be non-empty. A
/// deny rule has no `rules`, no TLS and no `authentication`; the translation refuses them there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IngressRule {
    /// Peers by label.
    pub from_endpoints: Option<Vec<LabelSelector>>,
    /// Peers by network.
    #[serde(rename = "fromCIDR")]
    pub from_cidr: Option<Vec<String>>,
    /// Peers by network with holes.
    #[serde(rename = "fromCIDRSet")]
    pub from_cidr_set: Option<Vec<CidrRule>>,
    /// Peers by class.
    pub from_entities: Option<Vec<String>>,
    /// Peers by cloud group (not enforced by Weir).
    pub from_groups: Option<Vec<Groups>>,
    /// Peers by node (not enforced by Weir).
    pub from_nodes: Option<Vec<LabelSelector>>,
    /// Gone since Cilium 1.17; must be empty.
    pub from_requires: Option<Vec<String>>,
    /// Ports; absent or empty means all of them.
    pub to_ports: Option<Vec<PortRule>>,
    /// ICMP types (not enforced by Weir).
    pub icmps: Option<Vec<IcmpRule>>,
    /// Mutual authentication (not enforced by Weir).
    pub authentication: Option<Authentication>,
}

/// One of `egress[]` or `egressDeny[]`. At most one of the lists of peers may be non-empty. A
/// deny rule has no `rules`, no TLS, no `toFQDNs` and no `authentication`; the translation
/// refuses them there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EgressRule {
    /// Peers by label.
    pub to_endpoints: Option<Vec<LabelSelector>>,
    /// Peers by network.
    #[serde(rename = "toCIDR")]
    pub to_cidr: Option<Vec<String>>,
    /// Peers by network with holes.
    #[serde(rename = "toCIDRSet")]
    pub to_cidr_set: Option<Vec<CidrRule>>,
    /// Peers by class.
    pub to_entities: Option<Vec<String>>,
    /// Peers by Kubernetes Service (not enforced by Weir).
    pub to_services: Option<Vec<Service>>,
    /// Peers by DNS name (not enforced by Weir).
    #[serde(rename = "toFQDNs")]
    pub to_fqdns: Option<Vec<FqdnSelector>>,
    /// Peers by cloud group (not enforced by Weir).
    pub to_groups: Option<Vec<Groups>>,
    /// Peers by node (not enforced by Weir).
    pub to_nodes: Option<Vec<LabelSelector>>,
    /// Gone since Cilium 1.17; must be empty.
    pub to_requires: Option<Vec<String>>,
    /// Ports; absent or empty means all of them.
    pub to_ports: Option<Vec<PortRule>>,
    /// ICMP types (not enforced by Weir).
    pub icmps: Option<Vec<IcmpRule>>,
    /// Mutual authentication (not enforced by Weir).
    pub authentication: Option<Authentication>,
}

/// One of `fromCIDRSet[]` or `toCIDRSet[]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CidrRule {
    /// The network: `10.0.0.0/8`.
    pub cidr: Option<String>,
    /// A CiliumCIDRGroup by name (not enforced by Weir).
    pub cidr_group_ref: Option<String>,
    /// CiliumCIDRGroups by label (not enforced by Weir).
    pub cidr_group_selector: Option<LabelSelector>,
    /// Holes, each inside `cidr`.
    pub except: Option<Vec<String>>,
}

/// One of `toPorts[]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortRule {
    /// The ports, at most 40.
    pub ports: Option<Vec<PortProtocol>>,
    /// TLS towards the client (not enforced by Weir).
    #[serde(rename = "terminatingTLS")]
    pub terminating_tls: Option<TlsContext>,
    /// TLS towards the server (not enforced by Weir).
    #[serde(rename = "originatingTLS")]
    pub originating_tls: Option<TlsContext>,
    /// Allowed TLS server names (not enforced by Weir).
    pub server_names: Option<Vec<String>>,
    /// An Envoy listener (not enforced by Weir).
    pub listener: Option<Listener>,
    /// What requests are allowed.
    pub rules: Option<L7Rules>,
}

/// One of `ports[]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortProtocol {
    /// A number, or the name of a container port; `0` is every port.
    pub port: Option<String>,
    /// Last port of a range that begins at `port`.
    pub end_port: Option<i32>,
    /// `TCP`, `UDP`, `SCTP` or `ANY`; `ANY` when absent.
    pub protocol: Option<String>,
}

/// `rules`: at most one of the lists.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct L7Rules {
    /// HTTP requests.
    pub http: Option<Vec<HttpRule>>,
    /// DNS queries (not enforced by Weir).
    pub dns: Option<Vec<DnsRule>>,
}

/// One of `rules.http[]`. Absent and empty fields match everything.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRule {
    /// Regular expression for all of path and query.
    pub path: Option<String>,
    /// Regular expression for all of the method.
    pub method: Option<String>,
    /// Regular expression for all of the authority.
    pub host: Option<String>,
    /// `Name: value`, or `Name` for presence.
    pub headers: Option<Vec<String>>,
    /// Headers with an action for when they do not match.
    pub header_matches: Option<Vec<HeaderMatch>>,
}

/// One of `headerMatches[]`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct HeaderMatch {
    /// `LOG`, `ADD`, `DELETE` or `REPLACE`; absent: the rule does not match.
    pub mismatch: Option<String>,
    /// The header.
    pub name: String,
    /// A Secret with the value (not enforced by Weir).
    pub secret: Option<Secret>,
    /// The exact value; empty or absent: presence is enough.
    pub value: Option<String>,
}

/// `status`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// By name.
    pub derivative_policies: Option<BTreeMap<String, NodeStatus>>,
    /// `Valid`.
    pub conditions: Option<Vec<Condition>>,
}

/// One of `status.derivativePolicies`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// Whether it was imported.
    pub ok: Option<bool>,
    /// Why not.
    pub error: Option<String>,
    /// When this was written.
    pub last_updated: Option<Time>,
    /// The policy revision of that node.
    pub local_policy_revision: Option<i64>,
    /// Whether every endpoint enforces it.
    pub enforcing: Option<bool>,
    /// Annotations that were realised.
    pub annotations: Option<BTreeMap<String, String>>,
}

/// One of `status.conditions`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `Valid`.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// When it last changed.
    pub last_transition_time: Option<Time>,
    /// Why, in one word.
    pub reason: Option<String>,
    /// Why, for people.
    pub message: Option<String>,
}
