//! An HTTP/1.1 server that misbehaves on demand: a test says what becomes of each request, and asks
//! how many connections and requests came, and when.

use std::io::{self, BufReader, ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::backend::{Seen, read_body, read_head};
use crate::listening::{Listening, lock};
use crate::namespace::Namespace;

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// It is answered with this status and the server's name.
    Status(u16),
    /// These bytes are sent as they are.
    Raw(String),
    /// It is answered with 200 once [`Faulty::release`] was called, or never.
    Hold,
    /// It is answered with 200, and the connection is closed although the answer does not say so.
    Last,
    /// The connection is closed without an answer.
    Close,
    /// The connection is reset without an answer.
    Reset,
}

/// The server; it is gone when dropped, and so are its connections.
pub struct Faulty {
    /// Where it listens.
    pub address: SocketAddr,
    listening: Listening,
    shared: Arc<Shared>,
}

type Script = Arc<dyn Fn(&Seen, usize) -> Act + Send + Sync>;

struct Shared {
    name: String,
    script: Mutex<Script>,
    requests: Mutex<Vec<(Seen, Instant)>>,
    connections: Mutex<Vec<Arc<Connection>>>,
    released: AtomicBool,
    under_way: AtomicUsize,
}

struct Connection {
    stream: TcpStream,
    is_busy: AtomicBool,
    is_over: AtomicBool,
}

/// Between two looks at a connection whose request is held.
const LOOK: Duration = Duration::from_millis(10);

impl Faulty {
    /// Does the same with every request.
    pub fn steady(ns: &Namespace, address: SocketAddr, name: &str, act: Act) -> Self {
        Self::scripted(ns, address, name, move |_, _| act.clone())
    }

    /// Does what the script says, which is told how many requests came before.
    pub fn scripted(
        ns: &Namespace,
        address: SocketAddr,
        name: &str,
        script: impl Fn(&Seen, usize) -> Act + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            script: Mutex::new(Arc::new(script)),
            requests: Mutex::default(),
            connections: Mutex::default(),
            released: AtomicBool::new(false),
            under_way: AtomicUsize::new(0),
        });
        let of_server = shared.clone();
        let listening = Listening::start(ns, address, move |stream, _| {
            let (is_busy, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
            let connection = Arc::new(Connection { stream, is_busy, is_over });
            lock(&of_server.connections).push(connection.clone());
            let served = serve(&connection, &of_server);
            connection.is_over.store(true, Ordering::SeqCst);
            served
        });
        Self { address, listening, shared }
    }

    /// Does this with every request from now on.
    pub fn does(&self, act: Act) {
        *lock(&self.shared.script) = Arc::new(move |_, _| act.clone());
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.shared.requests).iter().map(|(seen, _)| seen.clone()).collect()
    }

    /// When each of them came.
    pub fn arrivals(&self) -> Vec<Instant> {
        lock(&self.shared.requests).iter().map(|(_, at)| *at).collect()
    }

    /// How many requests came.
    pub fn count(&self) -> usize {
        lock(&self.shared.requests).len()
    }

    /// Requests that came and are not answered yet.
    pub fn under_way(&self) -> usize {
        self.shared.under_way.load(Ordering::SeqCst)
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.listening.count()
    }

    /// Those of them that are open now.
    pub fn open(&self) -> usize {
        lock(&self.shared.connections).iter().filter(|one| !one.is_over.load(Ordering::SeqCst)).count()
    }

    /// Answers what is held, and holds nothing from now on.
    pub fn release(&self) {
        self.shared.released.store(true, Ordering::SeqCst);
    }

    /// Closes the connections that have no request under way, as servers do after a time.
    pub fn close_idle(&self) {
        for one in lock(&self.shared.connections).iter().filter(|one| !one.is_busy.load(Ordering::SeqCst)) {
            one.stream.shutdown(Shutdown::Both).ok();
        }
    }
}

fn serve(connection: &Connection, shared: &Shared) -> io::Result<()> {
    let mut stream = &connection.stream;
    stream.set_nodelay(true)?;
    let peer = stream.peer_addr()?;
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(mut seen) = read_head(&mut reader, peer)? {
        connection.is_busy.store(true, Ordering::SeqCst);
        seen.body = read_body(&mut reader, &seen)?;
        shared.under_way.fetch_add(1, Ordering::SeqCst);
        let place = {
            let mut requests = lock(&shared.requests);
            requests.push((seen.clone(), Instant::now()));
            requests.len() - 1
        };
        let script = lock(&shared.script).clone();
        let goes_on = act(stream, shared, &seen, script(&seen, place));
        shared.under_way.fetch_sub(1, Ordering::SeqCst);
        connection.is_busy.store(false, Ordering::SeqCst);
        if !goes_on? {
            return stream.shutdown(Shutdown::Both);
        }
        stream.flush()?;
    }
    Ok(())
}

/// Does what is to be done with a request; whether the connection goes on.
fn act(mut stream: &TcpStream, shared: &Shared, seen: &Seen, act: Act) -> io::Result<bool> {
    let answer = |status| answer(status, &shared.name, seen.method == "HEAD");
    match &act {
        Act::Status(status) => stream.write_all(answer(*status).as_bytes())?,
        Act::Raw(bytes) => stream.write_all(bytes.as_bytes())?,
        Act::Hold => {
            if !held(stream, shared)? {
                return Ok(false);
            }
            stream.write_all(answer(200).as_bytes())?;
        }
        Act::Last => stream.write_all(answer(200).as_bytes())?,
        Act::Close => {}
        // A close would reset it only if nobody else held the socket.
        Act::Reset => rustix::net::connect_unspec(stream)?,
    }
    Ok(!matches!(act, Act::Last | Act::Close | Act::Reset))
}

/// Waits until requests are released; false if the other side has closed before.
fn held(stream: &TcpStream, shared: &Shared) -> io::Result<bool> {
    stream.set_read_timeout(Some(LOOK))?;
    while !shared.released.load(Ordering::SeqCst) {
        match stream.peek(&mut [0]) {
            Ok(0) => return Ok(false),
            Ok(_) => thread::sleep(LOOK),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return Ok(false),
        }
    }
    stream.set_read_timeout(None)?;
    Ok(true)
}

fn answer(status: u16, name: &str, is_head: bool) -> String {
    let length = name.len() + 1;
    let head = format!("HTTP/1.1 {status} Told\r\nX-Backend: {name}\r\nContent-Length: {length}\r\n\r\n");
    if is_head { head } else { format!("{head}{name}\n") }
}
