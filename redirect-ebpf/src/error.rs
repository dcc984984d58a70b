//! Errors, each with the object it concerns and the remedy where there is one. `Display` tells the
//! whole of it, cause included: nothing is left for `source`.

use std::io;
use std::path::PathBuf;

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::ProgramError;

/// What can go wrong. None of it leaves a pod's traffic less restricted than before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A path of the pin directory.
    #[error("{action} {}: {cause}{}", path.display(), remedy(cause))]
    Path {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        cause: io::Error,
    },
    /// The eBPF object.
    #[error("load the eBPF programs: {cause}{}", remedy_of(cause))]
    Load {
        /// Why it failed; with the verifier's log if it was the verifier.
        cause: Box<EbpfError>,
    },
    /// One program of it.
    #[error("{action} eBPF program {program}{}: {cause}{}", on(device), remedy_of(cause))]
    Program {
        /// What was tried.
        action: &'static str,
        /// The program.
        program: &'static str,
        /// The device it is for; empty: none.
        device: String,
        /// Why it failed.
        cause: Box<ProgramError>,
    },
    /// A link of a program, by a plain system call.
    #[error("{action} {}: {cause}{}", path.display(), remedy(cause))]
    Link {
        /// The call.
        action: &'static str,
        /// The pinned link.
        path: PathBuf,
        /// Why it failed.
        cause: io::Error,
    },
    /// A map.
    #[error("eBPF map {map}: {action}: {cause}{}", remedy_of(cause))]
    Map {
        /// The map's name.
        map: &'static str,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        cause: Box<MapError>,
    },
    /// The object or a pin lacks what belongs there.
    #[error("{what} is missing; rebuild, or run `weir cleanup` and start again")]
    Absent {
        /// What is missing.
        what: String,
    },
    /// The pin directory belongs to a running node in another network namespace.
    #[error(
        "{} holds the redirection of another network namespace: name another pin directory, or \
         clean up there first", path.display()
    )]
    OtherNamespace {
        /// The pin directory.
        path: PathBuf,
    },
    /// A rule or route that brings redirected packets to the proxy, or a question to the kernel's
    /// routing.
    #[error("netlink: {action}: {cause}{}", remedy(cause))]
    Netlink {
        /// What was tried.
        action: String,
        /// Why it failed.
        cause: io::Error,
    },
    /// A worker number beyond those configured.
    #[error("worker {worker} of {workers}: no such listener slot")]
    Worker {
        /// The worker.
        worker: u32,
        /// How many there are.
        workers: u32,
    },
}

impl Error {
    pub(crate) fn path(action: &'static str, path: impl Into<PathBuf>, cause: io::Error) -> Self {
        Self::Path { action, path: path.into(), cause }
    }

    pub(crate) fn map(map: &'static str, action: &'static str) -> impl Fn(MapError) -> Self {
        move |cause| Self::Map { map, action, cause: Box::new(cause) }
    }

    pub(crate) fn program(
        program: &'static str,
        action: &'static str,
        device: &str,
        cause: ProgramError,
    ) -> Self {
        Self::Program { action, program, device: device.to_owned(), cause: Box::new(cause) }
    }
}

fn on(device: &str) -> String {
    if device.is_empty() { String::new() } else { format!(" on {device}") }
}

/// The number of the failed system call below an error of aya, if there is one.
pub(crate) fn errno(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>()
            && let Some(number) = io.raw_os_error()
        {
            return Some(number);
        }
        next = error.source();
    }
    None
}

fn remedy(error: &io::Error) -> &'static str {
    error.raw_os_error().map_or("", advice)
}

fn remedy_of(error: &(dyn std::error::Error + 'static)) -> &'static str {
    errno(error).map_or("", advice)
}

fn advice(number: i32) -> &'static str {
    match number {
        libc::EPERM | libc::EACCES => " (needs root, or CAP_BPF and CAP_NET_ADMIN)",
        libc::ENETDOWN => " (the loopback device is down: `ip link set lo up`)",
        libc::ENOSPC | libc::E2BIG => " (the map is full)",
        libc::EOPNOTSUPP | libc::EAFNOSUPPORT => " (not supported by this kernel)",
        _ => "",
    }
}
