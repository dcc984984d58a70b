//! Flow records on their way from the workers to whoever reads them.
//!
//! ```text
//! worker ─ Writer ─► ring ─ Reader ─┐                      ┌─► printer (a terminal or a file)
//! worker ─ Writer ─► ring ─ Reader ─┼─► Collector (thread) ┼─► subscription
//! kernel ─ Writer ─► ring ─ Reader ─┘   formats            └─► subscription
//! ```
//!
//! Nothing here waits for a reader: a full ring and a full queue drop and count, so a blocked
//! terminal costs records and never a request. What the records look like is in `docs/flows.md`.

pub mod collect;
pub mod json;
mod labels;
pub mod reason;
pub mod ring;
pub mod text;
mod time;

pub use collect::{Collector, Counts, Format, Subscription};
pub use json::Json;
pub use ring::{Reader, Writer, ring};
pub use text::text;

#[cfg(test)]
mod fixture;
