//! `backendRef`: from the name of a Service port to its number, or why not.

use model::service::BackendId;
use objects::{Kind, ObjectKey};

use super::Context;
use crate::gateways::allowed::GROUP;
use crate::services::Lookup;
use crate::status::Reason;

/// A reference to a backend as an object has it, defaults filled in.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    /// Where it stands.
    pub(super) field: String,
    /// `group`; empty for the core group.
    pub(super) group: String,
    /// `kind`.
    pub(super) kind: String,
    /// The namespace it leads to.
    pub(super) namespace: String,
    /// `name`.
    pub(super) name: String,
    /// `port`.
    pub(super) port: Option<i32>,
}

/// What a reference came to.
pub(super) type Resolution = Result<BackendId, Unresolved>;

/// Why a reference leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unresolved {
    /// The reason of the `ResolvedRefs` condition.
    pub(super) reason: Reason,
    /// The same for a person.
    pub(super) message: String,
}

/// Resolves a reference of a route in the given namespace. Permission is judged before existence,
/// so that nobody learns what another namespace holds.
pub(super) fn resolve(reference: &Reference, route_namespace: &str, context: Context<'_>) -> Resolution {
    let Reference { group, kind, namespace, name, port, .. } = reference;
    let fail = |reason, message| Err(Unresolved { reason, message });
    if !group.is_empty() || kind != "Service" {
        return fail(Reason::InvalidKind, format!("{kind} is not a kind of backend that we serve"));
    }
    if namespace != route_namespace && !is_granted(reference, route_namespace, context) {
        let message = format!("no ReferenceGrant in {namespace} lets HTTPRoutes of {route_namespace} in");
        return fail(Reason::RefNotPermitted, message);
    }
    let Some(port) = port else {
        return fail(Reason::BackendNotFound, "a Service needs a port".to_owned());
    };
    let service = ObjectKey::new(Kind::Service, namespace, name);
    let number = u16::try_from(*port).unwrap_or_default();
    match context.services.lookup(&service, number) {
        Lookup::Found(id) => Ok(id),
        Lookup::NoService => fail(Reason::BackendNotFound, format!("there is no {service}")),
        Lookup::NoPort => fail(Reason::BackendNotFound, format!("{service} has no port {port}")),
        Lookup::External => {
            fail(Reason::BackendNotFound, format!("{service} is of type ExternalName: it has no endpoints"))
        }
        Lookup::NotTcp => fail(Reason::UnsupportedProtocol, format!("port {port} of {service} is not TCP")),
    }
}

fn is_granted(reference: &Reference, route_namespace: &str, context: Context<'_>) -> bool {
    let mut grants = context.store.reference_grants().namespace(&reference.namespace);
    grants.any(|grant| {
        let spec = &grant.object.spec;
        let from = spec
            .from
            .iter()
            .any(|from| from.group == GROUP && from.kind == "HTTPRoute" && from.namespace == route_namespace);
        let to = spec.to.iter().any(|to| {
            let name = to.name.as_deref().filter(|name| !name.is_empty());
            to.group == reference.group
                && to.kind == reference.kind
                && name.is_none_or(|name| name == reference.name)
        });
        from && to
    })
}
