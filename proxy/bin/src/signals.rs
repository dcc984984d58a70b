//! Signals as bytes in a pipe, for the supervisor's poll loop.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR2};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// A child ended (SIGCHLD).
    Child,
    /// Stop and keep what is installed (SIGTERM).
    Terminate,
    /// Stop and clean up (SIGINT).
    Interrupt,
    /// Read all of the configuration again (SIGHUP).
    Reload,
    /// Replace the proxy by one of the binary that is on disk now (SIGUSR2).
    Restart,
}

/// The signals that arrived. Readable while there are some.
#[derive(Debug)]
pub(crate) struct Signals {
    wake: UnixStream,
    arrived: Vec<(Signal, Arc<AtomicBool>)>,
}

impl Signals {
    /// Catches the signals from now on.
    pub(crate) fn install() -> io::Result<Self> {
        let (wake, write) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        let mut arrived = Vec::new();
        for (number, signal) in TABLE {
            let flag = Arc::new(AtomicBool::new(false));
            // The flag first: handlers run in the order of registration.
            signal_hook::flag::register(number, Arc::clone(&flag))?;
            signal_hook::low_level::pipe::register(number, write.try_clone()?)?;
            arrived.push((signal, flag));
        }
        Ok(Self { wake, arrived })
    }

    /// Takes what arrived since the last call.
    pub(crate) fn pending(&self) -> Vec<Signal> {
        let mut bytes = [0; 64];
        // Empty or not, the flags say what arrived.
        while (&self.wake).read(&mut bytes).is_ok_and(|n| n > 0) {}
        let taken = self.arrived.iter().filter(|(_, flag)| flag.swap(false, Ordering::AcqRel));
        taken.map(|(signal, _)| *signal).collect()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

const TABLE: [(i32, Signal); 5] = [
    (SIGCHLD, Signal::Child),
    (SIGTERM, Signal::Terminate),
    (SIGHUP, Signal::Reload),
    (SIGINT, Signal::Interrupt),
    (SIGUSR2, Signal::Restart),
];
