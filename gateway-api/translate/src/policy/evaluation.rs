//! Policies evaluated without pods, nodes and files: for tests and for questions.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use model::identity::{Identities, IdentityId, Labels};
use model::policy::EndpointPolicy;
use model::workload::NamedPort;
use objects::Object;
use policy::{Entry, Peers, Subject};

use super::rule::{self, Scope};

/// Why a policy is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field: `spec.ingress[0].toPorts[0].rules.http[1].path`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
    /// The fault is in the selector of the pods that the policy is about: nobody can tell which
    /// those are.
    pub selector: bool,
}

impl Fault {
    /// A fault of a field other than the policy's own selector.
    pub(crate) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into(), selector: false }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// A set of policies that questions can be asked about.
#[derive(Clone, Debug)]
pub struct Evaluation {
    cluster: String,
    entries: Vec<Arc<Entry>>,
}

impl Evaluation {
    /// No policies yet. `cluster` is the name of the cluster the policies are in.
    pub fn new(cluster: &str) -> Self {
        Self { cluster: cluster.to_owned(), entries: Vec::new() }
    }

    /// Adds a policy; a refused one is left out. Objects of other kinds say nothing.
    pub fn add(&mut self, object: &Object) -> Result<(), Fault> {
        let key = object.key();
        self.entries.extend(rule::entries(&Scope::new(&self.cluster, &key), &rule::rules(object))?);
        Ok(())
    }

    /// What the policies come to for an endpoint of these labels and container ports, among
    /// these identities with theirs.
    pub fn compile(
        &self,
        labels: &Labels,
        named_ports: &[NamedPort],
        identities: &Identities,
        peer_ports: &HashMap<IdentityId, Vec<NamedPort>>,
    ) -> EndpointPolicy {
        let peers = Peers { identities, named_ports: peer_ports };
        policy::compile(Subject { labels, named_ports }, &self.entries, peers)
    }
}
