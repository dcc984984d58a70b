//! ICMP: echo, and errors of flows.

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use redirect::Action::Allow;
use redirect::Direction::{Egress, Ingress};
use redirect::Reason;
use socket2::{Protocol, Socket, Type};

use super::namespace::Net;
use super::node::{A, B, B6, ID_A, ID_B, Node, UDP, entry};
use super::socket::{SILENCE, ask_udp, domain, udp};

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// Sends an echo request and waits for its reply.
fn ping(net: &Net, role: &str, to: IpAddr, patience: Duration) -> io::Result<()> {
    const IDENTIFIER: [u8; 2] = [0x77, 0x42];
    let (kind, reply, protocol) =
        if to.is_ipv4() { (8, 0, Protocol::ICMPV4) } else { (128, 129, Protocol::ICMPV6) };
    net.enter(role, || {
        let socket = Socket::new(domain(to), Type::RAW, Some(protocol))?;
        let mut request = [kind, 0, 0, 0, IDENTIFIER[0], IDENTIFIER[1], 0, 1];
        if to.is_ipv4() {
            let sum =
                request.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum::<u32>();
            let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
            request[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        socket.send_to(&request, &SocketAddr::new(to, 0).into())?;
        let start = Instant::now();
        loop {
            let left = patience.checked_sub(start.elapsed()).ok_or(io::ErrorKind::TimedOut)?;
            socket.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            let mut buffer = [MaybeUninit::<u8>::uninit(); 256];
            let length = socket.recv(&mut buffer)?;
            // SAFETY: the first `length` bytes were written.
            let bytes = buffer[..length].iter().map(|byte| unsafe { byte.assume_init() });
            let bytes: Vec<u8> = bytes.collect();
            let icmp = if to.is_ipv4() { &bytes[20..] } else { &bytes[..] };
            if icmp[0] == reply && icmp[4..6] == IDENTIFIER {
                return Ok(());
            }
        }
    })
}

#[test]
fn echo_is_judged_and_its_reply_passes() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    let patience = Duration::from_secs(10);
    node.ingress(ID_B, &[entry(Ingress, 101, ICMP, 8, Allow), entry(Ingress, 101, ICMPV6, 128, Allow)]);
    node.egress(ID_B, &[]);
    node.apply();
    for ip in [B, B6] {
        ping(&node.net, "a", ip, patience).unwrap();
        ping(&node.net, "c", ip, SILENCE).unwrap_err();
        ping(&node.net, "b", if ip.is_ipv4() { A } else { super::node::A6 }, SILENCE).unwrap_err();
    }
    let event = node.assert_dropped(super::node::C, Reason::DefaultDeny);
    assert_eq!((event.protocol, event.icmp_type), (ICMP, 8));
}

#[test]
fn errors_of_allowed_flows_pass() {
    let Some(mut node) = Node::routed() else {
        return;
    };
    node.ingress(ID_B, &[entry(Ingress, 101, UDP, 7, Allow)]);
    node.egress(ID_B, &[]);
    node.ingress(ID_A, &[]);
    node.egress(ID_A, &[entry(Egress, 102, UDP, 7, Allow)]);
    node.apply();
    // Nobody listens: the pod's kernel says so, and neither its egress nor the caller's ingress
    // policy names ICMP.
    for ip in [B, B6] {
        let error = udp(&node.net, "a", (ip, 7)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
    // What was not allowed has no error to come back.
    let error = ask_udp(&node.net, "a", (B, 8), b"hello", SILENCE).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
}
