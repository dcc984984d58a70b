//! One recorded question with the engine's answer; see `oracle/README.md` for the fields.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: String,
    #[serde(default = "cluster")]
    pub(crate) cluster: String,
    pub(crate) policies: Vec<Value>,
    /// Whether the agent accepts each policy.
    pub(crate) agent: Vec<bool>,
    /// Whether the API server's schema accepts each policy.
    pub(crate) schema: Vec<bool>,
    #[serde(default)]
    pub(crate) endpoints: BTreeMap<String, Endpoint>,
    #[serde(default)]
    pub(crate) flows: Vec<Flow>,
    pub(crate) verdicts: Vec<Verdict>,
}

fn cluster() -> String {
    "cluster-1".into()
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Endpoint {
    /// `source:key` to value.
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) reserved: Option<String>,
    pub(crate) cidr: Option<String>,
    pub(crate) named_ports: BTreeMap<String, NamedPort>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct NamedPort {
    pub(crate) port: u16,
    pub(crate) protocol: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Flow {
    pub(crate) from: String,
    pub(crate) to: String,
    #[serde(default = "tcp")]
    pub(crate) protocol: String,
    #[serde(default)]
    pub(crate) port: u16,
}

fn tcp() -> String {
    "TCP".into()
}

#[derive(Debug, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) egress: String,
    pub(crate) ingress: String,
    pub(crate) l7: Sides,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Sides {
    pub(crate) egress: Option<L7>,
    pub(crate) ingress: Option<L7>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct L7 {
    pub(crate) parser: String,
    pub(crate) any: bool,
    pub(crate) http: Vec<Value>,
}
