//! The command line: what each command and flag means, as `weir --help` says it.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::explain;
use crate::limits::Setting;

/// Weir: a sidecar-free L7 service mesh proxy, one per node.
///
/// eBPF hands it the connections of the pods that need it; it enforces Cilium network policies,
/// routes by Gateway API, splits traffic by weight, and says who talked to whom.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Cli {
    /// How much to log on stderr: error, warn, info, debug, trace, or levels for single parts as in
    /// `warn,proxy=debug`.
    #[arg(long, global = true, env = "WEIR_LOG", default_value = "info", value_name = "LEVEL")]
    pub(crate) log: String,

    /// Runs as the proxy process of a supervisor, whose link is standard input.
    #[arg(long, hide = true)]
    pub(crate) as_proxy: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serves the Kubernetes objects in YAML files, without a cluster, and follows their changes.
    ///
    /// As root on a fit kernel, connections of this node's pods are redirected by eBPF. Otherwise
    /// Weir listens on the Gateways' addresses only, and says what is missing.
    ///
    /// Flow records go to standard output, logs to standard error. Ctrl-C stops and removes all
    /// that was installed; SIGTERM stops and leaves redirection in place, so that connections
    /// under HTTP policy stay closed until Weir runs again (`weir cleanup` removes it).
    Run(RunArgs),

    /// Validates configuration; names file, line, object and field of each problem.
    ///
    /// Exits 1 if there is an error, 0 otherwise.
    Check(CheckArgs),

    /// Says what would happen to a connection or request, and which rule decides it.
    ///
    /// Asks the configuration in the given files, or without any the Weir that runs on this node.
    /// Exits 0 whatever the verdict is, 1 if the question cannot be answered.
    Explain(ExplainArgs),

    /// Detaches and removes all that Weir installed on this node: programs, maps, rules, routes.
    ///
    /// Refuses while Weir runs. A proxy whose supervisor died is stopped first.
    Cleanup(CleanupArgs),
}

/// Flags of `weir run`.
#[derive(Clone, Debug, Args)]
pub(crate) struct RunArgs {
    /// YAML files and folders of them, each with any number of documents. A change is live within
    /// milliseconds; an object with an error is refused, and its last good version stays in force.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// The node whose Pods (spec.nodeName) are local. Default: the pods reachable over a veth.
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,

    /// Device that leads to other nodes; give it once for each. Connections kept under a pod's
    /// address come back here.
    #[arg(long = "uplink", value_name = "DEV")]
    pub(crate) uplinks: Vec<String>,

    /// Proxy threads. Default: the processors this process may use, at most 4.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) workers: Option<u16>,

    /// Pins each proxy thread to a processor of its own. Only useful on processors kept free.
    #[arg(long)]
    pub(crate) pin: bool,

    /// Form of the flow records on standard output.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,

    /// Does not redirect by eBPF: only listens on the Gateways' addresses.
    #[arg(long)]
    pub(crate) no_redirect: bool,

    /// Sets a limit of what connections may use, as in `stall_timeout=60s` or `head_bytes=64KiB`; give
    /// it once for each. docs/operations.md lists them, and /config shows those in force.
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    pub(crate) limits: Vec<Setting>,

    /// Seconds that connections are given to end after SIGTERM.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) drain_timeout: u64,

    /// Address and port of the admin endpoint over HTTP: /live, /ready, /metrics, /config, /problems,
    /// /log. `none`: no such endpoint. The last three answer clients of the loopback only.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:15200")]
    pub(crate) admin: Admin,

    /// Name of this cluster, as policies see it in `io.cilium.k8s.policy.cluster`.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) cluster_name: String,

    /// An address of this node, beside those its devices have.
    #[arg(long = "node-address", value_name = "IP")]
    pub(crate) node_addresses: Vec<IpAddr>,

    #[command(flatten)]
    pub(crate) places: Places,
}

/// Where the admin endpoint listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Admin(pub(crate) Option<SocketAddr>);

impl FromStr for Admin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self(None)),
            _ => text.parse().map(|address| Self(Some(address))).map_err(|_| {
                "neither `none` nor an address with a port, as 127.0.0.1:15200 or [::1]:15200".into()
            }),
        }
    }
}

/// Where Weir keeps what must outlive a process.
#[derive(Clone, Debug, Args)]
pub(crate) struct Places {
    /// Folder for the lock and the control sockets. Each node (network namespace) needs its own.
    #[arg(long, value_name = "DIR", default_value = "/run/weir")]
    pub(crate) state_dir: PathBuf,

    /// Folder on a bpffs for pinned programs and maps. Default: /sys/fs/bpf/weir, or a mount in
    /// the state folder if /sys/fs/bpf is no bpffs.
    #[arg(long, value_name = "DIR")]
    pub(crate) bpffs: Option<PathBuf>,
}

/// Form of flow records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// One line to read each.
    Text,
    /// One JSON object a line each.
    Json,
    /// No flow records.
    None,
}

/// Flags of `weir check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// YAML files and folders of them.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// Takes warnings for errors, such as Kubernetes kinds that Weir does not read.
    #[arg(long)]
    pub(crate) strict: bool,

    /// Check as the node of this name would see it. Default: every pod counts as local.
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,

    /// Name of this cluster, as policies see it in `io.cilium.k8s.policy.cluster`.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) cluster_name: String,
}

/// Flags of `weir explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// YAML files and folders of them. Default: ask the Weir that runs on this node.
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) question: explain::Args,

    /// Form of the answer.
    #[arg(long, value_enum, default_value_t = AnswerForm::Text)]
    pub(crate) output: AnswerForm,

    /// With PATH: answer as the node of this name. Default: every pod counts as local, so that
    /// the policies of both sides are shown.
    #[arg(long, value_name = "NAME")]
    pub(crate) node: Option<String>,

    /// With PATH: name of this cluster, as policies see it.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) cluster_name: String,

    /// Without PATH: the state folder of the running Weir.
    #[arg(long, value_name = "DIR", default_value = "/run/weir")]
    pub(crate) state_dir: PathBuf,
}

/// Form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AnswerForm {
    /// Steps to read.
    Text,
    /// One JSON object.
    Json,
}

/// Flags of `weir cleanup`.
#[derive(Debug, Args)]
pub(crate) struct CleanupArgs {
    #[command(flatten)]
    pub(crate) places: Places,
}
