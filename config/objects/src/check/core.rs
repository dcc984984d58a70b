//! Metadata, Nodes, Pods, Services and EndpointSlices.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod, Service, ServicePort};
use k8s_openapi::api::discovery::v1::{EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::Checker;
use crate::kind::Kind;
use crate::types::Secret;

const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];
/// Most bytes of the values of a Secret or ConfigMap.
const MAX_DATA_BYTES: usize = 1 << 20;
/// `type` of a Secret with a certificate and its key.
const TLS_SECRET: &str = "kubernetes.io/tls";

/// Name, namespace and labels.
pub(super) fn metadata(c: &mut Checker, kind: Kind, metadata: &ObjectMeta) {
    c.at("metadata", |c| {
        c.at("name", |c| match (metadata.name.as_deref(), kind) {
            (None, _) => c.fault("is missing"),
            (Some(name), Kind::Namespace | Kind::Service) => c.label(name),
            (Some(name), _) => c.subdomain(name),
        });
        if kind.namespaced() {
            c.some("namespace", metadata.namespace.as_ref(), |c, namespace| c.label(namespace));
        }
        c.some("labels", metadata.labels.as_ref(), |c, labels| {
            for (key, value) in labels {
                c.at(key, |c| {
                    c.label_key(key);
                    c.label_value(value);
                });
            }
        });
    });
}

/// The operators of a selector and how many values each takes.
pub(super) fn selector(c: &mut Checker, selector: &LabelSelector) {
    c.each_of("matchExpressions", &selector.match_expressions, |c, expression| {
        let values = expression.values.as_deref().unwrap_or_default().len();
        c.must_at("key", !expression.key.is_empty(), "is missing");
        match expression.operator.as_str() {
            "In" | "NotIn" => c.must_at("values", values > 0, "at least one is needed"),
            "Exists" | "DoesNotExist" => {
                c.must_at("values", values == 0, format!("`{}` takes none", expression.operator));
            }
            other => c.at("operator", |c| c.one_of(other, &["In", "NotIn", "Exists", "DoesNotExist"])),
        }
    });
}

/// The addresses of a Node.
pub(super) fn node(c: &mut Checker, node: &Node) {
    let Some(status) = &node.status else { return };
    c.at("status", |c| {
        c.each_of("addresses", &status.addresses, |c, address| {
            if matches!(address.type_.as_str(), "InternalIP" | "ExternalIP") {
                c.at("address", |c| c.ip(&address.address));
            }
        });
    });
}

/// The ports and addresses of a Pod.
pub(super) fn pod(c: &mut Checker, pod: &Pod) {
    let containers = pod.spec.as_ref().map_or(&[][..], |spec| &spec.containers);
    c.at("spec", |c| {
        c.each("containers", containers, |c, container| {
            c.at("name", |c| c.label(&container.name));
            c.each_of("ports", &container.ports, |c, port| {
                c.at("containerPort", |c| c.port(port.container_port));
                c.some("protocol", port.protocol.as_ref(), |c, protocol| c.one_of(protocol, &PROTOCOLS));
                c.some("name", port.name.as_ref(), |c, name| {
                    c.must(name.len() <= 15, "must have at most 15 characters");
                    c.label(name);
                });
            });
        });
    });
    let Some(status) = &pod.status else { return };
    c.at("status", |c| {
        c.some("podIP", status.pod_ip.as_ref(), |c, ip| c.ip(ip));
        c.each_of("podIPs", &status.pod_ips, |c, pod_ip| c.at("ip", |c| c.ip(&pod_ip.ip)));
    });
}

/// The addresses and ports of a Service.
pub(super) fn service(c: &mut Checker, service: &Service) {
    let Some(spec) = &service.spec else { return c.at("spec", |c| c.fault("is missing")) };
    let address = |c: &mut Checker, ip: &String| {
        if !ip.is_empty() && ip != "None" {
            c.ip(ip);
        }
    };
    c.at("spec", |c| {
        c.some("clusterIP", spec.cluster_ip.as_ref(), address);
        c.each_of("clusterIPs", &spec.cluster_ips, address);
        let ports = spec.ports.as_deref().unwrap_or_default();
        c.each("ports", ports, |c, port| service_port(c, port, ports.len() > 1));
        c.unique("ports", ports.iter().filter_map(|port| port.name.as_deref()));
    });
}

fn service_port(c: &mut Checker, port: &ServicePort, named: bool) {
    c.at("port", |c| c.port(port.port));
    c.some("protocol", port.protocol.as_ref(), |c, protocol| c.one_of(protocol, &PROTOCOLS));
    match &port.name {
        Some(name) => c.at("name", |c| c.label(name)),
        None if named => c.at("name", |c| c.fault("is missing: a Service of several ports names each")),
        None => {}
    }
}

/// The keys of a Secret. Its values are shown nowhere.
pub(super) fn secret(c: &mut Checker, secret: &Secret) {
    let bytes = secret.data.values().map(Vec::len).sum::<usize>();
    c.at("data", |c| {
        data_keys(c, secret.data.keys(), bytes);
        if secret.kind == TLS_SECRET {
            for key in ["tls.crt", "tls.key"] {
                c.must_at(key, secret.data.contains_key(key), format!("is missing: `type` is {TLS_SECRET}"));
            }
        }
    });
}

/// The keys of a ConfigMap.
pub(super) fn config_map(c: &mut Checker, map: &ConfigMap) {
    let (text, binary) = (map.data.iter().flatten(), map.binary_data.iter().flatten());
    let bytes = text.clone().map(|(_, text)| text.len()).sum::<usize>()
        + binary.clone().map(|(_, bytes)| bytes.0.len()).sum::<usize>();
    c.at("data", |c| data_keys(c, text.map(|(key, _)| key).chain(binary.map(|(key, _)| key)), bytes));
}

fn data_keys<'a>(c: &mut Checker, keys: impl Iterator<Item = &'a String>, bytes: usize) {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    for key in keys {
        let good = (1..=253).contains(&key.len()) && key.bytes().all(allowed) && key != "." && key != "..";
        c.must_at(key, good, "is not a key: letters, digits, `-`, `_` and `.`, at most 253");
    }
    c.must(bytes <= MAX_DATA_BYTES, format!("at most {MAX_DATA_BYTES} bytes are allowed, not {bytes}"));
}

/// The addresses and ports of an EndpointSlice.
pub(super) fn endpoint_slice(c: &mut Checker, slice: &EndpointSlice) {
    let family = slice.address_type.as_str();
    c.at("addressType", |c| c.one_of(family, &["IPv4", "IPv6", "FQDN"]));
    c.at_most("endpoints", slice.endpoints.as_deref().unwrap_or_default(), 1000);
    c.each_of("endpoints", &slice.endpoints, |c, endpoint| {
        c.must_at("addresses", !endpoint.addresses.is_empty(), "at least one is needed");
        c.at_most("addresses", &endpoint.addresses, 100);
        c.each("addresses", &endpoint.addresses, |c, address| {
            let good = match (family, address.parse::<IpAddr>()) {
                ("IPv4", parsed) => parsed.is_ok_and(|ip| ip.is_ipv4()),
                ("IPv6", parsed) => parsed.is_ok_and(|ip| ip.is_ipv6()),
                _ => true,
            };
            c.must(good, format!("`{address}` is not an {family} address"));
        });
    });
    let ports: &[EndpointPort] = slice.ports.as_deref().unwrap_or_default();
    c.at_most("ports", ports, 100);
    c.each("ports", ports, |c, port| {
        c.some("port", port.port.as_ref(), |c, port| c.port(*port));
        c.some("protocol", port.protocol.as_ref(), |c, protocol| c.one_of(protocol, &PROTOCOLS));
    });
    c.unique("ports", ports.iter().map(|port| port.name.as_deref().unwrap_or_default()));
}
