//! Which requests are gRPC calls, and what statuses become.

use super::{Ended, ended_by, is_grpc, status};

#[test]
fn calls_are_known_by_their_content_type() {
    let cases = [
        ("application/grpc", true),
        ("application/grpc+proto", true),
        ("Application/GRPC;x=y", true),
        ("application/grpc-web", false),
        ("application/grpc-web+proto", false),
        ("application/grpcx", false),
        ("application/json", false),
        ("application/grp", false),
        ("", false),
    ];
    for (content_type, expected) in cases {
        assert_eq!(is_grpc(content_type.as_bytes()), expected, "{content_type}");
    }
}

#[test]
fn statuses_follow_the_official_mapping() {
    let cases = [
        (400, "13"),
        (401, "16"),
        (403, "7"),
        (404, "12"),
        (429, "14"),
        (500, "14"),
        (418, "2"),
        (502, "14"),
        (503, "14"),
        (504, "4"),
    ];
    for (http, code) in cases {
        assert_eq!(status(http), code, "{http}");
    }
}

#[test]
fn failures_of_servers_are_told_from_those_of_callers() {
    for code in 0..=17 {
        let trailers = format!("x-grpc-status: 14\r\ngrpc-message: no\r\ngrpc-status: {code}\r\nx: 1\r\n");
        let expected = if [2, 4, 12, 13, 14, 15].contains(&code) { Ended::Failed } else { Ended::Well };
        assert_eq!(ended_by(trailers.as_bytes()), Some(expected), "{code}");
    }
    for trailers in ["", "x: 14\r\n", "grpc-status-details-bin: 14\r\n"] {
        assert_eq!(ended_by(trailers.as_bytes()), None, "{trailers:?}");
    }
}
