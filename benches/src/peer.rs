//! The peers: how each is started, and where it is loaded.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

use crate::context::{Bed, Context};
use crate::namespace::{BACKEND, BACKEND_PORT, NODE};
use crate::process::{Daemon, Place, Usage};
use crate::weir::{self, Weir};

/// What is measured. Each listens on a port of its own in the same namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A byte forwarder: what any proxy in user space costs.
    Floor,
    /// HAProxy.
    Haproxy,
    /// nginx.
    Nginx,
    /// Envoy.
    Envoy,
    /// Weir, by a Gateway's listener.
    Weir,
    /// Weir, by the eBPF path: the client dials a Service.
    WeirEbpf,
}

impl Peer {
    /// In the order of their turns.
    pub(crate) const ALL: [Self; 6] =
        [Self::Floor, Self::Haproxy, Self::Nginx, Self::Envoy, Self::Weir, Self::WeirEbpf];

    /// The name in tables and rows.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Envoy => "envoy",
            Self::Weir => "weir",
            Self::WeirEbpf => "weir-ebpf",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Floor => 7001,
            Self::Haproxy => 7002,
            Self::Nginx => 7003,
            Self::Envoy => 7004,
            Self::Weir => weir::GATEWAY_PORT,
            Self::WeirEbpf => 80,
        }
    }

    fn url(self, path: &str) -> String {
        let host = if self == Self::WeirEbpf { weir::CLUSTER_IP } else { NODE };
        format!("http://{host}:{}{path}", self.port())
    }
}

/// A peer that answers.
#[derive(Debug)]
pub(crate) struct Running {
    peer: Peer,
    client: String,
    process: Process,
}

/// Plain peers need no more than their process.
#[derive(Debug)]
enum Process {
    Plain(Daemon),
    Weir(Box<Weir>),
}

impl Running {
    /// Starts a peer and waits for its first answers, denials included. The error says why it
    /// cannot be measured.
    pub(crate) fn start(peer: Peer, context: &Context, plain: &Bed) -> Result<Self> {
        context.interrupted()?;
        if matches!(peer, Peer::Weir | Peer::WeirEbpf) {
            let weir = Weir::start(context, plain, peer == Peer::WeirEbpf)?;
            let client = weir.client(plain);
            let mut running = Self { peer, client, process: Process::Weir(Box::new(weir)) };
            running.wait(context, weir::DENIED_PATH, 403)?;
            running.wait(context, PATH, 200)?;
            return Ok(running);
        }
        let namespace = plain.node.namespace();
        let log = context.log(peer.name());
        let place = Place { namespace: &namespace, processors: &context.proxy, log: &log };
        let daemon = place.start(command(peer, context, &place)?, None)?;
        let mut running = Self { peer, client: plain.node.client(), process: Process::Plain(daemon) };
        running.wait(context, PATH, 200)?;
        Ok(running)
    }

    /// Its name.
    pub(crate) fn name(&self) -> &'static str {
        self.peer.name()
    }

    /// What is loaded.
    pub(crate) fn url(&self) -> String {
        self.peer.url(PATH)
    }

    /// Where its load runs.
    pub(crate) fn client_place<'a>(&'a self, context: &'a Context) -> Place<'a> {
        Place { namespace: &self.client, processors: &context.load, log: Path::new("/dev/null") }
    }

    /// What it has used so far.
    pub(crate) fn usage(&self) -> Result<Usage> {
        match &self.process {
            Process::Plain(daemon) => daemon.usage(),
            Process::Weir(weir) => weir.daemon.usage(),
        }
    }

    /// After each turn of load.
    pub(crate) fn end_turn(&self) -> Result<()> {
        match &self.process {
            Process::Plain(_) => Ok(()),
            Process::Weir(weir) => weir.end_turn(),
        }
    }

    /// Waits until GETs of `path` are answered with `status`.
    fn wait(&mut self, context: &Context, path: &str, status: u16) -> Result<()> {
        let url = self.peer.url(path);
        let daemon = match &mut self.process {
            Process::Plain(daemon) => daemon,
            Process::Weir(weir) => &mut weir.daemon,
        };
        let mut last = 0;
        let ready = daemon.wait(|| {
            context.interrupted()?;
            last = context.status(&self.client, &url)?;
            Ok(last == status)
        });
        ready.with_context(|| format!("GET {url}: {last} in place of {status}"))
    }
}

/// The command of a plain peer.
fn command(peer: Peer, context: &Context, place: &Place<'_>) -> Result<std::process::Command> {
    let file = |name: &str| context.root.join("benches/peers").join(name);
    Ok(match peer {
        Peer::Floor => {
            let mut command = place.command(context.out.join("floor"));
            command.args([NODE, &peer.port().to_string(), BACKEND, BACKEND_PORT]);
            command
        }
        Peer::Haproxy => {
            let mut command = place.command(installed("haproxy")?);
            command.arg("-db").arg("-f").arg(file("haproxy.cfg"));
            command
        }
        Peer::Nginx => {
            let mut command = place.command(installed("nginx")?);
            command.arg("-p").arg(context.folder("nginx")?).arg("-c").arg(file("nginx.conf"));
            command
        }
        Peer::Envoy => {
            let mut command = place.command(envoy()?);
            command.arg("-c").arg(file("envoy.yaml"));
            command.args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]);
            command
        }
        Peer::Weir | Peer::WeirEbpf => bail!("not a plain peer"),
    })
}

fn installed(program: &str) -> Result<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let mut files = folders.map(|folder| folder.join(program));
    files.find(|file| file.is_file()).with_context(|| format!("{program} is not installed"))
}

/// Where scripts/bench-peers.sh puts Envoy.
fn envoy() -> Result<std::path::PathBuf> {
    let home = std::env::var_os("HOME").context("HOME is not set")?;
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or(Path::new(&home).join(".cache"), Into::into);
    let binary = cache.join(format!("weir/envoy-{ENVOY_VERSION}/bin/envoy"));
    ensure!(binary.is_file(), "Envoy {ENVOY_VERSION} is not installed ({})", binary.display());
    Ok(binary)
}

/// Must be the version that scripts/bench-peers.sh installs.
const ENVOY_VERSION: &str = "1.40.0";
/// What is asked for under load.
const PATH: &str = "/public";
