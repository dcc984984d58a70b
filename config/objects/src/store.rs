//! The store: the objects in force, by kind and name, and the policies that were refused.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::kind::Kind;
use crate::object::{Object, ObjectKey};
use crate::problem::Source;
use crate::types::{
    BackendTlsPolicy, BackendTrafficPolicy, CiliumClusterwideNetworkPolicy, CiliumNetworkPolicy, ConfigMap,
    EndpointSlice, Gateway, GatewayClass, GrpcRoute, HttpRoute, ListenerSet, Namespace, Node, Pod,
    ReferenceGrant, Secret, Service, TcpRoute, TlsRoute, UdpRoute,
};

/// An object in force.
#[derive(Clone, Debug)]
pub struct Entry<T> {
    /// Its name.
    pub key: ObjectKey,
    /// The object; the same `Arc` as long as it does not change.
    pub object: Arc<T>,
    /// Where it was read; `None` for objects from the API server.
    pub source: Option<Source>,
}

/// The objects of one kind, ordered by namespace and name.
///
/// A clone shares everything; the first change after it copies the index of one namespace, never
/// the objects. Without a clone nothing is copied.
#[derive(Debug)]
pub struct Table<T> {
    by_namespace: Arc<ByNamespace<T>>,
    revision: u64,
    /// The names that the last changes were about, at most [`RECENT_MAX`]; the last one is that of
    /// `revision`.
    recent: VecDeque<ObjectKey>,
}

/// Changes that are remembered by name. Whoever missed more looks at everything.
const RECENT_MAX: usize = 256;

type ByNamespace<T> = BTreeMap<Arc<str>, Arc<BTreeMap<Arc<str>, Entry<T>>>>;

impl<T> Table<T> {
    /// The object of this name; the namespace is empty for cluster-scoped kinds.
    pub fn get(&self, namespace: &str, name: &str) -> Option<&Entry<T>> {
        self.by_namespace.get(namespace)?.get(name)
    }

    /// Every object, ordered by namespace and name.
    pub fn iter(&self) -> impl Iterator<Item = &Entry<T>> {
        self.by_namespace.values().flat_map(|names| names.values())
    }

    /// The objects of one namespace, ordered by name.
    pub fn namespace(&self, namespace: &str) -> impl Iterator<Item = &Entry<T>> {
        self.by_namespace.get(namespace).into_iter().flat_map(|names| names.values())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_namespace.values().map(|names| names.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_namespace.is_empty()
    }

    /// Counts the changes of this table since the store was made.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The names that changes since a revision were about, in order; `None` when those changes are
    /// too many to be remembered.
    pub fn changed_since(&self, revision: u64) -> Option<impl Iterator<Item = &ObjectKey>> {
        let missed = usize::try_from(self.revision.checked_sub(revision)?).ok()?;
        let known = self.recent.len().checked_sub(missed)?;
        Some(self.recent.iter().skip(known))
    }

    fn note(&mut self, key: ObjectKey) {
        self.revision += 1;
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(key);
    }
}

impl<T: Clone> Table<T> {
    fn insert(&mut self, entry: Entry<T>) {
        self.note(entry.key.clone());
        let names = Arc::make_mut(&mut self.by_namespace).entry(entry.key.namespace.clone()).or_default();
        Arc::make_mut(names).insert(entry.key.name.clone(), entry);
    }

    fn remove(&mut self, key: &ObjectKey) -> bool {
        if self.get(&key.namespace, &key.name).is_none() {
            return false;
        }
        let namespaces = Arc::make_mut(&mut self.by_namespace);
        if let Some(names) = namespaces.get_mut(&key.namespace) {
            Arc::make_mut(names).remove(&key.name);
            if names.is_empty() {
                namespaces.remove(&key.namespace);
            }
        }
        self.note(key.clone());
        true
    }

    fn relocate(&mut self, key: &ObjectKey, source: Source) {
        let differs = |entry: &Entry<T>| entry.source.as_ref() != Some(&source);
        if !self.get(&key.namespace, &key.name).is_some_and(differs) {
            return;
        }
        let names = Arc::make_mut(&mut self.by_namespace).get_mut(&key.namespace);
        if let Some(entry) = names.and_then(|names| Arc::make_mut(names).get_mut(&key.name)) {
            entry.source = Some(source);
        }
    }
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        Self { by_namespace: self.by_namespace.clone(), revision: self.revision, recent: self.recent.clone() }
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { by_namespace: Arc::default(), revision: 0, recent: VecDeque::new() }
    }
}

/// A policy that was refused and has no last good version: it closes what it selects.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// The policy. Its namespace, if it has one, bounds what the selectors reach.
    pub key: ObjectKey,
    /// Where it was read.
    pub source: Option<Source>,
    /// `spec` and each of `specs`, as far as they could be read.
    pub rules: Vec<RefusedRule>,
    /// Why it was refused: the first error.
    pub message: String,
}

/// What one `spec` of a refused policy closes.
#[derive(Clone, Debug, PartialEq)]
pub struct RefusedRule {
    /// `endpointSelector` or `nodeSelector`. `None`: it could not be read, so it may name
    /// everything in the policy's scope.
    pub selector: Option<LabelSelector>,
    /// Whether it is a `nodeSelector`: it selects nodes and no pods.
    pub nodes: bool,
    /// Whether it closes what reaches the selected.
    pub ingress: bool,
    /// Whether it closes what the selected reach.
    pub egress: bool,
}

macro_rules! store {
    ($($(#[$doc:meta])* $field:ident: $variant:ident),+ $(,)?) => {
        /// The objects in force and the policies refused. A clone is cheap and does not change.
        #[derive(Clone, Debug, Default)]
        pub struct Store {
            $($field: Table<$variant>,)+
            refused: Arc<BTreeMap<ObjectKey, Refused>>,
            refused_revision: u64,
            version: u64,
        }

        impl Store {
            $($(#[$doc])*
            pub fn $field(&self) -> &Table<$variant> {
                &self.$field
            })+

            /// How many objects are in force.
            pub fn count(&self) -> usize {
                0 $(+ self.$field.len())+
            }

            /// Puts an object in force in place of the one of its name; a refusal under that
            /// name ends.
            pub fn apply(&mut self, object: Object, source: Option<Source>) {
                self.put(object.key(), object, source);
            }

            /// The same for who has the object's [`Object::key`] already, so that its names are there
            /// once.
            pub fn put(&mut self, key: ObjectKey, object: Object, source: Option<Source>) {
                debug_assert_eq!(key, object.key());
                self.version += 1;
                self.pardon(&key);
                match object {
                    $(Object::$variant(object) => self.$field.insert(Entry { key, object, source }),)+
                }
            }

            /// Removes the object of this name and the refusal under it. True if there was one.
            pub fn remove(&mut self, key: &ObjectKey) -> bool {
                self.version += 1;
                let pardoned = self.pardon(key);
                let removed = match key.kind {
                    $(Kind::$variant => self.$field.remove(key),)+
                };
                pardoned || removed
            }

            /// Whether an object of this name is in force.
            pub fn contains(&self, key: &ObjectKey) -> bool {
                self.find(key).is_some()
            }

            /// The object of this name.
            pub fn find(&self, key: &ObjectKey) -> Option<Object> {
                match key.kind {
                    $(Kind::$variant => self.$field.get(&key.namespace, &key.name)
                        .map(|entry| Object::$variant(entry.object.clone())),)+
                }
            }

            /// Where the object of this name was read.
            pub fn source(&self, key: &ObjectKey) -> Option<&Source> {
                match key.kind {
                    $(Kind::$variant => self.$field.get(&key.namespace, &key.name)?.source.as_ref(),)+
                }
            }

            /// Notes that an object which did not change moved to another place. No revision
            /// counts it.
            pub fn relocate(&mut self, key: &ObjectKey, source: Source) {
                self.version += 1;
                match key.kind {
                    $(Kind::$variant => self.$field.relocate(key, source),)+
                }
            }

            /// Counts the changes of one kind's objects since the store was made.
            pub fn revision(&self, kind: Kind) -> u64 {
                match kind {
                    $(Kind::$variant => self.$field.revision(),)+
                }
            }
        }
    };
}

store! {
    /// Nodes.
    nodes: Node,
    /// Namespaces.
    namespaces: Namespace,
    /// Pods.
    pods: Pod,
    /// Services.
    services: Service,
    /// Secrets.
    secrets: Secret,
    /// ConfigMaps.
    config_maps: ConfigMap,
    /// EndpointSlices.
    endpoint_slices: EndpointSlice,
    /// GatewayClasses.
    gateway_classes: GatewayClass,
    /// Gateways.
    gateways: Gateway,
    /// ListenerSets.
    listener_sets: ListenerSet,
    /// HTTPRoutes.
    http_routes: HttpRoute,
    /// GRPCRoutes.
    grpc_routes: GrpcRoute,
    /// TLSRoutes.
    tls_routes: TlsRoute,
    /// TCPRoutes.
    tcp_routes: TcpRoute,
    /// UDPRoutes.
    udp_routes: UdpRoute,
    /// ReferenceGrants.
    reference_grants: ReferenceGrant,
    /// BackendTLSPolicies.
    backend_tls_policies: BackendTlsPolicy,
    /// XBackendTrafficPolicies.
    backend_traffic_policies: BackendTrafficPolicy,
    /// CiliumNetworkPolicies.
    network_policies: CiliumNetworkPolicy,
    /// CiliumClusterwideNetworkPolicies.
    clusterwide_policies: CiliumClusterwideNetworkPolicy,
}

impl Store {
    /// The policies that were refused and have no last good version.
    pub fn refused(&self) -> &BTreeMap<ObjectKey, Refused> {
        &self.refused
    }

    /// Differs whenever anything may, places included.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Counts the changes of [`refused`](Self::refused) since the store was made.
    pub fn refused_revision(&self) -> u64 {
        self.refused_revision
    }

    /// Records a refused policy. True if that is a change; the caller sees to it that no last
    /// good version is in force.
    pub fn refuse(&mut self, refused: Refused) -> bool {
        if self.refused.get(&refused.key) == Some(&refused) {
            return false;
        }
        Arc::make_mut(&mut self.refused).insert(refused.key.clone(), refused);
        self.refused_revision += 1;
        self.version += 1;
        true
    }

    fn pardon(&mut self, key: &ObjectKey) -> bool {
        if !self.refused.contains_key(key) {
            return false;
        }
        self.refused_revision += 1;
        Arc::make_mut(&mut self.refused).remove(key).is_some()
    }
}

#[cfg(test)]
mod tests;
