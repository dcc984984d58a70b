//! gRPC, as far as a proxy has to know it: its requests, and answers of our own that its clients
//! understand.

use codec::http1::{RequestHead, ResponseHead};

/// Whether this is a gRPC call: `application/grpc`, or with `+` or `;` and more. gRPC-Web is not:
/// its clients read HTTP statuses.
pub(crate) fn is_call(head: &RequestHead<'_, '_>) -> bool {
    let mut fields = head.headers.iter();
    let content_type = fields.find(|field| field.name.eq_ignore_ascii_case("content-type"));
    content_type.is_some_and(|field| is_grpc(field.value))
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
        let failures = [UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS];
        if failures.contains(&status) { Self::Failed } else { Self::Well }
    }
}

fn is_grpc(content_type: &[u8]) -> bool {
    let Some((start, rest)) = content_type.split_at_checked(CONTENT_TYPE.len()) else { return false };
    start.eq_ignore_ascii_case(CONTENT_TYPE.as_bytes())
        && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

/// The fields of a response that is nothing but its end ("Trailers-Only"), in the place of an HTTP
/// status with this text.
pub(crate) fn fields(http: u16, text: &'static str) -> [(&'static str, &'static [u8]); 3] {
    // The texts have no byte that `grpc-message` would escape.
    let message = text.trim_end().as_bytes();
    let status = status(http).as_bytes();
    [("content-type", CONTENT_TYPE.as_bytes()), (STATUS, status), ("grpc-message", message)]
}

/// The `grpc-status` that stands for an HTTP status: gRPC's own mapping
/// (`doc/http-grpc-status-mapping.md`), but for 408 and 504, which are time-outs of ours, and 500, a
/// backend that leads nowhere, for which GRPCRoutes have a status of their own.
fn status(http: u16) -> &'static str {
    match http {
        400 | 431 => INTERNAL,
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 => UNIMPLEMENTED,
        408 | 504 => DEADLINE_EXCEEDED,
        429 | 500 | 502 | 503 => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

const UNKNOWN: &str = "2";
const DEADLINE_EXCEEDED: &str = "4";
const PERMISSION_DENIED: &str = "7";
const UNIMPLEMENTED: &str = "12";
const INTERNAL: &str = "13";
const UNAVAILABLE: &str = "14";
const DATA_LOSS: &str = "15";
const UNAUTHENTICATED: &str = "16";

const STATUS: &str = "grpc-status";

/// What gRPC calls and answers to them are.
pub(crate) const CONTENT_TYPE: &str = "application/grpc";

#[cfg(test)]
mod tests;
