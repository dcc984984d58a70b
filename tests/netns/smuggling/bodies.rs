//! Bodies: chunks that two readers would end in two places, lengths that do not hold, and answers that
//! come before the body has.

use tests::h2::{data, headers, request};

use super::{SMUGGLED, Site};

/// A body that turns out wrong after its head was passed on: the request never becomes whole, and its
/// connection is not used again.
#[test]
fn chunks_that_two_readers_end_in_two_places() {
    needs_lab!();
    let site = Site::start();
    let bodies = [
        "5;\nhello\r\n0\r\n\r\n",
        "5;a\nhello\r\n0\r\n\r\n",
        "5;a\rhello\r\n0\r\n\r\n",
        "5;a=\"\r\n0\r\n\r\n\"\r\nhello\r\n0\r\n\r\n",
        "2;a\r\r\nxx\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "0\r\nContent-Length: 5\r\n\r\n",
        "0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "0\r\nX: y\n\r\n",
        "0\n\n",
        "0\r\n\n",
    ];
    for (number, body) in bodies.iter().enumerate() {
        for prefix in ["/h1", "/h2"] {
            let path = format!("{prefix}/broken/{number}");
            let mut client = site.client();
            let head = format!("POST {path} HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n");
            client.send(format!("{head}{body}{SMUGGLED}")).ok();
            let said = String::from_utf8_lossy(&client.rest().unwrap()).into_owned();
            assert!(said.is_empty() || said.starts_with("HTTP/1.1 400 "), "{body:?}: {said}");
            assert_eq!(said.matches("HTTP/1.1 ").count(), usize::from(!said.is_empty()), "{body:?}: {said}");
            site.is_sound(body);
            assert!(!site.saw_whole(&path), "{body:?} became whole");
        }
    }
}

/// Chunks that all readers end in one place pass: what looks like an end inside of them is none.
#[test]
fn what_looks_like_an_end_inside_a_chunk() {
    needs_lab!();
    let site = Site::start();
    for path in ["/h1/chunks", "/h2/chunks"] {
        let mut client = site.client();
        let inner = format!("0\r\n\r\n{SMUGGLED}");
        let length = inner.len();
        client
            .send(format!(
                "POST {path} HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n\
                 000{length:X};a=b;c\r\n{inner}\r\n0;d\r\n\r\n{SMUGGLED}"
            ))
            .unwrap();
        assert_eq!(client.response().unwrap().text(), format!("POST {path}"));
        assert_eq!(site.body_of(path), inner.as_bytes());
        // What follows is the client's own next request, for which there is no route.
        assert_eq!(client.response().unwrap().status, 404);
    }
    site.is_sound("chunks");
}

/// A length that is more than what comes leaves the endpoint waiting, and its connection is not given to
/// the next; one that is less leaves the client's own next request, which is judged as such.
#[test]
fn lengths_that_do_not_hold() {
    needs_lab!();
    let site = Site::start();
    for prefix in ["/h1", "/h2"] {
        let path = format!("{prefix}/long");
        let mut client = site.client();
        client
            .send(format!("POST {path} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 500\r\n\r\nxx"))
            .unwrap();
        client.stream.shutdown(std::net::Shutdown::Write).unwrap();
        client.rest().unwrap();
        site.is_sound("a length too long");
        assert!(!site.saw_whole(&path), "{path} became whole");

        let path = format!("{prefix}/short");
        let mut client = site.client();
        client
            .send(format!("POST {path} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nxx{SMUGGLED}"))
            .unwrap();
        assert_eq!(client.response().unwrap().text(), format!("POST {path}"));
        assert_eq!(client.response().unwrap().status, 404);
        assert_eq!(site.body_of(&path), b"xx");
        site.is_sound("a length too short");
    }
}

/// An answer before the body: what is left of the body is a body still, for the client's connection and
/// for the endpoint's, which is used again only if it has all of it.
#[test]
fn early_response_with_an_unread_body() {
    needs_lab!();
    let site = Site::start();
    for path in ["/h1/early", "/h2/early"] {
        for _ in 0..3 {
            let mut client = site.client();
            let length = SMUGGLED.len();
            client
                .send(format!("POST {path} HTTP/1.1\r\nHost: a.test\r\nContent-Length: {length}\r\n\r\n"))
                .unwrap();
            assert_eq!(client.response().unwrap().text(), format!("POST {path}"));
            site.is_sound("an early answer");
            client.send(SMUGGLED).ok();
            // Whether the connection is kept or closed, the body is not answered.
            client.send(format!("GET {path}/next HTTP/1.1\r\nHost: a.test\r\n\r\n")).ok();
            if let Ok(next) = client.response() {
                assert_eq!((next.status, next.text()), (200, format!("GET {path}/next")));
            }
            site.is_sound("the rest of its body");
        }
    }
}

/// The same of a client that speaks HTTP/2, towards HTTP/1.1.
#[test]
fn early_response_with_an_unread_body_of_a_stream() {
    needs_lab!();
    let site = Site::start();
    for path in ["/h1/early", "/h2/early"] {
        for _ in 0..3 {
            let mut client = site.h2_client();
            let stream = client.next_stream();
            client.send(headers(stream, &request("POST", path), false)).unwrap();
            let answer = client.answer(stream).unwrap();
            assert_eq!((answer.status, answer.text()), (200, format!("POST {path}")));
            site.is_sound("an early answer");
            client.send(data(stream, SMUGGLED.as_bytes(), true)).unwrap();
            assert_eq!(client.get(&format!("{path}/next")).unwrap().text(), format!("GET {path}/next"));
            site.is_sound("the rest of its body");
        }
    }
}
