//! The layouts and numbers of `bpf/abi.h`, in Rust.
#![allow(unsafe_code)]

use std::net::{IpAddr, Ipv6Addr};

use aya::Pod;

/// Version of the layouts; part of the pin path, so that maps of another are never taken up.
pub(crate) const LAYOUT: u32 = 3;

pub(crate) const MARK_MASK: u32 = 0x0f00;
pub(crate) const MARK_TO_PROXY: u32 = 0x0200;
pub(crate) const MARK_FROM_PROXY: u32 = 0x0b00;

pub(crate) const DIRECTION_INGRESS: u8 = 0;
pub(crate) const DIRECTION_EGRESS: u8 = 1;

pub(crate) const INGRESS_ENFORCED: u32 = 1;
pub(crate) const EGRESS_ENFORCED: u32 = 1 << 1;
pub(crate) const INGRESS_CLOSED: u32 = 1 << 2;
pub(crate) const EGRESS_CLOSED: u32 = 1 << 3;
pub(crate) const DEVICE_NO_MAC: u32 = 1 << 5;

/// Bits of a [`PolicyKey`] before protocol and port.
pub(crate) const POLICY_PREFIX_PEER: u32 = 72;

pub(crate) const FRONTEND_OUTSIDE: u32 = 1;

pub(crate) const ACTION_ALLOW: u8 = 0;
pub(crate) const ACTION_DENY: u8 = 1;
pub(crate) const ACTION_REDIRECT: u8 = 2;

pub(crate) const EVENT_DROPPED: u8 = 0;

pub(crate) const REASON_DEFAULT_DENY: u8 = 1;
pub(crate) const REASON_DENY_RULE: u8 = 2;
pub(crate) const REASON_CLOSED: u8 = 3;
pub(crate) const REASON_SPOOFED: u8 = 4;
pub(crate) const REASON_UNREADABLE: u8 = 5;
pub(crate) const REASON_NO_PROXY: u8 = 6;

pub(crate) const COUNTER_FORWARDED: u32 = 0;
pub(crate) const COUNTER_REDIRECTED: u32 = 1;
pub(crate) const COUNTER_DROPPED: u32 = 2;
pub(crate) const COUNTER_LOST: u32 = 3;
pub(crate) const COUNTER_ORPHANS: u32 = 4;
pub(crate) const COUNTER_SPILLED: u32 = 5;
pub(crate) const COUNTERS: u32 = 6;

/// Shares of the flows that are not of TCP.
pub(crate) const SHARES: u32 = 256;

/// Declares a structure shared with the kernel side, with its size: no padding the compiler chose.
macro_rules! shared {
    ($($(#[$meta:meta])* struct $name:ident: $size:literal { $($field:ident: $type:ty,)* })*) => { $(
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(crate) struct $name { $(pub(crate) $field: $type,)* }
        const _: () = assert!(size_of::<$name>() == $size);
        const _: () = assert!(0 $(+ size_of::<$type>())* == $size);
        // SAFETY: C layout, only integers, and by the second assertion no padding.
        unsafe impl Pod for $name {}
    )* };
}

shared! {
    /// IPv6, or IPv4 mapped into it, in network order.
    struct Address: 16 { bytes: [u32; 4], }
    struct Tuple: 40 {
        source: Address,
        destination: Address,
        source_port: u16,
        destination_port: u16,
        protocol: u8,
        icmp_type: u8,
        unused: [u8; 2],
    }
    struct Endpoint: 16 { id: u32, policy: u32, ifindex: u32, flags: u32, }
    struct Device: 20 { flags: u32, bridge: u32, mac: [u8; 6], pod_mac: [u8; 6], }
    /// The key's data; its prefix length is aya's part.
    struct PolicyData: 12 { policy: u32, identity: u32, direction: u8, protocol: u8, port: u16, }
    struct PolicyValue: 8 { precedence: u32, action: u8, length: u8, whole: u8, unused: u8, }
    struct Frontend: 20 { address: Address, port: u16, protocol: u8, unused: u8, }
    struct Flow: 16 { seen: u64, revision: u32, flags: u32, }
    struct Config: 16 {
        revision: u32,
        workers: u32,
        port_first: u16,
        port_last: u16,
        share: u32,
    }
    struct FragmentKey: 44 {
        source: Address,
        destination: Address,
        id: u32,
        ifindex: u32,
        ipv6: u32,
    }
    struct Ports: 4 { source: u16, destination: u16, }
    struct Reported: 16 { time: u64, sequence: u32, reason: u32, }
    struct Event: 64 {
        time: u64,
        tuple: Tuple,
        source_identity: u32,
        destination_identity: u32,
        endpoint: u32,
        kind: u8,
        direction: u8,
        reason: u8,
        unused: u8,
    }
}

impl Address {
    /// The address that stands for `ip`.
    pub(crate) fn new(ip: IpAddr) -> Self {
        let octets = match ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        };
        let mut bytes = [0; 4];
        for (word, chunk) in bytes.iter_mut().zip(octets.chunks_exact(4)) {
            *word = u32::from_ne_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
        }
        Self { bytes }
    }

    /// The IP address; mapped ones as IPv4.
    pub(crate) fn ip(self) -> IpAddr {
        let mut octets = [0; 16];
        for (chunk, word) in octets.chunks_exact_mut(4).zip(self.bytes) {
            chunk.copy_from_slice(&word.to_ne_bytes());
        }
        IpAddr::V6(Ipv6Addr::from(octets)).to_canonical()
    }
}

impl Event {
    /// The event at the beginning of a record of the ring.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < size_of::<Self>() {
            return None;
        }
        // SAFETY: long enough by the check above, any bits are valid, and read unaligned.
        Some(unsafe { bytes.as_ptr().cast::<Self>().read_unaligned() })
    }
}

#[cfg(test)]
mod tests;
