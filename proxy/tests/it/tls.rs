//! TLS at Gateways and towards endpoints.

mod clients;
mod entry;
mod fixture;
mod origin;
mod streams;
