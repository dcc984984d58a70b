use crate::fixture::{Ca, object};
use crate::{check, check_authorities, lapsed};
use model::tls::KeyPair;
use std::time::{Duration, SystemTime};

#[test]
fn pairs() {
    let ca = Ca::new("ca");
    let (good, other) = (ca.issue(&["a.example"]), ca.issue(&["b.example"]));
    let with = |chain: Vec<Vec<u8>>, key: &[u8]| {
        check(&KeyPair { source: object("Secret", "s"), chain, key: key.to_vec() })
    };
    let leaf = || good.chain[0].clone();
    assert_eq!(with(vec![leaf()], &good.key), Ok(()));
    assert_eq!(with(vec![leaf(), ca.der()], &good.key), Ok(()));
    let cases = [
        (with(vec![], &good.key), "tls.crt holds no certificate"),
        (with(vec![b"junk".to_vec()], &good.key), "tls.crt: certificate 0"),
        (with(vec![leaf(), b"junk".to_vec()], &good.key), "tls.crt: certificate 1"),
        (with(vec![leaf()], b""), "tls.key"),
        (with(vec![leaf()], b"junk"), "tls.key"),
        (with(vec![leaf()], &other.key), "tls.key: is not the key of the first certificate"),
        (with(vec![ca.der(), leaf()], &good.key), "tls.key: is not the key of the first certificate"),
    ];
    for (found, wanted) in cases {
        let error = found.unwrap_err();
        assert!(error.starts_with(&format!("Secret default/s: {wanted}")), "{error}");
    }
}

#[test]
fn times() {
    let pair = Ca::new("ca").issue(&["a.example"]);
    let after = |seconds: u64| lapsed(&pair, SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    // They are made for the years from 1975 to 4096.
    let cases = [
        (0, Some("Secret default/pair: tls.crt is not valid yet")),
        (1_800_000_000, None),
        (100_000_000_000, Some("Secret default/pair: tls.crt has expired")),
    ];
    for (seconds, said) in cases {
        assert_eq!(after(seconds).as_deref(), said, "{seconds}");
    }
    let empty = KeyPair { source: object("Secret", "s"), chain: vec![], key: vec![] };
    assert_eq!(lapsed(&empty, SystemTime::UNIX_EPOCH), None);
}

#[test]
fn authorities() {
    let ca = Ca::new("ca").der();
    assert_eq!(check_authorities(std::slice::from_ref(&ca)), Ok(()));
    assert_eq!(check_authorities(&[]), Err("no authority".to_owned()));
    let error = check_authorities(&[ca, b"junk".to_vec()]).unwrap_err();
    assert!(error.starts_with("authority 1: "), "{error}");
}
