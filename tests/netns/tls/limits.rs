//! What a client of a TLS port may not do.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use tests::lab::NODE_V4;
use tests::{Authority, Weir, until};

use super::{PATIENCE, PORT, get, held, https, metrics, series, world_with};
use crate::world::World;

fn world() -> (World, Authority) {
    let (world, authority) = world_with(&https("a", "hostname: a.test, "), &[]);
    world.lab.write("secret.yaml", &authority.issue(&["a.test"]).secret("a"));
    (world, authority)
}

fn connect(world: &World) -> TcpStream {
    let stream = world.frontend.connect((NODE_V4, PORT).into()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// What comes until the other side closes.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("it is not closed: {error}"),
        _ => bytes,
    }
}

/// Waits until a series has reached this.
fn wait_series(world: &World, name: &str, at_least: f64) {
    until(&format!("{name} to be {at_least}"), || {
        let metrics = metrics(world);
        (series(&metrics, name) + 0.5 > at_least).then_some(())
    });
}

/// A whole first message, as openssl sends it to a server that takes it down.
fn hello(world: &World) -> Vec<u8> {
    let listener = world.frontend.ns.listen(([127, 0, 0, 1], 0).into());
    let target = listener.local_addr().unwrap().to_string();
    let arguments = ["s_client", "-connect", &target, "-servername", "a.test"];
    let _client = tests::Peer::spawn(&world.frontend.ns, "openssl", &arguments);
    let (mut stream, _) = listener.accept().unwrap();
    let mut header = [0; 5];
    stream.read_exact(&mut header).unwrap();
    let mut body = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
    stream.read_exact(&mut body).unwrap();
    [&header[..], &body].concat()
}

/// From its accept on a client has a fixed time, whatever it has said, also if it goes on saying a
/// little.
#[test]
fn a_slow_handshake_is_ended() {
    needs_lab!("openssl");
    let (world, authority) = world();
    let weir = Weir::start(&world.lab);
    let hello = hello(&world);
    let sent = [&b""[..], &hello[..3], &hello[..hello.len() - 1], &hello];
    let mut slow: Vec<TcpStream> = sent.iter().map(|_| connect(&world)).collect();
    for (stream, bytes) in slow.iter_mut().zip(sent) {
        stream.write_all(bytes).unwrap();
    }
    // Others are served meanwhile.
    assert_eq!(get(&world.frontend, "a.test", &authority.certificate, &[]).0, 200);
    for (at, stream) in slow.iter_mut().enumerate() {
        let answer = rest(stream);
        // The last has had the server's part of the handshake.
        assert_eq!(answer.is_empty(), at < 3, "{at}: {answer:?}");
    }
    wait_series(&world, r#"weir_limit_hits_total{limit="handshake_timeout"}"#, 4.0);
    weir.wait_flow("a slow client", |flow| flow["reason"] == "client_timeout");
}

#[test]
fn first_messages_that_are_too_long_or_none() {
    needs_lab!("openssl");
    let (world, authority) = world();
    let weir = Weir::start(&world.lab);
    let hello = hello(&world);
    // A message that says it is 64 KiB long, in records of 16 KiB.
    let mut long = vec![22, 3, 1, 0x40, 0, 1, 1, 0, 0];
    long.resize(5 + 0x4000, 0);
    let record_too_long = [&[22, 3, 1, 0x48, 1, 1, 0, 0x48, 0][..], &[0; 300]].concat();
    let cases = [
        ("a message of 64 KiB", long.repeat(5)),
        ("a record that is too long", record_too_long),
        ("an alert", vec![21, 3, 1, 0, 2, 1, 0]),
        ("data", vec![23, 3, 3, 0, 4, 1, 2, 3, 4]),
        ("an empty record", [&[22, 3, 1, 0, 0].repeat(100)[..], &hello].concat()),
        ("a server's hello", [&[22, 3, 3, 0, 6, 2, 0, 0, 2][..], &[3, 3]].concat()),
    ];
    for (what, bytes) in cases {
        let mut stream = connect(&world);
        // It may be closed before all of it is written.
        stream.write_all(&bytes).ok();
        assert_eq!(rest(&mut stream), b"", "{what}");
    }
    weir.wait_flow("what is no TLS", |flow| flow["reason"] == "tls_failed");
    wait_series(&world, "weir_tls_failed_total", 6.0);
    assert_eq!(get(&world.frontend, "a.test", &authority.certificate, &[]).0, 200);
}

/// A handshake on a connection that is there is not begun again: the client is told so, and the
/// connection serves on or ends.
#[test]
fn renegotiation_is_refused() {
    needs_lab!("openssl");
    let (world, authority) = world();
    let _weir = Weir::start(&world.lab);
    let target = format!("{NODE_V4}:{PORT}");
    let arguments = ["s_client", "-crlf", "-tls1_2", "-connect", &target, "-servername", "a.test"];
    let mut client = tests::Peer::spawn(&world.frontend.ns, "openssl", &arguments);
    client.wait_text("Verify return code");
    client.write(b"R\n");
    client.wait_text("RENEGOTIATING");
    client.wait_text("no renegotiation");
    let handshakes = client.text().matches("Certificate chain").count();
    assert_eq!(handshakes, 1, "{}", client.text());
    assert_eq!(get(&world.frontend, "a.test", &authority.certificate, &[]).0, 200);
}

/// New keys within a connection (TLS 1.3) are no new handshake.
#[test]
fn keys_are_updated_when_asked() {
    needs_lab!("openssl");
    let (world, _) = world();
    let _weir = Weir::start(&world.lab);
    let target = format!("{NODE_V4}:{PORT}");
    let arguments = ["s_client", "-crlf", "-tls1_3", "-connect", &target, "-servername", "a.test"];
    let mut client = tests::Peer::spawn(&world.frontend.ns, "openssl", &arguments);
    client.wait_text("Verify return code");
    for (count, command) in [(1, b"K\n"), (2, b"k\n")] {
        client.write(command);
        until("the keys to be new", || (client.text().matches("KEYUPDATE").count() == count).then_some(()));
    }
    client.write(b"GET / HTTP/1.1\nHost: a.test\n\n");
    client.wait_text("HTTP/1.1 200");
}

/// A body that ends with the connection and not with TLS is not forwarded as whole, and one that
/// says how long it is neither.
#[test]
fn a_request_that_is_cut_off_is_not_whole() {
    needs_lab!("openssl");
    let (world, _) = world();
    let weir = Weir::start(&world.lab);
    for (before, framing) in ["Content-Length: 100", "Transfer-Encoding: chunked"].into_iter().enumerate() {
        let mut client = held(&world.frontend, "a.test", &[]);
        let part = if framing.starts_with("C") { "part" } else { "4\npart" };
        client.write(format!("POST /cut HTTP/1.1\nHost: a.test\n{framing}\n\n{part}\n").as_bytes());
        until("the endpoint to be asked", || (world.backend.connections() > before).then_some(()));
        // It is killed: the kernel closes the connection, nobody the TLS in it.
        drop(client);
        let is_its =
            |flow: &&serde_json::Value| flow["reason"] == "client_gone" && flow["http"]["path"] == "/cut";
        until("the end of the client", || {
            (weir.flows().iter().filter(is_its).count() > before).then_some(())
        });
    }
    // The endpoint saw at most a part.
    let is_whole =
        |seen: &tests::backend::Seen| seen.header("content-length").is_none() || seen.body.len() == 100;
    assert!(!world.backend.seen().iter().any(is_whole), "{:?}", world.backend.seen());
}

/// A client that is not told of the end by TLS could not tell it from a cut.
#[test]
fn the_end_is_said_by_tls() {
    needs_lab!("openssl");
    let (world, _) = world();
    let _weir = Weir::start(&world.lab);
    let target = format!("{NODE_V4}:{PORT}");
    for version in ["-tls1_2", "-tls1_3"] {
        let arguments =
            ["s_client", "-crlf", "-ign_eof", version, "-connect", &target, "-servername", "a.test"];
        let request = b"GET /close HTTP/1.1\nHost: a.test\nConnection: close\n\n";
        let text = tests::peer::run(&world.frontend.ns, "openssl", &arguments, request, PATIENCE).text;
        // openssl says `closed` at a close_notify, and complains of an end without one.
        assert!(text.contains("HTTP/1.1 200") && text.lines().any(|line| line == "closed"), "{text}");
        assert!(!text.contains("unexpected eof"), "{text}");
    }
}

/// Garbage in place of records ends a connection with an alert, before and after the handshake.
#[test]
fn records_that_are_no_records() {
    needs_lab!("openssl");
    let (world, authority) = world();
    let weir = Weir::start(&world.lab);
    let hello = hello(&world);
    let too_long = [&[23, 3, 3, 0x48, 0x01][..], &[0; 0x4801]].concat();
    let cases = [
        ("nonsense", b"nonsense nonsense".to_vec()),
        ("a record that is too long", too_long),
        ("data without a key", [&[23, 3, 3, 0, 32][..], &[0; 32]].concat()),
        ("another first message", hello.clone()),
    ];
    for (what, bytes) in cases {
        let mut stream = connect(&world);
        stream.write_all(&hello).unwrap();
        let mut first = [0; 5];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(first[0], 22, "{what}: the server's hello");
        stream.write_all(&bytes).ok();
        rest(&mut stream);
    }
    let failed = |flow: &serde_json::Value| flow["reason"] == "tls_failed";
    until("four to be recorded", || {
        (weir.flows().iter().filter(|flow| failed(flow)).count() == 4).then_some(())
    });
    assert_eq!(get(&world.frontend, "a.test", &authority.certificate, &[]).0, 200);
}
