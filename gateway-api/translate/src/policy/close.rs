//! What a refused policy without a last good version closes.

use std::sync::Arc;

use model::policy::Direction;
use objects::cilium::Rule;
use policy::{Action, Entry, EntryPeers, Operator, Requirement, Selector};

use super::rule::Scope;
use super::selector;
use crate::identity::NAMESPACE;

/// The closing entries of a policy that could not be read as an object.
pub(super) fn refused(scope: &Scope<'_>, refused: &objects::Refused) -> Vec<Arc<Entry>> {
    let mut entries = Vec::new();
    if refused.rules.is_empty() {
        close(scope, "spec", &everything(scope), (true, true), &mut entries);
    }
    for (at, rule) in refused.rules.iter().enumerate().filter(|(_, rule)| !rule.nodes) {
        let place = if at == 0 { "spec".to_owned() } else { format!("specs[{at}]") };
        let selected = rule.selector.as_ref();
        let subject = selected.and_then(|selector| selector::subject(scope, &place, selector).ok());
        let subject = subject.unwrap_or_else(|| everything(scope));
        close(scope, &place, &subject, (rule.ingress, rule.egress), &mut entries);
    }
    entries
}

/// The closing entries of a policy that was read, but not accepted.
pub(super) fn rules(scope: &Scope<'_>, rules: &[(String, &Rule)]) -> Vec<Arc<Entry>> {
    let mut entries = Vec::new();
    if rules.is_empty() {
        close(scope, "spec", &everything(scope), (true, true), &mut entries);
    }
    for (place, rule) in rules {
        if rule.node_selector.is_some() && rule.endpoint_selector.is_none() {
            continue;
        }
        let selected = rule.endpoint_selector.as_ref();
        let subject = selected.and_then(|selector| selector::subject(scope, place, selector).ok());
        close(scope, place, &subject.unwrap_or_else(|| everything(scope)), directions(rule), &mut entries);
    }
    entries
}

/// Whether a rule would have restricted what reaches its pods, and what they reach. Both if it
/// cannot be told.
fn directions(rule: &Rule) -> (bool, bool) {
    let default_deny = rule.enable_default_deny.unwrap_or_default();
    let restricts = |allow: usize, deny: usize, default_deny: Option<bool>| {
        deny > 0 || (allow > 0 && default_deny.unwrap_or(true))
    };
    let ingress = (rule.ingress.as_ref().map_or(0, Vec::len), rule.ingress_deny.as_ref().map_or(0, Vec::len));
    let egress = (rule.egress.as_ref().map_or(0, Vec::len), rule.egress_deny.as_ref().map_or(0, Vec::len));
    if ingress == (0, 0) && egress == (0, 0) {
        return (true, true);
    }
    (
        restricts(ingress.0, ingress.1, default_deny.ingress),
        restricts(egress.0, egress.1, default_deny.egress),
    )
}

/// Every pod that a policy of this scope could be about.
fn everything(scope: &Scope<'_>) -> Selector {
    let operator = match scope.namespace {
        Some(namespace) => Operator::In(vec![namespace.into()]),
        None => Operator::Exists,
    };
    Selector {
        requirements: vec![Requirement { source: Some("k8s".into()), key: NAMESPACE.into(), operator }],
    }
}

fn close(
    scope: &Scope<'_>,
    place: &str,
    subject: &Selector,
    (ingress, egress): (bool, bool),
    out: &mut Vec<Arc<Entry>>,
) {
    for (closes, direction) in [(ingress, Direction::Ingress), (egress, Direction::Egress)] {
        if closes {
            out.push(Arc::new(Entry {
                subject: subject.clone(),
                direction,
                action: Action::Close,
                default_deny: true,
                peers: EntryPeers::Nobody,
                ports: Vec::new(),
                has_ports: false,
                by: scope.at(place),
            }));
        }
    }
}
