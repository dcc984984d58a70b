//! Listeners with TLS, the routes beside HTTPRoute, policies on backends, Secrets and ConfigMaps.

use super::*;

#[test]
fn tls_of_listeners() {
    let listener = |protocol: &str, tls: Value| {
        let listener = json!({"name": "a", "port": 443, "protocol": protocol, "tls": tls});
        json!({"spec": {"gatewayClassName": "c", "listeners": [listener]}})
    };
    let reference = json!([{"name": "cert"}]);
    table(
        Kind::Gateway,
        &[
            (listener("HTTPS", json!({"certificateRefs": reference})), &[]),
            (listener("TLS", json!({"mode": "Terminate", "certificateRefs": reference})), &[]),
            (listener("TLS", json!({"mode": "Passthrough"})), &[]),
            (
                listener("HTTPS", json!({"mode": "Passthrough"})),
                &["spec.listeners[0].tls.mode: must be Terminate"],
            ),
            (listener("HTTPS", json!({})), &["spec.listeners[0].tls.certificateRefs: at least one"]),
            (listener("TLS", json!({})), &["spec.listeners[0].tls.certificateRefs: at least one"]),
            (
                listener("TLS", json!({"certificateRefs": [{"name": "", "namespace": "A"}]})),
                &[
                    "spec.listeners[0].tls.certificateRefs[0].name: is empty",
                    "spec.listeners[0].tls.certificateRefs[0].namespace: `A` is not a name",
                ],
            ),
        ],
    );
}

#[test]
fn listener_sets() {
    let set =
        |parent: Value, listeners: Value| json!({"spec": {"parentRef": parent, "listeners": listeners}});
    let (parent, plain) = (json!({"name": "gw"}), json!({"name": "a", "port": 80, "protocol": "HTTP"}));
    let https = json!({"name": "b", "port": 443, "protocol": "HTTPS", "tls": {"mode": "Passthrough"}});
    let mut twice = plain.clone();
    twice["name"] = "b".into();
    table(
        Kind::ListenerSet,
        &[
            (set(parent.clone(), json!([plain])), &[]),
            (set(parent.clone(), json!([])), &["spec.listeners: at least one is needed"]),
            (set(json!({"name": ""}), json!([plain])), &["spec.parentRef.name: is empty"]),
            (
                set(json!({"name": "gw", "namespace": "A"}), json!([plain])),
                &["spec.parentRef.namespace: `A` is not a name"],
            ),
            (
                set(parent.clone(), json!([plain, plain])),
                &["spec.listeners[1]: a second `a`", "spec.listeners[1]: a second listener of the same port"],
            ),
            (
                set(parent.clone(), json!([plain, twice])),
                &["spec.listeners[1]: a second listener of the same port"],
            ),
            (set(parent, json!([https])), &["spec.listeners[0].tls.mode: must be Terminate"]),
        ],
    );
}

#[test]
fn client_certificates_of_gateways() {
    let frontend = |frontend: Value| {
        let listeners = json!([{"name": "a", "port": 80, "protocol": "HTTP"}]);
        json!({"spec": {"gatewayClassName": "c", "listeners": listeners, "tls": {"frontend": frontend}}})
    };
    let one = json!({"validation": {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "a"}]}});
    let none = json!({"validation": {"caCertificateRefs": []}});
    let per_port = |port: u32, tls: &Value| json!({"port": port, "tls": tls});
    table(
        Kind::Gateway,
        &[
            (
                frontend(
                    json!({"default": one, "perPort": [per_port(443, &one), per_port(444, &json!({}))]}),
                ),
                &[],
            ),
            (
                frontend(json!({"default": none})),
                &["spec.tls.frontend.default.validation.caCertificateRefs: from 1 to 8"],
            ),
            (
                frontend(
                    json!({"default": {}, "perPort": [per_port(443, &one), per_port(443, &none), per_port(0, &one)]}),
                ),
                &[
                    "spec.tls.frontend.perPort[1]: a second entry for port 443",
                    "spec.tls.frontend.perPort[1].tls.validation.caCertificateRefs: from 1 to 8",
                    "spec.tls.frontend.perPort[2].port: must be from 1",
                ],
            ),
        ],
    );
}

#[test]
fn routes_of_bytes() {
    let rules = |rules: Value| json!({"spec": {"hostnames": ["a.test"], "rules": rules}});
    let backends = |backends: Value| rules(json!([{ "backendRefs": backends }]));
    let cases: &[(Value, &[&str])] = &[
        (backends(json!([{"name": "a", "port": 80, "weight": 0}])), &[]),
        (rules(json!([])), &["spec.rules: at least one"]),
        (backends(json!([])), &["spec.rules[0].backendRefs: at least one"]),
        (
            backends(json!([{"name": "", "weight": 1_000_001}, {"name": "a", "port": 0}])),
            &[
                "spec.rules[0].backendRefs[0].name: is empty",
                "spec.rules[0].backendRefs[0].port: is missing: a Service needs one",
                "spec.rules[0].backendRefs[0].weight: must be from 0",
                "spec.rules[0].backendRefs[1].port: must be from 1",
            ],
        ),
        (backends(json!([{"name": "a", "kind": "Other"}])), &[]),
    ];
    table(Kind::TlsRoute, cases);
    table(Kind::TcpRoute, cases);
    let heads = json!({"parentRefs": [{"name": "", "port": 0}], "hostnames": ["10.0.0.1"],
        "rules": [{"name": "r", "backendRefs": [{"name": "a", "port": 1}]}, {"name": "r", "backendRefs": [{"name": "a", "port": 1}]}]});
    let of_all = [
        "spec.parentRefs[0].name: is empty",
        "spec.parentRefs[0].port: must be from 1",
        "spec.rules[1]: a second `r`",
    ];
    table(Kind::TcpRoute, &[(json!({ "spec": heads }), &of_all)]);
    let with_hostname = [&["spec.hostnames[0]: `10.0.0.1` is not a hostname"], &of_all[..]].concat();
    table(Kind::TlsRoute, &[(json!({ "spec": heads }), &with_hostname)]);
}

#[test]
fn grpc_routes() {
    let rule = |rule: Value| json!({"spec": {"rules": [rule]}});
    let method = |method: Value| rule(json!({"matches": [{ "method": method }]}));
    let edit =
        |name: &str| json!([{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": [name]}}]);
    table(
        Kind::GrpcRoute,
        &[
            (json!({"spec": {}}), &[]),
            (method(json!({"service": "a.b.C", "method": "D"})), &[]),
            (method(json!({"type": "RegularExpression", "service": "a.*"})), &[]),
            (method(json!({})), &["spec.rules[0].matches[0].method: needs `service`"]),
            (
                method(json!({"service": "a..C", "method": "D/E"})),
                &[
                    "spec.rules[0].matches[0].method.service: `a..C` is not the name",
                    "spec.rules[0].matches[0].method.method: `D/E` is not the name",
                ],
            ),
            (
                method(json!({"type": "RegularExpression", "method": "("})),
                &["spec.rules[0].matches[0].method.method: `(` is not a regular"],
            ),
            (
                rule(
                    json!({"matches": [{"headers": [{"name": "a b", "value": ""}, {"name": "A B", "value": "x"}]}]}),
                ),
                &[
                    "spec.rules[0].matches[0].headers[0].name: `a b` is not a header name",
                    "spec.rules[0].matches[0].headers[0].value: must have 1",
                    "spec.rules[0].matches[0].headers[1].name: `A B` is not a header name",
                    "spec.rules[0].matches[0].headers[1]: a second `a b`",
                ],
            ),
            (
                rule(
                    json!({"filters": edit("a b"), "backendRefs": [{"name": "a", "port": 1, "filters": edit("x y")}]}),
                ),
                &[
                    "spec.rules[0].filters[0].requestHeaderModifier.remove[0]: `a b` is not",
                    "spec.rules[0].backendRefs[0].filters[0].requestHeaderModifier.remove[0]: `x y` is not",
                ],
            ),
        ],
    );
}

#[test]
fn retries_of_http_routes() {
    let retry = |retry: Value| json!({"spec": {"rules": [{ "retry": retry }]}});
    table(
        Kind::HttpRoute,
        &[
            (retry(json!({"codes": [500, 503], "attempts": 0, "backoff": "100ms"})), &[]),
            (
                retry(json!({"codes": [200], "attempts": -1, "backoff": "x"})),
                &[
                    "spec.rules[0].retry.codes[0]: must be from 400 to 599",
                    "spec.rules[0].retry.attempts: must be from 0",
                    "spec.rules[0].retry.backoff: `x` is not a duration",
                ],
            ),
        ],
    );
}

#[test]
fn backend_tls_policies() {
    let policy = |validation: Value| {
        let target = json!({"group": "", "kind": "Service", "name": "a"});
        json!({"spec": {"targetRefs": [target], "validation": validation}})
    };
    let references = json!([{"group": "", "kind": "ConfigMap", "name": "ca"}]);
    let names = |names: Value| {
        policy(json!({"hostname": "a.test", "wellKnownCACertificates": "System", "subjectAltNames": names}))
    };
    let either = "spec.validation: needs either `caCertificateRefs`";
    table(
        Kind::BackendTlsPolicy,
        &[
            (policy(json!({"hostname": "a.test", "caCertificateRefs": references})), &[]),
            (policy(json!({"hostname": "a.test"})), &[either]),
            (
                policy(
                    json!({"hostname": "*.test", "caCertificateRefs": references, "wellKnownCACertificates": "System"}),
                ),
                &[either, "spec.validation.hostname: `*.test` is not a hostname"],
            ),
            (
                json!({"spec": {"targetRefs": [], "validation": {"hostname": "a", "wellKnownCACertificates": "System"}}}),
                &["spec.targetRefs: at least one"],
            ),
            (
                names(
                    json!([{"type": "Hostname", "hostname": "*.test"}, {"type": "URI", "uri": "spiffe://a/b"}]),
                ),
                &[],
            ),
            (
                names(json!([{"type": "Hostname", "uri": "spiffe://a"}, {"type": "URI", "uri": "1a:b"}])),
                &[
                    "spec.validation.subjectAltNames[0].hostname: is missing",
                    "spec.validation.subjectAltNames[0].uri: is not what `type` names",
                    "spec.validation.subjectAltNames[1].uri: `1a:b` is not a URI",
                ],
            ),
        ],
    );
}

#[test]
fn backend_traffic_policies() {
    let policy = |constraint: Value| {
        let target = json!({"group": "", "kind": "Service", "name": "a"});
        json!({"spec": {"targetRefs": [target], "retryConstraint": constraint}})
    };
    table(
        Kind::BackendTrafficPolicy,
        &[
            (
                policy(
                    json!({"budget": {"percent": 0, "interval": "1h"}, "minRetryRate": {"count": 1, "interval": "1s"}}),
                ),
                &[],
            ),
            (
                policy(
                    json!({"budget": {"percent": 101, "interval": "999ms"}, "minRetryRate": {"count": 0, "interval": "2h"}}),
                ),
                &[
                    "spec.retryConstraint.budget.percent: must be from 0 to 100",
                    "spec.retryConstraint.budget.interval: must be from 1000ms to 1h",
                    "spec.retryConstraint.minRetryRate.count: must be from 1",
                    "spec.retryConstraint.minRetryRate.interval: must be from",
                ],
            ),
        ],
    );
}

#[test]
fn secrets_and_config_maps() {
    let tls = "kubernetes.io/tls";
    table(
        Kind::Secret,
        &[
            (json!({}), &[]),
            (json!({"type": tls, "data": {"tls.crt": "YQ==", "tls.key": ""}}), &[]),
            (json!({"type": tls, "stringData": {"tls.crt": "a"}}), &["data[tls.key]: is missing"]),
            (json!({"data": {"a b": "", "..": ""}}), &["data[..]: is not a key", "data[a b]: is not a key"]),
            (json!({"stringData": {"a": "x".repeat((1 << 20) + 1)}}), &["data: at most 1048576 bytes"]),
        ],
    );
    table(
        Kind::ConfigMap,
        &[
            (json!({"data": {"ca.crt": "a"}, "binaryData": {"b": "YQ=="}}), &[]),
            (json!({"data": {"a/b": "a"}}), &["data[a/b]: is not a key"]),
            (
                json!({"data": {"a": "x".repeat(1 << 20)}, "binaryData": {"b": "YQ=="}}),
                &["data: at most 1048576 bytes"],
            ),
        ],
    );
}
