//! The rows of the table, in its order.

use crate::row::Row;

mod connections;
mod edits;
mod handshake;
mod http1;
mod http2;
mod latency;
mod many_routes;
mod memory;
mod tcp;
mod workers;

/// Every row.
pub(crate) const ALL: &[&Row] = &[
    &http1::KEEP_ALIVE,
    &latency::HALF_PEAK,
    &http2::HTTP2,
    &http2::GRPC,
    &http1::ONE_EACH,
    &handshake::FULL,
    &http1::TLS,
    &tcp::LARGE,
    &memory::IDLE,
    &connections::HTTP1,
    &connections::TLS,
    &connections::HTTP2,
    &connections::TLS_HTTP2,
    &memory::ROUTES,
    &many_routes::HOSTS,
    &many_routes::ONE_HOST,
    &edits::LATENCY,
    &edits::UNDER_LOAD,
    &workers::TWO,
];

#[cfg(test)]
mod tests;
