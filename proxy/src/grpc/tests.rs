//! Which requests are gRPC calls, and what statuses become.

use super::{is_grpc, status};

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
        (500, "2"),
        (502, "14"),
        (503, "14"),
        (504, "4"),
    ];
    for (http, code) in cases {
        assert_eq!(status(http), code, "{http}");
    }
}
