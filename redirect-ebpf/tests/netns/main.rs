//! Redirection through real sockets in network namespaces.
//!
//! Every test builds its own node: namespaces, veths, a bpffs below a temporary folder. Needs root;
//! without it each test says `SKIP ebpf: …` and passes.
// Helpers of tests are tests; the system calls are setns, setsockopt and shutdown.
#![allow(clippy::unwrap_used, unsafe_code)]

mod attack;
mod bridge;
mod datagrams;
mod deny;
mod flow_map;
mod fragments;
mod frame;
mod icmp;
mod lifecycle;
mod moved;
mod namespace;
mod node;
mod proxied;
mod socket;
mod time_wait;
mod unreadable;
