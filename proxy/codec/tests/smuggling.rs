//! One test a class of request smuggling that concerns HTTP/1.1, named as in the literature (http-garden,
//! published CVEs): none of them leaves a head or a body that two readers could end in two places.

use codec::http1::chunked::Decoder;
use codec::http1::write::{self, RequestEdits};
use codec::http1::{
    Asked, FieldSet, Framing, Limits, Malformed, parse_request, parse_response, uninit_headers,
};

fn refusal(lines: &str) -> Option<Malformed> {
    let bytes = format!("{lines}\r\n\r\n");
    let mut headers = uninit_headers::<32>();
    parse_request(bytes.as_bytes(), &mut headers, &Limits::default()).err()
}

fn post(lines: &str) -> Option<Malformed> {
    refusal(&format!("POST / HTTP/1.1\r\nHost: a.test\r\n{lines}"))
}

#[test]
fn cl_te_and_te_cl() {
    let length_first = "Content-Length: 6\r\nTransfer-Encoding: chunked";
    let coding_first = "Transfer-Encoding: chunked\r\nContent-Length: 4";
    assert_eq!(post(length_first), Some(Malformed::LengthAndEncoding));
    assert_eq!(post(coding_first), Some(Malformed::LengthAndEncoding));
}

#[test]
fn te_te_obfuscated() {
    let codings = [
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
        "Transfer-Encoding:\x0bchunked",
        "Transfer-Encoding\x0b: chunked",
        "X: y\nTransfer-Encoding: chunked",
        "Transfer-Encoding\r\n: chunked",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding: 'chunked'",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: chunked\x00",
        "Transfer_Encoding: chunked",
    ];
    for coding in codings {
        assert!(post(coding).is_some(), "{coding:?}");
    }
}

#[test]
fn duplicate_content_length() {
    for second in ["5", "6", "05", "0"] {
        let lines = format!("Content-Length: 5\r\nContent-Length: {second}");
        assert_eq!(post(&lines), Some(Malformed::ContentLength), "{second}");
    }
}

#[test]
fn bare_line_feed() {
    assert_eq!(post("A: b\nContent-Length: 5"), Some(Malformed::LineEnd));
    assert_eq!(post("A: b\n\nGET /admin HTTP/1.1"), Some(Malformed::LineEnd));
    assert_eq!(post("A: b\r\n\nGET /admin HTTP/1.1"), Some(Malformed::LineEnd));
}

#[test]
fn obsolete_line_folding() {
    assert_eq!(post("A: b\r\n Content-Length: 5"), Some(Malformed::FieldName));
    assert_eq!(post("Content-Length: 5\r\n\t0"), Some(Malformed::FieldName));
}

#[test]
fn chunk_extension_with_line_end() {
    // CVE-2025-22871 and others: a bare LF or CR ends the size line for one of two readers.
    let bodies =
        ["5;\nhello\r\n0\r\n\r\n", "5;a\nhello\r\n0\r\n\r\n", "5;a\rhello", "2;a\r\r\nxx", "5\nhello"];
    for body in bodies {
        let mut decoder = Decoder::new(&Limits::default());
        assert!(decoder.advance(body.as_bytes()).is_err(), "{body:?}");
    }
}

#[test]
fn chunked_in_http_1_0() {
    // As CVE-2026-2835 and -2836 in Pingora.
    let coded = "POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked";
    assert_eq!(refusal(coded), Some(Malformed::TransferEncoding));
    let both = format!("{coded}\r\nContent-Length: 5\r\nConnection: keep-alive");
    assert_eq!(refusal(&both), Some(Malformed::LengthAndEncoding));
}

#[test]
fn upgrade_without_101() {
    // As CVE-2026-2833 in Pingora: only the backend's 101 makes a tunnel, and what came early stays behind.
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nGET /admin ";
    let mut headers = uninit_headers::<32>();
    let Ok(Some(head)) = parse_request(bytes, &mut headers, &Limits::default()) else {
        panic!("an upgrade is well formed");
    };
    assert_eq!((head.framing, &bytes[head.head_len..]), (Framing::None, &b"GET /admin "[..]));
    let asked = Asked { method: "GET", upgrade: head.upgrade };
    let answer =
        b"HTTP/1.1 200 OK\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nok";
    let mut headers = uninit_headers::<32>();
    let Ok(Some(answer)) = parse_response(answer, &mut headers, &Limits::default(), &asked) else {
        panic!("an answer without upgrade is well formed");
    };
    assert_eq!((answer.tunnel, answer.upgrade, answer.framing), (false, None, Framing::Length(2)));
}

#[test]
fn h2c_upgrade_is_not_passed_on() {
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
                  HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n";
    let mut headers = uninit_headers::<32>();
    let Ok(Some(head)) = parse_request(bytes, &mut headers, &Limits::default()) else {
        panic!("an h2c upgrade is well formed");
    };
    let mut out = Vec::new();
    let none: [(&str, &[u8]); 0] = [];
    let edits = RequestEdits { removed: FieldSet::EMPTY, ..RequestEdits::default() };
    assert!(write::request(&mut out, &head, &edits, none).is_ok());
    assert_eq!(out, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
}

#[test]
fn absolute_form_against_host() {
    let lines = "GET http://public.test/ HTTP/1.1\r\nHost: private.test";
    assert_eq!(refusal(lines), Some(Malformed::Host));
}

#[test]
fn underscored_framing_names() {
    assert_eq!(post("Content_Length: 5"), Some(Malformed::FieldName));
    assert_eq!(post("transfer_encoding: chunked"), Some(Malformed::FieldName));
}

#[test]
fn framing_taken_away_by_connection() {
    let bytes = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Content-Length, Host, Authorization\r\n\
                  Authorization: x\r\nContent-Length: 5\r\n\r\n";
    let mut headers = uninit_headers::<32>();
    let Ok(Some(head)) = parse_request(bytes, &mut headers, &Limits::default()) else {
        panic!("any token may be named");
    };
    let mut out = Vec::new();
    let none: [(&str, &[u8]); 0] = [];
    assert!(write::request(&mut out, &head, &RequestEdits::default(), none).is_ok());
    assert_eq!(out, b"POST / HTTP/1.1\r\nHost: a\r\nAuthorization: x\r\nContent-Length: 5\r\n\r\n");
}

#[test]
fn framing_in_trailers() {
    for field in ["Content-Length: 5", "Transfer-Encoding: chunked", "Host: b", "Authorization: x"] {
        let body = format!("0\r\n{field}\r\n\r\n");
        let mut decoder = Decoder::new(&Limits::default());
        assert_eq!(decoder.advance(body.as_bytes()).err(), Some(Malformed::Trailer), "{field}");
    }
}
