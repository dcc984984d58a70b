//! The data plane over real sockets on loopback: hand-made Snapshots, scripted endpoints, clients
//! that count bytes. No eBPF, no privileges.
// All of this is test code, the helpers too.
#![allow(clippy::unwrap_used)]

mod backend;
mod client;
mod world;

mod bodies;
mod bytes;
mod cors;
mod datagrams;
mod exchanges;
mod failures;
mod flows;
mod http2;
mod life;
mod mirrors;
mod policies;
mod refused;
mod resilience;
mod retries;
mod routes;
mod splices;
mod tls;
mod upgrades;
