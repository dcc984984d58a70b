//! Hostnames: the canonical form of a request's host, and which listener it belongs to.

use std::sync::Arc;

use model::request::host_of;
use model::service::{GatewayPort, Listener};

#[cfg(test)]
mod tests;

/// The longest name that DNS allows (RFC 1035 section 2.3.4); nothing longer can be configured.
pub(crate) const HOST_MAX: usize = 255;

/// The listener that a request belongs to: the most specific that matches its host, and no other
/// (listener isolation). `host` may carry a port and be in any case.
pub fn listener<'p>(port: &'p GatewayPort, host: &str) -> Option<&'p Arc<Listener>> {
    let mut buffer = [0; HOST_MAX];
    let host = canonical(host_of(host), &mut buffer);
    port.listeners.iter().find(|l| l.hostname.as_deref().is_none_or(|pattern| matches(pattern, host)))
}

/// The host in lower case without a trailing dot. A host longer than any name that can be
/// configured becomes empty: it matches only what matches every host.
pub(crate) fn canonical<'b>(host: &'b str, buffer: &'b mut [u8; HOST_MAX]) -> &'b str {
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.len() > HOST_MAX {
        return "";
    }
    if !host.bytes().any(|b| b.is_ascii_uppercase()) {
        return host;
    }
    let lower = &mut buffer[..host.len()];
    lower.copy_from_slice(host.as_bytes());
    lower.make_ascii_lowercase();
    // Changing the case of ASCII letters keeps UTF-8 valid.
    std::str::from_utf8(lower).unwrap_or_default()
}

/// Whether a canonical host matches a lower-case pattern: a name, or `*.suffix` for one or more
/// further labels.
fn matches(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
        None => pattern == host,
    }
}
