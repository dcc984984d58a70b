//! gRPC, as far as a proxy has to know it: its requests and their deadlines, and answers of our own that
//! its clients understand.

use std::time::Duration;

use codec::grpc::{self, CONTENT_TYPE, MESSAGE, STATUS, Status, TIMEOUT};
use codec::h2::ErrorCode;
use codec::http1::{RequestHead, ResponseHead};
use model::flow::FlowReason;

/// Whether this is a gRPC call.
pub(crate) fn is_call(head: &RequestHead<'_, '_>) -> bool {
    let mut fields = head.headers.iter();
    let content_type = fields.find(|field| field.name.eq_ignore_ascii_case("content-type"));
    content_type.is_some_and(|field| grpc::is_call(field.value))
}

/// The time that the client of a call allows it, if it says so. A value that says nothing is for the
/// server to judge, which is given all of them as they are.
pub(crate) fn timeout(head: &RequestHead<'_, '_>) -> Option<Duration> {
    let fields = head.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(TIMEOUT));
    fields.filter_map(|field| grpc::timeout(field.value)).min()
}

/// How a call ended, by the `grpc-status` of an answer that is nothing but its end; `None`: that
/// is said by its trailers.
pub(crate) fn ended(head: &ResponseHead<'_, '_>) -> Option<Ended> {
    let field = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(STATUS))?;
    Some(Ended::of(field.value))
}

/// The same by the trailers, each a line with its name in lower case.
pub(crate) fn ended_by(trailers: &[u8]) -> Option<Ended> {
    let mut lines = trailers.split(|byte| *byte == b'\n');
    let value = lines.find_map(|line| line.strip_prefix(STATUS.as_bytes())?.strip_prefix(b":"))?;
    Some(Ended::of(value))
}

/// How a call ended, as far as its endpoint's health is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Well, or by what the caller did.
    Well,
    /// By a failure of the server: what Envoy takes for a status of 5xx (`grpcToHttpStatus`).
    Failed,
}

impl Ended {
    fn of(status: &[u8]) -> Self {
        let status = std::str::from_utf8(status).unwrap_or_default().trim();
        let failures = [
            Status::UNKNOWN,
            Status::DEADLINE_EXCEEDED,
            Status::UNIMPLEMENTED,
            Status::INTERNAL,
            Status::UNAVAILABLE,
            Status::DATA_LOSS,
        ];
        if failures.iter().any(|failure| failure.as_str() == status) { Self::Failed } else { Self::Well }
    }
}

/// The fields of a response that is nothing but its end ("Trailers-Only"), in the place of an HTTP
/// status with this text.
pub(crate) fn fields(http: u16, text: &'static str) -> [(&'static str, &'static [u8]); 3] {
    // The texts have no byte that `grpc-message` would escape.
    let end = Trailers { status: status(http), message: text.trim_end() };
    let [status, message] = end.fields();
    [("content-type", CONTENT_TYPE.as_bytes()), status, message]
}

/// How we end a call whose answer has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trailers {
    status: Status,
    message: &'static str,
}

impl Trailers {
    /// Of a call that policy no longer permits.
    pub(crate) const REVOKED: Self = Self { status: Status::PERMISSION_DENIED, message: "Access denied" };

    /// Of a call that failed. `reset`: how its stream with the endpoint was reset, if it was.
    pub(crate) fn of(reason: FlowReason, reset: Option<ErrorCode>) -> Self {
        let (status, message) = match (reason, reset) {
            (FlowReason::DeadlineExceeded, _) => {
                (Status::DEADLINE_EXCEEDED, "The deadline of the call has passed")
            }
            (FlowReason::RouteTimeout, _) => {
                (Status::DEADLINE_EXCEEDED, "The endpoint took too long to answer")
            }
            (FlowReason::UpstreamFailed, Some(code)) => {
                (Status::of_reset(code), "The endpoint reset the call")
            }
            (FlowReason::UpstreamFailed, None) => {
                (Status::UNAVAILABLE, "The endpoint went away before the call had ended")
            }
            _ => (Status::UNAVAILABLE, "The proxy gave the call up"),
        };
        Self { status, message }
    }

    pub(crate) fn fields(self) -> [(&'static str, &'static [u8]); 2] {
        [(STATUS, self.status.as_str().as_bytes()), (MESSAGE, self.message.as_bytes())]
    }
}

/// The `grpc-status` that stands for an HTTP status: gRPC's own mapping
/// (`doc/http-grpc-status-mapping.md`), but for 408 and 504, which are time-outs of ours, and 500, a
/// backend that leads nowhere, for which GRPCRoutes have a status of their own.
fn status(http: u16) -> Status {
    match http {
        400 | 431 => Status::INTERNAL,
        401 => Status::UNAUTHENTICATED,
        403 => Status::PERMISSION_DENIED,
        404 => Status::UNIMPLEMENTED,
        408 | 504 => Status::DEADLINE_EXCEEDED,
        429 | 500 | 502 | 503 => Status::UNAVAILABLE,
        _ => Status::UNKNOWN,
    }
}

#[cfg(test)]
mod tests;
