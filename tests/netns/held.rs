//! Connections of every protocol that are held while something happens: what concerns them, and what
//! does not.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tests::certificate::Certificate;
use tests::client::Client;
use tests::lab::NODE_V4;
use tests::objects::{documents, gateway, service};
use tests::wait::PATIENCE;
use tests::{Backend, Host, Peer, Weir, h2, until};

use crate::http2::ROUTE;
use crate::tls::https;
use crate::world::{GET_PUBLIC, World};

/// A Gateway with a listener of every kind, and servers behind it.
pub(crate) struct Place {
    pub(crate) world: World,
    outside: Host,
    _echo: Backend,
    _datagrams: Datagrams,
}

impl Place {
    pub(crate) fn new() -> Self {
        let mut world = World::new();
        let outside = world.lab.outside("outside");
        let echo = Backend::echo(&world.api.ns, world.api.at(90));
        let datagrams = Datagrams::new(&world.api);
        let listeners =
            "  - {name: tcp, protocol: TCP, port: 9000}\n  - {name: udp, protocol: UDP, port: 9053}\n";
        let udp = service("udp", &["10.96.0.4"], 53, &[(world.api.v4.into(), 53)]);
        let objects = [
            gateway("web", 8080, &[]) + &https("web-tls", "hostname: a.test, ") + listeners,
            Certificate::new(world.lab.folder(), "a.test").secret("web-tls"),
            service("api", &["10.96.0.1"], 80, &[(world.api.v4.into(), 80)]),
            service("tcp", &["10.96.0.3"], 90, &[(world.api.v4.into(), 90)]),
            udp.replace("protocol: TCP", "protocol: UDP"),
            ROUTE.into(),
            BYTES.into(),
        ];
        world.lab.write("held.yaml", &documents(&objects));
        Self { world, outside, _echo: echo, _datagrams: datagrams }
    }
}

/// One connection, or flow, of each protocol.
pub(crate) struct Held {
    http1: Client,
    http2: h2::Client,
    tls: Peer,
    answers: usize,
    streams: Streams,
    udp: UdpSocket,
    /// Where the endpoint saw its datagrams come from.
    flow: Option<String>,
}

/// Those that last: bytes, and an upgraded connection.
pub(crate) struct Streams {
    tcp: TcpStream,
    socket: Client,
}

impl Streams {
    pub(crate) fn open(place: &Place) -> Self {
        let from = &place.outside;
        let tcp = from.connect((NODE_V4, 9000).into()).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut socket = Client::connect(from, (NODE_V4, 8080).into()).unwrap();
        let fields = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", KEY];
        assert_eq!(socket.request("GET", "/socket", &fields).unwrap().status, 101);
        Self { tcp, socket }
    }

    /// Has each carry some bytes both ways.
    pub(crate) fn carry(&mut self) {
        self.tcp.write_all(b"bytes").unwrap();
        let mut back = [0; 5];
        self.tcp.read_exact(&mut back).expect("the TCP connection lives");
        assert_eq!(&back, b"bytes");
        self.socket.send("frame").unwrap();
        assert_eq!(self.socket.read(5).expect("the upgraded connection lives"), b"frame");
    }

    /// Waits for the end of each, which is a close or a reset and not a time-out.
    pub(crate) fn ended(mut self) {
        match self.tcp.read_to_end(&mut Vec::new()) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
        assert_eq!(self.socket.rest().unwrap(), b"");
    }
}

impl Held {
    pub(crate) fn open(place: &Place) -> Self {
        let from = &place.outside;
        let gateway: SocketAddr = (NODE_V4, 8080).into();
        let secured = format!("{NODE_V4}:8443");
        let arguments = ["s_client", "-quiet", "-connect", &secured, "-servername", "a.test"];
        let udp = from.ns.udp(SocketAddr::from(([0, 0, 0, 0], 0)));
        udp.set_read_timeout(Some(PATIENCE)).unwrap();
        udp.connect((NODE_V4, 9053)).unwrap();
        Self {
            http1: Client::connect(from, gateway).unwrap(),
            http2: h2::Client::connect(from, gateway).unwrap(),
            tls: Peer::spawn(&from.ns, "openssl", &arguments),
            answers: 0,
            streams: Streams::open(place),
            udp,
            flow: None,
        }
    }

    /// Has each carry something more, and none be told that it ends.
    pub(crate) fn carry(&mut self) {
        let answer = self.http1.get("/").expect("the HTTP/1.1 connection lives");
        assert_eq!((answer.status, answer.header("connection")), (200, None));
        assert_eq!(self.http2.get("/").expect("the HTTP/2 connection lives").status, 200);
        assert_eq!(self.http2.go_away(), None);
        self.tls.write(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        self.answers += 1;
        until("an answer in TLS", || {
            (self.tls.text().matches("HTTP/1.1 200").count() == self.answers).then_some(())
        });
        assert!(!self.tls.text().to_ascii_lowercase().contains("connection: close"), "{}", self.tls.text());
        self.streams.carry();
        self.udp.send(b"datagram").unwrap();
        let mut answer = [0; 64];
        let count = self.udp.recv(&mut answer).expect("an answer to the datagram");
        let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
        let (seen, datagram) = answer.split_once(' ').unwrap();
        assert_eq!(datagram, "datagram");
        // The proxy's socket for a flow is its own.
        assert_eq!(self.flow.get_or_insert_with(|| seen.to_owned()), seen, "the flow lives");
    }
}

/// Answers every datagram with the address that it came from, a space and the datagram.
struct Datagrams(Arc<AtomicBool>);

impl Datagrams {
    fn new(host: &Host) -> Self {
        let socket = host.ns.udp(host.at(53));
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let stop = over.clone();
        thread::spawn(move || {
            let mut datagram = [0; 2048];
            while !stop.load(Ordering::Relaxed) {
                let Ok((count, from)) = socket.recv_from(&mut datagram) else { continue };
                let answer = [from.to_string().as_bytes(), b" ", &datagram[..count]].concat();
                socket.send_to(&answer, from).ok();
            }
        });
        Self(over)
    }
}

impl Drop for Datagrams {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_change_touches_no_connection_that_it_does_not_concern() {
    needs_lab!("openssl");
    let place = Place::new();
    let world = &place.world;
    let weir = Weir::start(&world.lab);
    let mut held = Held::open(&place);
    held.carry();
    let folder = world.lab.folder().join("renewed");
    std::fs::create_dir_all(&folder).unwrap();
    let renewed = Certificate::new(&folder, "a.test").secret("web-tls");
    let now = std::fs::read_to_string(world.lab.config().join("held.yaml")).unwrap();
    let secret = in_force(world).secret("web-tls");
    let changes = [
        ("other.yaml", gateway("other", 8081, &[]).split_once("---").unwrap().1.to_owned()),
        ("routes.yaml", ROUTE.replace("name: api, namespace", "name: second, namespace")),
        ("services.yaml", service("others", &["10.96.0.9"], 80, &[(world.stranger.v4.into(), 80)])),
        ("policy.yaml", GET_PUBLIC.replace("app: api", "role: stranger")),
        // Of its own listener: in force for new connections.
        ("held.yaml", now.replace(&secret, &renewed)),
        // Of its own listeners: another one beside them.
        (
            "held.yaml",
            now.replace("  - {name: tcp,", "  - {name: more, protocol: TCP, port: 9001}\n  - {name: tcp,"),
        ),
        ("pods.yaml", world.pods().replace("role: \"stranger\"", "role: \"other\"")),
    ];
    for (file, text) in changes {
        let before = weir.revision();
        let was = std::fs::read_to_string(world.lab.config().join(file)).unwrap_or_default();
        assert_ne!(was, text, "a change of {file}");
        world.lab.write(file, &text);
        weir.wait_revision(before);
        held.carry();
    }
    assert!(!weir.log().contains("ERROR"), "{}", weir.log());
}

/// The certificate that the place was made with.
fn in_force(world: &World) -> Certificate {
    let file = |end: &str| world.lab.folder().join(format!("a.test.{end}"));
    Certificate { name: "a.test".into(), certificate: file("crt"), key: file("key") }
}

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

const BYTES: &str = r#"
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
metadata: {name: tcp, namespace: default}
spec:
  parentRefs: [{name: web, sectionName: tcp}]
  rules:
  - backendRefs: [{name: tcp, port: 90}]
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: UDPRoute
metadata: {name: udp, namespace: default}
spec:
  parentRefs: [{name: web, sectionName: udp}]
  rules:
  - backendRefs: [{name: udp, port: 53}]
"#;
