//! What the API server and the schemas of the CRDs refuse, beyond what the types say. An object
//! with a fault is not put in force.
//!
//! Objects from an API server were checked there; files have only this.

mod cilium;
mod core;
mod filter;
mod gateway;
mod grpc_route;
mod http_route;
mod policy;
mod route;
mod syntax;

use crate::object::Object;
use crate::path::{FieldPath, Segment};

/// A field whose value is not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field.
    pub field: FieldPath,
    /// What is wrong with it.
    pub message: String,
}

/// Every fault of an object, in the order of its fields.
pub fn check(object: &Object) -> Vec<Fault> {
    let mut c = Checker::default();
    core::metadata(&mut c, object.kind(), object.metadata());
    match object {
        Object::Node(node) => core::node(&mut c, node),
        Object::Namespace(_) => {}
        Object::Pod(pod) => core::pod(&mut c, pod),
        Object::Service(service) => core::service(&mut c, service),
        Object::Secret(secret) => core::secret(&mut c, secret),
        Object::ConfigMap(map) => core::config_map(&mut c, map),
        Object::EndpointSlice(slice) => core::endpoint_slice(&mut c, slice),
        Object::GatewayClass(class) => gateway::gateway_class(&mut c, class),
        Object::Gateway(gateway) => gateway::gateway(&mut c, gateway),
        Object::ListenerSet(set) => gateway::listener_set(&mut c, set),
        Object::HttpRoute(route) => http_route::http_route(&mut c, route),
        Object::GrpcRoute(route) => grpc_route::grpc_route(&mut c, route),
        Object::TlsRoute(route) => route::stream_route(&mut c, &**route),
        Object::TcpRoute(route) => route::stream_route(&mut c, &**route),
        Object::UdpRoute(route) => route::stream_route(&mut c, &**route),
        Object::BackendTlsPolicy(policy) => policy::backend_tls(&mut c, policy),
        Object::BackendTrafficPolicy(policy) => policy::backend_traffic(&mut c, policy),
        Object::ReferenceGrant(grant) => gateway::reference_grant(&mut c, grant),
        Object::CiliumNetworkPolicy(policy) => {
            cilium::policy(&mut c, policy.spec.as_ref(), policy.specs.as_deref(), false);
        }
        Object::CiliumClusterwideNetworkPolicy(policy) => {
            cilium::policy(&mut c, policy.spec.as_ref(), policy.specs.as_deref(), true);
        }
    }
    c.faults
}

/// Walks an object, knows where it is, and collects faults.
#[derive(Default)]
struct Checker {
    path: Vec<Segment>,
    faults: Vec<Fault>,
}

impl Checker {
    /// A fault of the field the walk is at.
    fn fault(&mut self, message: impl Into<String>) {
        self.faults.push(Fault { field: FieldPath(self.path.clone()), message: message.into() });
    }

    /// A fault unless `good`.
    fn must(&mut self, good: bool, message: impl Into<String>) {
        if !good {
            self.fault(message);
        }
    }

    /// A fault of a field below, unless `good`.
    fn must_at(&mut self, key: &str, good: bool, message: impl Into<String>) {
        self.at(key, |c| c.must(good, message));
    }

    /// Walks into a field.
    fn at(&mut self, key: &str, walk: impl FnOnce(&mut Self)) {
        self.path.push(Segment::Key(key.to_owned()));
        walk(self);
        self.path.pop();
    }

    /// Walks into a field that is there.
    fn some<T>(&mut self, key: &str, value: Option<&T>, walk: impl FnOnce(&mut Self, &T)) {
        if let Some(value) = value {
            self.at(key, |c| walk(c, value));
        }
    }

    /// Walks into each element of a list.
    fn each<T>(&mut self, key: &str, list: &[T], mut walk: impl FnMut(&mut Self, &T)) {
        self.at(key, |c| {
            for (at, item) in list.iter().enumerate() {
                c.path.push(Segment::Index(at));
                walk(c, item);
                c.path.pop();
            }
        });
    }

    /// Walks into each element of a list that is there.
    fn each_of<T>(&mut self, key: &str, list: &Option<Vec<T>>, walk: impl FnMut(&mut Self, &T)) {
        self.each(key, list.as_deref().unwrap_or_default(), walk);
    }

    /// A list of at most `max` elements.
    fn at_most<T>(&mut self, key: &str, list: &[T], max: usize) {
        self.must_at(key, list.len() <= max, format!("at most {max} are allowed, not {}", list.len()));
    }

    /// A number in a range.
    fn range(&mut self, value: impl Into<i64>, low: i64, high: i64) {
        let value = value.into();
        self.must((low..=high).contains(&value), format!("must be from {low} to {high}, not {value}"));
    }

    /// A port number.
    fn port(&mut self, value: i32) {
        self.range(value, 1, 65535);
    }

    /// One of a list of words.
    fn one_of(&mut self, value: &str, words: &[&str]) {
        self.must(words.contains(&value), format!("must be one of {}, not `{value}`", words.join(", ")));
    }

    /// Elements that must differ by a name.
    fn unique<'a>(&mut self, key: &str, names: impl Iterator<Item = &'a str>) {
        let mut seen = std::collections::HashSet::new();
        for (at, name) in names.enumerate() {
            if !seen.insert(name) {
                self.at(key, |c| {
                    c.path.push(Segment::Index(at));
                    c.fault(format!("a second `{name}`"));
                    c.path.pop();
                });
            }
        }
    }
}

#[cfg(test)]
mod tests;
