//! What is under way, counted for as long as it lives.

use std::rc::Rc;

use model::address::EndpointAddr;

use super::service::Pending;
use super::{EndpointState, Service, Unfit};

/// Where a message goes: an endpoint, and the Service port that leads there.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) endpoint: Rc<EndpointState>,
    /// `None`: the client named the endpoint itself; nothing is limited.
    pub(crate) service: Option<Rc<Service>>,
    /// It is a copy for a mirror.
    pub(crate) is_copy: bool,
}

impl Target {
    /// The endpoint itself.
    pub(crate) fn address(&self) -> EndpointAddr {
        self.endpoint.address
    }

    /// Counts a message.
    pub(crate) fn load(&self) -> Load {
        self.endpoint.requests.add(self.is_copy);
        if let Some(service) = &self.service {
            service.requests.add(self.is_copy);
        }
        Load { target: self.clone(), wakes: true }
    }

    /// Counts a connection to be opened. `evict` closes an idle connection that is charged as it
    /// is told and says whether there was one.
    ///
    /// # Errors
    /// There are as many connections as there may be, or too many requests wait for one.
    pub(crate) fn charge(&self, evict: impl Fn(&dyn Fn(&Charge) -> bool) -> bool) -> Result<Charge, Unfit> {
        if let Some(service) = &self.service {
            let caps = service.caps();
            let is_full = self.endpoint.connections.is_full(caps.endpoint_connections, self.is_copy);
            let same_endpoint = |charge: &Charge| Rc::ptr_eq(&charge.0.endpoint, &self.endpoint);
            if is_full && !(self.endpoint.idle.get() > 0 && evict(&same_endpoint)) {
                return Err(Unfit::Endpoints);
            }
            let is_full = service.connections.is_full(caps.connections, self.is_copy);
            let same_service =
                |charge: &Charge| charge.0.service.as_ref().is_some_and(|s| Rc::ptr_eq(s, service));
            if is_full && !(service.idle.get() > 0 && evict(&same_service)) {
                return Err(Unfit::Connections);
            }
            // One may always be under way, or no connection could ever be opened.
            if service.pending.get() >= caps.pending.max(1) {
                return Err(Unfit::Pending);
            }
            service.connections.add(self.is_copy);
        }
        self.endpoint.connections.add(self.is_copy);
        Ok(Charge(self.clone()))
    }
}

impl Target {
    /// Counts a message that waits for a connection that is opened for another and that it can share.
    /// A copy for a mirror is not counted: it takes nobody's place.
    ///
    /// # Errors
    /// As many wait as may.
    pub(crate) fn wait(&self) -> Result<Option<Pending>, Unfit> {
        let Some(service) = &self.service else { return Ok(None) };
        if service.pending.get() >= service.caps().pending.max(1) {
            return Err(Unfit::Pending);
        }
        Ok((!self.is_copy).then(|| service.wait()))
    }
}

/// A message under way; it counts until this is dropped.
#[derive(Debug)]
pub(crate) struct Load {
    target: Target,
    /// Its end is room for another.
    wakes: bool,
}

impl Load {
    /// Where it is under way.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// It found no room: the place it gives back is none, and those who wait would wake each other
    /// for nothing, time and again.
    pub(crate) fn forgo(mut self) {
        self.wakes = false;
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let Target { endpoint, service, is_copy } = &self.target;
        endpoint.requests.sub(*is_copy);
        if let Some(service) = service {
            service.requests.sub(*is_copy);
            if self.wakes {
                service.wake();
            }
        }
    }
}

/// An open connection; it counts until this is dropped, idle or not.
#[derive(Debug)]
pub(crate) struct Charge(Target);

impl Charge {
    /// Whose connection it is.
    #[cfg(test)]
    pub(crate) fn target(&self) -> &Target {
        &self.0
    }

    /// Whether another message could be in want of the place that this connection takes.
    pub(crate) fn is_bounded_copy(&self) -> bool {
        self.0.is_copy && self.0.service.as_ref().is_some_and(|service| service.bounds_connections())
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.0.endpoint.connections.sub(self.0.is_copy);
        if let Some(service) = &self.0.service {
            service.connections.sub(self.0.is_copy);
            service.wake();
        }
    }
}

/// The charge of a connection that could take a request at once: it is idle.
#[derive(Debug)]
pub(crate) struct Parked(Option<Charge>);

impl Parked {
    pub(crate) fn new(charge: Charge) -> Self {
        let Target { endpoint, service, .. } = &charge.0;
        endpoint.idle.set(endpoint.idle.get() + 1);
        if let Some(service) = service {
            service.idle.set(service.idle.get() + 1);
            service.wake();
        }
        Self(Some(charge))
    }

    /// Whose connection it is; none once it is taken.
    pub(crate) fn charge(&self) -> Option<&Charge> {
        self.0.as_ref()
    }

    /// The connection is used.
    pub(crate) fn take(mut self) -> Option<Charge> {
        self.leave()
    }

    fn leave(&mut self) -> Option<Charge> {
        let charge = self.0.take()?;
        let Target { endpoint, service, .. } = &charge.0;
        endpoint.idle.set(endpoint.idle.get().saturating_sub(1));
        if let Some(service) = service {
            service.idle.set(service.idle.get().saturating_sub(1));
        }
        Some(charge)
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.leave();
    }
}
