//! `weir run` itself: a small process that keeps the listening sockets and restarts the proxy.
//!
//! It reads no configuration and serves nothing, so that it has no reason to crash. The proxy is
//! this same binary; the link between them is the proxy's standard input. A descriptor that the
//! proxy hands over is kept and given to the next proxy, so a crash costs new connections a short
//! wait in the listen queue, never a refusal.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
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
use crate::sys;

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
        successor: None,
        retiring: Vec::new(),
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
    /// Started in place of `proxy`, and not ready yet.
    successor: Option<Proxy>,
    /// Replaced, and ending; each with the time when it is killed.
    retiring: Vec<(Proxy, Instant)>,
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
                if self.stop.is_some() && self.retiring.is_empty() {
                    return Ok(0);
                }
                if self.stop.is_none() && Instant::now() >= self.start_at {
                    self.start()?;
                }
            }
            self.wait(signals)?;
            for signal in signals.pending() {
                self.on_signal(signal)?;
            }
            self.on_link();
            self.reap_others()?;
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
        let links =
            [&self.proxy, &self.successor].into_iter().flatten().filter_map(|proxy| proxy.link.as_ref());
        fds.extend(links.map(|link| PollFd::from_borrowed_fd(link.as_fd(), PollFlags::IN)));
        let own = match (&self.stop, &self.proxy) {
            (Some(stop), _) => Some(stop.kill_at),
            (None, None) => Some(self.start_at),
            (None, Some(_)) => None,
        };
        let deadline = self.retiring.iter().map(|(_, kill_at)| *kill_at).chain(own).min();
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
            Signal::Restart => {
                self.replace();
                return Ok(());
            }
            Signal::Reload => {
                self.reload();
                return Ok(());
            }
            Signal::Terminate => false,
            Signal::Interrupt => true,
        };
        if let Some(stop) = &mut self.stop {
            tracing::info!("told to stop again: connections get no more time");
            stop.kill_at = Instant::now();
            stop.clean_up |= clean_up;
            return Ok(());
        }
        let drain = if clean_up { self.drain.min(INTERRUPT_DRAIN) } else { self.drain };
        tracing::info!(seconds = drain.as_secs(), "stopping; connections may end within");
        self.stop = Some(Stop { clean_up, kill_at: Instant::now() + drain + KILL_GRACE });
        // Nobody will serve what waits in these queues.
        self.held.clear();
        if let Some(mut successor) = self.successor.take() {
            // It serves nobody yet.
            successor.process.kill()?;
            successor.process.wait()?;
        }
        if let Some(link) = self.proxy.as_ref().and_then(|proxy| proxy.link.as_ref())
            && let Err(error) = link.send(&Message::Drain(drain), None)
        {
            tracing::debug!(%error, "the proxy is already gone");
        }
        Ok(())
    }

    /// Takes the messages that wait on the links.
    fn on_link(&mut self) {
        if let Some(mut proxy) = self.proxy.take() {
            if self.take_messages(&mut proxy) {
                self.on_ready();
            }
            self.proxy = Some(proxy);
        }
        if let Some(mut successor) = self.successor.take() {
            match self.take_messages(&mut successor) {
                true => self.succeed(successor),
                false => self.successor = Some(successor),
            }
        }
    }

    /// Keeps what a proxy hands over; whether it said that it is ready.
    fn take_messages(&mut self, proxy: &mut Proxy) -> bool {
        let mut ready = false;
        while let Some(link) = proxy.link.as_ref().filter(|link| readable(link)) {
            match link.receive() {
                Ok(Some((Message::Ready, _))) => ready = true,
                Ok(Some((message, fd))) if self.stop.is_none() => {
                    fdstore::apply(&mut self.held, message, fd);
                }
                Ok(Some(_)) => {}
                Ok(None) => proxy.link = None,
                Err(error) => {
                    tracing::error!(%error, "the link to the proxy failed");
                    proxy.link = None;
                }
            }
        }
        ready
    }

    /// Has every proxy read all of the configuration again. One that starts does anyway.
    fn reload(&self) {
        if self.stop.is_some() {
            tracing::info!("nothing is read again: Weir is stopping");
            return;
        }
        for proxy in [&self.proxy, &self.successor].into_iter().flatten() {
            tell(proxy, &Message::Reload);
        }
    }

    /// Starts a successor of the proxy that serves. Both accept from the same sockets until it is
    /// ready.
    fn replace(&mut self) {
        if self.stop.is_some() {
            tracing::warn!("no restart: Weir is stopping");
            return;
        }
        let Some(link) = self.proxy.as_ref().and_then(|proxy| proxy.link.as_ref()) else {
            tracing::warn!("no restart: there is no proxy to replace, the next one starts anyway");
            return;
        };
        if self.successor.is_some() {
            tracing::warn!("no restart: one is under way");
            return;
        }
        if let Err(error) = link.send(&Message::Yield, None) {
            tracing::warn!(%error, "no restart: the proxy does not listen");
            return;
        }
        match start(&self.held) {
            Ok(successor) => {
                tracing::info!(pid = successor.process.id(), "a successor starts");
                self.successor = Some(successor);
            }
            Err(error) => self.resume(&format!("{error:#}")),
        }
    }

    /// The successor serves: the proxy before it ends when its connections have.
    fn succeed(&mut self, successor: Proxy) {
        let Some(old) = self.proxy.replace(successor) else { return };
        tracing::info!(
            seconds = self.drain.as_secs(),
            "replaced; the old proxy's connections may end within"
        );
        tell(&old, &Message::Drain(self.drain));
        self.retiring.push((old, Instant::now() + self.drain + KILL_GRACE));
        self.failures = 0;
    }

    fn resume(&mut self, why: &str) {
        tracing::error!("the successor failed ({why}); the old proxy serves on");
        if let Some(proxy) = &self.proxy {
            tell(proxy, &Message::Resume);
        }
    }

    /// Reaps proxies other than the one that serves.
    fn reap_others(&mut self) -> Result<()> {
        let now = Instant::now();
        let patience = self.stop.map(|stop| stop.kill_at);
        let mut left = Vec::new();
        for (mut proxy, kill_at) in std::mem::take(&mut self.retiring) {
            if proxy.process.try_wait()?.is_some() {
                continue;
            }
            let kill_at = patience.map_or(kill_at, |stop| stop.min(kill_at));
            if now >= kill_at {
                tracing::warn!("the replaced proxy has not ended and is killed: its connections are cut");
                proxy.process.kill()?;
                proxy.process.wait()?;
            } else {
                left.push((proxy, kill_at));
            }
        }
        self.retiring = left;
        let Some(mut successor) = self.successor.take() else { return Ok(()) };
        match successor.process.try_wait()? {
            None => self.successor = Some(successor),
            Some(status) => self.resume(&status.to_string()),
        }
        Ok(())
    }

    fn on_ready(&mut self) {
        self.ever_ready = true;
        sys::unmap_text();
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
                tracing::warn!("the proxy has not ended and is killed: its connections are cut");
                proxy.process.kill()?;
                proxy.process.wait()?;
                self.proxy = None;
            }
            return Ok(None);
        };
        let lasted = proxy.started.elapsed();
        // What it sent before it ended still counts.
        self.on_link();
        // A successor that had begun takes its place at once.
        self.proxy = self.successor.take();
        if self.stop.is_some() || self.proxy.is_some() {
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
    let process = Command::new(binary())
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

/// Where this binary was started from, so that one that was put in its place is used; itself if
/// there is none any more.
fn binary() -> PathBuf {
    let path = std::env::current_exe().unwrap_or_default();
    if path.is_file() {
        return path;
    }
    // What the kernel adds to the name of a file that was replaced.
    let replaced = path.to_str().and_then(|path| path.strip_suffix(" (deleted)")).map(PathBuf::from);
    replaced.filter(|path| path.is_file()).unwrap_or_else(|| "/proc/self/exe".into())
}

fn tell(proxy: &Proxy, message: &Message) {
    if let Some(link) = &proxy.link
        && let Err(error) = link.send(message, None)
    {
        tracing::debug!(%error, "the proxy is already gone");
    }
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
