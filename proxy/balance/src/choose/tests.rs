use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use model::address::EndpointAddr;

use super::Condition::{Ejected, Free, Full, Out};
use super::*;
use crate::tests::randoms;

const ALL: [Algorithm; 3] = [Algorithm::LeastRequest, Algorithm::RoundRobin, Algorithm::Random];

/// Ready endpoints from words like `n1/z1`, `-/z2` or `n2`; `!` before is not ready, `6` IPv6.
fn endpoints(words: &str) -> Vec<Endpoint> {
    let one = |(at, word): (u16, &str)| {
        let place = word.trim_start_matches(['!', '6', ':']);
        let (node, zone) = place.split_once('/').unwrap_or((place, ""));
        let named = |name: &str| (!name.is_empty() && name != "-").then(|| name.into());
        let ip: IpAddr = match word.contains('6') {
            true => Ipv6Addr::LOCALHOST.into(),
            false => Ipv4Addr::LOCALHOST.into(),
        };
        let address = EndpointAddr(SocketAddr::new(ip, at + 1));
        Endpoint { address, ready: !word.starts_with('!'), node: named(node), zone: named(zone) }
    };
    (0..).zip(words.split_whitespace()).map(one).collect()
}

fn tiers(words: &str, locality: Locality) -> Tiers {
    Tiers::new(&endpoints(words), locality, Some("n1"), Some("z1"))
}

/// How often each is chosen in `count` choices.
fn counts(
    tiers: &Tiers,
    algorithm: Algorithm,
    is_v4: bool,
    count: usize,
    condition: impl Fn(usize) -> Condition,
) -> HashMap<Choice, usize> {
    let mut counts = HashMap::new();
    for (turn, random) in randoms(3, count).enumerate() {
        let wish = Wish { is_v4, algorithm, random, turn };
        *counts.entry(choose(tiers, &wish, &condition)).or_default() += 1;
    }
    counts
}

fn chosen(words: &str, locality: Locality, condition: impl Fn(usize) -> Condition + Copy) -> Vec<Choice> {
    let tiers = tiers(words, locality);
    let mut sets = ALL.map(|algorithm| {
        let mut set: Vec<_> = counts(&tiers, algorithm, true, 500, condition).into_keys().collect();
        set.sort_unstable_by_key(|choice| format!("{choice:?}"));
        set
    });
    let (first, others) = sets.split_first_mut().unwrap();
    assert!(others.iter().all(|set| set == first), "every algorithm has the same choice: {words}");
    std::mem::take(first)
}

fn places(places: &[usize]) -> Vec<Choice> {
    places.iter().map(|at| Choice::Endpoint(*at)).collect()
}

#[test]
fn only_what_is_fit_is_chosen() {
    for (words, conditions, want) in [
        ("a b c", &[Free(0), Free(0), Free(0)][..], places(&[0, 1, 2])),
        ("a !b c", &[Free(0), Free(0), Free(0)], places(&[0, 2])),
        ("a b c", &[Free(0), Out, Free(9)], places(&[0, 2])),
        ("a", &[Free(500)], places(&[0])),
        ("a b", &[Full, Free(0)], places(&[1])),
        ("a b", &[Ejected(0), Free(0)], places(&[1])),
        ("a b", &[Full, Full], vec![Choice::Full]),
        ("a b", &[Full, Ejected(0)], vec![Choice::Full]),
        ("a b", &[Full, Out], vec![Choice::Full]),
        // Panic: all that are left are ejected.
        ("a b c", &[Ejected(0), Ejected(0), Ejected(0)], places(&[0, 1, 2])),
        ("a b c", &[Ejected(0), Out, Ejected(0)], places(&[0, 2])),
        ("a b", &[Out, Out], vec![Choice::None]),
        ("!a", &[Free(0)], vec![Choice::None]),
        ("", &[], vec![Choice::None]),
    ] {
        let condition = |at: usize| match conditions[at] {
            // Loads that differ would hide one of two from the least-request rule.
            Free(9) => Free(0),
            condition => condition,
        };
        assert_eq!(chosen(words, Locality::Any, condition), want, "{words} {conditions:?}");
    }
}

#[test]
fn nearer_ones_come_first() {
    use Locality::{Any, PreferNode, PreferZone};
    let words = "n1/z1 n2/z1 n3/z2 n1/z2";
    for (locality, out, want) in [
        (Any, &[][..], &[0, 1, 2, 3][..]),
        (PreferZone, &[], &[0, 1]),
        (PreferZone, &[0], &[1]),
        (PreferZone, &[0, 1], &[2, 3]),
        (PreferNode, &[], &[0, 3]),
        (PreferNode, &[0], &[3]),
        (PreferNode, &[0, 3], &[1]),
        (PreferNode, &[0, 1, 3], &[2]),
    ] {
        for unfit in [Out, Full, Ejected(0)] {
            let condition = |at: usize| if out.contains(&at) { unfit } else { Free(0) };
            assert_eq!(chosen(words, locality, condition), places(want), "{locality:?} without {out:?}");
        }
    }
    // Where nobody says where it is, none is near.
    let unknown = Tiers::new(&endpoints("n1/z1 -"), PreferNode, None, None);
    assert_eq!(counts(&unknown, Algorithm::RoundRobin, true, 2, |_| Free(0)).len(), 2);
}

#[test]
fn the_clients_family_comes_before_distance() {
    let tiers = tiers("n1/z1 6:n2/z2 6:n1/z1", Locality::PreferNode);
    assert_eq!((tiers.ready(), tiers.places().count()), (3, 3));
    for (is_v4, out, want) in [(true, 9, 0), (false, 9, 2), (false, 2, 1), (true, 0, 2)] {
        let condition = |at: usize| if at == out { Out } else { Free(0) };
        let counts = counts(&tiers, Algorithm::LeastRequest, is_v4, 50, condition);
        assert_eq!(counts, HashMap::from([(Choice::Endpoint(want), 50)]), "{is_v4} without {out}");
    }
}

#[test]
fn an_overloaded_tier_spills_over() {
    // Loads of the node's, the zone's and a far endpoint; which one is chosen.
    for (loads, want) in [
        ([31, 0, 0], 0),
        ([32, 16, 0], 0),
        ([32, 15, 0], 1),
        ([100, 49, 25], 1),
        ([100, 49, 24], 2),
        ([100, 31, 0], 1),
        ([100, 50, 0], 0),
    ] {
        let condition = |at: usize| Free(loads[at]);
        assert_eq!(
            chosen("n1/z1 n2/z1 n3/z2", Locality::PreferNode, condition),
            places(&[want]),
            "{loads:?}"
        );
        // Without a preference load alone decides.
        let any = tiers("n1/z1 n2/z1 n3/z2", Locality::Any);
        assert!(counts(&any, Algorithm::Random, true, 500, condition).len() == 3);
    }
}

#[test]
fn choices_are_even() {
    for algorithm in ALL {
        let condition = |at: usize| if at == 4 { Ejected(0) } else { Free(0) };
        let counts = counts(&tiers("a b c d e", Locality::Any), algorithm, true, 20_000, condition);
        assert_eq!(counts.len(), 4);
        for (choice, count) in counts {
            let share = count as f64 * 4.0 / 20_000.0;
            // In turn, the one after the ejected one gets its share too.
            let most = if algorithm == Algorithm::RoundRobin { 1.61 } else { 1.06 };
            assert!(share > 0.79 && share < most, "{algorithm:?} {choice:?} {share}");
        }
    }
}

#[test]
fn in_turn() {
    let tiers = tiers("a b c", Locality::Any);
    let order: Vec<_> = (0..6)
        .map(|turn| Wish { is_v4: true, algorithm: Algorithm::RoundRobin, random: 1, turn })
        .map(|wish| choose(&tiers, &wish, |_| Free(1)))
        .collect();
    assert_eq!(order, places(&[0, 1, 2, 0, 1, 2]));
}

#[test]
fn least_request_keeps_the_load_level() {
    let tiers = tiers(&"a ".repeat(20), Locality::Any);
    let loads = RefCell::new(vec![0u32; 20]);
    for random in randoms(11, 20_000) {
        let wish = Wish { is_v4: true, algorithm: Algorithm::LeastRequest, random, turn: 0 };
        let Choice::Endpoint(at) = choose(&tiers, &wish, |at| Free(loads.borrow()[at])) else { panic!() };
        loads.borrow_mut()[at] += 1;
    }
    let loads = loads.into_inner();
    let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
    assert!(most - least <= 12, "{least} to {most}");
}

#[test]
fn one_fit_among_many_is_found_and_few_are_looked_at_otherwise() {
    let tiers = tiers(&"a ".repeat(5_000), Locality::Any);
    for random in randoms(9, 100) {
        for algorithm in ALL {
            let wish = Wish { is_v4: true, algorithm, random, turn: 7 };
            let condition = |at: usize| if at == 3_210 { Free(1) } else { Out };
            assert_eq!(choose(&tiers, &wish, condition), Choice::Endpoint(3_210));
            let looked = std::cell::Cell::new(0);
            let condition = |_: usize| {
                looked.set(looked.get() + 1);
                Free(0)
            };
            assert!(matches!(choose(&tiers, &wish, condition), Choice::Endpoint(_)));
            assert!(looked.get() <= 4, "{algorithm:?} looked at {}", looked.get());
        }
    }
}
