//! Borrowed views of requests: what policy and routes see, whatever the wire format was.

/// One header field as received: the name in any case, the value without surrounding space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderView<'a> {
    /// Field name.
    pub name: &'a str,
    /// Field value bytes.
    pub value: &'a [u8],
}

/// An HTTP request after framing and the one path normalisation (RFC 9110 names).
#[derive(Clone, Copy, Debug)]
pub struct HttpRequest<'a> {
    /// The method, as sent: `GET`.
    pub method: &'a str,
    /// Host and optional port (`Host` or `:authority`), as sent.
    pub authority: &'a str,
    /// Normalised path, without the query: `/public`.
    pub path: &'a str,
    /// The query without `?`; `None` when there is no `?`.
    pub query: Option<&'a str>,
    /// Path and query together, as Envoy's `:path`: `/public?x=1`.
    pub target: &'a str,
    /// Header fields in order.
    pub headers: &'a [HeaderView<'a>],
}

impl<'a> HttpRequest<'a> {
    /// Values of every field of this name (ASCII case-insensitive), in order.
    pub fn values<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'a [u8]> + 's {
        self.headers.iter().filter(move |h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value)
    }

    /// The authority without its port.
    pub fn host(&self) -> &'a str {
        host_of(self.authority)
    }
}

/// An authority without its port: `a.test:80` is `a.test`, `[::1]:80` is `[::1]`.
pub fn host_of(authority: &str) -> &str {
    let port_at = match authority.rfind(']') {
        Some(bracket) => authority[bracket..].find(':').map(|at| bracket + at),
        None => authority.rfind(':'),
    };
    port_at.map_or(authority, |at| &authority[..at])
}
