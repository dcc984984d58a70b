//! The built binary on real sockets: redirection, policy, routing, life and death of its
//! processes, in network namespaces. Skips loudly without root.
// All of it is tests, helpers between them included.
#![allow(clippy::unwrap_used)]

/// Returns from the test if namespaces, or the programs named, cannot be had here, and says so.
macro_rules! needs_lab {
    ($($program:literal),*) => {{
        fn here() {}
        let test = std::any::type_name_of_val(&here).trim_end_matches("::here");
        if !tests::requirements::met(test) || !tests::requirements::found(test, &[$($program),*]) {
            return;
        }
    }};
}

mod balancing;
mod check;
mod configuration;
mod drain;
mod filters;
mod fleet;
mod floods;
mod flows;
mod gateway;
mod grpc;
mod h2spec;
mod held;
mod http2;
mod http_errors;
mod kernel;
mod lifecycle;
mod limits;
mod listener_sets;
mod metrics;
mod mirrors;
mod operator;
mod paths;
mod policy;
mod pools;
mod reload;
mod resilience;
mod restart;
mod services;
mod smuggling;
mod soak;
mod source;
mod tcp;
mod tls;
mod udp;
mod websocket;
mod world;
