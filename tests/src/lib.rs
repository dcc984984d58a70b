//! What proves Weir from outside. This library builds the places that the tests run in: network
//! namespaces that stand for a node, its pods, another node and a client outside; backends and
//! clients inside them; and the built `weir` binary, started and stopped.
//!
//! Everything it makes is named after the process that made it and goes when it is dropped; what a
//! killed test left behind, the next one removes.

pub mod authority;
pub mod backend;
pub mod certificate;
pub mod client;
pub mod driver;
pub mod faulty;
pub mod h2;
pub mod lab;
mod listening;
pub mod metrics;
pub mod namespace;
pub mod objects;
pub mod observe;
pub mod peer;
pub mod pooled;
pub mod recorder;
pub mod relay;
pub mod requirements;
pub mod soak;
pub mod wait;
pub mod weir;

pub use authority::Authority;
pub use backend::Backend;
pub use driver::Driver;
pub use faulty::{Act, Faulty};
pub use lab::{Host, Lab};
pub use peer::Peer;
pub use pooled::Pooled;
pub use recorder::Recorder;
pub use wait::until;
pub use weir::Weir;
