//! Which requests are calls, how long they may take, and what resets of their streams mean.

use std::time::Duration;

use super::{Status, is_call, timeout};
use crate::h2::ErrorCode;

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
        assert_eq!(is_call(content_type.as_bytes()), expected, "{content_type}");
    }
}

#[test]
fn timeouts_have_up_to_eight_digits_and_a_unit() {
    let cases = [
        ("1H", Some(Duration::from_secs(3600))),
        ("2M", Some(Duration::from_secs(120))),
        ("3S", Some(Duration::from_secs(3))),
        ("4m", Some(Duration::from_millis(4))),
        ("5u", Some(Duration::from_micros(5))),
        ("6n", Some(Duration::from_nanos(6))),
        ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
        ("00000010m", Some(Duration::from_millis(10))),
        ("0n", Some(Duration::ZERO)),
        ("000000001m", None),
        ("123456789S", None),
        ("", None),
        ("m", None),
        ("1", None),
        ("10", None),
        ("1s", None),
        ("1h", None),
        ("1ms", None),
        ("-1m", None),
        ("+1m", None),
        ("1.5S", None),
        ("1 m", None),
        (" 1m", None),
        ("1m ", None),
        ("1µ", None),
        ("٣S", None),
    ];
    for (value, expected) in cases {
        assert_eq!(timeout(value.as_bytes()), expected, "{value:?}");
    }
}

#[test]
fn resets_are_mapped_as_grpc_says() {
    let cases = [
        (ErrorCode::NO_ERROR, "13"),
        (ErrorCode::PROTOCOL_ERROR, "13"),
        (ErrorCode::INTERNAL_ERROR, "13"),
        (ErrorCode::REFUSED_STREAM, "14"),
        (ErrorCode::CANCEL, "1"),
        (ErrorCode::ENHANCE_YOUR_CALM, "8"),
        (ErrorCode::INADEQUATE_SECURITY, "7"),
        (ErrorCode(0xff), "13"),
    ];
    for (code, status) in cases {
        assert_eq!(Status::of_reset(code).as_str(), status, "{code}");
    }
}
