//! When the runtime comes to know a socket, and that nobody notices.

use std::future::poll_fn;
use std::net::{Ipv4Addr, TcpListener};

use super::*;

/// A client and the accepted end of its connection.
fn pair() -> (std::net::TcpStream, Tcp) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    accepted.set_nonblocking(true).unwrap();
    (client, Tcp::accepted(accepted.into()))
}

async fn read(tcp: &mut Tcp) -> Vec<u8> {
    let mut bytes = [0; 64];
    let mut room = ReadBuf::new(&mut bytes);
    poll_fn(|context| tcp.poll_read_ready(context)).await.unwrap();
    poll_fn(|context| tcp.poll_read(context, &mut room)).await.unwrap();
    room.filled().to_vec()
}

async fn write(tcp: &mut Tcp, bytes: &[u8]) -> usize {
    poll_fn(|context| tcp.poll_write(context, bytes)).await.unwrap()
}

#[tokio::test(flavor = "current_thread")]
async fn one_that_need_not_be_waited_for_is_not_watched() {
    let (mut client, mut tcp) = pair();
    assert!(tcp.is_quiet() && tcp.is_quiet_for_kernel());
    client.write_all(b"hello").unwrap();
    assert!(!tcp.is_quiet() && !tcp.is_drained(), "the kernel is asked, as nobody else knows");
    assert_eq!(read(&mut tcp).await, b"hello");
    assert!(tcp.is_drained());
    assert_eq!(write(&mut tcp, b"bye").await, 3);
    poll_fn(|context| tcp.poll_shutdown(context)).await.unwrap();
    assert!(matches!(tcp, Tcp::New(..)));
    let mut got = Vec::new();
    client.read_to_end(&mut got).unwrap();
    assert_eq!(got, b"bye");
}

#[tokio::test(flavor = "current_thread")]
async fn one_that_has_nothing_yet_is_watched_and_wakes() {
    let (mut client, mut tcp) = pair();
    let late = std::thread::spawn(move || {
        client.write_all(b"hello").unwrap();
        client
    });
    // Maybe before, maybe after the first try.
    assert_eq!(read(&mut tcp).await, b"hello");
    let mut client = late.join().unwrap();
    let nothing = poll_fn(|context| {
        let mut byte = [0];
        Poll::Ready(tcp.poll_read(context, &mut ReadBuf::new(&mut byte)).is_pending())
    });
    assert!(nothing.await && matches!(tcp, Tcp::Watched(_)));
    client.write_all(b"more").unwrap();
    assert_eq!(read(&mut tcp).await, b"more");
    drop(client);
    assert_eq!(read(&mut tcp).await, b"", "the end");
    assert!(tcp.is_drained() && !tcp.is_quiet(), "an end is nothing unread");
}

#[tokio::test(flavor = "current_thread")]
async fn one_that_always_has_more_is_watched_in_the_end() {
    let (mut client, mut tcp) = pair();
    for round in 0..2 * TRIES {
        client.write_all(&[round]).unwrap();
        assert_eq!(read(&mut tcp).await, [round]);
        assert_eq!(matches!(tcp, Tcp::Watched(_)), round >= TRIES, "{round}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_writer_waits_for_room() {
    let (mut client, mut tcp) = pair();
    let all = vec![b'x'; 32 << 20];
    let reader = std::thread::spawn(move || {
        let mut got = Vec::new();
        client.read_to_end(&mut got).unwrap();
        got.len()
    });
    let mut sent = 0;
    while sent < all.len() {
        sent += write(&mut tcp, &all[sent..]).await;
    }
    drop(tcp);
    assert_eq!(reader.join().unwrap(), all.len());
}

#[test]
fn without_a_reset_or_with_one() {
    for resets in [false, true] {
        let (mut client, tcp) = pair();
        if resets {
            tcp.reset();
        }
        drop(tcp);
        let end = client.read(&mut [0]).map_err(|error| error.kind());
        assert_eq!(end, if resets { Err(ErrorKind::ConnectionReset) } else { Ok(0) });
    }
}
