//! Bytes through the TCP listener of a Gateway.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;

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

const TCP_ROUTE: &str = r#"
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: bytes, namespace: default}
spec:
  parentRefs: [{name: web, sectionName: tcp}]
  rules:
  - backendRefs: [{name: bytes, port: 9000}]
"#;
