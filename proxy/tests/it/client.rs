//! A client that says exactly what it is told and reads exactly what comes.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

/// So long that only a defect reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A connection, of a client or as an endpoint accepted it.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    pub(crate) held: Vec<u8>,
}

/// A message as read: head without the blank line, body without chunks.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) head: String,
    pub(crate) body: String,
    /// The body as it was on the wire.
    pub(crate) raw: Vec<u8>,
}

impl Message {
    /// The status of a response.
    pub(crate) fn status(&self) -> u16 {
        self.head.get(9..12).and_then(|status| status.parse().ok()).expect("a status line")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl Peer {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, held: Vec::new() }
    }

    pub(crate) fn connect(to: SocketAddr) -> Self {
        Self::new(TcpStream::connect(to).unwrap())
    }

    /// Connects as the pod 127.0.0.`last`.
    pub(crate) fn from_pod(last: u8, to: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(pod(last), 0).into()).unwrap();
        socket.connect(&to.into()).unwrap();
        Self::new(socket.into())
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// Sends as much as the other side takes.
    pub(crate) fn try_send(&mut self, text: &str) -> std::io::Result<()> {
        self.stream.write_all(text.as_bytes())
    }

    pub(crate) fn get(&mut self, path: &str) -> Message {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
        self.response()
    }

    fn more(&mut self) -> std::io::Result<usize> {
        let mut piece = [0; 65536];
        let count = self.stream.read(&mut piece)?;
        self.held.extend_from_slice(&piece[..count]);
        Ok(count)
    }

    /// The next head, blank line taken and left out; `None` at the end of the stream.
    pub(crate) fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.held.windows(4).position(|w| w == b"\r\n\r\n") {
                let head = String::from_utf8(self.held.drain(..end + 4).collect()).unwrap();
                return Some(head.trim_end().to_owned());
            }
            if self.more().ok()? == 0 {
                return None;
            }
        }
    }

    /// Exactly so many bytes.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        while self.held.len() < count {
            assert!(self.more().unwrap() > 0, "the stream ended after {:?}", self.held);
        }
        self.held.drain(..count).collect()
    }

    /// All that comes until the close.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.more().unwrap() > 0 {}
        std::mem::take(&mut self.held)
    }

    /// Whether the connection was closed, and nothing came before that.
    pub(crate) fn is_closed(&mut self) -> bool {
        match self.more() {
            Ok(count) => count == 0 && self.held.is_empty(),
            Err(error) => error.kind() == ErrorKind::ConnectionReset && self.held.is_empty(),
        }
    }

    /// Whether the connection was reset.
    pub(crate) fn is_reset(&mut self) -> bool {
        matches!(self.more(), Err(error) if error.kind() == ErrorKind::ConnectionReset)
    }

    /// A whole response to a method that gets bodies.
    pub(crate) fn response(&mut self) -> Message {
        let head = self.head().expect("a response");
        let is_response = head.starts_with("HTTP/");
        let message = Message { head, body: String::new(), raw: Vec::new() };
        self.body(message, is_response)
    }

    /// A whole request; `None` at the end of the stream.
    pub(crate) fn request(&mut self) -> Option<Message> {
        let head = self.head()?;
        Some(self.body(Message { head, body: String::new(), raw: Vec::new() }, false))
    }

    fn body(&mut self, mut message: Message, until_close: bool) -> Message {
        if message.header("transfer-encoding").is_some() {
            let mut text = Vec::new();
            loop {
                let line = self.line(&mut message.raw);
                let size = usize::from_str_radix(line.split(';').next().unwrap(), 16).unwrap();
                if size == 0 {
                    while !self.line(&mut message.raw).is_empty() {}
                    break;
                }
                let data = self.take(size + 2);
                text.extend_from_slice(&data[..size]);
                message.raw.extend_from_slice(&data);
            }
            message.body = String::from_utf8(text).unwrap();
            return message;
        }
        message.raw = match message.header("content-length") {
            Some(length) => self.take(length.parse().unwrap()),
            None if until_close && message.status() >= 200 && message.status() != 204 => self.rest(),
            None => Vec::new(),
        };
        message.body = String::from_utf8_lossy(&message.raw).into_owned();
        message
    }

    fn line(&mut self, raw: &mut Vec<u8>) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend(self.take(1));
        }
        raw.extend_from_slice(&line);
        String::from_utf8(line).unwrap().trim_end().to_owned()
    }

    pub(crate) fn shut(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Closes with a reset.
    pub(crate) fn abort(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// The address of a test pod.
pub(crate) fn pod(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
}

/// Waits for a condition.
pub(crate) fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + PATIENCE;
    while !is_true() {
        assert!(std::time::Instant::now() < end, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
