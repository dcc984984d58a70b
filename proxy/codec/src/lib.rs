//! Bytes to messages and back, sans I/O: HTTP/1.1 framing, path normalisation, protocol detection.
//!
//! Nothing here knows a socket, a clock or a rule. Whatever is ambiguous is refused, never repaired.

mod detect;
pub mod grpc;
pub mod h2;
pub mod hpack;
pub mod http1;
pub mod path;
pub mod tls;

pub use detect::{Detected, detect};
