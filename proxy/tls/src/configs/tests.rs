use std::sync::Arc;

use model::tls::{AltName, ClientAuth, KeyPair, ServerTls, UpstreamTls};
use rustls::{AlertDescription, Error};

use super::Configs;
use crate::fixture::{Ca, End, exchange, upstream};
use crate::{Alpn, Session};

/// A handshake and a few bytes; the server's end if both are content.
fn meet(
    configs: &Configs,
    server: &Arc<ServerTls>,
    client: (&Arc<UpstreamTls>, Option<&Arc<KeyPair>>),
) -> Result<(End, End), Error> {
    let config = configs.server(server, Alpn::None).unwrap();
    let setup = configs.client(client.0, client.1, Alpn::None).unwrap();
    let mut client = End::new(Session::client(&setup).unwrap());
    let mut server = End::new(Session::server(config).unwrap());
    exchange(&mut client, &mut server, usize::MAX)?;
    client.write(b"bytes")?;
    exchange(&mut client, &mut server, usize::MAX)?;
    assert_eq!(server.read, b"bytes");
    Ok((client, server))
}

fn server(certificates: Vec<Arc<KeyPair>>, client: ClientAuth) -> Arc<ServerTls> {
    Arc::new(ServerTls { certificates, client })
}

#[test]
fn the_certificate_is_chosen_by_name() {
    let (configs, ca) = (Configs::default(), Ca::new("ca"));
    let names: &[&[&str]] =
        &[&["first.example"], &["*.wild.example"], &["exact.wild.example", "Other.example"]];
    let tls = server(names.iter().map(|names| ca.issue(names)).collect(), ClientAuth::None);
    let cases = [
        ("first.example", true),
        ("a.wild.example", true),
        ("exact.wild.example", true),
        ("other.example", true),
        ("a.b.wild.example", false),
        ("wild.example", false),
        ("unknown.example", false),
    ];
    for (name, fits) in cases {
        let met = meet(&configs, &tls, (&Arc::new(upstream(name, &ca)), None));
        assert_eq!(met.is_ok(), fits, "{name}: {:?}", met.err());
    }
    // The first where none fits.
    let mut named = upstream("unknown.example", &ca);
    named.names = vec![AltName::Dns("first.example".into())];
    meet(&configs, &tls, (&Arc::new(named), None)).unwrap();
}

#[test]
fn certificates_of_other_kinds_serve_too() {
    let (configs, ca) = (Configs::default(), Ca::new("ca"));
    let kinds = [&rcgen::PKCS_ED25519, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_RSA_SHA256];
    for kind in kinds {
        let tls = server(vec![ca.issue_with(&["a.example"], kind)], ClientAuth::None);
        meet(&configs, &tls, (&Arc::new(upstream("a.example", &ca)), None)).unwrap();
    }
}

#[test]
fn an_endpoint_is_believed_by_authority_and_name() {
    let (configs, ca, other) = (Configs::default(), Ca::new("ca"), Ca::new("other"));
    let uri = "spiffe://cluster.local/ns/a/sa/b";
    let tls = server(vec![ca.issue(&["a.example", "*.b.example", uri])], ClientAuth::None);
    let dns = |name: &str| AltName::Dns(name.into());
    let id = |name: &str| AltName::Uri(name.into());
    let cases: &[(&str, &Ca, Vec<AltName>, bool)] = &[
        ("a.example", &ca, vec![], true),
        ("c.b.example", &ca, vec![], true),
        ("a.example", &other, vec![], false),
        ("wrong.example", &ca, vec![], false),
        // Names take the place of the hostname.
        ("wrong.example", &ca, vec![dns("a.example")], true),
        ("wrong.example", &ca, vec![dns("c.b.example")], true),
        ("wrong.example", &ca, vec![dns("*.b.example")], true),
        ("wrong.example", &ca, vec![id(uri)], true),
        ("wrong.example", &ca, vec![dns("no.example"), id(uri)], true),
        ("a.example", &ca, vec![dns("no.example")], false),
        ("a.example", &ca, vec![dns("*.example")], false),
        ("a.example", &ca, vec![id("spiffe://cluster.local/ns/a/sa/")], false),
        ("a.example", &ca, vec![id("spiffe://cluster.local/ns/a/sa/bb")], false),
        ("a.example", &ca, vec![id("spiffe://Cluster.local/ns/a/sa/b")], false),
        ("a.example", &ca, vec![dns(uri)], false),
        ("a.example", &ca, vec![id("a.example")], false),
        ("a.example", &other, vec![id(uri)], false),
    ];
    for (hostname, ca, names, good) in cases {
        let wanted = Arc::new(UpstreamTls { names: names.clone(), ..upstream(hostname, ca) });
        let met = meet(&configs, &tls, (&wanted, None));
        assert_eq!(met.is_ok(), *good, "{hostname} {names:?}: {:?}", met.err());
    }
}

#[test]
fn clients_certificates() {
    let (configs, ca, other) = (Configs::default(), Ca::new("ca"), Ca::new("other"));
    let (right, wrong) = (ca.issue(&["client.example"]), other.issue(&["client.example"]));
    let wanted = Arc::new(upstream("a.example", &ca));
    let required = ClientAuth::Required(ca.authorities());
    let alert = |alert| Some(Error::AlertReceived(alert));
    let cases = [
        (ClientAuth::None, None, None),
        (ClientAuth::None, Some(&right), None),
        (required.clone(), Some(&right), None),
        (required.clone(), None, alert(AlertDescription::CertificateRequired)),
        (required, Some(&wrong), alert(AlertDescription::UnknownCA)),
        (ClientAuth::Optional, None, None),
        (ClientAuth::Optional, Some(&right), None),
        (ClientAuth::Optional, Some(&wrong), None),
    ];
    let certificate = ca.issue(&["a.example"]);
    for (client, presented, error) in cases {
        let what = format!("{client:?} {:?}", presented.map(|p| p.chain[0].len()));
        let met = meet(&configs, &server(vec![certificate.clone()], client), (&wanted, presented));
        assert_eq!(met.err(), error, "{what}");
    }
}

#[test]
fn sessions_are_resumed_until_something_changes() {
    let (configs, ca) = (Configs::default(), Ca::new("ca"));
    let (certificate, client) = (ca.issue(&["a.example"]), ca.issue(&["client.example"]));
    let wanted = Arc::new(upstream("a.example", &ca));
    let mut tls = server(vec![certificate.clone()], ClientAuth::Required(ca.authorities()));
    let resumed = |tls: &Arc<ServerTls>| {
        let (_, server) = meet(&configs, tls, (&wanted, Some(&client))).unwrap();
        server.session.is_resumed()
    };
    assert!(!resumed(&tls), "the first one");
    assert!(resumed(&tls), "the second one");
    // Read again, the same.
    tls = Arc::new((*tls).clone());
    assert!(resumed(&tls), "of an equal object");
    // Another authority beside the first.
    let mut both = (*ca.authorities()).clone();
    both.certificates.push(Ca::new("new").der());
    assert!(!resumed(&server(vec![certificate.clone()], ClientAuth::Required(Arc::new(both)))), "another CA");
    assert!(
        !resumed(&server(vec![certificate.clone(), ca.issue(&["b.example"])], tls.client.clone())),
        "a certificate more"
    );
    // A CA that does not know the client: its old session is of no use either.
    let stranger = ClientAuth::Required(Ca::new("stranger").authorities());
    let met = meet(&configs, &server(tls.certificates.clone(), stranger), (&wanted, Some(&client)));
    assert!(met.is_err());
}

#[test]
fn what_nobody_holds_is_forgotten() {
    let (configs, ca) = (Configs::default(), Ca::new("ca"));
    let tls = server(vec![ca.issue(&["a.example"])], ClientAuth::None);
    let wanted = Arc::new(upstream("a.example", &ca));
    configs.server(&tls, Alpn::None).unwrap();
    let first = configs.client(&wanted, None, Alpn::None).unwrap().identity;
    configs.prune();
    assert_eq!(configs.client(&wanted, None, Alpn::None).unwrap().identity, first);
    assert_ne!(configs.client(&wanted, None, Alpn::Http2).unwrap().identity, first, "other protocols");
    let certificate = ca.issue(&["client.example"]);
    let other = configs.client(&wanted, Some(&certificate), Alpn::None).unwrap().identity;
    assert_ne!(other, first, "another certificate");
    drop((tls, certificate));
    configs.prune();
    let inner = configs.inner();
    assert_eq!((inner.servers.len(), inner.clients.len()), (0, 2));
}

#[test]
fn errors_name_the_object_and_no_key() {
    let (configs, ca) = (Configs::default(), Ca::new("ca"));
    let mut pair = (*ca.issue(&["a.example"])).clone();
    pair.key = ca.issue(&["b.example"]).key.clone();
    let error = configs.server(&server(vec![Arc::new(pair)], ClientAuth::None), Alpn::None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Secret default/pair: tls.key: is not the key of the first certificate in tls.crt"
    );
    let bad = UpstreamTls { hostname: "not a name".into(), ..upstream("a", &ca) };
    let error = configs.client(&Arc::new(bad), None, Alpn::None).unwrap_err().to_string();
    assert!(error.starts_with("BackendTLSPolicy default/policy: validation.hostname: "), "{error}");
}
