//! What the checks of all kinds of routes share, and TLSRoutes, TCPRoutes and UDPRoutes.

use super::Checker;
use crate::route::{BackendRef, ParentRef, Route, StreamRoute};

/// Largest `weight`.
const MAX_WEIGHT: i64 = 1_000_000;

/// `hostnames` and `parentRefs`.
pub(super) fn head(c: &mut Checker, route: &impl Route) {
    c.at_most("hostnames", route.hostnames(), 16);
    c.each("hostnames", route.hostnames(), |c, hostname| c.hostname(hostname, true));
    let parents = route.parents();
    c.at_most("parentRefs", &parents, 32);
    c.each("parentRefs", &parents, parent_ref);
}

/// `rules` of a route whose rules have matches: how many there are, and that no two have one name.
pub(super) fn rules<T>(
    c: &mut Checker,
    rules: &[T],
    matches: impl Fn(&T) -> usize,
    name: impl Fn(&T) -> Option<&str>,
) {
    c.at_most("rules", rules, 16);
    let matches = rules.iter().map(matches).sum::<usize>();
    let message = format!("at most 128 matches are allowed over all rules, not {matches}");
    c.must_at("rules", matches <= 128, message);
    c.unique("rules", rules.iter().filter_map(name));
}

fn parent_ref(c: &mut Checker, parent: &ParentRef<'_>) {
    c.must_at("name", !parent.name.is_empty(), "is empty");
    c.some("namespace", parent.namespace.as_ref(), |c, namespace| c.label(namespace));
    c.some("port", parent.port.as_ref(), |c, port| c.port(*port));
    c.some("sectionName", parent.section_name.as_ref(), |c, name| c.subdomain(name));
}

/// One backend reference.
pub(super) fn backend_ref(c: &mut Checker, backend: &BackendRef<'_>) {
    let service = matches!((backend.group, backend.kind), (None | Some(""), None | Some("Service")));
    c.must_at("name", !backend.name.is_empty(), "is empty");
    c.some("namespace", backend.namespace.as_ref(), |c, namespace| c.label(namespace));
    c.must_at("port", backend.port.is_some() || !service, "is missing: a Service needs one");
    c.some("port", backend.port.as_ref(), |c, port| c.port(*port));
    c.some("weight", backend.weight.as_ref(), |c, weight| c.range(*weight, 0, MAX_WEIGHT));
}

/// Everything of a TLSRoute, TCPRoute or UDPRoute.
pub(super) fn stream_route(c: &mut Checker, route: &impl StreamRoute) {
    let rules = route.rules();
    c.at("spec", |c| {
        head(c, route);
        c.must_at("rules", !rules.is_empty(), "at least one is needed");
        c.at_most("rules", &rules, 16);
        c.each("rules", &rules, |c, rule| {
            c.some("name", rule.name.as_ref(), |c, name| c.subdomain(name));
            c.must_at("backendRefs", !rule.backends.is_empty(), "at least one is needed");
            c.at_most("backendRefs", &rule.backends, 16);
            c.each("backendRefs", &rule.backends, backend_ref);
        });
        c.unique("rules", rules.iter().filter_map(|rule| rule.name));
    });
}
