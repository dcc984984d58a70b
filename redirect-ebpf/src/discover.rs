//! Finding the host end of a pod's veth from the pod's address.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::attach::{self, Owner};
use crate::bpffs;
use crate::error::Error;
use crate::kernel;
use crate::netlink::{Link, LinkKind, Netlink};

/// The host end of a pod's veth.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Device {
    /// Its index.
    pub ifindex: u32,
    /// Its name.
    pub name: String,
    /// The bridge that it is a port of.
    pub bridge: Option<String>,
    /// The pod's own link-layer address, where the bridge goes by it.
    pub pod_mac: Option<[u8; 6]>,
}

/// Why no veth was found. A pod without one is not enforced.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Undiscovered {
    /// The kernel could not be asked.
    #[error("{ip}: netlink: {source}")]
    Netlink {
        /// The pod's address.
        ip: IpAddr,
        /// Why.
        source: io::Error,
    },
    /// The kernel knows no way to the address.
    #[error("{ip}: no route ({source})")]
    NoRoute {
        /// The pod's address.
        ip: IpAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// It is an address of this node, as of a pod with hostNetwork.
    #[error("{ip} is an address of this node itself")]
    Node {
        /// The pod's address.
        ip: IpAddr,
    },
    /// It is behind a router, so on another node.
    #[error("{ip} is behind a router: not a pod of this node")]
    Remote {
        /// The pod's address.
        ip: IpAddr,
    },
    /// The device it is behind is neither a veth nor a bridge with one.
    #[error("{ip} is behind {device}, which is not a veth")]
    NotVeth {
        /// The pod's address.
        ip: IpAddr,
        /// The device.
        device: String,
    },
    /// It does not answer on the bridge.
    #[error("{ip} does not answer on bridge {bridge}")]
    Silent {
        /// The pod's address.
        ip: IpAddr,
        /// The bridge.
        bridge: String,
    },
    /// The bridge has not learnt its port.
    #[error("bridge {bridge} knows no port for {ip}")]
    NoPort {
        /// The pod's address.
        ip: IpAddr,
        /// The bridge.
        bridge: String,
    },
}

/// Finds the veth behind which the address is.
///
/// Asks the routing table for the device; if that is a bridge, the neighbour table for the
/// link-layer address (after a datagram to make the kernel ask for it, up to a second) and the
/// bridge for its port. Blocks meanwhile.
///
/// # Errors
/// Why there is none: the pod is elsewhere, or cannot be reached over a veth.
pub fn discover(ip: IpAddr) -> Result<Device, Undiscovered> {
    let netlink = Netlink::new().map_err(|source| Undiscovered::Netlink { ip, source })?;
    find_veth(&netlink, ip, None)
}

/// `before`: where it is if it is on a bridge.
fn find_veth(netlink: &Netlink, ip: IpAddr, before: Option<&Device>) -> Result<Device, Undiscovered> {
    let failed = |source| Undiscovered::Netlink { ip, source };
    let route = netlink.route(ip).map_err(|source| Undiscovered::NoRoute { ip, source })?;
    if route.local {
        return Err(Undiscovered::Node { ip });
    }
    if route.gateway {
        return Err(Undiscovered::Remote { ip });
    }
    let links = netlink.links().map_err(failed)?;
    let link = find(&links, route.device).map_err(failed)?;
    match link.kind {
        LinkKind::Veth => Ok(Device {
            ifindex: link.index,
            name: link.name.clone(),
            bridge: bridge_of(&links, link).map(|bridge| bridge.name.clone()),
            pod_mac: None,
        }),
        LinkKind::Bridge => {
            before.map_or_else(|| behind(netlink, &links, link, ip), |before| Ok(before.clone()))
        }
        LinkKind::Other => Err(not_veth(ip, link)),
    }
}

/// The devices that pods are behind by what a process before left pinned, in this layout and this
/// network namespace, where they still exist. They do not depend on what pods answer now.
///
/// # Errors
/// The pins cannot be read.
pub fn pinned(pin_dir: &Path) -> Result<HashMap<IpAddr, Device>, Error> {
    let dir = bpffs::layout_dir(pin_dir);
    let (_, namespace) = bpffs::namespace()?;
    if attach::owner(&dir)? != Owner::Namespace(namespace) {
        return Ok(HashMap::new());
    }
    let failed = |cause| Error::Netlink { action: "list devices".to_owned(), cause };
    let links = Netlink::new().and_then(|netlink| netlink.links()).map_err(failed)?;
    let mut found = HashMap::new();
    for (address, endpoint) in kernel::pinned_endpoints(&dir)? {
        let Some(link) = links.iter().find(|link| link.index == endpoint.ifindex) else {
            continue;
        };
        if attach::holds(&dir, link.index)? {
            let bridge = bridge_of(&links, link).map(|bridge| bridge.name.clone());
            // Its link-layer address stays the one that is pinned, too.
            let device = Device { ifindex: link.index, name: link.name.clone(), bridge, pod_mac: None };
            found.insert(address.ip(), device);
        }
    }
    Ok(found)
}

/// Finds the veth as [`discover()`] does, but believes a route only, not an answer, that it is
/// another than the one `before`, which [`pinned()`] told.
///
/// # Errors
/// As [`discover()`]; none if there is one `before`.
pub fn discover_again(ip: IpAddr, before: Option<&Device>) -> Result<Device, Undiscovered> {
    let Some(before) = before else {
        return discover(ip);
    };
    let netlink = Netlink::new().map_err(|source| Undiscovered::Netlink { ip, source })?;
    Ok(find_veth(&netlink, ip, Some(before)).unwrap_or_else(|_| before.clone()))
}

/// The addresses that the devices of this network namespace have, loopback's left out.
///
/// # Errors
/// What the kernel said to the question.
pub fn node_addresses() -> io::Result<Vec<IpAddr>> {
    Netlink::new()?.addresses()
}

/// The bridge that a link is a port of.
pub(crate) fn bridge_of<'l>(links: &'l [Link], link: &Link) -> Option<&'l Link> {
    links.iter().find(|other| other.index == link.controller && other.kind == LinkKind::Bridge)
}

/// How long a pod may take to answer an ARP request or neighbour solicitation.
const PATIENCE: Duration = Duration::from_secs(1);

fn behind(netlink: &Netlink, links: &[Link], bridge: &Link, ip: IpAddr) -> Result<Device, Undiscovered> {
    let failed = |source| Undiscovered::Netlink { ip, source };
    let name = || bridge.name.clone();
    let address = resolve(netlink, bridge, ip).map_err(failed)?;
    let address = address.ok_or_else(|| Undiscovered::Silent { ip, bridge: name() })?;
    let port = netlink
        .bridge_port(bridge.index, &address)
        .map_err(failed)?
        .ok_or_else(|| Undiscovered::NoPort { ip, bridge: name() })?;
    let link = find(links, port).map_err(failed)?;
    if link.kind != LinkKind::Veth {
        return Err(not_veth(ip, link));
    }
    Ok(Device {
        ifindex: link.index,
        name: link.name.clone(),
        bridge: Some(name()),
        pod_mac: address.try_into().ok(),
    })
}

/// The link-layer address of a neighbour, asked for if it is not known.
fn resolve(netlink: &Netlink, bridge: &Link, ip: IpAddr) -> io::Result<Option<Vec<u8>>> {
    let known = |netlink: &Netlink| -> io::Result<Option<Vec<u8>>> {
        let Some(address) = netlink.neighbour(bridge.index, ip)? else {
            return Ok(None);
        };
        // A bridge forgets ports sooner than the kernel forgets neighbours.
        let port = netlink.bridge_port(bridge.index, &address)?;
        Ok(port.map(|_| address))
    };
    if let Some(address) = known(netlink)? {
        return Ok(Some(address));
    }
    let any: IpAddr = if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // To the discard port: what comes of it does not matter, the kernel asks for the neighbour
    // either way.
    let _sent = UdpSocket::bind((any, 0))?.send_to(&[0], (ip, 9));
    let start = Instant::now();
    loop {
        if let Some(address) = known(netlink)? {
            return Ok(Some(address));
        }
        if start.elapsed() > PATIENCE {
            return netlink.neighbour(bridge.index, ip);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn find(links: &[Link], index: u32) -> io::Result<&Link> {
    links.iter().find(|link| link.index == index).ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))
}

fn not_veth(ip: IpAddr, link: &Link) -> Undiscovered {
    Undiscovered::NotVeth { ip, device: link.name.clone() }
}
