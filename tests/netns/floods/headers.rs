//! Header blocks that do not end, and small ones that decode to much.

use tests::h2::{self, Endpoint, block, flag, frame, headers, kind, request, string};

use super::watch::Watch;
use super::{Site, many};

/// CVE-2024-27316: a header block that never ends, in many frames or in large ones.
#[test]
fn continuation_flood() {
    needs_lab!();
    let site = Site::start();
    let begin = frame(kind::HEADERS, flag::END_STREAM, 1, &block(&h2::request("GET", "/")));
    for (limit, length) in [("http2_continuation_frames", 0), ("http2_header_block_bytes", 16_384)] {
        let more = many(2_000, |_| frame(kind::CONTINUATION, 0, 1, &vec![0; length]));
        site.ends(limit, |client| client.flood([begin.clone(), more.clone()].concat()).unwrap());
    }
}

/// CVE-2026-49975, CVE-2026-47774: a few bytes of HPACK that decode to very many. Each gets 431, and no
/// more of it is decoded than the limit allows: 120 such lists would be 3.8 GB.
#[test]
fn hpack_bomb_by_bytes() {
    needs_lab!();
    let site = Site::start();
    // A literal with incremental indexing: the last entry of the table is then 62.
    let mut first = block(&h2::request("GET", "/"));
    first.extend([0x40, 1, b'x']);
    string(&mut first, &[b'v'; 4_000]);
    let mut bomb = block(&h2::request("GET", "/"));
    bomb.resize(bomb.len() + 8_000, 0x80 | 62);
    let watch = Watch::start(&site);
    let mut client = site.offender();
    refused(&site, &mut client, "http2_header_list_bytes", &first, &bomb);
    drop(client);
    watch.conclude();
}

/// The same by the number of fields, however small, and of cookies, which are counted apart.
#[test]
fn hpack_bomb_by_fields() {
    needs_lab!();
    let site = Site::start();
    let plain = block(&h2::request("GET", "/"));
    // Static entries: `accept-charset` with an empty value, and `cookie`.
    // `:authority` counts as the `Host` that it becomes.
    for (limit, entry, most) in [("http2_header_fields", 15, 99), ("http2_cookie_crumbs", 32, 64)] {
        let watch = Watch::start(&site);
        let list = |count: usize| [plain.clone(), vec![0x80 | entry; count]].concat();
        let mut client = site.offender();
        refused(&site, &mut client, limit, &list(most), &list(most + 2));
        refused(&site, &mut client, limit, &list(most), &list(900));
        drop(client);
        watch.conclude();
    }
}

/// The list `good` is served; `bad` ones are answered 431 and counted, and the connection lives until
/// there are too many of them.
fn refused(site: &Site, client: &mut h2::Client, limit: &str, good: &[u8], bad: &[u8]) {
    let before = site.metrics().limit(limit);
    let mut ask = |block: &[u8]| {
        let stream = client.next_stream();
        let flags = flag::END_HEADERS | flag::END_STREAM;
        client.send(frame(kind::HEADERS, flags, stream, block)).unwrap();
        client.answer(stream).unwrap().status
    };
    assert_eq!(ask(good), 200, "{limit}: within it");
    for number in 0..BOMBS {
        assert_eq!(ask(bad), 431, "{limit}: bomb {number}");
    }
    assert_eq!(ask(good), 200, "{limit}: the connection lives");
    let counted = site.metrics().limit(limit) - before;
    assert!((counted - f64::from(BOMBS)).abs() < 0.5, "{limit}: {counted}");
}

/// Bombs without a pause are a flood of streams that come to nothing.
#[test]
fn hpack_bombs_without_end() {
    needs_lab!();
    let site = Site::start();
    let fields = [h2::request("GET", "/"), vec![("x", "y"); 101]].concat();
    site.ends("http2_resets", |client| {
        client.flood(many(2_000, |number| headers(number * 2 + 1, &fields, true))).unwrap()
    });
}

/// Within a second by any machine: below the budget of streams that come to nothing.
const BOMBS: u32 = 40;

/// Large heads at once on each of many connections, of which a stream stays: what they took is given back.
#[test]
fn large_heads_leave_nothing() {
    needs_lab!();
    let site = Site::start();
    let _endpoint = site.h2(|seen| match seen.path() {
        "/h2/held" => Some(headers(seen.stream, &[(":status", "200")], false)),
        _ => seen.ended.then(|| Endpoint::echo(seen)),
    });
    let watch = Watch::start(&site);
    let large = "x".repeat(7_000);
    let mut fields = request("GET", "/");
    fields.extend([("a", large.as_str()), ("b", &large), ("c", &large), ("d", &large)]);
    let connections: Vec<h2::Client> = (0..20)
        .map(|_| {
            let mut client = site.offender();
            let held = client.next_stream();
            client.send(headers(held, &request("GET", "/h2/held"), true)).unwrap();
            let streams: Vec<u32> = (0..90).map(|_| client.next_stream()).collect();
            let asked = streams.iter().flat_map(|stream| headers(*stream, &fields, true));
            client.send(asked.collect::<Vec<u8>>()).unwrap();
            for stream in streams {
                assert_eq!(client.answer(stream).unwrap().status, 200);
            }
            client
        })
        .collect();
    drop(connections);
    watch.conclude_within(20 * 1024);
}
