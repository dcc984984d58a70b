//! Frames that cost the receiver something and bring nothing: PING, SETTINGS, PRIORITY, WINDOW_UPDATE,
//! empty DATA, frames of unknown types and for streams that are closed (CVE-2019-9511 to 9518 and kin).
//!
//! Small DATA has a limit too, which is above what a slow machine takes in a second: the engine's own tests
//! reach it.

use std::thread;
use std::time::Duration;

use tests::h2::{self, data, flag, frame, headers, kind, reset, settings, window_update};

use super::watch::Watch;
use super::{Site, many};

/// Attacks with so many frames on each connection, with an upload under way on stream 1.
fn flood(site: &Site, limit: &str, count: u32, make: impl Fn(u32) -> Vec<u8>) {
    let upload = headers(1, &h2::request("POST", "/upload"), false);
    site.ends(limit, |client| client.flood([upload.clone(), many(count, &make)].concat()).unwrap());
}

#[test]
fn ping_flood() {
    needs_lab!();
    let site = Site::start();
    flood(&site, "http2_pings", 5_000, |_| frame(kind::PING, 0, 0, &[0; 8]));
    flood(&site, "http2_pings", 5_000, |_| frame(kind::PING, flag::ACK, 0, &[0; 8]));
}

#[test]
fn settings_flood() {
    needs_lab!();
    let site = Site::start();
    flood(&site, "http2_settings", 5_000, |_| settings(&[]));
    flood(&site, "http2_settings", 5_000, |number| settings(&[(h2::INITIAL_WINDOW_SIZE, number)]));
    flood(&site, "http2_settings", 5_000, |_| frame(kind::SETTINGS, flag::ACK, 0, &[]));
}

#[test]
fn priority_flood() {
    needs_lab!();
    let site = Site::start();
    flood(&site, "http2_priorities", 20_000, |_| frame(kind::PRIORITY, 0, 1, &[0; 5]));
    // Of streams that were never opened, whose states some servers kept.
    flood(&site, "http2_priorities", 20_000, |number| frame(kind::PRIORITY, 0, number * 2 + 3, &[0; 5]));
}

#[test]
fn window_update_flood() {
    needs_lab!();
    let site = Site::start();
    for stream in [0, 1] {
        flood(&site, "http2_window_updates", 20_000, |_| window_update(stream, 1));
    }
}

#[test]
fn empty_data_flood() {
    needs_lab!();
    let site = Site::start();
    flood(&site, "http2_empty_data", 5_000, |_| data(1, b"", false));
    flood(&site, "http2_empty_data", 5_000, |_| frame(kind::DATA, flag::PADDED, 1, &[3, 0, 0, 0]));
}

#[test]
fn flood_of_unknown_frames() {
    needs_lab!();
    let site = Site::start();
    flood(&site, "http2_unknown_frames", 5_000, |_| frame(0xfa, 0, 0, b"whatever"));
}

/// Of streams that the proxy has reset: what was on its way by then is no wrong, but not for long.
#[test]
fn flood_of_frames_for_closed_streams() {
    needs_lab!();
    let site = Site::start();
    let ways: [fn() -> Vec<u8>; 3] =
        [|| data(1, &[0; 40], false), || reset(1, h2::code::CANCEL), || headers(1, &[("x", "y")], true)];
    let malformed = [h2::request("POST", "/"), vec![("connection", "close")]].concat();
    for way in ways {
        site.ends("http2_stray_frames", |client| {
            client.flood([headers(1, &malformed, false), many(20_000, |_| way())].concat()).unwrap()
        });
    }
}

/// envoy#45077: what a connection may do must not grow with the streams that it ever had.
#[test]
fn flood_after_many_streams() {
    needs_lab!();
    let site = Site::start();
    let pings = |count| many(count, |_| frame(kind::PING, 0, 0, &[0; 8]));
    site.ends("http2_pings", |mut client| {
        for _ in 0..STREAMS / AT_ONCE {
            let ids: Vec<u32> = (0..AT_ONCE).map(|_| client.next_stream()).collect();
            let asked = ids.iter().flat_map(|id| headers(*id, &h2::request("GET", "/"), true));
            client.send(asked.collect::<Vec<u8>>()).unwrap();
            for id in ids {
                assert_eq!(client.answer(id).unwrap().status, 200);
            }
        }
        // Few of them would be let through if each stream had earned some.
        client.flood(pings(STREAMS)).unwrap()
    });
}

/// CVE-2019-9517 and kin: a peer that does not read has its answers kept for it only up to a limit,
/// however slowly it asks for them.
#[test]
fn answers_to_frames_that_nobody_reads() {
    needs_lab!();
    let site = Site::start();
    let watch = Watch::start(&site);
    let mut client = h2::Client::connect(&site.world.frontend, Site::address()).unwrap();
    // The kernel's buffers fill up.
    for _ in 0..6 {
        let stream = client.next_stream();
        client.send(headers(stream, &h2::request("GET", "/big"), true)).unwrap();
    }
    let malformed = [h2::request("GET", "/"), vec![("connection", "close")]].concat();
    let mut seconds = 0;
    while site.metrics().limit("http2_control_bytes") < 0.5 {
        assert!(seconds < 100, "answers are kept without end");
        seconds += 1;
        // A third of what each of these may be in a second.
        let mut frames = many(30, |_| frame(kind::PING, 0, 0, &[0; 8]));
        frames.extend(many(15, |_| settings(&[])));
        for _ in 0..60 {
            frames.extend(headers(client.next_stream(), &malformed, true));
        }
        client.send(frames).unwrap();
        thread::sleep(Duration::from_secs(1));
    }
    // It is let go of although it still does not read.
    watch.conclude();
    drop(client);
}

const STREAMS: u32 = 1_000;
const AT_ONCE: u32 = 50;
