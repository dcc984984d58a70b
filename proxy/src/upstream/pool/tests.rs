//! Idle connections that still work are used; others never are.

use std::cell::Cell;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::rc::Rc;
use std::time::Duration;

use model::address::EndpointAddr;
use tokio::net::TcpStream;

use super::{PEEK_AFTER, Slot};
use crate::clock::Moment;
use crate::resilience::{Charge, EndpointState, Target};
use crate::stream::Stream;
use crate::tcp::Tcp;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Both ends of a connection.
async fn pair() -> (Stream, std::net::TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (Stream::Tcp(stream.into()), listener.accept().unwrap().0)
}

/// What counts a connection at its endpoint.
fn charge(endpoint: &Rc<EndpointState>) -> Charge {
    let target = Target { endpoint: endpoint.clone(), service: None, is_copy: false };
    target.charge(|_| false).unwrap()
}

fn endpoint() -> Rc<EndpointState> {
    EndpointState::new(EndpointAddr((Ipv4Addr::LOCALHOST, 80).into()))
}

fn local(stream: &Stream) -> std::net::SocketAddr {
    let Stream::Tcp(Tcp::Watched(stream)) = stream else { panic!("{stream:?}") };
    stream.local_addr().unwrap()
}

const NOW: Moment = Moment(1_000_000_000_000);

#[test]
fn the_last_one_in_is_the_first_one_out() {
    block_on(async {
        let total = Rc::new(Cell::new(0));
        let slot = Slot::new(&total);
        let ((one, _a), (two, _b)) = (pair().await, pair().await);
        let last = local(&two);
        let endpoint = endpoint();
        slot.put(one, charge(&endpoint), NOW);
        slot.put(two, charge(&endpoint), NOW);
        assert_eq!((slot.len(), total.get()), (2, 2));
        assert_eq!(local(&slot.take(NOW).unwrap().0), last);
        assert_eq!(total.get(), 1);
        drop(slot);
        assert_eq!(total.get(), 0);
    });
}

#[test]
fn what_was_closed_or_has_bytes_is_not_used() {
    block_on(async {
        for closes in [true, false] {
            let slot = Slot::new(&Rc::default());
            let (stream, mut other) = pair().await;
            slot.put(stream, charge(&endpoint()), NOW);
            if closes {
                drop(other);
            } else {
                other.write_all(b"x").unwrap();
            }
            // Old enough that the kernel is asked: no event needs to have been seen.
            assert!(slot.take(NOW + PEEK_AFTER).is_none(), "closes: {closes}");
            assert_eq!(slot.len(), 0);
        }
    });
}

#[test]
fn what_is_idle_for_too_long_is_closed() {
    block_on(async {
        let slot = Slot::new(&Rc::default());
        let (stream, _other) = pair().await;
        let timeout = Duration::from_secs(30);
        slot.put(stream, charge(&endpoint()), NOW);
        slot.sweep(NOW + (timeout - Duration::from_nanos(1)), timeout);
        assert_eq!(slot.len(), 1);
        slot.sweep(NOW + timeout, timeout);
        assert_eq!(slot.len(), 0);
    });
}

#[test]
fn one_makes_way_for_another() {
    block_on(async {
        let slot = Slot::new(&Rc::default());
        let (one, two) = (endpoint(), endpoint());
        let (stream, mut other) = pair().await;
        slot.put(stream, charge(&one), NOW);
        let is_of = |endpoint: &Rc<EndpointState>| {
            let endpoint = endpoint.clone();
            move |charge: &Charge| Rc::ptr_eq(&charge.target().endpoint, &endpoint)
        };
        assert!(!slot.evict(&is_of(&two)));
        assert_eq!(slot.len(), 1);
        assert!(slot.evict(&is_of(&one)));
        assert_eq!(slot.len(), 0);
        assert_eq!(std::io::Read::read(&mut other, &mut [0]).unwrap(), 0, "it is closed");
        assert_eq!(Rc::strong_count(&one), 1, "nothing is charged any more");
    });
}
