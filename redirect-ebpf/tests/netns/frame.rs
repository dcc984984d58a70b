//! Frames made by hand, as root in a pod may send them.

use std::net::IpAddr;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::process::Command;

use socket2::{Domain, Socket, Type};

use super::namespace::Net;

pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const ARP: u16 = 0x0806;
pub(crate) const IPV6: u16 = 0x86dd;

/// The link-layer address of a device.
pub(crate) fn mac(net: &Net, role: &str, device: &str) -> [u8; 6] {
    let output = Command::new("ip").args(["-n", &net.name(role), "-o", "link", "show", device]).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    let text = text.split("link/ether ").nth(1).unwrap().split(' ').next().unwrap();
    let bytes: Vec<u8> = text.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    bytes.try_into().unwrap()
}

/// Sends a frame out of a namespace's device.
pub(crate) fn send(net: &Net, role: &str, device: &str, frame: &[u8]) {
    send_all(net, role, device, std::iter::once(frame.to_vec()));
}

/// The same of several.
pub(crate) fn send_all(net: &Net, role: &str, device: &str, frames: impl Iterator<Item = Vec<u8>> + Send) {
    net.enter(role, || {
        let socket = Socket::new(Domain::PACKET, Type::RAW, None).unwrap();
        let name = std::ffi::CString::new(device).unwrap();
        // SAFETY: a string that ends with 0.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        // SAFETY: integers, for which 0 is a value.
        let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        to.sll_family = u16::try_from(libc::AF_PACKET).unwrap();
        to.sll_ifindex = i32::try_from(index).unwrap();
        to.sll_halen = 6;
        let length = libc::socklen_t::try_from(size_of_val(&to)).unwrap();
        for frame in frames {
            // SAFETY: an open descriptor, a buffer and an address of the sizes said.
            let sent = unsafe {
                libc::sendto(
                    socket.as_raw_fd(),
                    frame.as_ptr().cast(),
                    frame.len(),
                    0,
                    (&raw const to).cast(),
                    length,
                )
            };
            assert_eq!(usize::try_from(sent), Ok(frame.len()), "{}", std::io::Error::last_os_error());
        }
    });
}

/// Sends an IP packet from a pod to `host`, the node's end of its veth.
pub(crate) fn send_packet(net: &Net, role: &str, host: &str, packet: &[u8]) {
    let kind = if packet[0] >> 4 == 4 { IPV4 } else { IPV6 };
    let (to, from) = (mac(net, "node", host), mac(net, role, "eth0"));
    send(net, role, "eth0", &frame(to, from, kind, packet));
}

/// A frame.
pub(crate) fn frame(to: [u8; 6], from: [u8; 6], kind: u16, payload: &[u8]) -> Vec<u8> {
    [&to[..], &from[..], &kind.to_be_bytes(), payload].concat()
}

/// An IP packet.
pub(crate) fn ip(from: IpAddr, to: IpAddr, protocol: u8, hop_limit: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap();
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut header = vec![0x45, 0];
            header.extend_from_slice(&(20 + length).to_be_bytes());
            header.extend_from_slice(&[0, 1, 0, 0, hop_limit, protocol, 0, 0]);
            header.extend_from_slice(&from.octets());
            header.extend_from_slice(&to.octets());
            let sum = checksum(&header);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            [&header[..], payload].concat()
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let mut header = vec![0x60, 0, 0, 0];
            header.extend_from_slice(&length.to_be_bytes());
            header.extend_from_slice(&[protocol, hop_limit]);
            header.extend_from_slice(&from.octets());
            header.extend_from_slice(&to.octets());
            [&header[..], payload].concat()
        }
        _ => panic!("{from} and {to} are of two families"),
    }
}

/// A UDP packet.
pub(crate) fn udp(from: (IpAddr, u16), to: (IpAddr, u16), data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + data.len()).unwrap();
    let ports = [from.1.to_be_bytes(), to.1.to_be_bytes(), length.to_be_bytes(), [0, 0]].concat();
    let mut udp = [&ports[..], data].concat();
    if from.0.is_ipv6() {
        let sum = checksum(&pseudo(from.0, to.0, 17, &udp));
        udp[6..8].copy_from_slice(&sum.to_be_bytes());
    }
    ip(from.0, to.0, 17, 64, &udp)
}

/// Which part of a packet's payload a fragment has, and which datagram it says it is of.
pub(crate) struct Piece {
    id: u32,
    part: Range<usize>,
    more: bool,
}

impl Piece {
    pub(crate) fn first(id: u32, part: Range<usize>) -> Self {
        Self { id, part, more: true }
    }

    pub(crate) fn middle(id: u32, part: Range<usize>) -> Self {
        Self { id, part, more: true }
    }

    pub(crate) fn last(id: u32, part: Range<usize>) -> Self {
        Self { id, part, more: false }
    }
}

/// A fragment of an IP packet without options.
pub(crate) fn piece(packet: &[u8], piece: Piece) -> Vec<u8> {
    let Piece { id, part, more } = piece;
    let offset = u16::try_from(part.start).unwrap();
    assert_eq!(offset % 8, 0);
    if packet[0] >> 4 == 4 {
        let (mut header, payload) = (packet[..20].to_vec(), &packet[20..]);
        let length = u16::try_from(20 + part.len()).unwrap();
        header[2..4].copy_from_slice(&length.to_be_bytes());
        header[4..6].copy_from_slice(&u16::try_from(id).unwrap().to_be_bytes());
        header[6..8].copy_from_slice(&((offset / 8) | (u16::from(more) << 13)).to_be_bytes());
        header[10..12].copy_from_slice(&[0, 0]);
        let sum = checksum(&header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        return [&header[..], &payload[part]].concat();
    }
    let (mut header, payload) = (packet[..40].to_vec(), &packet[40..]);
    let length = u16::try_from(8 + part.len()).unwrap();
    let next = std::mem::replace(&mut header[6], 44);
    header[4..6].copy_from_slice(&length.to_be_bytes());
    let position = (offset | u16::from(more)).to_be_bytes();
    [&header[..], &[next, 0], &position, &id.to_be_bytes(), &payload[part]].concat()
}

/// An ICMP message in an IP packet: type, code, then what follows the checksum.
pub(crate) fn icmp(from: IpAddr, to: IpAddr, kind: [u8; 2], hop_limit: u8, rest: &[u8]) -> Vec<u8> {
    let mut icmp = [&kind[..], &[0, 0], rest].concat();
    let protocol = if from.is_ipv4() { 1 } else { 58 };
    let sum = if from.is_ipv4() { checksum(&icmp) } else { checksum(&pseudo(from, to, protocol, &icmp)) };
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    ip(from, to, protocol, hop_limit, &icmp)
}

fn pseudo(from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let octets = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&octets(from)[..], &octets(to)[..], &length, &[0, 0, 0, protocol], payload].concat()
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words =
        bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}
