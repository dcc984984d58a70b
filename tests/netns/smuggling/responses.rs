//! Answers that two readers would end in two places: the client gets 502 or a broken answer, and the next
//! one its own.

use tests::h2::{Endpoint, data, headers};
use tests::objects::{documents, gateway, service};
use tests::{Recorder, Weir};

use super::{ROUTES, Site};
use crate::fleet::h2c;
use crate::world::World;

/// By path: what the endpoint of HTTP/1.1 answers, followed by an answer for somebody else.
const ANSWERS: [(&str, &str); 14] = [
    ("/cl-te", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("/two-lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 0\r\n\r\nok"),
    ("/list", "HTTP/1.1 200 OK\r\nContent-Length: 2, 0\r\n\r\nok"),
    ("/sign", "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok"),
    ("/te-te", "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    (
        "/te-twice",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("/te-1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("/lf", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
    ("/lf-field", "HTTP/1.1 200 OK\r\nX: y\nContent-Length: 0\r\n\r\n"),
    ("/fold", "HTTP/1.1 200 OK\r\nX: y\r\n Content-Length: 50\r\nContent-Length: 0\r\n\r\n"),
    ("/space", "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n"),
    ("/underscore", "HTTP/1.1 200 OK\r\nContent_Length: 50\r\nContent-Length: 0\r\n\r\n"),
    ("/101", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
    ("/nul", "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n"),
];

type Fields = &'static [(&'static str, &'static str)];

/// And that of HTTP/2: which fields go with its body.
const FIELDS: [(&str, Fields); 9] = [
    ("/cl-te", &[("content-length", "4"), ("transfer-encoding", "chunked")]),
    ("/two-lengths", &[("content-length", "4"), ("content-length", "0")]),
    ("/sign", &[("content-length", "+4")]),
    ("/less", &[("content-length", "2")]),
    ("/more", &[("content-length", "40")]),
    ("/lines", &[("x", "y\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK")]),
    ("/name", &[("x: y\r\nz", "z")]),
    ("/upgrade", &[("connection", "upgrade"), ("upgrade", "x")]),
    ("/pseudo", &[("x", "y"), (":status", "201")]),
];

const EVIL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";

fn site() -> Site {
    let world = World::new();
    let at = |port| [(world.api.v4.into(), port)];
    let h2 = h2c(&service("h2", &["10.96.0.2"], 80, &at(82)));
    let h1 = service("h1", &["10.96.0.1"], 80, &at(81));
    let objects = [world.pods(), gateway("web", 8080, &[]), h1, h2, ROUTES.into()];
    world.lab.write("pods.yaml", &documents(&objects));
    let plain = Recorder::with(&world.api.ns, world.api.at(81), |message| {
        let bad = ANSWERS.iter().find(|(path, _)| message.asked() == format!("GET /h1{path}"));
        let bad = bad.map(|(_, answer)| format!("{answer}{EVIL}").into_bytes());
        message.ended.then(|| bad.unwrap_or_else(|| Recorder::echo(message)))
    });
    let h2 = Endpoint::with(&world.api.ns, world.api.at(82), &[], |seen| {
        let bad = FIELDS.iter().find(|(path, _)| seen.path() == format!("/h2{path}"));
        let bad = bad.map(|(_, more)| {
            let fields = [&[(":status", "200")][..], more].concat();
            [headers(seen.stream, &fields, false), data(seen.stream, b"evil", true)].concat()
        });
        seen.ended.then(|| bad.unwrap_or_else(|| Endpoint::echo(seen)))
    });
    Site { plain, h2, weir: Weir::start(&world.lab), world }
}

#[test]
fn answers_in_http1_that_two_readers_end_in_two_places() {
    needs_lab!();
    let site = site();
    for (path, _) in ANSWERS {
        let path = format!("/h1{path}");
        let answer = site.client().get(&path).unwrap();
        assert_eq!(answer.status, 502, "{path}: {answer:?}");
        site.is_sound(&path);
        let answer = site.h2_client().get(&path).unwrap();
        assert_eq!((answer.status, answer.reset), (502, None), "{path}: {answer:?}");
        site.is_sound(&path);
    }
    assert!(!site.weir.log().contains("panicked"));
}

#[test]
fn answers_in_http2_that_would_be_two_as_text() {
    needs_lab!();
    let site = site();
    for (path, _) in FIELDS {
        let path = format!("/h2{path}");
        // A length that does not hold comes to light when the head may have been passed on: then the
        // answer breaks off.
        if let Ok(answer) = site.client().get(&path) {
            assert_eq!(answer.status, 502, "{path}: {answer:?}");
        }
        site.is_sound(&path);
        let answer = site.h2_client().get(&path).unwrap();
        assert!(answer.status == 502 || answer.reset.is_some(), "{path}: {answer:?}");
        assert!(answer.status == 502 || !answer.ended, "{path}: {answer:?}");
        site.is_sound(&path);
    }
}
