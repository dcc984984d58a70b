//! What takes turns in a row: a peer, or Weir in some set-up, running and answering.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::context::{Bed, Context};
use crate::listener::Listener;
use crate::namespace::NODE;
use crate::peer::Peer;
use crate::process::{Daemon, Place};
use crate::weir::{self, Setup, Weir};

/// What takes turns in a row.
#[derive(Debug)]
pub(crate) struct Subject {
    /// The name in tables and JSON.
    pub(crate) name: &'static str,
    /// Where it is loaded.
    pub(crate) listener: Listener,
    /// What it is.
    pub(crate) kind: Kind,
}

/// What a subject is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// A peer.
    Peer(Peer),
    /// Weir.
    Weir(Setup),
}

/// The byte forwarder.
pub(crate) const fn floor(listener: Listener) -> Subject {
    Subject { name: "floor", listener, kind: Kind::Peer(Peer::Floor) }
}

/// HAProxy.
pub(crate) const fn haproxy(listener: Listener) -> Subject {
    Subject { name: "haproxy", listener, kind: Kind::Peer(Peer::Haproxy) }
}

/// nginx.
pub(crate) const fn nginx(listener: Listener) -> Subject {
    Subject { name: "nginx", listener, kind: Kind::Peer(Peer::Nginx) }
}

/// Envoy.
pub(crate) const fn envoy(listener: Listener) -> Subject {
    Subject { name: "envoy", listener, kind: Kind::Peer(Peer::Envoy) }
}

/// The pingora proxy.
pub(crate) const fn pingora(listener: Listener) -> Subject {
    Subject { name: "pingora", listener, kind: Kind::Peer(Peer::Pingora) }
}

/// Weir with its usual set-up.
pub(crate) const fn weir(listener: Listener) -> Subject {
    Subject { name: "weir", listener, kind: Kind::Weir(Setup::USUAL) }
}

/// A subject that answers. Ended when dropped.
#[derive(Debug)]
pub(crate) struct Running<'a> {
    /// The name in tables and JSON.
    pub(crate) name: &'static str,
    /// Where it is loaded.
    pub(crate) listener: Listener,
    /// The pod that its load runs in.
    pub(crate) client: String,
    pub(crate) context: &'a Context,
    /// Address and port.
    at: (&'static str, u16),
    process: Process,
}

/// Peers need no more than their processes.
#[derive(Debug)]
enum Process {
    Peer(Daemon),
    Weir(Box<Weir>),
}

impl<'a> Running<'a> {
    /// Starts a subject and waits for its first answers, denials included. The error says why it
    /// cannot be measured.
    pub(crate) fn start(subject: &Subject, context: &'a Context, plain: &Bed) -> Result<Self> {
        context.interrupted()?;
        let Subject { name, listener, kind } = *subject;
        let mut running = match kind {
            Kind::Peer(peer) => Self {
                name,
                listener,
                client: plain.node.client(),
                context,
                at: (NODE, listener.port(peer.number())),
                process: Process::Peer(peer.start(name, context, plain, listener)?),
            },
            Kind::Weir(setup) => {
                let weir = Weir::start(name, context, &setup, listener)?;
                let client = weir.bed.node.client();
                let at =
                    if setup.ebpf { (weir::CLUSTER_IP, 80) } else { (NODE, listener.port(weir::NUMBER)) };
                Self { name, listener, client, context, at, process: Process::Weir(Box::new(weir)) }
            }
        };
        if matches!(kind, Kind::Weir(_)) && listener.judges_requests() {
            running.wait(weir::DENIED_PATH, 403)?;
        }
        running.wait(listener.path(), 200)?;
        Ok(running)
    }

    /// Waits until requests for `path` are answered with `status`.
    fn wait(&mut self, path: &str, status: u16) -> Result<()> {
        let (listener, context) = (self.listener, self.context);
        let url = listener.url(self.at.0, self.at.1, path);
        let daemon = match &mut self.process {
            Process::Peer(daemon) => daemon,
            Process::Weir(weir) => &mut weir.daemon,
        };
        let mut last = 0;
        let ready = daemon.wait(|| {
            last = context.status(&self.client, listener, &url)?;
            Ok(last == status)
        });
        ready.with_context(|| format!("{url}: {last} in place of {status}"))
    }

    /// What is loaded.
    pub(crate) fn url(&self) -> String {
        self.listener.url(self.at.0, self.at.1, self.listener.path())
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.at.1
    }

    /// Its address and port.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.at.0, self.at.1)
    }

    /// Where its load runs.
    pub(crate) fn client_place(&self) -> Place<'_> {
        Place { namespace: &self.client, processors: &self.context.load, log: Path::new("/dev/null") }
    }

    /// Its processes.
    pub(crate) fn daemon(&self) -> &Daemon {
        match &self.process {
            Process::Peer(daemon) => daemon,
            Process::Weir(weir) => &weir.daemon,
        }
    }

    /// If it is Weir.
    pub(crate) fn weir(&self) -> Option<&Weir> {
        match &self.process {
            Process::Peer(_) => None,
            Process::Weir(weir) => Some(weir),
        }
    }
}
