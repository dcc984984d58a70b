//! Stage 4. A message is routed: to a Service by a route, or to where it was going anyway.

use std::sync::Arc;

use model::address::EndpointAddr;
use model::flow::{FlowReason, HttpVersion};
use model::request::HttpRequest;
use model::route::{BackendTarget, Cors, Filter, RouteMatch, RouteRule, RouteTable};
use model::service::{AppProtocol, Backend, GatewayPort, Listener, ListenerProtocol};
use model::tls::KeyPair;

use crate::addressed::{Addressing, Place};
use crate::flow::Flow;
use crate::parsed::{Message, Parsed};
use crate::refusal::Refusal;
use crate::tls::Secured;
use crate::worker::Worker;

/// What the stages decide by, for one message.
#[derive(Clone, Copy)]
pub(crate) struct Context<'c> {
    pub(crate) worker: &'c Worker,
    pub(crate) ends: &'c Addressing,
    /// Fixed for all tries of a message, so that they go to one backend.
    pub(crate) random: u64,
    /// Endpoints that failed.
    pub(crate) tried: &'c [EndpointAddr],
    /// Why: what is said where there is no other.
    pub(crate) why: FlowReason,
    /// They may be tried again where there is no other.
    pub(crate) repeats: bool,
    /// The client's address as text, for `X-Forwarded-For`.
    pub(crate) client: &'c str,
    /// What the client speaks.
    pub(crate) version: HttpVersion,
    /// Where it came by TLS.
    pub(crate) secured: Option<&'c Secured>,
}

impl Context<'_> {
    /// The scheme that the client asked by.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.secured.is_some_and(Secured::is_terminated) { "https" } else { "http" }
    }
}

/// A message with a destination.
#[derive(Clone, Copy)]
pub(crate) struct Routed<'r> {
    pub(crate) message: Message<'r>,
    pub(crate) to: To<'r>,
    pub(crate) route: Option<Route<'r>>,
    /// What the Gateway presents to endpoints that speak TLS.
    pub(crate) certificate: Option<&'r Arc<KeyPair>>,
}

/// Where a message is to go.
#[derive(Clone, Copy)]
pub(crate) enum To<'r> {
    /// To one of the endpoints of a Service port.
    Service(&'r Backend),
    /// To its original destination.
    Address(EndpointAddr),
}

/// The route taken.
#[derive(Clone, Copy)]
pub(crate) struct Route<'r> {
    pub(crate) matched: &'r Arc<RouteMatch>,
    /// The backend reference chosen, by its place in the rule.
    pub(crate) backend: usize,
}

impl<'r> Route<'r> {
    /// Whether the match is for the method CONNECT and says so.
    pub(crate) fn names_connect(self) -> bool {
        self.matched.method.as_deref() == Some("CONNECT")
    }

    /// Filters of the rule, then of the backend reference.
    pub(crate) fn filters(&self) -> impl Iterator<Item = &'r Filter> + use<'r> {
        let rule = &self.matched.rule;
        let own = rule.backends.get(self.backend).map_or(&[][..], |backend| &backend.filters);
        rule.filters.iter().chain(own)
    }
}

impl Routed<'_> {
    /// In which version of HTTP its endpoint is spoken to. What the Service or the route says comes
    /// first: HTTP/2 for `kubernetes.io/h2c` and GRPCRoutes. gRPC from an HTTP/2 client stays in
    /// it, whatever else is said: it knows no other. Where nothing is said and no Gateway is in
    /// between, what the client speaks is what it expects its endpoint to speak; websocket, which
    /// few servers know in HTTP/2, goes out as an upgrade all the same. All else is HTTP/1.1.
    pub(crate) fn version(&self, context: &Context<'_>) -> HttpVersion {
        let Message::Request(request) = self.message else { return HttpVersion::Http1 };
        let said = match self.to {
            To::Service(backend) => backend.protocol,
            To::Address(_) => AppProtocol::Unspecified,
        };
        let by_route = self.route.is_some_and(|route| route.matched.rule.grpc);
        if said == AppProtocol::H2c || by_route {
            return HttpVersion::Http2;
        }
        if context.version == HttpVersion::Http1 || request.upgrades() {
            return HttpVersion::Http1;
        }
        let is_gateway = matches!(context.ends.place, Place::Gateway(_));
        if request.is_grpc() || (said == AppProtocol::Unspecified && !is_gateway) {
            HttpVersion::Http2
        } else {
            HttpVersion::Http1
        }
    }
}

impl<'r> Parsed<'r> {
    /// Finds the destination.
    ///
    /// # Errors
    /// There is none, or the route answers by itself: what to answer.
    pub(crate) fn route(self, context: &Context<'r>, flow: &mut Flow) -> Result<Routed<'r>, Refusal> {
        let message = self.message;
        let plain = |to| Ok(Routed { message, to, route: None, certificate: None });
        let no_route = || Refusal::new(404, FlowReason::NoRoute);
        let no_backend = || Refusal::new(503, FlowReason::NoEndpoint);
        match (&context.ends.place, message) {
            (Place::Direct(address), _) => plain(To::Address(*address)),
            (Place::Service(frontend, backend), Message::Request(request)) => match &frontend.routes {
                Some(routes) => by_table(routes, message, &request.view(), context, flow),
                None => plain(To::Service(backend.as_ref().ok_or_else(no_backend)?)),
            },
            (Place::Service(_, backend), Message::Bytes) => {
                plain(To::Service(backend.as_ref().ok_or_else(no_backend)?))
            }
            (Place::Gateway(gateway), Message::Request(request)) => {
                let view = request.view();
                let listener = match context.secured {
                    Some(secured) => secured.listener(gateway, view.host())?,
                    // What a listener serves by TLS it does not serve in the clear.
                    None => route::listener(gateway, view.host())
                        .filter(|listener| listener.server_tls().is_none())
                        .ok_or_else(no_route)?,
                };
                let routes = listener.http_routes().ok_or_else(no_route)?;
                let routed = by_table(routes, message, &view, context, flow)?;
                Ok(Routed { certificate: listener.backend_certificate.as_ref(), ..routed })
            }
            (Place::Gateway(gateway), Message::Bytes) => {
                let (listener, rule) = match context.secured {
                    Some(secured) => secured.rule(gateway)?,
                    None => tcp(gateway).ok_or_else(no_route)?,
                };
                let routed = by_rule(rule, message, context, flow)?;
                Ok(Routed { certificate: listener.backend_certificate.as_ref(), ..routed })
            }
            (Place::Nothing, _) => Err(no_route()),
        }
    }
}

fn by_table<'r>(
    table: &'r RouteTable,
    message: Message<'r>,
    view: &HttpRequest<'_>,
    context: &Context<'r>,
    flow: &mut Flow,
) -> Result<Routed<'r>, Refusal> {
    let matched = route::find(table, view).ok_or_else(|| Refusal::new(404, FlowReason::NoRoute))?;
    let rule = &matched.rule;
    flow.routed(rule);
    let cors = rule.filters.iter().find_map(cors);
    let preflight = |cors| {
        let (status, fields) = route::preflight(cors, view)?;
        Some(Refusal::answered(status).with_fields(fields))
    };
    if let Some(answer) = cors.and_then(preflight) {
        return Err(answer);
    }
    let told = |refusal: Refusal| match cors {
        Some(cors) => refusal.with_fields(route::cors_headers(cors, view)),
        None => refusal,
    };
    let redirect = rule.filters.iter().find_map(|filter| match filter {
        Filter::Redirect(redirect) => Some(redirect),
        _ => None,
    });
    if let Some(redirect) = redirect {
        let (status, location) =
            route::redirect(redirect, matched, view, context.scheme(), context.ends.original.port());
        return Err(told(Refusal::redirect(status, location)));
    }
    let (to, backend) = to_backend(rule, context).map_err(told)?;
    let route = Route { matched, backend };
    // Where the rule has none, that of the backend chosen counts.
    match route.filters().find_map(self::cors).filter(|_| cors.is_none()).and_then(preflight) {
        Some(answer) => Err(answer),
        None => Ok(Routed { message, to, route: Some(route), certificate: None }),
    }
}

/// Follows the rule of a TCPRoute, TLSRoute or UDPRoute.
///
/// # Errors
/// It leads nowhere: how to refuse.
pub(crate) fn by_rule<'r>(
    rule: &'r Arc<RouteRule>,
    message: Message<'r>,
    context: &Context<'r>,
    flow: &mut Flow,
) -> Result<Routed<'r>, Refusal> {
    flow.routed(rule);
    let (to, _) = to_backend(rule, context)?;
    Ok(Routed { message, to, route: None, certificate: None })
}

/// The rule of a TCP listener, which is alone on its port.
fn tcp(port: &GatewayPort) -> Option<(&Arc<Listener>, &Arc<RouteRule>)> {
    port.listeners.iter().find_map(|listener| match &listener.protocol {
        ListenerProtocol::Tcp(rule) => Some((listener, rule.as_ref()?)),
        _ => None,
    })
}

/// One of the rule's backends by weight, with its place among them.
fn to_backend<'r>(rule: &'r RouteRule, context: &Context<'r>) -> Result<(To<'r>, usize), Refusal> {
    let invalid = || Refusal::new(500, FlowReason::InvalidBackend);
    let chosen = balance::backend(&rule.backends, context.random).ok_or_else(invalid)?;
    let backend = rule.backends.iter().position(|b| std::ptr::eq(b, chosen)).unwrap_or_default();
    let BackendTarget::Service(id) = &chosen.target else { return Err(invalid()) };
    let service = context.ends.view.backends.get(id).ok_or_else(invalid)?;
    Ok((To::Service(service), backend))
}

impl Routed<'_> {
    /// What the answer tells a browser of another origin; nothing where no filter says so.
    pub(crate) fn cors(&self) -> Vec<route::Header<'static>> {
        let cors = self.route.iter().flat_map(|route| route.filters()).find_map(cors);
        match (cors, self.message) {
            (Some(cors), Message::Request(request)) => route::cors_headers(cors, &request.view()),
            _ => Vec::new(),
        }
    }
}

fn cors(filter: &Filter) -> Option<&Cors> {
    match filter {
        Filter::Cors(cors) => Some(cors),
        _ => None,
    }
}
