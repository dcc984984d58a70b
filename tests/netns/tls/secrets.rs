//! Secrets that change, and Secrets that are of no use.

use std::process::Output;
use std::time::{Duration, SystemTime};

use tests::authority::Leaf;
use tests::certificate::Certificate;
use tests::objects::{SEPARATOR, documents};
use tests::{Authority, Lab, Weir, until};

use super::{get, handshake, held, https, key_line, metrics, series, shows, world_with};

/// A renewed certificate: a connection that is there goes on, in either version of TLS, and the
/// next handshake is shown the new one.
#[test]
fn a_new_certificate_is_in_force_and_drops_no_connection() {
    needs_lab!("openssl");
    let (world, authority) = world_with(&https("a", "hostname: a.test, "), &[]);
    let old = authority.issue(&["a.test"]);
    world.lab.write("secret.yaml", &old.secret("a"));
    let weir = Weir::start(&world.lab);
    assert_eq!(get(&world.frontend, "a.test", &authority.certificate, &["--http2"]).0, 200);
    let mut connections = ["-tls1_2", "-tls1_3"].map(|version| held(&world.frontend, "a.test", &[version]));
    let mut ask = |count: usize| {
        for connection in &mut connections {
            connection.write(b"GET / HTTP/1.1\nHost: a.test\n\n");
            until("an answer on the connection", || {
                (connection.text().matches("HTTP/1.1 200").count() == count).then_some(())
            });
        }
    };
    ask(1);
    let before = weir.revision();
    let second = Authority::new(world.lab.folder(), "second");
    let new = second.issue(&["a.test"]);
    world.lab.write("secret.yaml", &new.secret("a"));
    weir.wait_revision(before);
    ask(2);
    assert_eq!(get(&world.frontend, "a.test", &second.certificate, &["--http2"]).0, 200);
    let (status, _) = get(&world.frontend, "a.test", &authority.certificate, &["--http2"]);
    assert_eq!(status, 0, "the old one is not shown");
    ask(3);
    // A Secret that is gone closes its listener; a connection that is there is told so.
    let before = weir.revision();
    std::fs::remove_file(world.lab.config().join("secret.yaml")).unwrap();
    weir.wait_revision(before);
    assert!(handshake(&world.frontend, "a.test", &[]).contains("has read 0 bytes"));
    for connection in &mut connections {
        connection.write(b"GET / HTTP/1.1\nHost: a.test\n\n");
        connection.wait_text("HTTP/1.1 421");
    }
}

/// A Secret of these two texts.
fn secret(name: &str, chain: &str, key: &str) -> String {
    let indented = |text: &str| text.lines().map(|line| format!("    {line}\n")).collect::<String>();
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: default}}\n\
         type: kubernetes.io/tls\nstringData:\n  tls.crt: |\n{}  tls.key: |\n{}{SEPARATOR}",
        indented(chain),
        indented(key)
    )
}

fn text(path: &std::path::Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The PEM with a piece of its middle taken out.
fn damaged(pem: &str) -> String {
    let mut lines: Vec<&str> = pem.lines().collect();
    lines.remove(lines.len() / 2);
    lines.join("\n")
}

fn check(lab: &Lab) -> String {
    let mut weir = lab.node.command(tests::weir::binary());
    let Output { stdout, stderr, .. } = weir.arg("check").arg(lab.config()).output().unwrap();
    String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned()
}

/// Each is said of the Gateway, with its field and the Secret, and of the Secret; the last good one is
/// shown, also by the next process, and by none if there is no Secret. Nothing of a key is said.
#[test]
fn a_secret_of_no_use_is_named_and_the_last_good_one_is_shown() {
    needs_lab!("openssl");
    let listeners = https("bad", "hostname: bad.test, ") + &https("good", "hostname: good.test, ");
    let (world, authority) = world_with(&listeners, &[]);
    let [good, own, other] = ["good.test", "bad.test", "other.test"].map(|name| authority.issue(&[name]));
    world.lab.write("good.yaml", &good.secret("good"));
    world.lab.write("bad.yaml", &own.secret("bad"));
    let weir = Weir::start(&world.lab);
    assert!(shows(&handshake(&world.frontend, "bad.test", &[]), "bad.test"));
    let (chain, key, others) = (text(&own.certificate), text(&own.key), text(&other.key));
    // One of type kubernetes.io/tls has both, or is none and not put in force.
    let opaque = own.secret("bad").replace("kubernetes.io/tls", "Opaque");
    let cases = [
        ("no PEM", secret("bad", "hello", &key), "tls.crt"),
        ("no DER in the PEM", secret("bad", &damaged(&chain), &key), "tls.crt"),
        ("a key for a certificate", secret("bad", &key, &key), "tls.crt"),
        ("a key that is no PEM", secret("bad", &chain, "hello"), "tls.key"),
        ("a damaged key", secret("bad", &chain, &damaged(&key)), "tls.key"),
        ("a certificate for a key", secret("bad", &chain, &chain), "tls.key"),
        ("another's key", secret("bad", &chain, &others), "tls.key"),
        ("an empty key", secret("bad", &chain, ""), "tls.key"),
        ("no key", opaque.replace("tls.key:", "other:"), "tls.key"),
        ("no certificate", opaque.replace("tls.crt:", "other:"), "tls.crt"),
        ("another's Secret", own.secret("notbad"), "there is no Secret default/bad"),
    ];
    let field = "spec.listeners[1].tls.certificateRefs[0]";
    for (what, secret, wrong) in cases {
        let before = weir.revision();
        world.lab.write("bad.yaml", &secret);
        weir.wait_revision(before);
        let problems = weir.ask("problems").unwrap();
        for (by, said) in [("problems", problems), ("check", check(&world.lab))] {
            let line = said.lines().find(|line| line.contains(field));
            let line = line.unwrap_or_else(|| panic!("{what}: {by} does not name the field:\n{said}"));
            let names = ["Gateway default/web", "Secret default/bad", wrong, "InvalidCertificateRef"];
            for name in names {
                assert!(line.contains(name), "{what}: {by} does not say {name:?}: {line}");
            }
            for pem in [&key, &others] {
                for line in pem.lines().filter(|line| !line.starts_with("---")) {
                    assert!(!said.contains(line), "{what}: {by} shows a key:\n{said}");
                }
            }
        }
        let is_gone = what == "another's Secret";
        let of_secret = format!("bad.yaml:1: Secret default/bad: data[{wrong}]: ");
        let problems = weir.ask("problems").unwrap();
        assert_eq!(problems.contains(&of_secret), !is_gone, "{what}: {problems}");
        for process in ["this process", "the next"] {
            let text = handshake(&world.frontend, "bad.test", &[]);
            assert_eq!(shows(&text, "bad.test"), !is_gone, "{what}: {process}: {text}");
            assert_eq!(text.contains("has read 0 bytes"), is_gone, "{what}: {process}: {text}");
            if process == "this process" {
                let old = weir.proxy().unwrap();
                weir.restart();
                until("the old proxy to be gone", || crate::restart::is_gone(old));
            }
        }
        assert_eq!(get(&world.frontend, "good.test", &authority.certificate, &[]).0, 200, "{what}");
        // It is good again at once.
        let before = weir.revision();
        world.lab.write("bad.yaml", &own.secret("bad"));
        weir.wait_revision(before);
        assert_eq!(get(&world.frontend, "bad.test", &authority.certificate, &[]).0, 200, "after {what}");
        assert_eq!(weir.ask("problems").as_deref(), Some(""), "after {what}");
    }
}

/// Not base64: the reader of the object refuses it, and does not quote it.
#[test]
fn a_secret_that_cannot_be_read_is_not_quoted() {
    needs_lab!("openssl");
    let (world, authority) = world_with(&https("a", "hostname: a.test, "), &[]);
    let own = authority.issue(&["a.test"]);
    world.lab.write("secret.yaml", &own.secret("a"));
    let weir = Weir::start(&world.lab);
    let line = key_line(&own);
    for (what, data) in [
        ("PEM in data", format!("data: {{tls.key: \"-----BEGIN {line}\"}}")),
        ("a list", format!("data: [\"{line}\"]")),
        ("a list of a key", format!("stringData: {{tls.key: [\"{line}\"]}}")),
        ("a map", format!("stringData: {{tls.key: {{\"{line}\": 1}}}}")),
        ("no YAML", format!("stringData: {{tls.key: \"{line}")),
        ("a part", format!("stringData: {{tls.key: \"{line}\"}}")),
    ] {
        let object = format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: a, namespace: default}}\ntype: kubernetes.io/tls\n{data}\n"
        );
        world.lab.write("secret.yaml", &object);
        let problems =
            until("the problem", || weir.ask("problems").filter(|text| text.contains("secret.yaml")));
        for said in [problems, check(&world.lab), weir.log()] {
            assert!(!said.contains(&line), "{what} is quoted:\n{said}");
        }
        // The last good version is in force.
        assert_eq!(get(&world.frontend, "a.test", &authority.certificate, &[]).0, 200, "{what}");
        world.lab.write("secret.yaml", &own.secret("a"));
        until("no problem", || weir.ask("problems").filter(|text| text.is_empty()));
    }
}

/// Who comes decides by the date, as it does anyway; that it is past is said.
#[test]
fn an_expired_certificate_is_shown_and_said() {
    needs_lab!("openssl");
    let listeners = https("old", "hostname: old.test, ") + &https("good", "hostname: good.test, ");
    let (world, authority) = world_with(&listeners, &[]);
    let old = authority.issue_as(Leaf { names: &["old.test"], expired: true, ..Leaf::default() });
    let secrets = [old.secret("old"), authority.issue(&["good.test"]).secret("good")];
    world.lab.write("secrets.yaml", &documents(&secrets));
    let weir = Weir::start(&world.lab);
    let text = handshake(&world.frontend, "old.test", &[]);
    assert!(shows(&text, "old.test"), "{text}");
    assert_eq!(get(&world.frontend, "old.test", &authority.certificate, &[]).0, 0, "curl refuses it");
    assert_eq!(get(&world.frontend, "good.test", &authority.certificate, &[]).0, 200);
    for said in [weir.ask("problems").unwrap(), check(&world.lab)] {
        let line = said.lines().find(|line| line.contains("expired")).unwrap_or_default();
        for name in ["Gateway default/web", "spec.listeners[1].tls.certificateRefs[0]", "Secret default/old"]
        {
            assert!(line.contains(name), "{name:?} is not in {line:?} of:\n{said}");
        }
    }
}

/// Warnings come in time, each once, without a change of any file; the certificate is shown all the
/// while. A renewed one ends them.
#[test]
fn a_certificate_that_expires_meanwhile_is_said() {
    needs_lab!("openssl");
    let listeners = https("week", "hostname: week.test, ") + &https("short", "hostname: short.test, ");
    let (world, authority) = world_with(&listeners, &[]);
    let living = |names, lives| authority.issue_as(Leaf { names, lives: Some(lives), ..Leaf::default() });
    let week = living(&["week.test"], Duration::from_secs(3 * 24 * 60 * 60));
    world.lab.write("week.yaml", &week.secret("week"));
    world.lab.write("short.yaml", &authority.issue(&["short.test"]).secret("short"));
    let weir = Weir::start(&world.lab);
    let revision = weir.revision();
    let short = living(&["short.test"], Duration::from_secs(12));
    world.lab.write("short.yaml", &short.secret("short"));
    weir.wait_revision(revision);

    let gateway = "Gateway default/web: spec.listeners";
    let said = |secret: &str, what: &str| format!("Secret default/{secret}: tls.crt {what}");
    let problems = weir.ask("problems").unwrap();
    for (at, secret, what) in [(1, "week", "expires within 7 days"), (2, "short", "expires within a day")] {
        let wanted = format!("{gateway}[{at}].tls.certificateRefs[0]: {}", said(secret, what));
        assert!(problems.contains(&wanted), "{wanted}:\n{problems}");
    }
    let name = |secret: &str| {
        format!("weir_certificate_expiry_timestamp_seconds{{namespace=\"default\",secret=\"{secret}\"}}")
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    let metrics = metrics(&world);
    let left = ["week", "short"].map(|secret| series(&metrics, &name(secret)) - now);
    assert!(left[0] > 2.9 * 86_400.0 && left[0] < 3.0 * 86_400.0, "{left:?}");
    assert!(left[1] < 13.0 && left[1] > -60.0, "{left:?}");

    let revision = weir.revision();
    let expired = said("short", "has expired: clients will refuse it");
    until("the warning", || weir.ask("problems").filter(|problems| problems.contains(&expired)));
    assert_eq!(weir.revision(), revision, "nothing is put in force for it");
    let warnings =
        |what: &str| weir.log().lines().filter(|l| l.contains(" WARN ") && l.contains(what)).count();
    let once = [&expired, &said("short", "expires within a day"), &said("week", "expires within 7 days")];
    until("a line for each", || once.iter().all(|what| warnings(what) > 0).then_some(()));
    assert_eq!(once.map(|what| warnings(what)), [1, 1, 1], "{}", weir.log());
    assert!(shows(&handshake(&world.frontend, "short.test", &[]), "short.test"));
    assert_eq!(get(&world.frontend, "short.test", &authority.certificate, &[]).0, 0, "curl refuses it");
    assert_eq!(get(&world.frontend, "week.test", &authority.certificate, &[]).0, 200);

    world.lab.write("short.yaml", &authority.issue(&["short.test"]).secret("short"));
    world.lab.write("week.yaml", &authority.issue(&["week.test"]).secret("week"));
    until("no problem", || weir.ask("problems").filter(|problems| problems.is_empty()));
    assert_eq!(get(&world.frontend, "short.test", &authority.certificate, &[]).0, 200);
}

/// Keys are in no log at any level, in no flow record, no dump, no answer.
#[test]
fn keys_are_never_shown() {
    needs_lab!("openssl");
    let (world, authority) = world_with(&https("a", ""), &[]);
    let [own, client] = ["a.test", "client.test"].map(|name| authority.issue(&[name]));
    world.lab.write("secret.yaml", &documents(&[own.secret("a"), client.secret("unused")]));
    let weir = Weir::start_with(&world.lab, &["--node", tests::lab::NODE, "--log", "trace"]);
    for version in ["--http1.1", "--http2"] {
        assert_eq!(get(&world.frontend, "a.test", &authority.certificate, &[version]).0, 200);
    }
    handshake(&world.frontend, "a.test", &["-alpn", "nonsense"]);
    weir.wait_flow("a failed handshake", |flow| flow["reason"] == "tls_failed");
    let dump = world.lab.node.run("curl -sS http://127.0.0.1:15200/config").unwrap();
    assert!(dump.contains("a.test") || dump.contains("default/web"), "it is a dump of this:\n{dump}");
    let metrics = metrics(&world);
    let flows: String = weir.flows().iter().map(ToString::to_string).collect();
    let problems = weir.ask("problems").unwrap();
    let places = [
        ("the log", weir.log()),
        ("/config", dump),
        ("/metrics", metrics),
        ("flows", flows),
        ("problems", problems),
    ];
    for (place, said) in places {
        for certificate in [&own, &client] {
            for secret in forms(certificate) {
                assert!(!said.contains(&secret), "{place} shows {secret}");
            }
        }
    }
}

/// The private number of a key as it could be shown: in lines of PEM, in hexadecimal, as a list of
/// bytes.
fn forms(certificate: &Certificate) -> Vec<String> {
    let pem = text(&certificate.key);
    let mut forms: Vec<String> =
        pem.lines().filter(|line| !line.starts_with("---")).map(str::to_owned).collect();
    let der = std::process::Command::new("openssl")
        .args(["pkey", "-outform", "DER", "-in"])
        .arg(&certificate.key)
        .output()
        .unwrap()
        .stdout;
    // In an ECPrivateKey (RFC 5915), wherever openssl has put it: version 1, then an octet string
    // of 32 bytes, the first 16 of which tell it.
    let start = [2, 1, 1, 4, 32];
    let at = der.windows(start.len()).position(|bytes| bytes == start).unwrap() + start.len();
    let number = &der[at..at + 16];
    forms.push(number.iter().map(|byte| format!("{byte:02x}")).collect());
    forms.push(number.iter().map(|byte| format!("{byte:02X}")).collect());
    forms.push(number.iter().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", "));
    forms
}
