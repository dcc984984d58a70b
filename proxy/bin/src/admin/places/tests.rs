//! Who has to make way for whom.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{ALL_MAX, OF_ADDRESS_MAX, Places};

struct Clock(Instant);

impl Clock {
    fn next(&mut self) -> Instant {
        self.0 += Duration::from_secs(1);
        self.0
    }
}

fn ip(last: usize) -> IpAddr {
    IpAddr::from([10, 0, 0, u8::try_from(last).unwrap()])
}

/// As many from one address; the numbers of their places, and who had to go.
fn enter(places: &mut Places<u64>, clock: &mut Clock, from: IpAddr, count: usize) -> Vec<(u64, Option<u64>)> {
    let enter = |_| {
        let (id, ended) = places.enter(from, clock.next());
        places.began(id, id);
        (id, ended)
    };
    (0..count).map(enter).collect()
}

#[test]
fn one_address_keeps_within_its_share() {
    let (mut places, mut clock) = (Places::default(), Clock(Instant::now()));
    let other = enter(&mut places, &mut clock, ip(2), 1);
    let first = enter(&mut places, &mut clock, ip(1), OF_ADDRESS_MAX);
    assert!(other.iter().chain(&first).all(|(_, ended)| ended.is_none()));
    // Its own make way, that idle for the longest time first; one that asked for something is not idle.
    places.used(first[0].0, clock.next());
    let ended: Vec<_> =
        enter(&mut places, &mut clock, ip(1), 2).into_iter().map(|(_, ended)| ended).collect();
    assert_eq!(ended, [Some(first[1].0), Some(first[2].0)]);
    // One that left takes no place.
    places.leave(first[3].0);
    assert_eq!(enter(&mut places, &mut clock, ip(1), 1)[0].1, None);
}

#[test]
fn many_addresses_leave_room_for_another() {
    let (mut places, mut clock) = (Places::default(), Clock(Instant::now()));
    let mut all = Vec::new();
    for from in 0..ALL_MAX / OF_ADDRESS_MAX {
        all.extend(enter(&mut places, &mut clock, ip(from), OF_ADDRESS_MAX));
    }
    assert_eq!((all.len(), places.taken.len()), (ALL_MAX, ALL_MAX));
    assert!(all.iter().all(|(_, ended)| ended.is_none()));
    let (id, ended) = enter(&mut places, &mut clock, ip(200), 1)[0];
    assert_eq!(ended, Some(all[0].0));
    assert_eq!(places.taken.len(), ALL_MAX);
    // It is the newest, and the last to go.
    let ended = enter(&mut places, &mut clock, ip(201), OF_ADDRESS_MAX);
    assert!(ended.iter().all(|(_, ended)| *ended != Some(id)), "{ended:?}");
}
