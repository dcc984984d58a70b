//! The choice of an endpoint: the nearest ones that are fit, and among those by load, in turn or
//! at random. What it costs does not depend on how many endpoints there are as long as most of
//! them are fit.

use model::service::Endpoint;
use model::traffic::{Algorithm, Locality};

use crate::random::{below, next};

#[cfg(test)]
mod tests;

/// Random picks made before all endpoints of a tier are looked at one by one.
const PICKS_MAX: usize = 8;
/// Requests under way below which an endpoint is never called overloaded.
const OVERLOADED_MIN: u32 = 32;

/// What an endpoint is fit for at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It takes requests; so many are under way there.
    Free(u32),
    /// It has as many as it may have.
    Full,
    /// It failed too often; so many are under way there.
    Ejected(u32),
    /// It is not to be used: it was tried already, or it is ejected and full.
    Out,
}

/// The ready endpoints of a Service port in the order of their distance, by family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tiers {
    v4: Order,
    v6: Order,
}

/// Places in the list of endpoints, nearest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Order {
    places: Box<[usize]>,
    /// How many of them are as near as the node, as the zone, and there at all. Never falling.
    ends: [usize; 3],
}

/// What one choice is made by.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// Endpoints of this family are preferred to nearer ones of the other: the client's address
    /// can be kept only there.
    pub is_v4: bool,
    /// How to choose in a tier.
    pub algorithm: Algorithm,
    /// Uniform over all 64 bits.
    pub random: u64,
    /// Counts the choices made for the Service port before.
    pub turn: usize,
}

/// What a choice came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Choice {
    /// The endpoint at this place in the list.
    Endpoint(usize),
    /// All that could be used are full: 503.
    Full,
    /// There is none: 503.
    None,
}

impl Tiers {
    /// Sorts endpoints by their distance from a node and its zone, each of which may be unknown.
    pub fn new(endpoints: &[Endpoint], locality: Locality, node: Option<&str>, zone: Option<&str>) -> Self {
        let same = |ours: Option<&str>, theirs: Option<&str>| ours.is_some() && ours == theirs;
        let tier = |endpoint: &Endpoint| match locality {
            Locality::PreferNode if same(node, endpoint.node.as_deref()) => 0,
            Locality::PreferNode | Locality::PreferZone if same(zone, endpoint.zone.as_deref()) => 1,
            _ => 2,
        };
        let order = |is_v4: bool| {
            let mine = |e: &Endpoint| e.ready && e.address.ip().is_ipv4() == is_v4;
            let mut places: Vec<(usize, usize)> =
                (0..).zip(endpoints).filter(|(_, e)| mine(e)).map(|(at, e)| (tier(e), at)).collect();
            places.sort_unstable();
            let ends = [0, 1, 2].map(|last| places.partition_point(|(tier, _)| *tier <= last));
            Order { places: places.into_iter().map(|(_, at)| at).collect(), ends }
        };
        Self { v4: order(true), v6: order(false) }
    }

    /// Ready endpoints in all.
    pub fn ready(&self) -> usize {
        self.v4.places.len() + self.v6.places.len()
    }

    /// Their places in the list of endpoints.
    pub fn places(&self) -> impl Iterator<Item = usize> + '_ {
        self.v4.places.iter().chain(&self.v6.places).copied()
    }

    fn orders(&self, is_v4: bool) -> [&Order; 2] {
        if is_v4 { [&self.v4, &self.v6] } else { [&self.v6, &self.v4] }
    }
}

/// The endpoint for one try.
///
/// Nearer tiers come first: the node, the zone, all. A farther tier is used when no endpoint of
/// the nearer ones is free, or the one chosen is overloaded: at least 32 requests are under way
/// there, and more than twice as many as at the one chosen of the next tier.
/// Ejected endpoints are used when there is no other, full ones included.
pub fn choose(tiers: &Tiers, wish: &Wish, condition: impl Fn(usize) -> Condition) -> Choice {
    let free = |at| match condition(at) {
        Condition::Free(load) => Some(load),
        Condition::Full | Condition::Ejected(_) | Condition::Out => None,
    };
    if let Some(at) = nearest(tiers, wish, free) {
        return Choice::Endpoint(at);
    }
    if tiers.places().any(|at| condition(at) == Condition::Full) {
        return Choice::Full;
    }
    let ejected = |at| match condition(at) {
        Condition::Ejected(load) => Some(load),
        Condition::Free(_) | Condition::Full | Condition::Out => None,
    };
    nearest(tiers, wish, ejected).map_or(Choice::None, Choice::Endpoint)
}

/// The choice among those for which `load` says how much they have to do.
fn nearest(tiers: &Tiers, wish: &Wish, load: impl Fn(usize) -> Option<u32>) -> Option<usize> {
    let mut random = wish.random;
    for order in tiers.orders(wish.is_v4) {
        let mut chosen: Option<Loaded> = None;
        let mut start = 0;
        for end in order.ends {
            let tier = &order.places[start..end];
            start = end;
            if tier.is_empty() {
                continue;
            }
            let Some(other) = pick(tier, wish, &mut random, &load) else { continue };
            match chosen {
                Some(near) if !near.is_overloaded(other) => return Some(near.at),
                _ => chosen = Some(other),
            }
            if other.load < OVERLOADED_MIN {
                break;
            }
        }
        if let Some(chosen) = chosen {
            return Some(chosen.at);
        }
    }
    None
}

/// An endpoint that is fit, and what it has to do.
#[derive(Clone, Copy)]
struct Loaded {
    at: usize,
    load: u32,
}

impl Loaded {
    fn is_overloaded(self, other: Self) -> bool {
        self.load >= OVERLOADED_MIN && self.load > other.load.saturating_mul(2)
    }
}

/// One of a tier's fit endpoints.
fn pick(
    tier: &[usize],
    wish: &Wish,
    random: &mut u64,
    load: impl Fn(usize) -> Option<u32>,
) -> Option<Loaded> {
    let loaded = |at: usize| load(at).map(|load| Loaded { at, load });
    match wish.algorithm {
        Algorithm::LeastRequest => {
            let first = any(tier, random, loaded)?;
            if tier.len() == 1 {
                return Some(first);
            }
            let other = any(tier, random, |at| if at == first.at { None } else { loaded(at) });
            other.filter(|other| other.load < first.load).or(Some(first))
        }
        Algorithm::Random => any(tier, random, loaded),
        Algorithm::RoundRobin => {
            let turn = wish.turn % tier.len();
            let (before, after) = tier.split_at(turn);
            after.iter().chain(before).find_map(|at| loaded(*at))
        }
    }
}

/// A random one of the fit, each as likely as the next.
fn any(tier: &[usize], random: &mut u64, fit: impl Fn(usize) -> Option<Loaded>) -> Option<Loaded> {
    // Most are fit most of the time: throwing again costs less than counting them.
    for _ in 0..PICKS_MAX.min(tier.len()) {
        let at = index(below(next(random), tier.len() as u64));
        if let Some(fit) = tier.get(at).and_then(|at| fit(*at)) {
            return Some(fit);
        }
    }
    let mut fits = tier.iter().filter_map(|at| fit(*at));
    let count = fits.clone().count();
    fits.nth(index(below(next(random), count as u64)))
}

/// A number below a slice's length as an index.
fn index(at: u64) -> usize {
    usize::try_from(at).unwrap_or_default()
}
