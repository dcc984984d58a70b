use std::net::Ipv4Addr;

use model::service::{AppProtocol, BackendId, ObjectRef};
use model::tls::UpstreamSecurity;
use model::traffic::{Breaker, Outlier};

use super::*;
use crate::resilience::{Load, Target};

fn backend(ready: &[bool], traffic: TrafficPolicy) -> Backend {
    let endpoint = |(port, ready): (u16, &bool)| Endpoint {
        address: EndpointAddr((Ipv4Addr::LOCALHOST, port).into()),
        ready: *ready,
        node: None,
        zone: None,
    };
    Backend {
        id: BackendId(1),
        service: ObjectRef { kind: "Service", namespace: "ns".into(), name: "s".into() },
        port: 80,
        protocol: AppProtocol::Unspecified,
        endpoints: (1..).zip(ready).map(endpoint).collect(),
        traffic: Arc::new(traffic),
        security: UpstreamSecurity::Cleartext,
    }
}

fn breaker(breaker: Breaker) -> TrafficPolicy {
    TrafficPolicy { breaker, ..TrafficPolicy::default() }
}

/// A Service that follows a backend, with states of its own.
fn service(ready: &[bool], traffic: TrafficPolicy, workers: usize) -> Rc<Service> {
    let service = Service::new(workers);
    service.follow(&backend(ready, traffic), &Snapshot::default(), EndpointState::new);
    service
}

fn ask(is_copy: bool) -> Ask<'static> {
    Ask { is_v4: true, random: 7, tried: &[], again: false, is_copy, now: Moment(0) }
}

fn target(service: &Rc<Service>, is_copy: bool) -> Result<Target, Unfit> {
    let endpoint = service.pick(&ask(is_copy))?;
    Ok(Target { endpoint, service: Some(service.clone()), is_copy })
}

fn load(service: &Rc<Service>, is_copy: bool) -> Result<Load, Unfit> {
    target(service, is_copy).map(|target| target.load())
}

#[test]
fn a_share_of_the_requests_at_a_time() {
    let limits = Breaker { requests: Some(4), endpoint_requests: Some(1), ..Breaker::default() };
    let service = service(&[true, true, true], breaker(limits), 2);
    let first = load(&service, false).unwrap();
    let second = load(&service, false).unwrap();
    assert_ne!(first.target().address(), second.target().address(), "one for each endpoint");
    assert_eq!(load(&service, false).unwrap_err(), Unfit::Requests);
    drop(first);
    assert!(load(&service, false).is_ok());
}

#[test]
fn copies_leave_messages_their_room() {
    let service = service(&[true], breaker(Breaker { requests: Some(2), ..Breaker::default() }), 1);
    let copies = [load(&service, true), load(&service, true)];
    assert!(copies.iter().all(Result::is_ok));
    assert_eq!(load(&service, true).unwrap_err(), Unfit::Requests);
    let messages = [load(&service, false), load(&service, false)];
    assert!(messages.iter().all(Result::is_ok), "as if there were no copies");
    assert_eq!(load(&service, false).unwrap_err(), Unfit::Requests);
    drop((copies, messages));
    let _message = load(&service, false).unwrap();
    assert!(load(&service, true).is_ok());
    let _other = load(&service, false).unwrap();
    assert_eq!(load(&service, true).unwrap_err(), Unfit::Requests, "copies take what is left");
}

#[test]
fn connections_and_those_that_wait_for_one() {
    let limits = Breaker { connections: Some(2), pending: Some(1), ..Breaker::default() };
    let service = service(&[true], breaker(limits), 1);
    let charge = || target(&service, false).unwrap().charge(|_| false);
    let first = charge().unwrap();
    let waits = service.wait();
    assert_eq!(charge().unwrap_err(), Unfit::Pending);
    assert!(service.queue().is_none());
    drop(waits);
    let second = charge().unwrap();
    assert_eq!(charge().unwrap_err(), Unfit::Connections);
    let queued = service.queue().expect("one may wait");
    assert!(service.queue().is_none());
    drop((queued, first));
    assert!(charge().is_ok());
    // An idle one is closed for another.
    let parked = crate::resilience::Parked::new(second);
    let _first = charge().unwrap();
    let asked = Cell::new(0);
    let evict = |_: &dyn Fn(&crate::resilience::Charge) -> bool| {
        asked.set(asked.get() + 1);
        true
    };
    assert!(target(&service, false).unwrap().charge(evict).is_ok());
    assert_eq!(asked.get(), 1);
    drop(parked);
    assert!(target(&service, false).unwrap().charge(evict).is_ok());
    assert_eq!(asked.get(), 1, "nothing is closed where there is room");
}

#[test]
fn what_is_known_outlives_a_change_of_the_snapshot() {
    let limits = Breaker { requests: Some(1), ..Breaker::default() };
    let service = service(&[true, false], breaker(limits), 1);
    let held = load(&service, false).unwrap();
    let states = std::cell::RefCell::new(vec![held.target().endpoint.clone()]);
    let state = |address| {
        let known = states.borrow().iter().find(|state| state.address == address).cloned();
        known.unwrap_or_else(|| EndpointState::new(address))
    };
    service.follow(&backend(&[true, true], breaker(limits)), &Snapshot::default(), state);
    assert_eq!(load(&service, false).unwrap_err(), Unfit::Requests, "it is still under way");
    drop(held);
    service.follow(&backend(&[false, true], TrafficPolicy::default()), &Snapshot::default(), state);
    assert_eq!(service.pick(&ask(false)).unwrap().address.port(), 2);
    service.follow(&backend(&[], TrafficPolicy::default()), &Snapshot::default(), state);
    assert_eq!(service.pick(&ask(false)).unwrap_err(), Unfit::None);
}

#[test]
fn ejection_needs_a_policy_and_leaves_enough() {
    let policy = Outlier { consecutive_errors: 1, max_ejected_percent: 50, ..Outlier::DEFAULT };
    let asked = TrafficPolicy { outlier: Some(policy), ..TrafficPolicy::default() };
    let service = service(&[true, true, true], asked, 1);
    let states: Vec<_> = service.shape().states.clone();
    assert_eq!(service.failed(&states[0], Moment(0)), Some(policy.base_ejection));
    assert_eq!(service.failed(&states[1], Moment(0)), None, "two of three are more than half");
    assert!((0..50).all(|random| service.pick(&Ask { random: random << 58, ..ask(false) }).unwrap().address
        != states[0].address));
    // A Service that did not ask uses it all the same.
    service.follow(&backend(&[true], TrafficPolicy::default()), &Snapshot::default(), |_| states[0].clone());
    assert!(service.pick(&ask(false)).is_ok());
    assert_eq!(service.failed(&states[0], Moment(0)), None);
}
