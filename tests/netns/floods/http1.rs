//! The same in HTTP/1.1: heads, chunks and trailers without end, and requests whose answers nobody reads.

use super::watch::Watch;
use super::{Site, many};

/// Heads beyond the limits: the status that says so, a close, and a count.
#[test]
fn heads_without_end() {
    needs_lab!();
    let site = Site::start();
    let watch = Watch::start(&site);
    let get = "GET / HTTP/1.1\r\nHost: a.test\r\n";
    let table = [
        ("one value", [get.as_bytes(), b"X: ", &[b'x'; 2_000_000]].concat(), 431),
        ("many fields", [get.as_bytes(), &many(50_000, |_| b"X: y\r\n".to_vec())].concat(), 431),
        ("one target", [b"GET /", &[b'x'; 2_000_000][..]].concat(), 414),
        // Longer than any method: this is not HTTP.
        ("one method", vec![b'G'; 2_000_000], 0),
        ("one name", [get.as_bytes(), &[b'x'; 2_000_000]].concat(), 431),
    ];
    for (what, bytes, status) in table {
        let before = site.metrics().limit("head");
        let mut client = site.plain();
        // The answer may come before the last byte is taken.
        client.send(bytes).ok();
        let said = String::from_utf8_lossy(&client.rest().unwrap()).into_owned();
        let expected = if status == 0 { String::new() } else { format!("HTTP/1.1 {status} ") };
        assert!(said.starts_with(&expected) && said.is_empty() == expected.is_empty(), "{what}: {said}");
        let counted = site.metrics().limit("head") - before;
        let expected = if status == 0 { 0.0 } else { 1.0 };
        assert!((counted - expected).abs() < 0.5, "{what}: {counted}");
    }
    watch.conclude();
    assert_eq!(site.metrics().value("weir_upstream_connections_opened_total{protocol=\"http2\"}"), Some(0.0));
}

/// Chunk extensions and trailers without end, which no reader has a use for.
#[test]
fn chunk_extensions_and_trailers_without_end() {
    needs_lab!();
    let site = Site::start();
    let watch = Watch::start(&site);
    let post = b"POST /upload HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    let table = [
        ("one extension", [&b"1;a="[..], &[b'x'; 2_000_000]].concat()),
        ("many extensions", many(100_000, |_| b"1;a=bbbbbbbbbbbbbbbbbbbbbbb\r\nx\r\n".to_vec())),
        ("one size", vec![b'0'; 1_000_000]),
        ("one trailer", [&b"1\r\nx\r\n0\r\nX: "[..], &[b'x'; 2_000_000]].concat()),
        ("many trailers", [&b"1\r\nx\r\n0\r\n"[..], &many(100_000, |_| b"X: y\r\n".to_vec())].concat()),
    ];
    for (what, body) in table {
        let mut client = site.plain();
        client.send(post).unwrap();
        client.send(body).ok();
        let rest = String::from_utf8_lossy(&client.rest().unwrap()).into_owned();
        assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 4"), "{what}: {rest}");
    }
    assert!(site.world.backend.seen().iter().all(|seen| seen.method != "POST"), "none was whole");
    watch.conclude();
}

/// A body in the smallest chunks is work, but no more than its bytes are worth.
#[test]
fn chunks_of_one_byte() {
    needs_lab!();
    let site = Site::start();
    let watch = Watch::start(&site);
    let mut client = site.plain();
    client.send("POST /upload HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    client.send(many(100_000, |_| b"1\r\nx\r\n".to_vec())).unwrap();
    client.send("0\r\n\r\n").unwrap();
    assert_eq!(client.response().unwrap().status, 200);
    let arrived = site.world.backend.seen().into_iter().find(|seen| seen.method == "POST").unwrap();
    assert!(arrived.body.len() == 100_000 && arrived.body.iter().all(|byte| *byte == b'x'));
    drop(client);
    watch.conclude();
}

/// Requests sent ahead whose answers nobody reads: the proxy stops reading, and keeps no more than a
/// buffer of them. Once they are read, all are answered in order.
#[test]
fn pipelined_requests_whose_answers_nobody_reads() {
    needs_lab!();
    let site = Site::start();
    let watch = Watch::start(&site);
    let mut client = site.plain();
    let mut writer = client.stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        let all = many(PIPELINED, |_| b"GET /big HTTP/1.1\r\nHost: a.test\r\n\r\n".to_vec());
        std::io::Write::write_all(&mut writer, &all).unwrap();
    });
    tests::until("the first to arrive", || {
        site.world.backend.seen().iter().any(|seen| seen.target == "/big").then_some(())
    });
    for number in 0..PIPELINED {
        let answer = client.response().unwrap();
        assert_eq!((answer.status, answer.body.len()), (200, tests::backend::BIG), "answer {number}");
    }
    sending.join().unwrap();
    drop(client);
    watch.conclude();
}

const PIPELINED: u32 = 40;
