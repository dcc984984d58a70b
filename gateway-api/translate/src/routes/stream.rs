//! TLSRoutes, TCPRoutes and UDPRoutes: one rule of weighted backends.

use std::sync::Arc;

use model::route::{RouteRule, Timeouts, WeightedBackend};
use objects::route::StreamRoute;
use objects::types::{TcpRoute, TlsRoute, UdpRoute};

use super::RouteKind;
use super::compile::Compiler;
use crate::report::{self, created, object_ref};
use crate::tables::{Claim, Entries};

macro_rules! stream {
    ($($type:ty),+) => {$(
        impl RouteKind for $type {
            const BINDS_TO_SERVICES: bool = false;

            fn compile(&self, compiler: &mut Compiler<'_>) -> Entries {
                stream(self, compiler)
            }
        }
    )+};
}

stream!(TlsRoute, TcpRoute, UdpRoute);

fn stream(route: &impl StreamRoute, compiler: &mut Compiler<'_>) -> Entries {
    let rules = route.rules();
    if rules.len() > 1 {
        // Nothing in the API tells which bytes are meant for which rule.
        let message = "a second rule is not supported: nothing tells rules of bytes apart";
        report::error(&mut compiler.problems, "spec.rules[1]", message);
    }
    if route.wants_default_gateways() {
        report::error(
            &mut compiler.problems,
            "spec.useDefaultGateways",
            "is not supported: name the Gateways",
        );
    }
    let first = rules.first();
    let mut backends: Vec<WeightedBackend> = Vec::new();
    for (at, backend) in first.iter().flat_map(|rule| &rule.backends).enumerate() {
        let field = format!("spec.rules[0].backendRefs[{at}]");
        let Some((weight, target)) = compiler.backend(field, backend) else { continue };
        backends.push(WeightedBackend { weight, target, filters: Vec::new() });
    }
    let rule = RouteRule {
        route: object_ref(compiler.key),
        index: 0,
        name: first.and_then(|rule| rule.name).map(Arc::from),
        filters: Vec::new(),
        backends,
        timeouts: Timeouts::default(),
        retry: None,
        grpc: false,
    };
    Entries::Stream(Claim { created: created(route.metadata()), rule: Arc::new(rule) })
}
