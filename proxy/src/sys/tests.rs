//! What the kernel makes of our calls.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::{acknowledged, pin_thread};

#[test]
fn a_thread_is_pinned_to_a_cpu_that_it_may_use() {
    for index in [0, 1, 1000] {
        std::thread::spawn(move || pin_thread(index).unwrap()).join().unwrap();
    }
}

#[test]
fn what_the_peers_kernel_has_is_acknowledged() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let _peer = listener.accept().unwrap();
    let before = acknowledged(&stream).unwrap();
    let start = Instant::now();
    for bytes in [1, 1_000, 5_000] {
        let already = acknowledged(&stream).unwrap();
        stream.write_all(&vec![b'x'; bytes]).unwrap();
        while acknowledged(&stream).unwrap() < already + bytes as u64 {
            assert!(start.elapsed() < Duration::from_secs(30), "{bytes} bytes are never acknowledged");
            std::thread::yield_now();
        }
    }
    assert_eq!(acknowledged(&stream).unwrap(), before + 6_001);
    assert!(acknowledged(std::io::stdin()).is_err(), "no TCP socket");
}
