//! Bringing a state into the kernel, in an order in which nothing is open that should not be:
//!
//! 1. what new verdicts need: identities, frontends, policy sets under numbers of their own;
//! 2. endpoints, each pointed to its set with one write;
//! 3. devices, then the programs on them;
//! 4. what nothing refers to any longer is removed;
//! 5. last the revision: from then on flows that were allowed before are judged again.

use std::collections::{HashMap, HashSet};
use std::io;

use crate::abi;
use crate::attach::Hook;
use crate::bpffs;
use crate::error::Error;
use crate::kernel;
use crate::netlink::{Link, Netlink};
use crate::state::State;

use super::places::Places;
use super::{Redirect, Report, desired, policy};

impl Redirect {
    /// Brings a state into the kernel. Only differences are written, to what this process or one
    /// before has written. Flows that the new state does not allow stop with their next packet.
    ///
    /// A pod whose entries find no room is closed in the directions that are enforced, and a pod
    /// without a device is not enforced for what it sends; both are in the report. A pod on a
    /// bridge stays behind the veth that has our programs for it while that exists, and one that
    /// is not a pod's any more is closed.
    ///
    /// # Errors
    /// What could not be written. Nothing is more open than before; apply again.
    pub fn apply(&mut self, state: &State) -> Result<Report, Error> {
        let mut report = Report::default();
        let (links, addresses) = look_around()?;
        let uplinks = self.find_uplinks(&links, &mut report);
        let places = self.places(state)?;

        let node = addresses.iter().map(|ip| (abi::Address::new(*ip), 0)).collect();
        let identities = desired::identities(state);
        let frontends = desired::frontends(state, &addresses);
        self.node.put_all(&node)?;
        self.dirty |= self.identities.put_all(&identities)?;
        self.dirty |= self.frontends.put_all(&frontends)?;
        let endpoints = self.place_policy(state, &places, &mut report)?;
        self.dirty |= self.endpoints.put_all(&endpoints)?;
        let devices = self.write_devices(state, &places, &links, &uplinks)?;
        let mut hooks = desired::hooks(&places, &uplinks);
        self.write_settings(false)?;
        self.links.attach_namespace(&self.programs)?;
        self.attach(&owners(state, &places), &links, &mut hooks, &mut report);
        self.replace_other_layouts()?;

        self.links.retain(&hooks.into_iter().collect())?;
        self.node.retain(|address| node.contains_key(address))?;
        self.devices.retain(|ifindex| devices.contains_key(ifindex))?;
        self.dirty |= self.endpoints.retain(|key| endpoints.contains_key(key))?;
        let used: HashSet<u32> = endpoints.values().map(|value| value.policy).collect();
        self.policy.retain(&used)?;
        self.dirty |= self.identities.retain(|key| identities.contains_key(key))?;
        self.dirty |= self.frontends.retain(|key| frontends.contains_key(key))?;
        report.revision = self.write_settings(self.dirty)?;
        self.dirty = false;
        Ok(report)
    }

    /// Indices of the uplinks.
    fn find_uplinks(&self, links: &[Link], report: &mut Report) -> Vec<u32> {
        let mut found = Vec::new();
        for name in &self.config.uplinks {
            match links.iter().find(|link| link.name == *name) {
                Some(link) => found.push(link.index),
                None => report.uplinks.push((name.clone(), "there is no such device".to_owned())),
            }
        }
        found
    }

    /// Writes the policy sets; returns the endpoints that point to them.
    fn place_policy(
        &mut self,
        state: &State,
        places: &Places,
        report: &mut Report,
    ) -> Result<HashMap<abi::Address, abi::Endpoint>, Error> {
        let current: HashMap<u32, u32> =
            self.endpoints.written().values().map(|value| (value.id, value.policy)).collect();
        let mut endpoints = HashMap::new();
        for endpoint in &state.endpoints {
            let mut flags = desired::flags(endpoint);
            let entries = policy::entries(&endpoint.policy);
            let set = match self.policy.place(current.get(&endpoint.id).copied(), entries) {
                Ok(set) => set,
                Err(error) => {
                    report.problems.push((endpoint.id, format!("closed where it is enforced: {error}")));
                    flags = closed(flags);
                    0
                }
            };
            let place = places.of(endpoint);
            if place.is_none() {
                let why = "its veth is not known: what it sends is not judged";
                report.problems.push((endpoint.id, why.to_owned()));
            }
            for address in &endpoint.addresses {
                endpoints.insert(
                    abi::Address::new(*address),
                    abi::Endpoint {
                        id: endpoint.id,
                        policy: set,
                        ifindex: place.map_or(0, |place| place.ifindex),
                        flags,
                    },
                );
            }
        }
        Ok(endpoints)
    }

    fn write_devices(
        &mut self,
        state: &State,
        places: &Places,
        links: &[Link],
        uplinks: &[u32],
    ) -> Result<HashMap<u32, abi::Device>, Error> {
        const CLOSED: u32 = abi::INGRESS_CLOSED | abi::EGRESS_CLOSED;
        let mut wanted: HashMap<u32, (u32, [u8; 6])> =
            uplinks.iter().map(|index| (*index, (0, [0; 6]))).collect();
        wanted.extend(places.closed().iter().map(|index| (*index, (CLOSED, [0; 6]))));
        for endpoint in &state.endpoints {
            if let Some(place) = places.of(endpoint) {
                wanted.insert(place.ifindex, (desired::flags(endpoint), place.pod_mac));
            }
        }
        let mut devices = HashMap::new();
        for link in links {
            if let Some((flags, pod_mac)) = wanted.get(&link.index) {
                devices.insert(link.index, desired::device(links, link, *flags, *pod_mac));
            }
        }
        self.devices.put_all(&devices)?;
        Ok(devices)
    }

    /// Attaches the programs. A device that is gone, or cannot have them, is left out and
    /// reported.
    fn attach(
        &mut self,
        owners: &HashMap<u32, u32>,
        links: &[Link],
        hooks: &mut Vec<Hook>,
        report: &mut Report,
    ) {
        let uplink = |ifindex| {
            let link = links.iter().find(|link| link.index == ifindex);
            link.map_or_else(|| ifindex.to_string(), |link| link.name.clone())
        };
        hooks.retain(|hook| {
            let Err(error) = self.links.attach_hook(&self.programs, *hook) else {
                return true;
            };
            match owners.get(&hook.ifindex) {
                Some(endpoint) => {
                    report.problems.push((*endpoint, format!("not enforced on its veth: {error}")));
                }
                None => report.uplinks.push((uplink(hook.ifindex), error.to_string())),
            }
            false
        });
    }

    /// Pins of other layouts have served until now; the programs of this one are in their place.
    fn replace_other_layouts(&self) -> Result<(), Error> {
        for layout in bpffs::other_layouts(&self.config.pin_dir)? {
            bpffs::remove_layout(&layout)?;
        }
        Ok(())
    }

    /// Writes workers, ports and, if asked, the next revision; returns the one in force.
    fn write_settings(&mut self, next: bool) -> Result<u32, Error> {
        let old = self.settings.get(&0, 0).map_err(Error::map("config", "read"))?;
        // 0 is what the map holds when it is made.
        let revision = match old.revision {
            0 => 1,
            revision if next => revision.wrapping_add(1).max(1),
            revision => revision,
        };
        let new = abi::Config {
            revision,
            workers: self.config.workers,
            port_first: *self.config.upstream_ports.start(),
            port_last: *self.config.upstream_ports.end(),
            share: kernel::share(self.config.flows),
        };
        if new != old {
            self.settings.set(0, new, 0).map_err(Error::map("config", "write"))?;
        }
        Ok(revision)
    }
}

/// The endpoint behind each device.
fn owners(state: &State, places: &Places) -> HashMap<u32, u32> {
    let pods = state.endpoints.iter();
    pods.filter_map(|endpoint| Some((places.of(endpoint)?.ifindex, endpoint.id))).collect()
}

/// Closed instead of enforced.
fn closed(flags: u32) -> u32 {
    let mut closed = flags;
    if flags & abi::INGRESS_ENFORCED != 0 {
        closed |= abi::INGRESS_CLOSED;
    }
    if flags & abi::EGRESS_ENFORCED != 0 {
        closed |= abi::EGRESS_CLOSED;
    }
    closed
}

/// The devices of this namespace and their addresses.
fn look_around() -> Result<(Vec<Link>, Vec<std::net::IpAddr>), Error> {
    let ask = || -> io::Result<_> {
        let netlink = Netlink::new()?;
        Ok((netlink.links()?, netlink.addresses()?))
    };
    ask().map_err(|cause| Error::Netlink { action: "list devices and addresses".to_owned(), cause })
}
