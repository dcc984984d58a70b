//! `spec` and `specs` of a policy to entries.

use std::sync::Arc;

use model::policy::{Direction, RuleRef};
use model::service::ObjectRef;
use objects::cilium::{EgressRule, IngressRule, PortRule, Rule};
use objects::{Object, ObjectKey};
use policy::{Action, Entry, Selector};

use super::evaluation::Fault;
use super::{peers, ports, selector};

/// Where a policy stands: what its selectors are bounded by and what its rules are called.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    /// The cluster's name.
    pub(super) cluster: &'a str,
    /// `None` for clusterwide policies.
    pub(super) namespace: Option<&'a str>,
    policy: ObjectRef,
}

impl<'a> Scope<'a> {
    pub(super) fn new(cluster: &'a str, key: &'a ObjectKey) -> Self {
        let policy =
            ObjectRef { kind: key.kind.as_str(), namespace: key.namespace.clone(), name: key.name.clone() };
        Self { cluster, namespace: key.kind.namespaced().then_some(&*key.namespace), policy }
    }

    /// The rule at a place of the policy.
    pub(super) fn at(&self, place: &str) -> Arc<RuleRef> {
        Arc::new(RuleRef { policy: self.policy.clone(), place: place.into() })
    }
}

/// Each rule of a policy and where it stands: `spec`, `specs[0]`...
pub(super) fn rules(object: &Object) -> Vec<(String, &Rule)> {
    let (spec, specs) = match object {
        Object::CiliumNetworkPolicy(policy) => (&policy.spec, &policy.specs),
        Object::CiliumClusterwideNetworkPolicy(policy) => (&policy.spec, &policy.specs),
        _ => return Vec::new(),
    };
    let one = spec.iter().map(|rule| ("spec".to_owned(), rule));
    let more = specs.iter().flatten().enumerate().map(|(at, rule)| (format!("specs[{at}]"), rule));
    one.chain(more).collect()
}

/// The entries of a policy, or why it is refused.
pub(super) fn entries(scope: &Scope<'_>, rules: &[(String, &Rule)]) -> Result<Vec<Arc<Entry>>, Fault> {
    if scope.policy.name.is_empty() {
        return Err(Fault::new("metadata.name", "a policy needs a name"));
    }
    if rules.is_empty() {
        return Err(Fault::new("spec", "a policy needs `spec` or `specs`"));
    }
    let mut entries = Vec::new();
    for (place, rule) in rules {
        section_entries(scope, place, rule, &mut entries)?;
    }
    Ok(entries)
}

fn section_entries(
    scope: &Scope<'_>,
    place: &str,
    rule: &Rule,
    out: &mut Vec<Arc<Entry>>,
) -> Result<(), Fault> {
    let subject = subject(scope, place, rule)?;
    let is_empty =
        [rule.ingress.as_ref(), rule.ingress_deny.as_ref()].into_iter().flatten().all(Vec::is_empty)
            && [rule.egress.as_ref(), rule.egress_deny.as_ref()].into_iter().flatten().all(Vec::is_empty);
    if is_empty {
        let sections = "`ingress`, `ingressDeny`, `egress` or `egressDeny`";
        return Err(Fault::new(place, format!("at least one rule is needed in {sections}")));
    }
    let default_deny = rule.enable_default_deny.unwrap_or_default();
    // A peer selector of a policy about endpoints without labels is not bound to namespaces.
    let about_init =
        subject.requirements.iter().any(|r| r.source.as_deref() == Some("reserved") && &*r.key == "init");
    let mut section = Section { scope, subject: &subject, about_init, place, default_deny: true, out };
    section.default_deny = default_deny.ingress.unwrap_or(true);
    for (action, name, rules) in
        [(Action::Allow, "ingress", &rule.ingress), (Action::Deny, "ingressDeny", &rule.ingress_deny)]
    {
        for (at, rule) in rules.iter().flatten().enumerate() {
            section.ingress(action, &format!("{place}.{name}[{at}]"), rule)?;
        }
    }
    section.default_deny = default_deny.egress.unwrap_or(true);
    for (action, name, rules) in
        [(Action::Allow, "egress", &rule.egress), (Action::Deny, "egressDeny", &rule.egress_deny)]
    {
        for (at, rule) in rules.iter().flatten().enumerate() {
            section.egress(action, &format!("{place}.{name}[{at}]"), rule)?;
        }
    }
    Ok(())
}

/// The pods a rule is about.
pub(super) fn subject(scope: &Scope<'_>, place: &str, rule: &Rule) -> Result<Selector, Fault> {
    if rule.node_selector.is_some() {
        let message = match scope.namespace {
            Some(_) => "a CiliumNetworkPolicy is about pods; nodes need a CiliumClusterwideNetworkPolicy",
            None => "policies for nodes are not enforced by this version of Weir",
        };
        return Err(Fault::new(format!("{place}.nodeSelector"), message));
    }
    let field = format!("{place}.endpointSelector");
    let Some(selector) = &rule.endpoint_selector else {
        return Err(Fault { selector: true, ..Fault::new(field, "a rule needs an `endpointSelector`") });
    };
    selector::subject(scope, &field, selector).map_err(|fault| Fault { selector: true, ..fault })
}

struct Section<'a> {
    scope: &'a Scope<'a>,
    subject: &'a Selector,
    about_init: bool,
    place: &'a str,
    default_deny: bool,
    out: &'a mut Vec<Arc<Entry>>,
}

impl Section<'_> {
    fn ingress(&mut self, action: Action, place: &str, rule: &IngressRule) -> Result<(), Fault> {
        later(
            place,
            &[
                ("fromGroups", rule.from_groups.is_some()),
                ("fromNodes", rule.from_nodes.is_some()),
                ("icmps", rule.icmps.as_ref().is_some_and(|list| !list.is_empty())),
                ("authentication", rule.authentication.is_some()),
            ],
        )?;
        gone(place, "fromRequires", rule.from_requires.as_deref())?;
        let lists = peers::Lists {
            way: "from",
            endpoints: rule.from_endpoints.as_deref(),
            cidr: rule.from_cidr.as_deref(),
            cidr_set: rule.from_cidr_set.as_deref(),
            entities: rule.from_entities.as_deref(),
        };
        self.entry(action, Direction::Ingress, place, &lists, rule.to_ports.as_deref())
    }

    fn egress(&mut self, action: Action, place: &str, rule: &EgressRule) -> Result<(), Fault> {
        later(
            place,
            &[
                ("toServices", rule.to_services.is_some()),
                ("toFQDNs", rule.to_fqdns.is_some()),
                ("toGroups", rule.to_groups.is_some()),
                ("toNodes", rule.to_nodes.is_some()),
                ("icmps", rule.icmps.as_ref().is_some_and(|list| !list.is_empty())),
                ("authentication", rule.authentication.is_some()),
            ],
        )?;
        gone(place, "toRequires", rule.to_requires.as_deref())?;
        let lists = peers::Lists {
            way: "to",
            endpoints: rule.to_endpoints.as_deref(),
            cidr: rule.to_cidr.as_deref(),
            cidr_set: rule.to_cidr_set.as_deref(),
            entities: rule.to_entities.as_deref(),
        };
        self.entry(action, Direction::Egress, place, &lists, rule.to_ports.as_deref())
    }

    fn entry(
        &mut self,
        action: Action,
        direction: Direction,
        place: &str,
        lists: &peers::Lists<'_>,
        to_ports: Option<&[PortRule]>,
    ) -> Result<(), Fault> {
        debug_assert!(place.starts_with(self.place), "a section belongs to its rule");
        let peers = peers::peers(self.scope, self.about_init, place, lists)?;
        let to_ports = to_ports.unwrap_or_default();
        let ports = ports::ports(self.scope, action, place, to_ports)?;
        self.out.push(Arc::new(Entry {
            subject: self.subject.clone(),
            direction,
            action,
            default_deny: self.default_deny,
            peers,
            ports,
            has_ports: !to_ports.is_empty(),
            by: self.scope.at(place),
        }));
        Ok(())
    }
}

/// Refuses what Weir knows but does not enforce yet.
pub(super) fn later(place: &str, fields: &[(&str, bool)]) -> Result<(), Fault> {
    match fields.iter().find(|(_, present)| *present) {
        Some((name, _)) => Err(Fault::new(
            format!("{place}.{name}"),
            "not enforced by this version of Weir, so the policy is refused",
        )),
        None => Ok(()),
    }
}

fn gone(place: &str, name: &str, list: Option<&[String]>) -> Result<(), Fault> {
    if list.is_some_and(|list| !list.is_empty()) {
        return Err(Fault::new(
            format!("{place}.{name}"),
            "no longer exists; write the labels into the peers",
        ));
    }
    Ok(())
}
