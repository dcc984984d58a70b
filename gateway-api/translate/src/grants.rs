//! ReferenceGrants: which references into another namespace are allowed.

use objects::{ObjectKey, Store};

use crate::gateways::allowed::GROUP;

/// An object as a reference names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    /// `group`; empty for the core group.
    pub(crate) group: &'a str,
    /// `kind`.
    pub(crate) kind: &'a str,
    /// The namespace it leads to.
    pub(crate) namespace: &'a str,
    /// `name`.
    pub(crate) name: &'a str,
}

/// Whether an object of the Gateway API may refer to the target: it is in the same namespace, or
/// a ReferenceGrant there says so.
pub(crate) fn allows(store: &Store, from: &ObjectKey, to: Target<'_>) -> bool {
    if *from.namespace == *to.namespace {
        return true;
    }
    store.reference_grants().namespace(to.namespace).any(|grant| {
        let spec = &grant.object.spec;
        let from_here = spec.from.iter().any(|entry| {
            entry.group == GROUP && entry.kind == from.kind.as_str() && entry.namespace == *from.namespace
        });
        let to_there = spec.to.iter().any(|entry| {
            let name = entry.name.as_deref().filter(|name| !name.is_empty());
            entry.group == to.group && entry.kind == to.kind && name.is_none_or(|name| name == to.name)
        });
        from_here && to_there
    })
}
