//! Policy: from the entries that policies come to, the compiled policy of an endpoint
//! ([`compile()`]); from that, the verdict of a connection ([`connection`]) and of an HTTP request
//! ([`request`]).
//!
//! Pure: no clock, no socket, no lock, no wire format. The semantics are Cilium's (see
//! `model::policy` for the compiled form): in each direction the union of all allows, any
//! matching deny wins, and an HTTP rule restricts only what no plain allow covers.

pub mod compile;
pub mod entry;
pub mod http;
mod ports;
pub mod selector;
pub mod verdict;

pub use compile::{Peers, Subject, compile};
pub use entry::{Action, Entry, EntryPeers, PeerSelector, Port, PortEntry};
pub use http::{HeaderEdit, Mismatch, RequestVerdict, request};
pub use selector::{Operator, Requirement, Selector};
pub use verdict::{ConnectionVerdict, connection};
