//! The `CORS` filter: what a preflight is answered and what an answer tells the browser
//! (fetch.spec.whatwg.org, "CORS protocol"; `HTTPCORSFilter` of the Gateway API).
//!
//! A wildcard is never written for origins, methods and headers of a request that says which it
//! wants: they are echoed, which holds with and without credentials.

use std::borrow::Cow;

use model::request::HttpRequest;
use model::route::{Cors, Origin};

use crate::filter::Header;

#[cfg(test)]
mod tests;

const ALLOW_ORIGIN: &str = "access-control-allow-origin";
const ALLOW_CREDENTIALS: &str = "access-control-allow-credentials";
const ALLOW_METHODS: &str = "access-control-allow-methods";
const ALLOW_HEADERS: &str = "access-control-allow-headers";
const EXPOSE_HEADERS: &str = "access-control-expose-headers";
const MAX_AGE: &str = "access-control-max-age";
const VARY: &str = "vary";
/// What all fields that grant something begin with.
const GRANTS: &str = "access-control-";

/// The answer to a preflight, status and fields: 200 with what is allowed, or 403 without a word
/// of it for an origin that is not. `None`: the request is no preflight and goes on.
pub fn preflight(cors: &Cors, request: &HttpRequest<'_>) -> Option<(u16, Vec<Header<'static>>)> {
    let method = request.values("access-control-request-method").next()?;
    if request.method != "OPTIONS" || origin(request).is_none() {
        return None;
    }
    let mut fields = cors_headers(cors, request);
    if !fields.iter().any(|field| field.name == ALLOW_ORIGIN) {
        return Some((403, fields));
    }
    let wanted = request.values("access-control-request-headers").collect::<Vec<_>>().join(&b", "[..]);
    for (name, list, wanted) in
        [(ALLOW_METHODS, &cors.methods, method), (ALLOW_HEADERS, &cors.headers, &*wanted)]
    {
        let value = if is_all(list) { wanted.to_vec() } else { list.join(", ").into_bytes() };
        if !value.is_empty() {
            fields.push(field(name, value));
        }
    }
    fields.push(field(MAX_AGE, cors.max_age.to_string()));
    Some((200, fields))
}

/// The fields of an answer to a request that is no preflight. For an origin that is not allowed,
/// and for a request without one, only that the answer may depend on it.
pub fn cors_headers(cors: &Cors, request: &HttpRequest<'_>) -> Vec<Header<'static>> {
    let mut fields = vec![field(VARY, "origin")];
    let Some(origin) = origin(request).filter(|origin| cors.origins.iter().any(|o| allows(o, origin))) else {
        return fields;
    };
    fields.push(field(ALLOW_ORIGIN, origin));
    if cors.credentials {
        fields.push(field(ALLOW_CREDENTIALS, "true"));
    }
    // With credentials a browser would take `*` for the name of a header.
    let exposed = match (is_all(&cors.expose), cors.credentials) {
        (true, true) => String::new(),
        (true, false) => "*".to_owned(),
        (false, _) => cors.expose.join(", "),
    };
    if !exposed.is_empty() {
        fields.push(field(EXPOSE_HEADERS, exposed));
    }
    fields
}

/// Puts the fields of [`cors_headers`] into an endpoint's answer. What the endpoint itself grants
/// is taken out: the route says who may read it.
pub fn merge_cors<'a>(fields: &'a [Header<'static>], headers: &mut Vec<Header<'a>>) {
    headers.retain(|h| !h.name.get(..GRANTS.len()).is_some_and(|start| start.eq_ignore_ascii_case(GRANTS)));
    for field in fields {
        let varies =
            || headers.iter().filter(|h| h.name.eq_ignore_ascii_case(VARY)).any(|h| names_origin(&h.value));
        if field.name != VARY || !varies() {
            headers.push(Header { name: Cow::Borrowed(&field.name), value: Cow::Borrowed(&field.value) });
        }
    }
}

/// Whether a value of `Vary` covers `Origin`.
fn names_origin(value: &[u8]) -> bool {
    let mut names = value.split(|b| *b == b',').map(<[u8]>::trim_ascii);
    names.any(|name| name == b"*" || name.eq_ignore_ascii_case(b"origin"))
}

fn origin(request: &HttpRequest<'_>) -> Option<String> {
    let value = request.values("origin").next().filter(|value| !value.is_empty())?;
    std::str::from_utf8(value).ok().map(str::to_owned)
}

fn allows(allowed: &Origin, origin: &str) -> bool {
    match allowed {
        Origin::Any => true,
        Origin::Exact(exact) => exact.eq_ignore_ascii_case(origin),
        Origin::Wildcard { scheme, suffix } => {
            let origin = origin.to_ascii_lowercase();
            let rest = origin.strip_prefix(&**scheme).and_then(|rest| rest.strip_suffix(&**suffix));
            // Labels and nothing else: no path, no user, no port stands in for the wildcard.
            let is_label = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
            rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(is_label))
        }
    }
}

fn is_all(list: &[std::sync::Arc<str>]) -> bool {
    list.iter().any(|name| &**name == "*")
}

fn field(name: &'static str, value: impl Into<Vec<u8>>) -> Header<'static> {
    Header { name: Cow::Borrowed(name), value: Cow::Owned(value.into()) }
}
