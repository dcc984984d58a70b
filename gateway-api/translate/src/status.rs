//! Status conditions as the Gateway API names them, computed as data; a controller writes them.

use std::fmt;
use std::sync::Arc;

use objects::{Kind, ObjectKey};

/// The status of one part of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The object.
    pub object: ObjectKey,
    /// The part of it.
    pub part: Part,
    /// Its conditions.
    pub conditions: Vec<Condition>,
    /// `status.listeners[].attachedRoutes`; `None` for other parts.
    pub attached_routes: Option<usize>,
    /// `status.listeners[].supportedKinds`; empty for other parts.
    pub supported_kinds: Vec<Kind>,
    /// `status.attachedListenerSets` of a Gateway; `None` for other parts.
    pub attached_listener_sets: Option<usize>,
}

/// The part of an object that a [`Status`] is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The object as a whole.
    Whole,
    /// `spec.parentRefs[n]` of a route.
    Parent(usize),
    /// The listener of this name of a Gateway or ListenerSet.
    Listener(Arc<str>),
    /// The entry of `status.ancestors` for this Gateway, of a policy.
    Ancestor(ObjectKey),
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `type`.
    pub kind: &'static str,
    /// `status`.
    pub status: bool,
    /// `reason`.
    pub reason: Reason,
}

impl Condition {
    pub(crate) fn new(kind: &'static str, status: bool, reason: Reason) -> Self {
        Self { kind, status, reason }
    }
}

/// Condition reasons of the Gateway API (`apis/v1`), by their names there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the reason of that name in the Gateway API")]
pub enum Reason {
    Accepted,
    BackendNotFound,
    ConfigurationChanged,
    Conflicted,
    HostnameConflict,
    InvalidCACertificateKind,
    InvalidCACertificateRef,
    InvalidCertificateRef,
    InvalidClientCertificateRef,
    InvalidKind,
    InvalidRouteKinds,
    Invalid,
    ListenersNotValid,
    NoConflicts,
    NoMatchingListenerHostname,
    NoMatchingParent,
    NoValidCACertificate,
    NotAllowed,
    NotAllowedByListeners,
    ParentNotAccepted,
    PortUnavailable,
    Programmed,
    ProtocolConflict,
    RefNotPermitted,
    ResolvedRefs,
    TargetNotFound,
    UnsupportedAddress,
    UnsupportedProtocol,
    UnsupportedValue,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
