//! eBPF redirection of pod traffic: load, attach, pin, fill maps. Knows no mesh.
//!
//! A program at the host end of each pod's veth and on the uplinks decides for each new flow, from
//! addresses, ports and the policy entries given to [`Redirect::apply`]: it passes, it is dropped,
//! or it goes to a transparent listener of the proxy ([`Redirect::set_listener`]), whose accepted
//! socket then has the original destination as its local address. `src/bpf` is the kernel side.
//!
//! Everything is pinned below one directory of a bpffs and outlives the process; only
//! [`cleanup()`] takes it away. The kernel must be 6.6 or newer; [`preflight()`] says what is
//! missing. Everything concerns the network namespace of the calling thread.
//!
//! What is dropped besides denials:
//! - from a pod: any source address that is not its own, IPv4, IPv6 or the sender's in ARP, and on
//!   a bridge any link-layer address; neighbour discovery passes if it stays on the link, comes
//!   from the pod's own or a link-local address, advertises no other and no router;
//! - from an uplink: source addresses that are those of this node's pods;
//! - at a pod's veth: copies of what is for another known pod, as bridges flood them;
//! - ICMP errors that policy does not allow, unless they go to the sender of a packet of an allowed
//!   flow; from a pod, of one that was sent to that pod;
//! - on a veth with the programs behind which no known pod is any more: everything from it;
//! - towards a frontend's address, and where a port matters to an enforced pod: fragments, IPv4
//!   options, IPv6 headers other than hop-by-hop and destination options;
//! - from or to an enforced pod: frames that are neither IPv4, IPv6 nor ARP, VLAN tags, multicast.
//!   On uplinks tagged frames are left alone: name the VLAN's own device.
//!
//! The node's own processes reach its pods whatever their policy, and are answered.
//!
//! Sysctls are not touched: none is needed. [`preflight()`] reports the two that break
//! redirection when they are set.

mod abi;
mod attach;
mod bpffs;
pub mod cleanup;
pub mod discover;
mod error;
mod events;
mod kernel;
mod netlink;
pub mod preflight;
mod redirect;
mod routing;
mod state;
mod sys;
mod table;

pub use cleanup::cleanup;
pub use discover::{Device, Undiscovered, discover, discover_again, pinned};
pub use error::Error;
pub use events::{Direction, Event, EventKind, Events, Reason};
pub use preflight::{Missing, preflight};
pub use redirect::{Config, CounterReader, Counters, Family, Kind, Redirect, Report};
pub use state::{Action, Endpoint, Enforcement, Frontend, PolicyEntry, State};

/// `SO_MARK` of the proxy's sockets, listeners and upstream connections: tells their packets and
/// themselves from everybody else's.
pub const MARK_FROM_PROXY: u32 = abi::MARK_FROM_PROXY;
