//! Files and folders of Kubernetes YAML to the object store: the only reader of YAML.
//!
//! [`Files`] reads what the user names, keeps the store in line with it, and says in
//! [`Problem`](objects::Problem)s what it refused. A bad object never stops the others, and what
//! was good before stays in force.

mod decode;
mod files;
mod recall;
mod watch;
mod yaml;

#[cfg(test)]
mod testdir;

pub use files::{FULL_CHECK, Files, Loaded, MAX_FILE_BYTES, MAX_FILES, OpenError, Stats, VANISH_AFTER};
pub use recall::{Note, Recalled, Said, ServedRoot, Text};
pub use watch::{Changes, POLL, Waker};
