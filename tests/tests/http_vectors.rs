//! HTTP policy from the policy's text to the verdict of a request line: the expressions as users
//! write them, the one path normalisation, and the rules united for one peer.

use std::collections::HashMap;
use std::sync::Arc;

use model::identity::{Identities, Identity, IdentityId, Label, Labels};
use model::request::{HeaderView, HttpRequest};
use model::workload::Protocol;
use objects::Object;
use policy::ConnectionVerdict;
use serde_json::{Value, json};
use translate::policy::Evaluation;

const CLIENT: IdentityId = IdentityId(256);

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Passes,
    /// 403.
    Denied,
    /// Answered with this status before any policy is asked.
    Answered(u16),
}
use Outcome::{Answered, Denied, Passes};

/// The outcome of `METHOD authority target` with header fields under ingress rules.
fn judge(ingress: &Value, line: &str, fields: &[(&str, &str)]) -> Outcome {
    let policy = json!({
        "metadata": {"name": "p", "namespace": "ns"},
        "spec": {"endpointSelector": {}, "ingress": ingress},
    });
    let mut evaluation = Evaluation::new("main");
    let policy = Object::CiliumNetworkPolicy(Arc::new(serde_json::from_value(policy).expect("a policy")));
    evaluation.add(&policy).unwrap_or_else(|fault| panic!("{fault}"));
    let namespace = [("io.kubernetes.pod.namespace", "ns"), ("io.cilium.k8s.policy.cluster", "main")];
    let labels = Labels::new(namespace.iter().map(|(key, value)| Label::new("k8s", key, value)).collect());
    let client = Identity { id: CLIENT, labels: labels.clone(), cidr: None };
    let identities = Identities::from([(CLIENT, Arc::new(client))]);
    let compiled = evaluation.compile(&labels, &[], &identities, &HashMap::new());

    let [method, authority, target] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
    let normalised = match codec::path::normalise(target) {
        Ok(normalised) => normalised,
        Err(error) => return Answered(error.status()),
    };
    let headers: Vec<HeaderView<'_>> =
        fields.iter().map(|(name, value)| HeaderView { name, value: value.as_bytes() }).collect();
    let request = HttpRequest {
        method,
        authority,
        path: normalised.path(),
        query: normalised.query(),
        target: normalised.target(),
        headers: &headers,
    };
    match policy::connection(&compiled.ingress, CLIENT, Protocol::Tcp, 80) {
        ConnectionVerdict::Http(rules) if policy::request(rules, &request).allowed => Passes,
        ConnectionVerdict::Http(_) => Denied,
        other => panic!("not a matter of requests: {other:?}"),
    }
}

fn http(rules: Value) -> Value {
    json!([{"toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}], "rules": {"http": rules}}]}])
}

#[test]
fn every_kind_of_condition_is_matched_as_written() {
    type Fields = &'static [(&'static str, &'static str)];
    let rows: &[(Value, &str, Fields, Outcome)] = &[
        (json!({}), "GET a /x", &[], Passes),
        (json!({"path": "", "method": "", "host": ""}), "GET a /x", &[], Passes),
        // Whole match, implicitly anchored.
        (json!({"path": "/public"}), "GET a /public", &[], Passes),
        (json!({"path": "/public"}), "GET a /public/x", &[], Denied),
        (json!({"path": "/public"}), "GET a /public?x=1", &[], Denied),
        (json!({"path": "/public|/open"}), "GET a /open", &[], Passes),
        (json!({"path": "^/public$"}), "GET a /public", &[], Passes),
        (json!({"path": r"/items/\d+"}), "GET a /items/12", &[], Passes),
        (json!({"path": r"/items/\d+"}), "GET a /items/x", &[], Denied),
        (json!({"path": r"/a\?x=[[:digit:]]"}), "GET a /a?x=1", &[], Passes),
        // Method.
        (json!({"method": "GET"}), "GET a /", &[], Passes),
        (json!({"method": "GET"}), "HEAD a /", &[], Denied),
        (json!({"method": "GET"}), "GETS a /", &[], Denied),
        // Host sees the port.
        (json!({"host": "a\\.test"}), "GET a.test /", &[], Passes),
        (json!({"host": "a\\.test"}), "GET a.test:80 /", &[], Denied),
        (json!({"host": "a\\.test:80"}), "GET a.test:80 /", &[], Passes),
        // A gRPC method is a path, posted.
        (json!({"method": "POST", "path": "/pkg\\.Service/Get"}), "POST a /pkg.Service/Get", &[], Passes),
        (json!({"method": "POST", "path": "/pkg\\.Service/Get"}), "POST a /pkg.Service/Set", &[], Denied),
        // headers: split at the first space, trailing colon dropped, value whole and joined.
        (json!({"headers": ["X-Key: v"]}), "GET a /", &[("x-key", "v")], Passes),
        (json!({"headers": ["X-Key v"]}), "GET a /", &[("x-key", "v")], Passes),
        (json!({"headers": ["X-Key: a b"]}), "GET a /", &[("x-key", "a b")], Passes),
        (json!({"headers": ["X-Key: v"]}), "GET a /", &[("x-key", "w")], Denied),
        (json!({"headers": ["X-Key: v,w"]}), "GET a /", &[("x-key", "v"), ("x-key", "w")], Passes),
        (json!({"headers": ["X-Key"]}), "GET a /", &[("x-key", "anything")], Passes),
        (json!({"headers": ["X-Key"]}), "GET a /", &[], Denied),
        (json!({"headers": ["X-Key: v", "X-Two"]}), "GET a /", &[("x-key", "v")], Denied),
        // headerMatches: without an action they are conditions, with one they are not.
        (json!({"headerMatches": [{"name": "X-Key", "value": "v"}]}), "GET a /", &[("x-key", "v")], Passes),
        (json!({"headerMatches": [{"name": "X-Key", "value": "v"}]}), "GET a /", &[("x-key", "w")], Denied),
        (json!({"headerMatches": [{"name": "X-Key"}]}), "GET a /", &[("x-key", "w")], Passes),
        (json!({"headerMatches": [{"name": "X-Key"}]}), "GET a /", &[], Denied),
        (
            json!({"headerMatches": [{"name": "X-Key", "value": "v", "mismatch": "LOG"}]}),
            "GET a /",
            &[],
            Passes,
        ),
        (
            json!({"headerMatches": [{"name": "X-Key", "value": "v", "mismatch": "ADD"}]}),
            "GET a /",
            &[],
            Passes,
        ),
        (
            json!({"headerMatches": [{"name": "X-Key", "value": "v", "mismatch": "DELETE"}]}),
            "GET a /",
            &[],
            Passes,
        ),
        (
            json!({"headerMatches": [{"name": "X-Key", "value": "v", "mismatch": "REPLACE"}]}),
            "GET a /",
            &[],
            Passes,
        ),
        // All fields of a rule are needed.
        (json!({"path": "/a", "method": "GET"}), "POST a /a", &[], Denied),
    ];
    for (rule, line, fields, want) in rows {
        assert_eq!(judge(&http(json!([rule])), line, fields), *want, "{rule} on {line} {fields:?}");
    }
}

#[test]
fn the_normalised_path_is_what_is_matched() {
    let rules = http(json!([{"path": "/public(/.*)?"}]));
    for (target, want) in [
        ("/public", Passes),
        ("/public/", Passes),
        ("//public//x", Passes),
        ("/x/../public", Passes),
        ("/%70ublic", Passes),
        ("/public\\x", Passes),
        ("/public/../admin", Denied),
        ("/public/./../admin", Denied),
        ("/public/%2e%2e/admin", Denied),
        ("/public/.%2E/admin", Denied),
        ("/public/..//admin", Denied),
        ("/public\\..\\admin", Denied),
        ("/admin?/public/x", Denied),
        ("/admin/../..", Denied),
        ("/public%2f..%2fadmin", Answered(307)),
        ("/public%5C..%5Cadmin", Answered(307)),
        ("/public/%00", Answered(400)),
        ("/public/%zz", Answered(400)),
        ("/public/x#y", Answered(400)),
        ("/public/..;/admin", Answered(400)),
        ("public", Answered(400)),
    ] {
        assert_eq!(judge(&rules, &format!("GET a {target}"), &[]), want, "{target}");
    }
}

#[test]
fn a_plain_allow_for_the_same_peer_voids_http_rules_and_others_do_not() {
    let port = json!({"ports": [{"port": "80", "protocol": "TCP"}]});
    let restricted = json!({"toPorts": [{"ports": port["ports"], "rules": {"http": [{"path": "/a"}]}}]});
    for (beside, want) in [
        (json!({"toPorts": [port]}), Passes),
        (json!({"fromEndpoints": [{}]}), Passes),
        (json!({"fromEndpoints": [{}], "toPorts": [{"ports": [{"port": "0", "protocol": "TCP"}]}]}), Passes),
        (json!({"toPorts": [{"ports": [{"port": "1", "endPort": 100}]}]}), Passes),
        (json!({"toPorts": [{"ports": port["ports"], "rules": {"http": [{}]}}]}), Passes),
        (json!({"toPorts": [{"ports": port["ports"], "rules": {"http": []}}]}), Passes),
        (json!({"toPorts": [{"ports": port["ports"], "rules": {"http": [{"path": "/b"}]}}]}), Passes),
        (json!({"toPorts": [{"ports": [{"port": "81"}]}]}), Denied),
        (json!({"fromEndpoints": [{"matchLabels": {"app": "other"}}]}), Denied),
        (json!({"fromEndpoints": []}), Denied),
        (json!({}), Denied),
    ] {
        assert_eq!(judge(&json!([restricted, beside]), "GET a /b", &[]), want, "{beside}");
    }
}
