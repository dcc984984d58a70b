//! A small cluster in namespaces: a node that runs Weir, pods on it (routed or bridged), a second
//! node with pods, and a client outside.
//!
//! Addresses are the same in every lab, as no lab sees another: pods of the node 10.77.0.0/24 and
//! fd77:0::/64 (bridged: 10.77.2.0/24, fd77:2::/64), of the other node 10.77.1.0/24 and fd77:1::/64,
//! outside 10.78.0.0/24 and fd78::/64.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use crate::namespace::{self, Namespace};

/// The name of the node that runs Weir.
pub const NODE: &str = "node-a";
/// The name of the other node.
pub const OTHER_NODE: &str = "node-b";
/// The device of the node that leads to the other node and outside.
pub const UPLINK: &str = "uplink";
/// The node's address towards the other node and outside.
pub const NODE_V4: Ipv4Addr = Ipv4Addr::new(10, 77, 250, 1);
/// The same for IPv6.
pub const NODE_V6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0xfa, 0, 0, 0, 0, 0, 1);

/// The whole place; removed when dropped.
#[derive(Debug)]
pub struct Lab {
    /// Where Weir runs.
    pub node: Namespace,
    /// The other node, which forwards only.
    pub other: Namespace,
    id: String,
    folder: PathBuf,
    next: u8,
    bridge: bool,
    _turn: Turn,
}

/// A pod or an outside machine.
#[derive(Debug)]
pub struct Host {
    /// Its namespace.
    pub ns: Namespace,
    /// Its name.
    pub name: String,
    /// The node it is on; empty outside the cluster.
    pub node: &'static str,
    /// Its addresses.
    pub v4: Ipv4Addr,
    /// See `v4`.
    pub v6: Ipv6Addr,
    /// The node's end of its veth.
    pub device: String,
}

impl Host {
    /// Its IPv4 address with a port.
    pub fn at(&self, port: u16) -> SocketAddr {
        (self.v4, port).into()
    }

    /// Its IPv6 address with a port.
    pub fn at6(&self, port: u16) -> SocketAddr {
        (self.v6, port).into()
    }

    /// Connects within [`CONNECT_PATIENCE`], which is short: most calls expect a time-out.
    pub fn connect(&self, address: SocketAddr) -> std::io::Result<std::net::TcpStream> {
        self.ns.connect(address, CONNECT_PATIENCE)
    }
}

impl Lab {
    /// Builds the two nodes and the link between them.
    pub fn new() -> Self {
        let turn = Turn::take();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if COUNT.load(Ordering::Relaxed) == 0 {
            namespace::sweep(PREFIX);
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let id = format!("{PREFIX}{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(&id);
        for part in ["bpffs", "config"] {
            std::fs::create_dir_all(folder.join(part)).expect("the temporary folder is writable");
        }
        let make = |name| Namespace::new(&format!("{id}-{name}")).expect("cannot make a namespace");
        let mut node = make("node");
        let other = make("other");
        node.mount_bpffs(&folder.join("bpffs")).expect("cannot mount a bpffs");
        let lab = Self { node, other, id, folder, next: 2, bridge: false, _turn: turn };
        lab.link_nodes();
        lab
    }

    fn link_nodes(&self) {
        let (node, other) = (&self.node, &self.other);
        for ns in [node, other] {
            sysctl(ns, "net.ipv4.ip_forward=1");
            sysctl(ns, "net.ipv6.conf.all.forwarding=1");
        }
        ip(node, &format!("link add {UPLINK} type veth peer name nodes netns {}", other.name()));
        ip(node, &format!("addr add {NODE_V4}/24 dev {UPLINK}"));
        ip(node, &format!("addr add {NODE_V6}/64 dev {UPLINK} nodad"));
        ip(other, "addr add 10.77.250.2/24 dev nodes");
        ip(other, "addr add fd77:fa::2/64 dev nodes nodad");
        ip(node, &format!("link set {UPLINK} up"));
        ip(other, "link set nodes up");
        for net in ["10.77.1.0/24", "10.78.0.0/24"] {
            ip(node, &format!("route add {net} via 10.77.250.2"));
        }
        for net in ["fd77:1::/64", "fd78::/64"] {
            ip(node, &format!("route add {net} via fd77:fa::2"));
        }
        for net in ["10.77.0.0/24", "10.77.2.0/24", "10.96.0.0/16"] {
            ip(other, &format!("route add {net} via {NODE_V4}"));
        }
        for net in ["fd77::/64", "fd77:2::/64"] {
            ip(other, &format!("route add {net} via {NODE_V6}"));
        }
    }

    /// Adds a pod on the node, with a routed veth as point-to-point CNIs make it.
    pub fn pod(&mut self, name: &str) -> Host {
        let at = self.take_number();
        let (v4, v6) = (Ipv4Addr::new(10, 77, 0, at), v6(0xfd77, 0, at));
        self.routed(&self.node, name, NODE, (v4, v6))
    }

    /// Adds a pod on the other node.
    pub fn remote_pod(&mut self, name: &str) -> Host {
        let at = self.take_number();
        let (v4, v6) = (Ipv4Addr::new(10, 77, 1, at), v6(0xfd77, 1, at));
        self.routed(&self.other, name, OTHER_NODE, (v4, v6))
    }

    /// Adds a machine outside the cluster, behind the other node.
    pub fn outside(&mut self, name: &str) -> Host {
        let at = self.take_number();
        let (v4, v6) = (Ipv4Addr::new(10, 78, 0, at), v6(0xfd78, 0, at));
        self.routed(&self.other, name, "", (v4, v6))
    }

    fn take_number(&mut self) -> u8 {
        self.next += 1;
        self.next
    }

    fn routed(&self, on: &Namespace, name: &str, node: &'static str, at: (Ipv4Addr, Ipv6Addr)) -> Host {
        let (v4, v6) = at;
        let ns = Namespace::new(&format!("{}-{name}", self.id)).expect("cannot make a namespace");
        let device = format!("v-{name}");
        ip(on, &format!("link add {device} type veth peer name eth0 netns {}", ns.name()));
        ip(on, &format!("link set {device} up"));
        ip(on, &format!("addr add fe80::1/64 dev {device} nodad"));
        ip(on, &format!("addr add 169.254.1.1/32 dev {device}"));
        ip(on, &format!("route add {v4}/32 dev {device}"));
        ip(on, &format!("route add {v6}/128 dev {device}"));
        ip(&ns, &format!("addr add {v4}/32 dev eth0"));
        ip(&ns, &format!("addr add {v6}/128 dev eth0 nodad"));
        ip(&ns, "link set eth0 up");
        ip(&ns, "route add 169.254.1.1 dev eth0 scope link");
        ip(&ns, "route add default via 169.254.1.1");
        ip(&ns, "route add default via fe80::1 dev eth0");
        Host { ns, name: name.to_owned(), node, v4, v6, device }
    }

    /// Adds a pod on a bridge of the node, as bridge CNIs make it.
    pub fn bridged_pod(&mut self, name: &str) -> Host {
        let at = self.take_number();
        let (v4, v6) = (Ipv4Addr::new(10, 77, 2, at), v6(0xfd77, 2, at));
        if !std::mem::replace(&mut self.bridge, true) {
            ip(&self.node, "link add br0 type bridge");
            ip(&self.node, "addr add 10.77.2.1/24 dev br0");
            ip(&self.node, "addr add fd77:2::1/64 dev br0 nodad");
            ip(&self.node, "link set br0 up");
        }
        let ns = Namespace::new(&format!("{}-{name}", self.id)).expect("cannot make a namespace");
        let device = format!("v-{name}");
        ip(&self.node, &format!("link add {device} type veth peer name eth0 netns {}", ns.name()));
        ip(&self.node, &format!("link set {device} master br0 up"));
        ip(&ns, &format!("addr add {v4}/24 dev eth0"));
        ip(&ns, &format!("addr add {v6}/64 dev eth0 nodad"));
        ip(&ns, "link set eth0 up");
        ip(&ns, "route add default via 10.77.2.1");
        ip(&ns, "route add default via fd77:2::1");
        let host = Host { ns, name: name.to_owned(), node: NODE, v4, v6, device };
        // As a kubelet's probe would, so that the node knows the neighbour.
        self.ping(&self.node, v4.into());
        self.ping(&self.node, v6.into());
        host
    }

    /// Waits until `to` answers a ping from inside `from`.
    pub fn ping(&self, from: &Namespace, to: IpAddr) {
        crate::until(&format!("{to} to answer a ping"), || from.run(&format!("ping -c1 -W1 {to}")).ok());
    }

    /// A folder of this lab's own.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder that [`Weir`](crate::Weir) is started with.
    pub fn config(&self) -> PathBuf {
        self.folder.join("config")
    }

    /// The bpffs, in the mount namespace of the node.
    pub fn bpffs(&self) -> PathBuf {
        self.folder.join("bpffs")
    }

    /// Writes a file of the configuration in one step, as careful editors do.
    pub fn write(&self, name: &str, text: &str) {
        let part = self.folder.join(name);
        std::fs::write(&part, text).expect("the lab's folder is writable");
        std::fs::rename(part, self.config().join(name)).expect("the lab's folder is writable");
    }
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os("WEIR_KEEP").is_some() {
            eprintln!("kept: {}", self.folder.display());
            return;
        }
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

/// Sets a kernel parameter of a namespace.
pub fn sysctl(ns: &Namespace, setting: &str) {
    ns.run(&format!("sysctl -qw {setting}")).expect("cannot set a kernel parameter");
}

fn ip(ns: &Namespace, line: &str) {
    ns.ip(line).expect("cannot build the lab");
}

fn v6(first: u16, second: u16, at: u8) -> Ipv6Addr {
    Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, at.into())
}

/// At most [`LABS`] labs at a time, so that tests do not starve each other.
#[derive(Debug)]
struct Turn;

static FREE: Mutex<u32> = Mutex::new(LABS);
static FREED: Condvar = Condvar::new();

impl Turn {
    fn take() -> Self {
        let mut free = FREE.lock().expect("no panic while it is held");
        while *free == 0 {
            free = FREED.wait(free).expect("no panic while it is held");
        }
        *free -= 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *FREE.lock().expect("no panic while it is held") += 1;
        FREED.notify_one();
    }
}

const PREFIX: &str = "wt-";
const LABS: u32 = 2;
/// Long enough for one repeated SYN; a dropped connection shows after it.
const CONNECT_PATIENCE: Duration = Duration::from_millis(2500);
