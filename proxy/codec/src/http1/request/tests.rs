//! Request heads: one table of those refused and why, one of those accepted and what they mean.

use super::super::{Header, uninit_headers};
use super::*;

fn with_limits<T>(
    bytes: &[u8],
    limits: &Limits,
    look: impl FnOnce(Result<Option<RequestHead<'_, '_>>, Malformed>) -> T,
) -> T {
    let mut headers = uninit_headers::<MAX_FIELDS>();
    look(parse_request(bytes, &mut headers, limits))
}

fn parse<T>(bytes: &[u8], look: impl FnOnce(&RequestHead<'_, '_>) -> T) -> T {
    let shown = String::from_utf8_lossy(bytes).into_owned();
    with_limits(bytes, &Limits::default(), |head| match head {
        Ok(Some(head)) => look(&head),
        other => panic!("{shown:?}: {other:?}"),
    })
}

fn refusal(bytes: &[u8]) -> Option<Malformed> {
    with_limits(bytes, &Limits::default(), |head| head.err())
}

/// A GET with these lines besides Host, each ended here by CR LF.
fn get(lines: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: a.test\r\n{lines}\r\n\r\n").into_bytes()
}

#[test]
fn refused_start_lines() {
    use Malformed as M;
    let table: &[(&str, M, u16)] = &[
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", M::StartLine, 400),
        ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", M::StartLine, 400),
        ("\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", M::StartLine, 400),
        ("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", M::StartLine, 400),
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", M::StartLine, 400),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", M::StartLine, 400),
        ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", M::StartLine, 400),
        ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", M::StartLine, 400),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", M::LineEnd, 400),
        ("GET /\r\n\r\n", M::StartLine, 400),
        ("GET / \r\nHost: a\r\n\r\n", M::StartLine, 400),
        ("GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", M::StartLine, 400),
        ("G\u{e9}T / HTTP/1.1\r\nHost: a\r\n\r\n", M::StartLine, 400),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", M::StartLine, 400),
        ("GET / HTTP/1.1x\r\nHost: a\r\n\r\n", M::LineEnd, 400),
        ("GET / HTTP/11\r\nHost: a\r\n\r\n", M::StartLine, 400),
        ("GET / HTTP/1.10\r\nHost: a\r\n\r\n", M::LineEnd, 400),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", M::Version, 505),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", M::Version, 505),
        ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", M::Version, 505),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", M::Version, 505),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", M::LineEnd, 400),
        ("GET / HTTP/1.1\rHost: a\r\n\r\n", M::LineEnd, 400),
        ("GET /a\x00b HTTP/1.1\r\nHost: a\r\n\r\n", M::StartLine, 400),
        ("GET /a\x7fb HTTP/1.1\r\nHost: a\r\n\r\n", M::StartLine, 400),
        ("GET /a\rb HTTP/1.1\r\nHost: a\r\n\r\n", M::StartLine, 400),
        ("GET /a\nb HTTP/1.1\r\nHost: a\r\n\r\n", M::StartLine, 400),
        ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", M::Target, 400),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", M::Target, 400),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", M::Target, 400),
        ("OPTIONS *x HTTP/1.1\r\nHost: a\r\n\r\n", M::Target, 400),
        ("GET a.test:80 HTTP/1.1\r\nHost: a.test:80\r\n\r\n", M::Target, 400),
        ("GET public HTTP/1.1\r\nHost: a\r\n\r\n", M::Target, 400),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", M::Target, 400),
        ("GET http:/a/ HTTP/1.1\r\nHost: a\r\n\r\n", M::Target, 400),
        ("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", M::Target, 400),
        ("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", M::Target, 400),
        ("GET http://a\\b/ HTTP/1.1\r\nHost: a\r\n\r\n", M::Target, 400),
        ("GET http://a:b/ HTTP/1.1\r\nHost: a:b\r\n\r\n", M::Target, 400),
        ("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", M::Target, 400),
        ("CONNECT a.test HTTP/1.1\r\nHost: a.test\r\n\r\n", M::Target, 400),
        ("CONNECT http://a.test:80/ HTTP/1.1\r\nHost: a.test:80\r\n\r\n", M::Target, 400),
        ("CONNECT [::1] HTTP/1.1\r\nHost: [::1]\r\n\r\n", M::Target, 400),
        ("CONNECT a.test:443 HTTP/1.1\r\nHost: b.test:443\r\n\r\n", M::Host, 400),
    ];
    for &(bytes, why, status) in table {
        let refused = refusal(bytes.as_bytes());
        assert_eq!(refused, Some(why), "{bytes:?}");
        assert_eq!(why.status(), status, "{bytes:?}");
    }
}

#[test]
fn refused_hosts() {
    let table: &[&str] = &[
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a?b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a%2e\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: :80\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a:080808\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::g]\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: ::1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: \u{e9}.test\r\n\r\n",
        "GET http://a.test/ HTTP/1.1\r\nHost: b.test\r\n\r\n",
        "GET http://a.test/ HTTP/1.1\r\nHost: a.test:80\r\n\r\n",
        "GET http://a.test/ HTTP/1.1\r\n\r\n",
    ];
    for &bytes in table {
        assert_eq!(refusal(bytes.as_bytes()), Some(Malformed::Host), "{bytes:?}");
    }
}

/// The lines stand in a GET that is fine otherwise.
fn assert_refused(table: &[(&str, Malformed, u16)]) {
    for &(lines, why, status) in table {
        assert_eq!(refusal(&get(lines)), Some(why), "{lines:?}");
        assert_eq!(why.status(), status, "{lines:?}");
    }
}

#[test]
fn refused_fields() {
    use Malformed as M;
    let table: &[(&str, M, u16)] = &[
        // Names.
        ("A : b", M::FieldName, 400),
        ("A\t: b", M::FieldName, 400),
        (": b", M::FieldName, 400),
        ("A", M::FieldName, 400),
        ("A B: c", M::FieldName, 400),
        ("A(: c", M::FieldName, 400),
        ("A\u{e9}: c", M::FieldName, 400),
        ("A\x00: c", M::FieldName, 400),
        // Names that a backend may take for framing.
        ("Content_Length: 5", M::FieldName, 400),
        ("transfer_encoding: chunked", M::FieldName, 400),
        // Folding, and bare CR and LF.
        ("A: b\r\n c", M::FieldName, 400),
        ("A: b\r\n\tc", M::FieldName, 400),
        ("A:\r\n b", M::FieldName, 400),
        ("A: b\nB: c", M::LineEnd, 400),
        ("A: b\rB: c", M::FieldValue, 400),
        ("A: b\r\r", M::FieldValue, 400),
        ("A: b\n", M::LineEnd, 400),
        ("A:\nB: c", M::LineEnd, 400),
        ("A: b\n\r\nB: c", M::LineEnd, 400),
        ("A: b\x00c", M::FieldValue, 400),
        ("A: b\x0bc", M::FieldValue, 400),
        ("A: b\x7fc", M::FieldValue, 400),
    ];
    assert_refused(table);
}

#[test]
fn refused_framing_fields() {
    use Malformed as M;
    let table: &[(&str, M, u16)] = &[
        // Content-Length.
        ("Content-Length: 5\r\nContent-Length: 5", M::ContentLength, 400),
        ("Content-Length: 5\r\ncontent-length: 6", M::ContentLength, 400),
        ("Content-Length: 5, 5", M::ContentLength, 400),
        ("Content-Length: 5,", M::ContentLength, 400),
        ("Content-Length:", M::ContentLength, 400),
        ("Content-Length: +5", M::ContentLength, 400),
        ("Content-Length: -5", M::ContentLength, 400),
        ("Content-Length: 0x5", M::ContentLength, 400),
        ("Content-Length: 5 5", M::ContentLength, 400),
        ("Content-Length: 5.0", M::ContentLength, 400),
        ("Content-Length: \"5\"", M::ContentLength, 400),
        ("Content-Length: five", M::ContentLength, 400),
        ("Content-Length: 9223372036854775808", M::ContentLength, 400),
        ("Content-Length: 18446744073709551616", M::ContentLength, 400),
        ("Content-Length: 00000000000000000005", M::ContentLength, 400),
        // CL.TE and TE.CL.
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", M::LengthAndEncoding, 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", M::LengthAndEncoding, 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 0", M::LengthAndEncoding, 400),
        // TE.TE.
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", M::TransferEncoding, 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", M::UnknownCoding, 501),
        ("Transfer-Encoding: chunked, chunked", M::TransferEncoding, 400),
        ("Transfer-Encoding: chunked, gzip", M::TransferEncoding, 400),
        ("Transfer-Encoding: chunked,", M::TransferEncoding, 400),
        ("Transfer-Encoding: ,chunked", M::TransferEncoding, 400),
        ("Transfer-Encoding:", M::TransferEncoding, 400),
        ("Transfer-Encoding: \"chunked\"", M::TransferEncoding, 400),
        ("Transfer-Encoding: chunked;q=1", M::TransferEncoding, 400),
        ("Transfer-Encoding: gzip, chunked", M::UnknownCoding, 501),
        ("Transfer-Encoding: gzip", M::UnknownCoding, 501),
        ("Transfer-Encoding: identity", M::UnknownCoding, 501),
        ("Transfer-Encoding: xchunked", M::UnknownCoding, 501),
        ("Transfer-Encoding : chunked", M::FieldName, 400),
        ("Transfer-Encoding:\x0bchunked", M::FieldValue, 400),
        // The rest.
        ("Connection: a b", M::Connection, 400),
        ("Connection: \"close\"", M::Connection, 400),
        ("Expect: 200-ok", M::Expectation, 417),
        ("Expect: 100-continue\r\nExpect: x", M::Expectation, 417),
        ("Expect: x\r\nExpect: 100-continue", M::Expectation, 417),
    ];
    assert_refused(table);
}

#[test]
fn refused_whole_heads() {
    use Malformed as M;
    let table: &[(&str, M)] = &[
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", M::FieldName),
        ("GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", M::FieldName),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", M::LineEnd),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", M::LineEnd),
        ("GET / HTTP/1.0\n\n", M::LineEnd),
        ("GET / HTTP/1.0\r\n\n", M::LineEnd),
        ("GET / HTTP/1.0\n\r\n", M::LineEnd),
        ("GET / HTTP/1.1\r\nHost: a\r\n\rX", M::LineEnd),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", M::TransferEncoding),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", M::LengthAndEncoding),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 3\r\n\r\n", M::UnexpectedBody),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nTransfer-Encoding: chunked\r\n\r\n", M::UnexpectedBody),
        ("TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n", M::UnexpectedBody),
    ];
    for &(bytes, why) in table {
        assert_eq!(refusal(bytes.as_bytes()), Some(why), "{bytes:?}");
    }
}

#[test]
fn every_byte_in_every_place() {
    // Fields long enough for httparse's vector paths, the byte at the start, within and at the end.
    for place in [0_usize, 1, 7, 15, 16, 31, 32, 33, 46] {
        for byte in 0..=u8::MAX {
            let mut filler = [b'a'; 47];
            filler[place] = byte;
            let built = |before: &[u8], after: &[u8]| [before, &filler, after].concat();
            let accepted =
                |bytes: &[u8]| with_limits(bytes, &Limits::default(), |head| matches!(head, Ok(Some(_))));
            let value = built(b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"\r\n\r\n");
            let value_ok = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
            assert_eq!(accepted(&value), value_ok, "value: byte {byte:#x} at {place}");
            let name = built(b"GET / HTTP/1.1\r\nHost: a\r\n", b": x\r\n\r\n");
            // A colon ends the name; what follows is a value.
            let name_ok = super::super::is_token_byte(byte) || (byte == b':' && place > 0);
            assert_eq!(accepted(&name), name_ok, "name: byte {byte:#x} at {place}");
            let target = built(b"GET /", b" HTTP/1.1\r\nHost: a\r\n\r\n");
            let target_ok = (0x21..0x7f).contains(&byte) && byte != b'#';
            assert_eq!(accepted(&target), target_ok, "target: byte {byte:#x} at {place}");
            let method = [b"G", &[byte][..], b"T / HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
            assert_eq!(accepted(&method), super::super::is_token_byte(byte), "method: byte {byte:#x}");
        }
    }
}

#[test]
fn accepted_targets() {
    use TargetForm as F;
    let table: &[(&str, F, &str, &str)] = &[
        ("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", F::Origin, "/", "a.test"),
        ("GET /x?y=/z HTTP/1.1\r\nHost: a.test:8080\r\n\r\n", F::Origin, "/x?y=/z", "a.test:8080"),
        ("GET //x HTTP/1.1\r\nHost: A.test\r\n\r\n", F::Origin, "//x", "A.test"),
        ("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", F::Origin, "/", "[::1]:80"),
        ("GET / HTTP/1.1\r\nHost: [2001:db8::1]\r\n\r\n", F::Origin, "/", "[2001:db8::1]"),
        ("GET / HTTP/1.1\r\nHost:10.0.0.1\r\n\r\n", F::Origin, "/", "10.0.0.1"),
        ("GET / HTTP/1.1\r\nHost: \t a_b.test\t \r\n\r\n", F::Origin, "/", "a_b.test"),
        ("GET / HTTP/1.0\r\n\r\n", F::Origin, "/", ""),
        ("GET http://a.test HTTP/1.1\r\nHost: a.test\r\n\r\n", F::Absolute, "", "a.test"),
        ("GET http://a.test?q HTTP/1.1\r\nHost: a.test\r\n\r\n", F::Absolute, "?q", "a.test"),
        ("GET HTTP://a.test:1/x HTTP/1.1\r\nHost: A.TEST:1\r\n\r\n", F::Absolute, "/x", "a.test:1"),
        ("GET https://a.test/x HTTP/1.0\r\n\r\n", F::Absolute, "/x", "a.test"),
        ("OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n", F::Asterisk, "*", "a.test"),
        ("OPTIONS http://a.test HTTP/1.1\r\nHost: a.test\r\n\r\n", F::Asterisk, "*", "a.test"),
        ("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n", F::Authority, "a.test:443", "a.test:443"),
        ("CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n", F::Authority, "[::1]:443", "[::1]:443"),
        ("\r\nGET /x HTTP/1.1\r\nHost: a.test\r\n\r\n", F::Origin, "/x", "a.test"),
    ];
    for &(bytes, form, path, authority) in table {
        parse(bytes.as_bytes(), |head| {
            assert_eq!((head.form, head.path, head.authority), (form, path, authority), "{bytes:?}");
            assert_eq!(head.head_len, bytes.len(), "{bytes:?}");
        });
    }
}

/// Start line's method and version, the fields after Host, and: framing, keep-alive, upgrade, `Expect`.
type Meaning = (&'static str, &'static str, Framing, bool, Option<&'static str>, bool);

#[test]
fn framing_and_connection() {
    use Framing as F;
    let ws = Some("websocket");
    let table: &[Meaning] = &[
        ("GET 1.1", "", F::None, true, None, false),
        ("GET 1.0", "", F::None, false, None, false),
        ("GET 1.0", "Connection: Keep-Alive", F::None, true, None, false),
        ("GET 1.0", "Connection: keep-alive, close", F::None, false, None, false),
        ("GET 1.1", "Connection: , Close ,", F::None, false, None, false),
        ("GET 1.1", "Connection: keep-alive\r\nConnection: close", F::None, false, None, false),
        ("POST 1.1", "Content-Length: 0", F::Length(0), true, None, false),
        ("POST 1.1", "Content-Length: 007 ", F::Length(7), true, None, false),
        ("POST 1.1", "content-length:9223372036854775807", F::Length(i64::MAX as u64), true, None, false),
        ("POST 1.0", "Content-Length: 3", F::Length(3), false, None, false),
        ("POST 1.1", "Transfer-Encoding: Chunked", F::Chunked, true, None, false),
        ("GET 1.1", "Transfer-Encoding: chunked", F::Chunked, true, None, false),
        ("TRACE 1.1", "Content-Length: 0", F::Length(0), true, None, false),
        ("PUT 1.1", "Expect: 100-Continue\r\nContent-Length: 1", F::Length(1), true, None, true),
        ("PUT 1.0", "Expect: 100-continue\r\nContent-Length: 1", F::Length(1), false, None, false),
        ("PUT 1.0", "Expect: other\r\nContent-Length: 1", F::Length(1), false, None, false),
        ("GET 1.1", "Connection: Upgrade\r\nUpgrade: websocket", F::None, true, ws, false),
        ("GET 1.1", "Upgrade: websocket\r\nConnection: keep-alive, Upgrade", F::None, true, ws, false),
        // Not an upgrade: unnamed, absent, HTTP/1.0, with a body, repeated, another method.
        ("GET 1.1", "Upgrade: websocket", F::None, true, None, false),
        ("GET 1.1", "Connection: upgrade", F::None, true, None, false),
        ("GET 1.0", "Connection: upgrade\r\nUpgrade: websocket", F::None, false, None, false),
        (
            "GET 1.1",
            "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5",
            F::Length(5),
            true,
            None,
            false,
        ),
        ("GET 1.1", "Connection: upgrade\r\nUpgrade: a\r\nUpgrade: websocket", F::None, true, None, false),
        ("POST 1.1", "Connection: upgrade\r\nUpgrade: websocket", F::None, true, None, false),
    ];
    for &(start, fields, framing, keep_alive, upgrade, expect) in table {
        let line = start.replace(' ', " / HTTP/");
        let end = if fields.is_empty() { "" } else { "\r\n" };
        let bytes = format!("{line}\r\nHost: a\r\n{fields}{end}\r\n");
        parse(bytes.as_bytes(), |head| {
            assert_eq!(head.framing, framing, "{bytes:?}");
            assert_eq!(head.keep_alive, keep_alive, "{bytes:?}");
            assert_eq!(head.upgrade, upgrade, "{bytes:?}");
            assert_eq!(head.expect_continue, expect, "{bytes:?}");
        });
    }
}

#[test]
fn fields_that_end_here() {
    let bytes = get("Connection: close, X-A, x-b, Authorization, host, Content-Length, X-Forwarded-For\r\n\
         X-A: 1\r\nX-C: 2\r\nX-B: 3\r\nx-a: 4\r\nAuthorization: 5\r\nContent-Length: 0\r\nX-Forwarded-For: 6\r\n\
         TE: trailers\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\nTrailer: x");
    parse(&bytes, |head| {
        let ended: Vec<&str> = head.hop_by_hop.iter().map(|index| head.headers[index].name).collect();
        assert_eq!(
            ended,
            [
                "Connection",
                "X-A",
                "X-B",
                "x-a",
                "TE",
                "Keep-Alive",
                "Proxy-Connection",
                "Upgrade",
                "HTTP2-Settings"
            ]
        );
    });
    let many = format!("Connection: {}", "a,".repeat(33));
    assert_eq!(refusal(&get(&many)), Some(Malformed::Connection));
}

#[test]
fn limits_hold_for_whole_and_for_incomplete_heads() {
    let limits = Limits { head_bytes: 200, target_bytes: 20, fields: 3, ..Limits::default() };
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(20));
    let full_target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(19));
    let long_method = format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "A".repeat(METHOD_BYTES_MAX + 1));
    let long_head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(200));
    let many = "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nA: b\r\nA: b\r\n\r\n";
    let padding = 200 - "GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
    let full_head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(padding));
    let table: &[(&str, Option<Malformed>)] = &[
        (&long_target, Some(Malformed::TargetTooLong)),
        (&long_target[..26], Some(Malformed::TargetTooLong)),
        (&long_target[..24], None),
        (&full_target, None),
        (&long_method, Some(Malformed::MethodTooLong)),
        (&long_method[..METHOD_BYTES_MAX + 1], Some(Malformed::MethodTooLong)),
        (&long_head, Some(Malformed::HeadTooLong)),
        (&long_head[..200], Some(Malformed::HeadTooLong)),
        (&long_head[..199], None),
        (&full_head, None),
        (many, Some(Malformed::TooManyFields)),
        (&many[..many.len() - 2], Some(Malformed::TooManyFields)),
    ];
    for &(bytes, expected) in table {
        let refused = with_limits(bytes.as_bytes(), &limits, |head| head.err());
        assert_eq!(refused, expected, "{bytes:?}");
    }
    // The room lent is a limit too.
    let mut two = uninit_headers::<2>();
    let head = parse_request(many.as_bytes(), &mut two, &Limits::default());
    assert_eq!(head.err(), Some(Malformed::TooManyFields));
    // A body behind the head does not count.
    let with_body = format!("{full_head}{}", "b".repeat(500));
    with_limits(with_body.as_bytes(), &limits, |head| {
        assert_eq!(head.map(|head| head.map(|head| head.head_len)), Ok(Some(200)));
    });
}

#[test]
fn any_split_asks_for_more() {
    let whole = b"\r\nPOST /x?y HTTP/1.1\r\nHost: a.test\r\nX-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\
                  Empty:\r\nTransfer-Encoding: chunked\r\n\r\n";
    for end in 0..whole.len() {
        with_limits(&whole[..end], &Limits::default(), |head| {
            assert!(matches!(head, Ok(None)), "{end}: {head:?}");
        });
    }
    let mut pipelined = whole.to_vec();
    pipelined.extend_from_slice(b"GET / HTTP/1.1\nbroken");
    parse(&pipelined, |head| {
        assert_eq!(head.head_len, whole.len());
        assert_eq!(head.headers.len(), 4);
        assert_eq!(head.headers[2], Header { name: "Empty", value: b"" });
    });
}
