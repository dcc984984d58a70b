//! HTTP/2 on either side, with another implementation at the other end.

mod calls;
mod clients;
mod endpoints;
mod life;
mod peer;
mod tunnels;
