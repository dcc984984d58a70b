//! gRPC, as far as a proxy has to know it: its requests, and answers of our own that its clients
//! understand.

use codec::http1::RequestHead;

/// Whether this is a gRPC call: `application/grpc`, or with `+` or `;` and more. gRPC-Web is not:
/// its clients read HTTP statuses.
pub(crate) fn is_call(head: &RequestHead<'_, '_>) -> bool {
    let mut fields = head.headers.iter();
    let content_type = fields.find(|field| field.name.eq_ignore_ascii_case("content-type"));
    content_type.is_some_and(|field| is_grpc(field.value))
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
    [("content-type", CONTENT_TYPE.as_bytes()), ("grpc-status", status), ("grpc-message", message)]
}

/// The `grpc-status` that stands for an HTTP status: gRPC's own mapping
/// (`doc/http-grpc-status-mapping.md`), but for 408 and 504, which are time-outs of ours.
fn status(http: u16) -> &'static str {
    match http {
        400 | 431 => INTERNAL,
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 => UNIMPLEMENTED,
        408 | 504 => DEADLINE_EXCEEDED,
        429 | 502 | 503 => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

const UNKNOWN: &str = "2";
const DEADLINE_EXCEEDED: &str = "4";
const PERMISSION_DENIED: &str = "7";
const UNIMPLEMENTED: &str = "12";
const INTERNAL: &str = "13";
const UNAVAILABLE: &str = "14";
const UNAUTHENTICATED: &str = "16";

/// What gRPC calls and answers to them are.
pub(crate) const CONTENT_TYPE: &str = "application/grpc";

#[cfg(test)]
mod tests;
