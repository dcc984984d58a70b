//! Endpoints that attack the proxy. The client gets 502, or a broken answer where it had begun; the
//! connection to the endpoint ends, or the stream, and the next request is served.

use tests::Recorder;
use tests::client::curl;
use tests::h2::{self, Endpoint, block, data, flag, frame, headers, kind, settings, string};

use super::watch::Watch;
use super::{Site, many};

/// What an endpoint says instead of an answer to this path, after which limit it is counted, and whether
/// its whole connection ends.
const ATTACKS: [(&str, &str, bool); 9] = [
    ("/h2/pings", "http2_pings", true),
    ("/h2/settings", "http2_settings", true),
    ("/h2/unknown", "http2_unknown_frames", true),
    ("/h2/priorities", "http2_priorities", true),
    ("/h2/empty", "http2_empty_data", true),
    ("/h2/continuation", "http2_continuation_frames", true),
    ("/h2/block", "http2_header_block_bytes", true),
    ("/h2/bomb", "http2_header_list_bytes", false),
    ("/h2/fields", "http2_header_fields", false),
];

fn attack(seen: &h2::Seen) -> Vec<u8> {
    let id = seen.stream;
    let ok = || block(&[(":status", "200")]);
    let unfinished = || frame(kind::HEADERS, 0, id, &ok());
    match seen.path() {
        "/h2/pings" => many(5_000, |_| frame(kind::PING, 0, 0, &[0; 8])),
        "/h2/settings" => many(5_000, |_| settings(&[])),
        "/h2/unknown" => many(5_000, |_| frame(0xfa, 0, 0, b"")),
        "/h2/priorities" => many(20_000, |_| frame(kind::PRIORITY, 0, id, &[0; 5])),
        "/h2/empty" => {
            let begin = headers(id, &[(":status", "200")], false);
            [begin, many(5_000, |_| data(id, b"", false))].concat()
        }
        "/h2/continuation" => [unfinished(), many(5_000, |_| frame(kind::CONTINUATION, 0, id, &[]))].concat(),
        "/h2/block" => [unfinished(), many(50, |_| frame(kind::CONTINUATION, 0, id, &[0; 16_384]))].concat(),
        "/h2/bomb" => {
            let mut bomb = ok();
            bomb.extend([0x40, 1, b'x']);
            string(&mut bomb, &[b'v'; 3_000]);
            bomb.resize(bomb.len() + 8_000, 0x80 | 62);
            frame(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, id, &bomb)
        }
        "/h2/fields" => {
            let bomb = [ok(), vec![0x80 | 15; 500]].concat();
            frame(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, id, &bomb)
        }
        _ => Endpoint::echo(seen),
    }
}

#[test]
fn floods_of_an_endpoint_in_http2() {
    needs_lab!();
    let site = Site::start();
    let endpoint = site.h2(|seen| seen.ended.then(|| attack(seen)));
    let watch = Watch::start(&site);
    for (path, limit, connection) in ATTACKS {
        let (before, goodbyes) = (site.metrics().limit(limit), endpoint.goodbyes().len());
        let mut client = site.plain();
        let answer = client.get(path);
        match answer {
            Ok(answer) => assert_eq!(answer.status, 502, "{path}"),
            // Its head came first.
            Err(_) => assert_eq!(path, "/h2/empty", "no answer at all"),
        }
        assert!(site.metrics().limit(limit) > before, "{path}: not counted");
        if connection {
            let told = tests::until("the endpoint to be told", || endpoint.goodbyes().get(goodbyes).copied());
            assert_eq!(told, h2::code::ENHANCE_YOUR_CALM, "{path}");
        } else {
            let reset = || endpoint.seen().iter().rev().find(|seen| seen.path() == path)?.reset;
            assert_eq!(tests::until("a reset", reset), h2::code::ENHANCE_YOUR_CALM, "{path}");
        }
        let mut next = site.plain();
        assert_eq!(next.get("/h2/fine").unwrap().text(), "GET /h2/fine", "after {path}");
    }
    watch.conclude();
}

/// Interim responses without end, in both versions.
#[test]
fn interim_responses_without_end() {
    needs_lab!();
    let site = Site::start();
    let _h2 = site.h2(|seen| {
        let interim = |_| headers(seen.stream, &[(":status", "103"), ("x", "y")], false);
        seen.ended.then(|| many(5_000, interim))
    });
    let _plain = site.script(|message| {
        message.ended.then(|| many(5_000, |_| b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n".to_vec()))
    });
    let watch = Watch::start(&site);
    let count =
        || ["interim", "http2_interim_heads"].iter().map(|name| site.metrics().limit(name)).sum::<f64>();
    for (number, path) in (1..).zip(["/h2/interim", "/script/interim"]) {
        let mut url = format!("http://{}{path}", Site::address());
        // curl takes the interim responses for itself.
        let (status, _) = curl(&site.world.frontend, &["--http2-prior-knowledge", &url]);
        assert_eq!(status, 502, "{path}");
        url.push('?');
        let (status, _) = curl(&site.world.frontend, &["--http1.1", &url]);
        assert_eq!(status, 502, "{path}");
        assert!((count() - 2.0 * f64::from(number)).abs() < 0.5, "{path}: {}", count());
    }
    watch.conclude();
}

/// Heads without end of an endpoint in HTTP/1.1.
#[test]
fn heads_without_end_in_http1() {
    needs_lab!();
    let site = Site::start();
    let _endpoint = site.script(|message| {
        let begin = b"HTTP/1.1 200 OK\r\n".to_vec();
        message.ended.then(|| match message.asked() {
            "GET /script/bytes" => [begin, many(100_000, |_| b"x".to_vec())].concat(),
            "GET /script/value" => [begin, b"X: ".to_vec(), vec![b'x'; 1_000_000]].concat(),
            "GET /script/fields" => {
                [begin, many(10_000, |_| b"X: y\r\n".to_vec()), b"\r\n".to_vec()].concat()
            }
            _ => Recorder::echo(message),
        })
    });
    let watch = Watch::start(&site);
    for (number, path) in (1..).zip(["/script/bytes", "/script/value", "/script/fields"]) {
        assert_eq!(site.plain().get(path).unwrap().status, 502, "{path}");
        let counted = site.metrics().limit("head");
        assert!((counted - f64::from(number)).abs() < 0.5, "{path}: {counted}");
        assert_eq!(site.plain().get("/script/fine").unwrap().text(), "GET /script/fine", "after {path}");
    }
    watch.conclude();
}
