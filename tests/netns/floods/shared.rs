//! Clients that share a connection to an endpoint: what one makes an honest endpoint say ends the
//! connection for nobody.

use std::sync::{Arc, Mutex};

use tests::h2::{self, Endpoint, code, data, headers, request, reset};
use tests::lab::NODE;
use tests::until;

use super::{Site, many};

/// Somebody whose answer has begun and does not end, on the connection that all of its source use.
struct Held {
    client: h2::Client,
    stream: u32,
}

impl Held {
    fn begin(site: &Site) -> Self {
        let mut client = h2::Client::connect(&site.world.frontend, Site::address()).unwrap();
        let stream = client.next_stream();
        client.send(headers(stream, &request("GET", "/h2/held"), true)).unwrap();
        client.wait(|client| (client.so_far(stream).status == 200).then_some(())).unwrap();
        Self { client, stream }
    }

    /// It still goes on, on the one connection that there is, and no limit was hit.
    fn conclude(mut self, site: &Site, endpoint: &Endpoint) {
        assert_eq!(self.client.get("/h2/fine").unwrap().text(), "GET /h2/fine");
        let held = self.client.so_far(self.stream);
        assert!(held.reset.is_none() && !held.ended, "{held:?}");
        assert_eq!(endpoint.goodbyes(), [0_u32; 0]);
        assert_eq!(endpoint.connections(), 1);
        for limit in ["http2_stray_frames", "http2_small_data", "http2_empty_data", "http2_window_updates"] {
            assert!(site.metrics().limit(limit) < 0.5, "{limit}");
        }
    }
}

/// The endpoint of these tests, and the streams that are to be answered late.
fn site() -> (Site, Endpoint, Arc<Mutex<Vec<u32>>>) {
    // Each worker has connections of its own.
    let site = Site::start_with(&["--node", NODE, "--workers", "1"]);
    let late: Arc<Mutex<Vec<u32>>> = Arc::default();
    let of_endpoint = late.clone();
    let endpoint = site.h2(move |seen| {
        let (begin, end) = (headers(seen.stream, &[(":status", "200")], false), data(seen.stream, b"", true));
        match seen.path() {
            "/h2/held" => Some(begin),
            "/h2/never" => None,
            // What was on its way when the resets came.
            "/h2/late" => {
                let streams = of_endpoint.lock().unwrap().clone();
                let frames = |stream: &u32| many(64, |_| data(*stream, &[b'x'; 50], false));
                Some([streams.iter().flat_map(frames).collect(), Endpoint::echo(seen)].concat())
            }
            "/h2/small" => {
                Some([begin, many(SMALL, |_| data(seen.stream, b"0123456789", false)), end].concat())
            }
            "/h2/flushes" => Some([begin, many(4, |_| data(seen.stream, b"", false)), end].concat()),
            _ => seen.ended.then(|| Endpoint::echo(seen)),
        }
    });
    (site, endpoint, late)
}

/// Frames of ten bytes in one answer: as much as a stream's window holds.
const SMALL: u32 = 6_000;

/// Streams that clients cancel while their answers are on the way.
#[test]
fn cancelled_answers_are_no_flood() {
    needs_lab!();
    let (site, endpoint, late) = site();
    let held = Held::begin(&site);
    let mut client = site.offender();
    let streams: Vec<u32> = (0..90).map(|_| client.next_stream()).collect();
    let asked = streams.iter().flat_map(|stream| headers(*stream, &request("GET", "/h2/never"), true));
    client.send(asked.collect::<Vec<u8>>()).unwrap();
    let never = || endpoint.seen().into_iter().filter(|seen| seen.path() == "/h2/never").collect::<Vec<_>>();
    until("the requests to be there", || (never().len() == streams.len()).then_some(()));
    let cancelled = streams.iter().flat_map(|stream| reset(*stream, code::CANCEL));
    client.send(cancelled.collect::<Vec<u8>>()).unwrap();
    until("the resets to be there", || never().iter().all(|seen| seen.reset.is_some()).then_some(()));
    *late.lock().unwrap() = never().iter().map(|seen| seen.stream).collect();
    assert_eq!(site.plain().get("/h2/late").unwrap().text(), "GET /h2/late");
    held.conclude(&site, &endpoint);
}

/// Answers in many small messages, as of gRPC, to many at once; and answers that flush nothing.
#[test]
fn small_messages_of_endpoints_are_no_flood() {
    needs_lab!();
    let (site, endpoint, _) = site();
    let held = Held::begin(&site);
    let mut client = h2::Client::connect(&site.world.frontend, Site::address()).unwrap();
    for (path, count, length) in [("/h2/small", 40, SMALL as usize * 10), ("/h2/flushes", 90, 0)] {
        let streams: Vec<u32> = (0..count).map(|_| client.next_stream()).collect();
        let asked = streams.iter().flat_map(|stream| headers(*stream, &request("GET", path), true));
        client.send(asked.collect::<Vec<u8>>()).unwrap();
        for stream in streams {
            let answer = client.answer(stream).unwrap();
            assert_eq!((answer.status, answer.body.len(), answer.reset), (200, length, None), "{path}");
        }
    }
    held.conclude(&site, &endpoint);
}

/// Uploads in pieces of a byte, for each of which the endpoint gives the window back.
#[test]
fn windows_given_back_are_no_flood() {
    needs_lab!();
    let (site, endpoint, _) = site();
    let held = Held::begin(&site);
    let count = 20_000;
    let mut clients: Vec<_> = (0..2).map(|_| site.plain()).collect();
    for client in &mut clients {
        client
            .send("POST /h2/upload HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n")
            .unwrap();
    }
    for _ in 0..count / 100 {
        for client in &mut clients {
            client.send("1\r\nx\r\n".repeat(100)).unwrap();
        }
    }
    for client in &mut clients {
        client.send("0\r\n\r\n").unwrap();
        assert_eq!(client.response().unwrap().text(), "POST /h2/upload");
    }
    let uploads = endpoint.seen().into_iter().filter(|seen| seen.path() == "/h2/upload");
    assert_eq!(uploads.map(|seen| seen.body.len()).collect::<Vec<_>>(), [count, count]);
    held.conclude(&site, &endpoint);
}
