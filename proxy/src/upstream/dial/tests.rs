//! Source ports in turn, and sockets bound to them.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::time::Duration;

use model::address::EndpointAddr;
use model::flow::HttpVersion;
use socket2::SockRef;

use super::{FULL_FOR, Ports, TRIES_MAX, dial};
use crate::clock::Moment;
use crate::config::Config;
use crate::upstream::Key;

const NOW: Moment = Moment(1);

#[test]
fn ports_are_used_in_turn_from_a_place_in_the_range() {
    let turn = |range, seed| {
        let ports = Ports::new(range, seed);
        [ports.take(), ports.take(), ports.take(), ports.take()]
    };
    assert_eq!(turn(10..=12, 0), [10, 11, 12, 10]);
    assert_eq!(turn(10..=12, 5), [12, 10, 11, 12]);
    assert_eq!(turn(65_535..=65_535, 9), [65_535; 4]);
    assert_eq!(turn(65_534..=65_535, 1), [65_535, 65_534, 65_535, 65_534]);
}

#[test]
fn a_long_run_of_ports_in_use_is_left() {
    for seed in 0..100 {
        let ports = Ports::new(Config::SOURCE_PORTS, 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let first = ports.take();
        let in_use = |port: u16| port.wrapping_sub(first) < 2_000;
        let mut tries = 1;
        while in_use(ports.take()) {
            ports.jump();
            tries += 1;
        }
        assert!(tries < TRIES_MAX, "{tries} tries from {first}");
    }
}

#[test]
fn redirected_traffic_leaves_from_our_ports_with_our_mark() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let version = HttpVersion::Http1;
    let key = |to: &TcpListener, source: Option<IpAddr>| Key {
        endpoint: EndpointAddr(to.local_addr().unwrap()),
        source,
        version,
        tls: None,
    };
    let config = Config { transparent: true, ..Config::default() };
    let range = 61_100..=61_102;
    runtime.block_on(async {
        let ports = Ports::new(range.clone(), 0);
        let mut open = Vec::new();
        for _ in range.clone() {
            match dial(&config, &ports, key(&listener, None), NOW).await {
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    eprintln!("SKIP: SO_MARK needs CAP_NET_ADMIN");
                    return;
                }
                stream => open.push(stream.unwrap()),
            }
        }
        for stream in &open {
            assert!(range.contains(&stream.local_addr().unwrap().port()));
            assert_eq!(SockRef::from(stream).mark().unwrap(), Config::MARK);
        }
        // All 4-tuples to this endpoint are in use; those to another are not.
        let beyond = dial(&config, &ports, key(&listener, None), NOW).await.unwrap();
        assert!(!range.contains(&beyond.local_addr().unwrap().port()), "one of the kernel's");
        assert_eq!(SockRef::from(&beyond).mark().unwrap(), Config::MARK);
        let stream = dial(&config, &ports, key(&other, None), NOW).await.unwrap();
        assert!(range.contains(&stream.local_addr().unwrap().port()));
        // One that comes free is found a moment later, and is not looked for until then.
        let gone = open.pop().unwrap();
        // Without the wait of a connection that was closed.
        SockRef::from(&gone).set_linger(Some(Duration::ZERO)).unwrap();
        drop(gone);
        let next = |now| dial(&config, &ports, key(&listener, None), now);
        let early = next(NOW).await.unwrap();
        assert!(!range.contains(&early.local_addr().unwrap().port()));
        assert!(range.contains(&next(NOW + FULL_FOR).await.unwrap().local_addr().unwrap().port()));
        // A client's address has ours alone.
        let source = Some(IpAddr::from([127, 0, 0, 2]));
        let from_client = || dial(&config, &ports, key(&listener, source), NOW);
        let mut held = Vec::new();
        for _ in range.clone() {
            held.push(from_client().await.unwrap());
        }
        assert_eq!(from_client().await.unwrap_err().kind(), ErrorKind::AddrNotAvailable);
        assert_eq!(held.len(), 3);
    });
}
