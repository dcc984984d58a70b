//! Redirection by eBPF while the proxy runs: the listeners it leads to, what the kernel is told,
//! and what it reports.

use std::collections::HashMap;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use model::Snapshot;
use model::workload::EndpointId;
use objects::{Kind, ObjectKey, Problem};
use redirect::{Config, Device, Events, Family, Redirect};
use rustix::event::{PollFd, PollFlags};
use rustix::net::{AddressFamily, SocketType, netdevice};
use telemetry::Writer;

use crate::cli::RunArgs;
use crate::events;
use crate::finder::Found;
use crate::kernel;
use crate::listeners::{Transparent, Transparents};
use crate::pins;
use crate::state::StateDir;

/// The Snapshot in force, for those who explain it and name rules by it.
#[derive(Clone, Debug)]
pub(crate) struct Current(Arc<Mutex<Arc<Snapshot>>>);

impl Current {
    /// Begins with this one.
    pub(crate) fn new(snapshot: Arc<Snapshot>) -> Self {
        Self(Arc::new(Mutex::new(snapshot)))
    }

    /// The one in force.
    pub(crate) fn get(&self) -> Arc<Snapshot> {
        self.lock().clone()
    }

    /// Puts another in force.
    pub(crate) fn set(&self, snapshot: Arc<Snapshot>) {
        *self.lock() = snapshot;
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Snapshot>> {
        self.0.lock().expect("no panic while it is held")
    }
}

/// The loaded programs. They stay attached when this is dropped.
pub(crate) struct Redirection {
    redirect: Redirect,
    uplinks: Vec<String>,
    /// What the kernel has in full.
    applied: Option<Applied>,
}

/// All that the kernel's state is made from.
#[derive(Debug)]
struct Applied {
    snapshot: Arc<Snapshot>,
    found: Found,
    uplinks: Vec<Option<u32>>,
}

impl Applied {
    /// Whether the kernel is told the same by both: where only endpoints or routes differ it is.
    fn is(&self, other: &Self) -> bool {
        let (a, b) = (&self.snapshot, &other.snapshot);
        Arc::ptr_eq(&a.workloads, &b.workloads)
            && Arc::ptr_eq(&a.policies, &b.policies)
            && Arc::ptr_eq(&a.addresses, &b.addresses)
            && kernel::same_frontends(a, b)
            && self.found == other.found
            && self.uplinks == other.uplinks
    }
}

/// The index of each device, if it is there.
fn indices(devices: &[String]) -> Vec<Option<u32>> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None).ok();
    let index = |name: &String| netdevice::name_to_index(socket.as_ref()?, name).ok();
    devices.iter().map(index).collect()
}

impl Redirection {
    /// Loads the programs, or takes up those that an earlier process left. `None`, with a line in
    /// the log, where this machine cannot redirect or was told not to.
    pub(crate) fn open(args: &RunArgs, state: &StateDir, workers: usize) -> Result<Option<Self>> {
        if args.no_redirect {
            tracing::info!("--no-redirect: only clients of the Gateways' addresses are served");
            return Ok(None);
        }
        let missing = redirect::preflight();
        if !missing.is_empty() {
            let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
            let missing = missing.join("; ");
            tracing::warn!("cannot redirect, only clients of the Gateways' addresses are served: {missing}");
            return Ok(None);
        }
        let pins = pins::folder(state, args.places.bpffs.as_deref());
        let config = Config {
            uplinks: args.uplinks.clone(),
            upstream_ports: proxy::Config::SOURCE_PORTS,
            ..Config::new(&pins, u32::try_from(workers)?)
        };
        let redirect = Redirect::open(config)
            .with_context(|| format!("cannot redirect with pins in {}", pins.display()))?;
        pins::warn_if_private(&pins);
        Ok(Some(Self { redirect, uplinks: args.uplinks.clone(), applied: None }))
    }

    /// Where pods are by what an earlier process left in the kernel.
    pub(crate) fn pinned(args: &RunArgs, state: &StateDir) -> Result<HashMap<IpAddr, Device>> {
        if args.no_redirect || !redirect::preflight().is_empty() {
            return Ok(HashMap::new());
        }
        let pins = pins::folder(state, args.places.bpffs.as_deref());
        redirect::pinned(&pins).with_context(|| format!("cannot read the pins in {}", pins.display()))
    }

    /// Gives the programs the sockets to send connections to.
    pub(crate) fn lead_to(&mut self, sockets: &Transparents) -> Result<()> {
        fn lead<S: AsFd>(redirect: &mut Redirect, kind: redirect::Kind, to: &[Transparent<S>]) -> Result<()> {
            for one in to {
                let family = if one.v6 { Family::V6 } else { Family::V4 };
                redirect.set_listener(u32::try_from(one.worker)?, kind, family, one.socket.as_fd())?;
            }
            Ok(())
        }
        lead(&mut self.redirect, redirect::Kind::Connections, &sockets.connections)?;
        lead(&mut self.redirect, redirect::Kind::Datagrams, &sockets.datagrams)
    }

    /// Brings the snapshot into the kernel, unless it is there. What is not enforced, or not at
    /// all in the kernel, comes back as problems; with problems it is tried again the next time.
    pub(crate) fn apply(&mut self, snapshot: &Arc<Snapshot>, found: &Found) -> Vec<Problem> {
        let uplinks = indices(&self.uplinks);
        let next = Applied { snapshot: snapshot.clone(), found: found.clone(), uplinks };
        if self.applied.as_ref().is_some_and(|last| last.is(&next)) {
            self.applied = Some(next);
            return Vec::new();
        }
        let problems = self.write(snapshot, found);
        self.applied = problems.is_empty().then_some(next);
        problems
    }

    /// Takes nothing in the kernel for granted any more: somebody else had it.
    pub(crate) fn forget(&mut self) {
        self.applied = None;
    }

    fn write(&mut self, snapshot: &Snapshot, found: &Found) -> Vec<Problem> {
        let state = kernel::state(snapshot, &found.devices);
        match self.redirect.apply(&state) {
            Ok(report) => {
                let pods = report.problems.into_iter().map(|(id, why)| pod(snapshot, id, &why));
                let uplinks = report
                    .uplinks
                    .into_iter()
                    .map(|(device, why)| Problem::error(format!("--uplink {device}: {why}")));
                pods.chain(uplinks).collect()
            }
            Err(error) => {
                let what = "the kernel keeps what it had before, in part";
                vec![Problem::error(format!("{what}: {error}"))]
            }
        }
    }

    /// A reader of what the programs count.
    pub(crate) fn counters(&self) -> Result<redirect::CounterReader> {
        Ok(self.redirect.counter_reader()?)
    }

    /// Writes what the programs report into `flows`, from a thread of its own.
    pub(crate) fn record(&self, current: Current, flows: Writer) -> Result<()> {
        let events = self.redirect.events()?;
        std::thread::Builder::new().name("kernel-events".into()).spawn(move || {
            if let Err(error) = follow(events, &current, flows) {
                tracing::error!(%error, "what the kernel drops is not recorded any more");
            }
        })?;
        Ok(())
    }
}

fn follow(mut reports: Events, current: &Current, mut flows: Writer) -> rustix::io::Result<()> {
    loop {
        match rustix::event::poll(&mut [PollFd::new(&reports, PollFlags::IN)], None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        let snapshot = current.get();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        reports.drain(|event| {
            if let Some(record) = events::record(&event, &snapshot, now) {
                let mut slot = flows.blank();
                *slot = record;
                flows.write(slot);
            }
        });
    }
}

fn pod(snapshot: &Snapshot, id: u32, why: &str) -> Problem {
    let local = Some(EndpointId(id));
    let pod = snapshot.workloads.values().find(|workload| workload.local == local);
    let problem = Problem::warning(why);
    match pod {
        Some(pod) => problem.of(ObjectKey {
            kind: Kind::Pod,
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
        }),
        None => problem,
    }
}
