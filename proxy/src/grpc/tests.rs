//! What statuses become, and how calls that were broken off end.

use codec::grpc::is_plain;
use codec::h2::ErrorCode;
use model::flow::FlowReason;

use super::{Ended, Trailers, ended_by, status};
use crate::refusal::Refusal;

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
        assert_eq!(status(http).as_str(), code, "{http}");
    }
}

#[test]
fn calls_that_are_broken_off_say_who_is_to_blame() {
    use FlowReason::{DeadlineExceeded, Limit, RouteTimeout, UpstreamFailed};
    let cases = [
        (UpstreamFailed, None, "14", "The endpoint went away before the call had ended"),
        (UpstreamFailed, Some(ErrorCode::CANCEL), "1", "The endpoint reset the call"),
        (UpstreamFailed, Some(ErrorCode::INTERNAL_ERROR), "13", "The endpoint reset the call"),
        (RouteTimeout, None, "4", "The endpoint took too long to answer"),
        (DeadlineExceeded, None, "4", "The deadline of the call has passed"),
        (DeadlineExceeded, Some(ErrorCode::CANCEL), "4", "The deadline of the call has passed"),
        (Limit, None, "14", "The proxy gave the call up"),
    ];
    for (reason, reset, status, message) in cases {
        let fields = [("grpc-status", status.as_bytes()), ("grpc-message", message.as_bytes())];
        assert_eq!(Trailers::of(reason, reset).fields(), fields, "{reason:?} {reset:?}");
    }
}

/// What would have to be percent-encoded is not said.
#[test]
fn no_text_needs_an_escape() {
    let plain = |text: &[u8]| text.iter().all(|byte| is_plain(*byte));
    for reason in FlowReason::ALL {
        for reset in [None, Some(ErrorCode::CANCEL)] {
            let [_, (_, message)] = Trailers::of(reason, reset).fields();
            assert!(plain(message) && !message.is_empty(), "{reason:?}");
        }
        for status in [0, 403, 405, 408, 421, 431, 504] {
            let text = Refusal::new(status, reason).body();
            assert!(plain(text.trim_end().as_bytes()), "{text:?}");
        }
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
