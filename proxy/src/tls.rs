//! TLS at both ends: what a client on a Gateway's TLS port wants, the handshakes with clients and
//! with endpoints, and the byte stream that comes of each.
//!
//! ```text
//! ClientHello ─► server name ─► listener ─┬─ HTTPS: handshake ─► requests
//!   (read, not yet answered)              ├─ TLS, Terminate: handshake ─► the bytes inside
//!                                         └─ TLS, Passthrough: the bytes as they are
//! ```
//!
//! A client that no listener or route is for is closed without a word of TLS: its name could not
//! be known to anybody here.

mod configs;
mod enter;
mod origin;
mod seldom;
mod stream;

use std::sync::Arc;

use model::flow::FlowReason;
use model::route::{BackendTarget, RouteRule};
use model::service::{GatewayPort, Listener, ListenerProtocol};

pub(crate) use configs::Configs;
pub(crate) use enter::{Carries, enter};
pub(crate) use origin::{handshake, identity, is_failure};
pub(crate) use stream::TlsStream;

use crate::refusal::Refusal;

/// What a connection to a TLS port showed of itself.
#[derive(Debug)]
pub(crate) struct Secured {
    /// The server name asked for.
    sni: Option<Box<str>>,
    /// The listener that took it, as it was then.
    listener: Arc<Listener>,
    /// TLS ends here; if not, the bytes of TLS are what is forwarded.
    terminated: bool,
}

impl Secured {
    /// Whether what is read of it came by TLS.
    pub(crate) fn is_terminated(&self) -> bool {
        self.terminated
    }

    /// The listener that a request is for: that of its host, if its connection's name leads there
    /// too.
    ///
    /// # Errors
    /// 404 where the host has no listener; 421 where it is another's, or where clients have to
    /// show other certificates by now: the client is to open another connection.
    pub(crate) fn listener<'p>(
        &self,
        port: &'p GatewayPort,
        host: &str,
    ) -> Result<&'p Arc<Listener>, Refusal> {
        let asked = route::listener(port, host).ok_or_else(|| Refusal::new(404, FlowReason::NoRoute))?;
        let own = self.own(port).filter(|own| Arc::ptr_eq(own, asked) && self.is_as_met(own));
        own.ok_or_else(|| Refusal::new(421, FlowReason::Misdirected))
    }

    /// The rule that a connection of bytes goes by, with its listener.
    ///
    /// # Errors
    /// There is none (any more).
    pub(crate) fn rule<'p>(
        &self,
        port: &'p GatewayPort,
    ) -> Result<(&'p Arc<Listener>, &'p Arc<RouteRule>), Refusal> {
        let own = self.own(port).filter(|own| self.is_as_met(own));
        let rule = own.and_then(|own| Some((own, rule(own, self.sni.as_deref())?)));
        rule.ok_or_else(|| Refusal::new(0, FlowReason::NoRoute))
    }

    fn own<'p>(&self, port: &'p GatewayPort) -> Option<&'p Arc<Listener>> {
        route::listener(port, self.sni.as_deref().unwrap_or_default())
    }

    /// Whether a listener would have met the client in the same way. A new certificate of the
    /// listener's own changes nothing for connections that are there.
    fn is_as_met(&self, now: &Arc<Listener>) -> bool {
        if Arc::ptr_eq(now, &self.listener) {
            return true;
        }
        match (now.server_tls(), self.listener.server_tls()) {
            (Some(now), Some(then)) => Arc::ptr_eq(now, then) || now.client == then.client,
            (None, None) => true,
            _ => false,
        }
    }
}

/// The rule for a server name at a listener that forwards bytes, if one of its backends is valid.
fn rule<'p>(listener: &'p Listener, sni: Option<&str>) -> Option<&'p Arc<RouteRule>> {
    let table = match &listener.protocol {
        ListenerProtocol::TlsPassthrough(table) => table,
        ListenerProtocol::TlsTerminate { routes, .. } => routes,
        _ => return None,
    };
    let leads = |rule: &&Arc<RouteRule>| {
        rule.backends.iter().any(|b| b.weight > 0 && matches!(b.target, BackendTarget::Service(_)))
    };
    route::sni(table, sni).filter(leads)
}
