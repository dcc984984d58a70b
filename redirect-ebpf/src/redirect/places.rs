//! Which pod is behind which device: what is told now, and what an earlier state says.
//!
//! On a bridge, what is told rests on answers of pods and on frames that they sent. So a pod stays
//! on the device that carries our programs for it while that device exists; only a route that
//! leads straight to a device says otherwise. A device that no known pod is behind keeps the
//! programs too: closed, not open.

use std::collections::HashMap;

use crate::abi;
use crate::discover::Device;
use crate::error::Error;
use crate::state::{Endpoint, State};

use super::Redirect;

/// A pod's device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) ifindex: u32,
    /// The pod's link-layer address; 0: does not matter.
    pub(super) pod_mac: [u8; 6],
}

/// Where everything is.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// By the endpoint's number.
    pods: HashMap<u32, Place>,
    /// Devices with our programs that no known pod is behind.
    closed: Vec<u32>,
}

impl Places {
    /// Where an endpoint is.
    pub(super) fn of(&self, endpoint: &Endpoint) -> Option<Place> {
        self.pods.get(&endpoint.id).copied()
    }

    /// The devices that no known pod is behind.
    pub(super) fn closed(&self) -> &[u32] {
        &self.closed
    }

    /// All devices; known pods' first.
    pub(super) fn devices(&self) -> impl Iterator<Item = u32> {
        self.pods.values().map(|place| place.ifindex).chain(self.closed.iter().copied())
    }
}

impl Redirect {
    /// Finds the place of each endpoint, and the devices that are left.
    pub(super) fn places(&self, state: &State) -> Result<Places, Error> {
        let mut places = Places::default();
        for endpoint in &state.endpoints {
            if let Some(place) = self.place(endpoint)? {
                places.pods.insert(endpoint.id, place);
            }
        }
        let mut closed = self.links.pod_devices(&self.config.pin_dir)?;
        closed.retain(|ifindex| places.pods.values().all(|place| place.ifindex != *ifindex));
        places.closed = closed;
        Ok(places)
    }

    fn place(&self, endpoint: &Endpoint) -> Result<Option<Place>, Error> {
        let told = endpoint.device.as_ref();
        let mut before = None;
        for address in &endpoint.addresses {
            let written = self.endpoints.written().get(&abi::Address::new(*address));
            if let Some(written) = written.filter(|written| written.ifindex != 0)
                && self.links.holds(written.ifindex)?
            {
                before = Some(written.ifindex);
                break;
            }
        }
        let straight = told.filter(|device| device.bridge.is_none());
        let Some(ifindex) = straight.map(|device| device.ifindex).or(before).or(told.map(|d| d.ifindex))
        else {
            return Ok(None);
        };
        if let Some(told) = told.filter(|told| told.ifindex != ifindex) {
            tracing::warn!(
                endpoint = endpoint.id,
                "seen behind {}, but the veth that it had is still there: not moved",
                told.name
            );
        }
        Ok(Some(Place { ifindex, pod_mac: self.pod_mac(ifindex, told, before)? }))
    }

    /// The first that was learnt stays: a pod may answer with another's later.
    fn pod_mac(&self, ifindex: u32, told: Option<&Device>, before: Option<u32>) -> Result<[u8; 6], Error> {
        let known = self.devices.written().get(&ifindex).map(|device| device.pod_mac);
        if let Some(known) = known.filter(|mac| *mac != [0; 6])
            && (before == Some(ifindex) || self.links.holds(ifindex)?)
        {
            return Ok(known);
        }
        Ok(told.filter(|told| told.ifindex == ifindex).and_then(|told| told.pod_mac).unwrap_or_default())
    }
}
