//! Endpoints that fail are left out, limits hold, near endpoints come first.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use model::flow::FlowReason;
use model::route::RouteRule;
use model::service::BackendId;
use model::traffic::{Algorithm, Breaker, Locality, Outlier, TrafficPolicy};

use crate::backend::{Backend, respond};
use crate::client::{PATIENCE, Peer, until};
use crate::failures::closed_port;
use crate::world::{Plan, World, rule, to};

const OUTLIER: Outlier = Outlier { consecutive_errors: 3, ..Outlier::DEFAULT };

fn outlier(policy: Outlier) -> TrafficPolicy {
    TrafficPolicy { outlier: Some(policy), ..TrafficPolicy::default() }
}

fn breaker(breaker: Breaker) -> TrafficPolicy {
    TrafficPolicy { breaker, ..TrafficPolicy::default() }
}

/// The statuses of so many requests, each on a connection of its own.
fn statuses(world: &World, path: &str, count: usize) -> Vec<u16> {
    (0..count).map(|_| Peer::connect(world.gateway).get(path).status()).collect()
}

/// An endpoint that answers once it is told to.
fn held() -> (Backend, Arc<AtomicBool>) {
    let free = Arc::new(AtomicBool::new(false));
    let told = free.clone();
    let backend = Backend::script(move |mut peer, log| {
        while let Some(request) = peer.request() {
            log.lock().unwrap().push(request);
            until("told to answer", || told.load(Ordering::SeqCst));
            if peer.try_send(&respond(200, "ok")).is_err() {
                return;
            }
        }
    });
    (backend, free)
}

/// Sends a request and leaves it there.
fn ask(world: &World) -> Peer {
    let mut client = Peer::connect(world.gateway);
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    client
}

#[test]
fn an_endpoint_that_fails_is_left_out() {
    let (bad, good) = (Backend::always(respond(500, "")), Backend::echo("good"));
    let plan = Plan::new(&[bad.address, good.address]);
    let world = plan.clone().traffic(outlier(OUTLIER)).start();
    let failed = statuses(&world, "/", 60).iter().filter(|status| **status == 500).count();
    assert_eq!((failed, bad.requests()), (3, 3));
    let stats = world.proxy().stats();
    assert_eq!((stats.ejections, stats.ejected), (1, 1));
    // Not unless it is asked for.
    let world = plan.start();
    assert!(statuses(&world, "/", 60).iter().filter(|status| **status == 500).count() > 3);
    assert_eq!(world.proxy().stats().ejections, 0);
}

#[test]
fn one_success_resets_the_count() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let backend = Backend::script(move |mut peer, _| {
        while peer.request().is_some() {
            let status = if count.fetch_add(1, Ordering::SeqCst) % 3 == 2 { 200 } else { 500 };
            peer.send(&respond(status, ""));
        }
    });
    let world = Plan::new(&[backend.address]).traffic(outlier(OUTLIER)).start();
    let statuses = statuses(&world, "/", 30);
    assert_eq!(statuses.iter().filter(|status| **status == 500).count(), 20);
    assert_eq!(world.proxy().stats().ejections, 0);
}

#[test]
fn connections_refused_and_broken_off_count_too() {
    let reset = Backend::script(|mut peer, _| {
        peer.head();
        peer.abort();
    });
    let good = Backend::echo("good");
    for (bad, retried) in [(closed_port(), 3), (reset.address, 0)] {
        let world = Plan::new(&[bad, good.address]).traffic(outlier(OUTLIER)).start();
        let failed = statuses(&world, "/", 60).iter().filter(|status| **status != 200).count();
        let stats = world.proxy().stats();
        assert_eq!((stats.ejections, stats.retries), (1, retried), "{bad}");
        assert_eq!(failed, 3 - usize::try_from(retried).unwrap());
    }
}

/// Nothing is under way at an endpoint that is gone: by load it would be the first choice of all.
#[test]
fn an_endpoint_that_cannot_be_reached_is_not_sought_by_every_request() {
    let good = Backend::echo("good");
    let world = Plan::new(&[closed_port(), good.address]).start();
    assert_eq!(statuses(&world, "/", 100), [200; 100]);
    let retries = world.proxy().stats().retries;
    // One in a second.
    assert!((1..=20).contains(&retries), "{retries}");
}

#[test]
fn it_comes_back() {
    let short = Outlier { base_ejection: Duration::from_millis(300), ..OUTLIER };
    let (bad, good) = (Backend::always(respond(500, "")), Backend::echo("good"));
    let world = Plan::new(&[bad.address, good.address]).traffic(outlier(short)).start();
    // It may be over by the time that it is seen.
    until("it is ejected", || {
        statuses(&world, "/", 1);
        world.proxy().stats().ejections == 1
    });
    until("it is back", || world.proxy().stats().ejected == 0);
    let before = bad.requests();
    until("it is ejected again", || {
        statuses(&world, "/", 1);
        world.proxy().stats().ejections == 2
    });
    assert_eq!(bad.requests(), before + 3, "it begins anew");
}

#[test]
fn all_are_used_when_all_fail() {
    let bad = [Backend::always(respond(500, "")), Backend::always(respond(501, ""))];
    let endpoints = [bad[0].address, bad[1].address];
    for (percent, ejections) in [(50, 1), (100, 2)] {
        let policy = Outlier { max_ejected_percent: percent, ..OUTLIER };
        let world = Plan::new(&endpoints).traffic(outlier(policy)).start();
        let statuses = statuses(&world, "/", 60);
        assert!(statuses.iter().all(|status| *status == 500 || *status == 501), "answered by endpoints");
        assert_eq!(world.proxy().stats().ejections, ejections, "{percent}%");
        let last = &statuses[20..];
        assert_eq!(last.contains(&500) && last.contains(&501), percent == 100);
    }
}

#[test]
fn the_state_is_the_endpoints_whatever_leads_there() {
    let (bad, good) = (Backend::always(respond(500, "")), Backend::echo("good"));
    let endpoints = [bad.address, good.address];
    let other = RouteRule { backends: vec![to(1, 1)], ..rule() };
    let world =
        Plan::new(&endpoints).service(&endpoints).route("/other", other).traffic(outlier(OUTLIER)).start();
    statuses(&world, "/", 60);
    assert_eq!(bad.requests(), 3);
    assert!(statuses(&world, "/other", 40).iter().all(|status| *status == 200));
    assert_eq!(bad.requests(), 3, "the other Service knows");
}

#[test]
fn requests_are_limited() {
    let (backend, free) = held();
    let plan = Plan::new(&[backend.address]);
    let mut world = plan.traffic(breaker(Breaker { requests: Some(2), ..Breaker::default() })).start();
    let mut under_way = [ask(&world), ask(&world)];
    until("both are there", || backend.requests() == 2);
    assert_eq!(statuses(&world, "/", 2), [503, 503]);
    assert_eq!(world.flow().reason, FlowReason::Overloaded);
    assert_eq!(world.proxy().stats().breaker_requests, 2);
    free.store(true, Ordering::SeqCst);
    under_way.iter_mut().for_each(|client| assert_eq!(client.response().status(), 200));
    until("there is room", || statuses(&world, "/", 1) == [200]);
}

#[test]
fn a_full_endpoint_is_left_for_another() {
    for limits in [
        Breaker { endpoint_requests: Some(1), ..Breaker::default() },
        Breaker { endpoint_connections: Some(1), ..Breaker::default() },
    ] {
        let ((one, _), (two, _)) = (held(), held());
        let world = Plan::new(&[one.address, two.address]).traffic(breaker(limits)).start();
        let _first = ask(&world);
        until("the first is there", || one.requests() + two.requests() == 1);
        let _second = ask(&world);
        until("the second is there", || one.requests() + two.requests() == 2);
        assert_eq!((one.requests(), two.requests()), (1, 1), "{limits:?}");
        assert_eq!(statuses(&world, "/", 1), [503]);
        assert_eq!(world.proxy().stats().breaker_connections, 1);
    }
}

#[test]
fn connections_are_limited_and_idle_ones_make_way() {
    let limits = Breaker { connections: Some(1), ..Breaker::default() };
    let (backend, free) = held();
    let world = Plan::new(&[backend.address]).traffic(breaker(limits)).start();
    let mut first = ask(&world);
    until("the first is there", || backend.requests() == 1);
    assert_eq!(statuses(&world, "/", 1), [503], "refused rather than queued");
    free.store(true, Ordering::SeqCst);
    assert_eq!(first.response().status(), 200);
    until("there is room", || statuses(&world, "/", 1) == [200]);
    assert_eq!(backend.connections(), 1);

    let backends = [Backend::echo("a"), Backend::echo("b"), Backend::echo("c")];
    let endpoints: Vec<SocketAddr> = backends.iter().map(|backend| backend.address).collect();
    let world = Plan::new(&endpoints).traffic(breaker(limits)).start();
    let mut client = Peer::connect(world.gateway);
    assert!((0..60).all(|_| client.get("/").status() == 200));
    assert!(backends.iter().all(|backend| backend.requests() > 0));
}

#[test]
fn as_many_wait_as_may() {
    let limits = Breaker { connections: Some(1), pending: Some(1), ..Breaker::default() };
    let (backend, free) = held();
    let plan = Plan::new(&[backend.address]).traffic(breaker(limits));
    // Whoever waits is told, and does not find out in time by itself.
    let world = plan.clone().limits(|limits| limits.pending_timeout = 10 * PATIENCE).start();
    let mut first = ask(&world);
    until("the first is there", || backend.requests() == 1);
    let mut others = [ask(&world), ask(&world)];
    until("one of them is refused", || world.proxy().stats().breaker_pending == 1);
    free.store(true, Ordering::SeqCst);
    assert_eq!(first.response().status(), 200);
    let mut statuses = others.each_mut().map(|client| client.response().status());
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503], "the other one waited");
    assert_eq!(backend.connections(), 1);

    let (backend, _) = held();
    let plan = Plan { services: vec![vec![backend.address]], ..plan };
    let mut world = plan.limits(|limits| limits.pending_timeout = Duration::from_millis(200)).start();
    let _first = ask(&world);
    until("the first is there", || backend.requests() == 1);
    assert_eq!(self::statuses(&world, "/", 1), [503]);
    assert_eq!(world.flow().reason, FlowReason::Overloaded);
    assert_eq!(world.proxy().stats().limit_pending_timeout, 1);
}

/// Those who wait find no room over and over: they must not wake each other, or nobody else runs.
#[test]
fn waiting_costs_nothing() {
    let limits = Breaker { connections: Some(1), pending: Some(3), ..Breaker::default() };
    let (backend, free) = held();
    let plan = Plan::new(&[backend.address]).traffic(breaker(limits));
    let world = plan.limits(|limits| limits.pending_timeout = 10 * PATIENCE).start();
    let mut first = ask(&world);
    until("the first is there", || backend.requests() == 1);
    let mut others = [ask(&world), ask(&world), ask(&world)];
    let late = self::statuses(&world, "/", 1);
    assert_eq!(late, [503], "three wait");
    // Whoever is woken tries again; none of these was to be woken.
    assert_eq!(world.proxy().stats().retries, 0);
    free.store(true, Ordering::SeqCst);
    assert_eq!(first.response().status(), 200);
    for client in &mut others {
        assert_eq!(client.response().status(), 200);
    }
    assert_eq!(backend.connections(), 1);
}

#[test]
fn connections_of_bytes_are_limited_too() {
    let backend = Backend::script(|mut peer, _| {
        peer.send("hello");
        peer.rest();
    });
    let limits = Breaker { connections: Some(1), ..Breaker::default() };
    let mut world = Plan::new(&[backend.address]).traffic(breaker(limits)).start();
    let mut first = Peer::connect(world.service);
    assert_eq!(first.take(5), b"hello");
    assert!(Peer::connect(world.service).is_reset());
    assert_eq!(world.flow().reason, FlowReason::Overloaded);
    drop(first);
    until("there is room", || !Peer::connect(world.service).is_closed());
}

#[test]
fn mirrors_take_no_room_of_requests() {
    use model::route::{BackendTarget, Filter, Mirror};
    let (silent, _) = held();
    let main = Backend::echo("main");
    let mirror = |service| {
        Filter::Mirror(Mirror {
            target: BackendTarget::Service(BackendId(service)),
            numerator: 1,
            denominator: 1,
        })
    };
    let limits = Breaker { requests: Some(2), connections: Some(2), ..Breaker::default() };
    let to_other = RouteRule { filters: vec![mirror(1)], ..rule() };
    let itself = RouteRule { backends: vec![to(1, 1)], ..rule() };
    let plan =
        Plan::new(&[main.address]).service(&[silent.address]).route("/", to_other).route("/itself", itself);
    let world = plan.traffic(breaker(limits)).start();
    let mut client = Peer::connect(world.gateway);
    for _ in 0..10 {
        assert_eq!(client.get("/").status(), 200);
    }
    until("two copies are stuck", || silent.requests() == 2);
    assert_eq!(world.proxy().stats().mirrored, 2, "no more than the Service may have");
    // Its own requests still have their place.
    let mut asking = Peer::connect(world.gateway);
    asking.send("GET /itself HTTP/1.1\r\nHost: a.test\r\n\r\n");
    until("it is there", || silent.requests() == 3);
}

#[test]
fn near_endpoints_come_first() {
    let backends = [Backend::echo("node"), Backend::echo("zone"), Backend::echo("far")];
    let endpoints: Vec<SocketAddr> = backends.iter().map(|backend| backend.address).collect();
    let counts = || backends.iter().map(Backend::requests).collect::<Vec<_>>();
    for (locality, ready, want) in [
        (Locality::PreferNode, [true, true, true], [12, 0, 0]),
        (Locality::PreferNode, [false, true, true], [0, 12, 0]),
        (Locality::PreferZone, [true, true, true], [6, 6, 0]),
        (Locality::PreferZone, [false, false, true], [0, 0, 12]),
        (Locality::Any, [true, true, true], [4, 4, 4]),
    ] {
        let traffic =
            TrafficPolicy { locality, algorithm: Algorithm::RoundRobin, ..TrafficPolicy::default() };
        let plan = Plan::new(&endpoints).traffic(traffic);
        let mut world = plan.start();
        world.publish_changed(&plan, |snapshot| {
            (snapshot.node, snapshot.zone) = (Some("n1".into()), Some("z1".into()));
            let mut services = (*snapshot.backends).clone();
            let mut service = (*services[&BackendId(0)]).clone();
            let places = [("n1", "z1"), ("n2", "z1"), ("n3", "z2")];
            let mut list = service.endpoints.to_vec();
            for (endpoint, ((node, zone), ready)) in list.iter_mut().zip(places.into_iter().zip(ready)) {
                (endpoint.node, endpoint.zone) = (Some(node.into()), Some(zone.into()));
                endpoint.ready = ready;
            }
            service.endpoints = list.into();
            services.insert(BackendId(0), Arc::new(service));
            snapshot.backends = Arc::new(services);
        });
        let before = counts();
        statuses(&world, "/", 12);
        let got: Vec<_> = counts().iter().zip(before).map(|(now, before)| now - before).collect();
        assert_eq!(got, want, "{locality:?} {ready:?}");
    }
}
