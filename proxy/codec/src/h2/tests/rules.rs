//! What a peer does wrong and what that leads to, rule by rule; the names of h2spec's cases stand where it
//! has one.

use super::*;

/// What it is, what the peer sends, what that leads to.
type Case = (&'static str, Vec<u8>, Expect);
type Fields = Vec<(&'static str, &'static str)>;

enum Expect {
    /// GOAWAY with this code, and an error.
    Connection(ErrorCode),
    /// RST_STREAM of this stream with this code; the connection lives.
    Stream(u32, ErrorCode),
    /// Neither; the connection answers a PING.
    Fine,
}

use Expect::{Connection as Fatal, Fine, Stream};

const PROTOCOL: ErrorCode = ErrorCode::PROTOCOL_ERROR;
const CLOSED: ErrorCode = ErrorCode::STREAM_CLOSED;
const SIZE: ErrorCode = ErrorCode::FRAME_SIZE_ERROR;
const FLOW: ErrorCode = ErrorCode::FLOW_CONTROL_ERROR;
const COMPRESSION: ErrorCode = ErrorCode::COMPRESSION_ERROR;

fn check(engine: &mut Engine, name: &str, input: &[u8], expect: &Expect) {
    let result = engine.give(input);
    let frames = engine.take();
    let resets: Vec<_> = frames.iter().filter(|(head, _)| head.kind == kind::RST_STREAM).collect();
    match expect {
        Fatal(code) => {
            assert_eq!(result.map_err(|error| error.code), Err(*code), "{name}");
            let (head, payload) = frames.last().expect(name);
            assert_eq!((head.kind, code_of(payload)), (kind::GOAWAY, *code), "{name}");
            assert!(engine.connection.is_done(), "{name}");
            let again = engine.connection.receive(&raw(kind::PING, 0, 0, &[0; 8]), 0, &mut engine.events);
            assert_eq!(again.map_err(|error| error.code), Err(*code), "{name}: it stays failed");
        }
        Stream(id, code) => {
            assert_eq!(result, Ok(()), "{name}");
            assert_eq!(resets.len(), 1, "{name}: {frames:?}");
            assert_eq!((resets[0].0.stream, code_of(&resets[0].1)), (*id, *code), "{name}");
        }
        Fine => {
            assert_eq!(result, Ok(()), "{name}");
            assert!(resets.is_empty(), "{name}: {frames:?}");
        }
    }
    if !matches!(expect, Fatal(_)) {
        engine.give(&raw(kind::PING, 0, 0, b"12345678")).expect(name);
        let (head, payload) = engine.take().pop().expect(name);
        assert_eq!(
            (head.kind, head.flags, &payload[..]),
            (kind::PING, flag::ACK, &b"12345678"[..]),
            "{name}"
        );
    }
}

fn cat(parts: &[Vec<u8>]) -> Vec<u8> {
    parts.concat()
}

fn with(list: List, more: &[(&'static str, &'static str)]) -> Fields {
    [list, more].concat()
}

fn without(list: List, name: &str) -> Fields {
    list.iter().copied().filter(|field| field.0 != name).collect()
}

/// Of a server, after the greeting.
#[test]
fn frames_on_streams_in_every_state() {
    let half_closed = || headers(1, GET, true);
    let open = || headers(1, POST, false);
    let continuation = |stream| raw(kind::CONTINUATION, flag::END_HEADERS, stream, &block(&[("x", "y")]));
    let reset = || rst(1, ErrorCode::CANCEL);
    let cases: Vec<Case> = vec![
        ("5.1/1 idle: DATA", data(1, b"test", true), Fatal(PROTOCOL)),
        ("5.1/2 idle: RST_STREAM", rst(1, ErrorCode::CANCEL), Fatal(PROTOCOL)),
        ("5.1/3 idle: WINDOW_UPDATE", window_update(1, 100), Fatal(PROTOCOL)),
        ("5.1/4 idle: CONTINUATION", continuation(1), Fatal(PROTOCOL)),
        ("idle: PRIORITY", raw(kind::PRIORITY, 0, 1, &[0, 0, 0, 0, 0]), Fine),
        ("5.1/5 half-closed: DATA", cat(&[half_closed(), data(1, b"test", true)]), Stream(1, CLOSED)),
        ("5.1/6 half-closed: HEADERS", cat(&[half_closed(), half_closed()]), Stream(1, CLOSED)),
        ("5.1/7 half-closed: CONTINUATION", cat(&[half_closed(), continuation(1)]), Fatal(PROTOCOL)),
        ("half-closed: WINDOW_UPDATE", cat(&[half_closed(), window_update(1, 9)]), Fine),
        ("half-closed: RST_STREAM", cat(&[half_closed(), reset()]), Fine),
        ("5.1/8 reset: DATA", cat(&[half_closed(), reset(), data(1, b"test", true)]), Fatal(CLOSED)),
        ("5.1/9 reset: HEADERS", cat(&[half_closed(), reset(), half_closed()]), Fatal(CLOSED)),
        ("5.1/10 reset: CONTINUATION", cat(&[half_closed(), reset(), continuation(1)]), Fatal(PROTOCOL)),
        ("reset: WINDOW_UPDATE", cat(&[half_closed(), reset(), window_update(1, 9)]), Fine),
        ("reset: RST_STREAM", cat(&[half_closed(), reset(), reset()]), Fine),
        ("reset: PRIORITY", cat(&[half_closed(), reset(), raw(kind::PRIORITY, 0, 1, &[0; 5])]), Fine),
        ("5.1.1/1 even stream", headers(2, GET, true), Fatal(PROTOCOL)),
        ("5.1.1/2 lower stream", cat(&[headers(5, GET, true), headers(3, GET, true)]), Fatal(PROTOCOL)),
        ("DATA on a skipped stream", cat(&[headers(5, GET, true), data(3, b"x", true)]), Fatal(PROTOCOL)),
        ("even stream: DATA", data(2, b"x", true), Fatal(PROTOCOL)),
        ("even stream: RST_STREAM", rst(2, ErrorCode::CANCEL), Fatal(PROTOCOL)),
        ("open: trailers", cat(&[open(), headers(1, &[("x", "y")], true)]), Fine),
        (
            "8.1/1 trailers without END_STREAM",
            cat(&[open(), headers(1, &[("x", "y")], false)]),
            Stream(1, PROTOCOL),
        ),
    ];
    for (name, input, expect) in &cases {
        check(&mut Engine::server(), name, input, expect);
    }
}

/// Streams that both sides have ended, before and after the user lets go of them.
#[test]
fn frames_on_closed_streams() {
    for close in [false, true] {
        let cases = [
            ("5.1/11 closed: DATA", data(1, b"test", true), Fatal(CLOSED)),
            ("5.1/12 closed: HEADERS", headers(1, GET, true), Fatal(CLOSED)),
            (
                "5.1/13 closed: CONTINUATION",
                raw(kind::CONTINUATION, flag::END_HEADERS, 1, &[]),
                Fatal(PROTOCOL),
            ),
            ("closed: WINDOW_UPDATE", window_update(1, 9), Fine),
            ("closed: RST_STREAM", rst(1, ErrorCode::NO_ERROR), Fine),
            ("closed: PRIORITY", raw(kind::PRIORITY, 0, 1, &[0; 5]), Fine),
            ("6.3/2 closed: PRIORITY of 4", raw(kind::PRIORITY, 0, 1, &[0; 4]), Stream(1, SIZE)),
            ("closed: PRIORITY on itself", raw(kind::PRIORITY, 0, 1, &[0, 0, 0, 1, 0]), Stream(1, PROTOCOL)),
        ];
        for (name, input, expect) in &cases {
            let mut engine = Engine::server();
            let id = engine.get(1);
            engine.connection.send_fields(id, write(OK), true);
            if close {
                engine.connection.close(id);
            }
            engine.take();
            check(&mut engine, &format!("{name}, let go: {close}"), input, expect);
        }
    }
}

/// RFC 9113 §5.1: what was in flight when we reset a stream is no error.
#[test]
fn frames_on_streams_that_we_reset() {
    for close in [false, true] {
        let cases = [
            ("DATA", data(1, b"test", true)),
            ("trailers", headers(1, &[("x", "y")], true)),
            ("RST_STREAM", rst(1, ErrorCode::CANCEL)),
            ("WINDOW_UPDATE", window_update(1, 9)),
        ];
        for (name, input) in cases {
            let mut engine = Engine::server();
            engine.give(&headers(1, POST, false)).unwrap();
            engine.connection.reset(StreamId(1), ErrorCode::CANCEL);
            if close {
                engine.connection.close(StreamId(1));
            }
            engine.take();
            engine.events.clear();
            check(&mut engine, &format!("{name}, let go: {close}"), &input, &Fine);
            assert_eq!(engine.events, [], "{name}");
        }
    }
}

#[test]
fn header_blocks_of_a_wrong_shape() {
    let bare = |flags, stream, payload: &[u8]| raw(kind::HEADERS, flags, stream, payload);
    let get = block(GET);
    let own_dependency = [&[0, 0, 0, 1, 0][..], &get].concat();
    let padded = [&[200][..], &get].concat();
    let (first, rest) = get.split_at(3);
    let begun = bare(flag::END_STREAM, 1, first);
    let continued = |flags| raw(kind::CONTINUATION, flags, 1, rest);
    let cases: Vec<Case> = vec![
        ("4.2/3 HEADERS of more", bare(flag::END_HEADERS, 1, &[0x82; 16_385]), Fatal(SIZE)),
        ("4.3/1 broken block", bare(flag::END_HEADERS, 1, &[0x40]), Fatal(COMPRESSION)),
        (
            "4.3/2 PRIORITY in a block",
            cat(&[begun.clone(), raw(kind::PRIORITY, 0, 1, &[0; 5])]),
            Fatal(PROTOCOL),
        ),
        ("4.3/3 HEADERS in a block", cat(&[begun.clone(), headers(3, GET, true)]), Fatal(PROTOCOL)),
        ("5.5/2 unknown frame in a block", cat(&[begun.clone(), raw(0xfa, 0, 1, b"")]), Fatal(PROTOCOL)),
        ("5.3.1/1 depends on itself", bare(0x25, 1, &own_dependency), Stream(1, PROTOCOL)),
        ("6.2/3 HEADERS on 0", bare(flag::END_HEADERS, 0, &get), Fatal(PROTOCOL)),
        ("6.2/4 HEADERS padding", bare(0xc, 1, &padded), Fatal(PROTOCOL)),
        ("HEADERS short for priority", bare(0x24, 1, &[0; 4]), Fatal(SIZE)),
        (
            "6.10/1 CONTINUATIONs",
            cat(&[begun.clone(), continued(0), raw(kind::CONTINUATION, 4, 1, &[])]),
            Fine,
        ),
        (
            "6.10/2 CONTINUATION, then DATA",
            cat(&[begun.clone(), continued(0), data(1, b"x", true)]),
            Fatal(PROTOCOL),
        ),
        (
            "6.10/3 CONTINUATION on 0",
            cat(&[begun.clone(), raw(kind::CONTINUATION, 4, 0, rest)]),
            Fatal(PROTOCOL),
        ),
        (
            "6.10/4 CONTINUATION after END_HEADERS",
            cat(&[headers(1, GET, false), continued(4)]),
            Fatal(PROTOCOL),
        ),
        (
            "6.10/5 CONTINUATION after the last",
            cat(&[begun.clone(), continued(4), continued(4)]),
            Fatal(PROTOCOL),
        ),
        (
            "CONTINUATION on another stream",
            cat(&[begun, raw(kind::CONTINUATION, 4, 3, rest)]),
            Fatal(PROTOCOL),
        ),
    ];
    for (name, input, expect) in &cases {
        check(&mut Engine::server(), name, input, expect);
    }
}

#[test]
fn frames_of_a_wrong_shape() {
    let open = || headers(1, POST, false);
    let cases: Vec<Case> = vec![
        ("4.1/1 unknown type", raw(0xfa, 0xff, 1, b"whatever"), Fine),
        ("4.1/2 undefined flags", raw(kind::PING, 0xfe, 0, &[0; 8]), Fine),
        ("4.1/3 reserved bit", vec![0, 0, 8, 6, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], Fine),
        ("4.2/1 DATA of 2^14", cat(&[open(), data(1, &[0; 16_384], true)]), Fine),
        ("4.2/2 DATA of more", cat(&[open(), data(1, &[0; 16_385], true)]), Fatal(SIZE)),
        (
            "5.3.1/2 PRIORITY on itself",
            cat(&[open(), raw(kind::PRIORITY, 0, 1, &[0, 0, 0, 1, 0])]),
            Stream(1, PROTOCOL),
        ),
        ("PRIORITY on itself, idle", raw(kind::PRIORITY, 0, 1, &[0, 0, 0, 1, 0]), Fatal(PROTOCOL)),
        ("5.4.1 PING on a stream", raw(kind::PING, 0, 3, &[0; 8]), Fatal(PROTOCOL)),
        ("6.1/1 DATA on 0", data(0, b"x", true), Fatal(PROTOCOL)),
        ("6.1/3 DATA padding", cat(&[open(), raw(kind::DATA, 0x9, 1, b"\x06test")]), Fatal(PROTOCOL)),
        ("DATA padding alone", cat(&[open(), raw(kind::DATA, 0x9, 1, &[3, 0, 0, 0])]), Fine),
        ("DATA padded, no length", cat(&[open(), raw(kind::DATA, 0x9, 1, b"")]), Fatal(SIZE)),
        ("6.3/1 PRIORITY on 0", raw(kind::PRIORITY, 0, 0, &[0; 5]), Fatal(PROTOCOL)),
        ("6.3/2 PRIORITY of 4", cat(&[open(), raw(kind::PRIORITY, 0, 1, &[0; 4])]), Stream(1, SIZE)),
        ("6.4/1 RST_STREAM on 0", rst(0, ErrorCode::CANCEL), Fatal(PROTOCOL)),
        ("6.4/3 RST_STREAM of 3", cat(&[open(), raw(kind::RST_STREAM, 0, 1, &[0; 3])]), Fatal(SIZE)),
        ("6.7/2 PING ACK", raw(kind::PING, flag::ACK, 0, &[9; 8]), Fine),
        ("6.7/4 PING of 6", raw(kind::PING, 0, 0, &[0; 6]), Fatal(SIZE)),
        ("6.8/1 GOAWAY on a stream", raw(kind::GOAWAY, 0, 1, &[0; 8]), Fatal(PROTOCOL)),
        ("GOAWAY of 7", raw(kind::GOAWAY, 0, 0, &[0; 7]), Fatal(SIZE)),
        (
            "7/1 GOAWAY with an unknown code",
            raw(kind::GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0xff, b'x']),
            Fine,
        ),
        ("7/2 RST_STREAM with an unknown code", cat(&[open(), rst(1, ErrorCode(0xff))]), Fine),
        ("6.9/3 WINDOW_UPDATE of 3", raw(kind::WINDOW_UPDATE, 0, 0, &[0; 3]), Fatal(SIZE)),
        ("8.2 PUSH_PROMISE", cat(&[open(), raw(kind::PUSH_PROMISE, 4, 1, &[0, 0, 0, 2])]), Fatal(PROTOCOL)),
        ("PING is answered", raw(kind::PING, 0, 0, &[0; 8]), Fine),
    ];
    for (name, input, expect) in &cases {
        check(&mut Engine::server(), name, input, expect);
    }
}

#[test]
fn settings_and_windows_that_are_wrong() {
    let open = || headers(1, POST, false);
    let cases: Vec<Case> = vec![
        ("6.5/1 SETTINGS ACK with payload", raw(kind::SETTINGS, flag::ACK, 0, &[0; 6]), Fatal(SIZE)),
        ("6.5/2 SETTINGS on a stream", raw(kind::SETTINGS, 0, 1, &[]), Fatal(PROTOCOL)),
        ("6.5/3 SETTINGS of 5", raw(kind::SETTINGS, 0, 0, &[0; 5]), Fatal(SIZE)),
        ("6.5.2/1 ENABLE_PUSH", settings(&[(2, 2)]), Fatal(PROTOCOL)),
        ("6.5.2/2 INITIAL_WINDOW_SIZE", settings(&[(4, 1 << 31)]), Fatal(FLOW)),
        ("6.5.2/3 MAX_FRAME_SIZE low", settings(&[(5, 16_383)]), Fatal(PROTOCOL)),
        ("6.5.2/4 MAX_FRAME_SIZE high", settings(&[(5, 1 << 24)]), Fatal(PROTOCOL)),
        ("6.5.2/5 unknown setting", settings(&[(0xff, 1)]), Fine),
        ("ENABLE_CONNECT_PROTOCOL 2", settings(&[(8, 2)]), Fatal(PROTOCOL)),
        ("ENABLE_CONNECT_PROTOCOL back", settings(&[(8, 1), (8, 0)]), Fatal(PROTOCOL)),
        ("6.9/1 WINDOW_UPDATE of 0", window_update(0, 0), Fatal(PROTOCOL)),
        ("6.9/2 WINDOW_UPDATE of 0 on a stream", cat(&[open(), window_update(1, 0)]), Stream(1, PROTOCOL)),
        (
            "6.9.1/2 window overflow",
            cat(&[window_update(0, 0x7fff_ffff), window_update(0, 0x7fff_ffff)]),
            Fatal(FLOW),
        ),
        ("6.9.1/3 stream window overflow", cat(&[open(), window_update(1, 0x7fff_ffff)]), Stream(1, FLOW)),
        (
            "window overflow by SETTINGS",
            cat(&[open(), window_update(1, 0x7fff_0000), settings(&[(4, 0x7fff_ffff)])]),
            Fatal(FLOW),
        ),
        (
            "the window is passed",
            cat(&[open(), cat(&vec![data(1, &[0; 16_384], false); 5])]),
            Stream(1, FLOW),
        ),
    ];
    for (name, input, expect) in &cases {
        check(&mut Engine::server(), name, input, expect);
    }
}

#[test]
fn the_preface_and_the_first_frame() {
    let cases: Vec<Case> = vec![
        ("3.5/1 right", cat(&[PREFACE.to_vec(), settings(&[])]), Fine),
        ("3.5/2 invalid", b"INVALID CONNECTION PREFACE\r\n\r\n".to_vec(), Fatal(PROTOCOL)),
        ("HTTP/1.1", b"GET / HTTP/1.1\r\n".to_vec(), Fatal(PROTOCOL)),
        ("PING first", cat(&[PREFACE.to_vec(), raw(kind::PING, 0, 0, &[0; 8])]), Fatal(PROTOCOL)),
        ("ACK first", cat(&[PREFACE.to_vec(), settings_ack()]), Fatal(PROTOCOL)),
        ("HEADERS first", cat(&[PREFACE.to_vec(), headers(1, GET, true)]), Fatal(PROTOCOL)),
    ];
    for (name, input, expect) in &cases {
        let connection = Connection::new(Role::Server, &Limits::default());
        let mut engine = Engine { connection, events: Vec::new(), now: 0 };
        engine.take();
        check(&mut engine, name, input, expect);
    }
}

#[test]
fn requests_malformed_and_well_formed() {
    let malformed = || Stream(1, PROTOCOL);
    let connect: List = &[(":method", "CONNECT"), (":authority", "a.test:443")];
    let extended: List = &[
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":path", "/chat"),
        (":authority", "a.test"),
    ];
    let cases: Vec<(&str, Fields, Expect)> = vec![
        ("8.1.2/1 upper case", with(GET, &[("X-TEST", "ok")]), malformed()),
        ("8.1.2.1/1 unknown pseudo", with(GET, &[(":test", "ok")]), malformed()),
        ("8.1.2.1/2 of responses", with(GET, &[(":status", "200")]), malformed()),
        ("8.1.2.1/4 after a regular one", with(&[("x-test", "ok")], GET), malformed()),
        ("after a cookie", with(&[("cookie", "a=b")], GET), malformed()),
        ("8.1.2.2/1 connection", with(GET, &[("connection", "keep-alive")]), malformed()),
        ("proxy-connection", with(GET, &[("proxy-connection", "keep-alive")]), malformed()),
        ("keep-alive", with(GET, &[("keep-alive", "1")]), malformed()),
        ("transfer-encoding", with(GET, &[("transfer-encoding", "chunked")]), malformed()),
        ("upgrade", with(GET, &[("upgrade", "websocket")]), malformed()),
        ("8.1.2.2/2 te", with(GET, &[("te", "trailers, deflate;q=0.5")]), malformed()),
        ("te: trailers", with(GET, &[("te", "trailers")]), Fine),
        ("8.1.2.3/1 empty path", with(&without(GET, ":path").leak()[..], &[(":path", "")]), malformed()),
        ("8.1.2.3/2 no method", without(GET, ":method"), malformed()),
        ("8.1.2.3/3 no scheme", without(GET, ":scheme"), malformed()),
        ("8.1.2.3/4 no path", without(GET, ":path"), malformed()),
        ("8.1.2.3/5 two methods", with(GET, &[(":method", "GET")]), malformed()),
        ("8.1.2.3/6 two schemes", with(GET, &[(":scheme", "http")]), malformed()),
        ("8.1.2.3/7 two paths", with(GET, &[(":path", "/")]), malformed()),
        ("two authorities", with(GET, &[(":authority", "a.test")]), malformed()),
        ("two hosts", with(GET, &[("host", "a.test"), ("host", "a.test")]), malformed()),
        (
            "no token for a method",
            with(&without(GET, ":method").leak()[..], &[(":method", "G T")]),
            malformed(),
        ),
        ("empty name", with(GET, &[("", "x")]), malformed()),
        ("space in a name", with(GET, &[("x y", "x")]), malformed()),
        ("colon in a name", with(GET, &[("x:y", "x")]), malformed()),
        ("CR in a value", with(GET, &[("x", "a\rb")]), malformed()),
        ("LF in a value", with(GET, &[("x", "a\nb: c")]), malformed()),
        ("NUL in a value", with(GET, &[("x", "a\0b")]), malformed()),
        ("LF in the path", with(&without(GET, ":path").leak()[..], &[(":path", "/\r\nx: y")]), malformed()),
        ("space before a value", with(GET, &[("x", " a")]), malformed()),
        ("tab after a value", with(GET, &[("x", "a\t")]), malformed()),
        ("tab within a value", with(GET, &[("x", "a\tb")]), Fine),
        ("empty value", with(GET, &[("x", "")]), Fine),
        ("content-length 0", with(GET, &[("content-length", "0")]), Fine),
        ("content-length without body", with(GET, &[("content-length", "1")]), malformed()),
        ("content-length no number", with(GET, &[("content-length", "+0")]), malformed()),
        ("content-length twice", with(GET, &[("content-length", "0"), ("content-length", "0")]), malformed()),
        ("CONNECT", connect.to_vec(), Fine),
        ("CONNECT with a path", with(connect, &[(":path", "/")]), malformed()),
        ("CONNECT with a scheme", with(connect, &[(":scheme", "http")]), malformed()),
        ("CONNECT to nothing", without(connect, ":authority"), malformed()),
        ("extended CONNECT", extended.to_vec(), Fine),
        ("extended CONNECT without path", without(extended, ":path"), malformed()),
        ("extended CONNECT without authority", without(extended, ":authority"), malformed()),
        (":protocol without CONNECT", with(GET, &[(":protocol", "websocket")]), malformed()),
    ];
    for (name, list, expect) in &cases {
        let mut engine = Engine::server();
        check(&mut engine, name, &headers(1, list, true), expect);
        let heard = engine.events.iter().any(|event| matches!(event, Event::Head { .. }));
        assert_eq!(heard, matches!(expect, Fine), "{name}: what is malformed never reaches the user");
        assert_eq!(engine.connection.streams_open(), usize::from(heard), "{name}");
    }
}

#[test]
fn bodies_have_the_length_that_was_said() {
    let post = |length: &'static str| headers(1, &with(POST, &[("content-length", length)]), false);
    let cases = [
        ("right", cat(&[post("4"), data(1, b"test", true)]), Fine),
        (
            "right in pieces",
            cat(&[post("4"), data(1, b"te", false), data(1, b"st", false), data(1, b"", true)]),
            Fine,
        ),
        (
            "right, with trailers",
            cat(&[post("4"), data(1, b"test", false), headers(1, &[("x", "y")], true)]),
            Fine,
        ),
        ("8.1.2.6/1 short", cat(&[post("5"), data(1, b"test", true)]), Stream(1, PROTOCOL)),
        (
            "8.1.2.6/2 long in pieces",
            cat(&[post("5"), data(1, b"tes", false), data(1, b"tes", true)]),
            Stream(1, PROTOCOL),
        ),
        ("short, with trailers", cat(&[post("5"), headers(1, &[("x", "y")], true)]), Stream(1, PROTOCOL)),
    ];
    for (name, input, expect) in &cases {
        check(&mut Engine::server(), name, input, expect);
    }
}

#[test]
fn trailers_are_checked() {
    let cases = [
        ("plain", &[("grpc-status", "0")][..], Fine),
        ("8.1.2.1/3 pseudo-header field", &[(":method", "GET")][..], Stream(1, PROTOCOL)),
        (":status", &[(":status", "200")][..], Stream(1, PROTOCOL)),
        ("upper case", &[("X", "y")][..], Stream(1, PROTOCOL)),
        ("connection-specific", &[("connection", "close")][..], Stream(1, PROTOCOL)),
    ];
    for (name, list, expect) in &cases {
        let mut engine = Engine::server();
        check(&mut engine, name, &cat(&[headers(1, POST, false), headers(1, list, true)]), expect);
        let trailers = engine.connection.trailers(StreamId(1));
        assert_eq!(trailers.is_some(), matches!(expect, Fine), "{name}");
    }
    let mut engine = Engine::server();
    let list = [("content-length", "9"), ("host", "b"), ("x", "y"), ("authorization", "z")];
    engine.give(&cat(&[headers(1, POST, false), headers(1, &list, true)])).unwrap();
    let trailers = engine.connection.trailers(StreamId(1)).expect("trailers");
    assert_eq!(trailers.lines(), b"x: y\r\n", "what may not be a trailer is ignored");
}

/// Of a client.
#[test]
fn responses_malformed_and_well_formed() {
    let with_length: List = &[(":status", "200"), ("content-length", "2")];
    let get = "GET";
    let malformed = || Stream(1, PROTOCOL);
    let cases: Vec<(&str, &str, Vec<u8>, Expect)> = vec![
        ("whole", get, headers(1, OK, true), Fine),
        ("no status", get, headers(1, &[("x", "y")], true), malformed()),
        ("status of two digits", get, headers(1, &[(":status", "20")], true), malformed()),
        ("status no number", get, headers(1, &[(":status", "2x0")], true), malformed()),
        ("status twice", get, headers(1, &[(":status", "200"), (":status", "200")], true), malformed()),
        ("status of a request", get, headers(1, GET, true), malformed()),
        ("101", get, headers(1, &[(":status", "101")], false), malformed()),
        ("interim", get, cat(&[headers(1, &[(":status", "103")], false), headers(1, OK, true)]), Fine),
        ("interim that ends", get, headers(1, &[(":status", "103")], true), malformed()),
        ("DATA before the head", get, data(1, b"x", true), malformed()),
        (
            "DATA after an interim",
            get,
            cat(&[headers(1, &[(":status", "100")], false), data(1, b"x", true)]),
            malformed(),
        ),
        ("length", get, cat(&[headers(1, with_length, false), data(1, b"ok", true)]), Fine),
        ("length, short", get, cat(&[headers(1, with_length, false), data(1, b"o", true)]), malformed()),
        ("length, nothing", get, headers(1, with_length, true), malformed()),
        ("HEAD", "HEAD", headers(1, with_length, true), Fine),
        (
            "HEAD with a body",
            "HEAD",
            cat(&[headers(1, with_length, false), data(1, b"ok", true)]),
            malformed(),
        ),
        ("304", get, headers(1, &[(":status", "304"), ("content-length", "2")], true), Fine),
        (
            "204 with a body",
            get,
            cat(&[headers(1, &[(":status", "204")], false), data(1, b"x", true)]),
            malformed(),
        ),
        ("on an idle stream", get, headers(3, OK, true), Fatal(PROTOCOL)),
        ("on an even stream", get, headers(2, OK, true), Fatal(PROTOCOL)),
        ("PUSH_PROMISE", get, raw(kind::PUSH_PROMISE, 4, 1, &[0, 0, 0, 2]), Fatal(PROTOCOL)),
        ("ENABLE_PUSH", get, settings(&[(2, 1)]), Fatal(PROTOCOL)),
        ("two final heads", get, cat(&[headers(1, OK, false), headers(1, OK, true)]), malformed()),
    ];
    for (name, method, input, expect) in &cases {
        let mut engine = Engine::client();
        let list = without(GET, ":method");
        let id = engine.connection.open(
            |to| {
                to.field(b":method", method.as_bytes());
                write(&list)(to);
            },
            true,
        );
        assert_eq!(id, Some(StreamId(1)));
        engine.take();
        check(&mut engine, name, input, expect);
    }
}

/// Wherever the input is cut, the same happens.
#[test]
fn input_cut_anywhere() {
    let input = cat(&[
        PREFACE.to_vec(),
        settings(&[(4, 100)]),
        headers(1, POST, false),
        data(1, b"body", false),
        headers(1, &[("x", "y")], true),
        raw(kind::PING, 0, 0, &[1; 8]),
    ]);
    let run = |cut: usize| {
        let mut connection = Connection::new(Role::Server, &Limits::default());
        let (mut events, mut start) = (Vec::new(), 0);
        for end in [cut, input.len()] {
            start += connection.receive(&input[start..end], 0, &mut events).expect("good input");
        }
        assert_eq!(start, input.len());
        (events, connection.out().to_vec(), connection.data(StreamId(1)).to_vec())
    };
    let whole = run(input.len());
    assert_eq!(whole.2, b"body");
    for cut in 0..input.len() {
        assert_eq!(run(cut), whole, "cut at {cut}");
    }
}
