//! What people find in the dump, and what nobody may.

use std::collections::HashMap;
use std::sync::Arc;

use model::Snapshot;
use model::service::{GatewayAddr, GatewayPort, Listener, ListenerProtocol, ObjectRef};
use model::tls::{ClientAuth, KeyPair, ServerTls};
use proxy::Limits;
use serde_json::Value;

const SECRET: &str = "s3cret";

const OBJECTS: &str = r#"
{apiVersion: v1, kind: Pod, metadata: {name: api, namespace: default, labels: {app: api}},
 spec: {nodeName: a, containers: [{name: c}]}, status: {podIPs: [{ip: 10.0.0.2}, {ip: "fd00::2"}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: api, namespace: default},
 spec: {clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1], ports: [{port: 80, targetPort: 8080}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4,
 metadata: {name: api, namespace: default, labels: {kubernetes.io/service-name: api}},
 ports: [{name: "", port: 8080}], endpoints: [{addresses: [10.0.0.2], conditions: {ready: true}}]}
---
{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: weir},
 spec: {controllerName: weir.dev/gateway}}
---
{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: web, namespace: default},
 spec: {gatewayClassName: weir, listeners: [{name: http, port: 8080, protocol: HTTP}]}}
---
{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: api, namespace: default},
 spec: {parentRefs: [{name: web}], hostnames: [a.test], rules: [
  {matches: [{path: {type: PathPrefix, value: /v1}, headers: [{name: x-key, value: s3cret}],
              queryParams: [{name: token, value: s3cret}]}],
   filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: authorization, value: s3cret}]}}],
   backendRefs: [{name: api, port: 80}]}]}}
---
{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: api, namespace: default},
 spec: {endpointSelector: {matchLabels: {app: api}}, ingress: [{fromEndpoints: [{}], toPorts: [
  {ports: [{port: "8080", protocol: TCP}],
   rules: {http: [{method: GET, path: /v1, headers: ["x-token: s3cret"],
                   headerMatches: [{name: x-other, value: s3cret, mismatch: LOG}]}]}}]}]}}
"#;

/// A folder of this test's own, removed with it.
struct Folder(std::path::PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn snapshot() -> Snapshot {
    let folder = Folder(std::env::temp_dir().join(format!("weir-dump-{}", std::process::id())));
    std::fs::create_dir_all(&folder.0).unwrap();
    std::fs::write(folder.0.join("all.yaml"), OBJECTS).unwrap();
    let offline = crate::offline::load(std::slice::from_ref(&folder.0), None, "default").unwrap();
    assert_eq!(offline.problems, []);
    Snapshot::clone(&offline.snapshot)
}

/// With a listener that terminates TLS.
fn with_key(mut snapshot: Snapshot) -> Snapshot {
    let source = ObjectRef { kind: "Secret", namespace: "default".into(), name: "web-tls".into() };
    let (chain, key) = (vec![SECRET.into()], SECRET.into());
    let certificates = vec![Arc::new(KeyPair { source: source.clone(), chain, key })];
    let pair = certificates[0].clone();
    let tls = Arc::new(ServerTls { certificates, client: ClientAuth::None });
    let listener = Listener {
        gateway: ObjectRef { kind: "Gateway", ..source },
        name: "https".into(),
        hostname: None,
        protocol: ListenerProtocol::Https { tls, routes: Arc::default() },
        backend_certificate: Some(pair),
    };
    let mut gateways = HashMap::clone(&snapshot.gateways);
    let port = GatewayPort { listeners: vec![Arc::new(listener)] };
    gateways.insert(GatewayAddr::tcp(None, 8443), Arc::new(port));
    snapshot.gateways = Arc::new(gateways);
    snapshot
}

#[test]
fn shows_what_the_objects_came_to() {
    let text = super::json(&with_key(snapshot()), &Limits::default());
    let dump: Value = serde_json::from_slice(&text).unwrap();
    let cases = [
        ("/limits/stall_timeout", "5m"),
        ("/limits/http2_streams", "100"),
        ("/gateways/0/address", "*"),
        ("/gateways/0/listeners/0/gateway", "Gateway default/web"),
        ("/gateways/0/listeners/0/protocol", "HTTP"),
        ("/gateways/0/listeners/0/routes/0/host", "a.test"),
        ("/gateways/0/listeners/0/routes/0/path/value", "/v1"),
        ("/gateways/0/listeners/0/routes/0/headers/0", "x-key"),
        ("/gateways/0/listeners/0/routes/0/rule/route", "HTTPRoute default/api"),
        ("/gateways/0/listeners/0/routes/0/rule/backends/0/to", "Service default/api:80"),
        ("/gateways/0/listeners/0/routes/0/rule/filters/0", "RequestHeaderModifier set authorization"),
        ("/gateways/1/listeners/0/tls/certificates/0", "Secret default/web-tls"),
        ("/services/0/service", "Service default/api"),
        ("/services/0/addresses/0", "10.96.0.1:80"),
        ("/services/0/endpoints/0/address", "10.0.0.2:8080"),
        ("/pods/0/pod", "default/api"),
        ("/pods/0/addresses/1", "fd00::2"),
        ("/pods/0/policy/ingress/enforcement", "enforced"),
        ("/pods/0/policy/egress/enforcement", "open"),
    ];
    for (place, expected) in cases {
        assert_eq!(dump.pointer(place).and_then(Value::as_str), Some(expected), "{place} of {dump:#}");
    }
    assert_eq!(dump["pods"].as_array().map(Vec::len), Some(1), "a pod with two addresses is one pod");
    let entries = dump["pods"][0]["policy"]["ingress"]["entries"].as_array().unwrap();
    let http = entries.iter().find(|entry| entry["verdict"] == "http").unwrap();
    assert_eq!((&http["port"], &http["http"]["rules"][0]["headers"][0]), (&8080.into(), &"x-token".into()));
}

#[test]
fn shows_no_key_and_no_header_value() {
    let text = String::from_utf8(super::json(&with_key(snapshot()), &Limits::default())).unwrap();
    let as_numbers = SECRET.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>();
    for form in [SECRET.to_owned(), as_numbers.join(","), as_numbers.join(", ")] {
        assert!(!text.contains(&form), "{form} in {text}");
    }
}

#[test]
fn an_empty_snapshot_is_json_too() {
    let dump: Value = serde_json::from_slice(&super::json(&Snapshot::default(), &Limits::default())).unwrap();
    assert_eq!((&dump["revision"], &dump["pods"]), (&0.into(), &Value::Array(Vec::new())));
}
