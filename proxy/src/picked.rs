//! Stage 5. An endpoint is picked.

use std::rc::Rc;
use std::sync::Arc;

use model::address::EndpointAddr;
use model::flow::{FlowReason, HttpVersion};
use model::service::Backend;
use model::tls::{KeyPair, UpstreamSecurity};

use crate::addressed::Party;
use crate::flow::Flow;
use crate::parsed::Message;
use crate::refusal::{Refusal, Unsent};
use crate::resilience::{Ask, Service, Target, Unfit};
use crate::routed::{Context, Route, Routed, To};

/// A message with an endpoint, which policy has not judged yet.
#[derive(Clone)]
pub(crate) struct Picked<'r> {
    pub(crate) message: Message<'r>,
    pub(crate) route: Option<Route<'r>>,
    pub(crate) endpoint: Party<'r>,
    pub(crate) target: Target,
    /// What the endpoint is spoken to in.
    pub(crate) version: HttpVersion,
    /// Whether what comes through a Gateway is encrypted on its way to it.
    pub(crate) security: Option<&'r UpstreamSecurity>,
    /// What the Gateway presents to it then.
    pub(crate) certificate: Option<&'r Arc<KeyPair>>,
}

impl<'r> Routed<'r> {
    /// Picks an endpoint that is ready, near, not ejected, not full and not tried before, by the
    /// Service's algorithm.
    ///
    /// # Errors
    /// There is none: what to answer.
    pub(crate) fn pick(self, context: &Context<'r>, flow: &mut Flow) -> Result<Picked<'r>, Refusal> {
        if let To::Service(backend) = self.to {
            flow.service = Some(backend.id);
        }
        let picked = self.pick_for(context, false).map_err(|unfit| refusal(unfit, context))?;
        flow.chose(&picked.endpoint);
        Ok(picked)
    }

    /// The same for a copy of the message, which has no flow record and leaves what room there is
    /// to messages. `None`: it is not sent.
    pub(crate) fn pick_mirror(self, context: &Context<'r>) -> Option<Picked<'r>> {
        self.pick_for(context, true).ok()
    }

    /// The state of the Service port that it goes to.
    pub(crate) fn service(&self, context: &Context<'r>) -> Option<Rc<Service>> {
        match self.to {
            To::Service(backend) => Some(service(backend, context)),
            To::Address(_) => None,
        }
    }

    fn pick_for(self, context: &Context<'r>, is_copy: bool) -> Result<Picked<'r>, Unfit> {
        let target = match self.to {
            To::Address(address) if is_tried(context, address) => return Err(Unfit::None),
            To::Address(address) => {
                Target { endpoint: context.worker.resilience.endpoint(address), service: None, is_copy }
            }
            To::Service(backend) => {
                let service = service(backend, context);
                let ask = Ask {
                    // Of the client's family where there are some: its address can be kept only there.
                    is_v4: context.ends.source.client.ip().is_ipv4(),
                    random: context.worker.random(),
                    // A copy's endpoints are none of the message's.
                    tried: if is_copy { &[] } else { context.tried },
                    again: context.repeats,
                    is_copy,
                    now: context.worker.clock.coarse(),
                };
                Target { endpoint: service.pick(&ask)?, service: Some(service), is_copy }
            }
        };
        let endpoint = Party::of(&context.ends.view, target.address());
        let version = self.version(context);
        let security = match self.to {
            To::Service(backend) => Some(&backend.security),
            To::Address(_) => None,
        };
        let (message, route, certificate) = (self.message, self.route, self.certificate);
        Ok(Picked { message, route, endpoint, target, version, security, certificate })
    }
}

fn is_tried(context: &Context<'_>, address: EndpointAddr) -> bool {
    context.tried.contains(&address) && !context.repeats
}

fn service(backend: &Backend, context: &Context<'_>) -> Rc<Service> {
    context.worker.resilience.service(backend, &context.ends.view)
}

fn refusal(unfit: Unfit, context: &Context<'_>) -> Refusal {
    let (stats, overloaded) = (&context.worker.stats, Refusal::new(503, FlowReason::Overloaded));
    match unfit {
        Unfit::None if context.tried.is_empty() => Refusal::new(503, FlowReason::NoEndpoint),
        Unfit::None => Refusal::unreachable(context.why),
        Unfit::Requests => {
            stats.breaker_requests.add();
            overloaded
        }
        Unfit::Endpoints | Unfit::Connections | Unfit::Pending => overloaded.unsent(Unsent::Full),
    }
}
