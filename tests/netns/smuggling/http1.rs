//! Heads of clients that speak HTTP/1.1, towards endpoints of both versions.

use super::{SMUGGLED, Site};

/// Runs a table of field lines that no request may have: each with 400, to either endpoint.
fn refused(what: &str, fields: &[&str]) {
    let site = Site::start();
    for path in ["/h1", "/h2"] {
        for field in fields {
            let bytes = format!("POST {path} HTTP/1.1\r\nHost: a.test\r\n{field}\r\n\r\n0\r\n\r\n{SMUGGLED}");
            site.refuses(what, &bytes, 400);
        }
    }
    site.is_sound(what);
}

#[test]
fn cl_te() {
    needs_lab!();
    refused(
        "CL.TE",
        &[
            "Content-Length: 6\r\nTransfer-Encoding: chunked",
            "Content-Length: 0\r\nTransfer-Encoding: chunked",
            "Content-Length: 60\r\nX: y\r\ntransfer-encoding: Chunked",
        ],
    );
}

#[test]
fn te_cl() {
    needs_lab!();
    refused(
        "TE.CL",
        &[
            "Transfer-Encoding: chunked\r\nContent-Length: 4",
            "Transfer-Encoding: chunked\r\nX: y\r\nContent-Length: 5",
        ],
    );
}

/// TE.TE: a coding that one of two readers does not see. What names a coding that is not known gets 501.
#[test]
fn te_te() {
    needs_lab!();
    let site = Site::start();
    let table = [
        ("Transfer-Encoding : chunked", 400),
        (" Transfer-Encoding: chunked", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding:\x0bchunked", 400),
        ("Transfer-Encoding\x0b: chunked", 400),
        ("Transfer-Encoding\r\n: chunked", 400),
        ("Transfer-Encoding:\r\n chunked", 400),
        ("Transfer-Encoding: chunked\0", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: x", 501),
        ("Transfer-Encoding: x\r\nTransfer-Encoding: chunked", 501),
        ("Transfer-Encoding: chunked, identity", 400),
        ("Transfer-Encoding: identity, chunked", 501),
        ("Transfer-Encoding: identity", 501),
        ("Transfer-Encoding: xchunked", 501),
        ("Transfer-Encoding: 'chunked'", 501),
        ("Transfer-Encoding: gzip", 501),
        ("Transfer-Encoding: gzip, chunked", 501),
        ("Transfer-Encoding:", 400),
    ];
    for path in ["/h1", "/h2"] {
        for (fields, status) in table {
            let head = format!("POST {path} HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n\r\n");
            site.refuses("TE.TE", &format!("{head}0\r\n\r\n{SMUGGLED}"), status);
        }
    }
    site.is_sound("TE.TE");
}

#[test]
fn duplicate_content_length() {
    needs_lab!();
    refused(
        "duplicate CL",
        &[
            "Content-Length: 5\r\nContent-Length: 5",
            "Content-Length: 5\r\nContent-Length: 0",
            "Content-Length: 0\r\ncontent-length: 45",
            "Content-Length: 5, 5",
            "Content-Length: 5, 0",
            "Content-Length: +5",
            "Content-Length: -5",
            "Content-Length: 0x5",
            "Content-Length: 5 5",
            "Content-Length: 5;",
            "Content-Length: 18446744073709551621",
            "Content-Length:",
        ],
    );
}

#[test]
fn bare_line_feed() {
    needs_lab!();
    refused(
        "bare LF",
        &[
            "X: y\nContent-Length: 5",
            "X: y\n\nGET /smuggled HTTP/1.1",
            "X: y\r\n\nGET /smuggled HTTP/1.1",
            "X: y\n\r\nGET /smuggled HTTP/1.1",
            "X: y\rContent-Length: 5",
            "X: y\r\r\nContent-Length: 5",
        ],
    );
}

#[test]
fn obsolete_line_folding() {
    needs_lab!();
    refused(
        "obs-fold",
        &[
            "X: y\r\n Content-Length: 5",
            "X: y\r\n\tTransfer-Encoding: chunked",
            "Content-Length: 5\r\n 0",
            "Transfer-Encoding:\r\n\tchunked",
        ],
    );
}

#[test]
fn http_1_0_with_transfer_encoding() {
    needs_lab!();
    let site = Site::start();
    for path in ["/h1", "/h2"] {
        for fields in [
            "Transfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nConnection: keep-alive",
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
            "Content-Length: 50\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked",
        ] {
            let head = format!("POST {path} HTTP/1.0\r\nHost: a.test\r\n{fields}\r\n\r\n");
            site.refuses("HTTP/1.0 + TE", &format!("{head}0\r\n\r\n{SMUGGLED}"), 400);
        }
    }
    site.is_sound("HTTP/1.0 + TE");
}

/// Names that some servers read as others, as CGI does with `_`.
#[test]
fn names_with_underscores() {
    needs_lab!();
    refused(
        "underscores",
        &[
            "Content_Length: 50",
            "content_length: 0\r\nContent-Length: 50",
            "Transfer_Encoding: chunked",
            "TRANSFER_ENCODING: chunked\r\nContent-Length: 50",
        ],
    );
    // Others are names like any other, and stay what they are.
    let site = Site::start();
    for path in ["/h1/name", "/h2/name"] {
        let answer = site.client().request("GET", path, &["X_User: 1", "X-User: 2"]).unwrap();
        assert_eq!(answer.status, 200);
    }
    let message = site.plain.messages().pop().unwrap();
    assert_eq!((message.fields("x_user"), message.fields("x-user")), (vec!["1"], vec!["2"]));
    let seen = site.h2.seen().pop().unwrap();
    assert_eq!((seen.field("x_user"), seen.field("x-user")), (Some("1"), Some("2")));
}

/// The host that was matched is the host that the endpoint is told.
#[test]
fn absolute_form_against_host() {
    needs_lab!();
    let site = Site::start();
    for path in ["/h1", "/h2"] {
        for (target, host) in [
            (format!("http://a.test{path}"), "b.test"),
            (format!("http://a.test{path}"), "a.test:81"),
            (format!("http://a.test{path}"), ""),
            (format!("http://user@a.test{path}"), "a.test"),
            (format!("http://a.test@b.test{path}"), "a.test"),
            (format!("http://{path}"), "a.test"),
            (format!("ftp://a.test{path}"), "a.test"),
            (path.into(), "a.test, b.test"),
            (path.into(), "a.test\r\nHost: b.test"),
            (path.into(), "a.test\r\nHost: a.test"),
            (path.into(), "a.test/b"),
            (path.into(), "a test"),
            (path.into(), "user@a.test"),
            (path.into(), ""),
        ] {
            let bytes = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n{SMUGGLED}");
            site.refuses("absolute form against Host", &bytes, 400);
        }
        let mut client = site.client();
        let answer = client.request("GET", &format!("http://A.test:80{path}/x"), &["Host: a.test:80"]);
        assert_eq!(answer.unwrap().text(), format!("GET {path}/x"), "one host, and the path alone");
    }
    let message = site.plain.messages().pop().unwrap();
    assert!(message.fields("host").len() == 1 && message.fields("host")[0].eq_ignore_ascii_case("a.test:80"));
    let seen = site.h2.seen().pop().unwrap();
    assert!(seen.field(":authority").is_some_and(|authority| authority.eq_ignore_ascii_case("a.test:80")));
    assert_eq!(seen.field("host"), None, "the host is said once");
    site.is_sound("absolute form against Host");
}

/// What a client names in `Connection` goes, but not what frames, routes or authorises the request.
#[test]
fn fields_taken_away_by_connection() {
    needs_lab!();
    let site = Site::start();
    for path in ["/h1/connection", "/h2/connection"] {
        let mut client = site.client();
        let body = SMUGGLED;
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: a.test\r\nAuthorization: x\r\nX: y\r\nContent-Length: {length}\r\n\
             Connection: Content-Length, Host, Authorization, X\r\n\r\n"
        );
        client.send(head + body).unwrap();
        assert_eq!(client.response().unwrap().text(), format!("POST {path}"));
        assert_eq!(site.body_of(path), body.as_bytes());
    }
    let message = site.plain.messages().pop().unwrap();
    assert_eq!((message.fields("authorization"), message.fields("x").len()), (vec!["x"], 0));
    let seen = site.h2.seen().pop().unwrap();
    assert_eq!((seen.field("authorization"), seen.field("x")), (Some("x"), None));
    site.is_sound("Connection");
}
