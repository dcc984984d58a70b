//! Bytes through the TCP listener of a Gateway.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use rustix::process::Pid;
use tests::client::Client;
use tests::lab::NODE_V4;
use tests::objects::{documents, gateway, service};
use tests::wait::PATIENCE;
use tests::{Backend, Weir, until};

use crate::world::World;

fn world(port: u16) -> World {
    let world = World::new();
    let gateway = gateway("web", 8080, &[]) + "  - {name: tcp, protocol: TCP, port: 9000}\n";
    let endpoint = service("bytes", &["10.96.0.3"], 9000, &[(world.api.v4.into(), port)]);
    world.lab.write("pods.yaml", &documents(&[world.pods(), gateway, endpoint, TCP_ROUTE.into()]));
    world
}

#[test]
fn bytes_pass_whole_and_ends_pass_one_by_one() {
    needs_lab!();
    let mut world = world(90);
    let outside = world.lab.outside("outside");
    let _echo = Backend::echo(&world.api.ns, world.api.at(90));
    let weir = Weir::start(&world.lab);
    let mut stream = outside.connect((NODE_V4, 9000).into()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let sent: Vec<u8> = (0..2_000_000_u32).map(|at| at.to_le_bytes()[usize::from(at % 2 == 0)]).collect();
    let mut writer = stream.try_clone().unwrap();
    let mut got = Vec::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            writer.write_all(&sent).unwrap();
            // The echo ends only when it has been told of this end.
            writer.shutdown(Shutdown::Write).unwrap();
        });
        stream.read_to_end(&mut got).unwrap();
    });
    assert!(got == sent, "{} of {} bytes, or others", got.len(), sent.len());
    let flow = weir.wait_flow("the connection", |flow| flow["source"]["ip"] == outside.v4.to_string());
    assert_eq!(flow["verdict"], "FORWARDED", "{flow}");
}

/// The pipes that a process has open.
fn pipes(process: Pid) -> usize {
    let folder = format!("/proc/{}/fd", process.as_raw_nonzero());
    let links =
        std::fs::read_dir(folder).unwrap().filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    links.filter(|link| link.to_string_lossy().starts_with("pipe:")).count()
}

#[test]
fn large_bodies_stay_in_the_kernel_and_leave_no_pipe_behind() {
    needs_lab!();
    let world = world(93);
    let _echo = Backend::echo(&world.api.ns, world.api.at(93));
    let weir = Weir::start(&world.lab);
    let proxy = weir.proxy().unwrap();
    let before = pipes(proxy);
    let sent: Vec<u8> =
        (0..5_000_000_u32).flat_map(|at| at.wrapping_mul(0x9e37_79b1).to_le_bytes()).collect();
    thread::scope(|scope| {
        for _ in 0..3 {
            let mut stream = world.frontend.connect((NODE_V4, 9000).into()).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let (mut writer, sent) = (stream.try_clone().unwrap(), &sent);
            scope.spawn(move || {
                writer.write_all(sent).unwrap();
                writer.shutdown(Shutdown::Write).unwrap();
            });
            scope.spawn(move || {
                let mut got = Vec::new();
                stream.read_to_end(&mut got).unwrap();
                assert!(got == *sent, "{} of {} bytes, or others", got.len(), sent.len());
            });
        }
    });
    let admin = ([127, 0, 0, 1], 15200).into();
    let metrics = || {
        let stream = world.lab.node.connect(admin, Duration::from_secs(10)).unwrap();
        Client::new(stream, admin).get("/metrics").unwrap().text()
    };
    let spliced = metrics().lines().find_map(|line| {
        line.strip_prefix("weir_spliced_bytes_total ").and_then(|count| count.parse::<usize>().ok())
    });
    assert!(spliced.unwrap() > 3 * sent.len(), "{spliced:?} of {} bytes", 6 * sent.len());
    until("no pipe to be left", || (pipes(proxy) == before).then_some(()));
    until("none to be counted", || metrics().contains("weir_pipes_open 0\n").then_some(()));
}

#[test]
fn a_server_may_speak_first() {
    needs_lab!();
    let world = world(91);
    let listener = world.api.ns.listen(world.api.at(91));
    let greeter = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"220 ready\r\n").unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
    });
    let _weir = Weir::start(&world.lab);
    let mut stream = world.frontend.connect((NODE_V4, 9000).into()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut greeting = [0; 11];
    stream.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"220 ready\r\n");
    drop(stream);
    greeter.join().unwrap();
}

#[test]
fn without_an_endpoint_the_connection_ends_and_says_nothing() {
    needs_lab!();
    let world = world(92);
    let _weir = Weir::start(&world.lab);
    let mut stream = world.frontend.connect((NODE_V4, 9000).into()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut got = Vec::new();
    match stream.read_to_end(&mut got) {
        Ok(_) => assert_eq!(got, b""),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    // Served as soon as the endpoint is there.
    let _echo = Backend::echo(&world.api.ns, world.api.at(92));
    until("an echo", || {
        let mut stream = world.frontend.connect((NODE_V4, 9000).into()).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.write_all(b"x").ok()?;
        let mut byte = [0; 1];
        stream.read_exact(&mut byte).ok().map(|()| assert_eq!(&byte, b"x"))
    });
}

pub(crate) const TCP_ROUTE: &str = r#"
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: bytes, namespace: default}
spec:
  parentRefs: [{name: web, sectionName: tcp}]
  rules:
  - backendRefs: [{name: bytes, port: 9000}]
"#;
