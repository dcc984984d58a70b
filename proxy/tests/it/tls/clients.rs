//! What clients show, and what they come back with.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use model::tls::ClientAuth;

use super::fixture::{Ca, Client, https, listen, world};
use crate::backend::Backend;
use crate::client::until;
use crate::world::Plan;

#[test]
fn certificates_of_clients() {
    let (ca, other) = (Ca::new(), Ca::new());
    let (right, wrong) = (ca.issue(&["client.example"]), other.issue(&["client.example"]));
    let required = ClientAuth::Required(ca.authorities());
    let cases = [
        (required.clone(), None, false),
        (required.clone(), Some(&wrong), false),
        (required, Some(&right), true),
        (ClientAuth::Optional, None, true),
        (ClientAuth::Optional, Some(&wrong), true),
        (ClientAuth::None, Some(&wrong), true),
    ];
    let plan = Plan::new(&[Backend::echo("b").address]);
    for (client, certificate, good) in cases {
        let what = format!("{:?} {}", std::mem::discriminant(&client), certificate.is_some());
        let world = world(&plan, vec![https("", &ca.server_for(&["a.example"], client), 0)]);
        let config = ca.client_with(certificate.map(|pair| &**pair), &[]);
        let asked = Client::ask(world.gateway, &config, "a.example");
        assert_eq!(asked.is_ok(), good, "{what}: {asked:?}");
        // A client may hear of it first.
        until("counted", || world.proxy().stats().tls_failed == u64::from(!good));
    }
}

#[test]
fn sessions_are_resumed_until_authorities_change() {
    let (ca, other) = (Ca::new(), Ca::new());
    let plan = Plan::new(&[Backend::echo("b").address]);
    let tls = ca.server_for(&["a.example"], ClientAuth::Required(ca.authorities()));
    let mut world = world(&plan, vec![https("", &tls, 0)]);
    let config = ca.client_with(Some(&ca.issue(&["client.example"])), &[]);
    let gateway = world.gateway;
    let resumed = || {
        let mut client = Client::connect(gateway, &config, "a.example").unwrap();
        client.get("a.example", "/");
        client.is_resumed()
    };
    assert_eq!([resumed(), resumed()], [false, true]);
    // The objects are read again: nothing has changed.
    let same = Arc::new((*tls).clone());
    world.publish_changed(&plan, |snapshot| listen(snapshot, vec![https("", &same, 0)]));
    assert!(resumed(), "a new Snapshot of the same");
    assert_eq!(world.proxy().stats().tls_resumed, 2);

    let mut live = Client::connect(gateway, &config, "a.example").unwrap();
    assert_eq!(live.get("a.example", "/").status(), 200);
    let stranger = Arc::new(model::tls::ServerTls {
        client: ClientAuth::Required(other.authorities()),
        certificates: tls.certificates.clone(),
    });
    world.publish_changed(&plan, |snapshot| listen(snapshot, vec![https("", &stranger, 0)]));
    assert!(Client::ask(gateway, &config, "a.example").is_err(), "its session is of no use");
    assert_eq!(live.get("a.example", "/").status(), 421, "a live connection has shown too little");
}

#[test]
fn a_renewed_certificate_disturbs_nobody() {
    let ca = Ca::new();
    let plan = Plan::new(&[Backend::echo("b").address]);
    let old = ca.server(&["a.example"]);
    let mut world = world(&plan, vec![https("", &old, 0)]);
    let gateway = world.gateway;
    let mut live = Client::connect(gateway, &ca.client(), "a.example").unwrap();
    assert_eq!(live.get("a.example", "/").status(), 200);

    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (config, stop, done) = (ca.client(), stop.clone(), done.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    let mut client = Client::connect(gateway, &config, "a.example").unwrap();
                    for _ in 0..3 {
                        assert_eq!(client.get("a.example", "/").status(), 200);
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                }
            })
        })
        .collect();
    let mut new = old.clone();
    for round in 1..6 {
        new = ca.server(&["a.example"]);
        let tls = new.clone();
        world.publish_changed(&plan, |snapshot| listen(snapshot, vec![https("", &tls, 0)]));
        until("more requests", || done.load(Ordering::SeqCst) > round * 30);
    }
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(live.get("a.example", "/").status(), 200, "the old connection lives");
    assert_eq!(live.leaf(), old.certificates[0].chain[0]);
    let fresh = Client::connect(gateway, &ca.client(), "a.example").unwrap();
    assert_eq!(fresh.leaf(), new.certificates[0].chain[0]);
}

#[test]
fn tls_12_is_spoken_too() {
    let ca = Ca::new();
    let plan = Plan::new(&[Backend::echo("b").address]);
    let world = world(&plan, vec![https("", &ca.server(&["a.example"]), 0)]);
    let config = ca.old_client();
    for resumed in [false, true, true] {
        let mut client = Client::connect(world.gateway, &config, "a.example").unwrap();
        assert_eq!(client.tls.conn.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_2));
        assert_eq!(client.is_resumed(), resumed);
        assert_eq!(client.get("a.example", "/").status(), 200);
        assert_eq!(client.get("a.example", "/").status(), 200);
    }
}

#[test]
fn the_end_is_said_to_clients_that_have_ended() {
    let ca = Ca::new();
    let plan = Plan::new(&[Backend::once("HTTP/1.1 200 OK\r\n\r\nuntil the close").address]);
    let world = world(&plan, vec![https("", &ca.server(&["a.example"]), 0)]);
    for config in [ca.client(), ca.old_client()] {
        for ends_first in [false, true] {
            let mut client = Client::connect(world.gateway, &config, "a.example").unwrap();
            client.tls.write_all(b"GET / HTTP/1.0\r\nHost: a.example\r\n\r\n").unwrap();
            if ends_first {
                client.close();
            }
            let answer = String::from_utf8(client.rest().unwrap()).unwrap();
            assert!(answer.ends_with("until the close"), "{ends_first}: {answer}");
        }
    }
}
