//! Slowloris: heads and bodies that never come to their end, connections that do nothing.

use std::io::Write;
use std::thread;
use std::time::Duration;

use tests::client::Client;
use tests::h2::{self, block, data, flag, frame, headers, kind};

use super::Site;
use super::watch::Watch;

/// A head has its time from its first byte wanted, however it trickles in. What was asked is not
/// known: whoever said anything gets 408, nothing at all a close.
#[test]
fn slow_heads() {
    needs_lab!();
    let site = Site::start();
    let watch = Watch::start(&site);
    let head = "GET / HTTP/1.1\r\nHost: a.test\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy";
    let table: [(&str, &str, &str); 5] = [
        ("nothing", "", ""),
        ("a part of a method", "GE", "HTTP/1.1 408"),
        ("a part of HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nS", "HTTP/1.1 408"),
        ("a head without its last line", "GET / HTTP/1.1\r\nHost: a.test\r\n", "HTTP/1.1 408"),
        ("byte by byte", head, "HTTP/1.1 408"),
    ];
    let mut clients: Vec<Client> = table.iter().map(|_| site.plain()).collect();
    let trickling = clients[4].stream.try_clone().unwrap();
    let trickle = thread::spawn(move || {
        // Longer than any head may take, at this pace.
        for byte in head.bytes() {
            if (&trickling).write_all(&[byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(300));
        }
        panic!("the whole head was taken");
    });
    for (client, (_, bytes, _)) in clients.iter_mut().zip(table).take(4) {
        client.send(bytes).unwrap();
    }
    for (mut client, (what, _, expected)) in clients.into_iter().zip(table) {
        let said = String::from_utf8_lossy(&client.rest().unwrap()).into_owned();
        assert!(said.starts_with(expected) && (said.is_empty() == expected.is_empty()), "{what}: {said:?}");
        // What comes now is answered with a reset.
        client.stream.shutdown(std::net::Shutdown::Both).ok();
    }
    trickle.join().unwrap();
    assert!((site.metrics().limit("head_timeout") - 5.0).abs() < 0.5);
    watch.conclude();
}

/// A body that trickles in keeps its request no longer than the route allows, in either version.
#[test]
fn slow_bodies() {
    needs_lab!();
    let site = Site::start();
    let watch = Watch::start(&site);
    let mut plain = site.plain();
    plain.send("POST /timed/upload HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000\r\n\r\n").unwrap();
    let mut h2 = site.offender();
    let stream = h2.next_stream();
    h2.send(headers(stream, &h2::request("POST", "/timed/upload"), false)).unwrap();
    let (mut one, mut other) = (plain.stream.try_clone().unwrap(), h2.stream.try_clone().unwrap());
    let trickle = thread::spawn(move || {
        for _ in 0..100 {
            let sent = one.write_all(b"x").is_ok();
            if !(sent | other.write_all(&data(stream, b"x", false)).is_ok()) {
                break;
            }
            thread::sleep(Duration::from_millis(100));
        }
    });
    assert_eq!(plain.response().unwrap().status, 504);
    assert_eq!(plain.rest().unwrap(), b"", "where the next request would begin is not known");
    assert_eq!(h2.answer(stream).unwrap().status, 504);
    assert_eq!(h2.get("/").unwrap().status, 200, "in HTTP/2 it is");
    for stream in [&plain.stream, &h2.stream] {
        stream.shutdown(std::net::Shutdown::Both).ok();
    }
    trickle.join().unwrap();
    assert_eq!(site.metrics().value("weir_route_request_timeouts_total"), Some(2.0));
    watch.conclude();
    let seen = site.world.backend.seen();
    assert!(seen.iter().all(|seen| seen.method != "POST" || seen.body.len() < 1_000), "none was whole");
}

/// A connection that asks for nothing is ended, whatever else it says: PINGs, or a header block that is
/// never finished.
#[test]
fn idle_connections() {
    needs_lab!();
    let site = Site::start();
    let watch = Watch::start(&site);
    let mut silent = site.offender();
    let mut unfinished = site.offender();
    unfinished.send(frame(kind::HEADERS, flag::END_STREAM, 1, &block(&h2::request("GET", "/")))).unwrap();
    let mut chatty = site.offender();
    let mut writer = chatty.stream.try_clone().unwrap();
    let chat = thread::spawn(move || {
        while writer.write_all(&frame(kind::PING, 0, 0, &[0; 8])).is_ok() {
            thread::sleep(Duration::from_secs(1));
        }
    });
    let mut plain = site.plain();
    assert_eq!(plain.get("/").unwrap().status, 200);
    // In the middle of a header block, our answer to the PING that comes before the end is an error.
    let table = [
        (&mut silent, h2::code::NO_ERROR),
        (&mut unfinished, h2::code::PROTOCOL_ERROR),
        (&mut chatty, h2::code::NO_ERROR),
    ];
    // At once: each PING is to be answered before its connection is given up.
    thread::scope(|scope| {
        for (number, (client, code)) in table.into_iter().enumerate() {
            scope.spawn(move || {
                client.stream.set_read_timeout(Some(IDLE)).unwrap();
                assert_eq!(client.end().unwrap(), Some(code), "connection {number}");
                client.stream.shutdown(std::net::Shutdown::Both).ok();
            });
        }
        assert_eq!(plain.stream.set_read_timeout(Some(IDLE)).and_then(|()| plain.rest()).unwrap(), b"");
    });
    chat.join().unwrap();
    assert!((site.metrics().limit("idle_timeout") - 4.0).abs() < 0.5);
    watch.conclude();
}

/// Twice what an idle connection is kept for.
const IDLE: Duration = Duration::from_secs(120);
