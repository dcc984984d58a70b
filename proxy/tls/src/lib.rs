//! TLS as objects configure it: [`model::tls`] made into configurations of rustls, and the state of
//! one connection without its socket.
//!
//! TLS 1.2 and 1.3 with the cryptography of aws-lc, which builds with a C compiler alone. Nothing
//! here does I/O but the one reading of the system's authorities, and nothing here shows a key.

mod alpn;
mod certificate;
mod check;
mod client;
mod configs;
mod error;
pub mod pem;
mod server;
mod session;
mod validity;
mod verify;
mod words;

use std::sync::{Arc, LazyLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs};

pub use alpn::Alpn;
pub use check::{check, check_authorities};
pub use client::{ClientSetup, Identity};
pub use configs::Configs;
pub use error::Error;
pub use rustls::ServerConfig;
pub use session::{Output, Session, Step, Stepped};
pub use validity::{Validity, lapse};
pub use words::words;

/// The cryptography of all connections.
fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));
    &PROVIDER
}

#[cfg(test)]
mod fixture;
