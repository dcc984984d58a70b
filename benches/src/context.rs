//! What every part of the bench needs: folders, processors, the interrupt, and the plain bed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::thread::{CpuSet, sched_getaffinity};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::namespace::{BACKEND, BACKEND_PORT, Node};
use crate::process::{Daemon, Place};

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
    stop: Arc<AtomicBool>,
}

/// A node with a backend that answers. The backend ends first.
#[derive(Debug)]
pub(crate) struct Bed {
    _backend: Daemon,
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
        let load: Vec<String> = load.iter().map(ToString::to_string).collect();
        let context = Self { weir, out, root, proxy: proxy.to_string(), load: load.join(","), stop };
        context.compile("floor")?;
        context.compile("backend")?;
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

    /// A node, and a backend in its backend pod.
    pub(crate) fn bed(&self, name: &str) -> Result<Bed> {
        let node = Node::build(name)?;
        let namespace = node.backend();
        let log = self.log(&format!("{name}-backend"));
        let place = Place { namespace: &namespace, processors: &self.load, log: &log };
        let mut command = place.command(self.out.join("backend"));
        command.args([BACKEND, BACKEND_PORT]);
        let mut backend = place.start(command, None)?;
        let url = format!("http://{BACKEND}:{BACKEND_PORT}/public");
        backend.wait(|| {
            self.interrupted()?;
            Ok(self.status(&node.namespace(), &url)? == 200)
        })?;
        Ok(Bed { _backend: backend, node })
    }

    /// The status that a GET from a namespace is answered with; 0 when there is no answer.
    pub(crate) fn status(&self, namespace: &str, url: &str) -> Result<u16> {
        let mut curl = crate::namespace::enter(namespace, "curl");
        curl.args([
            "--silent",
            "--max-time",
            "2",
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code}",
            url,
        ]);
        let output = curl.output().context("curl")?;
        Ok(String::from_utf8_lossy(&output.stdout).parse().unwrap_or_default())
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
