//! The control side of the proxy process: files to Snapshot to workers and kernel.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::IsTerminal;
use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use config::{Changes, Files, Loaded};
use model::Snapshot;
use objects::{Problem, Severity, Store, tell_refused};
use proxy::{ListenerKind, Proxy};
use telemetry::{Collector, Format};
use translate::{Options, Translator};

use crate::admin::Question;
use crate::admin::observed::{Observed, PresentProblems};
use crate::certificates;
use crate::cli::{Output, RunArgs};
use crate::descriptors;
use crate::finder::{self, Finder, Found};
use crate::last_good::{Known, LastGood};
use crate::listeners::{self, GatewaySockets, Slots, Transparents};
use crate::live;
use crate::node;
use crate::output::SharedOutput;
use crate::redirection::{Current, Redirection};
use crate::state::StateDir;

/// Everything that serves.
pub(crate) struct Control {
    files: Files,
    /// The version of the files' store that is translated.
    version: u64,
    next_scan: Instant,
    pods: Pods,
    translator: Translator,
    redirection: Option<Redirection>,
    gateways: GatewaySockets,
    proxy: Proxy,
    collector: Collector,
    current: Current,
    observed: Arc<Observed>,
    problems: Problems,
    last_good: LastGood,
}

/// Which pods are where.
struct Pods {
    /// `--node`: then the files say which pods are local, otherwise those with a device are.
    by_name: Option<String>,
    /// `--node-address`.
    own: Vec<IpAddr>,
    found: Found,
    finder: Option<Finder>,
}

impl Pods {
    /// None found yet, only the node's own addresses.
    fn new(args: &RunArgs) -> Self {
        Self {
            by_name: args.node.clone(),
            own: args.node_addresses.clone(),
            found: finder::find_now(&HashSet::new(), &HashMap::new()),
            finder: None,
        }
    }

    fn local(&self) -> HashSet<IpAddr> {
        self.found.devices.keys().copied().collect()
    }

    fn node_addresses(&self) -> Vec<IpAddr> {
        let mut all = self.found.node_addresses.clone();
        all.extend(self.own.iter().filter(|ip| !self.found.node_addresses.contains(ip)));
        all
    }

    /// Takes note of what was found; whether it is news.
    fn update(&mut self, mut found: Found) -> bool {
        // Addresses that cannot be read count as none, which no node has: the last good ones stay.
        if found.node_addresses.is_empty() {
            found.node_addresses.clone_from(&self.found.node_addresses);
        }
        let news = found != self.found;
        self.found = found;
        news
    }

    /// What is wrong with what this node is said to be. Where nothing `is_redirecting`, a socket on
    /// a foreign address fails by itself.
    fn problems(&self, store: &Store, snapshot: &Snapshot, is_redirecting: bool) -> Vec<Problem> {
        let mut problems: Vec<Problem> =
            node::unknown_name(self.by_name.as_deref(), store).into_iter().collect();
        if is_redirecting {
            problems.extend(node::foreign_addresses(snapshot, &self.node_addresses()));
        }
        problems
    }

    /// The addresses whose devices matter.
    fn wanted(&self, snapshot: &Snapshot) -> HashSet<IpAddr> {
        let pods = snapshot.workloads.iter();
        let wanted = pods.filter(|(_, pod)| self.by_name.is_none() || pod.local.is_some());
        wanted.map(|(ip, _)| *ip).collect()
    }
}

/// What is wrong at this moment, by where it was noticed.
#[derive(Default)]
struct Problems {
    files: Vec<Problem>,
    objects: Vec<Problem>,
    sockets: Vec<Problem>,
    kernel: Vec<Problem>,
    /// What this node is said to be.
    node: Vec<Problem>,
    /// What the next process will not know.
    last_good: Option<Problem>,
    logged: BTreeSet<Problem>,
    present: Arc<PresentProblems>,
}

impl Problems {
    fn all(&self) -> BTreeSet<Problem> {
        let mut objects = self.objects.clone();
        tell_refused(&mut objects, &self.files);
        let parts = [&self.files, &objects, &self.sockets, &self.kernel, &self.node];
        parts.into_iter().flatten().chain(&self.last_good).cloned().collect()
    }

    /// Logs what was not there the last time.
    fn log(&mut self) {
        let all = self.all();
        for problem in all.difference(&self.logged) {
            match problem.severity {
                Severity::Error => tracing::error!("{problem}"),
                Severity::Warning => tracing::warn!("{problem}"),
            }
        }
        for problem in self.logged.difference(&all) {
            tracing::info!("no more: {problem}");
        }
        self.present.set(&all);
        self.logged = all;
    }
}

impl Control {
    /// Reads the files, starts the workers and brings the kernel in line.
    ///
    /// Whatever an earlier process left in the kernel stays in force until the workers serve.
    pub(crate) fn start(args: &RunArgs, state: &StateDir, slots: Slots) -> Result<(Self, Changes)> {
        let known = Known::take(&slots);
        let mut files = known.open(&args.paths)?;
        let changes = files.watch();
        let mut translator = Translator::new(options(args));
        let mut pods = Pods::new(args);
        let loaded = known.load(&mut files, &mut translator, &pods.node_addresses());
        let mut translation = translator.translate(&loaded.store, &HashSet::new(), &pods.node_addresses());
        pods.found =
            finder::find_now(&pods.wanted(&translation.snapshot), &Redirection::pinned(args, state)?);
        translation = translator.translate(&loaded.store, &pods.local(), &pods.node_addresses());
        let mut problems =
            Problems { files: loaded.problems, objects: translation.problems, ..Problems::default() };
        if problems.all().iter().any(|problem| is_fatal(problem, &files)) {
            problems.log();
            bail!("not started: what cannot be read may be a policy, and nobody can tell whose");
        }
        let last_good = LastGood::start(slots.clone(), known, &mut files, &problems.objects);
        let version = loaded.store.version();
        // The store is left to the files: nothing is copied where nobody else holds it.
        drop(loaded.store);
        let snapshot = translation.snapshot;
        let workers = workers(args);
        let mut redirection = Redirection::open(args, state, workers)?;
        problems.node = pods.problems(files.store(), &snapshot, redirection.is_some());
        let transparent = match redirection {
            Some(_) => Transparents::take(&slots, workers).context("transparent listeners")?,
            None => Transparents::default(),
        };
        let mut gateways = GatewaySockets::new(slots, workers, redirection.is_some());
        let sockets = gateways.reconcile(&snapshot);
        problems.sockets = listeners::problems(&sockets.failed);
        let lists = listeners::by_worker(workers, &transparent.connections, sockets.added)?;
        let (writers, readers) = (0..=workers).map(|_| telemetry::ring(RING)).unzip();
        let mut writers: Vec<telemetry::Writer> = writers;
        let kernel_writer = writers.pop().context("one more ring than workers")?;
        let collector = collect(args.output, readers, state)?;
        let config = data_plane(args, workers, redirection.is_some());
        let proxy = Proxy::start(config.clone(), snapshot.clone(), lists, writers)?;
        take_datagrams(&proxy, sockets.added_udp, &transparent)?;
        let current = Current::new(snapshot.clone());
        let (flows, present) = (collector.counts(), problems.present.clone());
        let observed = Observed::new(proxy.worker_stats(), current.clone(), flows, present, config.limits);
        if let Some(redirection) = &mut redirection {
            redirection.lead_to(&transparent)?;
            redirection.record(current.clone(), kernel_writer)?;
            observed.set_kernel(redirection.counters()?);
            problems.kernel = redirection.apply(&snapshot, &pods.found);
        }
        observed.set_applied(snapshot.revision);
        problems.log();
        let control = Self {
            files,
            version,
            next_scan: loaded.next,
            pods,
            translator,
            redirection,
            gateways,
            proxy,
            collector,
            current,
            observed: Arc::new(observed),
            problems,
            last_good,
        };
        Ok((control, changes))
    }

    /// Waits until the workers serve: nobody is told that they do before. A thread takes its time to
    /// begin on a busy machine. From then on what is in force is kept for the next process.
    pub(crate) fn await_workers(&mut self) {
        while !self.proxy.is_serving() {
            std::thread::sleep(PUBLISH_POLL);
        }
        self.last_good.hold();
    }

    /// What the admin endpoint sees of this.
    pub(crate) fn observed(&self) -> Arc<Observed> {
        self.observed.clone()
    }

    /// Follows the pods' devices; `report` brings what was found back to [`Control::found`].
    pub(crate) fn follow_devices(&mut self, report: impl Fn(Found) + Send + 'static) -> Result<()> {
        let mut finder = Finder::start(self.pods.found.clone(), report)?;
        finder.want(self.pods.wanted(&self.current.get()));
        self.pods.finder = Some(finder);
        Ok(())
    }

    /// When [`Control::rescan`] is due even if no file changed.
    pub(crate) fn next_scan(&self) -> Instant {
        self.next_scan
    }

    /// Reads what changed in the files and puts it in force.
    pub(crate) fn rescan(&mut self) {
        let (start, before) = (Instant::now(), self.files.stats());
        let loaded = self.files.rescan(start);
        let (objects, revision) = (loaded.changed.len(), self.current.get().revision);
        self.take(loaded);
        let new = self.current.get().revision;
        if new != revision {
            let files = self.files.stats().parsed - before.parsed;
            let ms = start.elapsed().as_millis();
            tracing::info!(revision = new, objects, files, ms, "a change is in force");
        }
    }

    /// Reads all of the files, changed or not.
    pub(crate) fn reload(&mut self) {
        let before = self.files.stats();
        let loaded = self.files.reload(Instant::now());
        self.take(loaded);
        let after = self.files.stats();
        tracing::info!(
            read = after.read - before.read,
            changed = after.parsed - before.parsed,
            revision = self.current.get().revision,
            "read all of the configuration again"
        );
    }

    fn take(&mut self, loaded: Loaded) {
        let Loaded { store, problems, next, .. } = loaded;
        self.next_scan = next;
        self.problems.files = problems;
        if store.version() == self.version {
            self.remember();
            // Sockets and devices that failed may succeed by now.
            self.problems.log();
            return;
        }
        self.version = store.version();
        drop(store);
        self.translate();
    }

    /// Takes note of where the pods are now.
    pub(crate) fn found(&mut self, found: Found) {
        if self.pods.update(found) {
            self.translate();
        }
    }

    /// Brings the kernel back in line after somebody else had it.
    pub(crate) fn reapply(&mut self) {
        if let Some(redirection) = &mut self.redirection {
            redirection.forget();
        }
        self.last_good.hold();
        self.put_in_force(self.current.get());
        self.problems.log();
    }

    /// Says what is to be said of certificates whose time has come since.
    pub(crate) fn review_certificates(&mut self) {
        if self.translator.next_lapse().is_some_and(|at| at <= SystemTime::now()) {
            self.translator.review_certificates();
            self.translate();
        }
    }

    /// Tries again to listen where it failed.
    pub(crate) fn retry(&mut self) {
        if !self.problems.sockets.is_empty() {
            self.reconcile_sockets(&self.current.get());
            self.problems.log();
        }
    }

    fn translate(&mut self) {
        let translation =
            self.translator.translate(self.files.store(), &self.pods.local(), &self.pods.node_addresses());
        self.problems.objects = translation.problems;
        self.remember();
        let is_redirecting = self.redirection.is_some();
        self.problems.node = self.pods.problems(self.files.store(), &translation.snapshot, is_redirecting);
        self.put_in_force(translation.snapshot);
        self.problems.log();
    }

    /// Keeps what was read for the next process.
    fn remember(&mut self) {
        self.last_good.update(self.files.take_notes(), &self.problems.objects);
        self.problems.last_good = self.last_good.problem().cloned();
    }

    /// Workers first: they judge by the new policy before the kernel sends them more, and before
    /// it lets pass what they had to judge.
    fn put_in_force(&mut self, snapshot: Arc<Snapshot>) {
        self.current.set(snapshot.clone());
        self.proxy.publish(snapshot.clone());
        let until = Instant::now() + PUBLISH_PATIENCE;
        while self.proxy.revision() < snapshot.revision && Instant::now() < until {
            std::thread::sleep(PUBLISH_POLL);
        }
        self.reconcile_sockets(&snapshot);
        if let Some(redirection) = &mut self.redirection {
            self.problems.kernel = redirection.apply(&snapshot, &self.pods.found);
        }
        let wanted = self.pods.wanted(&snapshot);
        if let Some(finder) = &mut self.pods.finder {
            finder.want(wanted);
        }
        self.observed.set_applied(snapshot.revision);
    }

    fn reconcile_sockets(&mut self, snapshot: &Snapshot) {
        let sockets = self.gateways.reconcile(snapshot);
        for (worker, socket) in sockets.added {
            self.proxy.listen(worker, socket);
        }
        for (worker, socket) in sockets.added_udp {
            self.proxy.listen_udp(worker, socket, ListenerKind::Gateway);
        }
        for address in sockets.removed {
            self.proxy.unlisten(address);
        }
        for address in sockets.removed_udp {
            self.proxy.unlisten_udp(address);
        }
        self.problems.sockets = listeners::problems(&sockets.failed);
    }

    /// Answers a question of the admin socket.
    pub(crate) fn answer(&self, question: Question) {
        let (verb, rest) = question.line.split_once(' ').unwrap_or((&question.line, ""));
        let text = match verb {
            "ready" => "ready".to_owned(),
            "revision" => self.observed.revision().to_string(),
            "problems" => {
                let lines: Vec<String> = self.problems.all().iter().map(ToString::to_string).collect();
                lines.join("\n")
            }
            "explain" => live::respond(&self.current.get(), rest).to_string(),
            _ => format!("unknown question {verb:?}: ready, revision, problems, explain"),
        };
        // The asker may have lost patience.
        question.answer.send(text).unwrap_or_default();
    }

    /// Ends the workers' connections within `limit` and writes out the last records. What is in
    /// the kernel stays.
    pub(crate) fn drain(self, limit: Duration) {
        self.observed.drain();
        self.proxy.drain(limit);
        self.collector.stop(PRINT_PATIENCE);
    }
}

/// Whether no process may begin with this: what it hides may be a policy. One that goes on where
/// another was has what was in force.
fn is_fatal(problem: &Problem, files: &Files) -> bool {
    problem.fatal && !problem.source.as_ref().is_some_and(|source| files.is_served(&source.file))
}

fn collect(output: Output, readers: Vec<telemetry::Reader>, state: &StateDir) -> Result<Collector> {
    let mut collector = Collector::start(readers)?;
    let stdout = std::io::stdout();
    let format = match output {
        Output::Text => Format::Text { colour: stdout.is_terminal() },
        Output::Json => Format::Json,
        Output::None => return Ok(collector),
    };
    collector.print(format, SharedOutput::new(state.output_lock()?, stdout))?;
    Ok(collector)
}

fn options(args: &RunArgs) -> Options {
    Options {
        cluster_name: args.cluster_name.clone(),
        node: args.node.clone(),
        check_key_pair: tls::check,
        certificate_lapse: certificates::lapse,
        check_authorities: tls::check_authorities,
    }
}

/// How the workers run.
fn data_plane(args: &RunArgs, workers: usize, transparent: bool) -> proxy::Config {
    let limits = descriptors::limits(&args.limits, workers);
    proxy::Config { workers, pin: args.pin, transparent, limits }
}

/// As many as the cgroup and the affinity mask allow, at most [`WORKERS_MAX`].
fn workers(args: &RunArgs) -> usize {
    let allowed = || std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS_MAX);
    args.workers.map_or_else(allowed, usize::from)
}

const WORKERS_MAX: usize = 4;
/// Flow records that may wait for the collector, which comes by every few milliseconds.
const RING: usize = 8192;
/// How long a busy worker may delay the kernel's part of a change.
const PUBLISH_PATIENCE: Duration = Duration::from_millis(200);
const PUBLISH_POLL: Duration = Duration::from_micros(200);
/// Time for the last records to be printed.
const PRINT_PATIENCE: Duration = Duration::from_secs(1);

/// Gives the workers the sockets of datagrams that they begin with.
fn take_datagrams(
    proxy: &Proxy,
    gateways: Vec<(usize, UdpSocket)>,
    transparent: &Transparents,
) -> std::io::Result<()> {
    for (worker, socket) in gateways {
        proxy.listen_udp(worker, socket, ListenerKind::Gateway);
    }
    for one in &transparent.datagrams {
        proxy.listen_udp(one.worker, one.socket.try_clone()?, ListenerKind::Transparent);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
