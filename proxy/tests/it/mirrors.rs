//! Copies of requests that nobody waits for.

use std::time::Duration;

use model::route::{BackendTarget, Filter, Mirror};
use model::service::BackendId;

use crate::backend::{Backend, respond};
use crate::client::{PATIENCE, Peer, pod, until};
use crate::world::{Plan, ingress, nothing};

fn mirror(service: u32, numerator: u32) -> Filter {
    Filter::Mirror(Mirror { target: BackendTarget::Service(BackendId(service)), numerator, denominator: 100 })
}

#[test]
fn a_mirror_gets_a_copy_with_its_body() {
    let (main, copy) = (Backend::echo("main"), Backend::echo("copy"));
    let plan = Plan::new(&[main.address]).service(&[copy.address]);
    let world = plan.filtered("/", vec![mirror(1, 100)]).start();
    let mut client = Peer::connect(world.gateway);
    client.send("POST /x?y=1 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhe");
    client.send("llo");
    assert!(client.response().body.starts_with("main\n"));
    until("a copy", || copy.requests() == 1);
    client.get("/second");
    until("another", || copy.requests() == 2);
    copy.request(0, |request| {
        assert!(request.head.starts_with("POST /x?y=1 HTTP/1.1\r\n"), "{}", request.head);
        assert_eq!(request.body, "hello");
    });
    assert_eq!(main.requests(), 2);
}

#[test]
fn a_mirror_neither_delays_nor_fails_the_request() {
    let main = Backend::echo("main");
    let silent = Backend::script(|mut peer, _| drop(peer.rest()));
    let closed = crate::failures::closed_port();
    let plan = Plan::new(&[main.address]).service(&[silent.address]).service(&[closed]).service(&[]);
    let world = plan.filtered("/", vec![mirror(1, 100), mirror(2, 100), mirror(3, 100)]).start();
    let mut client = Peer::connect(world.gateway);
    for _ in 0..5 {
        assert_eq!(client.get("/").status(), 200);
    }
    until("the silent one was asked", || silent.connections() > 0);
}

#[test]
fn a_long_body_is_not_mirrored_and_a_share_is_kept() {
    let (main, copy) = (Backend::echo("main"), Backend::echo("copy"));
    let plan = Plan::new(&[main.address]).service(&[copy.address]);
    let plan = plan.filtered("/none", vec![mirror(1, 0)]).filtered("/", vec![mirror(1, 100)]);
    let world = plan.limits(|limits| limits.mirror_bytes = 10).start();
    let mut client = Peer::connect(world.gateway);
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 11\r\n\r\nhello world");
    assert_eq!(client.response().status(), 200);
    client.get("/none");
    client.get("/last");
    until("the last copy", || copy.requests() == 1);
    copy.request(0, |request| assert!(request.head.starts_with("GET /last ")));
    assert_eq!(world.proxy().stats().limit_mirror, 1);
}

#[test]
fn a_mirror_leads_around_no_policy() {
    let (main, copy) = (Backend::echo("main"), Backend::echo_at(pod(7), "copy"));
    let plan = Plan::new(&[main.address]).service(&[copy.address]).pod(7, ingress(nothing()));
    let world = plan.clone().filtered("/", vec![mirror(1, 100)]).start();
    assert_eq!(Peer::connect(world.gateway).get("/").status(), 200);
    assert_eq!(world.proxy().stats().mirrored, 0);
    assert_eq!(copy.connections(), 0);
}

#[test]
fn a_mirror_that_takes_too_long_is_given_up() {
    let main = Backend::echo("main");
    let silent = Backend::script(|mut peer, _| drop(peer.rest()));
    let plan = Plan::new(&[main.address]).service(&[silent.address]).filtered("/", vec![mirror(1, 100)]);
    let world = plan
        .limits(|limits| {
            limits.mirrors = 1;
            // The first is under way when the second comes, also on a busy machine.
            limits.mirror_timeout = Duration::from_secs(3);
        })
        .start();
    let mut client = Peer::connect(world.gateway);
    assert_eq!((client.get("/").status(), client.get("/").status()), (200, 200));
    until("the first is given up", || world.proxy().stats().limit_mirror_timeout == 1);
    let stats = world.proxy().stats();
    assert_eq!((stats.mirrored, stats.limit_mirror), (1, 1), "the second was one too many");
    client.get("/");
    until("there is room again", || world.proxy().stats().mirrored == 2);
}

#[test]
fn a_mirrored_body_is_passed_on_as_it_comes() {
    let (told, seen) = std::sync::mpsc::channel();
    let main = Backend::script(move |mut peer, _| {
        while peer.head().is_some() {
            for part in ["hel", "lo"] {
                told.send(peer.take(part.len())).unwrap();
            }
            peer.send(&respond(200, "ok"));
        }
    });
    // It accepts and never reads: a copy fills its socket at most.
    let stuck = Backend::script(|peer, _| {
        std::thread::park();
        drop(peer);
    });
    let plan = Plan::new(&[main.address]).service(&[stuck.address]);
    let world = plan.filtered("/", vec![mirror(1, 100)]).start();
    let mut client = Peer::connect(world.gateway);
    for _ in 0..3 {
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhel");
        assert_eq!(seen.recv_timeout(PATIENCE).unwrap(), b"hel", "before the rest is there");
        client.send("lo");
        assert_eq!(seen.recv_timeout(PATIENCE).unwrap(), b"lo");
        assert_eq!(client.response().status(), 200);
    }
    assert_eq!(world.proxy().stats().mirrored, 3);
}
