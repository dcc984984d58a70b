//! Weir as a peer: its configuration, its two ways in, and what must be removed after it.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::context::{Bed, Context, empty_folder};
use crate::process::{Daemon, Place};

/// The Gateway's listener, in `benches/peers/weir.yaml`.
pub(crate) const GATEWAY_PORT: u16 = 7005;
/// The Service's address, in `benches/peers/weir.yaml`.
pub(crate) const CLUSTER_IP: &str = "10.96.0.10";
/// A path that is routed and that the policy does not allow.
pub(crate) const DENIED_PATH: &str = "/private";

/// A running Weir. Its processes end first, then what they installed is removed, then the bed.
#[derive(Debug)]
pub(crate) struct Weir {
    /// All of its processes.
    pub(crate) daemon: Daemon,
    flows: PathBuf,
    _installed: Installed,
    /// The eBPF path has a bed to itself: the programs on its pods' devices would judge the other
    /// peers' connections too.
    bed: Option<Bed>,
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
    /// Starts Weir with 100 routes, a policy on the backend, and flow records as JSON to a file.
    pub(crate) fn start(context: &Context, plain: &Bed, ebpf: bool) -> Result<Self> {
        ensure!(context.weir.is_file(), "{} is not built", context.weir.display());
        let name = if ebpf { "weir-ebpf" } else { "weir" };
        let objects = context.folder(name)?;
        fs::copy(context.root.join("benches/peers/weir.yaml"), objects.join("weir.yaml"))?;
        fs::write(objects.join("routes.yaml"), routes())?;
        let state = std::env::temp_dir().join(format!("w{name}-bench"));
        // A bench that was killed may have left its mount.
        let _ = Command::new("umount").arg("--quiet").arg(state.join(BPFFS)).output();
        empty_folder(&state)?;
        let flows = context.out.join(format!("{name}-flows.json"));
        File::create(&flows)?;

        let bed = if ebpf { Some(context.bed("wbench-ebpf")?) } else { None };
        let namespace = bed.as_ref().map_or(&plain.node, |bed| &bed.node).namespace();
        let weir = context.weir.clone();
        let installed =
            Installed { weir, namespace: namespace.clone(), state: state.clone(), redirects: ebpf };
        let log = context.log(name);
        let place = Place { namespace: &namespace, processors: &context.proxy, log: &log };
        let mut command = place.command(&context.weir);
        command.arg("run").arg(&objects).args(["--output", "json", "--workers", "1", "--log", "warn"]);
        command.args(["--drain-timeout", "0", "--state-dir"]).arg(&state);
        match ebpf {
            true => command.arg("--bpffs").arg(mount_bpffs(&state)?),
            false => command.args(["--no-redirect", "--node", "bench"]),
        };
        let output = OpenOptions::new().append(true).open(&flows)?;
        let daemon = place.start(command, Some(output))?;
        Ok(Self { daemon, flows, _installed: installed, bed })
    }

    /// Where its load runs.
    pub(crate) fn client(&self, plain: &Bed) -> String {
        self.bed.as_ref().map_or(&plain.node, |bed| &bed.node).client()
    }

    /// Makes sure that flow records were written, says how many were lost (each is work not done),
    /// and makes room for those of the next turn.
    pub(crate) fn end_turn(&self) -> Result<()> {
        let flows = OpenOptions::new().read(true).write(true).open(&self.flows)?;
        let (mut written, mut lost) = (0_u64, 0_u64);
        for line in BufReader::new(&flows).split(b'\n') {
            let line = line?;
            match line.strip_prefix(b"{\"lost\":").and_then(|rest| rest.strip_suffix(b"}")) {
                Some(count) => lost += std::str::from_utf8(count)?.parse::<u64>()?,
                None => written += 1,
            }
        }
        ensure!(written > 0, "no flow record was written");
        if lost > 0 {
            println!("note: Weir lost {lost} of {} flow records", written + lost);
        }
        Ok(flows.set_len(0)?)
    }
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
        let mut cleanup = crate::namespace::enter(&self.namespace, "timeout");
        cleanup.arg("30").arg(&self.weir).arg("cleanup").arg("--state-dir").arg(&self.state);
        cleanup.arg("--bpffs").arg(self.state.join(BPFFS).join("weir"));
        if !cleanup.status().is_ok_and(|status| status.success()) {
            eprintln!("bench: weir cleanup failed");
        }
        let _ = Command::new("umount").arg(self.state.join(BPFFS)).status();
    }
}

/// A bpffs in the state folder; returns the folder for Weir in it.
fn mount_bpffs(state: &std::path::Path) -> Result<PathBuf> {
    let folder = state.join(BPFFS);
    fs::create_dir_all(&folder)?;
    let status = Command::new("mount").args(["-t", "bpf", "bpf"]).arg(&folder).status();
    ensure!(status.context("mount")?.success(), "no bpffs can be mounted at {}", folder.display());
    Ok(folder.join("weir"))
}

/// Further routes to the one in `benches/peers/weir.yaml`, on the same Gateway and Service.
fn routes() -> String {
    let mut out = String::new();
    for number in 1..ROUTES {
        let _ = write!(
            out,
            "---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: other-{number}, namespace: default}}
spec:
  parentRefs:
  - {{name: plain}}
  - {{group: \"\", kind: Service, name: answers}}
  rules:
  - matches: [{{path: {{type: PathPrefix, value: /other/{number}}}}}]
    backendRefs: [{{name: answers, port: 80}}]
"
        );
    }
    out
}

/// Routes in all.
const ROUTES: u32 = 100;
const BPFFS: &str = "bpf";
