//! Heads as they go to the endpoint, and as ingress policy sees them.

use std::sync::Arc;

use model::flow::HttpVersion;
use policy::HeaderEdit;

use super::{Forward, Front};
use crate::parsed::{Request, Room, head};
use crate::permitted::Judged;

/// What is sent of a request, edited by a policy; `client` as at a Gateway.
fn sent(text: &str, client: Option<&str>, edits: &[HeaderEdit]) -> (String, String) {
    let mut room: Room<'_> = codec::http1::uninit_headers();
    let head = head(text.as_bytes(), &mut room, &codec::http1::Limits::default()).expect("a head");
    let request = Request::read(head).expect("a request");
    let front = client.map(|client| Front { client, scheme: "http" });
    let mut forward = Forward::new(&request, None, front);
    forward.amend(&Judged { edits: edits.to_vec(), ..Judged::default() });
    let mut out = Vec::new();
    forward.write(HttpVersion::Http1, &mut out).expect("writable");
    let seen = forward.with_view(|view| {
        let value = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let lines = view.headers.iter().map(|h| format!("{}: {}\n", h.name, value(h.value)));
        format!("{} {}\n{}", view.method, view.target, lines.collect::<String>())
    });
    (String::from_utf8(out).expect("ASCII"), seen)
}

#[test]
fn what_policy_sees_is_what_is_sent() {
    let add = HeaderEdit::Add(Arc::from("x-add"), Arc::from("1"));
    let set = HeaderEdit::Set(Arc::from("x-set"), Arc::from("2"));
    let remove = HeaderEdit::Remove(Arc::from("x-gone"));
    let text = "GET /a/./b?q HTTP/1.1\r\nHost: h\r\nConnection: x-hop, close\r\nX-Hop: 1\r\nX-Set: 1\r\nX-Gone: 1\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n";
    let cases: [(Option<&str>, Vec<HeaderEdit>, &str); 4] = [
        (None, Vec::new(), "Host: h\nX-Set: 1\nX-Gone: 1\nX-Forwarded-For: 9.9.9.9\n"),
        (
            Some("1.1.1.1"),
            Vec::new(),
            "Host: h\nX-Set: 1\nX-Gone: 1\nx-forwarded-for: 9.9.9.9, 1.1.1.1\nx-forwarded-proto: http\n",
        ),
        (
            None,
            vec![add.clone(), set.clone(), remove.clone()],
            "Host: h\nX-Forwarded-For: 9.9.9.9\nx-add: 1\nx-set: 2\n",
        ),
        (
            Some("1.1.1.1"),
            vec![remove],
            "Host: h\nX-Set: 1\nx-forwarded-for: 9.9.9.9, 1.1.1.1\nx-forwarded-proto: http\n",
        ),
    ];
    for (client, edits, expected) in cases {
        let (written, seen) = sent(text, client, &edits);
        let expected = format!("GET /a/b?q\n{expected}");
        assert_eq!(seen, expected);
        let written = written.replace(" HTTP/1.1\r\n", "\r\n").replace("\r\n", "\n");
        assert_eq!(written, format!("{expected}\n"));
    }
}

#[test]
fn what_frames_a_message_is_not_for_edits() {
    let edits = [
        HeaderEdit::Set(Arc::from("content-length"), Arc::from("5")),
        HeaderEdit::Set(Arc::from("host"), Arc::from("other")),
        HeaderEdit::Remove(Arc::from("host")),
        HeaderEdit::Add(Arc::from("transfer-encoding"), Arc::from("chunked")),
        HeaderEdit::Add(Arc::from("x"), Arc::from("a\r\nY: b")),
    ];
    let (written, _) = sent("GET / HTTP/1.1\r\nHost: h\r\n\r\n", None, &edits);
    assert_eq!(written, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
}
