//! Gateway API matching, precedence and filters. Pure: data in, decision out.
//!
//! [`insert`] and [`remove`] keep a [`RouteTable`](model::route::RouteTable) in order of
//! precedence; [`find`] searches it by hashing, so its cost depends on the request's host and
//! path and not on how many routes there are. [`listener`], [`redirect`], [`rewrite`],
//! [`edit_headers`], [`preflight`], [`cors_headers`] and [`merge_cors`] are the other decisions the
//! Gateway API leaves to a data plane.

mod cors;
mod filter;
mod find;
#[cfg(test)]
mod fixtures;
mod host;
mod sni;
mod table;
mod values;

pub use cors::{cors_headers, merge_cors, preflight};
pub use filter::{Header, Rewritten, edit_headers, redirect, rewrite};
pub use find::find;
pub use host::listener;
pub use sni::sni;
pub use table::{full_match, insert, remove};
