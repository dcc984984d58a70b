//! Clients that speak HTTP/2, towards an endpoint of HTTP/1.1: what can be said in frames and would be
//! more than one message as text.

use tests::h2::{Answer, Client, code, data, headers, request};

use super::{SMUGGLED, Site};

type Fields<'a> = Vec<(&'a str, &'a str)>;

fn post(more: &[(&'static str, &'static str)]) -> Fields<'static> {
    [request("POST", "/h1/h2"), more.to_vec()].concat()
}

/// The same with one pseudo-header field in another way.
fn with(name: &str, value: &'static str) -> Fields<'static> {
    post(&[]).into_iter().map(|(other, old)| (other, if other == name { value } else { old })).collect()
}

/// Sends a request with a body and returns what came of it. The connection lives on.
fn send(client: &mut Client, fields: &Fields<'_>, body: &[u8]) -> Answer {
    let stream = client.next_stream();
    client.send([headers(stream, fields, false), data(stream, body, true)].concat()).unwrap();
    client.answer(stream).unwrap()
}

/// How a request is turned down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    /// It is malformed in HTTP/2 already: RST_STREAM with PROTOCOL_ERROR.
    Reset,
    /// It has no one meaning in HTTP/1.1: 400.
    Status,
}

/// Each of these requests is turned down, and no endpoint hears of it.
fn refused(what: &str, table: &[(Fields<'_>, Refused)]) {
    let site = Site::start();
    let mut client = site.h2_client();
    for (fields, how) in table {
        let before = site.sent();
        let answer = send(&mut client, fields, format!("0\r\n\r\n{SMUGGLED}").as_bytes());
        let got = (answer.status, answer.reset.filter(|code| *code != code::NO_ERROR));
        let expected = match how {
            Refused::Reset => (0, Some(code::PROTOCOL_ERROR)),
            Refused::Status => (400, None),
        };
        assert_eq!(got, expected, "{what}: {fields:?}");
        assert_eq!(site.sent(), before, "{what}: an endpoint heard of {fields:?}");
    }
    assert_eq!(client.get("/h1/alive").unwrap().text(), "GET /h1/alive", "{what}: the connection lives");
    site.is_sound(what);
}

#[test]
fn cl_te_and_te_cl() {
    needs_lab!();
    refused(
        "CL.TE",
        &[
            (post(&[("content-length", "45"), ("transfer-encoding", "chunked")]), Refused::Reset),
            (post(&[("transfer-encoding", "chunked"), ("content-length", "45")]), Refused::Reset),
            (post(&[("transfer-encoding", "chunked")]), Refused::Reset),
            (post(&[("Transfer-Encoding", "chunked")]), Refused::Reset),
            (post(&[("transfer-encoding ", "chunked")]), Refused::Reset),
            (post(&[("te", "chunked")]), Refused::Reset),
            (post(&[("connection", "transfer-encoding")]), Refused::Reset),
            (post(&[("keep-alive", "timeout=5")]), Refused::Reset),
            (post(&[("proxy-connection", "keep-alive")]), Refused::Reset),
            (post(&[("upgrade", "websocket")]), Refused::Reset),
        ],
    );
}

/// One length, a plain number, and that of the DATA that follows.
#[test]
fn content_length_mismatch() {
    needs_lab!();
    let other = |values: &[&'static str]| {
        let fields: Vec<_> = values.iter().map(|value| ("content-length", *value)).collect();
        (post(&fields), Refused::Reset)
    };
    refused(
        "a length that is none",
        &[
            other(&["45", "45"]),
            other(&["0", "45"]),
            other(&["45, 45"]),
            other(&["+45"]),
            other(&["-45"]),
            other(&["0x2d"]),
            other(&[""]),
            other(&["45\t"]),
            other(&["18446744073709551661"]),
        ],
    );
    let site = Site::start();
    let mut client = site.h2_client();
    for (path, length) in [("/h1/less", "3"), ("/h1/none", "0"), ("/h1/more", "500")] {
        let fields = [request("POST", path), vec![("content-length", length)]].concat();
        let answer = send(&mut client, &fields, SMUGGLED.as_bytes());
        assert_eq!((answer.status, answer.reset), (0, Some(code::PROTOCOL_ERROR)), "{path}");
        site.is_sound(path);
        // That of length 0 is whole with its head, before the DATA that makes it malformed.
        assert!(length == "0" || !site.saw_whole(path), "{path} became whole");
    }
    let none = site.plain.messages().into_iter().filter(|one| one.asked() == "POST /h1/none");
    assert!(none.into_iter().all(|one| one.body.is_empty()));
    // And in two frames, the second of them after the first was passed on.
    let stream = client.next_stream();
    let fields = [request("POST", "/h1/late"), vec![("content-length", "5")]].concat();
    client.send([headers(stream, &fields, false), data(stream, b"123", false)].concat()).unwrap();
    tests::until("the head to arrive", || {
        site.plain.messages().iter().any(|one| one.asked() == "POST /h1/late").then_some(())
    });
    client.send(data(stream, SMUGGLED.as_bytes(), true)).unwrap();
    assert_eq!(client.answer(stream).unwrap().reset, Some(code::PROTOCOL_ERROR));
    site.is_sound("a length passed later");
    assert!(!site.saw_whole("/h1/late"));
}

/// Line ends, folds and NUL in names and values.
#[test]
fn lines_in_fields() {
    needs_lab!();
    refused(
        "lines in fields",
        &[
            (post(&[("x", "y\r\nTransfer-Encoding: chunked")]), Refused::Reset),
            (post(&[("x", "y\nContent-Length: 5")]), Refused::Reset),
            (post(&[("x", "y\rContent-Length: 5")]), Refused::Reset),
            (post(&[("x", "y\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n")]), Refused::Reset),
            (post(&[("x", "y\r\n folded: z")]), Refused::Reset),
            (post(&[("x", "y\0z")]), Refused::Reset),
            (post(&[("x", " y")]), Refused::Reset),
            (post(&[("x: y\r\ntransfer-encoding", "chunked")]), Refused::Reset),
            (post(&[("x\r\n y", "z")]), Refused::Reset),
            (post(&[("x:", "y")]), Refused::Reset),
            (post(&[("x y", "z")]), Refused::Reset),
            (post(&[("", "y")]), Refused::Reset),
            (post(&[("X", "y")]), Refused::Reset),
            (post(&[("cookie", "a=b\r\nContent-Length: 5")]), Refused::Reset),
        ],
    );
}

#[test]
fn names_with_underscores() {
    needs_lab!();
    refused(
        "underscores",
        &[
            (post(&[("content_length", "5")]), Refused::Status),
            (post(&[("transfer_encoding", "chunked")]), Refused::Status),
        ],
    );
}

#[test]
fn pseudo_header_injection() {
    needs_lab!();
    let late =
        [(":method", "POST"), (":scheme", "http"), (":path", "/h1/h2"), ("x", "y"), (":authority", "a.test")];
    let twice = |name: &'static str, value: &'static str| {
        let mut fields = post(&[]);
        fields.insert(1, (name, value));
        (fields, Refused::Reset)
    };
    refused(
        "pseudo-header fields",
        &[
            (with(":path", "/h1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX: y"), Refused::Reset),
            (with(":path", "/h1 HTTP/1.0\r\n\r\nGET /smuggled"), Refused::Reset),
            (with(":path", "/h1 HTTP/1.1"), Refused::Status),
            (with(":path", "/h1\tHTTP/1.0"), Refused::Status),
            (with(":path", "h1"), Refused::Status),
            (with(":path", "*"), Refused::Status),
            (with(":path", "http://b.test/h1"), Refused::Status),
            (with(":path", "/h1#/smuggled"), Refused::Status),
            (with(":path", "/h1/\u{e9}"), Refused::Status),
            (with(":path", ""), Refused::Reset),
            (with(":method", "GET /smuggled HTTP/1.1\r\nX:"), Refused::Reset),
            (with(":method", "GET /smuggled"), Refused::Reset),
            (with(":method", ""), Refused::Reset),
            (with(":authority", "a.test\r\nX: y"), Refused::Reset),
            (with(":authority", "a.test/h1"), Refused::Status),
            (with(":authority", "user@a.test"), Refused::Status),
            (with(":authority", "a.test, b.test"), Refused::Status),
            (with(":authority", "a test"), Refused::Status),
            (with(":scheme", "http://b.test/h1?"), Refused::Status),
            (with(":scheme", "http\r\nX: y"), Refused::Reset),
            twice(":path", "/smuggled"),
            twice(":method", "GET"),
            twice(":authority", "b.test"),
            twice(":status", "200"),
            twice(":protocol", "websocket"),
            twice(":unknown", "x"),
            (late.to_vec(), Refused::Reset),
            (post(&[(":path", "/smuggled")]), Refused::Reset),
            (post(&[("x", "y"), (":authority", "b.test")]), Refused::Reset),
        ],
    );
}

/// As absolute form against Host.
#[test]
fn authority_against_host() {
    needs_lab!();
    let without: Fields<'_> =
        request("POST", "/h1/h2").into_iter().filter(|one| one.0 != ":authority").collect();
    refused(
        "authority against host",
        &[
            (post(&[("host", "b.test")]), Refused::Status),
            (post(&[("host", "a.test:81")]), Refused::Status),
            (post(&[("host", "")]), Refused::Status),
            (post(&[("host", "a.test"), ("host", "b.test")]), Refused::Reset),
            (without.clone(), Refused::Status),
            ([without.clone(), vec![("host", "a.test/h1")]].concat(), Refused::Status),
        ],
    );
    let site = Site::start();
    let mut client = site.h2_client();
    for fields in [post(&[("host", "a.test")]), [without, vec![("host", "a.test")]].concat()] {
        assert_eq!(send(&mut client, &fields, b"").status, 200, "{fields:?}");
        assert_eq!(site.plain.messages().pop().unwrap().fields("host"), ["a.test"], "the host is said once");
    }
}

/// A body without a length is framed by us; what looks like framing in it, or in its trailers, is none.
#[test]
fn bodies_are_framed_by_us() {
    needs_lab!();
    let site = Site::start();
    let mut client = site.h2_client();
    let body = format!("5;\nhello\r\n0\r\n\r\n{SMUGGLED}");
    let answer = send(&mut client, &request("POST", "/h1/body"), body.as_bytes());
    assert_eq!((answer.status, answer.text().as_str()), (200, "POST /h1/body"));
    assert_eq!(site.body_of("/h1/body"), body.as_bytes());
    assert_eq!(site.plain.messages().pop().unwrap().fields("transfer-encoding"), ["chunked"]);

    let stream = client.next_stream();
    let trailers = [("content-length", "5"), ("host", "b.test"), ("authorization", "x"), ("x-end", "yes")];
    let frames = [
        headers(stream, &request("POST", "/h1/trailers"), false),
        data(stream, b"x", false),
        headers(stream, &trailers, true),
    ];
    client.send(frames.concat()).unwrap();
    assert_eq!(client.answer(stream).unwrap().status, 200);
    assert_eq!(site.body_of("/h1/trailers"), b"x");
    assert_eq!(site.plain.messages().pop().unwrap().trailers, "x-end: yes\r\n");

    // Trailers that are no fields at all are an error of the stream.
    for trailer in [(":path", "/smuggled"), ("x", "y\r\n\r\nGET /smuggled"), ("transfer-encoding", "chunked")]
    {
        let stream = client.next_stream();
        let begin = headers(stream, &request("POST", "/h1/bad"), false);
        client.send([begin, data(stream, b"x", false), headers(stream, &[trailer], true)].concat()).unwrap();
        assert_eq!(client.answer(stream).unwrap().reset, Some(code::PROTOCOL_ERROR), "{trailer:?}");
        site.is_sound("trailers");
        assert!(!site.saw_whole("/h1/bad"), "{trailer:?}");
    }
}
