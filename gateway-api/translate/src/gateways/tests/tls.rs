//! Certificates and authorities that Gateways name.

use std::sync::Arc;
use std::time::SystemTime;

use model::service::{Listener, ListenerProtocol};
use model::tls::ClientAuth;

use super::*;
use crate::tests::{authorities, pem, tls_secret};
use crate::{Lapse, Options};

const CERTIFICATE: &str = "InvalidCertificateRef";

fn https(name: &str, port: u16, references: Value) -> Value {
    json!({"name": name, "port": port, "protocol": "HTTPS", "tls": {"certificateRefs": references}})
}

/// The listener of this name on a port.
fn listener(world: &World, port: u16, name: &str) -> Arc<Listener> {
    let gateway = &world.last.snapshot.gateways[&GatewayAddr::tcp(None, port)];
    gateway.listeners.iter().find(|l| &*l.name == name).unwrap().clone()
}

/// `ResolvedRefs` of a listener, without the others.
fn condition(world: &World, kind: &str, part: &str) -> String {
    let statuses = world.statuses(Kind::Gateway, "ns/gw");
    let status = statuses.iter().find(|s| s.starts_with(part)).unwrap();
    let found = status.split(' ').find_map(|c| c.strip_prefix(&format!("{kind}=")));
    found.unwrap_or("none").to_owned()
}

/// Secrets good, bad and far; a ConfigMap with authorities.
fn world() -> World {
    let mut world = World::new();
    tls_secret(&mut world, "ns/good", "good");
    tls_secret(&mut world, "ns/second", "second");
    tls_secret(&mut world, "far/good", "far");
    tls_secret(&mut world, "far/other", "far");
    world.apply("Secret", "ns/empty", json!({"data": {}}));
    world.apply("Secret", "ns/text", json!({"stringData": {"tls.crt": "text", "tls.key": "text"}}));
    let keyless =
        json!({"stringData": {"tls.crt": pem("CERTIFICATE", "x"), "tls.key": pem("CERTIFICATE", "x")}});
    world.apply("Secret", "ns/keyless", keyless);
    let from = json!([{"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "ns"}]);
    let to = json!([{"group": "", "kind": "Secret", "name": "good"}]);
    world.apply("ReferenceGrant", "far/grant", json!({"spec": {"from": from, "to": to}}));
    authorities(&mut world, "ns/ca", "ca");
    authorities(&mut world, "far/ca", "far");
    world.apply("ConfigMap", "ns/no-ca", json!({"data": {"ca.pem": pem("CERTIFICATE", "x")}}));
    world
}

#[test]
fn certificates_of_listeners() {
    for (references, want) in [
        (json!([{"name": "good"}]), Ok(1)),
        (json!([{"name": "good", "kind": "Secret", "group": "", "namespace": "ns"}]), Ok(1)),
        (json!([{"name": "good"}, {"name": "second"}]), Ok(2)),
        (json!([{"name": "good", "namespace": "far"}]), Ok(1)),
        (json!([{"name": "other", "namespace": "far"}]), Err("RefNotPermitted")),
        // Permission comes first: nobody learns what another namespace holds.
        (json!([{"name": "missing", "namespace": "far"}]), Err("RefNotPermitted")),
        (json!([{"name": "missing"}]), Err(CERTIFICATE)),
        (json!([{"name": "empty"}]), Err(CERTIFICATE)),
        (json!([{"name": "text"}]), Err(CERTIFICATE)),
        (json!([{"name": "keyless"}]), Err(CERTIFICATE)),
        (json!([{"name": "good", "kind": "ConfigMap"}]), Err(CERTIFICATE)),
        (json!([{"name": "good", "group": "example.com"}]), Err(CERTIFICATE)),
    ] {
        let mut world = world();
        apply(&mut world, "ns/gw", "01", json!({"listeners": [https("l", 443, references.clone())]}));
        let problems = world.translate();
        let published = listener(&world, 443, "l");
        match (published.server_tls(), want) {
            (Some(tls), Ok(count)) => {
                assert_eq!(problems, Vec::<String>::new());
                assert_eq!(tls.certificates.len(), count, "{references}");
                assert!(matches!(published.protocol, ListenerProtocol::Https { .. }));
                assert_eq!(condition(&world, "ResolvedRefs", "l("), "true/ResolvedRefs");
                assert_eq!(condition(&world, "Programmed", "l("), "true/Programmed");
            }
            (None, Err(reason)) => {
                let field = "Gateway ns/gw: spec.listeners[0].tls.certificateRefs[0]: ";
                assert!(problems.len() == 1 && problems[0].starts_with(field), "{problems:?}");
                assert_eq!(
                    condition(&world, "ResolvedRefs", "l("),
                    format!("false/{reason}"),
                    "{references}"
                );
                assert_eq!(condition(&world, "Programmed", "l("), "false/Invalid");
                // It stays as one that closes every connection, so that none reaches another.
                let ListenerProtocol::TlsPassthrough(names) = &published.protocol else {
                    panic!("{published:?}")
                };
                assert!(names.exact.is_empty() && names.wildcard.is_empty() && names.any.is_none());
            }
            other => panic!("{references}: {other:?}"),
        }
        assert_eq!(condition(&world, "Accepted", "l("), "true/Accepted");
        assert!(!format!("{:?} {problems:?}", world.last).contains("secret key"), "keys are shown nowhere");
    }
}

#[test]
fn of_several_references_the_good_ones_serve() {
    let mut world = world();
    let references = json!([{"name": "missing"}, {"name": "good"}]);
    apply(&mut world, "ns/gw", "01", json!({"listeners": [https("l", 443, references)]}));
    assert_eq!(world.translate().len(), 1);
    assert_eq!(listener(&world, 443, "l").server_tls().unwrap().certificates.len(), 1);
    assert_eq!(condition(&world, "ResolvedRefs", "l("), format!("false/{CERTIFICATE}"));
    assert_eq!(condition(&world, "Programmed", "l("), "true/Programmed");
}

#[test]
fn the_checks_given_decide_over_certificates_and_authorities() {
    let refuse = Options {
        check_key_pair: |pair| match pair.chain[0].starts_with(b"good") {
            true => Err(format!("{}: it is not to be used", pair.source)),
            false => Ok(()),
        },
        certificate_lapse: |pair| match pair.chain[0].starts_with(b"old") {
            true => Lapse { said: Some("it is old".to_owned()), next: Some(SystemTime::UNIX_EPOCH) },
            false => Lapse { said: None, next: Some(SystemTime::now()) },
        },
        check_authorities: |all| if all.len() == 1 { Err("too few".to_owned()) } else { Ok(()) },
        ..Options::default()
    };
    let mut world = World::of(refuse);
    tls_secret(&mut world, "ns/good", "good");
    tls_secret(&mut world, "ns/old", "old");
    tls_secret(&mut world, "ns/new", "new");
    authorities(&mut world, "ns/ca", "ca");
    let validation = json!({"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}]});
    let spec = json!({
        "listeners": [https("l", 443, json!([{"name": "good"}, {"name": "old"}, {"name": "new"}]))],
        "tls": {"frontend": {"default": {"validation": validation}}},
    });
    apply(&mut world, "ns/gw", "01", spec);
    let problems = world.translate();
    for wanted in [
        "listeners[0].tls.certificateRefs[0]: Secret ns/good: it is not to be used (InvalidCertificateRef)",
        "validation.caCertificateRefs[0]: ConfigMap ns/ca: too few (InvalidCACertificateRef)",
        // It is said and not refused.
        "listeners[0].tls.certificateRefs[1]: it is old",
    ] {
        assert!(problems.iter().any(|p| p.ends_with(wanted)), "{wanted}: {problems:?}");
    }
    assert_eq!(world.translator.next_lapse(), Some(SystemTime::UNIX_EPOCH), "the first of all");
    // Asked again, they have something to be said of them, and nothing else has changed.
    let before = world.last.snapshot.clone();
    world.translator.review_certificates();
    assert_eq!(world.translate(), problems);
    assert!(Arc::ptr_eq(&before, &world.last.snapshot));
    world.remove(Kind::Gateway, "ns/gw").ready();
    assert_eq!(world.translator.next_lapse(), None);
}

#[test]
fn tls_listeners_share_a_port_with_https_by_name() {
    let mut world = world();
    let tls = |name: &str, hostname: &str, tls: Value| json!({"name": name, "port": 443, "protocol": "TLS", "hostname": hostname, "tls": tls});
    let listeners = json!([
        https("https", 443, json!([{"name": "good"}])),
        tls("pass", "pass.test", json!({"mode": "Passthrough"})),
        tls("end", "end.test", json!({"certificateRefs": [{"name": "good"}]})),
    ]);
    apply(&mut world, "ns/gw", "01", json!({ "listeners": listeners }));
    world.ready();
    assert_eq!(listening(&world), ["*:443 gw/end gw/pass gw/https"]);
    assert!(matches!(listener(&world, 443, "pass").protocol, ListenerProtocol::TlsPassthrough(_)));
    assert!(matches!(listener(&world, 443, "end").protocol, ListenerProtocol::TlsTerminate { .. }));
}

#[test]
fn client_certificates() {
    let reference = |kind: &str, namespace: &str, name: &str| json!({"group": "", "kind": kind, "namespace": namespace, "name": name});
    let with = |references: Value, mode: &str| json!({"validation": {"caCertificateRefs": references, "mode": mode}});
    let valid = "AllowValidOnly";
    let good = json!([reference("ConfigMap", "ns", "ca")]);
    // What `frontend.default` says, and the listener's client authentication or its reason.
    for (default, want) in [
        (json!({}), Ok("none")),
        (with(good.clone(), valid), Ok("required 1")),
        (with(json!([good[0], reference("Secret", "ns", "good")]), valid), Ok("required 2")),
        (with(good.clone(), "AllowInsecureFallback"), Ok("optional")),
        (with(json!([reference("ConfigMap", "ns", "missing")]), valid), Err("InvalidCACertificateRef")),
        (with(json!([reference("ConfigMap", "ns", "no-ca")]), valid), Err("InvalidCACertificateRef")),
        (with(json!([reference("Service", "ns", "ca")]), valid), Err("InvalidCACertificateKind")),
        (with(json!([reference("ConfigMap", "far", "ca")]), valid), Err("RefNotPermitted")),
        (
            with(json!([reference("ConfigMap", "ns", "missing")]), "AllowInsecureFallback"),
            Err("InvalidCACertificateRef"),
        ),
    ] {
        let mut world = world();
        let ca = json!({"stringData": {"ca.crt": pem("CERTIFICATE", "more")}});
        world.apply("Secret", "ns/good", {
            let mut secret = crate::tests::tls_secret_object("good");
            secret["stringData"]["ca.crt"] = ca["stringData"]["ca.crt"].clone();
            secret
        });
        let per_port = json!([{"port": 8443, "tls": {}}]);
        let spec = json!({
            "listeners": [
                https("l", 443, json!([{"name": "good"}])),
                https("own", 8443, json!([{"name": "good"}])),
                http("http", 80, ""),
            ],
            "tls": {"frontend": {"default": default, "perPort": per_port}},
        });
        apply(&mut world, "ns/gw", "01", spec);
        let problems = world.translate();
        let published = listener(&world, 443, "l");
        match (published.server_tls(), want) {
            (Some(tls), Ok(want)) => {
                let got = match &tls.client {
                    ClientAuth::None => "none".to_owned(),
                    ClientAuth::Optional => "optional".to_owned(),
                    ClientAuth::Required(all) => format!("required {}", all.certificates.len()),
                };
                assert_eq!(got, want, "{default}");
                assert_eq!(condition(&world, "Accepted", "l("), "true/Accepted");
                let insecure = if want == "optional" { "true/ConfigurationChanged" } else { "none" };
                assert_eq!(condition(&world, "InsecureFrontendValidationMode", "whole"), insecure);
            }
            (None, Err(reason)) => {
                let field = "Gateway ns/gw: spec.tls.frontend.default.validation.caCertificateRefs[0]: ";
                assert!(problems.len() == 1 && problems[0].starts_with(field), "{problems:?}");
                assert_eq!(condition(&world, "Accepted", "l("), "false/NoValidCACertificate");
                assert_eq!(condition(&world, "Programmed", "l("), "false/NoValidCACertificate");
                assert_eq!(condition(&world, "ResolvedRefs", "l("), format!("false/{reason}"));
                assert_eq!(condition(&world, "Accepted", "whole"), "true/ListenersNotValid");
            }
            other => panic!("{default}: {other:?}"),
        }
        let own = listener(&world, 8443, "own");
        assert_eq!(own.server_tls().unwrap().client, ClientAuth::None, "the port's own entry counts");
        assert_eq!(condition(&world, "Accepted", "http("), "true/Accepted");
        assert_eq!(condition(&world, "ResolvedRefs", "http("), "true/ResolvedRefs");
    }
}

#[test]
fn the_certificate_for_backends() {
    for (reference, want) in [
        (json!({"name": "good"}), Ok(())),
        (json!({"name": "good", "namespace": "far"}), Ok(())),
        (json!({"name": "other", "namespace": "far"}), Err("RefNotPermitted")),
        (json!({"name": "missing"}), Err("InvalidClientCertificateRef")),
        (json!({"name": "good", "kind": "Service"}), Err("InvalidClientCertificateRef")),
    ] {
        let mut world = world();
        let tls = json!({"backend": {"clientCertificateRef": reference}});
        apply(&mut world, "ns/gw", "01", json!({"listeners": [http("h", 80, "")], "tls": tls}));
        let problems = world.translate();
        assert_eq!(listener(&world, 80, "h").backend_certificate.is_some(), want.is_ok(), "{reference}");
        let (resolved, count) = match want {
            Ok(()) => ("true/ResolvedRefs".to_owned(), 0),
            Err(reason) => (format!("false/{reason}"), 1),
        };
        assert_eq!(condition(&world, "ResolvedRefs", "whole"), resolved, "{reference}");
        assert_eq!(condition(&world, "Accepted", "whole"), "true/Accepted");
        assert_eq!(problems.len(), count, "{problems:?}");
    }
}

#[test]
fn a_changed_secret_touches_the_listeners_that_use_it() {
    let mut world = world();
    let listeners = json!([
        https("a", 443, json!([{"name": "good"}])),
        https("b", 444, json!([{"name": "second"}])),
        http("h", 80, ""),
    ]);
    apply(&mut world, "ns/gw", "01", json!({ "listeners": listeners }));
    world.ready();
    let before = world.last.snapshot.clone();
    let same = |world: &World, port: u16| {
        let at = GatewayAddr::tcp(None, port);
        Arc::ptr_eq(&before.gateways[&at], &world.last.snapshot.gateways[&at])
    };
    tls_secret(&mut world, "ns/unused", "unused");
    world.ready();
    assert!(Arc::ptr_eq(&before, &world.last.snapshot), "nobody uses it");
    tls_secret(&mut world, "ns/good", "good");
    world.ready();
    assert!(Arc::ptr_eq(&before, &world.last.snapshot), "it says what it said");
    tls_secret(&mut world, "ns/good", "renewed");
    world.ready();
    assert!(!same(&world, 443) && same(&world, 444) && same(&world, 80));
    let renewed = listener(&world, 443, "a").server_tls().unwrap().certificates[0].clone();
    assert_eq!(renewed.chain[0], b"renewed certificate");
    world.remove(Kind::Secret, "ns/good");
    assert_eq!(world.translate().len(), 1);
    assert!(listener(&world, 443, "a").server_tls().is_none());
    tls_secret(&mut world, "ns/good", "good");
    world.ready();
    assert!(listener(&world, 443, "a").server_tls().is_some());
}

/// A Secret that has become of no use keeps what was good in it, until it or the reference is gone.
#[test]
fn the_last_good_certificate_is_shown() {
    let wrong = json!({"stringData": {"tls.crt": pem("CERTIFICATE", "x"), "tls.key": "text"}});
    let refer = |world: &mut World, secret: &str| {
        let listeners = json!({"listeners": [https("a", 443, json!([{"name": secret}]))]});
        apply(world, "ns/gw", "01", listeners);
    };
    let cases = [
        ("a wrong key", Some(wrong.clone()), true),
        ("no key", Some(json!({"stringData": {"tls.crt": pem("CERTIFICATE", "x")}})), true),
        ("neither", Some(json!({"stringData": {"other": "x"}})), false),
        ("deleted", None, false),
    ];
    for (what, secret, shown) in cases {
        let mut world = world();
        refer(&mut world, "good");
        world.translate();
        let before = listener(&world, 443, "a").server_tls().cloned();
        match secret {
            Some(secret) => world.apply("Secret", "ns/good", secret),
            None => world.remove(Kind::Secret, "ns/good"),
        };
        world.translate();
        let after = listener(&world, 443, "a").server_tls().cloned();
        assert_eq!(after == before, shown, "{what}");
        let resolved = format!("false/{CERTIFICATE}");
        assert_eq!(condition(&world, "ResolvedRefs", "a("), resolved, "{what}");
        let of_secret =
            world.last.problems.iter().filter(|p| p.to_string().starts_with("Secret ns/good: data[tls."));
        assert_eq!(of_secret.count(), usize::from(shown), "{what}: {:?}", world.last.problems);
        // Nothing leads to it for a while: it has no last good version then.
        refer(&mut world, "second");
        world.translate();
        world.apply("Secret", "ns/good", wrong.clone());
        refer(&mut world, "good");
        world.translate();
        assert_ne!(listener(&world, 443, "a").server_tls().cloned(), before, "{what}");
    }
}
