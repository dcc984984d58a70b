//! HTTP/2, translated at the edge: inside the proxy every message is HTTP/1.1 text, so that one
//! parser, one path normalisation, one set of stages and one exchange serve all versions.
//!
//! ```text
//! socket ◄─► driver ◄─► Connection (codec::h2) ◄─► Stream: text ◄─► stages, Exchange, Tunnel
//! ```
//!
//! A connection has one driver, which moves its bytes, and streams, each a byte stream of text for
//! a task (`lane.rs`). What the streams of a turn have to say goes out in one write: the driver is
//! woken once and runs after them.

mod connection;
mod lane;
mod reading;
mod server;
mod stream;
mod upstream;
mod writing;

pub(crate) use lane::Lane;
pub(crate) use server::serve;
pub(crate) use stream::Stream;
pub(crate) use upstream::{Chance, Opening, Shared};
