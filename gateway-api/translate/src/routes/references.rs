//! `backendRef`: from the name of a Service port to its number, or why not.

use std::borrow::Cow;
use std::sync::Arc;

use model::service::BackendId;
use model::workload::Protocol;
use objects::{Kind, ObjectKey};

use super::Context;
use crate::grants::{self, Target};
use crate::services::Lookup;
use crate::status::Reason;

/// A reference to a backend as an object has it, defaults filled in.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    /// Where it stands.
    pub(super) field: Box<str>,
    /// `group`; empty for the core group.
    pub(super) group: Box<str>,
    /// `kind`.
    pub(super) kind: Cow<'static, str>,
    /// The namespace it leads to.
    pub(super) namespace: Arc<str>,
    /// `name`.
    pub(super) name: Box<str>,
    /// `port`.
    pub(super) port: Option<i32>,
}

/// What a reference came to.
pub(super) type Resolution = Result<BackendId, Box<Unresolved>>;

/// Why a reference leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unresolved {
    /// The reason of the `ResolvedRefs` condition.
    pub(super) reason: Reason,
    /// The same for a person.
    pub(super) message: String,
}

impl Reference {
    /// Whether it is of the kind that we serve.
    pub(super) fn is_service(&self) -> bool {
        self.group.is_empty() && self.kind == "Service"
    }
}

/// Resolves a reference of a route. Permission is judged before existence,
/// so that nobody learns what another namespace holds.
pub(super) fn resolve(reference: &Reference, route: &ObjectKey, context: Context<'_>) -> Resolution {
    let Reference { group, kind, namespace, name, port, .. } = reference;
    let fail = |reason, message| Err(Box::new(Unresolved { reason, message }));
    if !reference.is_service() {
        return fail(Reason::InvalidKind, format!("{kind} is not a kind of backend that we serve"));
    }
    if !grants::allows(context.store, route, Target { group, kind, namespace, name }) {
        let message =
            format!("no ReferenceGrant in {namespace} lets {}s of {} in", route.kind, route.namespace);
        return fail(Reason::RefNotPermitted, message);
    }
    let Some(port) = port else {
        return fail(Reason::BackendNotFound, "a Service needs a port".to_owned());
    };
    let service = ObjectKey::new(Kind::Service, namespace, name);
    let number = u16::try_from(*port).unwrap_or_default();
    let transport = if route.kind == Kind::UdpRoute { Protocol::Udp } else { Protocol::Tcp };
    match context.services.lookup(&service, number, transport) {
        Lookup::Found(id) => Ok(id),
        Lookup::NoService => fail(Reason::BackendNotFound, format!("there is no {service}")),
        Lookup::NoPort => fail(Reason::BackendNotFound, format!("{service} has no port {port}")),
        Lookup::External => {
            fail(Reason::BackendNotFound, format!("{service} is of type ExternalName: it has no endpoints"))
        }
        Lookup::OtherTransport => {
            let wanted = if transport == Protocol::Udp { "UDP" } else { "TCP" };
            fail(Reason::UnsupportedProtocol, format!("port {port} of {service} is not {wanted}"))
        }
    }
}
