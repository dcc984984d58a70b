//! The Kubernetes objects that Weir reads, typed, and the [`Store`] that YAML files and the
//! Kubernetes watch both fill.
//!
//! Data and its own rules only: nothing here reads a file, a socket or a clock.

pub mod check;
pub mod cilium;
pub mod kind;
pub mod listener_set;
pub mod object;
pub mod path;
pub mod problem;
pub mod route;
mod secret;
pub mod store;
pub mod types;

pub use kind::Kind;
pub use object::{Object, ObjectKey};
pub use path::{FieldPath, Segment};
pub use problem::{Problem, Severity, Source, tell_refused};
pub use store::{Entry, Refused, RefusedRule, Store, Table};
