//! Questions to the kernel's routing, one at a time: rules, routes, links, neighbours, addresses
//! of the calling thread's network namespace.

use std::io;
use std::net::IpAddr;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkLayerType, LinkMessage};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{RouteAttribute, RouteMessage, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

/// A device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    /// The bridge or bond it is a port of; 0: none.
    pub(crate) controller: u32,
    pub(crate) mac: Option<[u8; 6]>,
    pub(crate) kind: LinkKind,
    /// Whether its packets begin with an Ethernet header.
    pub(crate) ethernet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkKind {
    Veth,
    Bridge,
    Other,
}

/// Where packets to an address go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) device: u32,
    /// Through a router, so the address is not on a device of this node.
    pub(crate) gateway: bool,
    /// To this node itself.
    pub(crate) local: bool,
}

pub(crate) struct Netlink {
    socket: Socket,
}

impl Netlink {
    pub(crate) fn new() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket })
    }

    /// A request that changes something.
    pub(crate) fn change(&self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.ask(message, flags | NLM_F_ACK).map(drop)
    }

    /// A request for everything of a kind.
    pub(crate) fn dump(&self, message: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.ask(message, NLM_F_DUMP)
    }

    /// Sends a request and collects the answers, to the last of them.
    fn ask(&self, message: RouteNetlinkMessage, flags: u16) -> io::Result<Vec<RouteNetlinkMessage>> {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        let mut request = NetlinkMessage::new(header, NetlinkPayload::from(message));
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        let multipart = flags & (NLM_F_DUMP | NLM_F_ACK) != 0;
        let mut answers = Vec::new();
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            if take(&datagram, &mut answers)? || !multipart {
                return Ok(answers);
            }
        }
    }

    pub(crate) fn links(&self) -> io::Result<Vec<Link>> {
        let answers = self.dump(RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
        Ok(answers.into_iter().filter_map(link_of).collect())
    }

    pub(crate) fn route(&self, to: IpAddr) -> io::Result<Route> {
        let mut message = RouteMessage::default();
        message.header.address_family = family(to);
        message.header.destination_prefix_length = if to.is_ipv4() { 32 } else { 128 };
        message.attributes.push(RouteAttribute::Destination(to.into()));
        let answers = self.ask(RouteNetlinkMessage::GetRoute(message), 0)?;
        let route = answers.into_iter().find_map(|answer| match answer {
            RouteNetlinkMessage::NewRoute(route) => Some(route),
            _ => None,
        });
        let route = route.ok_or(io::ErrorKind::InvalidData)?;
        let mut found = Route { device: 0, gateway: false, local: route.header.kind == RouteType::Local };
        for attribute in route.attributes {
            match attribute {
                RouteAttribute::Oif(index) => found.device = index,
                RouteAttribute::Gateway(_) | RouteAttribute::Via(_) => found.gateway = true,
                _ => {}
            }
        }
        Ok(found)
    }

    /// The link-layer address of a neighbour, if it is known now.
    pub(crate) fn neighbour(&self, device: u32, ip: IpAddr) -> io::Result<Option<Vec<u8>>> {
        let wanted = match ip {
            IpAddr::V4(ip) => NeighbourAddress::Inet(ip),
            IpAddr::V6(ip) => NeighbourAddress::Inet6(ip),
        };
        let mut message = NeighbourMessage::default();
        message.header.family = family(ip);
        for answer in self.dump(RouteNetlinkMessage::GetNeighbour(message))? {
            let RouteNetlinkMessage::NewNeighbour(entry) = answer else {
                continue;
            };
            let lost = matches!(entry.header.state, NeighbourState::Incomplete | NeighbourState::Failed);
            let is_it = entry.attributes.contains(&NeighbourAttribute::Destination(wanted.clone()));
            if entry.header.ifindex == device && is_it && !lost {
                return Ok(link_layer_address(&entry));
            }
        }
        Ok(None)
    }

    /// The port behind which a bridge has learnt a link-layer address.
    pub(crate) fn bridge_port(&self, bridge: u32, address: &[u8]) -> io::Result<Option<u32>> {
        let mut message = NeighbourMessage::default();
        message.header.family = AddressFamily::Bridge;
        for answer in self.dump(RouteNetlinkMessage::GetNeighbour(message))? {
            let RouteNetlinkMessage::NewNeighbour(entry) = answer else {
                continue;
            };
            let of_bridge = entry.attributes.contains(&NeighbourAttribute::Controller(bridge));
            if of_bridge && link_layer_address(&entry).as_deref() == Some(address) {
                return Ok(Some(entry.header.ifindex));
            }
        }
        Ok(None)
    }

    /// The addresses of the node's own devices, loopback's left out.
    pub(crate) fn addresses(&self) -> io::Result<Vec<IpAddr>> {
        let answers = self.dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()))?;
        let addresses = answers.into_iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewAddress(message) => address_of(&message),
            _ => None,
        });
        Ok(addresses.filter(|ip| !ip.is_loopback()).collect())
    }
}

/// Collects the answers of one datagram; returns whether the last one is among them.
fn take(datagram: &[u8], answers: &mut Vec<RouteNetlinkMessage>) -> io::Result<bool> {
    let mut rest = datagram;
    while !rest.is_empty() {
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        match message.payload {
            NetlinkPayload::Done(_) => return Ok(true),
            NetlinkPayload::Error(error) if error.code.is_none() => return Ok(true),
            NetlinkPayload::Error(error) => return Err(error.to_io()),
            NetlinkPayload::InnerMessage(inner) => answers.push(inner),
            _ => {}
        }
        let length = usize::try_from(message.header.length).map_err(io::Error::other)?;
        // Messages are aligned to 4 bytes; the last one may lack its padding.
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

pub(crate) fn family(ip: IpAddr) -> AddressFamily {
    if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn link_of(message: RouteNetlinkMessage) -> Option<Link> {
    let RouteNetlinkMessage::NewLink(message) = message else {
        return None;
    };
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        controller: 0,
        mac: None,
        kind: LinkKind::Other,
        ethernet: message.header.link_layer_type == LinkLayerType::Ether,
    };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::Controller(index) => link.controller = index,
            LinkAttribute::Address(bytes) => link.mac = bytes.try_into().ok(),
            LinkAttribute::LinkInfo(infos) => {
                for info in infos {
                    match info {
                        LinkInfo::Kind(InfoKind::Veth) => link.kind = LinkKind::Veth,
                        LinkInfo::Kind(InfoKind::Bridge) => link.kind = LinkKind::Bridge,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Some(link)
}

fn link_layer_address(entry: &NeighbourMessage) -> Option<Vec<u8>> {
    entry.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(bytes) => Some(bytes.clone()),
        _ => None,
    })
}

/// `IFA_LOCAL` where there is one: `IFA_ADDRESS` of a point-to-point device is the other end's.
fn address_of(message: &AddressMessage) -> Option<IpAddr> {
    let mut found = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(ip) => return Some(*ip),
            AddressAttribute::Address(ip) => found = Some(*ip),
            _ => {}
        }
    }
    found
}
