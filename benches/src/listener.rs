//! The ways in that every peer offers, each on a port of its own, and the backend behind each.

use crate::namespace::BACKEND;

/// A way in. The peers' configurations in `benches/peers` have the same ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    /// HTTP/1.1 to the HTTP/1.1 backend.
    Http1,
    /// Cleartext HTTP/2 to the HTTP/2 backend.
    Http2,
    /// HTTP/1.1 in TLS 1.3 to the HTTP/1.1 backend.
    Tls,
    /// Bytes to the backend of large bodies.
    Tcp,
    /// gRPC over cleartext HTTP/2 to the gRPC backend.
    Grpc,
    /// HTTP/2 in TLS 1.3 to the HTTP/1.1 backend.
    TlsHttp2,
}

impl Listener {
    /// The port of the first peer; the others follow.
    fn first_port(self) -> u16 {
        match self {
            Self::Http1 => 7000,
            Self::Http2 => 7100,
            Self::Tls => 7200,
            Self::Tcp => 7300,
            Self::Grpc => 7400,
            Self::TlsHttp2 => 7500,
        }
    }

    /// Where the peer of this number listens.
    pub(crate) fn port(self, peer: u16) -> u16 {
        self.first_port() + peer
    }

    /// The backend's port.
    pub(crate) fn backend_port(self) -> u16 {
        match self {
            Self::Http1 | Self::Tls | Self::TlsHttp2 => 8080,
            Self::Http2 => 8081,
            Self::Tcp => 8082,
            Self::Grpc => 8083,
        }
    }

    /// The path that is asked for under load; Weir's policy allows no other.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Grpc => "/bench.Echo/Unary",
            _ => "/public",
        }
    }

    /// Whether requests are judged one by one, so that another path is denied.
    pub(crate) fn judges_requests(self) -> bool {
        self != Self::Tcp
    }

    /// A URL at this address and port.
    pub(crate) fn url(self, host: &str, port: u16, path: &str) -> String {
        let scheme = match self {
            Self::Tls | Self::TlsHttp2 => "https",
            _ => "http",
        };
        format!("{scheme}://{host}:{port}{path}")
    }

    /// How curl speaks to it.
    pub(crate) fn curl(self) -> &'static [&'static str] {
        match self {
            Self::Http1 | Self::Tcp => &["--http1.1"],
            Self::Tls => &["--http1.1", "--insecure", "--tlsv1.3"],
            Self::TlsHttp2 => &["--http2", "--insecure", "--tlsv1.3"],
            Self::Http2 => &["--http2-prior-knowledge"],
            Self::Grpc => &[
                "--http2-prior-knowledge",
                "--header",
                "content-type: application/grpc",
                "--header",
                "te: trailers",
            ],
        }
    }
}

/// The backends: program (in `benches/floor`) and arguments after the address.
pub(crate) const BACKENDS: [(&str, Listener, &str); 4] = [
    ("backend", Listener::Http1, "64"),
    ("backend_h2", Listener::Http2, "plain"),
    ("backend", Listener::Tcp, "1048576"),
    ("backend_h2", Listener::Grpc, "grpc"),
];

/// Bytes of one body of the backend behind [`Listener::Tcp`].
pub(crate) const LARGE_BODY_BYTES: f64 = 1_048_576.0;

/// The URL of a listener's backend itself.
pub(crate) fn backend_url(listener: Listener) -> String {
    listener.url(BACKEND, listener.backend_port(), listener.path())
}
