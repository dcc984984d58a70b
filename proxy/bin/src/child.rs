//! The proxy process: control thread, link to the supervisor, and its end.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use config::{Changes, Waker};
use rustix::event::{PollFd, PollFlags};

use crate::admin;
use crate::admin::http::{self, Endpoint, Pages};
use crate::admin::log::Log;
use crate::cli::RunArgs;
use crate::control::Control;
use crate::fdstore::{Door, Link, Message};
use crate::finder::Found;
use crate::listeners::{self, Slots};
use crate::signals::{Signal, Signals};
use crate::state::StateDir;
use crate::supervisor::EXIT_CONFIG;
use crate::sys;

/// What the control thread is told.
#[derive(Debug)]
enum Event {
    /// End within this time.
    Drain(Duration),
    /// A signal arrived.
    Signal(Signal),
    /// The supervisor is gone.
    Orphaned,
    /// A successor has the sockets and may take over the kernel's maps.
    HandedOver,
    /// Read all of the configuration again.
    Reload,
    /// The successor went away before it served.
    TakenBack,
    /// The pods' devices changed.
    Found(Found),
    /// Somebody asks.
    Question(admin::Question),
}

/// Where events go; wakes the control thread out of its wait for files.
#[derive(Clone)]
struct Events {
    sender: Sender<Event>,
    waker: Waker,
}

impl Events {
    fn send(&self, event: Event) {
        // Without a receiver the process is about to end.
        self.sender.send(event).unwrap_or_default();
        self.waker.wake();
    }
}

/// Serves until told to end; returns the exit code.
pub(crate) fn run(args: &RunArgs, log: Log) -> Result<u8> {
    rustix::thread::set_name(c"weir-proxy")?;
    let link = Arc::new(Link::from_stdin()?);
    let held = link.take_over().context("the supervisor left")?;
    let state = StateDir::open(&args.places.state_dir)?;
    let serving = state.mark_proxy()?;
    let signals = Signals::install()?;
    let slots = Slots::new(link.clone(), held);
    let (mut control, changes) = match Control::start(args, &state, slots.clone()) {
        Ok(started) => started,
        Err(error) => {
            tracing::error!("{error:#}");
            return Ok(EXIT_CONFIG);
        }
    };
    control.await_workers();
    let (sender, inbox) = channel();
    let events = Events { sender, waker: changes.waker() };
    watch_signals(signals, events.clone())?;
    let questions = events.clone();
    admin::serve(&state.admin(), move |question| questions.send(Event::Question(question)))?;
    let devices = events.clone();
    control.follow_devices(move |found| devices.send(Event::Found(found)))?;
    follow_supervisor(link.clone(), state.door(), slots.clone(), events)?;
    let endpoint = match args.admin.0 {
        Some(address) => Some(http::serve(address, slots.clone(), Pages::new(control.observed(), log))?),
        None => listeners::admin(&slots, None).map(|_| None)?,
    };
    tracing::info!("ready");
    if let Err(error) = link.send(&Message::Ready, None) {
        tracing::debug!(%error, "no supervisor to tell");
    }
    sys::unmap_text();
    let (limit, successor) = serve(&mut control, &changes, &inbox);
    let limit = limit.unwrap_or(Duration::from_secs(args.drain_timeout));
    if successor {
        // It answers from now on; two on one socket would answer by turns.
        endpoint.as_ref().map(Endpoint::leave).unwrap_or_default();
    }
    drop(serving);
    slots.held().clear();
    control.drain(limit);
    Ok(0)
}

/// Works until told to end. Returns the time to do so in, if somebody said, and whether a successor
/// serves.
fn serve(control: &mut Control, changes: &Changes, inbox: &Receiver<Event>) -> (Option<Duration>, bool) {
    let mut orphaned = false;
    let mut handed_over = false;
    loop {
        control.observed().beat();
        let next = control.next_scan().saturating_duration_since(Instant::now()).min(RETRY);
        let (first, changed) = if handed_over {
            // From then on the kernel's maps are the successor's, whatever the files say.
            (inbox.recv_timeout(RETRY).ok(), false)
        } else {
            (None, changes.wait(next))
        };
        for event in first.into_iter().chain(inbox.try_iter()) {
            match event {
                Event::Drain(limit) => return (Some(limit), handed_over),
                Event::Signal(Signal::Terminate) => return (None, false),
                // Ctrl-C reaches every process of the terminal; the supervisor says what it means.
                Event::Signal(Signal::Interrupt) if orphaned => return (None, false),
                Event::Signal(Signal::Reload) | Event::Reload if !handed_over => control.reload(),
                Event::Signal(_) | Event::Reload => {}
                Event::Orphaned => {
                    tracing::error!(
                        "the supervisor is gone; serving on without it. \
                         `weir run` with the same --state-dir takes over"
                    );
                    orphaned = true;
                }
                Event::HandedOver => handed_over = true,
                Event::TakenBack => {
                    handed_over = false;
                    control.reapply();
                }
                Event::Found(found) if !handed_over => control.found(found),
                Event::Found(_) => {}
                Event::Question(question) => control.answer(question),
            }
        }
        if handed_over {
            continue;
        }
        if changed || Instant::now() >= control.next_scan() {
            control.rescan();
        }
        control.review_certificates();
        control.retry();
    }
}

fn watch_signals(signals: Signals, events: Events) -> Result<()> {
    thread::Builder::new().name("signals".into()).spawn(move || {
        loop {
            let mut fds = [PollFd::new(&signals, PollFlags::IN)];
            rustix::event::poll(&mut fds, None).unwrap_or_default();
            signals.pending().into_iter().for_each(|signal| events.send(Event::Signal(signal)));
        }
    })?;
    Ok(())
}

/// Does what the supervisor says, and once it is gone waits for a successor.
fn follow_supervisor(link: Arc<Link>, door: PathBuf, slots: Slots, events: Events) -> Result<()> {
    thread::Builder::new().name("supervisor".into()).spawn(move || {
        loop {
            match link.receive() {
                Ok(Some((Message::Drain(limit), _))) => events.send(Event::Drain(limit)),
                Ok(Some((Message::Yield, _))) => events.send(Event::HandedOver),
                Ok(Some((Message::Resume, _))) => events.send(Event::TakenBack),
                Ok(Some((Message::Reload, _))) => events.send(Event::Reload),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        events.send(Event::Orphaned);
        match Door::open(&door) {
            Ok(door) => {
                while let Err(error) = await_successor(&door, &slots, &events) {
                    tracing::warn!(%error, "a successor left before it served");
                    events.send(Event::TakenBack);
                }
            }
            Err(error) => tracing::error!("cannot listen on {}: {error}", door.display()),
        }
    })?;
    Ok(())
}

/// Hands everything to one successor and ends once it serves.
fn await_successor(door: &Door, slots: &Slots, events: &Events) -> Result<()> {
    let successor = door.accept()?;
    events.send(Event::HandedOver);
    successor.hand_over(&slots.held())?;
    // It holds the link until it serves, then tells this process to end.
    match successor.receive()? {
        Some((Message::Drain(limit), _)) => {
            events.send(Event::Drain(limit));
            // Held open: the other may wait for the end of this process.
            successor.receive()?;
            Ok(())
        }
        _ => anyhow::bail!("it closed the link"),
    }
}

/// How often sockets that failed are tried again.
const RETRY: Duration = Duration::from_secs(1);
