//! GatewayClasses, Gateways and ReferenceGrants: the schemas and rules of the Gateway API's CRDs.

use std::collections::HashSet;

use gateway_api::apis::standard::gatewayclasses::GatewayClass;
use gateway_api::apis::standard::gateways::{Gateway, GatewayListeners};
use gateway_api::apis::standard::referencegrants::ReferenceGrant;

use super::Checker;

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
        c.must_at("listeners", !spec.listeners.is_empty(), "at least one is needed");
        c.at_most("listeners", &spec.listeners, 64);
        c.each("listeners", &spec.listeners, listener);
        c.unique("listeners", spec.listeners.iter().map(|listener| listener.name.as_str()));
        let mut seen = HashSet::new();
        c.each("listeners", &spec.listeners, |c, listener| {
            let fresh = seen.insert((listener.port, listener.protocol.clone(), listener.hostname.clone()));
            c.must(fresh, "a second listener of the same port, protocol and hostname");
        });
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
    let kinds = listener.allowed_routes.as_ref().and_then(|routes| routes.kinds.as_deref());
    c.at("allowedRoutes", |c| c.at_most("kinds", kinds.unwrap_or_default(), 8));
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
