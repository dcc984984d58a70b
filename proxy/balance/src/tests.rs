use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use model::route::BackendTarget;
use model::service::{AppProtocol, BackendId, ObjectRef};
use model::tls::UpstreamSecurity;

use super::*;

/// Seeded random numbers.
fn randoms(seed: u64, count: usize) -> impl Iterator<Item = u64> {
    let mut state = seed;
    std::iter::repeat_with(move || next(&mut state)).take(count)
}

fn weighted(weights: &[u32]) -> Vec<WeightedBackend> {
    let target = |at: usize| match at {
        // A share can be invalid; it is drawn like any other.
        2 => BackendTarget::Invalid("BackendNotFound".into()),
        _ => BackendTarget::Service(BackendId(u32::try_from(at).unwrap())),
    };
    let one = |(at, weight): (usize, &u32)| WeightedBackend {
        weight: *weight,
        target: target(at),
        filters: vec![],
    };
    weights.iter().enumerate().map(one).collect()
}

fn service(ready: &[bool]) -> Backend {
    let endpoint = |(at, ready): (usize, &bool)| Endpoint {
        address: address(at),
        ready: *ready,
        node: None,
        zone: None,
    };
    Backend {
        id: BackendId(1),
        service: ObjectRef { kind: "Service", namespace: "ns".into(), name: "s".into() },
        port: 80,
        protocol: AppProtocol::Unspecified,
        endpoints: ready.iter().enumerate().map(endpoint).collect::<Arc<[_]>>(),
        traffic: Arc::default(),
        security: UpstreamSecurity::Cleartext,
    }
}

fn address(at: usize) -> EndpointAddr {
    EndpointAddr(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), u16::try_from(at).unwrap() + 1))
}

#[test]
fn weights_are_kept_within_one_percent() {
    for weights in [&[90, 10][..], &[1, 1, 1], &[70, 30, 0], &[0, 5], &[1], &[u32::MAX, u32::MAX]] {
        let backends = weighted(weights);
        let mut counts = vec![0u32; weights.len()];
        for random in randoms(7, 100_000) {
            let chosen = backend(&backends, random).unwrap();
            counts[backends.iter().position(|b| std::ptr::eq(b, chosen)).unwrap()] += 1;
        }
        let total: f64 = weights.iter().map(|w| f64::from(*w)).sum();
        for (weight, count) in weights.iter().zip(counts) {
            let (want, got) = (f64::from(*weight) / total, f64::from(count) / 100_000.0);
            assert!((want - got).abs() < 0.01, "{weights:?}: {got} for {want}");
            assert!(*weight > 0 || count == 0, "no weight, no traffic");
        }
    }
}

#[test]
fn the_whole_range_of_random_numbers_is_used() {
    let backends = weighted(&[1, 1]);
    for (random, want) in [(0, 0), (u64::MAX / 2, 0), (u64::MAX / 2 + 1, 1), (u64::MAX, 1)] {
        let chosen = backend(&backends, random).unwrap();
        assert_eq!(chosen.target, BackendTarget::Service(BackendId(want)), "{random}");
    }
}

#[test]
fn no_weight_is_no_backend() {
    for weights in [&[][..], &[0], &[0, 0]] {
        assert!(randoms(1, 10).all(|random| backend(&weighted(weights), random).is_none()));
    }
}

#[test]
fn only_ready_and_untried_endpoints_are_picked_and_evenly() {
    // Readiness, endpoints tried, endpoints that must share the load.
    for (ready, tried, want) in [
        (&[true, true, true, true][..], &[][..], &[0, 1, 2, 3][..]),
        (&[true, false, true, false], &[], &[0, 2]),
        (&[true, true, true], &[1], &[0, 2]),
        (&[false, true, true], &[1], &[2]),
        (&[true], &[], &[0]),
        (&[true], &[0], &[]),
        (&[false, false], &[], &[]),
        (&[], &[], &[]),
    ] {
        let service = service(ready);
        let tried: Vec<_> = tried.iter().map(|at| address(*at)).collect();
        let mut counts = HashMap::new();
        for random in randoms(3, 20_000) {
            let picked = endpoint(&service, |_| 0, random, &tried).map(|e| e.address);
            *counts.entry(picked).or_insert(0u32) += 1;
        }
        let expected: Vec<_> = want.iter().map(|at| Some(address(*at))).collect();
        if want.is_empty() {
            assert_eq!(counts, HashMap::from([(None, 20_000)]), "{ready:?}");
            continue;
        }
        assert_eq!(counts.len(), want.len(), "{ready:?} {tried:?} {counts:?}");
        for address in expected {
            let share =
                f64::from(counts[&address]) * f64::from(u32::try_from(want.len()).unwrap()) / 20_000.0;
            assert!((share - 1.0).abs() < 0.06, "{ready:?}: {counts:?}");
        }
    }
}

#[test]
fn one_ready_among_many_is_found() {
    let mut ready = vec![false; 500];
    ready[321] = true;
    let service = service(&ready);
    for random in randoms(9, 100) {
        assert_eq!(endpoint(&service, |_| 0, random, &[]).map(|e| e.address), Some(address(321)));
    }
}

#[test]
fn the_less_loaded_of_two_is_taken() {
    let service = service(&[true, true]);
    let load = |e: EndpointAddr| if e == address(0) { 5 } else { 4 };
    assert!(randoms(5, 100).all(|r| endpoint(&service, load, r, &[]).unwrap().address == address(1)));

    // With live counts the load stays level where one random choice would not.
    let service = self::service(&[true; 20]);
    let mut loads = HashMap::new();
    for random in randoms(11, 20_000) {
        let picked = endpoint(&service, |e| loads.get(&e).copied().unwrap_or(0), random, &[]).unwrap();
        *loads.entry(picked.address).or_insert(0u32) += 1;
    }
    let (least, most) = (loads.values().min().unwrap(), loads.values().max().unwrap());
    assert!(most - least <= 12, "{least} to {most}");
}

#[test]
fn endpoints_can_be_narrowed() {
    let service = service(&[true, true, false, true]);
    let fit = |e: &Endpoint| e.address != address(0);
    for random in randoms(13, 200) {
        let picked = endpoint_among(&service, |_| 0, random, fit).unwrap().address;
        assert!(picked == address(1) || picked == address(3));
        assert!(endpoint_among(&service, |_| 0, random, |_| false).is_none());
    }
}
