//! Upgrades: only the endpoint's word makes a tunnel (CVE-2026-2833). What a client sends ahead of it is
//! its next request, and judged as such.

use tests::h2::{code, data, headers, request};

use super::{SMUGGLED, Site};

#[test]
fn upgrade_without_101() {
    needs_lab!();
    let site = Site::start();
    let websocket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (path, status) in [("/h1/upgrade", 200), ("/h2/upgrade", 403)] {
        for upgrade in [websocket, &websocket.replace("websocket\r\n", "other\r\n")] {
            let mut client = site.client();
            client.send(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n{upgrade}\r\n{SMUGGLED}")).unwrap();
            let answer = client.response().unwrap();
            if upgrade == websocket {
                assert_eq!(answer.status, status, "{path}");
            } else {
                assert!(matches!(answer.status, 200 | 501 | 502), "{path}: {}", answer.status);
            }
            // No route leads there, and no tunnel either.
            if let Ok(next) = client.response() {
                assert_eq!(next.status, 404, "{path}");
            }
            site.is_sound(path);
        }
    }
}

/// h2c by Upgrade would be a connection that nobody judges: it ends here.
#[test]
fn upgrade_to_h2c() {
    needs_lab!();
    let site = Site::start();
    for path in ["/h1/h2c", "/h2/h2c"] {
        let mut client = site.client();
        let fields =
            ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"];
        let answer = client.request("GET", path, &fields).unwrap();
        assert_eq!((answer.status, answer.text()), (200, format!("GET {path}")));
        client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        assert_eq!(client.response().unwrap().status, 505, "it speaks HTTP/1.1 still");
        site.is_sound(path);
    }
    let message = site.plain.messages().into_iter().find(|one| one.asked() == "GET /h1/h2c").unwrap();
    for name in ["upgrade", "connection", "http2-settings"] {
        assert_eq!(message.fields(name), [""; 0], "{name}");
    }
}

/// Extended CONNECT (RFC 8441) to an endpoint that does not switch: no tunnel.
#[test]
fn extended_connect_without_101() {
    needs_lab!();
    let site = Site::start();
    let mut client = site.h2_client();
    for path in ["/h1/ws", "/h2/upgrade"] {
        let stream = client.next_stream();
        let mut fields = request("CONNECT", path);
        fields.insert(1, (":protocol", "websocket"));
        fields.push(("sec-websocket-version", "13"));
        client
            .send([headers(stream, &fields, false), data(stream, SMUGGLED.as_bytes(), false)].concat())
            .unwrap();
        let answer = client.answer(stream).unwrap();
        // 200, which the endpoint of HTTP/1.1 says, would be a tunnel here.
        assert_eq!(answer.status, if path == "/h1/ws" { 502 } else { 403 }, "{path}: {answer:?}");
        site.is_sound(path);
    }
    // Other protocols are not known, and CONNECT alone has no route here.
    for (protocol, status) in [("connect-udp", 501), ("websocket\r\nX: y", 0)] {
        let mut fields = request("CONNECT", "/h1/ws");
        fields.insert(1, (":protocol", protocol));
        let stream = client.next_stream();
        client.send(headers(stream, &fields, false)).unwrap();
        let answer = client.answer(stream).unwrap();
        assert_eq!(answer.status, status, "{protocol:?}");
        if status == 0 {
            assert_eq!(answer.reset, Some(code::PROTOCOL_ERROR));
        }
    }
    site.is_sound("CONNECT");
}
