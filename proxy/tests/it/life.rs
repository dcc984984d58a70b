//! Limits, changes under load, draining.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use model::flow::FlowReason;

use crate::backend::Backend;
use crate::client::{Peer, until};
use crate::world::{Plan, egress, nothing};

#[test]
fn publishing_under_load_fails_no_request() {
    let (a, b) = (Backend::echo("a"), Backend::echo("b"));
    let plans = [Plan::new(&[a.address]), Plan::new(&[b.address]).pod(9, egress(nothing()))];
    let mut world = plans[0].start();
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (stop, done, gateway) = (stop.clone(), done.clone(), world.gateway);
            std::thread::spawn(move || {
                let mut client = Peer::connect(gateway);
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(client.get("/").status(), 200);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for round in 0..100 {
        let before = done.load(Ordering::Relaxed);
        world.publish(&plans[round % 2]);
        until("requests go on", || done.load(Ordering::Relaxed) > before + 8);
    }
    stop.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(a.requests() > 0 && b.requests() > 0);
}

#[test]
fn connections_are_limited_in_all_and_per_pod() {
    let backend = Backend::echo("b");
    let plan = Plan::new(&[backend.address]).pod(9, Default::default()).pod(8, Default::default());
    let world = plan.clone().limits(|limits| limits.connections_per_pod = 2).start();
    let mut kept: Vec<Peer> = (0..2).map(|_| Peer::from_pod(9, world.gateway)).collect();
    kept.iter_mut().for_each(|client| assert_eq!(client.get("/").status(), 200));
    assert!(Peer::from_pod(9, world.gateway).is_closed());
    assert_eq!(Peer::from_pod(8, world.gateway).get("/").status(), 200);
    drop(kept);
    until("both are gone", || world.proxy().stats().open == 0);
    assert_eq!(Peer::from_pod(9, world.gateway).get("/").status(), 200);
    assert_eq!(world.proxy().stats().limit_connections_per_pod, 1);

    let world = plan.limits(|limits| limits.connections = 1).start();
    let mut first = Peer::connect(world.gateway);
    assert_eq!(first.get("/").status(), 200);
    assert!(Peer::connect(world.gateway).is_closed());
    assert_eq!(world.proxy().stats().limit_connections, 1);
}

#[test]
fn memory_is_limited_per_pod() {
    let backend = Backend::echo("b");
    let plan = Plan::new(&[backend.address]).pod(9, Default::default()).pod(8, Default::default());
    let mut world = plan.limits(|limits| limits.buffered_bytes_per_pod = 64 * 1024).start();
    let begun = |last| {
        let mut client = Peer::from_pod(last, world.gateway);
        client.send(&format!("GET / HTTP/1.1\r\nHost: a.test\r\nX: {}", "x".repeat(10_000)));
        client
    };
    let kept: Vec<Peer> = (0..5).map(|_| begun(9)).collect();
    until("one of the five is closed", || world.proxy().stats().limit_buffered == 1);
    until("it is gone", || world.proxy().stats().open == 4);
    assert_eq!(world.flow().reason, FlowReason::Limit);
    assert_eq!(Peer::from_pod(8, world.gateway).get("/").status(), 200, "other pods have their own");
    drop(kept);
    until("all are gone", || world.proxy().stats().open == 0);
    assert_eq!(Peer::from_pod(9, world.gateway).get("/").status(), 200, "it was given back");
}

#[test]
fn draining_finishes_what_is_under_way() {
    let (told, asked) = std::sync::mpsc::channel();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let backend = Backend::script(move |mut peer, _| {
        while peer.request().is_some() {
            let _ = told.send(());
            if wait.lock().unwrap().recv().is_err() {
                return;
            }
            peer.send(&crate::backend::respond(200, "done"));
        }
    });
    let mut world = Plan::new(&[backend.address]).start();
    let mut idle = Peer::connect(world.gateway);
    go.send(()).unwrap();
    assert_eq!(idle.get("/").body, "done");
    asked.recv().unwrap();
    let mut busy = Peer::connect(world.gateway);
    busy.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    asked.recv().unwrap();
    let proxy = world.proxy.take().unwrap();
    let draining = std::thread::spawn(move || proxy.drain(Duration::from_secs(60)));
    assert!(idle.is_closed());
    until("nobody listens", || std::net::TcpStream::connect(world.gateway).is_err());
    go.send(()).unwrap();
    let answer = busy.response();
    assert_eq!((&*answer.body, answer.header("connection")), ("done", Some("close")));
    assert!(busy.is_closed());
    drop(busy);
    draining.join().unwrap();
}

#[test]
fn listeners_come_and_go() {
    let backend = Backend::echo("b");
    let plan = Plan::new(&[backend.address]);
    let world = plan.start();
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    world.proxy().listen(0, socket);
    // It is no Gateway's in the Snapshot: refused, and never dialled.
    assert!(Peer::connect(address).is_closed());
    world.proxy().unlisten(address);
    until("closed", || std::net::TcpStream::connect(address).is_err());
    world.proxy().unlisten(world.gateway);
    until("closed", || std::net::TcpStream::connect(world.gateway).is_err());
}

#[test]
fn dropping_the_proxy_ends_its_connections() {
    let backend = Backend::echo("b");
    let mut world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.gateway);
    assert_eq!(client.get("/").status(), 200);
    drop(world.proxy.take());
    assert!(client.is_closed());
}
