//! Finds the devices of this node's pods, from a thread of its own because a pod on a bridge may
//! be slow to answer.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use redirect::Device;
use rustix::net::{AddressFamily, SocketType, netdevice};

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The host end of the veth behind which each address is.
    pub(crate) devices: HashMap<IpAddr, Device>,
    /// The addresses of the node's own devices.
    pub(crate) node_addresses: Vec<IpAddr>,
}

/// The thread's other end.
#[derive(Debug)]
pub(crate) struct Finder {
    wanted: Sender<HashSet<IpAddr>>,
    last: HashSet<IpAddr>,
}

impl Finder {
    /// Starts looking; `report` is called with each change.
    ///
    /// What was `found` before is not asked for again while its device is there.
    pub(crate) fn start(found: Found, report: impl Fn(Found) + Send + 'static) -> Result<Self> {
        let (wanted, inbox) = channel();
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
        let search = Search { socket, wanted: HashSet::new(), found };
        thread::Builder::new().name("finder".into()).spawn(move || search.run(&inbox, report))?;
        Ok(Self { wanted, last: HashSet::new() })
    }

    /// Looks for these addresses from now on.
    pub(crate) fn want(&mut self, addresses: HashSet<IpAddr>) {
        if addresses != self.last {
            self.last.clone_from(&addresses);
            // The thread ends with this value only.
            self.wanted.send(addresses).unwrap_or_default();
        }
    }
}

/// Looks for all addresses once, and waits for it. Those whose devices are `pinned` stay there.
pub(crate) fn find_now(addresses: &HashSet<IpAddr>, pinned: &HashMap<IpAddr, Device>) -> Found {
    let mut found = Found { node_addresses: node_addresses(), ..Found::default() };
    let addresses: Vec<IpAddr> = addresses.iter().copied().collect();
    let share = addresses.len().div_ceil(AT_ONCE).max(1);
    let look = |ip: &IpAddr| Some((*ip, redirect::discover_again(*ip, pinned.get(ip)).ok()?));
    thread::scope(|scope| {
        let part = |part: &[IpAddr]| part.iter().filter_map(look).collect::<Vec<_>>();
        let searches: Vec<_> =
            addresses.chunks(share).map(|addresses| scope.spawn(move || part(addresses))).collect();
        for search in searches {
            found.devices.extend(search.join().unwrap_or_default());
        }
    });
    found
}

struct Search {
    /// Any socket, to ask for device numbers by.
    socket: OwnedFd,
    wanted: HashSet<IpAddr>,
    found: Found,
}

impl Search {
    fn run(mut self, inbox: &Receiver<HashSet<IpAddr>>, report: impl Fn(Found)) {
        let mut look_again = Instant::now();
        loop {
            match inbox.recv_timeout(CHECK) {
                Ok(wanted) => {
                    self.wanted = wanted;
                    look_again = Instant::now();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let before = self.found.clone();
            self.forget_changed();
            if Instant::now() >= look_again {
                self.look();
                look_again = Instant::now() + LOOK;
            }
            if self.found != before {
                report(self.found.clone());
            }
        }
    }

    /// A device that went, or was made anew under the same name, is found again.
    fn forget_changed(&mut self) {
        let (socket, wanted) = (self.socket.as_fd(), &self.wanted);
        let mut again = Vec::new();
        self.found.devices.retain(|ip, device| {
            let now = netdevice::name_to_index(socket, &device.name);
            let same = now.is_ok_and(|index| index == device.ifindex);
            if !same {
                again.push(*ip);
            }
            same && wanted.contains(ip)
        });
        again.retain(|ip| wanted.contains(ip));
        for ip in again {
            self.look_for(ip);
        }
    }

    fn look(&mut self) {
        self.found.node_addresses = node_addresses();
        let missing = self.wanted.iter().filter(|ip| !self.found.devices.contains_key(ip));
        for ip in missing.copied().collect::<Vec<_>>() {
            self.look_for(ip);
        }
    }

    fn look_for(&mut self, ip: IpAddr) {
        match redirect::discover(ip) {
            Ok(device) => {
                self.found.devices.insert(ip, device);
            }
            Err(why) => tracing::trace!("{why}"),
        }
    }
}

fn node_addresses() -> Vec<IpAddr> {
    match redirect::discover::node_addresses() {
        Ok(mut addresses) => {
            addresses.sort_unstable();
            addresses.dedup();
            addresses
        }
        Err(error) => {
            tracing::warn!(%error, "the node's own addresses cannot be read");
            Vec::new()
        }
    }
}

/// How often known devices are looked at: one system call each.
const CHECK: Duration = Duration::from_millis(250);
/// How often addresses without a device are looked for.
const LOOK: Duration = Duration::from_secs(1);
/// Addresses looked for at a time: one that does not answer keeps others waiting.
const AT_ONCE: usize = 32;
