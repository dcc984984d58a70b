//! What is tried again, and what never is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use model::flow::{FlowReason, FlowVerdict};
use model::route::{BackendTarget, Filter, Mirror, Retry, RouteRule, Timeouts};
use model::service::BackendId;
use model::traffic::{RetryBudget, TrafficPolicy};

use crate::backend::{Backend, respond};
use crate::client::{Peer, pod, until};
use crate::failures::closed_port;
use crate::world::{Plan, World, ingress, nothing, rule};

const NO_BUDGET: RetryBudget = RetryBudget {
    percent: 0,
    interval: Duration::from_secs(10),
    min_retries: 0,
    min_interval: Duration::from_secs(1),
};

fn retry(codes: &[u16], attempts: u32) -> RouteRule {
    RouteRule { retry: Some(Retry { codes: codes.to_vec(), attempts, backoff: None }), ..rule() }
}

/// An endpoint that answers this to the first requests, and 200 with the request's body after them.
fn failing(first: usize, answer: impl Into<String>) -> Backend {
    let (count, answer) = (Arc::new(AtomicUsize::new(0)), answer.into());
    Backend::script(move |mut peer, log| {
        while let Some(request) = peer.request() {
            let text = match count.fetch_add(1, Ordering::SeqCst) < first {
                true => answer.clone(),
                false => respond(200, &request.body),
            };
            log.lock().unwrap().push(request);
            // An empty answer stands for a close without one.
            if text.is_empty() || peer.try_send(&text).is_err() {
                return;
            }
        }
    })
}

#[test]
fn answers_are_tried_again_by_their_status() {
    for (codes, attempts, fails, status, requests) in [
        (&[503][..], 1, 1, 200, 2),
        (&[500, 503], 3, 3, 200, 4),
        (&[503], 2, 3, 503, 3),
        (&[503], 1, 2, 503, 2),
        (&[503], 0, 1, 503, 1),
        (&[500, 502], 3, 1, 503, 1),
        (&[], 3, 1, 503, 1),
    ] {
        for answer in [
            respond(503, "busy"),
            "HTTP/1.1 503 X\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbusy\r\n0\r\n\r\n".into(),
        ] {
            let backend = failing(fails, answer);
            let mut world = Plan::new(&[backend.address]).route("/", retry(codes, attempts)).start();
            let mut client = Peer::connect(world.gateway);
            let got = client.get("/");
            assert_eq!(got.status(), status, "{codes:?} {attempts} {fails}");
            if status == 503 {
                assert_eq!(got.body, "busy", "the last answer of the endpoint");
            }
            assert_eq!(backend.requests(), requests);
            assert_eq!(backend.connections(), 1, "an answer that was read whole spoils no connection");
            assert_eq!(world.flow().http.unwrap().status, status);
            assert!(world.has_no_flow(), "all tries are one request");
            assert_eq!(world.proxy().stats().retries, requests as u64 - 1);
            client.get("/");
        }
    }
}

#[test]
fn a_body_is_sent_again() {
    for framing in ["Content-Length: 11\r\n\r\nhello ", "Transfer-Encoding: chunked\r\n\r\n6\r\nhello \r\n"] {
        let rest = if framing.starts_with('C') { "world" } else { "5\r\nworld\r\n0\r\n\r\n" };
        // The first answer comes after the body, or before its end.
        for early in [false, true] {
            let count = AtomicUsize::new(0);
            let backend = Backend::script(move |mut peer, log| {
                if early && count.fetch_add(1, Ordering::SeqCst) == 0 {
                    peer.head();
                    peer.send(&respond(503, ""));
                    drop(peer.try_send(""));
                    peer.rest();
                    return;
                }
                while let Some(request) = peer.request() {
                    let fails = !early && count.fetch_add(1, Ordering::SeqCst) == 0;
                    let text = respond(if fails { 503 } else { 200 }, &request.body);
                    log.lock().unwrap().push(request);
                    peer.send(&text);
                }
            });
            let mut world = Plan::new(&[backend.address]).route("/", retry(&[503], 1)).start();
            let mut client = Peer::connect(world.gateway);
            client.send(&format!("POST /x HTTP/1.1\r\nHost: a.test\r\n{framing}"));
            if early {
                until("it is tried again", || world.proxy().stats().retries == 1);
            }
            client.send(rest);
            let answer = client.response();
            assert_eq!((answer.status(), &*answer.body), (200, "hello world"), "{framing} early: {early}");
            let wire = world.flow().bytes_in;
            assert_eq!(wire, if framing.starts_with('C') { 11 } else { 11 + 10 + 5 }, "counted once");
            assert_eq!(client.get("/next").status(), 200, "the client's connection goes on");
        }
    }
}

#[test]
fn a_long_body_is_not() {
    let backend = failing(1, respond(503, "busy"));
    let plan = Plan::new(&[backend.address]).route("/", retry(&[503], 3));
    let world = plan.limits(|limits| limits.retry_bytes = 10).start();
    let mut client = Peer::connect(world.gateway);
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 11\r\n\r\nhello world");
    assert_eq!(client.response().status(), 503);
    let stats = world.proxy().stats();
    assert_eq!((backend.requests(), stats.retries, stats.limit_retry_bytes), (1, 0, 1));
}

#[test]
fn endpoints_that_do_not_accept_are_left_for_others() {
    let backend = Backend::echo("b");
    // One other endpoint is tried unasked, more where the route says so.
    let (one, two) = ([closed_port(), backend.address], [closed_port(), closed_port(), backend.address]);
    for (rule, endpoints) in [(rule(), &one[..]), (retry(&[], 2), &two)] {
        let world = Plan::new(endpoints).route("/", rule).start();
        let fine = (0..40).filter(|_| Peer::connect(world.gateway).get("/").status() == 200).count();
        assert_eq!(fine, 40, "of {} endpoints", endpoints.len());
    }
    let world = Plan::new(&[closed_port(), closed_port(), closed_port()]).route("/", rule()).start();
    assert_eq!(Peer::connect(world.gateway).get("/").status(), 503);
    assert_eq!(world.proxy().stats().retries, 1);
    // With nothing else left, what was tried may have come back.
    let world = Plan::new(&[closed_port()]).route("/", retry(&[], 2)).start();
    assert_eq!(Peer::connect(world.gateway).get("/").status(), 503);
    assert_eq!(world.proxy().stats().retries, 2);
}

#[test]
fn what_was_sent_is_repeated_only_if_the_route_says_so() {
    for (rule, status, requests) in [(rule(), 502, 1), (retry(&[], 1), 200, 2), (retry(&[500], 0), 502, 1)] {
        for method in ["GET", "POST"] {
            let backend = failing(1, "");
            let mut world = Plan::new(&[backend.address]).route("/", rule.clone()).start();
            let mut client = Peer::connect(world.gateway);
            client.send(&format!("{method} / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n"));
            assert_eq!(client.response().status(), status, "{method}");
            assert_eq!(backend.requests(), requests, "{method}");
            let flow = world.flow();
            assert_eq!(flow.verdict == FlowVerdict::Forwarded, status == 200);
        }
    }
}

/// An endpoint whose connections answer one request and close on the next one, unanswered.
fn closes_on_second() -> Backend {
    Backend::script(|mut peer, log| {
        for answers in [true, false] {
            let Some(request) = peer.request() else { return };
            log.lock().unwrap().push(request);
            if answers {
                peer.send(&respond(200, "ok"));
            }
        }
    })
}

#[test]
fn the_close_of_an_idle_connection_is_no_failure_of_a_safe_request() {
    for (request, status, requests) in [
        ("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", 200, 3),
        ("OPTIONS / HTTP/1.1\r\nHost: a.test\r\n\r\n", 200, 3),
        ("DELETE / HTTP/1.1\r\nHost: a.test\r\n\r\n", 502, 2),
        ("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\n\r\nx", 502, 2),
        ("GET / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\n\r\nx", 502, 2),
    ] {
        let backend = closes_on_second();
        let world = Plan::new(&[backend.address]).start();
        let mut client = Peer::connect(world.gateway);
        assert_eq!(client.get("/").status(), 200);
        client.send(request);
        assert_eq!(client.response().status(), status, "{request}");
        assert_eq!(backend.requests(), requests, "{request}");
        assert_eq!(world.proxy().stats().upstream_reused, 1, "{request} was sent on an idle connection");
    }
    // A fresh connection has no such excuse.
    let backend = failing(9, "");
    let world = Plan::new(&[backend.address]).start();
    assert_eq!(Peer::connect(world.gateway).get("/").status(), 502);
    assert_eq!(backend.requests(), 1);
}

#[test]
fn time_outs_are_for_one_try_and_for_all() {
    let ms = Duration::from_millis;
    // The first connection is silent.
    let slow_once = || {
        let count = AtomicUsize::new(0);
        Backend::script(move |mut peer, log| {
            while let Some(request) = peer.request() {
                log.lock().unwrap().push(request);
                if count.fetch_add(1, Ordering::SeqCst) == 0 {
                    peer.rest();
                    return;
                }
                peer.send(&respond(200, "ok"));
            }
        })
    };
    // A try that succeeds has time to, also on a busy machine.
    for (attempts, time, status) in [(1, ms(3_000), 200), (0, ms(100), 504)] {
        let backend = slow_once();
        let timeouts = Timeouts { request: None, backend_request: Some(time) };
        let rule = RouteRule { timeouts, ..retry(&[], attempts) };
        let world = Plan::new(&[backend.address]).route("/", rule).start();
        assert_eq!(Peer::connect(world.gateway).get("/").status(), status);
        until("all tries are seen", || backend.requests() == 1 + attempts as usize);
        assert_eq!(world.proxy().stats().route_try_timeouts, 1);
    }

    let silent = Backend::script(|mut peer, log| {
        log.lock().unwrap().extend(peer.request());
        drop(peer.rest());
    });
    let both = Timeouts { request: Some(ms(3_000)), backend_request: Some(ms(500)) };
    let rule = RouteRule { timeouts: both, ..retry(&[], 50) };
    let mut world = Plan::new(&[silent.address]).route("/", rule).start();
    let begun = Instant::now();
    assert_eq!(Peer::connect(world.gateway).get("/").status(), 504);
    let took = begun.elapsed();
    assert!(took < ms(20_000), "50 tries would take longer: {took:?}");
    assert!((2..=6).contains(&silent.requests()), "{} tries in 3 s", silent.requests());
    assert_eq!(world.flow().reason, FlowReason::RouteTimeout);
}

#[test]
fn no_budget_no_retry() {
    let backend = failing(1, respond(503, "busy"));
    let plan = Plan::new(&[backend.address]).route("/", retry(&[503], 3));
    let world = plan.traffic(TrafficPolicy { retry_budget: NO_BUDGET, ..TrafficPolicy::default() }).start();
    assert_eq!(Peer::connect(world.gateway).get("/").status(), 503);
    let stats = world.proxy().stats();
    assert_eq!((backend.requests(), stats.retries, stats.retries_over_budget), (1, 0, 1));
}

/// A route that waits for longer than anybody does between its tries.
fn patient() -> RouteRule {
    let backoff = Some(Duration::from_secs(600));
    RouteRule { retry: Some(Retry { codes: vec![503], attempts: 1, backoff }), ..rule() }
}

/// Begins to drain, which ends all waits.
fn drain(world: &mut World) -> JoinHandle<()> {
    let proxy = world.proxy.take().unwrap();
    std::thread::spawn(move || proxy.drain(Duration::from_secs(10)))
}

#[test]
fn nothing_is_tried_for_a_client_that_is_gone() {
    let backend = failing(1, respond(503, "busy"));
    let mut world = Plan::new(&[backend.address]).route("/", patient()).start();
    let mut client = Peer::connect(world.gateway);
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    until("it waits", || world.proxy().stats().retries == 1);
    client.abort();
    assert_eq!(world.flow().reason, FlowReason::ClientGone);
    assert_eq!(backend.requests(), 1);
}

#[test]
fn a_drain_waits_for_no_retry() {
    let backend = failing(1, respond(503, "busy"));
    let mut world = Plan::new(&[backend.address]).route("/", patient()).start();
    let mut client = Peer::connect(world.gateway);
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    until("it waits", || world.proxy().stats().retries == 1);
    let drained = drain(&mut world);
    assert_eq!(client.response().status(), 200, "what was decided on is tried at once");
    drop(client);
    drained.join().unwrap();
}

#[test]
fn a_retry_is_permitted_again() {
    let count = AtomicUsize::new(0);
    let backend = Backend::script_at(pod(7), move |mut peer, log| {
        while let Some(request) = peer.request() {
            log.lock().unwrap().push(request);
            let status = if count.fetch_add(1, Ordering::SeqCst) == 0 { 503 } else { 200 };
            peer.send(&respond(status, ""));
        }
    });
    let plan = Plan::new(&[backend.address]).route("/", patient());
    let mut world = plan.start();
    let mut client = Peer::connect(world.gateway);
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    until("it waits", || world.proxy().stats().retries == 1);
    world.publish(&plan.pod(7, ingress(nothing())));
    let drained = drain(&mut world);
    assert_eq!(client.response().status(), 403);
    drop(client);
    drained.join().unwrap();
    assert_eq!(backend.requests(), 1);
}

#[test]
fn a_mirror_gets_one_copy_of_all_tries() {
    let (main, copy) = (failing(2, respond(503, "")), Backend::echo("copy"));
    let mirror = Mirror { target: BackendTarget::Service(BackendId(1)), numerator: 1, denominator: 1 };
    let rule = RouteRule { filters: vec![Filter::Mirror(mirror)], ..retry(&[503], 3) };
    let world = Plan::new(&[main.address]).service(&[copy.address]).route("/", rule).start();
    let mut client = Peer::connect(world.gateway);
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.response().body, "hello");
    // The next one may come by another connection, and before it.
    until("its copy", || copy.requests() == 1);
    client.get("/last");
    until("the last copy", || copy.requests() == 2);
    copy.request(0, |request| assert_eq!(request.body, "hello"));
    assert_eq!((main.requests(), world.proxy().stats().mirrored), (4, 2));
}
