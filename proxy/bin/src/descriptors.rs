//! The file descriptors that this process may have, and how many connections they allow.

use proxy::Limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit as far as this process may. It is low by default for the sake of programs
/// that use `select`.
pub(crate) fn raise() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    // Where it is refused, connections are limited to what there is.
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!(%error, "the limit of file descriptors stays as it is");
    }
}

/// The limits of the proxy; says so where descriptors lower them.
pub(crate) fn limits(workers: usize) -> Limits {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let limits = Limits::default().within(descriptors, workers);
    if limits.connections < Limits::default().connections {
        tracing::warn!(
            "{descriptors} file descriptors (ulimit -n) allow {} connections, {} of one pod",
            limits.connections,
            limits.connections_per_pod
        );
    }
    limits
}

#[cfg(test)]
mod tests;
