//! Bytes that stay in the kernel: they arrive like those that are copied, and nothing is left behind.

use std::io::{ErrorKind, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use model::flow::{FlowReason, FlowVerdict};

use crate::backend::Backend;
use crate::client::{Peer, until};
use crate::world::{Plan, World};

/// Bytes of which no kilobyte is like another, nor like one of another seed.
fn bytes(seed: u32, count: usize) -> Vec<u8> {
    let mut block: Vec<u8> = (0..1024_u32).map(|at| at.wrapping_mul(0x9e37_79b1).to_le_bytes()[3]).collect();
    let mut all = Vec::with_capacity(count + block.len());
    for number in 0.. {
        if all.len() >= count {
            break;
        }
        block[..4].copy_from_slice(&seed.to_le_bytes());
        block[4..8].copy_from_slice(&u32::to_le_bytes(number));
        all.extend_from_slice(&block);
    }
    all.truncate(count);
    all
}

fn same(what: &str, got: &[u8], sent: &[u8]) {
    let first = got.iter().zip(sent).position(|(one, other)| one != other);
    assert!(got == sent, "{what}: {} of {} bytes, the first other at {first:?}", got.len(), sent.len());
}

fn no_pipe_is_left(world: &World) {
    until("all pipes are closed", || world.proxy().stats().pipes_open == 0);
}

#[test]
fn much_both_ways_at_once_arrives_whole() {
    const UP: usize = 24 << 20;
    const DOWN: usize = 17 << 20;
    let backend = Backend::script(|mut peer, _| {
        let mut writer = Peer::new(peer.stream.try_clone().unwrap());
        thread::scope(|scope| {
            scope.spawn(|| {
                writer.stream.write_all(&bytes(2, DOWN)).unwrap();
                writer.shut();
            });
            same("up", &peer.rest(), &bytes(1, UP));
        });
    });
    let mut world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.service);
    let mut writer = Peer::new(client.stream.try_clone().unwrap());
    thread::scope(|scope| {
        scope.spawn(|| {
            writer.stream.write_all(&bytes(1, UP)).unwrap();
            writer.shut();
        });
        same("down", &client.rest(), &bytes(2, DOWN));
    });
    let flow = world.flow();
    assert_eq!((flow.verdict, flow.reason), (FlowVerdict::Forwarded, FlowReason::None));
    assert_eq!((flow.bytes_in, flow.bytes_out), (UP as u64, DOWN as u64));
    let spliced = world.proxy().stats().spliced_bytes;
    assert!(spliced > (UP + DOWN) as u64 / 2, "{spliced} bytes were spliced");
    no_pipe_is_left(&world);
}

#[test]
fn a_half_that_has_ended_leaves_the_other_open() {
    const SIZE: usize = 4 << 20;
    let backend = Backend::script(|mut peer, _| {
        // Answers only when it has been told of the end.
        let got = peer.rest();
        same("up", &got, &bytes(3, SIZE));
        peer.stream.write_all(&got).unwrap();
    });
    let world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.service);
    client.stream.write_all(&bytes(3, SIZE)).unwrap();
    client.shut();
    same("down", &client.rest(), &bytes(3, SIZE));
    no_pipe_is_left(&world);
}

#[test]
fn messages_take_no_pipe() {
    let backend = Backend::script(|mut peer, _| {
        for _ in 0..500 {
            let got = peer.take(1000);
            peer.stream.write_all(&got).unwrap();
        }
    });
    let world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.service);
    for seed in 0..500 {
        client.stream.write_all(&bytes(seed, 1000)).unwrap();
        same("echo", &client.take(1000), &bytes(seed, 1000));
    }
    let stats = world.proxy().stats();
    assert_eq!((stats.spliced_bytes, stats.pipes_open, stats.limit_pipes), (0, 0, 0));
}

/// Writes until the other side takes no more; how many bytes went.
fn write_until_stuck(stream: &mut TcpStream, all: &[u8]) -> usize {
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut sent = 0;
    while sent < all.len() {
        match stream.write(&all[sent..]) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    sent
}

#[test]
fn a_slow_reader_holds_up_its_writer() {
    const SIZE: usize = 64 << 20;
    let start = Arc::new(Barrier::new(2));
    let waits = start.clone();
    let backend = Backend::script(move |mut peer, _| {
        waits.wait();
        let got = peer.rest();
        peer.stream.write_all(&(got.len() as u64).to_le_bytes()).unwrap();
        same("up", &got, &bytes(4, got.len()));
        peer.send("!");
    });
    let world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.service);
    let sent = write_until_stuck(&mut client.stream, &bytes(4, SIZE));
    // The buffers of four sockets and a pipe are full.
    assert!(sent < SIZE, "{sent} bytes went although nobody read");
    until("some are spliced", || world.proxy().stats().spliced_bytes > 0);
    start.wait();
    client.shut();
    let mut told = (sent as u64).to_le_bytes().to_vec();
    told.push(b'!');
    assert_eq!(client.rest(), told);
    no_pipe_is_left(&world);
}

#[test]
fn what_a_reset_leaves_in_a_pipe_reaches_nobody() {
    let ended = Arc::new(Barrier::new(2));
    let waits = ended.clone();
    let backend = Backend::script(move |mut peer, _| match peer.take(1)[0] {
        // Reads nothing until its client is gone, then finds a reset.
        b's' => {
            waits.wait();
            while peer.stream.write(b"x").is_ok() {}
        }
        _ => {
            let got = peer.rest();
            peer.stream.write_all(&got).unwrap();
        }
    });
    // Were the pipe kept, the next connection would get it.
    let mut world = Plan::new(&[backend.address]).limits(|limits| limits.pipes = 1).start();
    for seed in 10..13 {
        let mut stalled = Peer::connect(world.service);
        stalled.send("s");
        write_until_stuck(&mut stalled.stream, &bytes(0, 64 << 20));
        until("they are in the pipe", || world.proxy().stats().pipes_open == 1);
        // The proxy finds out by the endpoint's bytes, which it cannot pass on.
        stalled.abort();
        ended.wait();
        let flow = world.flow();
        assert_eq!(flow.reason, FlowReason::ClientGone);

        let mut client = Peer::connect(world.service);
        client.send("e");
        client.stream.write_all(&bytes(seed, 3 << 20)).unwrap();
        client.shut();
        same("echo", &client.rest(), &bytes(seed, 3 << 20));
        world.flow();
    }
    assert!(world.proxy().stats().spliced_bytes > 3 << 20);
    no_pipe_is_left(&world);
}

#[test]
fn a_reset_in_the_middle_is_passed_on() {
    let backend = Backend::script(|mut peer, _| {
        peer.take(8 << 20);
        peer.abort();
    });
    let mut world = Plan::new(&[backend.address]).start();
    let mut client = Peer::connect(world.service);
    let sent = client.stream.write_all(&bytes(5, 64 << 20));
    assert!(sent.is_err() || client.is_reset(), "the end of the endpoint was not passed on");
    let flow = world.flow();
    assert_eq!((flow.verdict, flow.reason), (FlowVerdict::Forwarded, FlowReason::UpstreamFailed));
    no_pipe_is_left(&world);
}

#[test]
fn beyond_the_limit_bytes_are_copied() {
    const SIZE: usize = 24 << 20;
    const CLIENTS: u32 = 4;
    let start = Arc::new(Barrier::new(CLIENTS as usize + 1));
    let waits = start.clone();
    let backend = Backend::script(move |mut peer, _| {
        waits.wait();
        let got = peer.rest();
        peer.stream.write_all(&got).unwrap();
    });
    let world = Plan::new(&[backend.address]).limits(|limits| limits.pipes = 2).start();
    thread::scope(|scope| {
        for seed in 20..20 + CLIENTS {
            let mut client = Peer::connect(world.service);
            scope.spawn(move || {
                let mut writer = Peer::new(client.stream.try_clone().unwrap());
                thread::scope(|scope| {
                    scope.spawn(|| {
                        writer.stream.write_all(&bytes(seed, SIZE)).unwrap();
                        writer.shut();
                    });
                    same("echo", &client.rest(), &bytes(seed, SIZE));
                });
            });
        }
        // Nobody reads: the first to fill the sockets hold the pipes, the others do without.
        until("more were wanted", || world.proxy().stats().limit_pipes > 0);
        assert_eq!(world.proxy().stats().pipes_open, 2);
        start.wait();
    });
    no_pipe_is_left(&world);
}
