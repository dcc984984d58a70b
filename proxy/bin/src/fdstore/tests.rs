use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use super::*;

#[test]
fn every_message_survives_the_wire() {
    let table = [
        Message::Hold("transparent/0/v4".into()),
        Message::Release("gateway/1/[::]:80".into()),
        Message::Start,
        Message::Ready,
        Message::Drain(Duration::from_millis(1500)),
    ];
    let (a, b) = Link::pair().unwrap();
    for message in table {
        a.send(&message, None).unwrap();
        let (received, fd) = b.receive().unwrap().unwrap();
        assert_eq!(received, message);
        assert!(fd.is_none(), "{message:?} came with a descriptor");
    }
}

#[test]
fn descriptors_arrive_by_name_and_work() {
    let (a, b) = Link::pair().unwrap();
    let (mut near, far) = UnixStream::pair().unwrap();
    let held = vec![("one".to_string(), OwnedFd::from(far))];
    a.hand_over(&held).unwrap();
    drop(held);
    let mut received = b.take_over().unwrap();
    assert_eq!(received.len(), 1);
    let (name, fd) = received.remove(0);
    assert_eq!(name, "one");
    UnixStream::from(fd).write_all(b"x").unwrap();
    let mut byte = [0];
    near.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"x");
}

#[test]
fn the_other_end_gone_is_none_and_before_start_an_error() {
    let (a, b) = Link::pair().unwrap();
    drop(a);
    assert!(b.receive().unwrap().is_none());
    let (a, b) = Link::pair().unwrap();
    drop(a);
    assert!(b.take_over().is_err());
}

#[test]
fn a_second_hold_replaces_and_a_release_removes() {
    let fd = || Some(OwnedFd::from(UnixStream::pair().unwrap().0));
    let mut held = Held::new();
    apply(&mut held, Message::Hold("a".into()), fd());
    apply(&mut held, Message::Hold("b".into()), fd());
    apply(&mut held, Message::Hold("a".into()), fd());
    let names: Vec<_> = held.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["b", "a"]);
    apply(&mut held, Message::Release("b".into()), None);
    apply(&mut held, Message::Hold("without descriptor".into()), None);
    assert_eq!(held.len(), 1);
}
