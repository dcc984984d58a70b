//! What is in force, in a form that outlives the process: each object as the file said it.
//!
//! Whoever keeps the [`Note`]s and gives them to the next process lets it begin where this one was:
//! [`Files::recall`](crate::Files::recall) puts them in force before anything is read, and what is
//! bad now then meets its last good version as if the process had never ended.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use objects::{ObjectKey, Source};

use crate::decode::{self, Decoded};

/// What a file said of one object, or that it says no more of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// The file, absolute.
    pub file: Arc<Path>,
    /// The object.
    pub key: ObjectKey,
    /// `None`: the file does not hold it any more.
    pub said: Option<Said>,
}

/// One object of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// Its line.
    pub line: u32,
    /// Whether it can be put in force.
    pub good: bool,
    /// The object.
    pub text: Text,
}

/// An object as JSON. `Debug` does not show it: it may be a Secret.
#[derive(Clone, Default, PartialEq)]
pub struct Text(pub String);

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} bytes)", self.0.len())
    }
}

/// One object that an earlier process knew.
#[derive(Clone, Debug, PartialEq)]
pub struct Recalled {
    /// Its file, absolute.
    pub file: PathBuf,
    /// What was said there.
    pub said: Said,
}

/// A path that the user gave an earlier process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedRoot {
    /// The path, absolute.
    pub path: PathBuf,
    /// Whether it was a folder.
    pub folder: bool,
}

/// An absolute path for one that the user gave; itself where the working folder is gone.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The object as the file of `source` said it.
pub(crate) fn decoded(source: &Source, said: &Said) -> Option<Decoded> {
    let decoded = decode::recall(source, &said.text.0)?;
    Some(if said.good { decoded } else { decoded.refused() })
}
