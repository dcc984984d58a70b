//! `weir run` itself: a small process that keeps the listening sockets and restarts the proxy.
//!
//! It reads no configuration and serves nothing, so that it has no reason to crash. The proxy is
//! this same binary; the link between them is the proxy's standard input. A descriptor that the
//! proxy hands over is kept and given to the next proxy, so a crash costs new connections a short
//! wait in the listen queue, never a refusal.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::cleanup;
use crate::cli::RunArgs;
use crate::descriptors;
use crate::fdstore::{self, Held, Link, Message};
use crate::signals::{Signal, Signals};
use crate::state::StateDir;

/// Exit code of a proxy that cannot start as it is configured (EX_CONFIG of sysexits.h).
pub(crate) const EXIT_CONFIG: u8 = 78;

/// Runs until told to stop; returns the code to exit with.
pub(crate) fn run(args: &RunArgs) -> Result<u8> {
    // The proxy inherits it.
    descriptors::raise();
    let state = StateDir::open(&args.places.state_dir)?;
    let lock = state.lock()?;
    let signals = Signals::install()?;
    let (predecessor, held) = match state.orphan()? {
        Some((link, held)) => {
            tracing::info!("taking over from a proxy whose supervisor died");
            (Some(link), held)
        }
        None => (None, Held::new()),
    };
    let mut supervisor = Supervisor {
        held,
        predecessor,
        proxy: None,
        start_at: Instant::now(),
        failures: 0,
        ever_ready: false,
        stop: None,
        drain: Duration::from_secs(args.drain_timeout),
    };
    let code = supervisor.serve(&signals)?;
    drop(supervisor.held);
    state.remove_sockets()?;
    let clean_up = supervisor.stop.is_some_and(|stop| stop.clean_up);
    // Where nothing can be redirected, nothing was installed.
    if clean_up && !args.no_redirect && redirect::preflight().is_empty() {
        cleanup::remove_installed(&state, args.places.bpffs.as_deref())?;
    }
    if clean_up {
        state.remove_locks(lock)?;
    }
    Ok(code)
}

struct Supervisor {
    held: Held,
    /// A proxy without a supervisor, to be ended once ours serves.
    predecessor: Option<Link>,
    proxy: Option<Proxy>,
    /// When to start the proxy if there is none.
    start_at: Instant,
    /// Proxies in a row that did not last.
    failures: u32,
    ever_ready: bool,
    stop: Option<Stop>,
    drain: Duration,
}

struct Proxy {
    process: Child,
    /// `None` once the proxy closed its end.
    link: Option<Link>,
    started: Instant,
}

#[derive(Clone, Copy)]
struct Stop {
    clean_up: bool,
    kill_at: Instant,
}

impl Supervisor {
    fn serve(&mut self, signals: &Signals) -> Result<u8> {
        loop {
            if self.proxy.is_none() {
                if self.stop.is_some() {
                    return Ok(0);
                }
                if Instant::now() >= self.start_at {
                    self.start()?;
                }
            }
            self.wait(signals)?;
            for signal in signals.pending() {
                self.on_signal(signal)?;
            }
            self.on_link();
            if let Some(code) = self.on_exit()? {
                return Ok(code);
            }
        }
    }

    /// Starts the proxy. A failure is final only at the beginning: later the sockets are worth
    /// waiting for.
    fn start(&mut self) -> Result<()> {
        match start(&self.held) {
            Ok(proxy) => self.proxy = Some(proxy),
            Err(error) if self.ever_ready => {
                self.plan_restart(&format!("{error:#}"), Duration::ZERO);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Sleeps until a signal, a message or the next deadline.
    fn wait(&self, signals: &Signals) -> Result<()> {
        let mut fds = vec![PollFd::new(signals, PollFlags::IN)];
        let link = self.proxy.as_ref().and_then(|proxy| proxy.link.as_ref());
        fds.extend(link.map(|link| PollFd::from_borrowed_fd(link.as_fd(), PollFlags::IN)));
        let deadline = match (&self.stop, &self.proxy) {
            (Some(stop), _) => Some(stop.kill_at),
            (None, None) => Some(self.start_at),
            (None, Some(_)) => None,
        };
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let left = left.map(Timespec::try_from).transpose()?;
        match rustix::event::poll(&mut fds, left.as_ref()) {
            Err(rustix::io::Errno::INTR) => Ok(()),
            other => other.map(drop).context("poll"),
        }
    }

    fn on_signal(&mut self, signal: Signal) -> Result<()> {
        let clean_up = match signal {
            Signal::Child => return Ok(()),
            Signal::Terminate => false,
            Signal::Interrupt => true,
        };
        if let Some(stop) = &mut self.stop {
            // Asked twice: no more patience.
            stop.kill_at = Instant::now();
            stop.clean_up |= clean_up;
            return Ok(());
        }
        let drain = if clean_up { self.drain.min(INTERRUPT_DRAIN) } else { self.drain };
        tracing::info!(seconds = drain.as_secs(), "stopping; connections may end within");
        self.stop = Some(Stop { clean_up, kill_at: Instant::now() + drain + KILL_GRACE });
        // Nobody will serve what waits in these queues.
        self.held.clear();
        if let Some(link) = self.proxy.as_ref().and_then(|proxy| proxy.link.as_ref())
            && let Err(error) = link.send(&Message::Drain(drain), None)
        {
            tracing::debug!(%error, "the proxy is already gone");
        }
        Ok(())
    }

    /// Takes the messages that wait on the link.
    fn on_link(&mut self) {
        while let Some(link) = self.proxy.as_ref().and_then(|proxy| proxy.link.as_ref()) {
            if !readable(link) {
                return;
            }
            match link.receive() {
                Ok(Some((Message::Ready, _))) => self.on_ready(),
                Ok(Some((message, fd))) if self.stop.is_none() => {
                    fdstore::apply(&mut self.held, message, fd);
                }
                Ok(Some(_)) => {}
                Ok(None) => self.drop_link(),
                Err(error) => {
                    tracing::error!(%error, "the link to the proxy failed");
                    self.drop_link();
                }
            }
        }
    }

    fn drop_link(&mut self) {
        if let Some(proxy) = &mut self.proxy {
            proxy.link = None;
        }
    }

    fn on_ready(&mut self) {
        self.ever_ready = true;
        if let Some(link) = self.predecessor.take()
            && let Err(error) = link.send(&Message::Drain(self.drain), None)
        {
            tracing::warn!(%error, "the proxy taken over from is gone");
        }
    }

    /// Reaps the proxy if it ended; a code if the supervisor shall end too.
    fn on_exit(&mut self) -> Result<Option<u8>> {
        let Some(proxy) = &mut self.proxy else { return Ok(None) };
        let Some(status) = proxy.process.try_wait()? else {
            if self.stop.is_some_and(|stop| Instant::now() >= stop.kill_at) {
                tracing::warn!("the proxy did not end in time and is killed");
                proxy.process.kill()?;
                proxy.process.wait()?;
                self.proxy = None;
            }
            return Ok(None);
        };
        let lasted = proxy.started.elapsed();
        // What it sent before it ended still counts.
        self.on_link();
        self.proxy = None;
        if self.stop.is_some() {
            return Ok(None);
        }
        if !self.ever_ready && status.code() == Some(i32::from(EXIT_CONFIG)) {
            return Ok(Some(EXIT_CONFIG));
        }
        self.plan_restart(&status.to_string(), lasted);
        Ok(None)
    }

    fn plan_restart(&mut self, why: &str, lasted: Duration) {
        self.failures = if lasted >= STEADY { 0 } else { self.failures + 1 };
        let delay = back_off(self.failures);
        self.start_at = Instant::now() + delay;
        let millis = delay.as_millis();
        tracing::error!("the proxy ended after {lasted:?}: {why}; the next one starts in {millis} ms");
    }
}

/// Starts this binary as the proxy and gives it the descriptors.
fn start(held: &[(String, OwnedFd)]) -> Result<Proxy> {
    let (ours, theirs) = Link::pair().context("cannot make the link to the proxy")?;
    let process = Command::new("/proc/self/exe")
        .arg0("weir")
        .arg("--as-proxy")
        .args(std::env::args_os().skip(1))
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()
        .context("cannot start the proxy process")?;
    if let Err(error) = ours.hand_over(held) {
        tracing::error!(%error, "the proxy ended before it had its sockets");
    }
    Ok(Proxy { process, link: Some(ours), started: Instant::now() })
}

fn readable(link: &Link) -> bool {
    let mut fds = [PollFd::new(link, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
}

/// The wait before the next start after so many proxies in a row that did not last: the first is
/// replaced at once.
fn back_off(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        n => BACK_OFF_FIRST.saturating_mul(1 << (n - 2).min(16)).min(BACK_OFF_MAX),
    }
}

const BACK_OFF_FIRST: Duration = Duration::from_millis(50);
const BACK_OFF_MAX: Duration = Duration::from_secs(1);
/// A proxy that served this long did not fail at its start.
const STEADY: Duration = Duration::from_secs(10);
/// Time for connections to end after Ctrl-C.
const INTERRUPT_DRAIN: Duration = Duration::from_secs(1);
/// Time to exit after the drain.
const KILL_GRACE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
