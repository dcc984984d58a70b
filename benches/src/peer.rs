//! The peers: how each is started. All of their listeners are in one configuration.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::context::{Bed, Context};
use crate::listener::Listener;
use crate::namespace::{BACKEND, NODE};
use crate::process::{Daemon, Place};

/// A peer: a program of others that does the same work, bare.
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
    /// A minimal pingora proxy (`benches/pingora`).
    Pingora,
}

impl Peer {
    /// Its number among those that listen on one address; Weir's is 5.
    pub(crate) fn number(self) -> u16 {
        match self {
            Self::Floor => 1,
            Self::Haproxy => 2,
            Self::Nginx => 3,
            Self::Envoy => 4,
            Self::Pingora => 6,
        }
    }

    /// Starts it. The error says why it cannot run.
    pub(crate) fn start(
        self,
        name: &str,
        context: &Context,
        bed: &Bed,
        listener: Listener,
    ) -> Result<Daemon> {
        let namespace = bed.node.namespace();
        let log = context.log(name);
        let place = Place { namespace: &namespace, processors: &context.proxy, log: &log };
        let mut command = self.command(context, &place, listener)?;
        // Configurations name files from here.
        command.current_dir(&context.out);
        place.start(command, None)
    }

    fn command(self, context: &Context, place: &Place<'_>, listener: Listener) -> Result<Command> {
        let file = |name: &str| context.root.join("benches/peers").join(name);
        Ok(match self {
            Self::Floor => {
                let (own, backend) = (listener.port(self.number()), listener.backend_port());
                let mut command = place.command(context.out.join("floor"));
                command.args([NODE, &own.to_string(), BACKEND, &backend.to_string()]);
                command
            }
            Self::Haproxy => {
                let mut command = place.command(installed("haproxy")?);
                command.arg("-db").arg("-f").arg(file("haproxy.cfg"));
                command
            }
            Self::Nginx => {
                let name = if listener == Listener::Tcp { "nginx-tcp.conf" } else { "nginx.conf" };
                let folder = context.folder("nginx")?;
                std::fs::copy(file(name), folder.join(name))?;
                let mut command = place.command(installed("nginx")?);
                command.arg("-p").arg(&folder).arg("-c").arg(folder.join(name));
                command
            }
            Self::Envoy => {
                let mut command = place.command(envoy()?);
                command.arg("-c").arg(file("envoy.yaml"));
                command.args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]);
                command
            }
            Self::Pingora => {
                let binary = context.root.join(PINGORA);
                ensure!(binary.is_file(), "not built: PINGORA=1 make bench builds it");
                let mut command = place.command(binary);
                command.args(["tls/cert.pem", "tls/key.pem"]);
                command
            }
        })
    }
}

fn installed(program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let mut files = folders.map(|folder| folder.join(program));
    files.find(|file| file.is_file()).with_context(|| format!("{program} is not installed"))
}

/// Where scripts/bench-peers.sh puts Envoy.
fn envoy() -> Result<PathBuf> {
    let home = std::env::var_os("HOME").context("HOME is not set")?;
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or(Path::new(&home).join(".cache"), Into::into);
    let binary = cache.join(format!("weir/envoy-{ENVOY_VERSION}/bin/envoy"));
    ensure!(binary.is_file(), "Envoy {ENVOY_VERSION} is not installed ({})", binary.display());
    Ok(binary)
}

/// Must be the version that scripts/bench-peers.sh installs.
const ENVOY_VERSION: &str = "1.40.0";
/// Where scripts/bench-peers.sh builds it.
const PINGORA: &str = "target/pingora/release/pingora-peer";
