//! The life of streams and of the connection: opening, heads, resets, going away.

use super::*;

fn free(engine: &Engine) -> usize {
    engine.connection.streams_free()
}

#[test]
fn a_client_opens_as_many_streams_as_the_server_lets_it() {
    let mut engine = Engine::client();
    engine.give(&settings(&[(3, 2)])).unwrap();
    assert_eq!(free(&engine), 2);
    let first = engine.connection.open(write(GET), true).expect("free");
    assert_eq!(engine.connection.open(write(GET), true), Some(StreamId(3)));
    let called = engine.connection.open(|_| panic!("nothing is written"), true);
    assert_eq!((called, free(&engine)), (None, 0));
    engine.give(&headers(1, OK, true)).unwrap();
    assert_eq!((engine.connection.streams_open(), free(&engine)), (1, 0), "still in the user's hands");
    engine.connection.close(first);
    assert_eq!(free(&engine), 1);
    assert_eq!(engine.connection.open(write(GET), true), Some(StreamId(5)));
    engine.give(&settings(&[(3, 0)])).unwrap();
    assert_eq!(free(&engine), 0);
    assert_eq!(Engine::server().connection.open(write(GET), true), None, "a server opens none");
}

#[test]
fn identifiers_run_out() {
    let mut engine = Engine::client();
    engine.connection.next_local = frame::MAX_31;
    assert_eq!(engine.connection.open(write(GET), true), Some(StreamId(frame::MAX_31)));
    assert_eq!(engine.connection.open(write(GET), true), None);
    engine.give(&headers(frame::MAX_31, OK, true)).unwrap();
}

#[test]
fn heads_come_in_order() {
    let mut engine = Engine::client();
    let id = engine.connection.open(write(POST), false).expect("free");
    let hints = headers(1, &[(":status", "103"), ("link", "x")], false);
    engine.give(&[hints, headers(1, OK, false), data(1, b"hi", true)].concat()).unwrap();
    let head = |end| Event::Head { stream: id, end };
    let expected = [head(false), head(false), Event::Data { stream: id }, Event::End { stream: id }];
    assert_eq!(engine.events, expected);
    let statuses: Vec<_> =
        std::iter::from_fn(|| engine.connection.head(id)).map(|head| head.status()).collect();
    assert_eq!(statuses, [103, 200]);
    assert!(!engine.connection.ended(id), "data waits");
    engine.connection.consume(id, 2);
    assert!(engine.connection.ended(id));
    assert_eq!(engine.connection.streams_open(), 1, "the request goes on");
}

#[test]
fn large_heads_go_out_in_continuations() {
    let value = "v".repeat(50_000);
    let mut engine = Engine::client();
    engine.connection.open(write(&[GET, &[("x-large", &value)]].concat()), true).expect("free");
    let kinds: Vec<_> =
        split(engine.connection.out()).iter().map(|(head, _)| (head.kind, head.flags)).collect();
    assert_eq!(kinds[0], (kind::HEADERS, flag::END_STREAM));
    assert!(kinds[1..kinds.len() - 1].iter().all(|kind| *kind == (kind::CONTINUATION, 0)));
    assert_eq!(kinds.last(), Some(&(kind::CONTINUATION, flag::END_HEADERS)));
    let limits = Limits { header_list_bytes: 100_000, ..Limits::default() };
    let mut server = Engine::greeted(Role::Server, &limits);
    server.give(engine.connection.out()).unwrap();
    let head = server.connection.head(StreamId(1)).expect("a head");
    assert_eq!(head.lines(), format!("x-large: {value}\r\n").as_bytes());
}

/// What RST_STREAM says when the user lets go.
#[test]
fn letting_go() {
    let reset = |engine: &Engine| engine.sent(kind::RST_STREAM).first().map(|frame| code_of(&frame.1));
    let cases: [(&str, bool, bool, Option<ErrorCode>); 4] = [
        ("both ended", true, true, None),
        ("answered early", false, true, Some(ErrorCode::NO_ERROR)),
        ("not answered", true, false, Some(ErrorCode::CANCEL)),
        ("neither", false, false, Some(ErrorCode::CANCEL)),
    ];
    for (name, asked, answered, code) in cases {
        let mut engine = Engine::server();
        engine.give(&headers(1, POST, asked)).unwrap();
        engine.connection.send_fields(StreamId(1), write(OK), answered);
        engine.connection.close(StreamId(1));
        assert_eq!(reset(&engine), code, "{name}");
        assert_eq!((engine.connection.streams_open(), engine.connection.streams.len()), (0, 0), "{name}");
        assert!(engine.connection.head(StreamId(1)).is_none(), "{name}: the stream is gone");
    }
    let mut engine = Engine::server();
    engine.give(&[headers(1, POST, false), rst(1, ErrorCode::CANCEL)].concat()).unwrap();
    engine.connection.close(StreamId(1));
    assert_eq!(reset(&engine), None, "the peer has reset it");
}

/// RFC 9113 §8.1: an answer that is whole outlives the reset behind it.
#[test]
fn an_early_answer_is_kept() {
    let mut engine = Engine::client();
    let id = engine.connection.open(write(POST), false).expect("free");
    engine
        .give(&[headers(1, OK, false), data(1, b"early", true), rst(1, ErrorCode::NO_ERROR)].concat())
        .unwrap();
    assert_eq!(engine.connection.data(id), b"early");
    assert_eq!(engine.events.last(), Some(&Event::Reset { stream: id, code: ErrorCode::NO_ERROR }));
    assert_eq!(engine.connection.send_data(id, b"more", true), 0);
}

#[test]
fn a_server_goes_away_in_peace() {
    let mut engine = Engine::server();
    let first = engine.get(1);
    engine.take();
    engine.connection.go_away();
    let frames = engine.take();
    assert_eq!((frames[0].0.kind, &frames[0].1[..4]), (kind::GOAWAY, &[0x7f, 0xff, 0xff, 0xff][..]));
    assert_eq!(frames[1].0.kind, kind::PING);
    assert!(engine.connection.is_closing() && !engine.connection.is_done());
    let second = engine.get(3);
    engine.give(&raw(kind::PING, flag::ACK, 0, &frames[1].1)).unwrap();
    let frames = engine.take();
    assert_eq!((frames[0].0.kind, &frames[0].1[..4]), (kind::GOAWAY, &[0, 0, 0, 3][..]));
    engine.events.clear();
    engine.give(&headers(5, POST, false)).unwrap();
    engine.give(&data(5, b"late", true)).unwrap();
    assert_eq!(engine.events, [], "above the last stream nothing is heard");
    for id in [first, second] {
        assert!(!engine.connection.is_done());
        engine.connection.send_fields(id, write(OK), true);
        engine.connection.close(id);
    }
    assert!(engine.connection.is_done());
}

#[test]
fn going_away_without_waiting() {
    let mut engine = Engine::server();
    engine.connection.go_away();
    assert!(!engine.connection.is_done(), "requests may be in flight");
    engine.connection.go_away();
    assert!(engine.connection.is_done());
    let mut engine = Engine::client();
    engine.connection.go_away();
    assert!(engine.connection.is_done(), "a client knows its streams");
    assert_eq!(engine.connection.open(write(GET), true), None);
}

#[test]
fn the_peer_goes_away() {
    let go_away = |last: u8| raw(kind::GOAWAY, 0, 0, &[0, 0, 0, last, 0, 0, 0, 0]);
    let mut engine = Engine::client();
    let ids: Vec<_> = (0..3).filter_map(|_| engine.connection.open(write(GET), true)).collect();
    engine.give(&go_away(3)).unwrap();
    let refused = Event::Reset { stream: ids[2], code: ErrorCode::REFUSED_STREAM };
    assert_eq!(engine.events, [Event::GoAway { last: ids[1], code: ErrorCode::NO_ERROR }, refused]);
    engine.events.clear();
    engine.give(&go_away(9)).unwrap();
    assert_eq!(engine.events, [Event::GoAway { last: ids[1], code: ErrorCode::NO_ERROR }], "never more");
    engine.events.clear();
    engine.give(&go_away(1)).unwrap();
    assert_eq!(engine.events[1], Event::Reset { stream: ids[1], code: ErrorCode::REFUSED_STREAM });
    engine.give(&headers(1, OK, true)).unwrap();
    for id in ids {
        assert!(!engine.connection.is_done());
        engine.connection.close(id);
    }
    assert!(engine.connection.is_done() && engine.connection.is_closing());
}

#[test]
fn what_the_first_bytes_say() {
    let server = Connection::new(Role::Server, &Limits::default());
    let frames = split(server.out());
    assert_eq!(frames[0].0.kind, kind::SETTINGS);
    let entry = |id: u16, value: u32| [&id.to_be_bytes()[..], &value.to_be_bytes()[..]].concat();
    let has = |payload: &[u8], wanted: Vec<u8>| payload.chunks(6).any(|entry| entry == wanted);
    for (id, value) in [(3, 100), (4, 65_536), (6, 32_768), (8, 1)] {
        assert!(has(&frames[0].1, entry(id, value)), "setting {id}");
    }
    assert_eq!(frames[1].1, (1024 * 1024 - 65_535_u32).to_be_bytes());
    let client = Connection::new(Role::Client, &Limits::default());
    assert!(client.out().starts_with(PREFACE));
    assert!(has(&split(client.out())[0].1, entry(2, 0)), "no push");
}

#[test]
fn extended_connect_is_what_the_peer_says() {
    let mut engine = Engine::client();
    assert!(!engine.connection.extended_connect());
    engine.give(&settings(&[(8, 1)])).unwrap();
    assert!(engine.connection.extended_connect());
}

#[test]
fn a_ping_is_answered_for() {
    let mut engine = Engine::client();
    engine.connection.ping(*b"are you?");
    let (head, payload) = engine.take().pop().expect("a PING");
    assert_eq!((head.kind, head.flags), (kind::PING, 0));
    engine.give(&raw(kind::PING, flag::ACK, 0, &payload)).unwrap();
    assert_eq!(engine.events, [Event::Pong(*b"are you?")]);
}

/// An answer that its server resets is kept as far as it came; a request is not.
#[test]
fn what_came_of_an_answer_before_its_reset_is_kept() {
    for role in [Role::Client, Role::Server] {
        let mut engine = Engine::greeted(role, &Limits::default());
        let head = if role == Role::Client { OK } else { POST };
        if role == Role::Client {
            engine.connection.open(write(GET), true).expect("free");
        }
        let frames = [headers(1, head, false), data(1, b"first", false), rst(1, ErrorCode::CANCEL)];
        engine.give(&frames.concat()).unwrap();
        let (id, kept) = (StreamId(1), role == Role::Client);
        assert!(engine.connection.has_head(id));
        assert_eq!(engine.connection.data(id), if kept { &b"first"[..] } else { b"" }, "{role:?}");
        assert!(!engine.connection.ended(id), "{role:?}: it is not whole");
        assert_eq!(engine.connection.buffered(), if kept { 5 } else { 0 }, "{role:?}");
        assert_eq!(engine.connection.streams_open(), 0, "{role:?}");
        engine.connection.close(id);
        assert_eq!(engine.connection.buffered(), 0, "{role:?}");
    }
}

/// Trailers need no window: they may come before data that waits for one, which is then nobody's.
#[test]
fn trailers_go_out_though_data_waits() {
    let mut engine = Engine::server();
    let id = StreamId(1);
    engine.give(&headers(1, POST, false)).unwrap();
    engine.connection.send_fields(id, write(OK), false);
    let taken = engine.connection.send_data(id, &[0; 100_000], false);
    assert!(taken < 100_000);
    engine.wake();
    assert!(engine.connection.stalled_since(id).is_some());
    engine.connection.send_fields(id, write(&[("grpc-status", "4")]), true);
    let frames = engine.take();
    let last = &frames.last().expect("frames").0;
    assert!(last.kind == kind::HEADERS && last.has(flag::END_STREAM));
    assert_eq!(engine.connection.stalled_since(id), None);
    engine.events.clear();
    engine.give(&[window_update(0, 100_000), window_update(1, 100_000)].concat()).unwrap();
    engine.wake();
    assert_eq!(engine.events, [], "nothing waits for the window");
}
