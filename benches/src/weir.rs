//! Weir as a subject: its configuration, its ways in, and what must be removed after it.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, ensure};

use crate::context::{Bed, Context, empty_folder};
use crate::listener::Listener;
use crate::namespace::enter;
use crate::process::{Daemon, Place};
use crate::routes::Routes;
use crate::tls;

/// Weir's number among the peers: the last digit of its listeners' ports in `benches/peers/weir`.
pub(crate) const NUMBER: u16 = 5;
/// The Service's address, in `benches/peers/weir/base.yaml`.
pub(crate) const CLUSTER_IP: &str = "10.96.0.10";
/// A path that is routed and that the policy does not allow.
pub(crate) const DENIED_PATH: &str = "/private";

/// How Weir is set up for a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    /// Routes beside the one that answers.
    pub(crate) routes: Routes,
    /// By the eBPF path: the client dials a Service.
    pub(crate) ebpf: bool,
    /// Worker threads. With one, it has the proxy's processor as every peer has; with more, all.
    pub(crate) workers: u8,
}

impl Setup {
    /// With 1,000 routes in all, through a Gateway's listener, on one worker.
    pub(crate) const USUAL: Self = Self { routes: Routes::Prefixes(999), ebpf: false, workers: 1 };
}

/// A running Weir. Its processes end first, then what they installed is removed, then the bed.
#[derive(Debug)]
pub(crate) struct Weir {
    /// All of its processes.
    pub(crate) daemon: Daemon,
    /// The routes beside the one that answers.
    pub(crate) routes: Routes,
    /// The folder of its objects, which it follows.
    pub(crate) objects: PathBuf,
    /// Live edits so far. Each has a number of its own, in every round: an answer that says it can
    /// come from no earlier one.
    edits: AtomicU32,
    flows: PathBuf,
    _installed: Installed,
    /// One for itself: with eBPF, the programs on its pods' devices would judge the other peers'
    /// connections too, and two Weirs on one node would be in each other's way.
    pub(crate) bed: Bed,
}

/// What Weir leaves on the machine. Removed when dropped.
#[derive(Debug)]
struct Installed {
    weir: PathBuf,
    namespace: String,
    state: PathBuf,
    redirects: bool,
}

impl Weir {
    /// Starts Weir with routes, a policy on the backends, and flow records as JSON to a file.
    pub(crate) fn start(name: &str, context: &Context, setup: &Setup, listener: Listener) -> Result<Self> {
        ensure!(context.weir.is_file(), "{} is not built", context.weir.display());
        let objects = context.folder(name)?;
        write_objects(context, &objects, setup, listener)?;
        let state = std::env::temp_dir().join(format!("weir-bench-{name}"));
        // A bench that was killed may have left its mount.
        let _ = Command::new("umount").arg("--quiet").arg(state.join(BPFFS)).output();
        empty_folder(&state)?;
        let flows = context.out.join(format!("{name}-flows.json"));
        File::create(&flows)?;

        let bed = context.bed(&format!("wbench-{name}"))?;
        let namespace = bed.node.namespace();
        let installed = Installed {
            weir: context.weir.clone(),
            namespace: namespace.clone(),
            state: state.clone(),
            redirects: setup.ebpf,
        };
        let log = context.log(name);
        let processors = if setup.workers > 1 { &context.all } else { &context.proxy };
        let place = Place { namespace: &namespace, processors, log: &log };
        let mut command = place.command(&context.weir);
        command.arg("run").arg(&objects).args(["--output", "json", "--log", "warn", "--drain-timeout", "0"]);
        // All load comes from one client, which a descriptor limit must not hold back.
        command.args(["--limit", "connections_per_client=100000"]);
        command.args(["--workers", &setup.workers.to_string(), "--state-dir"]).arg(&state);
        match setup.ebpf {
            true => command.arg("--bpffs").arg(mount_bpffs(&state)?),
            false => command.args(["--no-redirect", "--node", "bench"]),
        };
        let output = OpenOptions::new().append(true).open(&flows)?;
        let daemon = place.start(command, Some(output))?;
        Ok(Self {
            daemon,
            routes: setup.routes,
            objects,
            edits: AtomicU32::new(0),
            flows,
            _installed: installed,
            bed,
        })
    }

    /// The number of the next live edit.
    pub(crate) fn next_edit(&self) -> u32 {
        self.edits.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Makes room for the flow records of the next turn; returns how many this turn wrote, and says
    /// how many it lost (each is work not done).
    pub(crate) fn end_turn(&self) -> Result<u64> {
        let flows = OpenOptions::new().read(true).write(true).open(&self.flows)?;
        let (mut written, mut lost) = (0_u64, 0_u64);
        for line in BufReader::new(&flows).split(b'\n') {
            let line = line?;
            match line.strip_prefix(b"{\"lost\":").and_then(|rest| rest.strip_suffix(b"}")) {
                Some(count) => lost += std::str::from_utf8(count)?.parse::<u64>()?,
                None => written += 1,
            }
        }
        if lost > 0 {
            println!("note: Weir lost {lost} of {} flow records", written + lost);
        }
        flows.set_len(0)?;
        Ok(written)
    }
}

/// The objects of a row: what all have, its listener, and generated routes.
fn write_objects(context: &Context, folder: &Path, setup: &Setup, listener: Listener) -> Result<()> {
    let name = match listener {
        Listener::Http1 => "http1",
        Listener::Http2 => "http2",
        Listener::Tls | Listener::TlsHttp2 => "tls",
        Listener::Tcp => "tcp",
        Listener::Grpc => "grpc",
    };
    for name in ["base", name] {
        let file = format!("{name}.yaml");
        fs::copy(context.root.join("benches/peers/weir").join(&file), folder.join(&file))?;
    }
    if name == "tls" {
        fs::write(folder.join("secret.yaml"), tls::secret(&context.out.join("tls"))?)?;
    }
    // A TCP listener has no HTTP routes.
    if listener != Listener::Tcp {
        setup.routes.write(folder, name)?;
    }
    Ok(())
}

impl Drop for Installed {
    fn drop(&mut self) {
        if self.redirects {
            self.cleanup();
        }
        // What cannot be removed stays in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.state);
    }
}

impl Installed {
    fn cleanup(&self) {
        let mut cleanup = enter(&self.namespace, "timeout");
        cleanup.arg("30").arg(&self.weir).arg("cleanup").arg("--state-dir").arg(&self.state);
        cleanup.arg("--bpffs").arg(self.state.join(BPFFS).join("weir"));
        if !cleanup.status().is_ok_and(|status| status.success()) {
            eprintln!("bench: weir cleanup failed");
        }
        let _ = Command::new("umount").arg(self.state.join(BPFFS)).status();
    }
}

/// A bpffs in the state folder; returns the folder for Weir in it.
fn mount_bpffs(state: &Path) -> Result<PathBuf> {
    let folder = state.join(BPFFS);
    fs::create_dir_all(&folder)?;
    let status = Command::new("mount").args(["-t", "bpf", "bpf"]).arg(&folder).status();
    ensure!(status.context("mount")?.success(), "no bpffs can be mounted at {}", folder.display());
    Ok(folder.join("weir"))
}

const BPFFS: &str = "bpf";
