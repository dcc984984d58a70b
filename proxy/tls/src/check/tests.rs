use crate::fixture::{Ca, object};
use crate::{check, check_authorities};
use model::tls::KeyPair;

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
        (with(vec![leaf()], TINY_RSA), "tls.key: is no key that can be used: an RSA key of 2048 to"),
        (with(vec![leaf()], &other.key), "tls.key: is not the key of the first certificate"),
        (with(vec![ca.der(), leaf()], &good.key), "tls.key: is not the key of the first certificate"),
    ];
    for (found, wanted) in cases {
        let error = found.unwrap_err();
        assert!(error.starts_with(&format!("Secret default/s: {wanted}")), "{error}");
    }
}

#[test]
fn authorities() {
    let ca = Ca::new("ca").der();
    assert_eq!(check_authorities(std::slice::from_ref(&ca)), Ok(()));
    assert_eq!(check_authorities(&[]), Err("no authority".to_owned()));
    let error = check_authorities(&[ca, b"junk".to_vec()]).unwrap_err();
    assert!(error.starts_with("authority 1: "), "{error}");
}

/// An RSA private key (PKCS #1) whose numbers are all 3, far too short to be used.
const TINY_RSA: &[u8] =
    &[0x30, 27, 2, 1, 0, 2, 1, 3, 2, 1, 3, 2, 1, 3, 2, 1, 3, 2, 1, 3, 2, 1, 3, 2, 1, 3, 2, 1, 3];
