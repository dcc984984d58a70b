use serde_json::{Value, json};

use super::*;
use crate::tests::{World, pem};

fn credentials() -> Credentials {
    Credentials::new(&Options::default())
}

#[test]
fn key_pairs() {
    let (one, two) = (pem("CERTIFICATE", "one"), pem("CERTIFICATE", "two"));
    let private = pem("PRIVATE KEY", "secret key");
    let cases: [(Value, Result<usize, &str>); 11] = [
        (json!({"tls.crt": one, "tls.key": private}), Ok(1)),
        (json!({"tls.crt": format!("{one}{two}"), "tls.key": private}), Ok(2)),
        // Text around the blocks, and blocks of other kinds, do not count.
        (json!({"tls.crt": format!("subject=x\n{one}{private}"), "tls.key": format!("\n{private}")}), Ok(1)),
        (json!({"tls.crt": one, "tls.key": pem("EC PRIVATE KEY", "secret key")}), Ok(1)),
        (json!({"tls.crt": one, "tls.key": pem("RSA PRIVATE KEY", "secret key")}), Ok(1)),
        (json!({"tls.key": private}), Err("Secret ns/s: it has no tls.crt")),
        (json!({"tls.crt": one}), Err("Secret ns/s: it has no tls.key")),
        (
            json!({"tls.crt": private, "tls.key": private}),
            Err("Secret ns/s: its tls.crt holds no certificate in PEM"),
        ),
        (
            json!({"tls.crt": one, "tls.key": one}),
            Err("Secret ns/s: its tls.key is not a private key in PEM"),
        ),
        (json!({"tls.crt": one, "tls.key": pem("ENCRYPTED PRIVATE KEY", "x")}), Err(ENCRYPTED)),
        (
            json!({"tls.crt": one, "tls.key": "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
                DEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"}),
            Err(ENCRYPTED),
        ),
    ];
    for (data, want) in cases {
        let mut world = World::new();
        world.apply("Secret", "ns/s", json!({ "stringData": data }));
        let key = ObjectKey::new(Kind::Secret, "ns", "s");
        let got = credentials().key_pair(&world.store, &key);
        assert!(!format!("{got:?}").contains("secret key"), "a key is shown");
        match (got, want) {
            (Ok(pair), Ok(count)) => {
                assert_eq!((pair.chain.len(), &pair.chain[0][..]), (count, &b"one"[..]), "{data}");
                assert_eq!(pair.key, b"secret key");
                assert_eq!(pair.source.to_string(), "Secret ns/s");
            }
            (got, want) => assert_eq!(got.map(|_| 0), want.map_err(str::to_owned), "{data}"),
        }
    }
}

#[test]
fn a_bundle_cut_short_is_refused_whole() {
    let mut world = World::new();
    let whole = pem("CERTIFICATE", "one");
    let cut = &pem("CERTIFICATE", "two")[..40];
    world.apply("ConfigMap", "ns/m", json!({"data": {"ca.crt": format!("{whole}{cut}")}}));
    let key = ObjectKey::new(Kind::ConfigMap, "ns", "m");
    let got = credentials().authorities(&world.store, &key);
    assert_eq!(got, Err("ConfigMap ns/m: its ca.crt is not in PEM".to_owned()));
}

#[test]
fn what_did_not_change_is_read_once() {
    let mut world = World::new();
    let map = |name: &str| json!({"data": {"ca.crt": pem("CERTIFICATE", name)}});
    world.apply("ConfigMap", "ns/a", map("a")).apply("ConfigMap", "ns/b", map("b"));
    let mut credentials = credentials();
    let mut read = |world: &World, name: &str| {
        credentials.sweep(&world.store);
        credentials.authorities(&world.store, &ObjectKey::new(Kind::ConfigMap, "ns", name)).unwrap()
    };
    let (a, b) = (read(&world, "a"), read(&world, "b"));
    world.apply("ConfigMap", "ns/b", map("new"));
    assert!(Arc::ptr_eq(&a, &read(&world, "a")));
    assert_ne!(b, read(&world, "b"));
}

const ENCRYPTED: &str =
    "Secret ns/s: its tls.key is encrypted: Weir has no passphrase, give it the key in the clear";
