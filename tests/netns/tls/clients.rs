//! Certificates of clients at HTTPS listeners (`spec.tls.frontend`).

use std::path::Path;

use tests::authority::Leaf;
use tests::certificate::Certificate;
use tests::objects::documents;
use tests::{Authority, Weir};

use super::{get, get_at, handshake, https, shows, world_with};
use crate::world::World;

/// `spec.tls.frontend`: this default at all ports, and `other` at port 8444.
fn frontend(default: &str, other: &str) -> String {
    format!(
        "  tls:\n    frontend:\n      default: {{validation: {default}}}\n      \
         perPort: [{{port: 8444, tls: {{{other}}}}}]\n"
    )
}

fn validation(config_map: &str, mode: &str) -> String {
    format!("{{caCertificateRefs: [{{group: \"\", kind: ConfigMap, name: {config_map}}}]{mode}}}")
}

/// The world with HTTPS for `a.test` on 8443 and on 8444 and this `spec.tls`.
fn world(tls: &str) -> (World, Authority) {
    let second =
        https("a", "").replace("name: a, protocol", "name: second, protocol").replace("8443", "8444");
    let (world, authority) = world_with(&(https("a", "") + &second + tls), &[]);
    world.lab.write("secret.yaml", &authority.issue(&["a.test"]).secret("a"));
    (world, authority)
}

fn ask(world: &World, port: u16, authority: &Path, client: Option<&Certificate>, version: &str) -> u16 {
    let files = client.map(|own| [own.certificate.to_string_lossy(), own.key.to_string_lossy()]);
    let mut more = vec!["--http1.1", "--tls-max", version];
    if let Some([certificate, key]) = &files {
        more.extend(["--cert", certificate, "--key", key]);
    }
    get_at(&world.frontend, "a.test", port, authority, &more).0
}

#[test]
fn only_clients_that_an_authority_knows() {
    needs_lab!("openssl");
    let (world, authority) = world(&frontend(&validation("clients", ""), "validation: null"));
    let clients = Authority::new(world.lab.folder(), "clients");
    let strangers = Authority::new(world.lab.folder(), "strangers");
    world.lab.write("clients.yaml", &clients.config_map("clients"));
    let known = clients.issue(&["client.test"]);
    let late = clients.issue_as(Leaf { names: &["late.test"], expired: true, ..Leaf::default() });
    let rsa = clients.issue_as(Leaf { names: &["rsa.test"], rsa: true, ..Leaf::default() });
    let stranger = strangers.issue(&["client.test"]);
    let weir = Weir::start(&world.lab);
    for version in ["1.2", "1.3"] {
        let cases = [
            ("known", Some(&known), 200),
            ("of RSA", Some(&rsa), 200),
            ("none", None, 0),
            ("expired", Some(&late), 0),
            ("a stranger's", Some(&stranger), 0),
        ];
        for (what, client, status) in cases {
            let got = ask(&world, 8443, &authority.certificate, client, version);
            assert_eq!(got, status, "{version}: {what}");
            // The port with an entry of its own asks for nothing.
            let got = ask(&world, 8444, &authority.certificate, client, version);
            assert_eq!(got, 200, "{version}: {what} where none is asked for");
        }
    }
    assert_eq!(world.backend.count(), 2 * (2 + 5), "what was refused never came");
    let flow = weir.wait_flow("a client without a certificate", |flow| flow["reason"] == "tls_failed");
    assert_eq!(flow["verdict"], "FAILED", "{flow}");
    let text = handshake(&world.frontend, "a.test", &["-tls1_3"]);
    assert!(shows(&text, "a.test") && text.contains("CN = clients"), "says whom it believes: {text}");
}

#[test]
fn with_fallback_any_or_none_will_do() {
    needs_lab!("openssl");
    let mode = ", mode: AllowInsecureFallback";
    let tls = frontend(&validation("clients", ""), &format!("validation: {}", validation("clients", mode)));
    let (world, authority) = world(&tls);
    let clients = Authority::new(world.lab.folder(), "clients");
    let strangers = Authority::new(world.lab.folder(), "strangers");
    world.lab.write("clients.yaml", &clients.config_map("clients"));
    let stranger = strangers.issue(&["client.test"]);
    let _weir = Weir::start(&world.lab);
    for version in ["1.2", "1.3"] {
        for client in [None, Some(&stranger)] {
            assert_eq!(ask(&world, 8444, &authority.certificate, client, version), 200, "{version}");
            assert_eq!(ask(&world, 8443, &authority.certificate, client, version), 0, "{version}");
        }
    }
}

/// Nobody to believe: every connection is closed, and what is wrong is named. A change is in force
/// for the next handshake, also one that would resume a session.
#[test]
fn authorities_that_are_missing_or_change() {
    needs_lab!("openssl");
    let (world, authority) = world(&frontend(&validation("clients", ""), "validation: null"));
    let clients = Authority::new(world.lab.folder(), "clients");
    let known = clients.issue(&["client.test"]);
    let weir = Weir::start(&world.lab);
    let ask = || ask(&world, 8443, &authority.certificate, Some(&known), "1.3");
    let broken = clients.config_map("clients").replace("BEGIN CERTIFICATE", "BEGIN NONSENSE");
    for (what, object, wrong) in
        [("missing", None, "there is no ConfigMap default/clients"), ("broken", Some(broken), "ca.crt")]
    {
        if let Some(object) = object {
            world.lab.write("clients.yaml", &object);
            tests::until("the problem to be the other", || {
                weir.ask("problems").filter(|text| text.contains(wrong))
            });
        }
        let problems = weir.ask("problems").unwrap();
        let field = "spec.tls.frontend.default.validation.caCertificateRefs[0]";
        let line = problems.lines().find(|line| line.contains(field)).unwrap_or_default();
        assert!(line.contains("Gateway default/web") && line.contains(wrong), "{what}:\n{problems}");
        assert_eq!(ask(), 0, "{what}");
        assert_eq!(get_at(&world.frontend, "a.test", 8444, &authority.certificate, &[]).0, 200, "{what}");
    }
    let before = weir.revision();
    world.lab.write("clients.yaml", &clients.config_map("clients"));
    weir.wait_revision(before);
    assert_eq!(ask(), 200);
    let session = world.lab.folder().join("session").to_string_lossy().into_owned();
    let files = [known.certificate.to_string_lossy(), known.key.to_string_lossy()];
    let own = ["-cert", &*files[0], "-key", &*files[1], "-tls1_2"];
    handshake(&world.frontend, "a.test", &[&own[..], &["-sess_out", &session]].concat());
    let again = || handshake(&world.frontend, "a.test", &["-tls1_2", "-sess_in", &session]);
    assert!(again().contains("Reused, TLSv1.2"), "a session that was known needs no certificate again");
    let before = weir.revision();
    let others = Authority::new(world.lab.folder(), "others");
    world.lab.write("clients.yaml", &others.config_map("clients"));
    weir.wait_revision(before);
    assert_eq!(ask(), 0, "nobody believes it any more");
    let text = again();
    assert!(!text.contains("Reused") && text.contains("alert"), "nor a session of it: {text}");
    assert_eq!(get(&world.frontend, "a.test", &authority.certificate, &[]).0, 0);
}

/// What comes by TLSRoute is the endpoint's to ask.
#[test]
fn listeners_of_bytes_ask_for_nothing() {
    needs_lab!("openssl");
    let listener = https("a", "hostname: a.test, ").replace("HTTPS", "TLS");
    let tls = frontend(&validation("clients", ""), "validation: null");
    let (world, authority) = world_with(&(listener + &tls), &[]);
    let clients = Authority::new(world.lab.folder(), "clients");
    let objects = [clients.config_map("clients"), authority.issue(&["a.test"]).secret("a"), BYTES.to_owned()];
    world.lab.write("more.yaml", &documents(&objects));
    let _weir = Weir::start(&world.lab);
    assert_eq!(get(&world.frontend, "a.test", &authority.certificate, &["--http1.1"]).0, 200);
}

const BYTES: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: bytes, namespace: default}
spec:
  parentRefs: [{name: web, sectionName: a}]
  hostnames: [a.test]
  rules:
  - backendRefs: [{name: api, port: 80}]
"#;
