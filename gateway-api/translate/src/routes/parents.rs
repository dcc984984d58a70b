//! `parentRefs`: the listeners, of Gateways and ListenerSets, and Services that a route attaches to.

use std::sync::Arc;

use model::service::AppProtocol;
use model::workload::Protocol;
use objects::route::ParentRef;
use objects::{Kind, ObjectKey, Problem};

use super::{Context, RouteKind};
use crate::gateways::allowed::GROUP;
use crate::gateways::{self, Listener};
use crate::services::Port;
use crate::status::Reason;
use crate::tables::{Attachment, TableKey};

/// What one parent makes of a route.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// It takes it, at these places.
    Attached(Vec<Attachment>),
    /// It does not.
    Refused {
        /// The reason of the `Accepted` condition.
        reason: Reason,
        /// The same for a person.
        message: String,
    },
    /// It is another controller's.
    Foreign,
}

impl Outcome {
    fn refused(reason: Reason, message: impl Into<String>) -> Self {
        Self::Refused { reason, message: message.into() }
    }

    /// The places it gives the route.
    pub(super) fn attachments(&self) -> &[Attachment] {
        match self {
            Self::Attached(attachments) => attachments,
            Self::Refused { .. } | Self::Foreign => &[],
        }
    }

    /// What to report of the parent at this place of `spec.parentRefs`.
    pub(super) fn problem(&self, at: usize) -> Option<Problem> {
        let Self::Refused { reason, message } = self else { return None };
        Some(Problem::error(format!("{message} ({reason})")).field(format!("spec.parentRefs[{at}]")))
    }
}

/// What each parent makes of the route, in the order of `spec.parentRefs`.
pub(super) fn outcomes<T: RouteKind>(key: &ObjectKey, route: &T, context: Context<'_>) -> Vec<Outcome> {
    let hostnames = hostnames(route);
    let outcome = |parent: &ParentRef<'_>| {
        let group = parent.group.unwrap_or(GROUP);
        let namespace = parent.namespace.unwrap_or(&key.namespace);
        match (group, parent.kind.unwrap_or("Gateway")) {
            (GROUP, "Gateway") => {
                let parent_key = ObjectKey::new(Kind::Gateway, namespace, parent.name);
                to_gateway(key, parent, &parent_key, &hostnames, context)
            }
            (GROUP, "ListenerSet") => {
                let parent_key = ObjectKey::new(Kind::ListenerSet, namespace, parent.name);
                to_set(key, parent, &parent_key, &hostnames, context)
            }
            ("", "Service") if T::BINDS_TO_SERVICES => {
                let parent_key = ObjectKey::new(Kind::Service, namespace, parent.name);
                to_service(key, parent, &parent_key, context)
            }
            (_, kind) => {
                let message = format!("{kind} is not a kind of parent that we serve for {}s", T::KIND);
                Outcome::refused(Reason::NoMatchingParent, message)
            }
        }
    };
    route.parents().iter().map(outcome).collect()
}

/// The Services that a route names as parents.
pub(super) fn services<T: RouteKind>(key: &ObjectKey, route: &T) -> Vec<ObjectKey> {
    let parents = route.parents();
    let services = parents
        .iter()
        .filter(|parent| (parent.group.unwrap_or(GROUP), parent.kind) == ("", Some("Service")))
        .map(|parent| {
            let namespace = parent.namespace.unwrap_or(&key.namespace);
            ObjectKey::new(Kind::Service, namespace, parent.name)
        });
    services.collect()
}

/// `spec.hostnames`, lower case.
fn hostnames(route: &impl RouteKind) -> Vec<Arc<str>> {
    let mut hostnames: Vec<Arc<str>> =
        route.hostnames().iter().map(|hostname| hostname.to_ascii_lowercase().into()).collect();
    hostnames.sort();
    hostnames.dedup();
    hostnames
}

fn to_gateway(
    key: &ObjectKey,
    parent: &ParentRef<'_>,
    parent_key: &ObjectKey,
    hostnames: &[Arc<str>],
    context: Context<'_>,
) -> Outcome {
    let Some(gateway) = context.gateways.get(parent_key) else {
        if context.store.contains(parent_key) {
            return Outcome::Foreign;
        }
        return Outcome::refused(Reason::NoMatchingParent, format!("there is no {parent_key}"));
    };
    to_listeners(key, parent, (parent_key, &gateway.listeners), hostnames, context)
}

/// A ListenerSet as parent: its own listeners, and none of its Gateway's.
fn to_set(
    key: &ObjectKey,
    parent: &ParentRef<'_>,
    parent_key: &ObjectKey,
    hostnames: &[Arc<str>],
    context: Context<'_>,
) -> Outcome {
    let store = context.store;
    let Some(set) = context.gateways.set(parent_key) else {
        let Some(set) = store.listener_sets().get(&parent_key.namespace, &parent_key.name) else {
            return Outcome::refused(Reason::NoMatchingParent, format!("there is no {parent_key}"));
        };
        return match gateways::parent_of_set(set) {
            Ok(gateway) if store.contains(&gateway) => Outcome::Foreign,
            _ => {
                let message = format!("{parent_key} adds its listeners to nothing");
                Outcome::refused(Reason::NoMatchingParent, message)
            }
        };
    };
    if let Some(reason) = set.refused {
        let message = format!("{parent_key} is not attached to its Gateway: {reason}");
        return Outcome::refused(Reason::NoMatchingParent, message);
    }
    to_listeners(key, parent, (parent_key, &set.listeners), hostnames, context)
}

fn to_listeners(
    key: &ObjectKey,
    parent: &ParentRef<'_>,
    (parent_key, listeners): (&ObjectKey, &[Listener]),
    hostnames: &[Arc<str>],
    context: Context<'_>,
) -> Outcome {
    let named: Vec<&Listener> = listeners.iter().filter(|l| names(parent, l)).collect();
    if named.is_empty() {
        let message = format!("{parent_key} has no listener of that sectionName and port");
        return Outcome::refused(Reason::NoMatchingParent, message);
    }
    let allows = |l: &&&Listener| allows(l, key, context);
    let allowed: Vec<&Listener> = named.iter().filter(allows).copied().collect();
    if allowed.is_empty() {
        let message =
            format!("no listener of {parent_key} allows {}s of namespace {}", key.kind, key.namespace);
        return Outcome::refused(Reason::NotAllowedByListeners, message);
    }
    let served: Vec<&Listener> = allowed.into_iter().filter(|l| l.refused.is_none()).collect();
    if served.is_empty() {
        let message = format!("no listener of {parent_key} that the route could use is served");
        return Outcome::refused(Reason::NoMatchingParent, message);
    }
    let attach = |listener: &Listener| {
        let hostnames = narrowed(hostnames, listener.hostname.as_deref())?;
        Some(Attachment { table: TableKey::Listener(listener.key.clone()), hostnames })
    };
    let mut attachments: Vec<Attachment> = served.into_iter().filter_map(attach).collect();
    attachments.shrink_to_fit();
    if attachments.is_empty() {
        let message = format!("no hostname of the route is one of a listener of {parent_key}");
        return Outcome::refused(Reason::NoMatchingListenerHostname, message);
    }
    Outcome::Attached(attachments)
}

fn names(parent: &ParentRef<'_>, listener: &Listener) -> bool {
    parent.section_name.is_none_or(|name| name == &*listener.key.name)
        && parent.port.is_none_or(|port| port == i32::from(listener.port))
}

fn allows(listener: &Listener, route: &ObjectKey, context: Context<'_>) -> bool {
    listener.allowed.kinds.contains(&route.kind)
        && listener.allowed.namespace(&listener.key.owner().namespace, &route.namespace, context.store)
}

/// The route's hostnames that a listener of this hostname can receive, kept as the route has
/// them: requests are narrowed by the listener already, and precedence goes by the route's own
/// hostnames. `None` when it can receive none of them.
fn narrowed(hostnames: &[Arc<str>], listener: Option<&str>) -> Option<Vec<Arc<str>>> {
    let Some(listener) = listener else { return Some(hostnames.to_vec()) };
    let kept: Vec<_> = hostnames.iter().filter(|h| intersect(h, listener)).cloned().collect();
    (hostnames.is_empty() || !kept.is_empty()).then_some(kept)
}

/// Whether some host matches both hostnames, either of which may be a wildcard.
fn intersect(a: &str, b: &str) -> bool {
    match (a.strip_prefix('*'), b.strip_prefix('*')) {
        (None, None) => a == b,
        (Some(suffix), None) => b.len() > suffix.len() && b.ends_with(suffix),
        (None, Some(suffix)) => a.len() > suffix.len() && a.ends_with(suffix),
        (Some(a), Some(b)) => a.ends_with(b) || b.ends_with(a),
    }
}

/// A Service as parent: the route takes the requests that are dialled to its ClusterIP. Host
/// names do not count there, whatever the route says.
fn to_service(
    key: &ObjectKey,
    parent: &ParentRef<'_>,
    parent_key: &ObjectKey,
    context: Context<'_>,
) -> Outcome {
    if parent_key.namespace != key.namespace {
        let message = format!("routes for {parent_key} from another namespace are not supported yet");
        return Outcome::refused(Reason::UnsupportedValue, message);
    }
    let Some(ports) = context.services.ports(parent_key) else {
        return Outcome::refused(Reason::NoMatchingParent, format!("there is no {parent_key}"));
    };
    // A port said to speak something else is meant only where it is named.
    let any = parent.port.is_none() && parent.section_name.is_none();
    let named = |port: &&Port| {
        port.transport == Protocol::Tcp
            && !(any && port.protocol == AppProtocol::Opaque)
            && parent.port.is_none_or(|wanted| wanted == i32::from(port.port))
            && parent.section_name.is_none_or(|name| port.name.as_deref() == Some(name))
    };
    let attachment = |port: &Port| Attachment { table: TableKey::Service(port.id), hostnames: Vec::new() };
    let mut attachments: Vec<_> = ports.iter().filter(named).map(attachment).collect();
    attachments.shrink_to_fit();
    if attachments.is_empty() {
        let message = format!("{parent_key} has no such TCP port for HTTP");
        return Outcome::refused(Reason::NoMatchingParent, message);
    }
    Outcome::Attached(attachments)
}
