//! Floods: each by the name of its class, each stopped by the limit that is named for it.

use super::*;

/// The frame of a flood by its number.
type Frame = fn(u32) -> Vec<u8>;

/// Gives `frame(0)`, `frame(1)`, … within one second until the connection fails; at most `most` of them.
fn flood(engine: &mut Engine, most: u32, mut frame: impl FnMut(u32) -> Vec<u8>) -> (u32, ConnectionError) {
    for count in 0..=most {
        if let Err(error) = engine.give(&frame(count)) {
            let frames = engine.take();
            let (head, payload) = frames.last().expect("GOAWAY");
            assert_eq!((head.kind, code_of(payload)), (kind::GOAWAY, ErrorCode::ENHANCE_YOUR_CALM));
            return (count, error);
        }
        // A peer that reads: the answers do not pile up.
        engine.take();
    }
    panic!("{most} frames went by");
}

fn stopped_by(engine: &mut Engine, limit: LimitHit, after: u32, frame: impl FnMut(u32) -> Vec<u8>) {
    let (count, error) = flood(engine, after + 10, frame);
    assert_eq!(error.limit, Some(limit), "{error}");
    assert_eq!(count, after, "{limit:?}");
    assert_eq!(error.reason, limit.name());
}

fn odd(count: u32) -> u32 {
    count * 2 + 1
}

/// CVE-2023-44487: requests that are reset at once.
#[test]
fn rapid_reset() {
    let limits = Limits::default();
    let mut engine = Engine::server();
    stopped_by(&mut engine, LimitHit::Resets, limits.resets, |count| {
        [headers(odd(count), GET, true), rst(odd(count), ErrorCode::CANCEL)].concat()
    });
    // The user let go of none: memory is bounded all the same.
    assert!(engine.connection.streams.len() <= 2 * limits.streams as usize);
}

/// CVE-2025-8671: requests that the peer's own errors make us reset.
#[test]
fn made_you_reset() {
    let ways: [(&str, Frame); 5] = [
        ("WINDOW_UPDATE of 0", |id| window_update(id, 0)),
        ("WINDOW_UPDATE that overflows", |id| window_update(id, 0x7fff_ffff)),
        ("PRIORITY of a wrong size", |id| raw(kind::PRIORITY, 0, id, &[0; 4])),
        ("DATA after the end", |id| data(id, b"x", true)),
        ("HEADERS after the end", |id| headers(id, GET, true)),
    ];
    for (name, way) in ways {
        let mut engine = Engine::server();
        let after = Limits::default().resets;
        let (count, error) =
            flood(&mut engine, after + 1, |count| [headers(odd(count), GET, true), way(odd(count))].concat());
        assert_eq!((count, error.limit), (after, Some(LimitHit::Resets)), "{name}");
    }
    let mut engine = Engine::server();
    let malformed = [GET, &[("connection", "close")]].concat();
    stopped_by(&mut engine, LimitHit::Resets, Limits::default().resets, |count| {
        headers(odd(count), &malformed, true)
    });
}

/// Cancelled requests are everyday, and so is work that is done: the latter pays for the former.
#[test]
fn resets_among_work_are_no_flood() {
    let mut engine = Engine::server();
    for count in 0..2_000 {
        let (cancelled, served) = (odd(2 * count), odd(2 * count + 1));
        let id = engine.get(cancelled);
        engine.give(&rst(cancelled, ErrorCode::CANCEL)).expect("a few resets");
        engine.connection.close(id);
        let id = engine.get(served);
        engine.connection.send_fields(id, write(OK), true);
        engine.connection.close(id);
        engine.take();
    }
}

/// A slow trickle is no flood: budgets are per second.
#[test]
fn budgets_start_anew_each_second() {
    let mut engine = Engine::server();
    for count in 0..5_000 {
        engine.now += 1_000_000_000 / u64::from(Limits::default().resets) + 1;
        let id = engine.get(odd(count));
        engine.give(&rst(id.0, ErrorCode::CANCEL)).expect("a slow peer");
        engine.connection.close(id);
        engine.take();
    }
}

/// CVE-2024-27316: a header block that never ends.
#[test]
fn continuation_flood() {
    let limits = Limits::default();
    let begin = || raw(kind::HEADERS, flag::END_STREAM, 1, &block(GET));
    let mut engine = Engine::server();
    engine.give(&begin()).unwrap();
    stopped_by(&mut engine, LimitHit::ContinuationFrames, limits.continuation_frames, |_| {
        raw(kind::CONTINUATION, 0, 1, &[])
    });
    let mut engine = Engine::server();
    engine.give(&begin()).unwrap();
    let fits = (limits.header_block_bytes as usize - block(GET).len()) / 16_384;
    stopped_by(&mut engine, LimitHit::HeaderBlockBytes, u32::try_from(fits).unwrap(), |_| {
        raw(kind::CONTINUATION, 0, 1, &[0; 16_384])
    });
}

/// CVE-2026-49975, CVE-2026-47774: a few bytes of HPACK that decode to very many.
#[test]
fn header_bomb() {
    let mut first = block(GET);
    // A literal with incremental indexing: name `x`, value of 4000 bytes.
    first.extend_from_slice(&[0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
    first.resize(first.len() + 4000, b'v');
    let mut bomb = block(GET);
    bomb.extend_from_slice(&[0xbe; 8000]);
    let mut engine = Engine::server();
    // The encoder of `block` sets the table to 0; this one does not.
    first.drain(..1);
    bomb.drain(..1);
    engine.give(&raw(kind::HEADERS, 5, 1, &first)).unwrap();
    let lines = engine.connection.head(StreamId(1)).expect("a good request").lines().len();
    assert_eq!(lines, 4000 + "x: \r\n".len());
    engine.events.clear();
    engine.give(&raw(kind::HEADERS, 5, 3, &bomb)).unwrap();
    assert_eq!(engine.events, [Event::Limit(LimitHit::HeaderListBytes)]);
    let kept: usize = engine.connection.spare.iter().map(|fields| fields.lines().len()).sum();
    assert_eq!(kept, 0);
}

/// Lists that pass a limit: the request is answered 431, the connection lives; a response is reset.
#[test]
fn header_lists_beyond_the_limits() {
    let limits = Limits::default();
    let value: &'static str = "v".repeat(3_000).leak();
    let cases: [(LimitHit, u32, (&str, &str)); 3] = [
        (LimitHit::HeaderFields, limits.header_fields, ("x", "y")),
        (LimitHit::CookieCrumbs, limits.cookie_crumbs, ("cookie", "a=b")),
        (LimitHit::HeaderListBytes, 10, ("x", value)),
    ];
    for (limit, most, field) in cases {
        for over in [false, true] {
            let list = [GET.to_vec(), vec![field; most as usize + usize::from(over)]].concat();
            let mut engine = Engine::server();
            for (id, end) in [(1, true), (3, false)] {
                let ending = if end { flag::END_STREAM } else { 0 };
                let bytes = block(&list);
                let (first, rest) = bytes.split_at(bytes.len().min(10_000));
                engine.give(&raw(kind::HEADERS, ending, id, first)).unwrap();
                for chunk in rest.chunks(16_000) {
                    engine.give(&raw(kind::CONTINUATION, 0, id, chunk)).unwrap();
                }
                engine.give(&raw(kind::CONTINUATION, flag::END_HEADERS, id, &[])).unwrap();
                let expected =
                    if over { Event::Limit(limit) } else { Event::Head { stream: StreamId(id), end } };
                assert_eq!(engine.events, [expected], "{limit:?}");
                engine.events.clear();
                assert_eq!(engine.sent(kind::HEADERS).len(), usize::from(over), "{limit:?}: 431");
                let codes: Vec<_> =
                    engine.sent(kind::RST_STREAM).iter().map(|frame| code_of(&frame.1)).collect();
                let reset = over && !end;
                assert_eq!(codes, vec![ErrorCode::NO_ERROR; usize::from(reset)], "{limit:?}");
                engine.take();
            }
            assert_eq!(engine.connection.streams_open(), if over { 0 } else { 2 });
        }
    }
    // A call is told so in its own words.
    let mut engine = Engine::server();
    let call = [GET.to_vec(), vec![("x", "y"); 101], vec![("content-type", "application/grpc")]].concat();
    engine.give(&headers(1, &call, true)).unwrap();
    let mut said = Vec::new();
    let block = engine.sent(kind::HEADERS).remove(0).1;
    let mut decoder = crate::hpack::Decoder::new(4096);
    decoder
        .decode(&block, &mut |name, value| {
            said.push([name, value].map(|text| String::from_utf8_lossy(text).into_owned()));
            true
        })
        .expect("our own block");
    let expected = [[":status", "200"], ["content-type", "application/grpc"], ["grpc-status", "8"]];
    assert_eq!(said[..3], expected);
    let mut engine = Engine::client();
    engine.connection.open(write(GET), true).expect("free");
    engine.take();
    engine.give(&headers(1, &[OK.to_vec(), vec![("x", "y"); 101]].concat(), true)).unwrap();
    let reset = Event::Reset { stream: StreamId(1), code: ErrorCode::ENHANCE_YOUR_CALM };
    assert_eq!(engine.events, [Event::Limit(LimitHit::HeaderFields), reset]);
}

/// More streams than allowed are refused one by one, and the connection ends if that goes on.
#[test]
fn stream_flood() {
    let limits = Limits::default();
    let mut engine = Engine::server();
    for count in 0..limits.streams {
        engine.get(odd(count));
    }
    engine.take();
    engine.events.clear();
    engine.give(&headers(odd(limits.streams), GET, true)).unwrap();
    assert_eq!(engine.events, [Event::Limit(LimitHit::Streams)]);
    assert_eq!(code_of(&engine.sent(kind::RST_STREAM)[0].1), ErrorCode::REFUSED_STREAM);
    stopped_by(&mut engine, LimitHit::Resets, limits.resets - 1, |count| {
        headers(odd(limits.streams + 1 + count), GET, true)
    });
    assert_eq!(engine.connection.streams.len(), limits.streams as usize);
}

/// CVE-2019-9512, 9513, 9515, 9518, 9511 and kin: frames that cost and bring nothing.
#[test]
fn frame_floods() {
    let limits = Limits::default();
    let cases: [(LimitHit, u32, Frame); 8] = [
        (LimitHit::Pings, limits.pings, |_| raw(kind::PING, 0, 0, &[0; 8])),
        (LimitHit::Pings, limits.pings, |_| raw(kind::PING, flag::ACK, 0, &[0; 8])),
        (LimitHit::Settings, limits.settings - 1, |_| settings(&[])),
        (LimitHit::Settings, limits.settings - 1, |_| settings_ack()),
        (LimitHit::Priorities, limits.priorities, |_| raw(kind::PRIORITY, 0, 1, &[0; 5])),
        (LimitHit::WindowUpdates, limits.window_updates, |_| window_update(0, 1)),
        (LimitHit::WindowUpdates, limits.window_updates, |_| window_update(1, 1)),
        (LimitHit::UnknownFrames, limits.unknown_frames, |_| raw(0xfa, 0, 0, &[])),
    ];
    for (limit, after, frame) in cases {
        let mut engine = Engine::server();
        engine.give(&headers(1, POST, false)).unwrap();
        stopped_by(&mut engine, limit, after, frame);
    }
}

#[test]
fn data_floods() {
    let limits = Limits { small_data: 1000, ..Limits::default() };
    let mut engine = Engine::greeted(Role::Server, &limits);
    engine.give(&headers(1, POST, false)).unwrap();
    stopped_by(&mut engine, LimitHit::EmptyData, limits.empty_data, |_| data(1, b"", false));
    let mut engine = Engine::greeted(Role::Server, &limits);
    engine.give(&headers(1, POST, false)).unwrap();
    stopped_by(&mut engine, LimitHit::EmptyData, limits.empty_data, |_| raw(kind::DATA, 8, 1, &[3, 0, 0, 0]));
    let mut engine = Engine::greeted(Role::Server, &limits);
    engine.give(&headers(1, POST, false)).unwrap();
    stopped_by(&mut engine, LimitHit::SmallData, limits.small_data, |_| data(1, b"x", false));
    let mut engine = Engine::server();
    engine.give(&headers(1, POST, false)).unwrap();
    engine.connection.reset(StreamId(1), ErrorCode::CANCEL);
    engine.connection.close(StreamId(1));
    engine.take();
    stopped_by(&mut engine, LimitHit::StrayFrames, Limits::default().stray_frames, |_| {
        data(1, &[0; 40], false)
    });
}

/// A gRPC stream of small messages, 20,000 a second, whose peer measures bandwidth: no flood.
#[test]
fn chatty_grpc_is_no_flood() {
    let mut engine = Engine::server();
    engine.give(&headers(1, POST, false)).unwrap();
    let id = StreamId(1);
    engine.connection.send_fields(id, write(OK), false);
    for _ in 0..20_000 {
        engine.give(&data(1, &[7; 12], false)).expect("a small message");
        engine.connection.consume(id, 12);
        assert_eq!(engine.connection.send_data(id, &[7; 12], false), 12);
        engine.give(&window_update(0, 12)).expect("window for it");
        engine.give(&window_update(1, 12)).expect("window for it");
        engine.give(&raw(kind::PING, 0, 0, &[0; 8])).expect("a ping for it");
        engine.take();
    }
}

/// Windows of a byte, opened byte by byte (CVE-2019-9511): what that makes us send pays for nothing.
#[test]
fn data_dribble() {
    let mut engine = Engine::server();
    engine.give(&settings(&[(4, 0)])).unwrap();
    let id = engine.get(1);
    engine.connection.send_fields(id, write(OK), false);
    let body = [0; 100_000];
    let mut sent = engine.connection.send_data(id, &body, true);
    let mut stopped = None;
    for count in 0..100_000 {
        if let Err(error) = engine.give(&window_update(1, 1)) {
            stopped = Some((count, error.limit));
            break;
        }
        sent += engine.connection.send_data(id, &body[sent..], true);
        engine.take();
    }
    assert_eq!(stopped, Some((Limits::default().window_updates, Some(LimitHit::WindowUpdates))));
}

/// A client with a small window that it opens as it reads.
#[test]
fn small_windows_are_no_flood() {
    let mut engine = Engine::server();
    engine.give(&settings(&[(4, 1000)])).unwrap();
    let id = engine.get(1);
    engine.connection.send_fields(id, write(OK), false);
    let body = vec![0; 3 << 20];
    let mut sent = engine.connection.send_data(id, &body, true);
    while sent < body.len() {
        engine
            .give(&[window_update(0, 500), window_update(1, 500)].concat())
            .expect("window for what was read");
        sent += engine.connection.send_data(id, &body[sent..], true);
        engine.take();
    }
}

/// CVE-2019-9517 and kin: answers for a peer that does not read are bounded.
#[test]
fn answers_that_nobody_reads() {
    let limits = Limits { pings: u32::MAX, ..Limits::default() };
    let mut engine = Engine::greeted(Role::Server, &limits);
    let mut stopped = None;
    for _ in 0..10_000 {
        if let Err(error) = engine.give(&raw(kind::PING, 0, 0, &[0; 8])) {
            stopped = error.limit;
            break;
        }
    }
    assert_eq!(stopped, Some(LimitHit::ControlBytes));
    assert!(engine.connection.out().len() < limits.control_bytes + 100);
}

/// A peer that reads slowly, but reads, is not taken for one that does not.
#[test]
fn answers_that_are_read_in_pieces() {
    let limits = Limits { pings: u32::MAX, ..Limits::default() };
    let mut engine = Engine::greeted(Role::Server, &limits);
    engine
        .give(&[headers(1, GET, true), window_update(0, 1 << 30), window_update(1, 1 << 30)].concat())
        .unwrap();
    engine.connection.send_fields(StreamId(1), write(OK), false);
    for _ in 0..10_000 {
        // The buffer is never empty: always data behind the answers.
        engine.connection.send_data(StreamId(1), &[0; 4000], false);
        engine.give(&raw(kind::PING, 0, 0, &[0; 8])).expect("answers are read");
        let count = engine.connection.out().len().min(4026);
        engine.connection.sent(count);
    }
    assert!(!engine.connection.out().is_empty());
}

/// 1xx without end, and nobody takes them.
#[test]
fn interim_flood() {
    let mut engine = Engine::client();
    let id = engine.connection.open(write(GET), true).expect("free");
    let most = Limits::default().interim_heads;
    for _ in 0..=most {
        engine.give(&headers(1, &[(":status", "103")], false)).unwrap();
    }
    let reset = Event::Reset { stream: id, code: ErrorCode::ENHANCE_YOUR_CALM };
    assert_eq!(engine.events[most as usize..], [Event::Limit(LimitHit::InterimHeads), reset]);
}

/// envoy#45077: no limit and no memory grows with the streams ever opened.
#[test]
fn nothing_grows_with_the_streams_ever_opened() {
    let mut engine = Engine::server();
    for count in 0..50_000 {
        let id = engine.get(odd(count));
        let head = engine.connection.head(id).expect("a head");
        engine.connection.recycle(head);
        if count % 2 == 0 {
            engine.connection.send_fields(id, write(OK), true);
        }
        engine.connection.close(id);
        engine.take();
        engine.events.clear();
    }
    assert_eq!(engine.connection.streams.slot_count(), 1);
    stopped_by(&mut engine, LimitHit::Pings, Limits::default().pings, |_| raw(kind::PING, 0, 0, &[0; 8]));
}

/// What an endpoint in good faith answers to what the users of its connection do, of whom one must not end
/// it for the others.
#[test]
fn endpoints_are_not_blamed_for_their_clients() {
    let mut engine = Engine::client();
    let limits = Limits::default();
    // A thousand cancelled, each with half a window of small frames on its way.
    for _ in 0..1_000 {
        let id = engine.connection.open(write(GET), true).expect("free");
        engine.give(&headers(id.0, OK, false)).unwrap();
        engine.connection.close(id);
        for _ in 0..limits.stream_window / 2 / 50 {
            engine.give(&data(id.0, &[0; 50], false)).expect("late, not hostile");
        }
        engine.take();
    }
    let id = engine.connection.open(write(POST), false).expect("free");
    engine.give(&headers(id.0, OK, false)).unwrap();
    for _ in 0..3 * limits.small_data {
        engine.give(&data(id.0, b"x", false)).expect("a small message");
        engine.connection.consume(id, 1);
        engine.take();
    }
    for _ in 0..3 * limits.window_updates {
        assert_eq!(engine.connection.send_data(id, b"x", false), 1);
    }
    for _ in 0..3 * limits.window_updates {
        engine.give(&window_update(0, 1)).expect("window for it");
        engine.give(&window_update(id.0, 1)).expect("window for it");
    }
    // What it has no cause for it is held to as before.
    stopped_by(&mut engine, LimitHit::WindowUpdates, limits.window_updates, |_| window_update(0, 1));
}
