//! Gateway API matching, precedence and filters. Pure: data in, decision out.
//!
//! [`insert`] and [`remove`] keep a [`RouteTable`](model::route::RouteTable) in order of
//! precedence; [`find`] searches it by hashing, so its cost depends on the request's host and
//! path and not on how many routes there are. [`listener`], [`redirect`], [`rewrite`] and
//! [`edit_headers`] are the other decisions the Gateway API leaves to a data plane.

mod filter;
mod find;
#[cfg(test)]
mod fixtures;
mod host;
mod table;
mod values;

pub use filter::{Header, Rewritten, edit_headers, redirect, rewrite};
pub use find::find;
pub use host::listener;
pub use table::{full_match, insert, remove};
