//! Servers inside namespaces: an HTTP one that says who answered and what it saw, and one that
//! echoes bytes. Plain threads, so that nothing of the proxy under test is in them.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use crate::client::field;
use crate::listening::{Listening, lock};
use crate::namespace::Namespace;

/// A request as it arrived at a backend.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Where the connection came from.
    pub peer: SocketAddr,
    /// Method.
    pub method: String,
    /// Request target as sent.
    pub target: String,
    /// Fields in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body without framing.
    pub body: Vec<u8>,
}

impl Seen {
    /// The first field of this lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        field(&self.headers, name)
    }
}

/// A server; it stops accepting when dropped, and its connections are closed.
#[derive(Debug)]
pub struct Backend {
    /// Where it listens.
    pub address: SocketAddr,
    name: String,
    listening: Listening,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Vec<Seen>>,
    held: Mutex<bool>,
    released: Condvar,
}

impl Backend {
    /// An HTTP/1.1 server. It answers 200 with its name and a line feed, and:
    /// `/chunked` in chunks with a trailer, `/close` with the end of the connection as the end of
    /// the body, `/hold` only after [`Backend::release`], `/big` with [`BIG`] bytes, and a
    /// WebSocket upgrade with 101 and an echo of what follows.
    pub fn http(ns: &Namespace, address: SocketAddr, name: &str) -> Self {
        Self::start(ns, address, name, serve_http)
    }

    /// A server that sends back every byte.
    pub fn echo(ns: &Namespace, address: SocketAddr) -> Self {
        Self::start(ns, address, "echo", |stream, _, _| echo(stream))
    }

    fn start(ns: &Namespace, address: SocketAddr, name: &str, serve: Serve) -> Self {
        let shared = Arc::new(Shared { held: Mutex::new(true), ..Shared::default() });
        let (of_server, by) = (shared.clone(), name.to_owned());
        let listening = Listening::start(ns, address, move |stream, _| serve(stream, &by, &of_server));
        Self { address, name: name.to_owned(), listening, shared }
    }

    /// The name that its answers carry.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.shared.seen).clone()
    }

    /// The latest request.
    pub fn last(&self) -> Seen {
        lock(&self.shared.seen).last().cloned().expect("the backend saw a request")
    }

    /// How many requests it saw.
    pub fn count(&self) -> usize {
        lock(&self.shared.seen).len()
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.listening.count()
    }

    /// Answers the requests to `/hold`, from now on at once.
    pub fn release(&self) {
        *lock(&self.shared.held) = false;
        self.shared.released.notify_all();
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.release();
    }
}

/// Bytes in the answer to `/big`.
pub const BIG: usize = 3_000_000;

type Serve = fn(TcpStream, &str, &Shared) -> io::Result<()>;

fn echo(mut stream: TcpStream) -> io::Result<()> {
    io::copy(&mut stream.try_clone()?, &mut stream)?;
    stream.shutdown(Shutdown::Write)
}

fn serve_http(mut stream: TcpStream, name: &str, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let peer = stream.peer_addr()?;
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(mut seen) = read_head(&mut reader, peer)? {
        let upgrade = seen.header("upgrade").is_some_and(|value| value == "websocket");
        if seen.header("expect").is_some() {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        seen.body = read_body(&mut reader, &seen)?;
        let target = seen.target.clone();
        lock(&shared.seen).push(seen);
        if upgrade {
            stream.write_all(UPGRADED)?;
            io::copy(&mut reader, &mut stream)?;
            return stream.shutdown(Shutdown::Write);
        }
        if target == "/hold" {
            let held = lock(&shared.held);
            drop(shared.released.wait_while(held, |held| *held));
        }
        answer(&mut stream, name, &target)?;
        if target == "/close" {
            return stream.shutdown(Shutdown::Both);
        }
    }
    Ok(())
}

fn answer(stream: &mut TcpStream, name: &str, target: &str) -> io::Result<()> {
    let line = format!("{name}\n");
    let head = format!("HTTP/1.1 200 OK\r\nX-Backend: {name}\r\n");
    let length = line.len();
    match target {
        "/chunked" => write!(
            stream,
            "{head}Transfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n{length:x}\r\n{line}\r\n0\r\nX-End: yes\r\n\r\n"
        ),
        "/close" => write!(stream, "{head}Connection: close\r\n\r\n{line}"),
        "/big" => {
            write!(stream, "{head}Content-Length: {BIG}\r\n\r\n")?;
            stream.write_all(&vec![b'x'; BIG])
        }
        _ => stream.write_all(format!("{head}Content-Length: {length}\r\n\r\n{line}").as_bytes()),
    }
}

pub(crate) fn read_head(reader: &mut impl BufRead, peer: SocketAddr) -> io::Result<Option<Seen>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok(Some(Seen { peer, method, target, headers, body: Vec::new() }))
}

pub(crate) fn read_body(reader: &mut impl BufRead, seen: &Seen) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if seen.header("transfer-encoding") == Some("chunked") {
        crate::client::read_chunks(reader, &mut body)?;
    } else if let Some(length) = seen.header("content-length").and_then(|text| text.parse().ok()) {
        reader.take(length).read_to_end(&mut body)?;
    }
    Ok(body)
}

const UPGRADED: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
