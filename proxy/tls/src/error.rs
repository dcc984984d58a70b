//! What is wrong with a configuration.

use std::fmt;

/// Why a configuration cannot be used. Says whose it is and never shows a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(pub(crate) String);

impl Error {
    pub(crate) fn new(text: impl fmt::Display) -> Self {
        Self(text.to_string())
    }

    /// The same, of this object.
    pub(crate) fn of(self, object: &impl fmt::Display) -> Self {
        Self(format!("{object}: {}", self.0))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}
