//! Clients, servers and a proxy, of plain sockets.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::namespace::Net;
use super::node::WORKERS;

/// How long an answer may take that comes, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How long is waited for an answer that does not come. Too short never fails a test that should
/// pass; what was dropped is then looked up in the reports.
pub(crate) const SILENCE: Duration = Duration::from_millis(400);

/// A TCP server: says who called, then repeats every line.
pub(crate) fn serve(net: &Net, role: &str, address: IpAddr, port: u16) {
    let (ready, is_ready) = mpsc::channel();
    net.spawn(role, move || {
        let listener = TcpListener::bind((address, port)).unwrap();
        ready.send(()).unwrap();
        for stream in listener.incoming() {
            thread::spawn(move || repeat("server", stream.unwrap()));
        }
    });
    is_ready.recv().unwrap();
}

/// A UDP server that sends everything back.
pub(crate) fn serve_udp(net: &Net, role: &str, address: IpAddr, port: u16) {
    let (ready, is_ready) = mpsc::channel();
    net.spawn(role, move || {
        let socket = UdpSocket::bind((address, port)).unwrap();
        ready.send(()).unwrap();
        let mut buffer = [0; 65_535];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            let _sent = socket.send_to(&buffer[..length], peer);
        }
    });
    is_ready.recv().unwrap();
}

fn repeat(who: &str, mut stream: TcpStream) {
    let peer = stream.peer_addr().unwrap();
    let local = stream.local_addr().unwrap();
    let greeting = format!("{who} peer={} local={local}\n", peer.ip());
    if stream.write_all(greeting.as_bytes()).is_err() {
        return;
    }
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    while lines.read_line(&mut line).is_ok_and(|length| length > 0) {
        if stream.write_all(line.as_bytes()).is_err() {
            return;
        }
        line.clear();
    }
}

/// A connection of a client.
pub(crate) struct Client {
    lines: BufReader<TcpStream>,
    pub(crate) greeting: String,
}

impl Client {
    /// Connects from a namespace and reads the greeting.
    pub(crate) fn connect(net: &Net, role: &str, to: (IpAddr, u16)) -> io::Result<Self> {
        Self::connect_within(net, role, to, PATIENCE)
    }

    /// As above; for a connection that is expected to fail.
    pub(crate) fn fail(net: &Net, role: &str, to: (IpAddr, u16)) -> io::Error {
        match Self::connect_within(net, role, to, SILENCE) {
            Ok(client) => panic!("{role} reached {to:?}: {}", client.greeting),
            Err(error) => error,
        }
    }

    pub(crate) fn connect_within(
        net: &Net,
        role: &str,
        to: (IpAddr, u16),
        patience: Duration,
    ) -> io::Result<Self> {
        let stream = net.enter(role, || TcpStream::connect_timeout(&SocketAddr::from(to), patience))?;
        Self::greet(stream, patience)
    }

    /// Connects from pod `a` by a port of choice.
    pub(crate) fn connect_from(
        net: &Net,
        from: (IpAddr, u16),
        to: (IpAddr, u16),
        patience: Duration,
    ) -> io::Result<Self> {
        let stream = net.enter("a", || {
            let socket = Socket::new(domain(from.0), Type::STREAM, None)?;
            socket.set_reuse_address(true)?;
            socket.bind(&SocketAddr::from(from).into())?;
            socket.connect_timeout(&SocketAddr::from(to).into(), patience)?;
            Ok::<_, io::Error>(TcpStream::from(socket))
        })?;
        Self::greet(stream, patience)
    }

    fn greet(stream: TcpStream, patience: Duration) -> io::Result<Self> {
        stream.set_read_timeout(Some(patience))?;
        let mut client = Self { lines: BufReader::new(stream), greeting: String::new() };
        client.greeting = client.line()?;
        Ok(client)
    }

    /// Sends a line and reads what comes back.
    pub(crate) fn say(&mut self, text: &str) -> io::Result<String> {
        self.lines.get_mut().write_all(format!("{text}\n").as_bytes())?;
        self.line()
    }

    /// As above, for an answer that is not expected to come.
    pub(crate) fn say_in_vain(&mut self, text: &str) -> io::Error {
        self.lines.get_ref().set_read_timeout(Some(SILENCE)).unwrap();
        match self.say(text) {
            Ok(answer) => panic!("answered {answer:?}"),
            Err(error) => error,
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.lines.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// Reads until the other side ends the connection.
    pub(crate) fn until_end(&mut self) {
        let mut rest = Vec::new();
        let _length = self.lines.read_to_end(&mut rest);
    }
}

/// Sends a datagram and waits for its echo.
pub(crate) fn ask_udp(
    net: &Net,
    role: &str,
    to: (IpAddr, u16),
    payload: &[u8],
    patience: Duration,
) -> io::Result<usize> {
    net.enter(role, || {
        let any: IpAddr =
            if to.0.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(to)?;
        socket.set_read_timeout(Some(patience))?;
        socket.send(payload)?;
        socket.recv(&mut [0; 65_535])
    })
}

/// Asks and expects an answer.
pub(crate) fn udp(net: &Net, role: &str, to: (IpAddr, u16)) -> io::Result<usize> {
    ask_udp(net, role, to, b"hello", PATIENCE)
}

pub(crate) fn domain(ip: IpAddr) -> Domain {
    if ip.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 }
}

/// A proxy in the node's namespace: transparent listeners for each worker and family.
pub(crate) struct Proxy {
    pub(crate) listeners: Vec<[TcpListener; 2]>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Proxy {
    /// Answers itself, saying which worker took the connection.
    pub(crate) fn answering(net: &Net) -> Self {
        Self::start(net, |worker, stream| repeat(&format!("proxy{worker}"), stream))
    }

    /// Says who called and ends the connection first.
    pub(crate) fn closing(net: &Net) -> Self {
        Self::start(net, |_, mut stream| {
            let _sent = stream.write_all(b"bye\n");
        })
    }

    /// Passes everything on to the original destination under the client's address.
    pub(crate) fn relaying(net: &Net) -> Self {
        Self::start(net, |_, stream| {
            let (client, server) = (stream.peer_addr().unwrap(), stream.local_addr().unwrap());
            if let Ok(upstream) = upstream(client.ip(), server) {
                relay(stream, upstream);
            }
        })
    }

    fn start(net: &Net, serve: fn(u32, TcpStream)) -> Self {
        let mut listeners = Vec::new();
        let mut threads = Vec::new();
        for worker in 0..WORKERS {
            let pair = net
                .enter("node", || [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()].map(transparent));
            for listener in &pair {
                let listener = listener.try_clone().unwrap();
                threads.push(net.spawn("node", move || {
                    while let Ok((stream, _)) = listener.accept() {
                        thread::spawn(move || serve(worker, stream));
                    }
                }));
            }
            listeners.push(pair);
        }
        Self { listeners, threads }
    }

    /// Closes the listeners, as a process that ends does.
    pub(crate) fn stop(self) {
        for listener in self.listeners.iter().flatten() {
            // SAFETY: an open descriptor of ours; makes `accept` return.
            unsafe { libc::shutdown(listener.as_raw_fd(), libc::SHUT_RDWR) };
        }
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

fn transparent(ip: IpAddr) -> TcpListener {
    let socket = Socket::new(domain(ip), Type::STREAM, Some(Protocol::TCP)).unwrap();
    if ip.is_ipv4() {
        socket.set_ip_transparent_v4(true).unwrap();
    } else {
        socket.set_only_v6(true).unwrap();
        set(&socket, libc::IPPROTO_IPV6, libc::IPV6_TRANSPARENT, 1);
    }
    socket.set_mark(redirect::MARK_FROM_PROXY).unwrap();
    socket.bind(&SocketAddr::new(ip, 0).into()).unwrap();
    socket.listen(128).unwrap();
    socket.into()
}

pub(crate) fn set(socket: &Socket, level: i32, option: i32, value: libc::c_int) {
    let length = libc::socklen_t::try_from(size_of_val(&value)).unwrap();
    // SAFETY: an open descriptor and an integer of the size said.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), length) };
    assert_eq!(result, 0, "setsockopt: {}", io::Error::last_os_error());
}

/// A connection under the client's address, from the ports that are the proxy's own.
fn upstream(client: IpAddr, server: SocketAddr) -> io::Result<TcpStream> {
    const IP_LOCAL_PORT_RANGE: i32 = 51;
    let socket = Socket::new(domain(client), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_mark(redirect::MARK_FROM_PROXY)?;
    if client.is_ipv4() {
        socket.set_ip_transparent_v4(true)?;
    } else {
        set(&socket, libc::IPPROTO_IPV6, libc::IPV6_TRANSPARENT, 1);
    }
    set(&socket, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1);
    let range = (u32::from(u16::MAX) << 16 | 61_000).cast_signed();
    set(&socket, libc::IPPROTO_IP, IP_LOCAL_PORT_RANGE, range);
    socket.bind(&SocketAddr::new(client, 0).into())?;
    socket.connect_timeout(&server.into(), PATIENCE)?;
    Ok(socket.into())
}

fn relay(mut client: TcpStream, mut server: TcpStream) {
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let back = thread::spawn(move || {
        let _copied = io::copy(&mut server, &mut client);
        let _done = client.shutdown(std::net::Shutdown::Write);
    });
    let _copied = io::copy(&mut from, &mut to);
    let _done = to.shutdown(std::net::Shutdown::Write);
    back.join().unwrap();
}
