//! Why a stream or a connection ended: error codes on the wire, and the limits that stopped a peer.

use std::fmt;

/// An error code of RST_STREAM and GOAWAY (RFC 9113 §7). Unknown codes are kept as they are.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub u32);

impl ErrorCode {
    /// No error: a graceful end.
    pub const NO_ERROR: Self = Self(0x0);
    /// The peer broke the protocol in a way that has no code of its own.
    pub const PROTOCOL_ERROR: Self = Self(0x1);
    /// This endpoint failed.
    pub const INTERNAL_ERROR: Self = Self(0x2);
    /// The peer passed a flow-control window, or made one overflow.
    pub const FLOW_CONTROL_ERROR: Self = Self(0x3);
    /// SETTINGS were not acknowledged in time.
    pub const SETTINGS_TIMEOUT: Self = Self(0x4);
    /// A frame for a stream that is closed.
    pub const STREAM_CLOSED: Self = Self(0x5);
    /// A frame of a wrong size.
    pub const FRAME_SIZE_ERROR: Self = Self(0x6);
    /// The stream was not processed at all: the request can be sent again.
    pub const REFUSED_STREAM: Self = Self(0x7);
    /// The stream is no longer wanted.
    pub const CANCEL: Self = Self(0x8);
    /// The HPACK state is lost.
    pub const COMPRESSION_ERROR: Self = Self(0x9);
    /// The connection behind a CONNECT broke.
    pub const CONNECT_ERROR: Self = Self(0xa);
    /// The peer passed a limit.
    pub const ENHANCE_YOUR_CALM: Self = Self(0xb);
    /// The transport is not safe enough.
    pub const INADEQUATE_SECURITY: Self = Self(0xc);
    /// The request needs HTTP/1.1.
    pub const HTTP_1_1_REQUIRED: Self = Self(0xd);

    /// The registered name; `UNKNOWN` for other codes.
    #[must_use]
    pub fn name(self) -> &'static str {
        const NAMES: [&str; 14] = [
            "NO_ERROR",
            "PROTOCOL_ERROR",
            "INTERNAL_ERROR",
            "FLOW_CONTROL_ERROR",
            "SETTINGS_TIMEOUT",
            "STREAM_CLOSED",
            "FRAME_SIZE_ERROR",
            "REFUSED_STREAM",
            "CANCEL",
            "COMPRESSION_ERROR",
            "CONNECT_ERROR",
            "ENHANCE_YOUR_CALM",
            "INADEQUATE_SECURITY",
            "HTTP_1_1_REQUIRED",
        ];
        NAMES.get(self.0 as usize).copied().unwrap_or("UNKNOWN")
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({:#x})", self.name(), self.0)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The limit that a peer passed; [`Self::name`] is the label of its counter. Each stands in [`super::Limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitHit {
    /// Bytes of one decoded header list.
    HeaderListBytes,
    /// Fields of one header list.
    HeaderFields,
    /// `cookie` fields of one header list.
    CookieCrumbs,
    /// CONTINUATION frames of one header block.
    ContinuationFrames,
    /// Compressed bytes of one header block.
    HeaderBlockBytes,
    /// Streams open at once.
    Streams,
    /// Interim responses of one stream that nobody has taken yet.
    InterimHeads,
    /// Streams reset by the peer, or because of the peer's errors, in one second.
    Resets,
    /// PING frames in one second.
    Pings,
    /// SETTINGS frames in one second.
    Settings,
    /// PRIORITY frames in one second.
    Priorities,
    /// Empty DATA frames, and headers' worth of nothing, in one second.
    EmptyData,
    /// DATA frames of a few bytes in one second.
    SmallData,
    /// WINDOW_UPDATE frames in one second.
    WindowUpdates,
    /// Frames of unknown types in one second.
    UnknownFrames,
    /// Frames for streams that are closed, in one second.
    StrayFrames,
    /// Bytes of answers waiting for a peer that does not read.
    ControlBytes,
}

impl LimitHit {
    /// The label of the counter: lower case, words joined by `_`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HeaderListBytes => "header_list_bytes",
            Self::HeaderFields => "header_fields",
            Self::CookieCrumbs => "cookie_crumbs",
            Self::ContinuationFrames => "continuation_frames",
            Self::HeaderBlockBytes => "header_block_bytes",
            Self::Streams => "streams",
            Self::InterimHeads => "interim_heads",
            Self::Resets => "resets",
            Self::Pings => "pings",
            Self::Settings => "settings",
            Self::Priorities => "priorities",
            Self::EmptyData => "empty_data",
            Self::SmallData => "small_data",
            Self::WindowUpdates => "window_updates",
            Self::UnknownFrames => "unknown_frames",
            Self::StrayFrames => "stray_frames",
            Self::ControlBytes => "control_bytes",
        }
    }
}

/// The connection is over: the peer broke the protocol or passed a limit. GOAWAY with this code is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionError {
    /// What GOAWAY says.
    pub code: ErrorCode,
    /// What the peer did, for the log.
    pub reason: &'static str,
    /// The limit it passed, if that is why.
    pub limit: Option<LimitHit>,
}

impl ConnectionError {
    pub(super) const fn new(code: ErrorCode, reason: &'static str) -> Self {
        Self { code, reason, limit: None }
    }

    pub(super) const fn protocol(reason: &'static str) -> Self {
        Self::new(ErrorCode::PROTOCOL_ERROR, reason)
    }

    pub(super) const fn size(reason: &'static str) -> Self {
        Self::new(ErrorCode::FRAME_SIZE_ERROR, reason)
    }

    pub(super) fn limit(limit: LimitHit) -> Self {
        Self { code: ErrorCode::ENHANCE_YOUR_CALM, reason: limit.name(), limit: Some(limit) }
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.limit.is_some() { "limit passed: " } else { "" };
        write!(f, "{}: {what}{}", self.code, self.reason)
    }
}

impl std::error::Error for ConnectionError {}
