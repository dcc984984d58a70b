//! What proves Weir from outside. This library builds the places that the tests run in: network
//! namespaces that stand for a node, its pods, another node and a client outside; backends and
//! clients inside them; and the built `weir` binary, started and stopped.
//!
//! Everything it makes is named after the process that made it and goes when it is dropped; what a
//! killed test left behind, the next one removes.

pub mod backend;
pub mod certificate;
pub mod client;
pub mod lab;
pub mod namespace;
pub mod objects;
pub mod peer;
pub mod requirements;
pub mod wait;
pub mod weir;

pub use backend::Backend;
pub use lab::{Host, Lab};
pub use peer::Peer;
pub use wait::until;
pub use weir::Weir;
