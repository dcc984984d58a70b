//! Classes of peers' defects that come from what Weir does not do: it inflates nothing, reads no JSON, no
//! PROXY protocol and no DNS. And answers out of step, which broke their state machines.

use std::net::UdpSocket;

use tests::Recorder;
use tests::h2;

use super::Site;
use super::watch::Watch;
use crate::world::policy;

/// CVE-2026-48044, CVE-2026-48042: what would inflate to 100 MB, and JSON nested very deep, pass as the
/// bytes that they are.
#[test]
fn decompression_and_json_bombs() {
    needs_lab!();
    let site = Site::start();
    let mut deflate = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..100 {
        std::io::Write::write_all(&mut deflate, &vec![0; 1_000_000]).unwrap();
    }
    let bombs = [("gzip", deflate.finish().unwrap()), ("identity", vec![b'['; 200_000])];
    let watch = Watch::start(&site);
    for (coding, bomb) in &bombs {
        let mut client = site.plain();
        let length = bomb.len();
        let head = format!(
            "POST /upload HTTP/1.1\r\nHost: a.test\r\nContent-Type: application/json\r\n\
             Content-Encoding: {coding}\r\nContent-Length: {length}\r\n\r\n"
        );
        client.send([head.as_bytes(), bomb].concat()).unwrap();
        assert_eq!(client.response().unwrap().status, 200);
        let seen = site.world.backend.seen().into_iter().rfind(|seen| seen.method == "POST").unwrap();
        assert!(seen.body == *bomb, "{coding}: not the same bytes");
        assert_eq!(seen.header("content-encoding"), Some(*coding));
    }
    watch.conclude();
}

/// CVE-2026-47692: who a client is comes from its connection and from nothing that it says.
#[test]
fn proxy_protocol() {
    needs_lab!();
    let site = Site::start();
    let v1 = &b"PROXY TCP4 10.0.0.1 10.0.0.2 1 80\r\n"[..];
    let v2 = &b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\x0a\0\0\x01\x0a\0\0\x02\0\x01\0\x50"[..];
    let mut long = v2.to_vec();
    long[14..16].copy_from_slice(&[0xff, 0xff]);
    long.extend(vec![0; 65_535 - 12]);
    for (what, header) in [("version 1", v1), ("version 2", v2), ("65 KB of TLVs", &long[..])] {
        for version in ["GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
            let before = site.world.backend.count();
            let mut client = site.plain();
            client.send([header, version.as_bytes()].concat()).ok();
            let said = String::from_utf8_lossy(&client.rest().unwrap()).into_owned();
            assert!(said.is_empty() || said.starts_with("HTTP/1.1 400"), "{what}: {said}");
            assert_eq!(site.world.backend.count(), before, "{what}");
        }
    }
}

/// CVE-2026-48497: no datagram is parsed beyond its addresses, so what is in it can break nothing.
#[test]
fn malformed_dns() {
    needs_lab!();
    let site = Site::start();
    let endpoint = site.world.api.ns.udp(site.world.api.at(53));
    endpoint.set_read_timeout(Some(tests::wait::PATIENCE)).unwrap();
    let before = site.weir.revision();
    site.world.lab.write("policy.yaml", &policy("53/UDP", &[]));
    site.weir.wait_revision(before);
    assert!(site.world.frontend.connect(site.world.api.at(80)).is_err(), "the policy is in force");
    let socket: UdpSocket = site.world.frontend.ns.udp(([0, 0, 0, 0], 0).into());
    let query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00";
    let questions: [&[u8]; 5] = [
        b"",
        b"\xc0\x0c\x00\x01\x00\x01",
        b"\x3faaaa",
        &[b'\xc0'; 400],
        b"\x01a\x00\x00\x01\x00\x01\xff\xff",
    ];
    let mut room = [0; 2_048];
    for question in questions {
        for datagram in [[&query[..], question].concat(), [&[0xff; 12], question].concat()] {
            socket.send_to(&datagram, site.world.api.at(53)).unwrap();
            let count = endpoint.recv(&mut room).unwrap();
            assert_eq!(room[..count], datagram);
        }
    }
    assert_eq!(site.metrics().value("weir_panics_total"), Some(0.0));
}

/// CVE-2026-47207 and kin: an answer that comes twice, before its request, or in the middle of it. No
/// client gets what was meant for another, and nothing panics.
#[test]
fn answers_out_of_step() {
    needs_lab!();
    let site = Site::start();
    let evil = || b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil".to_vec();
    let plain = site.script(move |message| match message.asked() {
        "GET /script/twice" => Some([Recorder::echo(message), evil()].concat()),
        "GET /script/long" => {
            let answer = String::from_utf8(Recorder::echo(message)).unwrap();
            Some([answer.into_bytes(), b"more than was said".to_vec()].concat())
        }
        "POST /script/early" => (!message.ended).then(|| Recorder::echo(message)),
        _ => message.ended.then(|| Recorder::echo(message)),
    });
    let _h2 = site.h2(|seen| match seen.path() {
        // On its own stream twice, and on one that was never opened.
        "/h2/twice" => {
            let twice = [h2::Endpoint::echo(seen), h2::Endpoint::echo(seen)].concat();
            Some(twice)
        }
        "/h2/other" => {
            let other = h2::Seen { stream: seen.stream + 2, ..seen.clone() };
            Some([h2::Endpoint::answer(&other, b"evil"), h2::Endpoint::echo(seen)].concat())
        }
        _ => seen.ended.then(|| h2::Endpoint::echo(seen)),
    });
    let watch = Watch::start(&site);
    for _ in 0..5 {
        for path in ["/script/twice", "/script/long", "/h2/twice", "/h2/other"] {
            // Whether it is answered at all is up to which of the two is seen first.
            if let Ok(answer) = site.plain().get(path) {
                let whole = (200, format!("GET {path}"));
                let got = (answer.status, answer.text());
                assert!(got == whole || answer.status == 502, "{path}: {got:?}");
            }
            let next = if path.starts_with("/h2") { "/h2/next" } else { "/script/next" };
            assert_eq!(site.plain().get(next).unwrap().text(), format!("GET {next}"), "after {path}");
        }
        let mut client = site.plain();
        client.send("POST /script/early HTTP/1.1\r\nHost: a.test\r\nContent-Length: 40\r\n\r\n").unwrap();
        assert_eq!(client.response().unwrap().text(), "POST /script/early");
        // Its body, which is a request to whoever lost count.
        client.send("GET /script/smuggled HTTP/1.1\r\nHost: a\r\n\r\n").ok();
        assert_eq!(
            site.plain().get("/script/next").unwrap().text(),
            "GET /script/next",
            "after an early one"
        );
    }
    assert!(!plain.messages().iter().any(|message| message.asked() == "GET /script/smuggled"));
    watch.conclude();
}
