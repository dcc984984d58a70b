use std::time::Duration;

use model::service::Backend;
use model::tls::AltName;
use serde_json::{Value, json};

use super::*;
use crate::tests::{World, pem};

/// A Gateway with a route to Service `ns/s`, whose ports are `web` (80) and `admin` (81), and
/// authorities in ConfigMap `ns/ca`.
fn world() -> World {
    let mut world = World::new();
    let ports = json!([{"name": "web", "port": 80}, {"name": "admin", "port": 81}]);
    world.apply("Service", "ns/s", json!({"spec": {"clusterIP": "10.96.0.1", "ports": ports}}));
    world.gateway("ns/gw", 80).gateway("ns/unused", 81);
    world.route("ns/r", json!({"rules": [{"backendRefs": [{"name": "s", "port": 80}]}]}));
    authorities(&mut world, "ns/ca", "one");
    world
}

fn authorities(world: &mut World, name: &str, text: &str) {
    world.apply("ConfigMap", name, json!({"data": {"ca.crt": pem("CERTIFICATE", text)}}));
}

fn reference(kind: &str, name: &str) -> Value {
    json!([{"group": "", "kind": kind, "name": name}])
}

/// A BackendTLSPolicy for Service `ns/s`, all of it or one port.
fn policy(world: &mut World, name: &str, created: &str, port: Value, validation: Value) {
    let mut target = json!({"group": "", "kind": "Service", "name": "s"});
    if !port.is_null() {
        target["sectionName"] = port;
    }
    let mut validation = validation;
    if validation.get("hostname").is_none() {
        validation["hostname"] = "s.test".into();
    }
    let metadata = json!({ "creationTimestamp": format!("{created}T00:00:00Z") });
    let spec = json!({"targetRefs": [target], "validation": validation});
    world.apply("BackendTLSPolicy", name, json!({"metadata": metadata, "spec": spec}));
}

fn by_config_map() -> Value {
    json!({ "caCertificateRefs": reference("ConfigMap", "ca") })
}

/// `cleartext`, `NAMESPACE/POLICY`, or `invalid` with the reason.
fn security(backend: &Backend) -> String {
    match &backend.security {
        UpstreamSecurity::Cleartext => "cleartext".to_owned(),
        UpstreamSecurity::Tls(tls) => format!("{}/{}", tls.policy.namespace, tls.policy.name),
        UpstreamSecurity::Invalid(reason) => format!("invalid {reason}"),
    }
}

const GOOD: &str = "Gateway ns/gw: Accepted=true/Accepted ResolvedRefs=true/ResolvedRefs";

#[test]
fn validation() {
    let mut world = world();
    authorities(&mut world, "ns/more", "two");
    let secret = json!({"stringData": {"ca.crt": pem("CERTIFICATE", "of a secret")}});
    world.apply("Secret", "ns/ca", secret);
    let both = json!([{"group": "", "kind": "ConfigMap", "name": "ca"},
        {"group": "", "kind": "ConfigMap", "name": "more"}]);
    for (references, want) in [
        (reference("ConfigMap", "ca"), vec!["one"]),
        (reference("Secret", "ca"), vec!["of a secret"]),
        (both, vec!["one", "two"]),
    ] {
        let names =
            json!([{"type": "Hostname", "hostname": "*.S.test"}, {"type": "URI", "uri": "spiffe://x/Y"}]);
        let validation =
            json!({"hostname": "S.Test", "caCertificateRefs": references, "subjectAltNames": names});
        policy(&mut world, "ns/p", "2026-01-01", Value::Null, validation);
        world.ready();
        assert_eq!(world.statuses(Kind::BackendTlsPolicy, "ns/p"), [GOOD]);
        for port in [80, 81] {
            let backend = world.backend("ns/s", port);
            let UpstreamSecurity::Tls(tls) = &backend.security else { panic!("{backend:?}") };
            assert_eq!(&*tls.hostname, "s.test");
            let names = [AltName::Dns("*.s.test".into()), AltName::Uri("spiffe://x/Y".into())];
            assert_eq!(tls.names, names);
            let known = tls.authorities.as_ref().unwrap().certificates.iter();
            assert_eq!(known.map(|der| std::str::from_utf8(der).unwrap()).collect::<Vec<_>>(), want);
        }
    }
    policy(&mut world, "ns/p", "2026-01-01", Value::Null, json!({"wellKnownCACertificates": "System"}));
    world.ready();
    let backend = world.backend("ns/s", 80);
    assert!(matches!(&backend.security, UpstreamSecurity::Tls(tls) if tls.authorities.is_none()));
}

#[test]
fn what_is_invalid_is_not_spoken_to() {
    let map = |name: &str| json!({ "caCertificateRefs": reference("ConfigMap", name) });
    let no_ca = "Accepted=false/NoValidCACertificate ResolvedRefs=false/InvalidCACertificateRef";
    let invalid = "Accepted=false/Invalid ResolvedRefs=true/ResolvedRefs";
    for (validation, field, want) in [
        (map("missing"), "caCertificateRefs[0]", no_ca),
        (map("empty"), "caCertificateRefs[0]", no_ca),
        (map("malformed"), "caCertificateRefs[0]", no_ca),
        (
            json!({"caCertificateRefs": reference("Unknown", "ca")}),
            "caCertificateRefs[0]",
            "Accepted=false/NoValidCACertificate ResolvedRefs=false/InvalidKind",
        ),
        (json!({"wellKnownCACertificates": "Other"}), "", invalid),
        (json!({}), "", invalid),
        (json!({"wellKnownCACertificates": "System", "hostname": "*.x"}), "hostname", invalid),
        (
            json!({"wellKnownCACertificates": "System", "subjectAltNames": [{"type": "URI"}]}),
            "subjectAltNames[0]",
            invalid,
        ),
    ] {
        let mut world = world();
        world.apply("ConfigMap", "ns/empty", json!({}));
        world.apply("ConfigMap", "ns/malformed", json!({"data": {"ca.crt": "no certificate"}}));
        policy(&mut world, "ns/p", "2026-01-01", Value::Null, validation.clone());
        let problems = world.translate();
        let dot = if field.is_empty() { "" } else { "." };
        let wanted = format!("BackendTLSPolicy ns/p: spec.validation{dot}{field}: ");
        assert!(problems.len() == 1 && problems[0].contains(&wanted), "{wanted} is not {problems:?}");
        assert!(security(&world.backend("ns/s", 80)).starts_with("invalid BackendTLSPolicy ns/p: "));
        assert_eq!(world.statuses(Kind::BackendTlsPolicy, "ns/p"), [format!("Gateway ns/gw: {want}")]);
    }
}

#[test]
fn one_good_reference_is_enough() {
    let mut world = world();
    let references = json!([{"group": "", "kind": "ConfigMap", "name": "no"},
        {"group": "", "kind": "ConfigMap", "name": "ca"}]);
    policy(&mut world, "ns/p", "2026-01-01", Value::Null, json!({ "caCertificateRefs": references }));
    assert_eq!(world.translate().len(), 1);
    assert_eq!(security(&world.backend("ns/s", 80)), "ns/p");
    let want = "Gateway ns/gw: Accepted=true/Accepted ResolvedRefs=false/InvalidCACertificateRef";
    assert_eq!(world.statuses(Kind::BackendTlsPolicy, "ns/p"), [want]);
}

#[test]
fn it_follows_the_config_map_and_touches_nothing_else() {
    let mut world = world();
    world.service("ns/other", "10.96.0.2", "10.0.0.2");
    policy(&mut world, "ns/p", "2026-01-01", Value::Null, by_config_map());
    world.ready();
    let (other, before) = (world.backend("ns/other", 80), world.backend("ns/s", 80));
    authorities(&mut world, "ns/unrelated", "x");
    world.ready();
    assert!(Arc::ptr_eq(&before, &world.backend("ns/s", 80)), "nothing about it changed");
    world.remove(Kind::ConfigMap, "ns/ca");
    assert_eq!(world.translate().len(), 1);
    assert!(security(&world.backend("ns/s", 80)).starts_with("invalid"));
    authorities(&mut world, "ns/ca", "new");
    world.ready();
    let backend = world.backend("ns/s", 80);
    let UpstreamSecurity::Tls(tls) = &backend.security else { panic!("{backend:?}") };
    assert_eq!(tls.authorities.as_ref().unwrap().certificates, [b"new".to_vec()]);
    assert_eq!(before.id, backend.id);
    world.remove(Kind::BackendTlsPolicy, "ns/p").ready();
    assert_eq!(security(&world.backend("ns/s", 80)), "cleartext");
    assert!(Arc::ptr_eq(&other, &world.backend("ns/other", 80)));
}

#[test]
fn the_oldest_wins_and_a_port_comes_before_the_service() {
    let mut world = world();
    let conflicted = "Gateway ns/gw: Accepted=false/Conflicted ResolvedRefs=true/ResolvedRefs";
    policy(&mut world, "ns/a-young", "2026-02-01", Value::Null, by_config_map());
    policy(&mut world, "ns/z-old", "2026-01-01", Value::Null, by_config_map());
    policy(&mut world, "ns/port", "2026-03-01", json!("admin"), by_config_map());
    policy(&mut world, "ns/port-b", "2026-03-01", json!("admin"), by_config_map());
    let problems = world.translate();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].contains("a-young: spec.targetRefs[0]: Service ns/s is taken by the older"));
    assert_eq!(security(&world.backend("ns/s", 80)), "ns/z-old");
    assert_eq!(security(&world.backend("ns/s", 81)), "ns/port");
    for (name, want) in [("a-young", conflicted), ("z-old", GOOD), ("port", GOOD), ("port-b", conflicted)] {
        assert_eq!(world.statuses(Kind::BackendTlsPolicy, &format!("ns/{name}")), [want], "{name}");
    }
    // An invalid one that is older does not give way.
    policy(&mut world, "ns/z-old", "2026-01-01", Value::Null, json!({}));
    world.translate();
    assert!(security(&world.backend("ns/s", 80)).starts_with("invalid"));
    world.remove(Kind::BackendTlsPolicy, "ns/z-old");
    world.translate();
    assert_eq!(security(&world.backend("ns/s", 80)), "ns/a-young");
    assert_eq!(world.statuses(Kind::BackendTlsPolicy, "ns/a-young"), [GOOD]);
}

#[test]
fn targets_that_are_not_there() {
    let mut world = world();
    policy(&mut world, "ns/p", "2026-01-01", json!("no"), by_config_map());
    policy(&mut world, "far/p", "2026-01-01", Value::Null, json!({"wellKnownCACertificates": "System"}));
    let problems = world.translate();
    assert!(problems[0].contains("far/p: spec.targetRefs[0]: there is no Service far/s"), "{problems:?}");
    assert!(problems[1].contains("ns/p: spec.targetRefs[0]: Service ns/s has no port no"), "{problems:?}");
    assert_eq!(security(&world.backend("ns/s", 80)), "cleartext");
    let want = "Gateway ns/gw: Accepted=false/TargetNotFound ResolvedRefs=true/ResolvedRefs";
    assert_eq!(world.statuses(Kind::BackendTlsPolicy, "ns/p"), [want]);
    assert!(world.statuses(Kind::BackendTlsPolicy, "far/p").is_empty(), "no Gateway leads there");
    // The Service comes.
    world.service("far/s", "10.96.0.9", "10.0.0.9");
    world.translate();
    assert_eq!(security(&world.backend("far/s", 80)), "far/p");
}

fn retries(world: &mut World, name: &str, created: &str, mut spec: Value) {
    spec["targetRefs"] = reference("Service", "s");
    let metadata = json!({ "creationTimestamp": format!("{created}T00:00:00Z") });
    world.apply("XBackendTrafficPolicy", name, json!({"metadata": metadata, "spec": spec}));
}

#[test]
fn retry_budgets() {
    let budget = |percent, seconds, min_retries, min_millis| RetryBudget {
        percent,
        interval: Duration::from_secs(seconds),
        min_retries,
        min_interval: Duration::from_millis(min_millis),
    };
    let rate = |count: u32, interval: &str| json!({"minRetryRate": {"count": count, "interval": interval}});
    for (constraint, want) in [
        (json!({}), Some(RetryBudget::default())),
        (json!({"budget": {"percent": 0, "interval": "1m"}}), Some(budget(0, 60, 10, 1_000))),
        (rate(3, "1s"), Some(budget(20, 10, 3, 1_000))),
        (rate(600, "1m"), Some(budget(20, 10, 600, 60_000))),
        (rate(1, "1h"), Some(budget(20, 10, 1, 3_600_000))),
        (rate(1, "100ms"), Some(budget(20, 10, 1, 100))),
        (json!({"budget": {"percent": 101}}), None),
        (json!({"budget": {"interval": "0s"}}), None),
        (rate(0, "1s"), None),
        (rate(1, "x"), None),
    ] {
        let mut world = world();
        retries(&mut world, "ns/p", "2026-01-01", json!({ "retryConstraint": constraint }));
        let problems = world.translate();
        assert_eq!(problems.len(), if want.is_none() { 2 } else { 0 }, "{constraint} {problems:?}");
        let said =
            "Service ns/s has the default retry budget, 20 % of the requests in 10s, and 10 retries in 1s";
        assert!(want.is_some() || problems.iter().any(|p| p.contains(said)), "{problems:?}");
        let got = world.backend("ns/s", 80).traffic.retry_budget;
        assert_eq!(got, want.unwrap_or_default(), "{constraint}");
        let accepted = if want.is_some() { "true/Accepted" } else { "false/Invalid" };
        let status = world.statuses(Kind::BackendTrafficPolicy, "ns/p");
        assert_eq!(status, [format!("Gateway ns/gw: Accepted={accepted}")], "{constraint}");
    }
    let mut world = world();
    let percent = |percent: u32| json!({"retryConstraint": {"budget": {"percent": percent}}});
    retries(&mut world, "ns/a", "2026-02-01", percent(1));
    retries(&mut world, "ns/b", "2026-01-01", percent(2));
    assert_eq!(world.translate().len(), 1);
    assert_eq!(world.backend("ns/s", 80).traffic.retry_budget.percent, 2);
    let loser = world.statuses(Kind::BackendTrafficPolicy, "ns/a");
    assert_eq!(loser, ["Gateway ns/gw: Accepted=false/Conflicted"]);
    // One that is refused keeps its last good version, and its target.
    retries(&mut world, "ns/b", "2026-01-01", json!({"sessionPersistence": {}}));
    let problems = world.translate();
    assert_eq!(problems.len(), 3, "{problems:?}");
    let said = "Service ns/s has the last good retry budget, 2 % of";
    assert!(problems.iter().any(|problem| problem.contains(said)), "{problems:?}");
    assert_eq!(world.backend("ns/s", 80).traffic.retry_budget.percent, 2);
    // Not of one that was there before it.
    world.remove(Kind::BackendTrafficPolicy, "ns/b").ready();
    assert_eq!(world.backend("ns/s", 80).traffic.retry_budget.percent, 1);
    retries(&mut world, "ns/b", "2026-01-01", json!({"sessionPersistence": {}}));
    assert_eq!(world.translate().len(), 3);
    assert_eq!(world.backend("ns/s", 80).traffic.retry_budget, RetryBudget::default());
}
