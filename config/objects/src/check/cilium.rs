//! Cilium policies: what the schemas of its CRDs and its agent refuse (Cilium 1.20,
//! `pkg/policy/api/rule_validation.go`), and the fields that Weir does not enforce. A policy is
//! in force as it is written or not at all.

use ipnet::IpNet;

use super::Checker;
use super::core::selector;
use super::syntax::is_token;
use crate::cilium::{CidrRule, EgressRule, HttpRule, IngressRule, L7Rules, PortProtocol, PortRule, Rule};

/// Most elements of `ports[]`.
const MAX_PORTS: usize = 40;

/// What `fromEntities` and `toEntities` may name.
const ENTITIES: [&str; 14] = [
    "all",
    "world",
    "world-ipv4",
    "world-ipv6",
    "cluster",
    "cluster-mesh",
    "host",
    "remote-node",
    "kube-apiserver",
    "ingress",
    "init",
    "health",
    "unmanaged",
    "none",
];

/// What `protocol` may be; Cilium knows more with an option of its agent.
const PROTOCOLS: [&str; 4] = ["TCP", "UDP", "SCTP", "ANY"];

/// `spec` and `specs` of either kind.
pub(super) fn policy(c: &mut Checker, spec: Option<&Rule>, specs: Option<&[Rule]>, clusterwide: bool) {
    let specs = specs.unwrap_or_default();
    if spec.is_none() && specs.is_empty() {
        c.at("spec", |c| c.fault("is missing"));
    }
    c.some("spec", spec, |c, spec| rule(c, spec, clusterwide));
    c.each("specs", specs, |c, spec| rule(c, spec, clusterwide));
}

fn rule(c: &mut Checker, rule: &Rule, clusterwide: bool) {
    match (&rule.endpoint_selector, &rule.node_selector) {
        (None, None) => c.at("endpointSelector", |c| c.fault("is missing")),
        (Some(_), Some(_)) => c.at("nodeSelector", |c| c.fault("excludes `endpointSelector`")),
        (None, Some(_)) if clusterwide => unenforced(c, "nodeSelector", true),
        (None, Some(_)) => {
            c.at("nodeSelector", |c| c.fault("only a CiliumClusterwideNetworkPolicy may have it"));
        }
        (Some(_), None) => {}
    }
    c.some("endpointSelector", rule.endpoint_selector.as_ref(), selector);
    c.some("nodeSelector", rule.node_selector.as_ref(), selector);
    let any = rule.ingress.is_some()
        || rule.ingress_deny.is_some()
        || rule.egress.is_some()
        || rule.egress_deny.is_some();
    c.must(any, "needs `ingress`, `ingressDeny`, `egress` or `egressDeny`");
    c.each_of("ingress", &rule.ingress, |c, rule| ingress(c, rule, false));
    c.each_of("ingressDeny", &rule.ingress_deny, |c, rule| ingress(c, rule, true));
    c.each_of("egress", &rule.egress, |c, rule| egress(c, rule, false));
    c.each_of("egressDeny", &rule.egress_deny, |c, rule| egress(c, rule, true));
}

fn ingress(c: &mut Checker, rule: &IngressRule, deny: bool) {
    c.each_of("fromEndpoints", &rule.from_endpoints, selector);
    c.each_of("fromCIDR", &rule.from_cidr, |c, cidr| {
        network(c, cidr);
    });
    c.each_of("fromCIDRSet", &rule.from_cidr_set, cidr_rule);
    c.each_of("fromEntities", &rule.from_entities, |c, entity| c.one_of(entity, &ENTITIES));
    unenforced(c, "fromGroups", some(&rule.from_groups));
    unenforced(c, "fromNodes", some(&rule.from_nodes));
    unenforced(c, "fromRequires", some(&rule.from_requires));
    unenforced(c, "icmps", some(&rule.icmps));
    unenforced(c, "authentication", rule.authentication.is_some());
    exclusive(
        c,
        &[
            ("fromEndpoints", some(&rule.from_endpoints)),
            ("fromCIDR", some(&rule.from_cidr)),
            ("fromCIDRSet", some(&rule.from_cidr_set)),
            ("fromEntities", some(&rule.from_entities)),
        ],
    );
    c.each_of("toPorts", &rule.to_ports, |c, rule| port_rule(c, rule, deny));
}

fn egress(c: &mut Checker, rule: &EgressRule, deny: bool) {
    c.each_of("toEndpoints", &rule.to_endpoints, selector);
    c.each_of("toCIDR", &rule.to_cidr, |c, cidr| {
        network(c, cidr);
    });
    c.each_of("toCIDRSet", &rule.to_cidr_set, cidr_rule);
    c.each_of("toEntities", &rule.to_entities, |c, entity| c.one_of(entity, &ENTITIES));
    unenforced(c, "toServices", some(&rule.to_services));
    unenforced(c, "toGroups", some(&rule.to_groups));
    unenforced(c, "toNodes", some(&rule.to_nodes));
    unenforced(c, "toRequires", some(&rule.to_requires));
    unenforced(c, "icmps", some(&rule.icmps));
    unenforced(c, "authentication", rule.authentication.is_some());
    // Empty, Cilium takes it for a wildcard: nobody who writes it means that.
    unenforced(c, "toFQDNs", rule.to_fqdns.is_some());
    exclusive(
        c,
        &[
            ("toEndpoints", some(&rule.to_endpoints)),
            ("toCIDR", some(&rule.to_cidr)),
            ("toCIDRSet", some(&rule.to_cidr_set)),
            ("toEntities", some(&rule.to_entities)),
        ],
    );
    c.each_of("toPorts", &rule.to_ports, |c, rule| port_rule(c, rule, deny));
}

fn some<T>(list: &Option<Vec<T>>) -> bool {
    list.as_ref().is_some_and(|list| !list.is_empty())
}

fn unenforced(c: &mut Checker, key: &str, is_set: bool) {
    c.must_at(key, !is_set, "is not enforced by Weir");
}

/// At most one of the lists of peers.
fn exclusive(c: &mut Checker, lists: &[(&str, bool)]) {
    let mut set = lists.iter().filter(|(_, is_set)| *is_set);
    if let (Some((first, _)), Some((second, _))) = (set.next(), set.next()) {
        c.at(second, |c| c.fault(format!("excludes `{first}`: write two rules")));
    }
}

fn network(c: &mut Checker, text: &str) -> Option<IpNet> {
    let address = text.parse::<std::net::IpAddr>().map(IpNet::from);
    let parsed = text.parse::<IpNet>().or(address).ok();
    c.must(parsed.is_some(), format!("`{text}` is not a network such as `10.0.0.0/8`"));
    parsed
}

fn cidr_rule(c: &mut Checker, rule: &CidrRule) {
    unenforced(c, "cidrGroupRef", rule.cidr_group_ref.is_some());
    unenforced(c, "cidrGroupSelector", rule.cidr_group_selector.is_some());
    let group = rule.cidr_group_ref.is_some() || rule.cidr_group_selector.is_some();
    c.must_at("cidr", rule.cidr.is_some() || group, "is missing");
    let mut outer = None;
    c.some("cidr", rule.cidr.as_ref(), |c, cidr| outer = network(c, cidr));
    c.each_of("except", &rule.except, |c, text| {
        if let (Some(hole), Some(outer)) = (network(c, text), outer) {
            c.must(outer.contains(&hole), format!("`{text}` is not inside `cidr`"));
        }
    });
}

fn port_rule(c: &mut Checker, rule: &PortRule, deny: bool) {
    let ports = rule.ports.as_deref().unwrap_or_default();
    c.at_most("ports", ports, MAX_PORTS);
    c.each("ports", ports, port);
    unenforced(c, "terminatingTLS", rule.terminating_tls.is_some());
    unenforced(c, "originatingTLS", rule.originating_tls.is_some());
    unenforced(c, "serverNames", some(&rule.server_names));
    unenforced(c, "listener", rule.listener.is_some());
    let Some(rules) = &rule.rules else { return };
    c.at("rules", |c| {
        c.must(!deny, "a deny rule has none");
        l7_rules(c, rules, ports);
    });
}

fn port(c: &mut Checker, port: &PortProtocol) {
    c.some("protocol", port.protocol.as_ref(), |c, protocol| {
        c.one_of(&protocol.to_ascii_uppercase(), &PROTOCOLS);
    });
    let Some(text) = &port.port else { return c.at("port", |c| c.fault("is missing")) };
    let number = text.parse::<u16>().ok();
    c.must_at(
        "port",
        number.is_some() || is_port_name(text),
        format!("`{text}` is not a port number or name"),
    );
    c.some("endPort", port.end_port.as_ref().filter(|end| **end != 0), |c, end| match number {
        Some(number) => c.range(*end, number.into(), 65535),
        None => c.fault("needs a `port` that is a number"),
    });
}

/// An IANA service name: at most 15 letters, digits and inner `-`, one letter at least.
fn is_port_name(text: &str) -> bool {
    text.len() <= 15
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.contains("--")
}

fn l7_rules(c: &mut Checker, rules: &L7Rules, ports: &[PortProtocol]) {
    unenforced(c, "dns", some(&rules.dns));
    let Some(http) = &rules.http else { return };
    c.each("http", http, http_rule);
    if http.is_empty() {
        return;
    }
    let all = |port: &PortProtocol| port.port.as_deref() == Some("0");
    let tcp = |port: &PortProtocol| {
        port.protocol.as_ref().is_none_or(|name| matches!(name.to_ascii_uppercase().as_str(), "TCP" | "ANY"))
    };
    c.must_at("http", !ports.is_empty() && !ports.iter().any(all), "needs ports other than 0");
    c.must_at("http", ports.iter().all(tcp), "needs protocol TCP");
}

fn http_rule(c: &mut Checker, rule: &HttpRule) {
    c.some("path", rule.path.as_ref(), |c, text| c.regex(text));
    c.some("method", rule.method.as_ref(), |c, text| c.regex(text));
    c.some("host", rule.host.as_ref(), |c, text| c.regex(text));
    c.each_of("headers", &rule.headers, |c, header| {
        let name = header.split(' ').next().unwrap_or_default().trim_end_matches(':');
        c.must(is_token(name), format!("`{header}` is not `Name: value` or `Name`"));
    });
    c.each_of("headerMatches", &rule.header_matches, |c, header| {
        c.must_at("name", is_token(&header.name), format!("`{}` is not a header name", header.name));
        c.some("mismatch", header.mismatch.as_ref().filter(|word| !word.is_empty()), |c, word| {
            c.one_of(word, &["LOG", "ADD", "DELETE", "REPLACE"]);
        });
        unenforced(c, "secret", header.secret.is_some());
    });
}
