//! TLS towards endpoints: whom a BackendTLSPolicy believes, and what it costs not to be believed.

use tests::authority::Leaf;
use tests::certificate::Certificate;
use tests::client::curl;
use tests::lab::NODE_V4;
use tests::objects::{documents, gateway, service};
use tests::{Authority, Backend, Lab, Peer, Weir, until};

use crate::world::World;

/// The world with Gateway `web` on 8080, whose route leads to Service `origin` on 443 of the api,
/// and its objects as YAML without the Gateway.
fn world(spec: &str) -> (World, Authority) {
    let world = World::new();
    let authority = Authority::new(world.lab.folder(), "authority");
    let gateway = gateway("web", 8080, &[]) + spec;
    let origin = service("origin", &["10.96.0.4"], 443, &[(world.api.v4.into(), 443)]);
    world.lab.write("gateway.yaml", &documents(&[gateway, origin, ROUTE.into()]));
    (world, authority)
}

/// An endpoint with this certificate on port 443 of the api that says what it sees.
fn origin(world: &World, certificate: &Certificate, clients: Option<&Authority>) -> Peer {
    let address = world.api.v4.to_string();
    let (own, key) = (certificate.certificate.to_string_lossy(), certificate.key.to_string_lossy());
    let mut arguments = vec![&*address, "443", "origin", &own, &key];
    let clients = clients.map(|clients| clients.certificate.to_string_lossy());
    arguments.extend(clients.as_deref());
    Peer::node(&world.api.ns, "origin.mjs", &arguments)
}

/// The policy, of this `validation`.
fn policy(validation: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\n\
         metadata: {{name: origin, namespace: default}}\nspec:\n  \
         targetRefs: [{{group: \"\", kind: Service, name: origin}}]\n  validation: {{{validation}}}\n"
    )
}

/// The authorities of ConfigMap `NAME` and this hostname.
fn by(config_map: &str, hostname: &str, names: &str) -> String {
    let reference = format!("caCertificateRefs: [{{group: \"\", kind: ConfigMap, name: {config_map}}}]");
    policy(&format!("{reference}, hostname: {hostname}{names}"))
}

fn get(world: &World, path: &str) -> (u16, String) {
    curl(&world.frontend, &[&format!("http://{NODE_V4}:8080{path}")])
}

fn requests(origin: &Peer) -> usize {
    origin.text().matches("request ").count()
}

#[test]
fn endpoints_are_believed_by_authority_and_name() {
    needs_lab!("openssl", "node");
    let (world, authority) = world("");
    let others = Authority::new(world.lab.folder(), "others");
    let leaf = authority.issue(&["origin.test", "*.wild.test", "spiffe://weir.test/origin"]);
    let origin = origin(&world, &leaf, None);
    world.lab.write("authorities.yaml", &(authority.config_map("ours") + &others.config_map("others")));
    world.lab.write("policy.yaml", &by("ours", "origin.test", ""));
    let weir = Weir::start(&world.lab);
    let uri = |uri: &str| format!(", subjectAltNames: [{{type: URI, uri: \"{uri}\"}}]");
    let dns = |name: &str| format!(", subjectAltNames: [{{type: Hostname, hostname: \"{name}\"}}]");
    let both = ", subjectAltNames: [{type: Hostname, hostname: no.test}, \
                {type: URI, uri: \"spiffe://weir.test/origin\"}]";
    let cases = [
        ("its name", "ours", "origin.test", String::new(), true),
        ("a name by wildcard", "ours", "a.wild.test", String::new(), true),
        ("a wildcard of two labels", "ours", "a.b.wild.test", String::new(), false),
        ("another name", "ours", "other.test", String::new(), false),
        ("another authority", "others", "origin.test", String::new(), false),
        ("its URI, whatever the name sent", "ours", "sent.test", uri("spiffe://weir.test/origin"), true),
        ("another URI", "ours", "origin.test", uri("spiffe://weir.test/other"), false),
        ("a longer URI", "ours", "origin.test", uri("spiffe://weir.test/origin/x"), false),
        ("its DNS name in place of the name sent", "ours", "sent.test", dns("origin.test"), true),
        ("another DNS name", "ours", "origin.test", dns("other.test"), false),
        ("its wildcard", "ours", "sent.test", dns("*.wild.test"), true),
        ("one of two", "ours", "sent.test", both.to_owned(), true),
        ("its URI by another authority", "others", "sent.test", uri("spiffe://weir.test/origin"), false),
    ];
    let (mut expected, mut refused) = (0, 0);
    for (at, (what, authority, hostname, names, believed)) in cases.iter().enumerate() {
        if at > 0 {
            let before = weir.revision();
            world.lab.write("policy.yaml", &by(authority, hostname, names));
            weir.wait_revision(before);
        }
        let (status, text) = get(&world, "/");
        if *believed {
            expected += 1;
            assert_eq!((status, text), (200, format!("origin {hostname} nobody\n")), "{what}");
        } else {
            refused += 1;
            assert_eq!(status, 502, "{what}: {text}");
        }
        until(&format!("the endpoint to have said of {what}"), || {
            let failed = origin.text().matches("failed").count();
            (requests(&origin) >= expected && failed >= refused).then_some(())
        });
        assert_eq!(requests(&origin), expected, "{what}: {}", origin.text());
    }
    let flow = weir.wait_flow("an endpoint not believed", |flow| flow["reason"] == "tls_failed");
    assert_eq!(flow["http"]["status"], 502, "{flow}");
}

/// An endpoint in the clear, one that is late and one of another kind: nothing of a request leaves.
#[test]
fn nothing_is_sent_in_the_clear() {
    needs_lab!();
    let (world, authority) = world("");
    let clear = Backend::http(&world.api.ns, world.api.at(443), "clear");
    world.lab.write("authorities.yaml", &authority.config_map("ours"));
    world.lab.write("policy.yaml", &by("ours", "origin.test", ""));
    let weir = Weir::start(&world.lab);
    assert_eq!(get(&world, "/secret").0, 502);
    for seen in clear.seen() {
        let all = format!("{seen:?}");
        assert!(!all.contains("secret"), "{all}");
    }
    // A policy that is of no use is no reason to speak in the clear.
    let broken = by("nobody", "origin.test", "");
    let before = weir.revision();
    world.lab.write("policy.yaml", &broken);
    weir.wait_revision(before);
    assert_eq!(get(&world, "/secret").0, 500);
    let problems = weir.ask("problems").unwrap();
    let line = problems.lines().find(|line| line.contains("BackendTLSPolicy default/origin"));
    let line = line.unwrap_or_else(|| panic!("the policy is not named:\n{problems}"));
    for part in ["spec.validation.caCertificateRefs[0]", "there is no ConfigMap default/nobody"] {
        assert!(line.contains(part), "{part:?} is not in {line}");
    }
    drop(clear);
    let echo = Backend::echo(&world.api.ns, world.api.at(443));
    let before = weir.revision();
    world.lab.write("policy.yaml", &by("ours", "origin.test", ""));
    weir.wait_revision(before);
    assert_eq!(get(&world, "/secret").0, 502, "one that sends back what it gets");
    assert!(echo.connections() > 0);
}

/// An expired certificate of an endpoint is no certificate.
#[test]
fn an_endpoint_that_expired_is_not_believed() {
    needs_lab!("node");
    let (world, authority) = world("");
    let old =
        authority.issue_as(Leaf { names: &["origin.test"], expired: true, rsa: true, ..Leaf::default() });
    let origin = origin(&world, &old, None);
    world.lab.write("authorities.yaml", &authority.config_map("ours"));
    world.lab.write("policy.yaml", &by("ours", "origin.test", ""));
    let weir = Weir::start(&world.lab);
    assert_eq!(get(&world, "/").0, 502);
    assert_eq!(requests(&origin), 0);
    weir.wait_log("failed: its certificate has expired");
}

#[test]
fn the_gateway_shows_its_own_certificate() {
    needs_lab!("node");
    let (world, authority) = world(&backend_certificate("gateway"));
    let clients = Authority::new(world.lab.folder(), "clients");
    let strangers = Authority::new(world.lab.folder(), "strangers");
    let origin = origin(&world, &authority.issue(&["origin.test"]), Some(&clients));
    world.lab.write("authorities.yaml", &authority.config_map("ours"));
    world.lab.write("policy.yaml", &by("ours", "origin.test", ""));
    world.lab.write("own.yaml", &clients.issue(&["first.test"]).secret("gateway"));
    let weir = Weir::start(&world.lab);
    assert_eq!(get(&world, "/"), (200, "origin origin.test first.test\n".into()));
    // A new one is shown from the next request on: no connection of the old one is used again.
    let change = |object: &str| {
        let before = weir.revision();
        world.lab.write("own.yaml", object);
        weir.wait_revision(before);
    };
    change(&clients.issue(&["second.test"]).secret("gateway"));
    assert_eq!(get(&world, "/"), (200, "origin origin.test second.test\n".into()));
    until("the endpoint to have said so", || (requests(&origin) == 2).then_some(()));
    change(&strangers.issue(&["first.test"]).secret("gateway"));
    assert_eq!(get(&world, "/").0, 502, "the endpoint does not know it");
    // Without one the endpoint is asked without one.
    change(&clients.issue(&["first.test"]).secret("another"));
    let problems = weir.ask("problems").unwrap();
    let field = "spec.tls.backend.clientCertificateRef";
    let line = problems.lines().find(|line| line.contains(field)).unwrap_or_default();
    assert!(line.contains("there is no Secret default/gateway"), "{problems}");
    assert_ne!(get(&world, "/").0, 200);
    assert_eq!(requests(&origin), 2, "nothing more reached it: {}", origin.text());
}

fn backend_certificate(secret: &str) -> String {
    format!("  tls: {{backend: {{clientCertificateRef: {{name: {secret}}}}}}}\n")
}

/// The authorities of the system, which are a file in the node's own mount namespace.
#[test]
fn the_systems_authorities() {
    needs_lab!("node");
    let (world, authority) = world("");
    let others = Authority::new(world.lab.folder(), "others");
    let origin = origin(&world, &authority.issue(&["origin.test"]), None);
    world.lab.write("policy.yaml", &policy("wellKnownCACertificates: System, hostname: origin.test"));
    for (trusted, status) in [(&others, 502), (&authority, 200)] {
        let file = trusted.certificate.to_string_lossy();
        let weir = Weir::start_in(&world.lab, &["--node", tests::lab::NODE], &[("SSL_CERT_FILE", &file)]);
        assert_eq!(get(&world, "/").0, status, "{file}");
        end(weir, &world.lab);
    }
    until("the endpoint to have said so", || (requests(&origin) > 0).then_some(()));
    assert_eq!(requests(&origin), 1);
}

fn end(mut weir: Weir, lab: &Lab) {
    weir.stop(rustix::process::Signal::INT);
    until("it to be gone", || tests::weir::ask(lab, "ready").is_none().then_some(()));
}

/// A body whose end is that of its connection is whole only if TLS ends in due form.
#[test]
fn an_answer_that_is_cut_off_is_not_whole() {
    needs_lab!("node");
    let (world, authority) = world("");
    let _origin = origin(&world, &authority.issue(&["origin.test"]), None);
    world.lab.write("authorities.yaml", &authority.config_map("ours"));
    world.lab.write("policy.yaml", &by("ours", "origin.test", ""));
    let weir = Weir::start(&world.lab);
    let target = format!("http://{NODE_V4}:8080/cut");
    let finished =
        tests::peer::run(&world.frontend.ns, "curl", &["-sS", "--http1.1", &target], b"", super::PATIENCE);
    assert!(!finished.success, "curl takes it for whole: {}", finished.text);
    weir.wait_flow("the cut", |flow| flow["reason"] == "upstream_failed");
    // The same by HTTP/2.
    let finished = tests::peer::run(
        &world.frontend.ns,
        "curl",
        &["-sS", "--http2-prior-knowledge", &target],
        b"",
        super::PATIENCE,
    );
    assert!(!finished.success, "curl takes it for whole: {}", finished.text);
}

const ROUTE: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: origin, namespace: default}
spec:
  parentRefs: [{name: web}]
  rules:
  - backendRefs: [{name: origin, port: 443}]
"#;
