//! Stage 4. A message is routed: to a Service by a route, or to where it was going anyway.

use std::sync::Arc;

use model::address::EndpointAddr;
use model::flow::FlowReason;
use model::request::HttpRequest;
use model::route::{BackendTarget, Filter, RouteMatch, RouteTable};
use model::service::Backend;

use crate::addressed::{Addressing, Place};
use crate::flow::Flow;
use crate::parsed::{Message, Parsed};
use crate::refusal::Refusal;
use crate::worker::Worker;

/// What the stages decide by, for one message.
#[derive(Clone, Copy)]
pub(crate) struct Context<'c> {
    pub(crate) worker: &'c Worker,
    pub(crate) ends: &'c Addressing,
    /// Fixed for all tries of a message, so that they go to one backend.
    pub(crate) random: u64,
    /// Endpoints that did not accept a connection.
    pub(crate) tried: &'c [EndpointAddr],
    /// The client's address as text, for `X-Forwarded-For`.
    pub(crate) client: &'c str,
}

/// A message with a destination.
#[derive(Clone, Copy)]
pub(crate) struct Routed<'r> {
    pub(crate) message: Message<'r>,
    pub(crate) to: To<'r>,
    pub(crate) route: Option<Route<'r>>,
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
    /// Filters of the rule, then of the backend reference.
    pub(crate) fn filters(&self) -> impl Iterator<Item = &'r Filter> + use<'r> {
        let rule = &self.matched.rule;
        let own = rule.backends.get(self.backend).map_or(&[][..], |backend| &backend.filters);
        rule.filters.iter().chain(own)
    }
}

impl<'r> Parsed<'r> {
    /// Finds the destination.
    ///
    /// # Errors
    /// There is none, or the route answers by itself: what to answer.
    pub(crate) fn route(self, context: &Context<'r>, flow: &mut Flow) -> Result<Routed<'r>, Refusal> {
        let message = self.message;
        let plain = |to| Ok(Routed { message, to, route: None });
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
                let listener = route::listener(gateway, view.host());
                let listener = listener.ok_or_else(|| Refusal::new(404, FlowReason::NoRoute))?;
                let routes = listener.http_routes().ok_or_else(|| Refusal::new(404, FlowReason::NoRoute))?;
                by_table(routes, message, &view, context, flow)
            }
            (Place::Gateway(_) | Place::Nothing, _) => Err(Refusal::new(404, FlowReason::NoRoute)),
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
    let redirect = rule.filters.iter().find_map(|filter| match filter {
        Filter::Redirect(redirect) => Some(redirect),
        _ => None,
    });
    if let Some(redirect) = redirect {
        let (status, location) =
            route::redirect(redirect, matched, view, "http", context.ends.original.port());
        return Err(Refusal::redirect(status, location));
    }
    let invalid = || Refusal::new(500, FlowReason::InvalidBackend);
    let chosen = balance::backend(&rule.backends, context.random).ok_or_else(invalid)?;
    let backend = rule.backends.iter().position(|b| std::ptr::eq(b, chosen)).unwrap_or_default();
    let BackendTarget::Service(id) = &chosen.target else { return Err(invalid()) };
    let service = context.ends.view.backends.get(id).ok_or_else(invalid)?;
    let route = Some(Route { matched, backend });
    Ok(Routed { message, to: To::Service(service), route })
}
