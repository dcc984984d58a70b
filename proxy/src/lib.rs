//! The life of a connection: accept, address, parse, route, pick, permit, connect, forward.
//!
//! ```text
//! Accepted ─► Addressed ─► Parsed ─► Routed ─► Picked ─► Permitted ─► Connected
//! ```
//!
//! Each stage is a type in a file of its name and consumes the value of the stage before it, so
//! none can be skipped; `connection` names them all in order. The stages decide; what moves
//! bytes is `http1` and `tunnel` towards the client, `upstream` towards endpoints.
//!
//! Every worker is a thread with a runtime, listeners, upstream pools, timers and counters of its
//! own. Nothing on the path of a request is shared between workers but immutable data: a
//! [`model::Snapshot`] behind one [`Arc`](std::sync::Arc) per worker. This crate knows no
//! Kubernetes, no file and no eBPF.

mod accepted;
mod addressed;
mod buffer;
mod client;
mod clock;
mod config;
mod connected;
mod connection;
mod flow;
mod forward;
mod grpc;
mod http1;
mod http2;
mod io;
pub mod limits;
mod live;
mod message;
mod mirror;
mod parsed;
mod permitted;
mod picked;
mod refusal;
mod resilience;
mod routed;
mod server;
mod splice;
pub mod stats;
mod stream;
mod sys;
mod tcp;
mod tls;
mod tunnel;
mod udp;
mod upstream;
mod worker;

pub use config::{Config, Listener, ListenerKind};
pub use limits::{Limit, Limits, Unit};
pub use server::{Proxy, StartError};
pub use stats::{Stats, Totals};
