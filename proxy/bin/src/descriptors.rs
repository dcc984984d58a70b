//! The file descriptors that this process may have, and how many connections they allow.

use proxy::Limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::{self, Setting};

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

/// The limits of the proxy with these settings; says so where descriptors, or one limit another, lower them.
pub(crate) fn limits(settings: &[Setting], workers: usize) -> Limits {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let asked = limits::set(settings);
    let limits = asked.clone().within(descriptors, workers);
    if limits.connections < asked.connections {
        tracing::warn!(
            "{descriptors} file descriptors (ulimit -n) allow {} connections, {} of one pod, {} of one other client",
            limits.connections,
            limits.connections_per_pod,
            limits.connections_per_client
        );
    }
    for said in settings.iter().filter_map(|setting| setting.lowered(&limits)) {
        tracing::warn!("{said}, as more does not fit into what there is");
    }
    limits
}

#[cfg(test)]
mod tests;
