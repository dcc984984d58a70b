//! What the programs report: flows that they allowed and packets that they dropped.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use aya::maps::{MapData, RingBuf};

use crate::abi;

/// Traffic direction, seen from the endpoint whose policy decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// To the endpoint.
    Ingress,
    /// From the endpoint.
    Egress,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A packet was dropped.
    Dropped,
    /// A new flow was allowed and goes its way without the proxy.
    Forwarded,
}

/// Why a packet was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It was not.
    None,
    /// The direction is enforced and no entry allows it.
    DefaultDeny,
    /// An entry denies it.
    DenyRule,
    /// The endpoint is closed in this direction.
    Closed,
    /// The sender pretends to be another: the source or link-layer address is not the pod's own,
    /// or is a local pod's and came from elsewhere, or neighbour discovery says so.
    Spoofed,
    /// A fragment, IP options, an unknown header: what it is cannot be told.
    Unreadable,
    /// Policy sends it to the proxy, but no listener takes it, or it came by a way on which the
    /// proxy cannot be given it.
    NoProxy,
}

/// One report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Nanoseconds of the monotonic clock.
    pub time: u64,
    /// What happened.
    pub kind: EventKind,
    /// Whose policy decided: that of the sender or of the receiver.
    pub direction: Direction,
    /// Why.
    pub reason: Reason,
    /// The sender; for ICMP echo the port is the identifier.
    pub source: SocketAddr,
    /// The receiver.
    pub destination: SocketAddr,
    /// Number in the IP header.
    pub protocol: u8,
    /// Type, of ICMP.
    pub icmp_type: u8,
    /// Identity of the sender; 0: unknown.
    pub source_identity: u32,
    /// Identity of the receiver; 0: unknown.
    pub destination_identity: u32,
    /// The endpoint whose policy decided; 0: none.
    pub endpoint: u32,
}

/// Reads the reports. One reader at a time: a report goes to one of them only.
pub struct Events {
    ring: RingBuf<MapData>,
}

impl Events {
    pub(crate) fn new(ring: RingBuf<MapData>) -> Self {
        Self { ring }
    }

    /// Gives every waiting report to `take`; returns their number. Does not block: wait for the
    /// descriptor to be readable first (`tokio::io::unix::AsyncFd`).
    pub fn drain(&mut self, mut take: impl FnMut(Event)) -> usize {
        let mut count = 0;
        while let Some(item) = self.ring.next() {
            if let Ok(event) = decode(&item) {
                take(event);
                count += 1;
            }
        }
        count
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

impl AsRawFd for Events {
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}

fn decode(bytes: &[u8]) -> io::Result<Event> {
    let raw = abi::Event::from_bytes(bytes).ok_or(io::ErrorKind::InvalidData)?;
    Ok(Event {
        time: raw.time,
        kind: match raw.kind {
            abi::EVENT_DROPPED => EventKind::Dropped,
            _ => EventKind::Forwarded,
        },
        direction: match raw.direction {
            abi::DIRECTION_INGRESS => Direction::Ingress,
            _ => Direction::Egress,
        },
        reason: match raw.reason {
            abi::REASON_DEFAULT_DENY => Reason::DefaultDeny,
            abi::REASON_DENY_RULE => Reason::DenyRule,
            abi::REASON_CLOSED => Reason::Closed,
            abi::REASON_SPOOFED => Reason::Spoofed,
            abi::REASON_UNREADABLE => Reason::Unreadable,
            abi::REASON_NO_PROXY => Reason::NoProxy,
            _ => Reason::None,
        },
        source: SocketAddr::new(raw.tuple.source.ip(), u16::from_be(raw.tuple.source_port)),
        destination: SocketAddr::new(raw.tuple.destination.ip(), u16::from_be(raw.tuple.destination_port)),
        protocol: raw.tuple.protocol,
        icmp_type: raw.tuple.icmp_type,
        source_identity: raw.source_identity,
        destination_identity: raw.destination_identity,
        endpoint: raw.endpoint,
    })
}
