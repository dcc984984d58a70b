//! Flow control: windows in both directions, fairness, stalls.

use super::*;

fn sizes(engine: &Engine) -> Vec<(u32, usize)> {
    engine.sent(kind::DATA).iter().map(|(head, payload)| (head.stream, payload.len())).collect()
}

fn answering(limits: &Limits, initial: u32, streams: u32) -> Engine {
    let mut engine = Engine::greeted(Role::Server, limits);
    engine.give(&settings(&[(4, initial)])).unwrap();
    for count in 0..streams {
        let id = engine.get(count * 2 + 1);
        engine.connection.send_fields(id, write(OK), false);
    }
    engine.take();
    engine.events.clear();
    engine
}

/// h2spec 6.9.1/1, 6.9.2/1, 6.9.2/2.
#[test]
fn the_initial_window_moves_open_streams() {
    let id = StreamId(1);
    let mut engine = answering(&Limits::default(), 1, 1);
    assert_eq!(engine.connection.send_data(id, b"test", true), 1);
    assert_eq!(sizes(&engine), [(1, 1)]);
    engine.take();
    engine.give(&settings(&[(4, 2)])).unwrap();
    assert_eq!(engine.events, [Event::Settings, Event::Writable { stream: id }]);
    assert_eq!(engine.connection.send_data(id, b"est", true), 1);
    engine.take();
    // Negative: 2 were sent of a window that is 0 now.
    engine.give(&settings(&[(4, 0)])).unwrap();
    engine.give(&window_update(1, 2)).unwrap();
    assert_eq!(engine.connection.send_data(id, b"st", true), 0);
    engine.give(&window_update(1, 1)).unwrap();
    assert_eq!(engine.events.last(), Some(&Event::Writable { stream: id }));
    assert_eq!(engine.connection.send_data(id, b"st", true), 1);
    engine.give(&window_update(1, 1)).unwrap();
    assert_eq!(engine.connection.send_data(id, b"t", true), 1);
    let frames = engine.sent(kind::DATA);
    assert!(frames.last().unwrap().0.has(flag::END_STREAM));
}

#[test]
fn end_of_stream_needs_no_window() {
    let mut engine = answering(&Limits::default(), 0, 2);
    assert_eq!(engine.connection.send_data(StreamId(1), b"", true), 0);
    let frames = engine.sent(kind::DATA);
    assert_eq!((frames[0].0.length, frames[0].0.flags), (0, flag::END_STREAM));
    assert_eq!(engine.connection.streams_open(), 1);
    assert_eq!(engine.connection.send_data(StreamId(1), b"more", true), 0, "after the end nothing");
    engine.connection.send_fields(StreamId(3), write(&[("grpc-status", "0")]), true);
    assert_eq!(engine.connection.streams_open(), 0);
}

#[test]
fn large_data_goes_out_in_frames() {
    let mut engine = answering(&Limits::default(), 1 << 20, 1);
    assert_eq!(engine.connection.send_data(StreamId(1), &[0; 40_000], true), 40_000);
    assert_eq!(sizes(&engine), [(1, 16_384), (1, 16_384), (1, 40_000 - 32_768)]);
    let ends: Vec<_> = engine.sent(kind::DATA).iter().map(|(head, _)| head.flags).collect();
    assert_eq!(ends, [0, 0, flag::END_STREAM]);
}

/// The connection's window is shared in turn: nobody starves, whoever asks first or most often.
#[test]
fn blocked_streams_take_turns() {
    let mut engine = answering(&Limits { out_bytes: 1 << 20, ..Limits::default() }, 1 << 20, 4);
    let ids = [1, 3, 5, 7].map(StreamId);
    let mut sent = [0_usize; 4];
    let body = vec![0; 300_000];
    for (index, id) in ids.iter().enumerate() {
        sent[index] += engine.connection.send_data(*id, &body, true);
    }
    assert_eq!(sent, [65_535, 0, 0, 0], "all that the connection's window had");
    for round in 0..40 {
        engine.events.clear();
        engine.give(&window_update(0, 20_000)).unwrap();
        // A stream whose turn it is not gets nothing, however it pushes.
        for event in engine.events.clone() {
            let Event::Writable { stream } = event else { continue };
            let index = ids.iter().position(|id| *id == stream).unwrap();
            let rest = &body[sent[index]..];
            sent[index] += engine.connection.send_data(stream, rest, true);
        }
        engine.wake();
        engine.take();
        let spread = sent[1..].iter().max().unwrap() - sent[1..].iter().min().unwrap();
        assert!(spread <= 2 * 16_384, "round {round}: {sent:?}");
    }
    assert!(sent.iter().sum::<usize>() > 65_535 + 39 * 16_000, "the window is used: {sent:?}");
}

#[test]
fn the_out_buffer_is_bounded_and_wakes() {
    let limits = Limits { out_bytes: 10_000, ..Limits::default() };
    let mut engine = answering(&limits, 1 << 20, 1);
    let id = StreamId(1);
    assert_eq!(engine.connection.send_data(id, &[0; 30_000], true), 10_000);
    engine.wake();
    assert_eq!(engine.events, [], "no room yet");
    assert_eq!(engine.connection.stalled_since(id), None, "not for want of window");
    engine.take();
    engine.wake();
    assert_eq!(engine.events, [Event::Writable { stream: id }]);
    engine.wake();
    assert_eq!(engine.events.len(), 1, "told once");
    assert_eq!(engine.connection.send_data(id, &[0; 20_000], true), 10_000);
}

#[test]
fn received_data_is_credited_by_half_windows() {
    let limits = Limits { stream_window: 100_000, connection_window: 200_000, ..Limits::default() };
    let mut engine = Engine::greeted(Role::Server, &limits);
    let id = StreamId(1);
    engine.give(&headers(1, POST, false)).unwrap();
    for _ in 0..6 {
        engine.give(&data(1, &[1; 16_384], false)).unwrap();
    }
    assert_eq!(engine.connection.data(id).len(), 6 * 16_384);
    engine.connection.consume(id, 49_999);
    assert_eq!(engine.take(), [], "not half of it yet");
    engine.connection.consume(id, 1);
    assert_eq!(engine.sent(kind::WINDOW_UPDATE)[0].1, 50_000_u32.to_be_bytes());
    engine.connection.consume(id, 1 << 30);
    assert_eq!(engine.connection.data(id), b"");
    engine.take();
    // Padding is charged and given back at once: 8 frames of 255 and 1 for its length.
    for _ in 0..8 {
        engine.give(&raw(kind::DATA, 8, 1, &[255; 256])).unwrap();
    }
    let credited: i64 = engine.connection.windows.recv + i64::from(engine.connection.windows.uncredited);
    assert_eq!(credited, 200_000);
    // Unread data of a stream that is let go of is given back too.
    engine.give(&data(1, &[1; 10_000], false)).unwrap();
    engine.connection.close(id);
    let credited: i64 = engine.connection.windows.recv + i64::from(engine.connection.windows.uncredited);
    assert_eq!(credited, 200_000);
}

#[test]
fn the_connection_window_is_enforced() {
    let limits = Limits { stream_window: 1 << 20, connection_window: 65_535, ..Limits::default() };
    let mut engine = Engine::greeted(Role::Server, &limits);
    engine.give(&headers(1, POST, false)).unwrap();
    for _ in 0..3 {
        engine.give(&data(1, &[1; 16_384], false)).unwrap();
    }
    let error = engine.give(&data(1, &[1; 16_384], false)).expect_err("passed");
    assert_eq!(error.code, ErrorCode::FLOW_CONTROL_ERROR);
}

/// RFC 9113 §6.9.2: until our SETTINGS are acknowledged the peer may use the default window.
#[test]
fn a_small_window_holds_from_the_acknowledgement_on() {
    let limits = Limits { stream_window: 10, ..Limits::default() };
    let connection = Connection::new(Role::Server, &limits);
    let mut engine = Engine { connection, events: Vec::new(), now: 0 };
    engine
        .give(&[PREFACE.to_vec(), settings(&[]), headers(1, POST, false), data(1, &[0; 100], false)].concat())
        .unwrap();
    engine.take();
    engine.give(&settings_ack()).unwrap();
    engine.give(&data(1, b"x", false)).unwrap();
    assert_eq!(code_of(&engine.sent(kind::RST_STREAM)[0].1), ErrorCode::FLOW_CONTROL_ERROR);
    engine.take();
    engine.give(&[headers(3, POST, false), data(3, &[0; 10], false)].concat()).unwrap();
    assert_eq!(engine.sent(kind::RST_STREAM), []);
    engine.give(&data(3, b"x", false)).unwrap();
    assert_eq!(engine.sent(kind::RST_STREAM).len(), 1);
}

/// The window stall of CVE-2026-49975 and CVE-2026-47774: single bytes do not push the deadline back.
#[test]
fn a_stall_lasts_until_useful_progress() {
    let id = StreamId(1);
    let mut engine = answering(&Limits::default(), 10, 1);
    let body = [0; 100_000];
    engine.now = 5;
    let mut sent = engine.connection.send_data(id, &body, true);
    engine.wake();
    assert_eq!((sent, engine.connection.stalled_since(id)), (10, Some(5)));
    for _ in 0..1000 {
        engine.now += 1;
        engine.give(&window_update(1, 1)).unwrap();
        sent += engine.connection.send_data(id, &body[sent..], true);
    }
    engine.wake();
    assert_eq!((sent, engine.connection.stalled_since(id)), (1010, Some(5)));
    engine.give(&window_update(1, 24)).unwrap();
    sent += engine.connection.send_data(id, &body[sent..], true);
    engine.wake();
    assert_eq!((sent, engine.connection.stalled_since(id)), (1034, Some(1005)), "1 KiB is progress");
    engine.give(&window_update(1, 1 << 30)).unwrap();
    let rest = engine.connection.send_data(id, &body[sent..], true);
    assert_eq!((rest > 50_000, engine.connection.stalled_since(id)), (true, None));
    engine.now = 2000;
    engine.wake();
    assert_eq!(engine.connection.stalled_since(id), Some(2000), "now for the connection's window");
    engine.give(&window_update(0, 1 << 30)).unwrap();
    sent += rest;
    engine.take();
    engine.connection.send_data(id, &body[sent..], true);
    assert_eq!(engine.connection.stalled_since(id), None);
}

/// What waits may be little: then as little is progress.
#[test]
fn the_rest_of_a_body_is_progress() {
    let id = StreamId(1);
    let mut engine = answering(&Limits::default(), 0, 1);
    engine.now = 7;
    assert_eq!(engine.connection.send_data(id, b"ten bytes.", false), 0);
    engine.wake();
    assert_eq!(engine.connection.stalled_since(id), Some(7));
    engine.now = 9;
    engine.give(&window_update(1, 10)).unwrap();
    assert_eq!(engine.connection.send_data(id, b"ten bytes.", false), 10);
    assert_eq!(engine.connection.stalled_since(id), None);
}

/// Data that nobody will read is in no buffer, however the connection goes on.
#[test]
fn data_in_vain_is_not_buffered() {
    type Case = (&'static str, Vec<u8>);
    let cases: [Case; 4] = [
        ("after a reset by us", data(1, b"test", false)),
        ("on a stream that is gone", data(3, b"test", false)),
        ("after the end", data(5, b"test", false)),
        ("after both ends", data(7, b"test", false)),
    ];
    for (name, frame) in cases {
        let mut engine = Engine::server();
        engine
            .give(&[headers(1, POST, false), headers(3, POST, false), headers(5, GET, true)].concat())
            .unwrap();
        engine.connection.reset(StreamId(1), ErrorCode::CANCEL);
        engine.connection.close(StreamId(3));
        let id = engine.get(7);
        engine.connection.send_fields(id, write(OK), true);
        let fatal = engine.give(&frame).is_err();
        assert_eq!((engine.connection.buffered(), fatal), (0, name == "after both ends"), "{name}");
    }
}
