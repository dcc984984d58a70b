//! The network that everything runs in: a node with two pods, as network namespaces.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The node's address towards the client, where proxies listen.
pub(crate) const NODE: &str = "10.77.1.1";
/// Where the load comes from.
pub(crate) const CLIENT: &str = "10.77.1.2";
/// The node's address towards the backend.
const NODE_TO_BACKEND: &str = "10.77.2.1";
/// Where the answers come from.
pub(crate) const BACKEND: &str = "10.77.2.2";

/// A node with a client pod and a backend pod, each behind a veth. Removed when dropped.
#[derive(Debug)]
pub(crate) struct Node {
    name: String,
}

impl Node {
    /// Builds the three namespaces, replacing what an earlier bench that was killed left.
    pub(crate) fn build(name: &str) -> Result<Self> {
        let node = Self { name: name.to_owned() };
        node.remove();
        for namespace in node.all() {
            ip(&["netns", "add", &namespace])?;
            ip(&["-n", &namespace, "link", "set", "lo", "up"])?;
        }
        node.join(&node.client(), "client", NODE, CLIENT)?;
        node.join(&node.backend(), "backend", NODE_TO_BACKEND, BACKEND)?;
        node.set("net/ipv4/ip_forward", "1")?;
        Ok(node)
    }

    /// The node itself.
    pub(crate) fn namespace(&self) -> String {
        self.name.clone()
    }

    /// The pod that the load runs in.
    pub(crate) fn client(&self) -> String {
        format!("{}-client", self.name)
    }

    /// The pod that the backend runs in.
    pub(crate) fn backend(&self) -> String {
        format!("{}-backend", self.name)
    }

    fn all(&self) -> [String; 3] {
        [self.namespace(), self.client(), self.backend()]
    }

    /// A veth from the node to a pod, which routes everything over it.
    fn join(&self, pod: &str, device: &str, node_ip: &str, pod_ip: &str) -> Result<()> {
        let (node, device) = (&self.name, format!("{device}0"));
        ip(&["-n", node, "link", "add", &device, "type", "veth", "peer", "name", "eth0", "netns", pod])?;
        ip(&["-n", node, "addr", "add", &format!("{node_ip}/24"), "dev", &device])?;
        ip(&["-n", node, "link", "set", &device, "up"])?;
        ip(&["-n", pod, "addr", "add", &format!("{pod_ip}/24"), "dev", "eth0"])?;
        ip(&["-n", pod, "link", "set", "eth0", "up"])?;
        ip(&["-n", pod, "route", "add", "default", "via", node_ip])
    }

    fn set(&self, sysctl: &str, value: &str) -> Result<()> {
        let mut command = enter(&self.name, "sh");
        command.args(["-c", &format!("echo {value} > /proc/sys/{sysctl}")]);
        ensure!(command.status()?.success(), "{sysctl} cannot be set in {}", self.name);
        Ok(())
    }

    fn remove(&self) {
        for namespace in self.all() {
            if Path::new("/run/netns").join(&namespace).exists() {
                // What cannot be removed is found again by the next bench.
                let _ = ip(&["netns", "del", &namespace]);
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.remove();
    }
}

/// A command inside a namespace. It keeps the caller's mounts, unlike `ip netns exec`.
pub(crate) fn enter(namespace: &str, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{namespace}")).arg("--").arg(program);
    command
}

/// A connection from inside a namespace; a thread of its own enters it, which leaves this one where it is.
pub(crate) fn connect(namespace: &str, address: SocketAddr) -> Result<TcpStream> {
    let path = Path::new("/run/netns").join(namespace);
    let thread = std::thread::spawn(move || -> Result<TcpStream> {
        let file = File::open(&path).with_context(|| path.display().to_string())?;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(TcpStream::connect_timeout(&address, CONNECT_MAX)?)
    });
    let stream = thread.join().map_err(|_| anyhow!("connecting to {address} panicked"))?;
    stream.with_context(|| format!("{address} from {namespace}"))
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("ip (iproute2)")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {}", arguments.join(" "), error.trim());
    Ok(())
}

const CONNECT_MAX: Duration = Duration::from_secs(5);
