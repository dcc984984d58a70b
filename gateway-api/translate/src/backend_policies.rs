//! Policies attached to Services: BackendTLSPolicy and XBackendTrafficPolicy. Of several for one
//! target the oldest is in force, even if it is invalid: nothing falls back to cleartext.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use model::tls::{UpstreamSecurity, UpstreamTls};
use model::traffic::RetryBudget;
use objects::{Kind, ObjectKey, Problem, Store};

use crate::credentials::Credentials;
use crate::report::{self, Problems};
use crate::status::{Condition, Part, Reason, Status};

#[cfg(test)]
mod tests;
mod tls;
mod traffic;

/// All policies of both kinds.
#[derive(Debug, Default)]
pub(crate) struct BackendPolicies {
    services: HashMap<ObjectKey, OfService>,
    states: Vec<State>,
    /// What each BackendTLSPolicy came to, kept while it is the same.
    known: HashMap<ObjectKey, Arc<UpstreamTls>>,
    /// The retry budget of the last good version of each XBackendTrafficPolicy.
    budgets: HashMap<ObjectKey, RetryBudget>,
    revisions: Option<[u64; 5]>,
}

/// What policies say about one Service.
#[derive(Debug, Default, PartialEq)]
struct OfService {
    whole: Option<UpstreamSecurity>,
    /// By the port's name; it comes before `whole`.
    ports: BTreeMap<Arc<str>, UpstreamSecurity>,
    retry_budget: Option<RetryBudget>,
}

/// One policy.
#[derive(Debug)]
struct State {
    key: ObjectKey,
    targets: Vec<Target>,
    /// Why `Accepted` is false whatever the target, if it is.
    refused: Option<Reason>,
    /// Why `ResolvedRefs` is false, if it is; the outer `None` for a kind without references.
    unresolved: Option<Option<Reason>>,
    problems: Problems,
}

/// `spec.targetRefs[]` that names a Service.
#[derive(Debug)]
struct Target {
    service: ObjectKey,
    /// `sectionName`: the port of this name alone.
    port: Option<Arc<str>>,
    /// Why the policy does not count there, if it does not.
    lost: Option<Reason>,
}

/// `spec.targetRefs[]` as either kind has it.
struct TargetRef<'a> {
    group: &'a str,
    kind: &'a str,
    name: &'a str,
    port: Option<&'a str>,
}

/// The policies in force at each target, oldest first come.
type Claims = HashMap<(Kind, ObjectKey, Option<Arc<str>>), ObjectKey>;

impl BackendPolicies {
    /// Takes in what changed. Gives the Services about which something else is said now.
    pub(crate) fn update(&mut self, store: &Store, credentials: &mut Credentials) -> BTreeSet<ObjectKey> {
        let none = store.backend_tls_policies().is_empty() && store.backend_traffic_policies().is_empty();
        let read = [
            Kind::BackendTlsPolicy,
            Kind::BackendTrafficPolicy,
            Kind::ConfigMap,
            Kind::Secret,
            Kind::Service,
        ];
        let revisions = read.map(|kind| store.revision(kind));
        let last = self.revisions.replace(revisions);
        if last == Some(revisions) || (none && self.states.is_empty()) {
            return BTreeSet::new();
        }
        let before = std::mem::take(&mut self.services);
        let mut claims = Claims::new();
        self.states.clear();
        self.update_tls(store, credentials, &mut claims);
        self.update_traffic(store, &mut claims);
        let changed = |key: &&ObjectKey| before.get(key) != self.services.get(key);
        before.keys().chain(self.services.keys()).filter(changed).cloned().collect()
    }

    /// Whether connections to a Service's port of this name are encrypted.
    pub(crate) fn security(&self, service: &ObjectKey, port: Option<&str>) -> UpstreamSecurity {
        let Some(of) = self.services.get(service) else { return UpstreamSecurity::Cleartext };
        // The only port of a Service may have no name.
        let of_port = of.ports.get(port.unwrap_or_default());
        of_port.or(of.whole.as_ref()).cloned().unwrap_or_default()
    }

    /// How much of a Service's load retries may add.
    pub(crate) fn retry_budget(&self, service: &ObjectKey) -> RetryBudget {
        self.services.get(service).and_then(|of| of.retry_budget).unwrap_or_default()
    }

    /// What is wrong with the policies.
    pub(crate) fn problems<'s>(&'s self, store: &'s Store) -> impl Iterator<Item = Problem> + 's {
        self.states.iter().flat_map(move |state| report::placed(&state.problems, &state.key, store))
    }

    /// The status of each policy towards each Gateway that leads to one of its targets. `uses`
    /// holds Gateways with the Services that their routes name.
    pub(crate) fn statuses(&self, uses: &BTreeSet<(ObjectKey, ObjectKey)>) -> Vec<Status> {
        let mut statuses = Vec::new();
        for state in &self.states {
            let is_target = |service: &ObjectKey| state.targets.iter().any(|t| t.service == *service);
            let gateways: BTreeSet<&ObjectKey> =
                uses.iter().filter(|(_, service)| is_target(service)).map(|(gateway, _)| gateway).collect();
            statuses.extend(gateways.into_iter().map(|gateway| Status {
                object: state.key.clone(),
                part: Part::Ancestor(gateway.clone()),
                conditions: state.conditions(|service| uses.contains(&(gateway.clone(), service.clone()))),
                attached_routes: None,
                supported_kinds: Vec::new(),
                attached_listener_sets: None,
            }));
        }
        statuses
    }
}

impl State {
    /// Reads `targetRefs` and claims each target that nobody older has.
    fn new(key: &ObjectKey, refs: &[TargetRef<'_>], store: &Store, claims: &mut Claims) -> Self {
        let mut state = Self {
            key: key.clone(),
            targets: Vec::new(),
            refused: None,
            unresolved: None,
            problems: Vec::new(),
        };
        for (at, target) in refs.iter().enumerate() {
            let field = format!("spec.targetRefs[{at}]");
            if (target.group, target.kind) != ("", "Service") {
                let message = format!("{} is not a kind that this policy can be for", target.kind);
                report::error(&mut state.problems, format!("{field}.kind"), message);
                state.refused = Some(Reason::Invalid);
                continue;
            }
            let service = ObjectKey::new(Kind::Service, &key.namespace, target.name);
            let port: Option<Arc<str>> = target.port.map(Arc::from);
            let mut lost = missing(store, &service, target.port, &mut state.problems, &field);
            if lost.is_none() {
                let claim = (key.kind, service.clone(), port.clone());
                let owner = claims.entry(claim).or_insert_with(|| key.clone());
                if owner != key {
                    let message = format!("{service} is taken by the older {owner} ({})", Reason::Conflicted);
                    report::error(&mut state.problems, field, message);
                    lost = Some(Reason::Conflicted);
                }
            }
            state.targets.push(Target { service, port, lost });
        }
        state
    }

    /// The targets where the policy counts.
    fn held(&self) -> impl Iterator<Item = &Target> {
        self.targets.iter().filter(|target| target.lost.is_none())
    }

    fn conditions(&self, is_used: impl Fn(&ObjectKey) -> bool) -> Vec<Condition> {
        let lost = || self.targets.iter().filter(|t| is_used(&t.service)).find_map(|t| t.lost);
        let accepted = match lost().or(self.refused) {
            Some(reason) => Condition::new("Accepted", false, reason),
            None => Condition::new("Accepted", true, Reason::Accepted),
        };
        let resolved = self.unresolved.map(|unresolved| match unresolved {
            Some(reason) => Condition::new("ResolvedRefs", false, reason),
            None => Condition::new("ResolvedRefs", true, Reason::ResolvedRefs),
        });
        std::iter::once(accepted).chain(resolved).collect()
    }
}

/// Why a target is not there, if it is not.
fn missing(
    store: &Store,
    service: &ObjectKey,
    port: Option<&str>,
    problems: &mut Problems,
    field: &str,
) -> Option<Reason> {
    let message = match (store.services().get(&service.namespace, &service.name), port) {
        (None, _) => format!("there is no {service}"),
        (Some(entry), Some(port)) if !has_port(&entry.object, port) => {
            format!("{service} has no port {port}")
        }
        _ => return None,
    };
    report::warning(problems, field, message);
    Some(Reason::TargetNotFound)
}

fn has_port(service: &Service, name: &str) -> bool {
    let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    ports.into_iter().any(|port| port.name.as_deref().unwrap_or_default() == name)
}
