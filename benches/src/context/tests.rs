//! What counts as an answer.

use super::answer;
use crate::listener::Listener::{Grpc, Http1, Http2, Tls};

#[test]
fn reads_header_dumps() {
    let grpc = "HTTP/2 200 \r\ncontent-type: application/grpc\r\n\r\n";
    let cases = [
        (Http1, "HTTP/1.1 200 OK\r\n\r\n", Some(200)),
        (Tls, "HTTP/1.1 403 Forbidden\r\n\r\n", Some(403)),
        (Http2, "HTTP/2 200 \r\n\r\n", Some(200)),
        (Http2, "HTTP/1.1 200 OK\r\n\r\n", None),
        (Grpc, &format!("{grpc}grpc-status: 0\r\n"), Some(200)),
        (Grpc, grpc, None),
        (Grpc, &format!("{grpc}grpc-status: 7\r\n"), Some(403)),
        (Grpc, &format!("{grpc}grpc-status: 14\r\n"), None),
        (Grpc, "HTTP/2 403 \r\n\r\n", Some(403)),
        (Http1, "", None),
        (Http1, "HTTP/1.1 ", None),
    ];
    for (listener, dump, expected) in cases {
        assert_eq!(answer(listener, dump), expected, "{listener:?} {dump}");
    }
}
