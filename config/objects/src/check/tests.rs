use std::sync::Arc;

use serde_json::{Value, json};

use super::check;
use crate::{Kind, Object};

mod gateway_api;

fn typed<T: serde::de::DeserializeOwned>(object: Value) -> Arc<T> {
    Arc::new(serde_json::from_value(object).unwrap())
}

/// The faults of an object as `field: message`, cut to the length of what is expected.
fn faults(kind: Kind, spec: Value) -> Vec<String> {
    let mut object = json!({
        "apiVersion": kind.api_version(), "kind": kind.as_str(), "metadata": {"name": "a", "namespace": "b"}
    });
    for (key, value) in spec.as_object().expect("a mapping") {
        object[key] = value.clone();
    }
    let object = match kind {
        Kind::Service => Object::Service(typed(object)),
        Kind::Gateway => Object::Gateway(typed(object)),
        Kind::ListenerSet => Object::ListenerSet(typed(object)),
        Kind::HttpRoute => Object::HttpRoute(typed(object)),
        Kind::GrpcRoute => Object::GrpcRoute(typed(object)),
        Kind::TlsRoute => Object::TlsRoute(typed(object)),
        Kind::TcpRoute => Object::TcpRoute(typed(object)),
        Kind::Secret => Object::Secret(typed(object)),
        Kind::ConfigMap => Object::ConfigMap(typed(object)),
        Kind::BackendTlsPolicy => Object::BackendTlsPolicy(typed(object)),
        Kind::BackendTrafficPolicy => Object::BackendTrafficPolicy(typed(object)),
        Kind::CiliumNetworkPolicy => Object::CiliumNetworkPolicy(typed(object)),
        Kind::CiliumClusterwideNetworkPolicy => Object::CiliumClusterwideNetworkPolicy(typed(object)),
        other => panic!("{other}"),
    };
    check(&object).iter().map(|fault| format!("{}: {}", fault.field, fault.message)).collect()
}

/// Each row: an object and how each of its faults begins.
fn table(kind: Kind, cases: &[(Value, &[&str])]) {
    for (spec, expected) in cases {
        let found = faults(kind, spec.clone());
        let same = found.len() == expected.len();
        let begins = found.iter().zip(*expected).all(|(found, expected)| found.starts_with(expected));
        assert!(same && begins, "{spec}\n  found    {found:#?}\n  expected {expected:#?}");
    }
}

#[test]
fn services() {
    let ports = |ports: Value| json!({"spec": {"ports": ports}});
    table(
        Kind::Service,
        &[
            (ports(json!([{"port": 80}])), &[]),
            (json!({"spec": {"clusterIP": "None", "clusterIPs": ["None"]}}), &[]),
            (json!({"spec": {"clusterIP": "10.0.0"}}), &["spec.clusterIP: `10.0.0` is not an IP"]),
            (ports(json!([{"port": 80}, {"port": 81, "name": "x"}])), &["spec.ports[0].name: is missing"]),
            (
                ports(json!([{"port": 80, "name": "x"}, {"port": 0, "name": "x", "protocol": "tcp"}])),
                &[
                    "spec.ports[1].port: must be from 1",
                    "spec.ports[1].protocol: must be one of TCP, UDP, SCTP, not `tcp`",
                    "spec.ports[1]: a second `x`",
                ],
            ),
            (
                json!({"spec": {}, "metadata": {"name": "a.b", "labels": {"x y": "1", "k": "-"}}}),
                &[
                    "metadata.name: `a.b` is not a name",
                    "metadata.labels.k: `-` is not a label value",
                    "metadata.labels[x y]: `x y` is not a label key",
                ],
            ),
        ],
    );
}

#[test]
fn gateways() {
    let listeners = |listeners: Value| json!({"spec": {"gatewayClassName": "c", "listeners": listeners}});
    table(
        Kind::Gateway,
        &[
            (listeners(json!([])), &["spec.listeners: at least one"]),
            (
                listeners(json!([
                    {"name": "a", "port": 80, "protocol": "HTTP", "hostname": "*.a.test"},
                    {"name": "b", "port": 80, "protocol": "HTTP", "hostname": "a.test"},
                ])),
                &[],
            ),
            (
                listeners(json!([
                    {"name": "a", "port": 80, "protocol": "HTTP"},
                    {"name": "a", "port": 80, "protocol": "HTTP"},
                ])),
                &["spec.listeners[1]: a second `a`", "spec.listeners[1]: a second listener of the same port"],
            ),
            (
                listeners(json!([
                    {"name": "a", "port": 80, "protocol": "HTTP", "tls": {}, "hostname": "10.0.0.1"},
                    {"name": "b", "port": 65536, "protocol": "TLS", "hostname": "a.*.test"},
                ])),
                &[
                    "spec.listeners[0].hostname: `10.0.0.1` is not a hostname",
                    "spec.listeners[0].tls: a listener of protocol HTTP has none",
                    "spec.listeners[1].port: must be from 1 to 65535, not 65536",
                    "spec.listeners[1].hostname: `a.*.test` is not a hostname",
                    "spec.listeners[1].tls: is missing",
                ],
            ),
        ],
    );
}

#[test]
fn route_matches() {
    let path = |kind: &str, value: &str| json!({"spec": {"rules": [{"matches": [{"path": {"type": kind, "value": value}}]}]}});
    const AT: &str = "spec.rules[0].matches[0].path.value: ";
    for good in ["/", "/a/b", "/a%20b", "/a.b/..c", "/~a;b=c"] {
        assert_eq!(faults(Kind::HttpRoute, path("Exact", good)), [""; 0], "{good}");
    }
    for (bad, reason) in [
        ("a", "`a` must begin with `/`"),
        ("/a//b", "`/a//b` must not contain `//`"),
        ("/a/../b", "`/a/../b` must not contain `/../`"),
        ("/a/..", "`/a/..` must not end with `/..`"),
        ("/a%2fb", "`/a%2fb` must not contain `%2f`"),
        ("/a#b", "`/a#b` must not contain `#`"),
        ("/a b", "`/a b` has a character"),
        ("/a%2", "`/a%2` has a character"),
    ] {
        let found = faults(Kind::HttpRoute, path("PathPrefix", bad));
        assert!(found.len() == 1 && found[0].starts_with(&format!("{AT}{reason}")), "{bad}: {found:?}");
    }
    assert_eq!(faults(Kind::HttpRoute, path("RegularExpression", "a.*//")), [""; 0]);
    table(
        Kind::HttpRoute,
        &[
            (
                json!({"spec": {"rules": [{"matches": [{"headers": [
                    {"name": "X", "value": "1"}, {"name": "x", "value": "2"}, {"name": "a b", "value": ""}
                ]}]}]}}),
                &[
                    "spec.rules[0].matches[0].headers[2].name: `a b` is not a header name",
                    "spec.rules[0].matches[0].headers[2].value: must have 1 to 4096",
                    "spec.rules[0].matches[0].headers[1]: a second `x`",
                ],
            ),
            (json!({"spec": {"rules": []}}), &["spec.rules: at least one"]),
            (json!({"spec": {"rules": vec![json!({}); 17]}}), &["spec.rules: at most 16"]),
            (
                json!({"spec": {"hostnames": ["*.a.test", "A.test", "*"]}}),
                &["spec.hostnames[1]: `A.test`", "spec.hostnames[2]: `*`"],
            ),
        ],
    );
}

#[test]
fn route_actions() {
    let rule = |rule: Value| json!({"spec": {"rules": [rule]}});
    let prefix = json!({"type": "ReplacePrefixMatch", "replacePrefixMatch": "/x"});
    let exact = json!([{"path": {"type": "Exact", "value": "/a"}}]);
    table(
        Kind::HttpRoute,
        &[
            (
                rule(
                    json!({"filters": [{"type": "RequestRedirect", "requestRedirect": {"statusCode": 303}}]}),
                ),
                &[],
            ),
            (
                rule(json!({
                    "filters": [{"type": "RequestRedirect", "requestRedirect": {"statusCode": 300}}],
                    "backendRefs": [{"name": "a", "port": 80}],
                })),
                &[
                    "spec.rules[0].filters[0].requestRedirect.statusCode: must be 301",
                    "spec.rules[0].backendRefs: a rule with a RequestRedirect",
                ],
            ),
            (
                rule(
                    json!({"matches": exact, "filters": [{"type": "URLRewrite", "urlRewrite": {"path": prefix}}]}),
                ),
                &["spec.rules[0].filters[0].urlRewrite.path.replacePrefixMatch: needs a rule with"],
            ),
            (
                rule(json!({"backendRefs": [{"name": "a", "port": 1, "filters": [
                    {"type": "RequestHeaderModifier", "requestHeaderModifier": {
                        "set": [{"name": "a", "value": "1"}], "remove": ["A"]}}
                ]}]})),
                &["spec.rules[0].backendRefs[0].filters[0].requestHeaderModifier: names `a` twice"],
            ),
            (
                rule(json!({"filters": [{"type": "RequestMirror", "requestMirror": {
                    "backendRef": {"name": "m"}, "percent": 101, "fraction": {"numerator": 2, "denominator": 1}}}]})),
                &[
                    "spec.rules[0].filters[0].requestMirror.backendRef.port: is missing",
                    "spec.rules[0].filters[0].requestMirror.percent: must be from 0 to 100",
                    "spec.rules[0].filters[0].requestMirror.percent: excludes",
                    "spec.rules[0].filters[0].requestMirror.fraction.numerator: must be from 0 to 1",
                ],
            ),
            (rule(json!({"timeouts": {"request": "0s", "backendRequest": "5s"}})), &[]),
            (
                rule(json!({"timeouts": {"request": "1s", "backendRequest": "1001ms"}})),
                &["spec.rules[0].timeouts.backendRequest: must not be longer"],
            ),
        ],
    );
}

fn policy(key: &str, value: Value) -> Value {
    json!({"spec": {"endpointSelector": {}, key: value}})
}

#[test]
fn policy_ports() {
    let ports = |port: Value| policy("ingress", json!([{"toPorts": [{"ports": [port]}]}]));
    let http = |port: Value, http: Value| {
        policy("egress", json!([{"toPorts": [{"ports": [port], "rules": {"http": [http]}}]}]))
    };
    let first = "spec.ingress[0].toPorts[0].ports[0]";
    assert_eq!(
        faults(Kind::CiliumNetworkPolicy, ports(json!({"port": "99999"}))),
        [format!("{first}.port: `99999` is not a port number or name")]
    );
    table(
        Kind::CiliumNetworkPolicy,
        &[
            (ports(json!({"port": "http", "protocol": "tcp"})), &[]),
            (ports(json!({"port": "80", "endPort": 90})), &[]),
            (
                ports(json!({"port": "80", "endPort": 79})),
                &["spec.ingress[0].toPorts[0].ports[0].endPort: must be"],
            ),
            (
                ports(json!({"port": "a", "endPort": 79})),
                &["spec.ingress[0].toPorts[0].ports[0].endPort: needs"],
            ),
            (
                ports(json!({"port": "1", "protocol": "X"})),
                &["spec.ingress[0].toPorts[0].ports[0].protocol: must"],
            ),
            (http(json!({"port": "80"}), json!({"headers": ["X-A: 1", "X-B"]})), &[]),
            (
                http(json!({"port": "80"}), json!({"method": "(", "host": "a{", "headers": [" x"]})),
                &[
                    "spec.egress[0].toPorts[0].rules.http[0].method: `(` is not a regular",
                    "spec.egress[0].toPorts[0].rules.http[0].host: `a{` is not a regular",
                    "spec.egress[0].toPorts[0].rules.http[0].headers[0]: ` x` is not",
                ],
            ),
            (http(json!({"port": "0"}), json!({})), &["spec.egress[0].toPorts[0].rules.http: needs ports"]),
            (
                http(json!({"port": "1", "protocol": "UDP"}), json!({})),
                &["spec.egress[0].toPorts[0].rules.http: needs"],
            ),
        ],
    );
}

#[test]
fn policies() {
    table(
        Kind::CiliumNetworkPolicy,
        &[
            (json!({}), &["spec: is missing"]),
            (json!({"specs": [{"ingress": [{}]}]}), &["specs[0].endpointSelector: is missing"]),
            (json!({"spec": {"endpointSelector": {}}}), &["spec: needs `ingress`"]),
            (
                json!({"spec": {"nodeSelector": {}, "ingress": []}}),
                &["spec.nodeSelector: only a CiliumClusterwide"],
            ),
            (
                policy("egressDeny", json!([{"toPorts": [{"ports": [{"port": "1"}], "rules": {}}]}])),
                &["spec.egressDeny[0].toPorts[0].rules: a deny rule has none"],
            ),
            (
                policy(
                    "ingress",
                    json!([{"fromCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "11.0.0.0/16"]}]}]),
                ),
                &["spec.ingress[0].fromCIDRSet[0].except[1]: `11.0.0.0/16` is not inside"],
            ),
            (
                policy("egress", json!([{"toCIDR": ["10.0.0.1", "::/0", "10/8"], "toEntities": ["any"]}])),
                &[
                    "spec.egress[0].toCIDR[2]: `10/8` is not a network",
                    "spec.egress[0].toEntities[0]: must be one of",
                    "spec.egress[0].toEntities: excludes `toCIDR`",
                ],
            ),
            (
                policy(
                    "ingress",
                    json!([{"fromEndpoints": [{"matchExpressions": [{"key": "a", "operator": "In"}]}]}]),
                ),
                &["spec.ingress[0].fromEndpoints[0].matchExpressions[0].values: at least one"],
            ),
            (
                policy("ingress", json!([{"icmps": [{}]}])),
                &["spec.ingress[0].icmps: is not enforced by Weir"],
            ),
        ],
    );
    table(
        Kind::CiliumClusterwideNetworkPolicy,
        &[(
            json!({"spec": {"nodeSelector": {}, "ingress": []}}),
            &["spec.nodeSelector: is not enforced by Weir"],
        )],
    );
}
