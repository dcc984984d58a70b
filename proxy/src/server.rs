//! The proxy as the control side sees it: workers started, told of changes, drained.

use std::fmt;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use model::Snapshot;
use tokio::sync::{mpsc, watch};

use crate::config::{Config, Listener, ListenerKind};
use crate::stats::{Stats, Totals};
use crate::worker::{self, Command, Setup};

/// A running data plane. Dropping it stops the workers at once, with their connections.
#[derive(Debug)]
pub struct Proxy {
    snapshots: watch::Sender<Arc<Snapshot>>,
    workers: Vec<Handle>,
}

#[derive(Debug)]
struct Handle {
    // Unbounded because the control side sends a handful in a process's life.
    commands: mpsc::UnboundedSender<Command>,
    stats: Arc<Stats>,
    thread: JoinHandle<()>,
}

/// Why the data plane could not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// There are not as many listener lists or flow writers as workers.
    Counts {
        /// [`Config::workers`].
        workers: usize,
        /// Lists of listeners.
        listeners: usize,
        /// Flow writers.
        writers: usize,
    },
    /// A thread, a runtime or a listening socket could not be set up.
    Io(std::io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counts { workers, listeners, writers } => write!(
                f,
                "{workers} workers need as many lists of listeners and flow writers, not {listeners} and {writers}"
            ),
            Self::Io(error) => write!(f, "cannot start a worker: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<std::io::Error> for StartError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl Proxy {
    /// Starts the workers. `listeners` and `writers` hold one element for each of them.
    ///
    /// # Errors
    /// [`StartError`]; workers that had started are stopped.
    pub fn start(
        config: Config,
        initial: Arc<Snapshot>,
        listeners: Vec<Vec<Listener>>,
        writers: Vec<telemetry::Writer>,
    ) -> Result<Self, StartError> {
        let workers = config.workers.max(1);
        if listeners.len() != workers || writers.len() != workers {
            let (listeners, writers) = (listeners.len(), writers.len());
            return Err(StartError::Counts { workers, listeners, writers });
        }
        let config = Arc::new(config);
        let tls = Arc::new(tls::Configs::default());
        let mut proxy = Self { snapshots: watch::Sender::new(initial), workers: Vec::new() };
        for (index, (listeners, writer)) in listeners.into_iter().zip(writers).enumerate() {
            let (commands, inbox) = mpsc::unbounded_channel();
            let stats = Arc::new(Stats::default());
            let setup = Setup {
                index,
                config: config.clone(),
                stats: stats.clone(),
                tls: tls.clone(),
                writer,
                listeners,
                snapshots: proxy.snapshots.subscribe(),
                commands: inbox,
            };
            let thread = worker::start(setup)?;
            proxy.workers.push(Handle { commands, stats, thread });
        }
        Ok(proxy)
    }

    /// Puts a Snapshot in force. Returns at once; [`Proxy::revision`] tells when all workers have
    /// it. Live connections that it no longer allows are closed.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        self.snapshots.send_replace(snapshot);
    }

    /// The lowest revision that a worker has in force.
    pub fn revision(&self) -> u64 {
        self.workers.iter().map(|w| w.stats.revision.get()).min().unwrap_or_default()
    }

    /// Adds a Gateway's listening socket to a worker (numbered from 0).
    pub fn listen(&self, worker: usize, socket: TcpListener) {
        if let Some(worker) = self.workers.get(worker) {
            let listener = Listener { socket, kind: ListenerKind::Gateway };
            // A worker that has ended listens to nothing.
            drop(worker.commands.send(Command::Listen(listener)));
        }
    }

    /// Closes every worker's Gateway listening sockets on this address; what was accepted lives on.
    pub fn unlisten(&self, address: SocketAddr) {
        for worker in &self.workers {
            drop(worker.commands.send(Command::Unlisten(address)));
        }
    }

    /// Adds a socket of datagrams to a worker (numbered from 0): a Gateway's, or one that the kernel
    /// gives redirected datagrams to.
    pub fn listen_udp(&self, worker: usize, socket: UdpSocket, kind: ListenerKind) {
        if let Some(worker) = self.workers.get(worker) {
            drop(worker.commands.send(Command::ListenUdp(socket, kind)));
        }
    }

    /// Closes every worker's Gateway socket of datagrams on this address; flows under way live on.
    pub fn unlisten_udp(&self, address: SocketAddr) {
        for worker in &self.workers {
            drop(worker.commands.send(Command::UnlistenUdp(address)));
        }
    }

    /// Whether every worker accepts.
    pub fn is_serving(&self) -> bool {
        self.workers.iter().all(|worker| worker.stats.ticked_ns() > 0)
    }

    /// The counters of all workers, summed up.
    pub fn stats(&self) -> Totals {
        Totals::of(self.workers.iter().map(|w| &*w.stats))
    }

    /// The counters of each worker, to read from elsewhere.
    pub fn worker_stats(&self) -> Vec<Arc<Stats>> {
        self.workers.iter().map(|w| w.stats.clone()).collect()
    }

    /// Stops accepting, lets requests under way finish with `Connection: close`, and returns when
    /// every connection is gone or `deadline` has passed. Blocks the calling thread.
    pub fn drain(self, deadline: Duration) {
        for worker in &self.workers {
            drop(worker.commands.send(Command::Drain(deadline)));
        }
        for worker in self.workers {
            // A worker that panicked is gone as well.
            drop(worker.thread.join());
        }
    }
}
