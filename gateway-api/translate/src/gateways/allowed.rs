//! `listeners[].allowedRoutes`: the routes that may attach to a listener; `allowedListeners`: the
//! ListenerSets that may attach to a Gateway.

use std::collections::BTreeMap;

use gateway_api::gateways::{
    Gateway, GatewayAllowedListenersNamespacesFrom as SetsFrom, GatewayListeners,
    GatewayListenersAllowedRoutesNamespacesFrom as From,
    GatewayListenersAllowedRoutesNamespacesSelector as Selector,
};
use objects::{Kind, Store};

use crate::report::{self, Problems, selects};

/// The label that every namespace carries its own name under.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
/// The API group of routes.
pub(crate) const GROUP: &str = "gateway.networking.k8s.io";
/// What is wrong with `from: Selector` that comes alone.
const NO_SELECTOR: &str = "is missing: `from: Selector` without it lets no namespace in";

/// Which routes may attach.
#[derive(Debug)]
pub(crate) struct AllowedRoutes {
    /// Routes of these kinds.
    pub(crate) kinds: Vec<Kind>,
    /// Whether `kinds` names a kind that a listener of this protocol does not take.
    pub(crate) unknown_kinds: bool,
    namespaces: Namespaces,
}

#[derive(Debug)]
enum Namespaces {
    Same,
    All,
    None,
    Selected(Selector),
}

impl AllowedRoutes {
    /// Reads the field of one listener, whose protocol takes routes of the kinds given.
    pub(crate) fn read(
        index: usize,
        listener: &GatewayListeners,
        served: &[Kind],
        problems: &mut Problems,
    ) -> Self {
        let field = |name: &str| format!("spec.listeners[{index}].allowedRoutes.{name}");
        let allowed = listener.allowed_routes.as_ref();
        let named = allowed.and_then(|a| a.kinds.as_deref()).unwrap_or_default();
        let mut kinds = if named.is_empty() { served.to_vec() } else { Vec::new() };
        let mut unknown_kinds = false;
        for (at, kind) in named.iter().enumerate() {
            let is_named = |known: &&Kind| {
                known.as_str() == kind.kind && known.group() == kind.group.as_deref().unwrap_or(GROUP)
            };
            match served.iter().find(is_named) {
                Some(known) if kinds.contains(known) => {}
                Some(known) => kinds.push(*known),
                None => {
                    unknown_kinds = true;
                    let message =
                        format!("{} is not a kind of route for protocol {}", kind.kind, listener.protocol);
                    report::error(problems, field(&format!("kinds[{at}]")), message);
                }
            }
        }
        let from = allowed.and_then(|a| a.namespaces.as_ref());
        let namespaces = match from.map(|n| (n.from.as_ref(), n.selector.as_ref())) {
            Some((Some(From::All), _)) => Namespaces::All,
            Some((Some(From::Selector), Some(selector))) => {
                if matches(selector, &BTreeMap::new()).is_none() {
                    let field = field("namespaces.selector.matchExpressions");
                    report::error(problems, field, "an unknown operator: it selects nothing");
                }
                Namespaces::Selected(selector.clone())
            }
            // Not the empty selector, which selects every namespace.
            Some((Some(From::Selector), None)) => {
                report::error(problems, field("namespaces.selector"), NO_SELECTOR);
                Namespaces::None
            }
            _ => Namespaces::Same,
        };
        Self { kinds, unknown_kinds, namespaces }
    }

    /// Whether routes of a namespace may attach to this listener of an object in another.
    pub(crate) fn namespace(&self, owner: &str, route: &str, store: &Store) -> bool {
        match &self.namespaces {
            Namespaces::Same => owner == route,
            Namespaces::All => true,
            Namespaces::None => false,
            Namespaces::Selected(selector) => matches(selector, &labels(route, store)) == Some(true),
        }
    }
}

/// Reports an `allowedListeners` that can let nobody in.
pub(super) fn check_sets(gateway: &Gateway, problems: &mut Problems) {
    let allowed = gateway.spec.allowed_listeners.as_ref().and_then(|allowed| allowed.namespaces.as_ref());
    if allowed.is_some_and(|a| a.from == Some(SetsFrom::Selector) && a.selector.is_none()) {
        report::error(problems, "spec.allowedListeners.namespaces.selector", NO_SELECTOR);
    }
}

/// Whether ListenerSets of a namespace may attach to a Gateway; none may unless it says so.
pub(super) fn sets(gateway: &Gateway, home: &str, set: &str, store: &Store) -> bool {
    let allowed = gateway.spec.allowed_listeners.as_ref().and_then(|allowed| allowed.namespaces.as_ref());
    match allowed.map(|allowed| (allowed.from.as_ref(), allowed.selector.as_ref())) {
        Some((Some(SetsFrom::All), _)) => true,
        Some((Some(SetsFrom::Same), _)) => home == set,
        Some((Some(SetsFrom::Selector), Some(selector))) => {
            let expressions = selector.match_expressions.iter().flatten();
            let expressions =
                expressions.map(|e| (&*e.key, &*e.operator, e.values.as_deref().unwrap_or_default()));
            selects(selector.match_labels.as_ref(), expressions, &labels(set, store)) == Some(true)
        }
        // Without a selector it selects nothing, as the field asks for one.
        Some((Some(SetsFrom::Selector), None) | (Some(SetsFrom::None) | None, _)) | None => false,
    }
}

/// The labels of a namespace.
fn labels(namespace: &str, store: &Store) -> BTreeMap<String, String> {
    let object = store.namespaces().get("", namespace);
    let mut labels = object.and_then(|n| n.object.metadata.labels.clone()).unwrap_or_default();
    // The API server sets it on every namespace; files may leave it out.
    labels.insert(NAMESPACE_NAME.to_owned(), namespace.to_owned());
    labels
}

fn matches(selector: &Selector, labels: &BTreeMap<String, String>) -> Option<bool> {
    let expressions = selector.match_expressions.iter().flatten();
    let expressions = expressions.map(|e| (&*e.key, &*e.operator, e.values.as_deref().unwrap_or_default()));
    selects(selector.match_labels.as_ref(), expressions, labels)
}
