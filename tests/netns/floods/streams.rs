//! Streams opened for nothing: reset at once, by errors, in too great a number; and streams that stand
//! still.

use std::thread;
use std::time::Duration;

use tests::client::Client;
use tests::h2::{self, INITIAL_WINDOW_SIZE, data, frame, headers, kind, reset, window_update};

use super::watch::Watch;
use super::{Site, many};

/// The request of the stream with this number.
fn get(number: u32) -> Vec<u8> {
    headers(odd(number), &h2::request("GET", "/"), true)
}

fn odd(number: u32) -> u32 {
    number * 2 + 1
}

/// CVE-2023-44487: requests that are reset at once.
#[test]
fn rapid_reset() {
    needs_lab!();
    let site = Site::start();
    site.ends("http2_resets", |client| {
        client
            .flood(many(5_000, |number| [get(number), reset(odd(number), h2::code::CANCEL)].concat()))
            .unwrap()
    });
    // Next to none of them came to an endpoint.
    let opened = site.metrics().value("weir_upstream_connections_opened_total{protocol=\"http1\"}");
    assert!(opened.is_some_and(|opened| opened < 100.0), "{opened:?} connections to the endpoint");
}

/// CVE-2025-8671: requests that the client's own errors make the proxy reset.
#[test]
fn made_you_reset() {
    needs_lab!();
    type Way = fn(u32) -> Vec<u8>;
    let ways: [(&str, Way); 7] = [
        ("WINDOW_UPDATE of 0", |id| window_update(id, 0)),
        ("WINDOW_UPDATE that overflows", |id| window_update(id, h2::WINDOW_MAX)),
        ("PRIORITY of a wrong size", |id| frame(kind::PRIORITY, 0, id, &[0; 4])),
        ("stream that depends on itself", |id| {
            frame(kind::PRIORITY, 0, id, &[&id.to_be_bytes()[..], &[0]].concat())
        }),
        ("DATA after the end", |id| data(id, b"x", true)),
        ("HEADERS after the end", |id| headers(id, &h2::request("GET", "/"), true)),
        ("a connection-specific field", |id| {
            let fields = [h2::request("GET", "/"), vec![("connection", "close")]].concat();
            headers(id + 2, &fields, true)
        }),
    ];
    let site = Site::start();
    for (name, way) in ways {
        println!("{name}");
        site.ends("http2_resets", |client| {
            let pair = |number| [get(2 * number), way(odd(2 * number))].concat();
            client.flood(many(2_000, pair)).unwrap()
        });
    }
}

/// More streams than may be open are refused one by one; who goes on with that is ended.
#[test]
fn stream_flood() {
    needs_lab!();
    let site = Site::start();
    let held = |number| headers(odd(number), &h2::request("GET", "/hold"), true);
    let mut client = site.offender();
    client.send(many(101, held)).unwrap();
    let refused = client.answer(odd(100)).unwrap();
    assert_eq!(refused.reset, Some(h2::code::REFUSED_STREAM));
    assert!((site.metrics().limit("http2_streams") - 1.0).abs() < 0.5);
    drop(client);
    site.ends("http2_resets", |client| client.flood(many(2_000, held)).unwrap());
    site.world.backend.release();
}

/// CVE-2026-49975 and kin: heads as large as may be, and windows that are never opened, or by a byte
/// now and then (CVE-2019-9511, 9517). What is kept for them is bounded, a route's time-out holds
/// whatever the client opens, and the streams are given back.
#[test]
fn window_stall() {
    needs_lab!();
    let site = Site::start();
    let watch = Watch::start(&site);
    let filler = "v".repeat(8_000);
    let mut fields = h2::request("GET", "/timed/big");
    fields.extend([("x-a", filler.as_str()), ("x-b", &filler), ("x-c", &filler)]);
    let mut clients: Vec<h2::Client> = (0..CONNECTIONS)
        .map(|_| {
            let settings = [(INITIAL_WINDOW_SIZE, 0)];
            let mut client =
                h2::Client::connect_with(&site.world.frontend, Site::address(), &settings).unwrap();
            client.keeps_window();
            client.send(many(STREAMS, |number| headers(odd(number), &fields, true))).unwrap();
            client
        })
        .collect();
    for client in &mut clients {
        let answered = client.wait(|client| (client.so_far(1).status == 200).then_some(()));
        answered.unwrap();
    }
    // A byte for each stream, well within the budget of WINDOW_UPDATE.
    for _ in 0..8 {
        for client in &mut clients {
            client.send(many(STREAMS, |number| window_update(odd(number), 1))).ok();
        }
        thread::sleep(Duration::from_millis(100));
    }
    for client in &mut clients {
        for number in 0..STREAMS {
            let answer = client.answer(odd(number)).unwrap();
            assert!(answer.reset.is_some(), "stream {number}: {} bytes", answer.body.len());
            assert!(answer.body.len() <= 8, "stream {number}: {} bytes", answer.body.len());
        }
    }
    drop(clients);
    watch.conclude_within(WINDOW_STALL_KIB);
}

/// The same of HTTP/1.1: a client that asks for much and reads nothing.
#[test]
fn answers_that_nobody_reads() {
    needs_lab!();
    let site = Site::start();
    let watch = Watch::start(&site);
    let clients: Vec<Client> = (0..60)
        .map(|_| {
            let mut client = site.plain();
            client.send("GET /timed/big HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
            client
        })
        .collect();
    for mut client in clients {
        client.read(1_000).unwrap();
    }
    watch.conclude();
}

const CONNECTIONS: usize = 4;
const STREAMS: u32 = 90;
/// What the buffers of one pod's connections may hold (`buffered`).
const WINDOW_STALL_KIB: u64 = 64 * 1024;
