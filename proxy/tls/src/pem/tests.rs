use super::{certificates, private_key};

#[test]
fn texts() {
    let key = rcgen::KeyPair::generate().unwrap();
    let one = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    let both = format!("a comment\n{}{}{}", one.pem(), key.serialize_pem(), one.pem());
    assert_eq!(certificates(both.as_bytes()), Ok(vec![one.der().to_vec(); 2]));
    assert_eq!(private_key(both.as_bytes()), Ok(key.serialize_der()));
    assert_eq!(certificates(key.serialize_pem().as_bytes()), Err("no certificate".to_owned()));
    assert_eq!(private_key(one.pem().as_bytes()), Err("no private key".to_owned()));
    assert!(certificates(b"-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n").is_err());
    assert!(certificates(b"").is_err());
}
