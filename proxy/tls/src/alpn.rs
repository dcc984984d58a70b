//! The protocols that are offered or accepted (RFC 7301).

/// Which protocols may be spoken inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Alpn {
    /// Nothing is said: bytes.
    #[default]
    None,
    /// `http/1.1`.
    Http1,
    /// `h2`.
    Http2,
    /// `h2` rather than `http/1.1`.
    Http,
}

impl Alpn {
    /// As rustls takes them, the one preferred first.
    pub(crate) fn protocols(self) -> Vec<Vec<u8>> {
        let (h2, http1) = (b"h2".to_vec(), b"http/1.1".to_vec());
        match self {
            Self::None => Vec::new(),
            Self::Http1 => vec![http1],
            Self::Http2 => vec![h2],
            Self::Http => vec![h2, http1],
        }
    }
}
