//! Heads written: exact bytes, and that what is written is read back with the same meaning.

use super::super::{Asked, Limits, Malformed, named, parse_request, parse_response, uninit_headers};
use super::*;

const NONE: [(&str, &[u8]); 0] = [];

/// Parses, edits and writes a request.
fn forwarded(
    bytes: &str,
    target: Option<&str>,
    authority: Option<&str>,
    removed: &[&str],
    added: &[(&str, &[u8])],
) -> Result<String, InvalidField> {
    let mut headers = uninit_headers::<64>();
    let head = parse_request(bytes.as_bytes(), &mut headers, &Limits::default()).unwrap().unwrap();
    let removed = removed.iter().fold(FieldSet::EMPTY, |set, name| set | named(head.headers, name));
    let mut out = b"before ".to_vec();
    let written =
        request(&mut out, &head, &RequestEdits { target, authority, removed }, added.iter().copied());
    let text = String::from_utf8(out).unwrap();
    let text = text.strip_prefix("before ").unwrap().to_owned();
    written.inspect_err(|_| assert_eq!(text, "", "nothing is left of what failed"))?;
    Ok(text)
}

#[test]
fn requests_as_received() {
    let table = [
        (
            "GET /a?b HTTP/1.1\r\nHost: a.test\r\nAccept:  */* \r\nX: 1\r\n\r\n",
            "GET /a?b HTTP/1.1\r\nHost: a.test\r\nAccept:  */* \r\nX: 1\r\n\r\n",
        ),
        ("GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: \r\n\r\n"),
        ("GET / HTTP/1.0\r\nX: 1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nX: 1\r\nHost: a\r\n\r\n"),
        ("GET http://a.test/x HTTP/1.0\r\n\r\n", "GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        ("GET http://a.test HTTP/1.1\r\nHost: a.test\r\n\r\n", "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        ("GET http://a.test?x HTTP/1.1\r\nHost: A.test\r\n\r\n", "GET /?x HTTP/1.1\r\nHost: A.test\r\n\r\n"),
        (
            "OPTIONS http://a.test HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n",
        ),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"),
        // Framing and connection fields are written anew, or not at all.
        (
            "POST / HTTP/1.1\r\nContent-Length: \t007 \r\nHost: a\r\nConnection: close, X-A\r\nX-A: 1\r\nX-B: 2\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nX-B: 2\r\nContent-Length: 7\r\n\r\n",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:CHUNKED\r\nTE: trailers\r\nTrailer: x\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTrailer: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        (
            "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nKeep-Alive: 5\r\nExpect: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        (
            "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
            "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nHost: a\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nConnection: Upgrade\r\nHost: a\r\nUpgrade: websocket, h2c\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nUpgrade: WebSocket\r\nHost: a\r\nSec-WebSocket-Key: k\r\nConnection: Upgrade\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: k\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\n",
        ),
        // A protected field stays though Connection names it.
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Authorization, Host\r\nAuthorization: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: x\r\n\r\n",
        ),
    ];
    for (received, sent) in table {
        assert_eq!(forwarded(received, None, None, &[], &[]).as_deref(), Ok(sent), "{received:?}");
    }
}

#[test]
fn requests_edited() {
    let received = "GET //a HTTP/1.1\r\nX: 1\r\nHost: a.test\r\nY: 2\r\nx: 3\r\nContent-Length: 2\r\n\r\n";
    let added: &[(&str, &[u8])] = &[("X", b"4"), ("Z", b"")];
    let sent = forwarded(received, Some("/b?c"), Some("b.test:8080"), &["x"], added);
    let expected =
        "GET /b?c HTTP/1.1\r\nHost: b.test:8080\r\nY: 2\r\nContent-Length: 2\r\nX: 4\r\nZ: \r\n\r\n";
    assert_eq!(sent.as_deref(), Ok(expected));
    // Host cannot be removed, only replaced.
    let sent = forwarded("GET / HTTP/1.1\r\nHost: a\r\n\r\n", None, None, &["host", "nosuch"], &[]);
    assert_eq!(sent.as_deref(), Ok("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
}

#[test]
fn fields_that_may_not_be_added() {
    let received = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let table: &[(&str, &[u8])] = &[
        ("", b"x"),
        ("A B", b"x"),
        ("A:", b"x"),
        ("A\r\nB", b"x"),
        ("A", b"x\r\nB: y"),
        ("A", b"x\ny"),
        ("A", b"x\0"),
        ("A", b"x\x7f"),
        ("Host", b"x"),
        ("content-length", b"5"),
        ("Content_Length", b"5"),
        ("Transfer-Encoding", b"chunked"),
        ("Connection", b"close"),
        ("Upgrade", b"websocket"),
        ("TE", b"trailers"),
    ];
    for &(name, value) in table {
        let written = forwarded(received, None, None, &[], &[("Fine", b"1"), (name, value)]);
        assert_eq!(written, Err(InvalidField), "{name:?}: {value:?}");
        assert!(!is_addable(name, value));
    }
    for target in ["/a b", "/a\r\nX: y", "/\u{e9}"] {
        assert_eq!(forwarded(received, Some(target), None, &[], &[]), Err(InvalidField), "{target:?}");
    }
    for authority in ["", "a b", "a\r\nX: y", "a/b"] {
        assert_eq!(forwarded(received, None, Some(authority), &[], &[]), Err(InvalidField), "{authority:?}");
    }
}

/// Parses and writes a response.
fn answered(bytes: &str, asked: &Asked<'_>, client: Version, keep_alive: bool) -> String {
    let mut headers = uninit_headers::<64>();
    let head = parse_response(bytes.as_bytes(), &mut headers, &Limits::default(), asked).unwrap().unwrap();
    let mut out = Vec::new();
    let edits = ResponseEdits { removed: named(head.headers, "x-removed"), client, keep_alive };
    response(&mut out, &head, &edits, [("X-Added", &b"1"[..])]).unwrap();
    String::from_utf8(out).unwrap().replace("X-Added: 1\r\n", "")
}

#[test]
fn responses() {
    let get = Asked { method: "GET", upgrade: None };
    let socket = Asked { method: "GET", upgrade: Some("websocket") };
    let head = Asked { method: "HEAD", upgrade: None };
    let connect = Asked { method: "CONNECT", upgrade: None };
    let (v0, v1) = (Version::Http10, Version::Http11);
    let ok = "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\nX-Removed: y\r\nDate: z\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nKeep-Alive: 5\r\n\r\n";
    let table = [
        (ok, &get, v1, true, "HTTP/1.1 200 OK\r\nServer: x\r\nDate: z\r\nContent-Length: 5\r\n\r\n"),
        (ok, &head, v1, true, "HTTP/1.1 200 OK\r\nServer: x\r\nDate: z\r\nContent-Length: 5\r\n\r\n"),
        (
            ok,
            &get,
            v1,
            false,
            "HTTP/1.1 200 OK\r\nServer: x\r\nDate: z\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
        ),
        (
            ok,
            &get,
            v0,
            true,
            "HTTP/1.1 200 OK\r\nServer: x\r\nDate: z\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n",
        ),
        (chunked, &get, v1, true, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (chunked, &get, v0, true, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"),
        (chunked, &head, v1, true, "HTTP/1.1 200 OK\r\n\r\n"),
        (
            "HTTP/1.0 200 OK\r\nX: y\r\n\r\n",
            &get,
            v1,
            true,
            "HTTP/1.1 200 OK\r\nX: y\r\nConnection: close\r\n\r\n",
        ),
        (
            "HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n",
            &get,
            v1,
            true,
            "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n",
        ),
        ("HTTP/1.1 204 \r\nContent-Length: 0\r\n\r\n", &get, v1, true, "HTTP/1.1 204 \r\n\r\n"),
        (
            "HTTP/1.1 304 N\r\nContent-Length: 9\r\n\r\n",
            &get,
            v1,
            true,
            "HTTP/1.1 304 N\r\nContent-Length: 9\r\n\r\n",
        ),
        ("HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n", &get, v1, false, "HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"),
        (
            "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nX: y\r\nConnection: upgrade\r\n\r\n",
            &socket,
            v1,
            true,
            "HTTP/1.1 101 S\r\nX: y\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", &connect, v1, true, "HTTP/1.1 200 OK\r\n\r\n"),
    ];
    for (received, asked, client, keep_alive, sent) in table {
        assert_eq!(answered(received, asked, client, keep_alive), sent, "{received:?}");
    }
}

#[test]
fn replies() {
    let denied = Reply {
        status: 403,
        body: b"Access denied\r\n",
        head_only: false,
        client: Version::Http11,
        keep_alive: true,
    };
    let table = [
        (
            denied,
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 15\r\nContent-Type: text/plain\r\n\r\nAccess denied\r\n",
        ),
        (
            Reply { head_only: true, keep_alive: false, ..denied },
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 15\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n",
        ),
        (
            Reply { status: 503, body: b"", client: Version::Http10, ..denied },
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n",
        ),
        (Reply { status: 204, body: b"", ..denied }, "HTTP/1.1 204 No Content\r\n\r\n"),
        (Reply { status: 599, body: b"", ..denied }, "HTTP/1.1 599 \r\nContent-Length: 0\r\n\r\n"),
    ];
    for (row, expected) in table {
        let mut out = Vec::new();
        reply(&mut out, &row, NONE).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
    let mut out = Vec::new();
    assert_eq!(reply(&mut out, &denied, [("Location", &b"/a\r\n"[..])]), Err(InvalidField));
    assert!(out.is_empty());
}

#[test]
fn every_refusal_can_be_answered() {
    let refusals = [
        (Malformed::LineEnd, 400),
        (Malformed::TargetTooLong, 414),
        (Malformed::Expectation, 417),
        (Malformed::TooManyFields, 431),
        (Malformed::UnknownCoding, 501),
        (Malformed::Version, 505),
    ];
    for (refusal, status) in refusals {
        assert_eq!(refusal.status(), status);
        assert!(!reason(status).is_empty(), "{status}");
    }
}
