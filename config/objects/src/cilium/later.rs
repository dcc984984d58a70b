//! The parts of the policy CRDs that Weir knows but does not enforce yet. A policy that uses one
//! is refused, never enforced in part.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Deserialize;

/// `authentication`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Authentication {
    /// `disabled`, `required` or `test-always-fail`.
    pub mode: String,
}

/// One of `icmps[]`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct IcmpRule {
    /// The types, at most 40.
    pub fields: Option<Vec<IcmpField>>,
}

/// One of `icmps[].fields[]`.
#[derive(Clone, Debug, Deserialize)]
pub struct IcmpField {
    /// `IPv4` (the default) or `IPv6`.
    pub family: Option<String>,
    /// A number or a name.
    #[serde(rename = "type")]
    pub type_: IntOrString,
}

/// One of `rules.dns[]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DnsRule {
    /// A name.
    pub match_name: Option<String>,
    /// A pattern.
    pub match_pattern: Option<String>,
}

/// One of `toFQDNs[]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FqdnSelector {
    /// A name.
    pub match_name: Option<String>,
    /// A pattern.
    pub match_pattern: Option<String>,
}

/// One of `toServices[]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// By label.
    pub k8s_service_selector: Option<K8sServiceSelector>,
    /// By name.
    pub k8s_service: Option<K8sService>,
}

/// `k8sService`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct K8sService {
    /// `metadata.name`.
    pub service_name: Option<String>,
    /// `metadata.namespace`.
    pub namespace: Option<String>,
}

/// `k8sServiceSelector`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct K8sServiceSelector {
    /// The labels.
    pub selector: LabelSelector,
    /// `metadata.namespace`.
    pub namespace: Option<String>,
}

/// One of `fromGroups[]` or `toGroups[]`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Groups {
    /// An AWS security group.
    pub aws: Option<AwsGroup>,
}

/// `aws`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AwsGroup {
    /// By label.
    pub labels: Option<BTreeMap<String, String>>,
    /// By id.
    pub security_groups_ids: Option<Vec<String>>,
    /// By name.
    pub security_groups_names: Option<Vec<String>>,
    /// The region.
    pub region: Option<String>,
}

/// `terminatingTLS` and `originatingTLS`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsContext {
    /// Where the material is.
    pub secret: Secret,
    /// The key of the trusted CA in the Secret.
    #[serde(rename = "trustedCA")]
    pub trusted_ca: Option<String>,
    /// The key of the certificate in the Secret.
    pub certificate: Option<String>,
    /// The key of the private key in the Secret.
    pub private_key: Option<String>,
}

/// A Kubernetes Secret by name.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Secret {
    /// `metadata.namespace`.
    pub namespace: Option<String>,
    /// `metadata.name`.
    pub name: String,
}

/// `listener`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// The object that defines it.
    pub envoy_config: EnvoyConfigRef,
    /// Its name there.
    pub name: String,
    /// 1 to 100.
    pub priority: Option<i32>,
}

/// `listener.envoyConfig`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct EnvoyConfigRef {
    /// `CiliumEnvoyConfig` or `CiliumClusterwideEnvoyConfig`.
    pub kind: Option<String>,
    /// `metadata.name`.
    pub name: String,
}
