//! The front door: open, give listeners, apply a state, read what happened.

mod apply;
mod desired;
mod places;
mod policy;

use std::ops::RangeInclusive;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use aya::maps::{Map, MapData, RingBuf, SockMap};

use crate::abi;
use crate::attach::{self, Links, Owner};
use crate::bpffs;
use crate::error::Error;
use crate::events::Events;
use crate::kernel::{self, Hash, Identities, Maps, Programs};
use crate::routing;
use crate::table::{Prefix, Table};

use policy::PolicySets;

/// How to redirect.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where programs and maps are pinned. A bpffs is mounted there if it is not on one.
    pub pin_dir: PathBuf,
    /// Workers of the proxy, at most 256; each has a listener for IPv4 and one for IPv6.
    pub workers: u32,
    /// Devices to other nodes and to the world.
    pub uplinks: Vec<String>,
    /// Flows that are remembered of TCP, and as many of the rest, of which each pod has a share. At
    /// 64 bytes and some 60 of overhead each.
    pub flows: u32,
    /// Source ports of the proxy's upstream connections; nobody else on the node should use them.
    pub upstream_ports: RangeInclusive<u16>,
}

impl Config {
    /// The usual configuration: no uplinks, 131,072 flows, upstream ports from 61,000.
    pub fn new(pin_dir: impl Into<PathBuf>, workers: u32) -> Self {
        Self {
            pin_dir: pin_dir.into(),
            workers,
            uplinks: Vec::new(),
            flows: 131_072,
            upstream_ports: 61_000..=u16::MAX,
        }
    }
}

/// Address family of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6; the socket takes no IPv4 connections.
    V6,
}

/// What a listener takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// TCP connections.
    Connections,
    /// UDP.
    Datagrams,
}

/// What [`Redirect::apply`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Number of the policy now in force: higher by one whenever a verdict may have changed.
    pub revision: u32,
    /// Endpoints that are not enforced, or closed instead, with the reason.
    pub problems: Vec<(u32, String)>,
    /// Uplinks that were not found or not attached to, with the reason.
    pub uplinks: Vec<(String, String)>,
}

/// What the programs counted since their maps were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// New flows that were allowed and went their way without the proxy.
    pub forwarded: u64,
    /// New connections that were sent to the proxy.
    pub redirected: u64,
    /// Packets that were dropped.
    pub dropped: u64,
    /// Reports that were lost because nobody read fast enough.
    pub lost: u64,
    /// Fragments of datagrams whose first fragment did not come before them; they are judged
    /// without a port.
    pub orphans: u64,
    /// Flows of other protocols than TCP that had to leave their pod's share for the room that all
    /// pods have in common, where they may be forgotten.
    pub spilled: u64,
}

impl Counters {
    fn read(map: &aya::maps::PerCpuArray<MapData, u64>) -> Result<Self, Error> {
        let sum = |index: u32| -> Result<u64, Error> {
            let values = map.get(&index, 0).map_err(Error::map("counters", "read"))?;
            Ok(values.iter().sum())
        };
        Ok(Self {
            forwarded: sum(abi::COUNTER_FORWARDED)?,
            redirected: sum(abi::COUNTER_REDIRECTED)?,
            dropped: sum(abi::COUNTER_DROPPED)?,
            lost: sum(abi::COUNTER_LOST)?,
            orphans: sum(abi::COUNTER_ORPHANS)?,
            spilled: sum(abi::COUNTER_SPILLED)?,
        })
    }
}

/// Reads the [`Counters`].
pub struct CounterReader(aya::maps::PerCpuArray<MapData, u64>);

impl CounterReader {
    /// What the programs counted.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn read(&self) -> Result<Counters, Error> {
        Counters::read(&self.0)
    }
}

impl std::fmt::Debug for CounterReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CounterReader").finish_non_exhaustive()
    }
}

/// Redirection in the calling thread's network namespace. Dropping it changes nothing: programs
/// and maps stay pinned, and enforced, until [`crate::cleanup()`].
pub struct Redirect {
    config: Config,
    dir: PathBuf,
    mounted: bool,
    /// Whether something that verdicts depend on was written since the revision was raised. A
    /// process before may have left it so.
    dirty: bool,
    programs: Programs,
    links: Links,
    node: Table<Hash<abi::Address, u32>, abi::Address, u32>,
    identities: Table<Identities, Prefix<abi::Address>, u32>,
    endpoints: Table<Hash<abi::Address, abi::Endpoint>, abi::Address, abi::Endpoint>,
    devices: Table<Hash<u32, abi::Device>, u32, abi::Device>,
    frontends: Table<Hash<abi::Frontend, u32>, abi::Frontend, u32>,
    policy: PolicySets,
    listeners: SockMap<MapData>,
    settings: aya::maps::Array<MapData, abi::Config>,
    /// TCP, others within their pod's share, and beyond it.
    flows: [Hash<abi::Tuple, abi::Flow>; 3],
    counters: aya::maps::PerCpuArray<MapData, u64>,
}

impl Redirect {
    /// Loads the programs and installs rule and route. What a process before left pinned, in this
    /// layout, is taken up and goes on enforcing; nothing is attached before the first
    /// [`Redirect::apply`].
    ///
    /// # Errors
    /// What is missing; [`crate::preflight()`] tells it more clearly. [`Error::OtherNamespace`]:
    /// the pins are another node's.
    pub fn open(config: Config) -> Result<Self, Error> {
        if config.workers == 0 || config.workers > MAX_WORKERS {
            return Err(Error::Worker { worker: config.workers, workers: MAX_WORKERS });
        }
        let mounted = bpffs::prepare(&config.pin_dir)?;
        for layout in bpffs::layouts(&config.pin_dir)? {
            claim(&layout)?;
        }
        let dir = bpffs::layout_dir(&config.pin_dir);
        std::fs::create_dir_all(&dir).map_err(|error| Error::path("create", &dir, error))?;
        let (programs, maps) = kernel::load(&dir, config.flows)?;
        routing::install()?;
        Self::new(config, dir, mounted, programs, maps)
    }

    fn new(
        config: Config,
        dir: PathBuf,
        mounted: bool,
        programs: Programs,
        maps: Maps,
    ) -> Result<Self, Error> {
        let endpoints: Table<_, abi::Address, abi::Endpoint> = Table::new("endpoints", maps.endpoints)?;
        let written = endpoints.written().values();
        let used: Vec<u32> = written.map(|value| value.policy).collect();
        Ok(Self {
            config,
            mounted,
            dirty: true,
            programs,
            links: Links::new(dir.clone()),
            dir,
            node: Table::new("node", maps.node)?,
            identities: Table::new("identities", maps.identities)?,
            endpoints,
            devices: Table::new("devices", maps.devices)?,
            frontends: Table::new("frontends", maps.frontends)?,
            policy: PolicySets::new(Table::new("policy", maps.policy)?, used.into_iter()),
            listeners: maps.listeners,
            settings: maps.config,
            flows: maps.flows,
            counters: maps.counters,
        })
    }

    /// Whether a bpffs was mounted at the pin directory, which was on none.
    pub fn mounted(&self) -> bool {
        self.mounted
    }

    /// Gives a worker's listener, a socket with `IP_TRANSPARENT` (`IPV6_TRANSPARENT`) and
    /// `SO_MARK` [`crate::MARK_FROM_PROXY`]: TCP and listening, or UDP, bound and not connected. It
    /// takes the place of the one before; it vanishes by itself when the last descriptor of the
    /// socket is closed, and then the connections and datagrams meant for it are dropped.
    ///
    /// # Errors
    /// No such worker, or not a socket that the kernel takes.
    pub fn set_listener(
        &mut self,
        worker: u32,
        kind: Kind,
        family: Family,
        socket: BorrowedFd<'_>,
    ) -> Result<(), Error> {
        if worker >= self.config.workers {
            return Err(Error::Worker { worker, workers: self.config.workers });
        }
        let slot = worker * 4 + u32::from(kind == Kind::Datagrams) * 2 + u32::from(family == Family::V6);
        self.listeners.set(slot, &socket.as_raw_fd(), 0).map_err(Error::map("listeners", "set a listener"))
    }

    /// A reader of what the programs report. Have one at a time.
    ///
    /// # Errors
    /// The ring cannot be opened.
    pub fn events(&self) -> Result<Events, Error> {
        let failed = Error::map("events", "open");
        let data = MapData::from_pin(self.dir.join("events")).map_err(&failed)?;
        let ring: RingBuf<MapData> = Map::from_map_data(data).and_then(TryInto::try_into).map_err(&failed)?;
        Ok(Events::new(ring))
    }

    /// What the programs counted.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn counters(&self) -> Result<Counters, Error> {
        Counters::read(&self.counters)
    }

    /// The same for others to read, at any time and from any thread.
    ///
    /// # Errors
    /// The map cannot be opened.
    pub fn counter_reader(&self) -> Result<CounterReader, Error> {
        let failed = Error::map("counters", "open");
        let data = MapData::from_pin(self.dir.join("counters")).map_err(&failed)?;
        let map = Map::from_map_data(data).and_then(TryInto::try_into).map_err(&failed)?;
        Ok(CounterReader(map))
    }

    /// The number of flows remembered as allowed, the silent ones that have not yet made way for
    /// others included. Walks the whole map.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn flows(&self) -> Result<usize, Error> {
        let mut count = 0;
        for key in self.flows.iter().flat_map(|map| map.keys()) {
            key.map_err(Error::map("flows", "read"))?;
            count += 1;
        }
        Ok(count)
    }
}

/// Slots of the listeners' map, four for each worker.
const MAX_WORKERS: u32 = 256;

/// Makes sure that a layout's pins are ours to take up: those of a namespace that is gone are
/// removed, those of a living one are not touched.
fn claim(layout: &Path) -> Result<(), Error> {
    let (_, inode) = bpffs::namespace()?;
    match attach::owner(layout)? {
        Owner::Namespace(owner) if owner == inode => Ok(()),
        Owner::Namespace(_) => Err(Error::OtherNamespace { path: layout.to_owned() }),
        // Devices are numbered anew in every namespace: nothing there fits.
        Owner::Gone | Owner::Nobody => bpffs::remove_layout(layout),
    }
}
