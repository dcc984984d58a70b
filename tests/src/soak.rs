//! A long run under everything at once: HTTP/1.1, HTTP/2, gRPC's framing, TLS, TCP, upgrades and UDP,
//! from a pod and from outside, while connections and servers come and go, routes, policies and
//! certificates change and the proxy is replaced. Every answer is checked to its last byte.
//!
//! A failure is excused by one of five rules only, which stand in `soak/shared.rs`: it was under way
//! at a server that was killed ([`shared::KILLED`]), it was a stream older than a restart by the drain
//! time-out ([`shared::DRAINED`]), HTTP/1.1's race on an idle connection ([`shared::QUIET`]), a GOAWAY of
//! HTTP/2 said that it was not looked at ([`shared::GOODBYE`]), or a policy withdrew its permission while
//! it was under way ([`shared::REVOKED`]).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use hyper::Version;

use crate::lab::{Host, NODE};
use crate::{Weir, until};

mod changes;
mod connection;
mod expect;
mod http;
mod measure;
mod random;
mod server;
mod shared;
mod streams;
mod world;

use changes::Changes;
use connection::Tls;
use http::{Habit, Way};
use measure::{Sample, all_descriptors, median};
use random::Random;
use server::{HTTP, Server};
use shared::Shared;
use streams::{Carrier, Hold};
use world::{World, at};

/// How to soak.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How long there is load.
    pub seconds: u64,
    /// How often the proxy is replaced, in the first third. Memory is compared after it.
    pub restarts: u64,
    /// Mean pause between two requests of one client.
    pub pause: Duration,
    /// Mean pause between two changes.
    pub change: Duration,
    /// `--drain-timeout`.
    pub drain: Duration,
    /// By how much the memory of the last window may exceed that of the first, in percent.
    pub growth_percent: u64,
    /// Where chance begins.
    pub seed: u64,
    /// How often to say how it goes.
    pub progress: Option<Duration>,
}

impl Plan {
    /// For so many seconds, an hour for instance.
    pub fn long(seconds: u64) -> Self {
        Self {
            seconds,
            restarts: (seconds / 200).clamp(2, 12),
            pause: Duration::from_millis(60),
            change: Duration::from_secs(2),
            drain: Duration::from_secs(10),
            growth_percent: 5,
            seed: u64::from(std::process::id()),
            progress: Some(Duration::from_secs(60)),
        }
    }

    /// As short as may be.
    pub fn short() -> Self {
        Self {
            seconds: 20,
            restarts: 1,
            pause: Duration::from_millis(80),
            change: Duration::from_millis(300),
            drain: Duration::from_secs(4),
            // A proxy of some seconds still fills its caches.
            growth_percent: 30,
            progress: None,
            ..Self::long(20)
        }
    }

    /// The end of the first third, in which the proxy is replaced.
    fn third(&self) -> Duration {
        Duration::from_secs(self.seconds) / 3
    }

    /// When the run is over whose last replacement was: two thirds follow it, however long that took.
    fn end(&self, replaced: Duration) -> Duration {
        Duration::from_secs(self.seconds).max(replaced + 2 * self.third())
    }
}

/// What was done to the proxy while there was load.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    changes: u64,
    restarts: u64,
    /// When the last replacement was over.
    replaced: Duration,
}

/// What a soak has shown.
#[derive(Clone, Debug)]
pub struct Report {
    /// Right answers, by what asked.
    pub right: BTreeMap<&'static str, u64>,
    /// Failures, by the rule that excuses them.
    pub excused: BTreeMap<&'static str, u64>,
    /// How many answers were wrong: what no rule excuses.
    pub wrong_count: u64,
    /// The first of them in words.
    pub wrong: Vec<String>,
    /// How often the proxy was replaced.
    pub restarts: u64,
    /// Changes of the configuration and of the servers.
    pub changes: u64,
    /// Medians of memory in KiB (PSS without files, supervisor and proxy): warmed up, and at the end.
    pub memory_kib: [u64; 2],
    /// Descriptors of the same before the load and after it.
    pub descriptors: [usize; 2],
    /// What else is not as it should be.
    pub faults: Vec<String>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.wrong_count == 0 && self.faults.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answers: u64 = self.right.values().sum();
        writeln!(f, "{answers} right answers: {:?}", self.right)?;
        writeln!(f, "{} changes, {} restarts", self.changes, self.restarts)?;
        writeln!(f, "excused: {:?}", self.excused)?;
        writeln!(f, "memory (PSS, KiB) warmed up and at the end: {:?}", self.memory_kib)?;
        writeln!(f, "descriptors before and after: {:?}", self.descriptors)?;
        for fault in &self.faults {
            writeln!(f, "FAULT: {fault}")?;
        }
        writeln!(f, "wrong: {}", self.wrong_count)?;
        self.wrong.iter().try_for_each(|line| writeln!(f, "WRONG: {line}"))
    }
}

/// Soaks the built binary.
pub fn run(plan: &Plan) -> Report {
    let world = World::new();
    let drain = plan.drain.as_secs().to_string();
    let idle = format!("drain_idle={}s", http::DRAIN_IDLE.as_secs());
    let flags = ["--node", NODE, "--drain-timeout", &drain, "--limit", &idle];
    let weir = Weir::start_with(&world.lab, &flags);
    weir.forget_flows();
    let shared = Arc::new(Shared::new(plan.drain));
    let tls = Arc::new(Tls::new(world.certificates()));
    thread::scope(|scope| {
        // Ends the clients if a change panics: the scope waits for them.
        let over = Over(&shared);
        let servers: Vec<Server> = ["a1", "a2", "b1", "b2", "c1"]
            .map(|name| {
                let (server, serving) = Server::new(name);
                let host = world.server(name);
                scope.spawn(move || serving.run(host));
                until("a server to listen", || host.connect(host.at(HTTP)).ok());
                server
            })
            .into();
        let before = all_descriptors(&weir);
        let clients: Vec<_> = [(&world.frontend, true), (&world.outside, false)]
            .map(|(host, is_pod)| {
                let (shared, tls, plan, policed) =
                    (shared.clone(), tls.clone(), plan.clone(), world.server("c1"));
                scope.spawn(move || clients(host, is_pod.then_some(policed), &shared, &tls, &plan))
            })
            .into();
        let samples = Mutex::new(Vec::new());
        let sampling = AtomicBool::new(true);
        let begun = Instant::now();
        let done = thread::scope(|inner| {
            let stops = Stops(&sampling);
            inner.spawn(|| sample(plan, &weir, &shared, begun, (&sampling, &samples)));
            let mut changes = Changes::new(&world, &weir, &shared, &servers, plan.seed);
            let done = disturb(plan, &mut changes, begun);
            drop(stops);
            done
        });
        drop(over);
        clients.into_iter().for_each(|client| client.join().expect("a client does not panic"));
        drop(servers);
        let samples = samples.into_inner().expect("no panic while it is held");
        world.end_datagrams();
        let after = settle(&weir, before);
        report(plan, &weir, &shared, done, (&samples, [before, after]))
    })
}

/// Ends the clients when dropped.
struct Over<'s>(&'s Shared);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Ends the sampling when dropped.
struct Stops<'s>(&'s AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// Makes changes for as long as the plan says.
fn disturb(plan: &Plan, changes: &mut Changes<'_>, begun: Instant) -> Done {
    let mut random = Random::new(plan.seed);
    let mut done = Done::default();
    while begun.elapsed() < plan.end(done.replaced) {
        thread::sleep(random.about(plan.change));
        let due = plan.third() * u32::try_from(done.restarts + 1).unwrap_or(u32::MAX)
            / u32::try_from(plan.restarts + 1).unwrap_or(u32::MAX);
        if done.restarts < plan.restarts && begun.elapsed() >= due {
            changes.restart();
            done.restarts += 1;
            done.replaced = begun.elapsed();
        } else {
            changes.change();
            done.changes += 1;
        }
    }
    done
}

/// Looks at the processes at regular times, and says how it goes.
fn sample(
    plan: &Plan,
    weir: &Weir,
    shared: &Shared,
    begun: Instant,
    (sampling, samples): (&AtomicBool, &Mutex<Vec<Sample>>),
) {
    let pause = (Duration::from_secs(plan.seconds) / 400).clamp(SAMPLE_LEAST, SAMPLE_MOST);
    let (mut said, mut shown) = (Instant::now(), 0);
    while sampling.load(Ordering::SeqCst) {
        thread::sleep(pause);
        let sample = Sample::take(weir, begun.elapsed());
        samples.lock().expect("no panic while it is held").push(sample);
        if plan.progress.is_some_and(|every| said.elapsed() >= every) {
            said = Instant::now();
            let tally = shared.tally();
            tally.wrong[shown..].iter().for_each(|line| println!("WRONG: {line}"));
            shown = tally.wrong.len();
            let answers: u64 = tally.right.values().sum();
            println!(
                "{:>5} s: {answers} right, {} excused, {} wrong; {} KiB, {} descriptors",
                sample.at.as_secs(),
                tally.excused.values().sum::<u64>(),
                tally.wrong_count,
                sample.pss_kib,
                sample.descriptors
            );
        }
    }
}

const SAMPLE_LEAST: Duration = Duration::from_millis(200);
const SAMPLE_MOST: Duration = Duration::from_secs(10);

/// Every way that the clients of one host ask.
fn ways(is_pod: bool, policed: Option<&Host>) -> Vec<(Way, usize)> {
    let gateway = |port, what, version, prefix, habit| {
        let expected: fn(&Shared) -> &expect::Expected = match prefix {
            "/a" => |shared| &shared.a,
            "/b" => |shared| &shared.b,
            "/split" => |shared| &shared.split,
            _ => |shared| &shared.extra,
        };
        Way { what, to: at(port), secured: port == 8443, version, prefix, expected, habit }
    };
    let (one, two) = (Version::HTTP_11, Version::HTTP_2);
    let mut ways = vec![
        (gateway(8080, "http1 fresh", one, "/a", Habit::Fresh), 2),
        (gateway(8080, "http1 kept", one, "/split", Habit::Kept), 3),
        (gateway(8080, "http1 to http2", one, "/b", Habit::Kept), 1),
        (gateway(8080, "http2", two, "/split", Habit::Streams(4)), 1),
        (gateway(8080, "http2 to http1", two, "/a", Habit::Streams(2)), 1),
        (gateway(8443, "tls http1", one, "/a", Habit::Kept), 1),
        (gateway(8443, "tls fresh", one, "/b", Habit::Fresh), 1),
        (gateway(8443, "tls http2", two, "/split", Habit::Streams(3)), 1),
        (gateway(8080, "grpc", two, "/b", Habit::Calls(2)), 1),
        (gateway(8443, "tls grpc", two, "/b", Habit::Calls(2)), 1),
        (gateway(8080, "route at times", one, "/extra", Habit::Plain), 1),
    ];
    if is_pod {
        let service = |what, ip: [u8; 4], version, prefix, habit| Way {
            to: (ip, 80).into(),
            ..gateway(80, what, version, prefix, habit)
        };
        ways.push((service("cluster ip", [10, 96, 0, 1], one, "/a", Habit::Kept), 1));
        ways.push((service("cluster ip http2", [10, 96, 0, 2], two, "/b", Habit::Streams(2)), 1));
    }
    if let Some(host) = policed {
        let way = gateway(80, "policed", one, "/toggled", Habit::Plain);
        ways.push((Way { to: host.at(HTTP), expected: |shared| &shared.policed, ..way }, 1));
    }
    ways
}

/// Runs the clients of one host until it is over.
fn clients(host: &Host, policed: Option<&Host>, shared: &Arc<Shared>, tls: &Arc<Tls>, plan: &Plan) {
    host.ns.enter(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let mut random = Random::new(plan.seed ^ u64::from(u32::from(host.v4)));
            let mut asking = tokio::task::JoinSet::new();
            for (way, count) in ways(policed.is_some(), policed) {
                for _ in 0..count {
                    asking.spawn(http::ask(shared.clone(), tls.clone(), way, random.next(), plan.pause));
                }
            }
            let carriers = [(Carrier::Tcp, 9000), (Carrier::Upgrade, 8080), (Carrier::Stream, 8080)];
            for (carrier, port) in carriers {
                for hold in [Hold::Short, Hold::Long] {
                    let (shared, seed) = (shared.clone(), random.next());
                    asking.spawn(streams::hold(shared, at(port), carrier, hold, seed, plan.pause));
                }
            }
            asking.spawn(streams::datagrams(shared.clone(), at(9053), random.next(), plan.pause));
            asking.join_all().await;
        });
    });
}

/// Waits until the processes hold no more descriptors than before the load; how many they do hold.
fn settle(weir: &Weir, before: usize) -> usize {
    let begun = Instant::now();
    loop {
        let now = all_descriptors(weir);
        if now <= before || begun.elapsed() > SETTLE {
            return now;
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// Longer than any idle time-out of the proxy.
const SETTLE: Duration = Duration::from_secs(100);

fn report(
    plan: &Plan,
    weir: &Weir,
    shared: &Shared,
    done: Done,
    (samples, descriptors): (&[Sample], [usize; 2]),
) -> Report {
    let tally = shared.tally();
    let mut faults = Vec::new();
    // Only one proxy is there from then on. It has warmed up after a fifth of the time.
    let (begun, end) = (done.replaced, plan.end(done.replaced));
    let at = |percent| begun + (end - begun) * percent / 100;
    let medians =
        [(20, 40), (80, 100)].map(|(from, to)| median(samples, at(from), at(to)).unwrap_or_default());
    let most = medians[0] * (100 + plan.growth_percent) / 100;
    if medians[0] == 0 || medians[1] > most {
        faults
            .push(format!("memory grew from {} to {} KiB, at most {most} are fine", medians[0], medians[1]));
    }
    if descriptors[1] > descriptors[0] {
        let [before, after] = descriptors;
        let kinds = measure::kinds(weir);
        faults
            .push(format!("{after} descriptors after {SETTLE:?} without load, {before} before it: {kinds}"));
    }
    for what in EVERYTHING {
        if !tally.right.contains_key(what) {
            faults.push(format!("not one right answer to {what}"));
        }
    }
    let log = weir.log();
    if let Some(line) = log.lines().find(|line| line.contains("panicked") || line.contains("killed")) {
        faults.push(format!("weir's log: {line}"));
    }
    let memory_kib = medians;
    let (right, excused, wrong, wrong_count) = (tally.right, tally.excused, tally.wrong, tally.wrong_count);
    let Done { changes, restarts, .. } = done;
    Report { right, excused, wrong_count, wrong, restarts, changes, memory_kib, descriptors, faults }
}

/// What must have been answered rightly at least once.
const EVERYTHING: [&str; 18] = [
    "http1 fresh",
    "http1 kept",
    "http1 to http2",
    "http2",
    "http2 to http1",
    "tls http1",
    "tls fresh",
    "tls http2",
    "grpc",
    "tls grpc",
    "route at times",
    "cluster ip",
    "cluster ip http2",
    "policed",
    "tcp",
    "upgrade",
    "http2 stream",
    "udp",
];
