//! ListenerSets: listeners that others than its owner add to a Gateway, where the Gateway lets them.

use gateway_api::gateways::Gateway;
use objects::types::ListenerSet;
use objects::{Entry, Kind, ObjectKey, Store, listener_set};

use super::allowed::{self, GROUP};
use super::listener::{Listener, ListenerKey};
use super::{GatewayState, tls};
use crate::credentials::Credentials;
use crate::report::{self, Problems, created};
use crate::status::{Condition, Reason};

/// A ListenerSet of a Gateway of ours.
#[derive(Debug)]
pub(crate) struct SetState {
    /// The ListenerSet.
    pub(crate) key: ObjectKey,
    /// Its listeners, served or not; none if it is refused.
    pub(crate) listeners: Vec<Listener>,
    /// Why the whole set serves nothing, if so.
    pub(crate) refused: Option<Reason>,
    pub(super) created: i64,
    pub(super) problems: Problems,
}

/// The Gateway that a ListenerSet names, or what is wrong with the reference.
pub(crate) fn parent(entry: &Entry<ListenerSet>) -> Result<ObjectKey, String> {
    let parent = &entry.object.spec.parent_ref;
    let (group, kind) = (parent.group.as_deref().unwrap_or(GROUP), parent.kind.as_deref());
    if (group, kind.unwrap_or("Gateway")) != (GROUP, "Gateway") {
        return Err("is not a Gateway: listeners are added to nothing else".to_owned());
    }
    let namespace = parent.namespace.as_deref().unwrap_or(&entry.key.namespace);
    Ok(ObjectKey::new(Kind::Gateway, namespace, &parent.name))
}

impl GatewayState {
    /// Takes a ListenerSet in that names this Gateway.
    pub(super) fn add(
        &mut self,
        gateway: &Gateway,
        entry: &Entry<ListenerSet>,
        old: Option<&SetState>,
        store: &Store,
        credentials: &mut Credentials,
    ) {
        let mut set = SetState {
            key: entry.key.clone(),
            listeners: Vec::new(),
            refused: None,
            created: created(&entry.object.metadata),
            problems: Vec::new(),
        };
        if !allowed::sets(gateway, &self.key.namespace, &set.key.namespace, store) {
            let message =
                format!("{} lets no ListenerSets of this namespace in (allowedListeners)", self.key);
            report::error(&mut set.problems, "spec.parentRef", message);
            set.refused = Some(Reason::NotAllowed);
        } else if self.refused.is_some() {
            let message = format!("{} is not accepted itself", self.key);
            report::error(&mut set.problems, "spec.parentRef", message);
            set.refused = Some(Reason::ParentNotAccepted);
        } else {
            set.read(self, &entry.object, old, store, credentials);
        }
        self.sets.push(set);
    }
}

impl SetState {
    fn read(
        &mut self,
        gateway: &GatewayState,
        object: &ListenerSet,
        old: Option<&SetState>,
        store: &Store,
        credentials: &mut Credentials,
    ) {
        let objects = listener_set::listeners(object);
        for (index, object) in objects.iter().enumerate() {
            let (set, name) = (Some(self.key.clone()), (&*object.name).into());
            let key = ListenerKey { gateway: gateway.key.clone(), set, name };
            self.listeners.push(Listener::read(key, index, object, &mut self.problems));
        }
        // Grants of the Gateway are not the set's: a reference is judged as the set's own.
        let mut reader = tls::Reader { object: &self.key, store, credentials, problems: &mut self.problems };
        for (object, listener) in objects.iter().zip(&mut self.listeners) {
            let before = old.and_then(|old| old.listeners.iter().find(|known| known.key == listener.key));
            listener.resolve(object, &gateway.tls, before, &mut reader);
        }
    }

    /// Whether it counts among the sets that are attached to the Gateway.
    pub(super) fn is_accepted(&self) -> bool {
        self.refused.is_none() && self.listeners.iter().any(|listener| listener.unaccepted().is_none())
    }

    /// The conditions of the whole.
    pub(super) fn conditions(&self) -> Vec<Condition> {
        let both = |reason| {
            vec![Condition::new("Accepted", false, reason), Condition::new("Programmed", false, reason)]
        };
        if let Some(reason) = self.refused {
            return both(reason);
        }
        if !self.is_accepted() {
            return both(Reason::ListenersNotValid);
        }
        let all = self.listeners.iter().all(|listener| listener.unaccepted().is_none());
        let serves = self.listeners.iter().any(|listener| listener.unprogrammed().is_none());
        vec![
            Condition::new("Accepted", true, if all { Reason::Accepted } else { Reason::ListenersNotValid }),
            Condition::new("Programmed", serves, if serves { Reason::Programmed } else { Reason::Invalid }),
        ]
    }
}
