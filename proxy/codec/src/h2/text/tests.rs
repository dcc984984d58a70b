//! Heads from one version to the other: each text is read by the HTTP/1.1 parser, as in the proxy.

use super::*;
use crate::h2::{Connection, Event, Fields, Limits, Role, StreamId};
use crate::http1::write::RequestEdits;
use crate::http1::{
    self, Asked, FieldSet, Framing, MAX_FIELDS, parse_request, parse_response, uninit_headers,
};

type List<'a> = [(&'a str, &'a str)];

const NONCE: [u8; 16] = *b"the sample nonce";

/// Two engines that have greeted each other.
fn pair() -> (Connection, Connection) {
    let limits = Limits::default();
    let (mut client, mut server) =
        (Connection::new(Role::Client, &limits), Connection::new(Role::Server, &limits));
    for _ in 0..2 {
        pump(&mut client, &mut server);
        pump(&mut server, &mut client);
    }
    (client, server)
}

fn pump(from: &mut Connection, to: &mut Connection) -> Vec<Event> {
    let mut events = Vec::new();
    let out = from.out().to_vec();
    let consumed = to.receive(&out, 0, &mut events).expect("honest engines");
    from.sent(consumed);
    events
}

/// The list as a server decodes it, and whether the request ends there.
fn request(list: &List<'_>) -> Fields {
    let (mut client, mut server) = pair();
    client
        .open(|to| list.iter().for_each(|(n, v)| to.field(n.as_bytes(), v.as_bytes())), false)
        .expect("free");
    pump(&mut client, &mut server);
    server.head(StreamId(1)).expect("well formed")
}

fn response(list: &List<'_>) -> Fields {
    let (mut client, mut server) = pair();
    client.open(|to| GET.iter().for_each(|(n, v)| to.field(n.as_bytes(), v.as_bytes())), true).expect("free");
    pump(&mut client, &mut server);
    server.send_fields(
        StreamId(1),
        |to| list.iter().for_each(|(n, v)| to.field(n.as_bytes(), v.as_bytes())),
        false,
    );
    pump(&mut server, &mut client);
    client.head(StreamId(1)).expect("well formed")
}

const GET: &List<'static> =
    &[(":method", "GET"), (":scheme", "https"), (":authority", "a.test"), (":path", "/x?y")];

fn of<'a>(method: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut list = GET.to_vec();
    list[0].1 = method;
    list.extend_from_slice(more);
    list
}

#[test]
fn requests_to_text() {
    let chunked = "transfer-encoding: chunked\r\n";
    type Case = (Vec<(&'static str, &'static str)>, bool, String);
    let cases: Vec<Case> = vec![
        (of("GET", &[]), true, "GET /x?y HTTP/1.1\r\nhost: a.test\r\n".into()),
        (
            of("GET", &[("accept", "*/*")]),
            true,
            "GET /x?y HTTP/1.1\r\nhost: a.test\r\naccept: */*\r\n".into(),
        ),
        (of("POST", &[]), false, format!("POST /x?y HTTP/1.1\r\nhost: a.test\r\n{chunked}")),
        (
            of("POST", &[("content-length", "3")]),
            false,
            "POST /x?y HTTP/1.1\r\nhost: a.test\r\ncontent-length: 3\r\n".into(),
        ),
        (
            of("POST", &[("content-length", "0")]),
            true,
            "POST /x?y HTTP/1.1\r\nhost: a.test\r\ncontent-length: 0\r\n".into(),
        ),
        (
            of(
                "GET",
                &[("cookie", "a=b"), ("host", "A.test"), ("x", "y"), ("cookie", "c=d"), ("te", "trailers")],
            ),
            true,
            "GET /x?y HTTP/1.1\r\nhost: a.test\r\nx: y\r\ncookie: a=b; c=d\r\n".into(),
        ),
        (
            vec![(":method", "GET"), (":scheme", "http"), (":path", "/"), ("host", "b.test:80")],
            true,
            "GET / HTTP/1.1\r\nhost: b.test:80\r\n".into(),
        ),
        (
            vec![(":method", "OPTIONS"), (":scheme", "http"), (":path", "*"), (":authority", "a.test")],
            true,
            "OPTIONS * HTTP/1.1\r\nhost: a.test\r\n".into(),
        ),
        (
            vec![(":method", "CONNECT"), (":authority", "a.test:443")],
            false,
            "CONNECT a.test:443 HTTP/1.1\r\nhost: a.test:443\r\n".into(),
        ),
    ];
    for (list, end, expected) in cases {
        let fields = request(&list);
        let mut text = Vec::new();
        request_text(&fields, end, NONCE, &mut text).expect("sayable");
        assert_eq!(String::from_utf8_lossy(&text), format!("{expected}\r\n"));
        let mut room = uninit_headers::<MAX_FIELDS>();
        let head = parse_request(&text, &mut room, &http1::Limits::default()).expect("well formed");
        assert_eq!(head.expect("whole").head_len, text.len());
    }
}

#[test]
fn websocket_to_text() {
    let list = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":path", "/chat"),
        (":authority", "a.test"),
        ("sec-websocket-version", "13"),
    ];
    for key in [None, Some("dGhlIHNhbXBsZSBub25jZQ==")] {
        let mut list = list.to_vec();
        list.extend(key.map(|key| ("sec-websocket-key", key)));
        let mut text = Vec::new();
        request_text(&request(&list), false, NONCE, &mut text).expect("sayable");
        let mut room = uninit_headers::<MAX_FIELDS>();
        let head = parse_request(&text, &mut room, &http1::Limits::default()).unwrap().expect("whole");
        assert_eq!((head.method, head.target, head.upgrade), ("GET", "/chat", Some("websocket")));
        assert_eq!(head.framing, Framing::None);
        let keys: Vec<_> = head.headers.iter().filter(|header| header.name == "sec-websocket-key").collect();
        assert_eq!(keys.len(), 1);
        // RFC 6455 §1.3: the sample nonce and its key.
        assert_eq!(keys[0].value, b"dGhlIHNhbXBsZSBub25jZQ==");
    }
}

/// RFC 6455 §1.3.
#[test]
fn the_accept_of_a_key() {
    assert_eq!(&websocket_accept(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn requests_that_text_cannot_say() {
    use MalformedRequest::{Authority, Ended, Length, Path, Protocol, Scheme};
    let with = |name: &'static str, value: &'static str| {
        let mut list = GET.to_vec();
        match list.iter_mut().find(|field| field.0 == name) {
            Some(field) => field.1 = value,
            None => list.push((name, value)),
        }
        list
    };
    let websocket = |protocol: &'static str| {
        let mut list = with(":method", "CONNECT");
        list.push((":protocol", protocol));
        list
    };
    let nowhere = vec![(":method", "GET"), (":scheme", "http"), (":path", "/")];
    let cases = [
        ("another scheme", with(":scheme", "ftp"), true, Scheme),
        ("relative path", with(":path", "x"), true, Path),
        ("absolute path form", with(":path", "http://a.test/"), true, Path),
        ("asterisk of GET", with(":path", "*"), true, Path),
        ("space in the path", with(":path", "/ HTTP/1.1"), true, Path),
        ("beyond ASCII", with(":path", "/\u{e9}"), true, Path),
        ("another host", with("host", "b.test"), true, Authority),
        ("no authority", nowhere, true, Authority),
        ("empty authority", with(":authority", ""), true, Authority),
        ("space in the authority", with(":authority", "a b"), true, Authority),
        ("another protocol", websocket("connect-udp"), false, Protocol),
        ("no tunnel", websocket("websocket"), true, Ended),
        ("length without body", with("content-length", "1"), true, Length),
    ];
    for (name, list, end, error) in cases {
        let mut text = b"before".to_vec();
        assert_eq!(request_text(&request(&list), end, NONCE, &mut text), Err(error), "{name}");
        assert_eq!(text, b"before", "{name}");
        assert_eq!(error.status(), if error == Protocol { 501 } else { 400 });
    }
}

#[test]
fn responses_to_text() {
    let plain = AskedOf::default();
    let head = AskedOf { head: true, ..plain };
    let connect = AskedOf { connect: true, ..plain };
    let key = b"dGhlIHNhbXBsZSBub25jZQ==";
    let websocket = AskedOf { websocket_key: Some(key), ..plain };
    let accepted = "connection: upgrade\r\nupgrade: websocket\r\n\
                    sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    type Said = Result<&'static str, MalformedResponse>;
    type Case<'a> = (&'static str, Option<&'static str>, bool, AskedOf<'a>, Said);
    let call = AskedOf { call: true, ..plain };
    let cases: [Case<'_>; 20] = [
        ("200", None, false, plain, Ok("HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n")),
        ("200", None, true, plain, Ok("HTTP/1.1 200 \r\ncontent-length: 0\r\n")),
        ("200", Some("2"), false, plain, Ok("HTTP/1.1 200 \r\ncontent-length: 2\r\n")),
        ("200", Some("2"), true, plain, Err(MalformedResponse::Length)),
        ("200", Some("2"), true, head, Ok("HTTP/1.1 200 \r\ncontent-length: 2\r\n")),
        ("200", None, true, head, Ok("HTTP/1.1 200 \r\n")),
        ("200", None, false, head, Ok("HTTP/1.1 200 \r\n")),
        ("200", Some("2"), false, call, Ok("HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n")),
        ("200", None, true, call, Ok("HTTP/1.1 200 \r\ncontent-length: 0\r\n")),
        ("200", Some("2"), true, call, Err(MalformedResponse::Length)),
        ("103", None, false, plain, Ok("HTTP/1.1 103 \r\n")),
        ("204", None, true, plain, Ok("HTTP/1.1 204 \r\n")),
        ("204", None, false, plain, Ok("HTTP/1.1 204 \r\n")),
        ("304", Some("2"), true, plain, Ok("HTTP/1.1 304 \r\ncontent-length: 2\r\n")),
        ("200", None, false, connect, Ok("HTTP/1.1 200 \r\n")),
        ("200", Some("2"), false, connect, Err(MalformedResponse::Length)),
        ("502", None, true, connect, Ok("HTTP/1.1 502 \r\ncontent-length: 0\r\n")),
        ("200", None, false, websocket, Ok(accepted)),
        ("200", Some("2"), false, websocket, Err(MalformedResponse::Length)),
        ("403", None, true, websocket, Ok("HTTP/1.1 403 \r\ncontent-length: 0\r\n")),
    ];
    for (status, length, end, asked, expected) in cases {
        let mut list = vec![(":status", status)];
        list.extend(length.map(|length| ("content-length", length)));
        let mut text = Vec::new();
        let result = response_text(&response(&list), end, &asked, &mut text);
        let Ok(expected) = expected else {
            assert_eq!((result, &text[..]), (expected.map(|_| ()), &b""[..]), "{status} {asked:?}");
            continue;
        };
        assert_eq!(result, Ok(()), "{status} {asked:?}");
        let switched = status == "200" && asked.websocket_key.is_some();
        let line = if switched { "HTTP/1.1 101 \r\n" } else { "" };
        assert_eq!(String::from_utf8_lossy(&text), format!("{line}{expected}\r\n"), "{asked:?}");
        let method = if asked.head {
            "HEAD"
        } else if asked.connect {
            "CONNECT"
        } else {
            "GET"
        };
        let upgrade = asked.websocket_key.map(|_| "websocket");
        let mut room = uninit_headers::<MAX_FIELDS>();
        let parsed = parse_response(&text, &mut room, &http1::Limits::default(), &Asked { method, upgrade });
        assert_eq!(
            parsed.expect("well formed").expect("whole").tunnel,
            switched || (asked.connect && status == "200")
        );
    }
    let list = [(":status", "200"), ("sec-websocket-accept", "x")];
    let result = response_text(&response(&list), false, &websocket, &mut Vec::new());
    assert_eq!(result, Err(MalformedResponse::Accept));
}

/// A request head in text, through an HTTP/2 connection, back to text.
fn carried(text: &str, edits: &RequestEdits<'_>, added: &[(&str, &[u8])]) -> Result<String, Unsayable> {
    let mut room = uninit_headers::<MAX_FIELDS>();
    let head = parse_request(text.as_bytes(), &mut room, &http1::Limits::default()).unwrap().expect("whole");
    let fields = RequestFields::new(&head, edits, added.iter().copied(), "http", true)?;
    let (mut client, mut server) = pair();
    assert!(client.extended_connect());
    let end = head.framing == Framing::None && head.upgrade.is_none() && head.method != "CONNECT";
    client.open(|to| fields.encode(to), end).expect("free");
    assert!(matches!(pump(&mut client, &mut server)[..], [Event::Head { .. }]), "{text}");
    let mut out = Vec::new();
    request_text(&server.head(StreamId(1)).expect("a head"), end, NONCE, &mut out).expect("sayable");
    // As a list it says the same, whatever stands behind.
    let mut list = Vec::new();
    if fields.write_list(true, &mut list) {
        let len = list.len();
        (0..len).for_each(|cut| assert!(RequestList::read(&list[..cut]).is_none(), "{text}"));
        list.extend_from_slice(b"body");
        let list = RequestList::read(&list).expect("whole");
        assert_eq!((list.framing, list.is_head, list.is_call), (head.framing, head.method == "HEAD", true));
        assert_eq!(list.len, len);
        client.open(|to| list.encode("http", to), end).expect("free");
        assert!(matches!(pump(&mut client, &mut server)[..], [Event::Head { .. }]), "{text}");
        let mut again = Vec::new();
        request_text(&server.head(StreamId(3)).expect("a head"), end, NONCE, &mut again).expect("sayable");
        assert_eq!(String::from_utf8_lossy(&again), String::from_utf8_lossy(&out));
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

#[test]
fn text_is_no_list() {
    for text in ["", "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", "\r\n"] {
        assert!(RequestList::read(text.as_bytes()).is_none(), "{text}");
    }
    let mut room = uninit_headers::<MAX_FIELDS>();
    for text in [
        "CONNECT b.test:1 HTTP/1.1\r\nHost: b.test:1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: b.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ] {
        let head =
            parse_request(text.as_bytes(), &mut room, &http1::Limits::default()).unwrap().expect("whole");
        let none = RequestEdits::default();
        let fields = RequestFields::new(&head, &none, std::iter::empty(), "http", true).expect("sayable");
        let mut out = Vec::new();
        assert!(!fields.write_list(false, &mut out) && out.is_empty(), "{text}");
    }
}

#[test]
fn requests_from_text() {
    let none = RequestEdits::default();
    let cases = [
        (
            "GET /a HTTP/1.1\r\nHost: a.test\r\nAccept: */*\r\nX-Up: Case\r\n\r\n",
            "GET /a HTTP/1.1\r\nhost: a.test\r\naccept: */*\r\nx-up: Case\r\n\r\n",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTE: gzip\r\nKeep-Alive: 1\r\n\
             Connection: close, X-Hop\r\nX-Hop: 1\r\nProxy-Connection: close\r\nHTTP2-Settings: x\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\nCookie: a=b; c=d\r\n\r\n",
            "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 3\r\ncookie: a=b; c=d\r\n\r\n",
        ),
        ("HEAD /h HTTP/1.1\r\nHost: b.test\r\n\r\n", "HEAD /h HTTP/1.1\r\nhost: b.test\r\n\r\n"),
        ("GET http://b.test?q HTTP/1.1\r\nHost: b.test\r\n\r\n", "GET /?q HTTP/1.1\r\nhost: b.test\r\n\r\n"),
        ("OPTIONS * HTTP/1.1\r\nHost: b.test\r\n\r\n", "OPTIONS * HTTP/1.1\r\nhost: b.test\r\n\r\n"),
        (
            "CONNECT b.test:1 HTTP/1.1\r\nHost: b.test:1\r\n\r\n",
            "CONNECT b.test:1 HTTP/1.1\r\nhost: b.test:1\r\n\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nHost: b.test\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: b.test\r\n\r\n",
        ),
        (
            "GET /ws HTTP/1.1\r\nHost: b.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Key: AAAA\r\nSec-WebSocket-Version: 13\r\n\r\n",
            "GET /ws HTTP/1.1\r\nhost: b.test\r\nsec-websocket-version: 13\r\n\
             connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        ),
    ];
    for (text, expected) in cases {
        // An upgrade that is not relayed has no body either.
        let result = carried(text, &none, &[]);
        let expected = if text.contains("h2c") {
            expected.replace("\r\n\r\n", "\r\ntransfer-encoding: chunked\r\n\r\n")
        } else {
            expected.to_owned()
        };
        assert_eq!(result.as_deref(), Ok(&expected[..]), "{text}");
    }
    let text = "GET /a HTTP/1.1\r\nHost: a.test\r\nX-Gone: 1\r\nX-Stays: 1\r\n\r\n";
    let mut removed = FieldSet::EMPTY;
    removed.insert(1);
    let edits = RequestEdits { target: Some("/b"), authority: Some("b.test"), removed };
    let added: &[(&str, &[u8])] = &[("X-Added", b"1")];
    let expected = "GET /b HTTP/1.1\r\nhost: b.test\r\nx-stays: 1\r\nx-added: 1\r\n\r\n";
    assert_eq!(carried(text, &edits, added).as_deref(), Ok(expected));
}

#[test]
fn requests_that_http2_cannot_say() {
    let none = RequestEdits::default();
    let text = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    type Case = (&'static str, RequestEdits<'static>, &'static [(&'static str, &'static [u8])], Unsayable);
    let cases: [Case; 5] = [
        ("GET / HTTP/1.0\r\n\r\n", none, &[], Unsayable::Authority),
        (text, RequestEdits { target: Some("/a b"), ..none }, &[], Unsayable::Target),
        (text, RequestEdits { authority: Some("a b"), ..none }, &[], Unsayable::Authority),
        (text, none, &[("x", b"a\r\nb")], Unsayable::Field),
        (text, none, &[("te", b"gzip")], Unsayable::Field),
    ];
    for (text, edits, added, error) in cases {
        assert_eq!(carried(text, &edits, added), Err(error), "{text}");
    }
    let text = "GET / HTTP/1.1\r\nHost: b\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let mut room = uninit_headers::<MAX_FIELDS>();
    let head = parse_request(text.as_bytes(), &mut room, &http1::Limits::default()).unwrap().expect("whole");
    let result = RequestFields::new(&head, &none, std::iter::empty(), "http", false);
    assert_eq!(result.err(), Some(Unsayable::Upgrade));
}

#[test]
fn responses_from_text() {
    let asked = Asked { method: "GET", upgrade: Some("websocket") };
    let cases = [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\nX-Up: a\r\n\r\n",
            (200, "x-up: a\r\ncontent-length: 2\r\n"),
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n", (200, "trailer: x\r\n")),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", (204, "")),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", (304, "content-length: 9\r\n")),
        ("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", (103, "link: x\r\n")),
        ("HTTP/1.0 200 OK\r\nKeep-Alive: 5\r\n\r\n", (200, "")),
        (
            "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: p\r\n\r\n",
            (200, "sec-websocket-protocol: p\r\n"),
        ),
        (
            "HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n",
            (200, "set-cookie: a\r\nset-cookie: b\r\n"),
        ),
    ];
    for (text, (status, lines)) in cases {
        let mut room = uninit_headers::<MAX_FIELDS>();
        let head = parse_response(text.as_bytes(), &mut room, &http1::Limits::default(), &asked);
        let head = head.unwrap().expect("whole");
        let none = std::iter::empty();
        let fields = ResponseFields::new(&head, FieldSet::EMPTY, none).expect("sayable");
        let (mut client, mut server) = pair();
        client
            .open(|to| GET.iter().for_each(|(n, v)| to.field(n.as_bytes(), v.as_bytes())), true)
            .expect("free");
        pump(&mut client, &mut server);
        server.send_fields(StreamId(1), |to| fields.encode(to), false);
        pump(&mut server, &mut client);
        let received = client.head(StreamId(1)).expect("well formed");
        assert_eq!((received.status(), received.lines()), (status, lines.as_bytes()), "{text}");
        let bad = [("x", &b"\n"[..])];
        let refused = ResponseFields::new(&head, FieldSet::EMPTY, bad.into_iter());
        assert_eq!(refused.err(), Some(Unsayable::Field));
    }
}

#[test]
fn trailers_from_text() {
    let (mut client, mut server) = pair();
    client
        .open(|to| GET.iter().for_each(|(n, v)| to.field(n.as_bytes(), v.as_bytes())), false)
        .expect("free");
    client.send_fields(StreamId(1), |to| trailer_fields(b"Grpc-Status:0\r\nX:  a: b \r\n\r\n", to), true);
    pump(&mut client, &mut server);
    let trailers = server.trailers(StreamId(1)).expect("well formed");
    assert_eq!(trailers.lines(), b"grpc-status: 0\r\nx: a: b\r\n");
}
