//! What counts as a move (`stall_bytes`): peers that are slow get on, peers that only pretend to do not.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use tests::backend::BIG;
use tests::client::Client;
use tests::{Act, h2};

use super::{GATEWAY, Site};

/// Between two bytes of one who pretends.
const PAUSE: Duration = Duration::from_millis(50);
/// Far longer than a busy machine keeps one of us from the next piece.
const LIMITS: [&str; 2] = ["stall_timeout=3s", "stall_bytes=1KiB"];

/// A client whose kernel takes little, and has asked for a large answer.
fn narrow(site: &Site) -> Client {
    use rustix::net::{AddressFamily, SocketType, connect, socket, sockopt};
    let stream = site.world.frontend.ns.enter(|| {
        let fd = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        sockopt::set_socket_recv_buffer_size(&fd, 4096).unwrap();
        connect(&fd, &GATEWAY).unwrap();
        TcpStream::from(fd)
    });
    let mut client = Client::new(stream, GATEWAY);
    client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    client
}

/// Sends these pieces one by one until nobody takes them any more; the stream is then as before.
fn trickle(client: &Client, piece: Vec<u8>, pause: Duration) -> thread::JoinHandle<()> {
    let mut stream = client.stream.try_clone().unwrap();
    thread::spawn(move || {
        while stream.write_all(&piece).is_ok() {
            thread::sleep(pause);
        }
    })
}

/// A reader that takes a byte at a time is ended: it would hold its endpoint for days.
#[test]
fn a_reader_of_single_bytes_is_ended() {
    needs_lab!();
    let site = Site::start(&LIMITS);
    let mut client = narrow(&site);
    let mut reader = client.stream.try_clone().unwrap();
    let (stop, stopped) = mpsc::channel::<()>();
    let reading = thread::spawn(move || {
        while stopped.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
            reader.read_exact(&mut [0]).unwrap();
        }
    });
    site.counts("stall_timeout", 1);
    drop(stop);
    reading.join().unwrap();
    let rest = client.rest().unwrap().len();
    assert!(rest < BIG / 2, "{rest} bytes came");
}

/// A slow reader takes so little of what the kernel holds that there is no room for more within the
/// time; but it takes.
#[test]
fn a_slow_reader_gets_all() {
    needs_lab!();
    let site = Site::start(&LIMITS);
    let mut client = narrow(&site);
    let mut slow = client.stream.try_clone().unwrap();
    let mut bytes = Vec::new();
    // 10 KB a second, for three times the limit.
    for _ in 0..90 {
        let mut piece = [0; 1_000];
        slow.read_exact(&mut piece).unwrap();
        bytes.extend_from_slice(&piece);
        thread::sleep(Duration::from_millis(100));
    }
    let head = bytes.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    let mut rest = vec![0; BIG + head - bytes.len()];
    slow.read_exact(&mut rest).unwrap();
    assert!(bytes[head..].iter().chain(&rest).all(|byte| *byte == b'x'));
    site.counts("stall_timeout", 0);
    assert_eq!(client.get("/").unwrap().status, 200);
}

/// In HTTP/2 the reader says how much it takes.
#[test]
fn a_window_that_opens_byte_by_byte_is_ended() {
    needs_lab!();
    let site = Site::start(&LIMITS);
    let windows = [(h2::INITIAL_WINDOW_SIZE, 0)];
    let mut client = h2::Client::connect_with(&site.world.frontend, GATEWAY, &windows).unwrap();
    client.keeps_window();
    let stream = client.next_stream();
    client.send(h2::headers(stream, &h2::request("GET", "/big"), true)).unwrap();
    let mut writer = client.stream.try_clone().unwrap();
    let opening = thread::spawn(move || {
        while writer.write_all(&h2::window_update(stream, 1)).is_ok() {
            thread::sleep(PAUSE);
        }
    });
    let answer = client.answer(stream).unwrap();
    assert!(answer.status == 200 && answer.reset.is_some(), "{answer:?}");
    client.stream.shutdown(std::net::Shutdown::Both).ok();
    opening.join().unwrap();
    site.counts("stall_timeout", 1);
}

/// A body that trickles in is the client's fault, not the endpoint's.
#[test]
fn a_body_of_single_bytes_is_408() {
    needs_lab!();
    let site = Site::annotated(&LIMITS, &[("outlier-consecutive-errors", "1")]);
    let pieces = [("Content-Length: 100000", "x"), ("Transfer-Encoding: chunked", "1\r\nx\r\n")];
    for (framing, piece) in pieces {
        let mut client = site.client();
        client.send(format!("POST /act HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n")).unwrap();
        let trickling = trickle(&client, piece.into(), PAUSE);
        assert_eq!(client.response().unwrap().status, 408, "{framing}");
        client.stream.shutdown(std::net::Shutdown::Both).ok();
        trickling.join().unwrap();
    }
    let mut streams = h2::Client::connect(&site.world.frontend, GATEWAY).unwrap();
    let stream = streams.next_stream();
    streams.send(h2::headers(stream, &h2::request("POST", "/act"), false)).unwrap();
    let mut writer = streams.stream.try_clone().unwrap();
    let trickling = thread::spawn(move || {
        while writer.write_all(&h2::data(stream, b"x", false)).is_ok() {
            thread::sleep(PAUSE);
        }
    });
    assert_eq!(streams.answer(stream).unwrap().status, 408);
    assert_eq!(streams.get("/act").unwrap().status, 200, "others of its connection are served");
    streams.stream.shutdown(std::net::Shutdown::Both).ok();
    trickling.join().unwrap();
    site.counts("stall_timeout", 3);
    site.weir.wait_flow("it", |flow| flow["reason"] == "client_timeout" && flow["http"]["status"] == 408);
    assert_eq!(tests::metrics::value(&site.world.lab, "weir_endpoint_ejections_total"), 0);
}

/// A body that comes slowly, but comes on.
#[test]
fn a_slow_body_arrives() {
    needs_lab!();
    let site = Site::start(&LIMITS);
    let mut client = site.client();
    client.send("POST /act HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    for _ in 0..20 {
        client.send(format!("258\r\n{}\r\n", "x".repeat(600))).unwrap();
        thread::sleep(Duration::from_millis(300));
    }
    client.send("0\r\n\r\n").unwrap();
    assert_eq!(client.response().unwrap().status, 200);
    assert_eq!(site.server.seen()[0].body.len(), 12_000);
    site.counts("stall_timeout", 0);
}

/// The messages of a call come when there are any.
#[test]
fn a_call_of_few_bytes_goes_on() {
    needs_lab!();
    let site = Site::start(&LIMITS);
    let _server = h2::Endpoint::new(&site.world.api.ns, site.world.api.at(82));
    let mut client = h2::Client::connect(&site.world.frontend, GATEWAY).unwrap();
    let stream = client.next_stream();
    let mut fields = h2::request("POST", "/h2/s.S/M");
    fields.extend([("content-type", "application/grpc"), ("te", "trailers")]);
    client.send(h2::headers(stream, &fields, false)).unwrap();
    let message = b"\0\0\0\0\x01x";
    for _ in 0..20 {
        client.send(h2::data(stream, message, false)).unwrap();
        thread::sleep(Duration::from_millis(300));
    }
    client.send(h2::data(stream, message, true)).unwrap();
    assert_eq!(client.answer(stream).unwrap().status, 200);
    site.counts("stall_timeout", 0);
    // One that says nothing at all stands still.
    site.server.does(Act::Hold);
    let quiet = client.next_stream();
    client.send(h2::headers(quiet, &h2::request("GET", "/act"), true)).unwrap();
    assert_eq!(client.answer(quiet).unwrap().status, 504);
}
