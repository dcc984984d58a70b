//! Why a message was refused, and with which status.

use std::fmt;

/// A message that breaks RFC 9112, is ambiguous, or passes a limit. The connection it came on cannot be
/// used further: its framing is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Malformed {
    /// The start line is not what RFC 9112 §3 or §4 allow.
    StartLine,
    /// A line ends without CR LF, or a CR stands alone (RFC 9112 §2.2).
    LineEnd,
    /// A field name is empty, no token, or followed by white space (RFC 9112 §5.1).
    FieldName,
    /// A field value holds a control byte, or is folded over lines (RFC 9112 §5.2).
    FieldValue,
    /// The request target has bytes or a form that RFC 9112 §3.2 does not allow for its method.
    Target,
    /// `Host` is missing, empty, repeated, no authority, or contradicts the target (RFC 9112 §3.2).
    Host,
    /// `Content-Length` is repeated or not one plain decimal number (RFC 9112 §6.3).
    ContentLength,
    /// Both `Content-Length` and `Transfer-Encoding` are present (RFC 9112 §6.1).
    LengthAndEncoding,
    /// `Transfer-Encoding` is not well formed, repeats `chunked`, or stands where none may be (RFC 9112 §6.1).
    TransferEncoding,
    /// A transfer coding other than `chunked` (501).
    UnknownCoding,
    /// `Connection` or `Upgrade` is not a list of tokens (RFC 9110 §7.6.1).
    Connection,
    /// A body where the method or status allows none.
    UnexpectedBody,
    /// An expectation other than `100-continue` (417, RFC 9110 §10.1.1).
    Expectation,
    /// The method is longer than any that exists (501).
    MethodTooLong,
    /// The request target passes its limit (414).
    TargetTooLong,
    /// The head passes its limit in bytes (431).
    HeadTooLong,
    /// The head or trailer section has too many fields (431).
    TooManyFields,
    /// A version other than 1.0 and 1.1 (505).
    Version,
    /// A 101 that nobody asked for, or that names another protocol.
    UnaskedUpgrade,
    /// A chunk's size or line end is wrong (RFC 9112 §7.1).
    ChunkSize,
    /// A chunk's extensions are malformed or pass their limit.
    ChunkExtension,
    /// A trailer field is malformed or may not be a trailer (RFC 9110 §6.5.1).
    Trailer,
    /// The trailer section passes its limit in bytes.
    TrailerTooLong,
}

impl Malformed {
    /// Status of the answer to a client that sent this; an upstream that sent it is answered for with 502.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::TargetTooLong => 414,
            Self::Expectation => 417,
            Self::HeadTooLong | Self::TooManyFields | Self::TrailerTooLong => 431,
            Self::UnknownCoding | Self::MethodTooLong => 501,
            Self::Version => 505,
            _ => 400,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::StartLine => "malformed start line",
            Self::LineEnd => "line not ended by CR LF",
            Self::FieldName => "invalid header field name",
            Self::FieldValue => "invalid header field value",
            Self::Target => "invalid request target",
            Self::Host => "missing, repeated, invalid or contradicting Host",
            Self::ContentLength => "repeated or invalid Content-Length",
            Self::LengthAndEncoding => "both Content-Length and Transfer-Encoding",
            Self::TransferEncoding => "invalid Transfer-Encoding",
            Self::UnknownCoding => "transfer coding other than chunked",
            Self::Connection => "invalid Connection or Upgrade",
            Self::UnexpectedBody => "body where none is allowed",
            Self::Expectation => "unknown expectation",
            Self::MethodTooLong => "method too long",
            Self::TargetTooLong => "request target too long",
            Self::HeadTooLong => "head too long",
            Self::TooManyFields => "too many header fields",
            Self::Version => "HTTP version not supported",
            Self::UnaskedUpgrade => "upgrade that was not asked for",
            Self::ChunkSize => "invalid chunk size",
            Self::ChunkExtension => "invalid or too long chunk extension",
            Self::Trailer => "invalid trailer field",
            Self::TrailerTooLong => "trailer section too long",
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for Malformed {}
