//! Stage 5. An endpoint is picked.

use model::address::EndpointAddr;
use model::flow::FlowReason;
use model::service::Endpoint;

use crate::addressed::Party;
use crate::flow::Flow;
use crate::parsed::Message;
use crate::refusal::Refusal;
use crate::routed::{Context, Route, Routed, To};

/// A message with an endpoint, which policy has not judged yet.
#[derive(Clone, Copy)]
pub(crate) struct Picked<'r> {
    pub(crate) message: Message<'r>,
    pub(crate) route: Option<Route<'r>>,
    pub(crate) endpoint: Party<'r>,
}

impl<'r> Routed<'r> {
    /// Picks the less loaded of two random endpoints that are ready and were not tried before.
    ///
    /// # Errors
    /// There is none: what to answer.
    pub(crate) fn pick(self, context: &Context<'r>, flow: &mut Flow) -> Result<Picked<'r>, Refusal> {
        let picked = self.pick_mirror(context)?;
        flow.chose(&picked.endpoint);
        Ok(picked)
    }

    /// The same for a copy of the message, which has no flow record.
    pub(crate) fn pick_mirror(self, context: &Context<'r>) -> Result<Picked<'r>, Refusal> {
        let endpoint = Party::of(&context.ends.view, self.endpoint(context)?);
        Ok(Picked { message: self.message, route: self.route, endpoint })
    }

    fn endpoint(&self, context: &Context<'_>) -> Result<EndpointAddr, Refusal> {
        let worker = context.worker;
        match self.to {
            To::Address(address) if context.tried.contains(&address) => {
                Err(Refusal::new(503, FlowReason::ConnectFailed))
            }
            To::Address(address) => Ok(address),
            To::Service(backend) => {
                let load = |endpoint| worker.upstreams.load(endpoint);
                let random = worker.random();
                // Of the client's family where there are some: its address can be kept only there.
                let is_v4 = context.ends.source.client.ip().is_ipv4();
                let alike =
                    |e: &Endpoint| e.address.ip().is_ipv4() == is_v4 && !context.tried.contains(&e.address);
                let picked = balance::endpoint_among(backend, load, random, alike)
                    .or_else(|| balance::endpoint(backend, load, random, context.tried));
                match picked {
                    Some(endpoint) => Ok(endpoint.address),
                    None if context.tried.is_empty() => Err(Refusal::new(503, FlowReason::NoEndpoint)),
                    None => Err(Refusal::new(503, FlowReason::ConnectFailed)),
                }
            }
        }
    }
}
