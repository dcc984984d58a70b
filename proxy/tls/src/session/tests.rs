use std::sync::Arc;

use model::tls::{ClientAuth, ServerTls};

use super::{Session, Step};
use crate::fixture::{Ca, End, exchange, upstream};
use crate::{Alpn, Configs};

fn pair(configs: &Configs, ca: &Ca) -> (End, End) {
    let tls = ServerTls { certificates: vec![ca.issue(&["a.example"])], client: ClientAuth::None };
    let config = configs.server(&Arc::new(tls), Alpn::Http).unwrap();
    let setup = configs.client(&Arc::new(upstream("a.example", ca)), None, Alpn::Http1).unwrap();
    (End::new(Session::client(&setup).unwrap()), End::new(Session::server(config).unwrap()))
}

#[test]
fn bytes_and_ends_pass_in_pieces_of_any_size() {
    let (configs, ca) = (Configs::default(), Ca::new("ca"));
    for piece in [1, 7, 1000, usize::MAX] {
        let (mut client, mut server) = pair(&configs, &ca);
        assert!(client.session.is_handshaking());
        exchange(&mut client, &mut server, piece).unwrap();
        assert!(!client.session.is_handshaking() && !server.session.is_handshaking(), "{piece}");
        assert_eq!(client.session.protocol(), Some(&b"http/1.1"[..]));
        assert_eq!(server.session.protocol(), Some(&b"http/1.1"[..]));

        let sent: Vec<u8> = (0..100_000u32).map(|n| n.to_le_bytes()[0]).collect();
        assert_eq!(client.write(&sent), Ok(Step::Written));
        assert_eq!(server.write(b"hello"), Ok(Step::Written));
        exchange(&mut client, &mut server, piece).unwrap();
        assert_eq!((&server.read, &client.read[..]), (&sent, &b"hello"[..]), "{piece}");

        // Each direction ends by itself.
        assert_eq!(client.close(), Ok(Step::Written));
        exchange(&mut client, &mut server, piece).unwrap();
        assert!(server.session.peer_closed() && !client.session.peer_closed());
        assert_eq!(server.write(b" still"), Ok(Step::Written));
        assert_eq!(server.close(), Ok(Step::Written));
        exchange(&mut client, &mut server, piece).unwrap();
        assert_eq!(client.read, b"hello still");
        assert!(client.session.peer_closed());
    }
}

#[test]
fn what_arrived_before_a_write_is_not_lost() {
    let (configs, ca) = (Configs::default(), Ca::new("ca"));
    let (mut client, mut server) = pair(&configs, &ca);
    exchange(&mut client, &mut server, usize::MAX).unwrap();
    for _ in 0..3 {
        client.write(b"record").unwrap();
    }
    server.arrived.extend(client.out.take());
    let half = server.arrived.split_off(server.arrived.len() - 3);
    assert_eq!(server.write(b"answer"), Ok(Step::Written));
    assert_eq!(server.read, b"recordrecord");
    server.arrived.extend(half);
    assert_eq!(server.read(), Ok(Step::Wait));
    assert_eq!(server.read, b"recordrecordrecord");
}

#[test]
fn what_is_forged_is_an_error_with_an_alert() {
    let (configs, ca) = (Configs::default(), Ca::new("ca"));
    let (mut client, mut server) = pair(&configs, &ca);
    exchange(&mut client, &mut server, usize::MAX).unwrap();
    client.write(b"record").unwrap();
    let mut bytes = client.out.take();
    *bytes.last_mut().unwrap() ^= 1;
    server.arrived.extend(bytes);
    assert_eq!(server.read(), Err(rustls::Error::DecryptError));
    assert_eq!(server.read(), Err(rustls::Error::DecryptError), "and stays one");
    assert_eq!(server.write(b"more"), Err(rustls::Error::DecryptError));
    client.arrived.extend(server.out.take());
    let alert = rustls::Error::AlertReceived(rustls::AlertDescription::BadRecordMac);
    assert_eq!(client.read(), Err(alert));
    assert_eq!(server.read, b"");
}
