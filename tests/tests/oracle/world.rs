//! The endpoints of a record with their identities, and the policies compiled for them.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;
use model::identity::{Identities, Identity, IdentityId, Label, Labels};
use model::policy::EndpointPolicy;
use model::workload::NamedPort;
use objects::Object;
use objects::cilium::{CiliumClusterwideNetworkPolicy, CiliumNetworkPolicy};
use serde::de::DeserializeOwned;
use serde_json::Value;
use translate::policy::{Evaluation, Fault};

use crate::record::{Endpoint, Record};

const CLUSTER: &str = "io.cilium.k8s.policy.cluster";

/// Why a policy is refused.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It is not an object of its kind.
    Decode(String),
    /// It has fields that its kind does not have.
    UnknownField(String),
    /// It cannot be translated.
    Translate(Fault),
}

pub(crate) struct World {
    policies: Evaluation,
    endpoints: HashMap<String, Subject>,
    identities: Identities,
    named_ports: HashMap<IdentityId, Vec<NamedPort>>,
    compiled: HashMap<String, EndpointPolicy>,
}

struct Subject {
    identity: Arc<Identity>,
    named_ports: Vec<NamedPort>,
    enforced: bool,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(error) => write!(f, "not an object of its kind: {error}"),
            Self::UnknownField(field) => write!(f, "{field}: unknown field"),
            Self::Translate(fault) => fault.fmt(f),
        }
    }
}

impl World {
    pub(crate) fn new(record: &Record) -> Self {
        let mut world = Self {
            policies: Evaluation::new(&record.cluster),
            endpoints: HashMap::new(),
            identities: Identities::new(),
            named_ports: HashMap::new(),
            compiled: HashMap::new(),
        };
        for (name, endpoint) in &record.endpoints {
            let subject = world.subject(record, endpoint);
            let ports = world.named_ports.entry(subject.identity.id).or_default();
            ports.extend(subject.named_ports.iter().cloned());
            world.identities.insert(subject.identity.id, subject.identity.clone());
            world.endpoints.insert(name.clone(), subject);
        }
        world
    }

    /// Adds a policy, or says why it is refused.
    pub(crate) fn add(&mut self, policy: &Value) -> Option<Refusal> {
        let object = if policy["kind"] == "CiliumClusterwideNetworkPolicy" {
            decode::<CiliumClusterwideNetworkPolicy>(policy)
                .map(|policy| Object::CiliumClusterwideNetworkPolicy(Arc::new(policy)))
        } else {
            decode::<CiliumNetworkPolicy>(policy).map(|policy| Object::CiliumNetworkPolicy(Arc::new(policy)))
        };
        let object = match object {
            Ok(object) => object,
            Err(refusal) => return Some(refusal),
        };
        self.policies.add(&object).err().map(Refusal::Translate)
    }

    pub(crate) fn identity(&self, endpoint: &str) -> IdentityId {
        self.endpoints[endpoint].identity.id
    }

    /// The compiled policy of an endpoint; none where no agent of this cluster enforces any.
    pub(crate) fn policy(&mut self, endpoint: &str) -> Option<&EndpointPolicy> {
        let subject = &self.endpoints[endpoint];
        if !subject.enforced {
            return None;
        }
        let compile = || {
            let labels = &subject.identity.labels;
            self.policies.compile(labels, &subject.named_ports, &self.identities, &self.named_ports)
        };
        Some(self.compiled.entry(endpoint.to_owned()).or_insert_with(compile))
    }

    fn subject(&self, record: &Record, endpoint: &Endpoint) -> Subject {
        let mut labels: BTreeMap<String, String> = endpoint.labels.clone();
        let cidr: Option<IpNet> = endpoint.cidr.as_ref().map(|cidr| cidr.parse().expect("a network"));
        let mut number = None;
        let mut enforced = false;
        if let Some(name) = &endpoint.reserved {
            let (id, names) = reserved(name);
            number = Some(id).filter(|_| labels.is_empty());
            labels.extend(names.iter().map(|name| (format!("reserved:{name}"), String::new())));
            enforced = ["init", "health", "ingress"].contains(&name.as_str());
        } else if let Some(net) = cidr {
            let world = if net.addr().is_ipv4() { "reserved:world-ipv4" } else { "reserved:world-ipv6" };
            labels.insert(world.into(), String::new());
        } else {
            let own = labels.entry(format!("k8s:{CLUSTER}")).or_insert_with(|| record.cluster.clone());
            enforced = *own == record.cluster;
        }
        let labels = Labels::new(
            labels
                .iter()
                .map(|(key, value)| {
                    let (source, key) = key.split_once(':').expect("a source and a key");
                    Label::new(source, key, value)
                })
                .collect(),
        );
        let named_ports = endpoint
            .named_ports
            .iter()
            .map(|(name, port)| NamedPort {
                name: name.as_str().into(),
                port: port.port,
                protocol: crate::protocol(&port.protocol),
            })
            .collect();
        let twin = self.identities.values().find(|known| known.labels == labels && known.cidr == cidr);
        let identity = twin.cloned().unwrap_or_else(|| {
            let first = if cidr.is_some() { IdentityId::FIRST_CIDR } else { IdentityId::FIRST_ALLOCATED };
            let next = IdentityId(first.0 + u32::try_from(self.identities.len()).expect("few identities"));
            Arc::new(Identity { id: number.unwrap_or(next), labels, cidr })
        });
        Subject { identity, named_ports, enforced }
    }
}

fn decode<T: DeserializeOwned>(policy: &Value) -> Result<T, Refusal> {
    let mut unknown = Vec::new();
    let object = serde_ignored::deserialize(policy, |path| unknown.push(path.to_string()));
    unknown.retain(|path| path != "apiVersion" && path != "kind");
    match (object, unknown.first()) {
        (Err(error), _) => Err(Refusal::Decode(error.to_string())),
        (Ok(_), Some(field)) => Err(Refusal::UnknownField(field.clone())),
        (Ok(object), None) => Ok(object),
    }
}

fn reserved(name: &str) -> (IdentityId, &[&str]) {
    match name {
        "host" => (IdentityId::HOST, &["host"]),
        "world" => (IdentityId::WORLD, &["world"]),
        "unmanaged" => (IdentityId::UNMANAGED, &["unmanaged"]),
        "health" => (IdentityId::HEALTH, &["health"]),
        "init" => (IdentityId::INIT, &["init"]),
        "remote-node" => (IdentityId::REMOTE_NODE, &["remote-node"]),
        "kube-apiserver" => (IdentityId::KUBE_APISERVER, &["kube-apiserver", "remote-node"]),
        "ingress" => (IdentityId::INGRESS, &["ingress"]),
        "world-ipv4" => (IdentityId::WORLD_IPV4, &["world-ipv4"]),
        "world-ipv6" => (IdentityId::WORLD_IPV6, &["world-ipv6"]),
        other => panic!("reserved identity {other}"),
    }
}
