//! The vocabulary of Weir: addresses, identities, workloads, services, routes, policies, request
//! views, flow records and the [`Snapshot`] they make up.
//!
//! Data only. This crate depends on nothing of ours and on no runtime: no clock, no socket, no
//! lock, no file, no Kubernetes type. Decisions over this data live in `policy`, `route` and
//! `balance`; what fills it is `translate`.

pub mod address;
pub mod flow;
pub mod identity;
pub mod policy;
pub mod request;
pub mod route;
pub mod service;
pub mod shared_map;
pub mod snapshot;
pub mod tls;
pub mod traffic;
pub mod workload;

pub use snapshot::Snapshot;
