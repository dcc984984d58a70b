//! GatewayClasses, Gateways, ListenerSets and ReferenceGrants: the schemas and rules of the Gateway API's CRDs.

use std::collections::HashSet;

use gateway_api::apis::standard::gatewayclasses::GatewayClass;
use gateway_api::apis::standard::gateways::{
    Gateway, GatewayListeners, GatewayListenersTls, GatewayListenersTlsMode as Mode, GatewayTlsFrontend,
};
use gateway_api::apis::standard::referencegrants::ReferenceGrant;

use super::Checker;
use crate::types::ListenerSet;

/// `spec.controllerName` is a domain with a path.
pub(super) fn gateway_class(c: &mut Checker, class: &GatewayClass) {
    let name = &class.spec.controller_name;
    let good = name.split_once('/').is_some_and(|(domain, path)| {
        super::syntax::is_subdomain(domain) && !path.is_empty() && name.len() <= 253
    });
    let message = format!("`{name}` is not a domain and a path such as `example.com/controller`");
    c.at("spec", |c| c.must_at("controllerName", good, message));
}

/// The listeners of a Gateway.
pub(super) fn gateway(c: &mut Checker, gateway: &Gateway) {
    let spec = &gateway.spec;
    c.at("spec", |c| {
        c.must_at("gatewayClassName", !spec.gateway_class_name.is_empty(), "is empty");
        c.at_most("addresses", spec.addresses.as_deref().unwrap_or_default(), 16);
        c.each_of("addresses", &spec.addresses, |c, address| {
            let is_ip = matches!(address.r#type.as_deref(), None | Some("IPAddress"));
            c.some("value", address.value.as_ref().filter(|_| is_ip), |c, value| c.ip(value));
        });
        listeners(c, &spec.listeners);
        let frontend = spec.tls.as_ref().and_then(|tls| tls.frontend.as_ref());
        c.at("tls", |c| c.some("frontend", frontend, self::frontend));
    });
}

/// The listeners of a ListenerSet and the Gateway that it adds them to.
pub(super) fn listener_set(c: &mut Checker, set: &ListenerSet) {
    let parent = &set.spec.parent_ref;
    c.at("spec", |c| {
        c.at("parentRef", |c| {
            c.must_at("name", !parent.name.is_empty(), "is empty");
            c.some("namespace", parent.namespace.as_ref(), |c, namespace| c.label(namespace));
        });
        listeners(c, &crate::listener_set::listeners(set));
    });
}

fn listeners(c: &mut Checker, listeners: &[GatewayListeners]) {
    c.must_at("listeners", !listeners.is_empty(), "at least one is needed");
    c.at_most("listeners", listeners, 64);
    c.each("listeners", listeners, listener);
    c.unique("listeners", listeners.iter().map(|listener| listener.name.as_str()));
    let mut seen = HashSet::new();
    c.each("listeners", listeners, |c, listener| {
        let fresh = seen.insert((listener.port, listener.protocol.clone(), listener.hostname.clone()));
        c.must(fresh, "a second listener of the same port, protocol and hostname");
    });
}

fn listener(c: &mut Checker, listener: &GatewayListeners) {
    c.at("name", |c| c.subdomain(&listener.name));
    c.at("port", |c| c.port(listener.port));
    c.must_at("protocol", !listener.protocol.is_empty(), "is empty");
    let protocol = listener.protocol.as_str();
    c.some("hostname", listener.hostname.as_ref(), |c, hostname| {
        c.hostname(hostname, true);
        c.must(!matches!(protocol, "TCP" | "UDP"), format!("a listener of protocol {protocol} has none"));
    });
    if listener.tls.is_some() && matches!(protocol, "HTTP" | "TCP" | "UDP") {
        c.at("tls", |c| c.fault(format!("a listener of protocol {protocol} has none")));
    }
    if listener.tls.is_none() && protocol == "TLS" {
        c.at("tls", |c| c.fault("is missing: a listener of protocol TLS needs its mode"));
    }
    c.some("tls", listener.tls.as_ref(), |c, tls| listener_tls(c, protocol, tls));
    let kinds = listener.allowed_routes.as_ref().and_then(|routes| routes.kinds.as_deref());
    c.at("allowedRoutes", |c| c.at_most("kinds", kinds.unwrap_or_default(), 8));
}

fn listener_tls(c: &mut Checker, protocol: &str, tls: &GatewayListenersTls) {
    let passthrough = tls.mode == Some(Mode::Passthrough);
    c.must_at("mode", !passthrough || protocol != "HTTPS", "must be Terminate for protocol HTTPS");
    let references = tls.certificate_refs.as_deref().unwrap_or_default();
    let options = tls.options.as_ref().is_some_and(|options| !options.is_empty());
    let needed = !passthrough && matches!(protocol, "HTTPS" | "TLS");
    let message = "at least one is needed to terminate TLS";
    c.must_at("certificateRefs", !needed || options || !references.is_empty(), message);
    c.at_most("certificateRefs", references, 64);
    c.each("certificateRefs", references, |c, reference| {
        c.must_at("name", !reference.name.is_empty(), "is empty");
        c.some("namespace", reference.namespace.as_ref(), |c, namespace| c.label(namespace));
    });
}

fn frontend(c: &mut Checker, frontend: &GatewayTlsFrontend) {
    let references = |c: &mut Checker, count: usize| {
        let message = format!("from 1 to 8 are allowed, not {count}");
        c.must_at("caCertificateRefs", (1..=8).contains(&count), message);
    };
    c.at("default", |c| {
        c.some("validation", frontend.default.validation.as_ref(), |c, validation| {
            references(c, validation.ca_certificate_refs.len());
        });
    });
    c.at_most("perPort", frontend.per_port.as_deref().unwrap_or_default(), 64);
    let mut ports = HashSet::new();
    c.each_of("perPort", &frontend.per_port, |c, entry| {
        c.at("port", |c| c.port(entry.port));
        c.must(ports.insert(entry.port), format!("a second entry for port {}", entry.port));
        c.at("tls", |c| {
            c.some("validation", entry.tls.validation.as_ref(), |c, validation| {
                references(c, validation.ca_certificate_refs.len());
            });
        });
    });
}

/// The lists of a ReferenceGrant.
pub(super) fn reference_grant(c: &mut Checker, grant: &ReferenceGrant) {
    let spec = &grant.spec;
    c.at("spec", |c| {
        c.must_at("from", !spec.from.is_empty(), "at least one is needed");
        c.at_most("from", &spec.from, 16);
        c.each("from", &spec.from, |c, from| {
            c.must_at("kind", !from.kind.is_empty(), "is empty");
            c.at("namespace", |c| c.label(&from.namespace));
        });
        c.must_at("to", !spec.to.is_empty(), "at least one is needed");
        c.at_most("to", &spec.to, 16);
        c.each("to", &spec.to, |c, to| c.must_at("kind", !to.kind.is_empty(), "is empty"));
    });
}
