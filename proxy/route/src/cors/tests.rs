use std::sync::Arc;

use super::*;
use crate::fixtures::with_request;

fn names(list: &[&str]) -> Vec<Arc<str>> {
    list.iter().map(|name| Arc::from(*name)).collect()
}

fn cors(origins: Vec<Origin>, credentials: bool, list: &[&str]) -> Cors {
    let (methods, headers, expose) = (names(list), names(list), names(list));
    Cors { origins, credentials, methods, headers, expose, max_age: 5 }
}

fn bar() -> Origin {
    Origin::Wildcard { scheme: "https://".into(), suffix: ".bar.com".into() }
}

fn text(fields: &[Header<'_>]) -> Vec<String> {
    fields.iter().map(|f| format!("{}: {}", f.name, String::from_utf8_lossy(&f.value))).collect()
}

#[test]
fn origins() {
    let exact = || Origin::Exact("https://www.foo.com".into());
    let port = || Origin::Exact("https://foo.com:8443".into());
    for (allowed, origin, want) in [
        (vec![exact()], "https://www.foo.com", true),
        (vec![exact()], "HTTPS://WWW.foo.com", true),
        (vec![exact()], "http://www.foo.com", false),
        (vec![exact()], "https://www.foo.com:444", false),
        (vec![exact()], "https://www.foo.com.evil.com", false),
        (vec![port()], "https://foo.com:8443", true),
        (vec![port()], "https://foo.com", false),
        (vec![exact(), bar()], "https://www.bar.com", true),
        (vec![bar()], "https://xpto.www.bar.com", true),
        (vec![bar()], "https://bar.com", false),
        (vec![bar()], "https://.bar.com", false),
        (vec![bar()], "https://evilbar.com", false),
        (vec![bar()], "https://evil.com/.bar.com", false),
        (vec![bar()], "https://evil.com:1.bar.com", false),
        (vec![bar()], "https://u@x.bar.com", false),
        (vec![bar()], "https://www.bar.com:8443", false),
        (vec![Origin::Any], "https://foobar.com:12345", true),
        (vec![Origin::Any], "null", true),
        (vec![], "https://www.foo.com", false),
    ] {
        with_request("GET a.test/", &[("Origin", origin)], |request| {
            let fields = text(&cors_headers(&cors(allowed.clone(), false, &[]), request));
            let granted = format!("access-control-allow-origin: {origin}");
            assert_eq!(fields.contains(&granted), want, "{allowed:?} {origin}");
            assert_eq!(fields.len(), 1 + usize::from(want));
            assert_eq!(fields[0], "vary: origin");
        });
    }
}

#[test]
fn preflights() {
    let asks: &[(&str, &str)] = &[
        ("Origin", "https://a.test"),
        ("Access-Control-Request-Method", "PUT"),
        ("Access-Control-Request-Headers", "x-1, x-2"),
    ];
    for (credentials, list, want) in [
        (
            true,
            &["GET", "OPTIONS"][..],
            &[
                "access-control-allow-credentials: true",
                "access-control-expose-headers: GET, OPTIONS",
                "access-control-allow-methods: GET, OPTIONS",
                "access-control-allow-headers: GET, OPTIONS",
            ][..],
        ),
        (
            false,
            &["*"],
            &[
                "access-control-expose-headers: *",
                "access-control-allow-methods: PUT",
                "access-control-allow-headers: x-1, x-2",
            ],
        ),
        (
            true,
            &["*"],
            &[
                "access-control-allow-credentials: true",
                "access-control-allow-methods: PUT",
                "access-control-allow-headers: x-1, x-2",
            ],
        ),
        (false, &[], &[]),
    ] {
        with_request("OPTIONS a.test/", asks, |request| {
            let (status, fields) = preflight(&cors(vec![Origin::Any], credentials, list), request).unwrap();
            let mut expected = vec!["vary: origin", "access-control-allow-origin: https://a.test"];
            expected.extend(want);
            expected.push("access-control-max-age: 5");
            assert_eq!((status, text(&fields)), (200, expected.iter().map(ToString::to_string).collect()));
        });
    }
    with_request("OPTIONS a.test/", asks, |request| {
        let (status, fields) = preflight(&cors(vec![bar()], true, &["*"]), request).unwrap();
        assert_eq!((status, text(&fields)), (403, vec!["vary: origin".to_owned()]));
    });
}

#[test]
fn what_is_no_preflight_goes_on() {
    let any = cors(vec![Origin::Any], false, &["*"]);
    for (line, headers) in [
        ("GET a.test/", &[("origin", "https://a.test"), ("access-control-request-method", "GET")][..]),
        ("OPTIONS a.test/", &[("origin", "https://a.test")]),
        ("OPTIONS a.test/", &[("access-control-request-method", "GET")]),
        ("OPTIONS a.test/", &[]),
    ] {
        with_request(line, headers, |request| {
            assert_eq!(preflight(&any, request), None, "{line} {headers:?}")
        });
    }
}

#[test]
fn the_route_and_not_the_endpoint_says_who_may_read() {
    let header = |name: &'static str, value: &'static str| field(name, value);
    for (vary, want) in [
        (None, &["x: 1", "vary: origin", "access-control-allow-origin: https://a.test"][..]),
        (
            Some("Accept"),
            &["x: 1", "Vary: Accept", "vary: origin", "access-control-allow-origin: https://a.test"],
        ),
        (
            Some("accept , Origin"),
            &["x: 1", "Vary: accept , Origin", "access-control-allow-origin: https://a.test"],
        ),
        (Some("*"), &["x: 1", "Vary: *", "access-control-allow-origin: https://a.test"]),
    ] {
        let granted = with_request("GET a.test/", &[("origin", "https://a.test")], |request| {
            cors_headers(&cors(vec![Origin::Any], false, &[]), request)
        });
        let mut headers = vec![header("Access-Control-Allow-Origin", "*"), header("x", "1")];
        headers.extend(vary.map(|vary| header("Vary", vary)));
        headers.push(header("access-control-allow-credentials", "true"));
        merge_cors(&granted, &mut headers);
        assert_eq!(text(&headers), want, "{vary:?}");
    }
}
