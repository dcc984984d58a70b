//! What happens to the proxy and behind it while the clients ask: one change after the other, each in
//! force before the next begins, so that it is known what is right.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::expect::{Expected, Names, names};
use super::random::Random;
use super::server::Server;
use super::shared::Shared;
use super::world::{FLAPPING, World};
use crate::Weir;

/// See the module.
pub(super) struct Changes<'w> {
    world: &'w World,
    weir: &'w Weir,
    shared: &'w Shared,
    servers: &'w [Server],
    random: Random,
    listed: [[bool; 2]; FLAPPING.len()],
    weights: [u32; 2],
    allowed: bool,
    extra: bool,
    certificate: usize,
}

impl<'w> Changes<'w> {
    pub(super) fn new(
        world: &'w World,
        weir: &'w Weir,
        shared: &'w Shared,
        servers: &'w [Server],
        seed: u64,
    ) -> Self {
        Self {
            world,
            weir,
            shared,
            servers,
            random: Random::new(seed),
            listed: [[true; 2]; FLAPPING.len()],
            weights: [1, 1],
            allowed: true,
            extra: false,
            certificate: 0,
        }
    }

    /// Makes one change, by chance.
    pub(super) fn change(&mut self) {
        match self.random.below(9) {
            0 | 1 => self.flap(),
            2 => self.weigh(),
            3 => self.toggle_policy(),
            4 => self.toggle_extra(),
            5 => self.renew(),
            6 | 7 => self.kill(),
            _ => self.roll(),
        }
    }

    /// Replaces the proxy and waits until the old one is gone, which follows no change any more.
    pub(super) fn restart(&mut self) {
        let old = self.weir.proxies();
        let replaced = || self.weir.log().lines().filter(|line| line.contains("replaced; the old")).count();
        let before = replaced();
        self.shared.restart(|| {
            Weir::signal(self.weir.supervisor(), Signal::USR2);
            wait("the proxy to be replaced", || replaced() > before);
        });
        wait("the old proxy to end", || self.weir.proxies().iter().all(|pid| !old.contains(pid)));
    }

    /// Writes files by `put` and waits until they are in force.
    fn write(weir: &Weir, put: impl FnOnce()) {
        let before = weir.revision();
        put();
        wait("a change to be in force", || weir.revision() > before);
    }

    /// Takes an endpoint out of a Service or puts it back; one at least stays.
    fn flap(&mut self) {
        let at = self.random.below(FLAPPING.len());
        let place = self.random.below(2);
        let mut listed = self.listed[at];
        listed[place] = !listed[place];
        if listed != [false, false] {
            self.list(&[(at, listed)]);
        }
    }

    /// Has the Services at these places list these endpoints, and what follows from it be expected.
    fn list(&mut self, changes: &[(usize, [bool; 2])]) {
        for (at, listed) in changes {
            let flapping = &FLAPPING[*at];
            self.listed[*at] = *listed;
            let (world, weir) = (self.world, self.weir);
            let put = || Self::write(weir, || world.list(flapping, *listed));
            let expected = names(&flapping.listed(*listed));
            let shared = self.shared;
            match flapping.name {
                "a" => {
                    let (split, extra) = (self.split(), self.extra(self.extra));
                    let put = || shared.extra.change(extra, put);
                    let put = || shared.split.change(split, put);
                    shared.a.change(expected, put);
                }
                "b" => {
                    let split = self.split();
                    shared.b.change(expected, || shared.split.change(split, put));
                }
                "tcp" => shared.tcp.change(expected, put),
                _ => shared.udp.change(expected, put),
            }
        }
    }

    fn names_of(&self, service: &str) -> Names {
        let at = FLAPPING.iter().position(|flapping| flapping.name == service);
        at.map(|at| names(&FLAPPING[at].listed(self.listed[at]))).unwrap_or_default()
    }

    /// Who answers on the route with weights.
    fn split(&self) -> Names {
        let weighed = ["a", "b"].into_iter().zip(self.weights).filter(|(_, weight)| *weight > 0);
        weighed.flat_map(|(service, _)| self.names_of(service)).collect()
    }

    /// Who answers on the route that is there at times.
    fn extra(&self, is_there: bool) -> Names {
        if is_there { self.names_of("a") } else { names(&["404"]) }
    }

    fn weigh(&mut self) {
        let choices = [[1, 0], [0, 1], [1, 1], [90, 10]];
        let weights = choices[self.random.below(choices.len())];
        if weights != self.weights {
            self.weights = weights;
            self.put(&self.shared.split, self.split(), || self.world.weigh(weights));
        }
    }

    fn toggle_policy(&mut self) {
        self.allowed = !self.allowed;
        let right = if self.allowed { "c1" } else { "403" };
        self.put(&self.shared.policed, names(&[right]), || self.world.allow(self.allowed));
    }

    fn toggle_extra(&mut self) {
        self.extra = !self.extra;
        self.put(&self.shared.extra, self.extra(self.extra), || self.world.extra(self.extra));
    }

    fn renew(&mut self) {
        self.certificate = (self.certificate + 1) % 3;
        let right = names(&[self.certificate.to_string()]);
        self.put(&self.shared.certificate, right, || self.world.show(self.certificate));
    }

    fn put(&self, expected: &Expected, right: Names, put: impl FnOnce()) {
        expected.change(right, || Self::write(self.weir, put));
    }

    /// A server that is not the only one listed anywhere.
    fn spare(&mut self) -> &'w Server {
        // `c1` is alone.
        let choice = &self.servers[self.random.below(4)];
        for (at, flapping) in FLAPPING.iter().enumerate() {
            if flapping.place(choice.name).is_some() && self.listed[at] != [true, true] {
                self.list(&[(at, [true, true])]);
            }
        }
        choice
    }

    /// Kills a server that is listed and stays so, and has it return after a while.
    fn kill(&mut self) {
        let server = self.spare();
        self.shared.kills.during(server.name, || server.die());
        thread::sleep(self.random.about(Duration::from_millis(700)));
        server.come_back();
    }

    /// Replaces a server as a Deployment does: first it is listed no more, then it ends, and when it is
    /// there again it is listed. No request may fail.
    fn roll(&mut self) {
        let server = self.spare();
        let places = FLAPPING.iter().enumerate();
        let listing: Vec<(usize, usize)> = places
            .filter(|(_, flapping)| flapping.name != "udp")
            .filter_map(|(at, flapping)| Some((at, flapping.place(server.name)?)))
            .collect();
        let without: Vec<_> = listing.iter().map(|(at, place)| (*at, [*place != 0, *place != 1])).collect();
        self.list(&without);
        // What lasts is cut; requests are with the others by now.
        self.shared.kills.during(server.name, || server.leave());
        server.come_back();
        let all: Vec<_> = listing.iter().map(|(at, _)| (*at, [true, true])).collect();
        self.list(&all);
    }
}

/// Waits for what takes as long as it takes on a busy machine.
pub(super) fn wait(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < LONGEST, "waited {LONGEST:?} for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

const LONGEST: Duration = Duration::from_secs(180);
