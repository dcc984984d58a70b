//! What filters do to a request: redirects, rewrites and header edits.

use std::borrow::Cow;
use std::sync::Arc;

use model::request::HttpRequest;
use model::route::{HeaderEdits, PathEdit, PathMatch, Redirect, Rewrite, RouteMatch};

#[cfg(test)]
mod tests;

/// What a `URLRewrite` changes; `None` leaves the request's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// The new authority.
    pub authority: Option<Arc<str>>,
    /// The new path and query.
    pub target: Option<String>,
}

/// One header field of a message on its way through: the name in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Field name.
    pub name: Cow<'a, str>,
    /// Field value.
    pub value: Cow<'a, [u8]>,
}

/// Status and `Location` of a redirect. `scheme` and `port` are those the request came by: the
/// listener's, not what its `Host` says.
///
/// Without a `port` in the filter, a changed scheme goes to its well-known port and an unchanged
/// one stays on the listener's; 80 for http and 443 for https are not written. The query stays.
pub fn redirect(
    filter: &Redirect,
    matched: &RouteMatch,
    request: &HttpRequest<'_>,
    scheme: &str,
    port: u16,
) -> (u16, String) {
    let target = edited(filter.path.as_ref(), matched, request);
    let target = target.as_deref().unwrap_or(request.target);
    let host = filter.hostname.as_deref().unwrap_or(request.host());
    if host.is_empty() {
        return (filter.status, target.to_owned());
    }
    let wanted = filter.scheme.as_deref();
    let port = filter.port.or(wanted.and_then(well_known)).unwrap_or(port);
    let scheme = wanted.unwrap_or(scheme);
    let location = match well_known(scheme) {
        Some(default) if default == port => format!("{scheme}://{host}{target}"),
        _ => format!("{scheme}://{host}:{port}{target}"),
    };
    (filter.status, location)
}

/// What a rewrite makes of the request's authority and target.
pub fn rewrite(filter: &Rewrite, matched: &RouteMatch, request: &HttpRequest<'_>) -> Rewritten {
    Rewritten { authority: filter.hostname.clone(), target: edited(filter.path.as_ref(), matched, request) }
}

/// Applies `set`, then `add`, then `remove`. A value is added to an existing one after a comma,
/// except for `Set-Cookie`, whose values cannot be joined (RFC 9110 section 5.3).
pub fn edit_headers<'a>(edits: &'a HeaderEdits, headers: &mut Vec<Header<'a>>) {
    for (name, value) in &edits.set {
        headers.retain(|h| !h.name.eq_ignore_ascii_case(name));
        headers.push(header(name, value));
    }
    for (name, value) in &edits.add {
        let existing = headers.iter_mut().rev().find(|h| h.name.eq_ignore_ascii_case(name));
        match existing.filter(|h| !h.name.eq_ignore_ascii_case("set-cookie")) {
            Some(field) => {
                let joined = field.value.to_mut();
                joined.push(b',');
                joined.extend_from_slice(value.as_bytes());
            }
            None => headers.push(header(name, value)),
        }
    }
    for name in &edits.remove {
        headers.retain(|h| !h.name.eq_ignore_ascii_case(name));
    }
}

fn header<'a>(name: &'a str, value: &'a str) -> Header<'a> {
    Header { name: Cow::Borrowed(name), value: Cow::Borrowed(value.as_bytes()) }
}

/// The request's target after a path edit, its query kept unless the new path brings its own.
fn edited(edit: Option<&PathEdit>, matched: &RouteMatch, request: &HttpRequest<'_>) -> Option<String> {
    let mut path = match edit? {
        PathEdit::Full(path) => path.to_string(),
        PathEdit::Prefix(replacement) => {
            let prefix = match &matched.path {
                PathMatch::Prefix(prefix) => &**prefix,
                // Refused by translation; the whole path is then what matched.
                PathMatch::Exact(_) | PathMatch::Regex(_) | PathMatch::Method(_) => request.path,
            };
            let rest = request.path.strip_prefix(prefix).unwrap_or_default();
            format!("{}{rest}", replacement.trim_end_matches('/'))
        }
    };
    if !path.starts_with('/') {
        path.insert(0, '/');
    }
    if let Some(query) = request.query.filter(|_| !path.contains('?')) {
        path.push('?');
        path.push_str(query);
    }
    Some(path)
}

fn well_known(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}
