//! One worker: a thread, its runtime, and everything that its connections share.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use model::Snapshot;
use model::flow::FlowRecord;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, LocalSet};
use tokio::time::{Instant, MissedTickBehavior};

use crate::accepted::{self, Holder, Share};
use crate::buffer::{Buffers, Spares};
use crate::clock::Clock;
use crate::config::{Config, Listener, ListenerKind};
use crate::limits::Limits;
use crate::live::{Registry, TICK};
use crate::resilience::Resilience;
use crate::splice::Pipes;
use crate::stats::Stats;
use crate::sys;
use crate::tls;
use crate::udp;
use crate::upstream::Upstreams;

/// A worker's hold on the Snapshot in force: cloning it touches no other worker's memory.
pub(crate) type View = Rc<Arc<Snapshot>>;

/// What the control side tells a worker.
#[derive(Debug)]
pub(crate) enum Command {
    /// Serve this listener too.
    Listen(Listener),
    /// Close the Gateway listeners on this address.
    Unlisten(SocketAddr),
    /// Serve datagrams that arrive on this socket.
    ListenUdp(std::net::UdpSocket, ListenerKind),
    /// Close the Gateway's socket of datagrams on this address.
    UnlistenUdp(SocketAddr),
    /// Finish what is under way, for so long.
    Drain(Duration),
}

/// What a worker is made of.
pub(crate) struct Setup {
    pub(crate) index: usize,
    pub(crate) config: Arc<Config>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) tls: Arc<::tls::Configs>,
    pub(crate) writer: telemetry::Writer,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) snapshots: watch::Receiver<Arc<Snapshot>>,
    pub(crate) commands: mpsc::UnboundedReceiver<Command>,
}

/// What the connections of a worker share. Lives on the worker's thread alone.
pub(crate) struct Worker {
    pub(crate) config: Arc<Config>,
    pub(crate) codec: codec::http1::Limits,
    pub(crate) stats: Arc<Stats>,
    pub(crate) clock: Clock,
    pub(crate) live: Rc<Registry>,
    pub(crate) buffers: Rc<Buffers>,
    pub(crate) pipes: Rc<Pipes>,
    pub(crate) spares: Spares,
    pub(crate) upstreams: Upstreams,
    pub(crate) resilience: Resilience,
    pub(crate) shares: RefCell<HashMap<Holder, Rc<Share>>>,
    pub(crate) mirrors: Cell<usize>,
    pub(crate) tls: tls::Configs,
    /// Handshakes with clients under way.
    pub(crate) handshakes: Cell<usize>,
    /// Flows of datagrams under way.
    pub(crate) datagram_flows: Cell<usize>,
    view: RefCell<View>,
    flows: RefCell<telemetry::Writer>,
    random: Cell<u64>,
}

impl Worker {
    fn new(setup: &Setup, writer: telemetry::Writer, snapshot: Arc<Snapshot>) -> Self {
        let clock = Clock::new();
        // Different from worker to worker and from start to start; it balances load, no more.
        let seed = clock.now().0 ^ ((setup.index as u64) << 32);
        setup.stats.revision.set(snapshot.revision);
        Self {
            codec: setup.config.limits.codec(),
            config: setup.config.clone(),
            stats: setup.stats.clone(),
            live: Rc::default(),
            buffers: Rc::default(),
            pipes: Pipes::new(Limits::share(setup.config.limits.pipes, setup.config.workers), &setup.stats),
            spares: Spares::default(),
            upstreams: Upstreams::new(&setup.config, &setup.stats, seed),
            resilience: Resilience::new(&setup.config, &setup.stats),
            shares: RefCell::default(),
            mirrors: Cell::new(0),
            tls: tls::Configs::new(setup.tls.clone()),
            handshakes: Cell::new(0),
            datagram_flows: Cell::new(0),
            view: RefCell::new(Rc::new(snapshot)),
            flows: RefCell::new(writer),
            random: Cell::new(seed | 1),
            clock,
        }
    }

    /// The Snapshot in force.
    pub(crate) fn view(&self) -> View {
        self.view.borrow().clone()
    }

    /// Hands a flow record to its readers.
    pub(crate) fn record(&self, record: Box<FlowRecord>) {
        self.flows.borrow_mut().write(record);
    }

    /// A flow record to fill in; what it says is about something else.
    pub(crate) fn blank_record(&self) -> Box<FlowRecord> {
        self.flows.borrow_mut().blank()
    }

    /// 64 uniform bits (xorshift64*); no secret depends on them.
    pub(crate) fn random(&self) -> u64 {
        let mut x = self.random.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.random.set(x);
        x.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Puts a Snapshot in force. Live connections judge again only if it can change a verdict.
    fn publish(&self, snapshot: Arc<Snapshot>) {
        let revision = snapshot.revision;
        let old = self.view.replace(Rc::new(snapshot.clone()));
        let same = Arc::ptr_eq(&old.policies, &snapshot.policies)
            && Arc::ptr_eq(&old.identities, &snapshot.identities)
            && Arc::ptr_eq(&old.addresses, &snapshot.addresses)
            && Arc::ptr_eq(&old.workloads, &snapshot.workloads);
        if !same {
            self.live.judge();
        }
        drop(old);
        self.tls.prune();
        self.stats.revision.set(revision);
    }

    fn tick(&self) {
        self.clock.adjust();
        let now = self.clock.now();
        self.stats.ticked.set(now.0);
        self.live.sweep(now);
        self.pipes.sweep();
        self.upstreams.sweep(now);
        self.resilience.sweep(now);
    }
}

/// Starts a worker's thread; it ends when the control side is gone or a drain is done.
pub(crate) fn start(mut setup: Setup) -> std::io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut sockets = Vec::new();
    {
        let _entered = runtime.enter();
        for listener in setup.listeners.drain(..) {
            sockets.push(accepted::Acceptor::new(listener)?);
        }
    }
    std::thread::Builder::new().name(format!("weir-worker-{}", setup.index)).spawn(move || {
        if setup.config.pin
            && let Err(error) = sys::pin_thread(setup.index)
        {
            tracing::warn!("worker {} is not pinned to a CPU: {error}", setup.index);
        }
        LocalSet::new().block_on(&runtime, run(setup, sockets));
    })
}

/// A listener under way.
struct Serving {
    address: SocketAddr,
    kind: ListenerKind,
    task: AbortHandle,
}

fn serve(worker: &Rc<Worker>, acceptor: accepted::Acceptor) -> Serving {
    let (address, kind) = (acceptor.address, acceptor.kind);
    let task = tokio::task::spawn_local(acceptor.run(worker.clone())).abort_handle();
    Serving { address, kind, task }
}

async fn run(mut setup: Setup, sockets: Vec<accepted::Acceptor>) {
    // Replaced by a ring that nobody reads: `Setup` keeps the rest.
    let writer = std::mem::replace(&mut setup.writer, telemetry::ring(1).0);
    let initial = setup.snapshots.borrow_and_update().clone();
    let worker = Rc::new(Worker::new(&setup, writer, initial));
    let mut serving: Vec<Serving> = sockets.into_iter().map(|s| serve(&worker, s)).collect();
    let mut datagrams: Vec<(SocketAddr, AbortHandle)> = Vec::new();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut end: Option<Instant> = None;
    loop {
        tokio::select! {
            changed = setup.snapshots.changed() => {
                if changed.is_err() {
                    return;
                }
                let snapshot = setup.snapshots.borrow_and_update().clone();
                worker.publish(snapshot);
            }
            Some(command) = setup.commands.recv() => match command {
                Command::Listen(listener) => match accepted::Acceptor::new(listener) {
                    Ok(acceptor) => serving.push(serve(&worker, acceptor)),
                    Err(error) => tracing::error!("cannot listen: {error}"),
                },
                Command::Unlisten(address) => serving.retain(|s| {
                    let stays = s.kind != ListenerKind::Gateway || s.address != address;
                    if !stays {
                        s.task.abort();
                    }
                    stays
                }),
                Command::ListenUdp(socket, kind) => match udp::Socket::new(socket, kind) {
                    Ok(socket) => {
                        let address = socket.address();
                        let task = tokio::task::spawn_local(udp::serve(worker.clone(), socket));
                        datagrams.push((address, task.abort_handle()));
                    }
                    Err(error) => tracing::error!("cannot receive datagrams: {error}"),
                },
                Command::UnlistenUdp(address) => datagrams.retain(|(at, task)| {
                    if *at == address {
                        task.abort();
                    }
                    *at != address
                }),
                Command::Drain(deadline) => {
                    datagrams.drain(..).for_each(|(_, task)| task.abort());
                    serving.drain(..).for_each(|s| s.task.abort());
                    worker.live.drain();
                    end = Some(Instant::now() + deadline);
                }
            },
            _ = tick.tick() => worker.tick(),
        }
        if end.is_some_and(|end| worker.live.is_empty() || Instant::now() >= end) {
            return worker.upstreams.leave().await;
        }
    }
}
