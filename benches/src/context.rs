//! What every part of the bench needs: folders, processors, the interrupt, and the plain bed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::listener::{BACKENDS, Listener, backend_url};
use crate::namespace::{BACKEND, Node, enter};
use crate::process::{Daemon, Place};
use crate::tls;

/// What every part of the bench needs.
#[derive(Debug)]
pub(crate) struct Context {
    /// The weir binary.
    pub(crate) weir: PathBuf,
    /// Where results, logs and generated configuration go: `target/bench`.
    pub(crate) out: PathBuf,
    /// The repository's root.
    pub(crate) root: PathBuf,
    /// The processor of the proxies.
    pub(crate) proxy: String,
    /// The processors of load and backend.
    pub(crate) load: String,
    /// All of them, for what needs more than one.
    pub(crate) all: String,
    /// A file with one gRPC message, the body of unary calls.
    pub(crate) payload: PathBuf,
    stop: Arc<AtomicBool>,
}

/// A node with backends that answer. The backends end first.
#[derive(Debug)]
pub(crate) struct Bed {
    _backends: Vec<Daemon>,
    pub(crate) node: Node,
}

impl Context {
    /// Catches signals, chooses processors and compiles the C parts.
    pub(crate) fn new(weir: PathBuf) -> Result<Self> {
        let root = std::env::current_dir()?;
        ensure!(root.join("benches/peers").is_dir(), "run from the repository's root");
        let out = root.join("target/bench");
        fs::create_dir_all(&out)?;
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, stop.clone())?;
        }
        let allowed = sched_getaffinity(None)?;
        let all: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
        let Some((proxy, load)) = all.split_last().filter(|(_, load)| !load.is_empty()) else {
            bail!("two processors are needed: one for the proxy, one for load and backend");
        };
        // The bench itself asks for answers too: it belongs to the load.
        let mut own = CpuSet::new();
        load.iter().for_each(|cpu| own.set(*cpu));
        sched_setaffinity(None, &own)?;
        let context = Self {
            weir,
            proxy: proxy.to_string(),
            load: list(load),
            all: list(&all),
            payload: out.join("grpc-message"),
            out,
            root,
            stop,
        };
        for name in ["floor", "backend", "backend_h2"] {
            context.compile(name)?;
        }
        fs::write(&context.payload, GRPC_MESSAGE)?;
        tls::make(&context.folder("tls")?)?;
        Ok(context)
    }

    fn compile(&self, name: &str) -> Result<()> {
        let source = self.root.join(format!("benches/floor/{name}.c"));
        let mut command = Command::new("cc");
        command.args(["-O2", "-Wall", "-Werror", "-o"]).arg(self.out.join(name)).arg(&source);
        let status = command.status().context("cc (gcc)")?;
        ensure!(status.success(), "{} does not compile", source.display());
        Ok(())
    }

    /// An error once a signal asked the bench to end. Everything unwinds from there and is removed.
    pub(crate) fn interrupted(&self) -> Result<()> {
        ensure!(!self.stop.load(Ordering::Relaxed), "interrupted");
        Ok(())
    }

    /// A node, and the backends in its backend pod.
    pub(crate) fn bed(&self, name: &str) -> Result<Bed> {
        let node = Node::build(name)?;
        let mut backends = Vec::new();
        for (program, listener, argument) in BACKENDS {
            backends.push(self.backend(&node, program, listener, argument)?);
        }
        Ok(Bed { _backends: backends, node })
    }

    fn backend(&self, node: &Node, program: &str, listener: Listener, argument: &str) -> Result<Daemon> {
        let namespace = node.backend();
        let port = listener.backend_port().to_string();
        let log = self.log(&format!("{namespace}-{port}"));
        let place = Place { namespace: &namespace, processors: &self.load, log: &log };
        let mut command = place.command(self.out.join(program));
        command.args([BACKEND, &port, argument]);
        let mut backend = place.start(command, None)?;
        backend.wait(|| Ok(self.status(&node.namespace(), listener, &backend_url(listener))? == 200))?;
        Ok(backend)
    }

    /// The status that a request from a namespace is answered with; 0 when there is no answer, or
    /// when it is not what the listener's protocol wants (for gRPC: what the call's status stands for).
    pub(crate) fn status(&self, namespace: &str, listener: Listener, url: &str) -> Result<u16> {
        self.interrupted()?;
        let mut curl = enter(namespace, "curl");
        curl.args(["--silent", "--max-time", "2", "--output", "/dev/null", "--dump-header", "-"]);
        curl.args(listener.curl()).arg(url);
        if listener == Listener::Grpc {
            curl.arg("--data-binary").arg(format!("@{}", self.payload.display()));
        }
        let output = curl.output().context("curl")?;
        Ok(answer(listener, &String::from_utf8_lossy(&output.stdout)).unwrap_or_default())
    }

    /// The log of a process.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.out.join(format!("{name}.log"))
    }

    /// A folder of this name for generated configuration, empty.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        empty_folder(&self.out.join(name))
    }

    /// The machine, and a warning if it is busy.
    pub(crate) fn describe(&self) -> String {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let model = model.map_or("unknown processor", |(_, name)| name);
        let (proxy, load) = (&self.proxy, &self.load);
        let machine = format!(
            "{model}, Linux {}; proxy on processor {proxy}, load and backend on {load}",
            kernel.trim()
        );
        // The first figure is the average of the last minute.
        let busy = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let busy = busy.split(' ').next().and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
        if busy < LOAD_AVERAGE_MAX {
            return machine;
        }
        format!("{machine}\nwarning: load average {busy} before the start: the figures will be noisy")
    }
}

/// The status in a header dump of curl, if the answer is what the listener's protocol wants.
fn answer(listener: Listener, dump: &str) -> Option<u16> {
    let (version, rest) = dump.split_once(' ')?;
    let wanted = match listener {
        Listener::Http1 | Listener::Tls | Listener::Tcp => "HTTP/1.1",
        Listener::Http2 | Listener::Grpc | Listener::TlsHttp2 => "HTTP/2",
    };
    let status: u16 = rest.split_whitespace().next()?.parse().ok()?;
    let status = match (listener, status) {
        (Listener::Grpc, 200) => of_call(dump)?,
        _ => status,
    };
    (version == wanted).then_some(status)
}

/// What the end of a gRPC call would be in HTTP, of the statuses that a row asks for.
fn of_call(dump: &str) -> Option<u16> {
    let status = dump.lines().find_map(|line| line.strip_prefix("grpc-status: "))?;
    match status.trim() {
        "0" => Some(200),
        // PERMISSION_DENIED.
        "7" => Some(403),
        _ => None,
    }
}

fn list(processors: &[usize]) -> String {
    processors.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Makes a folder, without what it held before.
pub(crate) fn empty_folder(path: &Path) -> Result<PathBuf> {
    if path.exists() {
        fs::remove_dir_all(path).with_context(|| path.display().to_string())?;
    }
    fs::create_dir_all(path).with_context(|| path.display().to_string())?;
    Ok(path.to_owned())
}

/// Above this the machine has other things to do.
const LOAD_AVERAGE_MAX: f64 = 0.7;
/// Not compressed (1 byte), its length (4), and a protobuf with the string "hello" in field 1.
const GRPC_MESSAGE: &[u8] = b"\0\0\0\0\x07\x0a\x05hello";

#[cfg(test)]
mod tests;
