//! CORS, as a browser would ask: preflights are answered by the proxy, and answers say who may read them.

use tests::Act;

use crate::filters::{CLIENTS, TO_S, head, start, start_with, status, values};

const ORIGIN: &str = "access-control-allow-origin";
const CREDENTIALS: &str = "access-control-allow-credentials";
const METHODS: &str = "access-control-allow-methods";
const HEADERS: &str = "access-control-allow-headers";
const EXPOSE: &str = "access-control-expose-headers";
const MAX_AGE: &str = "access-control-max-age";

fn rule(path: &str, cors: &str) -> String {
    format!("matches: [{{path: {{value: {path}}}}}], {TO_S}, filters: [{{type: CORS, cors: {{{cors}}}}}]")
}

const NAMED: &str = "allowOrigins: ['https://shop.test', 'https://*.wild.test', 'http://port.test:8080'], \
                     allowMethods: [GET, PUT], allowHeaders: [X-One, Content-Type], \
                     exposeHeaders: [X-Seen], allowCredentials: true, maxAge: 600";
const ANY: &str = "allowOrigins: ['*'], allowMethods: ['*'], allowHeaders: ['*'], exposeHeaders: ['*']";

/// The head of a preflight from an origin.
fn preflight(fleet: &crate::fleet::Fleet, client: &str, path: &str, origin: &str) -> Vec<String> {
    let origin = format!("Origin: {origin}");
    let asks =
        ["-H", "Access-Control-Request-Method: PUT", "-H", "Access-Control-Request-Headers: x-one, x-two"];
    head(fleet, &[&[client, "-X", "OPTIONS", "-H", &origin][..], &asks].concat(), path)
}

#[test]
fn preflights_are_answered_without_the_endpoint() {
    needs_lab!();
    let rules =
        [rule("/named", NAMED), rule("/any", ANY), rule("/all", &format!("{ANY}, allowCredentials: true"))];
    let (fleet, server) = start(&rules.iter().map(String::as_str).collect::<Vec<_>>());
    for client in CLIENTS {
        for origin in
            ["https://shop.test", "https://a.wild.test", "https://a.b.wild.test", "http://port.test:8080"]
        {
            let head = preflight(&fleet, client, "/named", origin);
            assert!(matches!(status(&head), 200 | 204), "{client} {origin}: {head:?}");
            assert_eq!(values(&head, ORIGIN), [origin], "{client}");
            assert_eq!(values(&head, CREDENTIALS), ["true"], "{client}");
            assert_eq!(values(&head, METHODS), ["GET, PUT"], "{client}");
            assert_eq!(values(&head, HEADERS), ["X-One, Content-Type"], "{client}");
            assert_eq!(values(&head, MAX_AGE), ["600"], "{client}");
            assert_eq!(
                values(&head, "content-length").concat().trim_start_matches('0'),
                "",
                "{client}: no body"
            );
        }
        for origin in [
            "https://evil.test",
            "http://shop.test",
            "https://shop.test:444",
            "https://shop.test.evil.test",
            "https://evilshop.test",
            "https://wild.test",
            "https://x/.wild.test",
            "http://port.test",
            "null",
        ] {
            let head = preflight(&fleet, client, "/named", origin);
            for name in [ORIGIN, CREDENTIALS, METHODS, HEADERS] {
                assert_eq!(values(&head, name), [""; 0], "{client} {origin}");
            }
        }
        let head = preflight(&fleet, client, "/any", "https://any.test");
        assert!(["*", "https://any.test"].contains(&values(&head, ORIGIN)[0]), "{head:?}");
        assert_eq!(values(&head, CREDENTIALS), [""; 0], "left out where it is not allowed");
        assert_eq!(values(&head, MAX_AGE), ["5"], "the default");
        // A browser takes `*` for a name when it sends credentials: all is echoed.
        let head = preflight(&fleet, client, "/all", "https://any.test");
        assert_eq!([values(&head, ORIGIN), values(&head, CREDENTIALS)], [["https://any.test"], ["true"]]);
        assert_eq!([values(&head, METHODS), values(&head, HEADERS)], [["PUT"], ["x-one, x-two"]]);
    }
    assert_eq!(server.count(), 0);
}

/// What is not a preflight goes to the endpoint, whoever asks; its answer says who may read it, and
/// what the endpoint itself says of that does not count.
#[test]
fn answers_say_who_may_read_them() {
    needs_lab!();
    let answer = "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nVary: Accept\r\nX-Seen: yes\r\n\
                  Content-Length: 2\r\n\r\nok";
    let rules = [rule("/named", NAMED), rule("/any", ANY)];
    let (fleet, server) = start_with(&[&rules[0], &rules[1]], Act::Raw(answer.into()));
    for client in CLIENTS {
        let head_of = |path: &str, fields: &[&str]| head(&fleet, &[&[client][..], fields].concat(), path);
        let head = head_of("/named", &["-H", "Origin: https://shop.test"]);
        assert_eq!(values(&head, ORIGIN), ["https://shop.test"], "{client}: {head:?}");
        assert_eq!([values(&head, CREDENTIALS), values(&head, EXPOSE)], [["true"], ["X-Seen"]]);
        assert_eq!(values(&head, "x-seen"), ["yes"]);
        let vary = values(&head, "vary").join(", ").to_ascii_lowercase();
        assert!(vary.contains("accept") && vary.contains("origin"), "{client}: {vary}");
        let head = head_of("/named", &["-H", "Origin: https://evil.test"]);
        assert_eq!((status(&head), values(&head, ORIGIN).len()), (200, 0), "{client}: {head:?}");
        // OPTIONS alone is a request like others.
        let head = head_of("/named", &["-X", "OPTIONS", "-H", "Origin: https://shop.test"]);
        assert_eq!((status(&head), values(&head, ORIGIN)), (200, vec!["https://shop.test"]));
        let head = head_of("/any", &["-H", "Origin: https://any.test"]);
        assert!(["*", "https://any.test"].contains(&values(&head, ORIGIN)[0]), "{head:?}");
        assert_eq!([values(&head, CREDENTIALS).len(), values(&head, EXPOSE).len()], [0, 1]);
        assert_eq!(status(&head_of("/named", &[])), 200);
    }
    assert_eq!(server.count(), 10);
}

/// A browser can read the status of a failure only if it is told that it may.
#[test]
fn answers_of_the_proxy_itself_say_so_too() {
    needs_lab!();
    let rules = [rule("/fails", NAMED)];
    let (fleet, _server) = start_with(&[&rules[0]], Act::Close);
    for client in CLIENTS {
        let head = head(&fleet, &[client, "-H", "Origin: https://shop.test"], "/fails");
        assert_eq!((status(&head), values(&head, ORIGIN)), (502, vec!["https://shop.test"]), "{head:?}");
    }
}

/// The filter of a backend reference answers the preflights of its share, too.
#[test]
fn preflights_are_answered_by_the_filter_of_a_backend_reference() {
    needs_lab!();
    let rule = format!("backendRefs: [{{name: s, port: 80, filters: [{{type: CORS, cors: {{{NAMED}}}}}]}}]");
    let (fleet, server) = start(&[&rule]);
    for client in CLIENTS {
        let head = preflight(&fleet, client, "/", "https://shop.test");
        assert_eq!([values(&head, ORIGIN), values(&head, METHODS)], [["https://shop.test"], ["GET, PUT"]]);
        let head = super::head(&fleet, &[client, "-H", "Origin: https://shop.test"], "/");
        assert_eq!((status(&head), values(&head, ORIGIN)), (200, vec!["https://shop.test"]), "{head:?}");
    }
    assert_eq!(server.count(), 2);
}
