//! What a request and a response head cost: nanoseconds to parse, normalise and write a typical one.
//!
//! `cargo run --release -p codec --example head_cost`

use std::hint::black_box;
use std::time::Instant;

use codec::http1::write::{self, RequestEdits, ResponseEdits};
use codec::http1::{Asked, FieldSet, Limits, Version, parse_request, parse_response, uninit_headers};

const REQUEST: &[u8] = b"GET /public/items/4711?page=2&sort=name HTTP/1.1\r\n\
    Host: api.example.test:8080\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n\
    Accept: application/json, text/plain, */*\r\n\
    Accept-Language: en-GB,en;q=0.9\r\n\
    Accept-Encoding: gzip, deflate, br\r\n\
    Connection: keep-alive\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\
    X-Request-Id: 5f2b1c4e-8a3d-4f6b-9c7e-1d2a3b4c5d6e\r\n\
    Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\
    Authorization: Bearer abcdefghijklmnopqrstuvwxyz0123456789\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 23 Nov 2026 06:00:00 GMT\r\n\
    Content-Type: text/plain; charset=utf-8\r\nContent-Length: 64\r\nConnection: keep-alive\r\n\r\n";

const NO_FIELDS: [(&str, &[u8]); 0] = [];

/// Best of several rounds: what the code costs when nothing else runs.
fn measure(name: &str, mut work: impl FnMut()) {
    const ITERATIONS: u32 = 200_000;
    let mut best = f64::MAX;
    for _ in 0..10 {
        let start = Instant::now();
        for _ in 0..ITERATIONS {
            work();
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(ITERATIONS));
    }
    println!("{name:40} {best:8.1} ns");
}

fn main() {
    let limits = Limits::default();
    let mut out = Vec::with_capacity(4096);
    measure("httparse alone", || {
        let mut headers = uninit_headers::<100>();
        let mut request = httparse::Request::new(&mut []);
        black_box(request.parse_with_uninit_headers(black_box(REQUEST), &mut headers)).ok();
    });
    measure("parse request", || {
        let mut headers = uninit_headers::<100>();
        black_box(parse_request(black_box(REQUEST), &mut headers, &limits)).ok();
    });
    measure("normalise its path", || {
        black_box(codec::path::normalise(black_box("/public/items/4711?page=2&sort=name"))).ok();
    });
    measure("normalise a path that changes", || {
        black_box(codec::path::normalise(black_box("/public//items/./%7e4711?page=2&sort=name"))).ok();
    });
    measure("parse, normalise and write request", || {
        out.clear();
        let mut headers = uninit_headers::<100>();
        let Ok(Some(head)) = parse_request(black_box(REQUEST), &mut headers, &limits) else { return };
        let Ok(path) = codec::path::normalise(head.path) else { return };
        let edits = RequestEdits { target: Some(path.target()), ..RequestEdits::default() };
        black_box(write::request(&mut out, &head, &edits, [("X-Forwarded-For", &b"10.0.0.1"[..])])).ok();
        black_box(&out);
    });
    let mut headers = uninit_headers::<100>();
    if let Ok(Some(head)) = parse_request(REQUEST, &mut headers, &limits) {
        measure("write request", || {
            out.clear();
            let edits = RequestEdits {
                target: Some("/public/items/4711?page=2&sort=name"),
                ..RequestEdits::default()
            };
            black_box(write::request(
                &mut out,
                black_box(&head),
                &edits,
                [("X-Forwarded-For", &b"10.0.0.1"[..])],
            ))
            .ok();
            black_box(&out);
        });
    }
    let asked = Asked { method: "GET", upgrade: None };
    measure("parse and write response", || {
        out.clear();
        let mut headers = uninit_headers::<100>();
        let Ok(Some(head)) = parse_response(black_box(RESPONSE), &mut headers, &limits, &asked) else {
            return;
        };
        let edits = ResponseEdits { removed: FieldSet::EMPTY, client: Version::Http11, keep_alive: true };
        black_box(write::response(&mut out, &head, &edits, NO_FIELDS)).ok();
        black_box(&out);
    });
    let body = [&b"400\r\n"[..], &[b'x'; 1024], b"\r\n0\r\n\r\n"].concat();
    measure("follow a chunk of 1 KiB and the end", || {
        let mut decoder = codec::http1::chunked::Decoder::new(&limits);
        black_box(decoder.advance(black_box(&body))).ok();
    });
}
