//! An endpoint that speaks HTTP/1.1 and keeps every byte that it was sent, connection by connection.
//! It answers by a script, so that a test can have it say what no good server says.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use crate::listening::{Listening, lock};
use crate::namespace::Namespace;

/// One message as the recorder reads it: strictly by the first framing that it finds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The head, its last line end included.
    pub head: String,
    /// The body without framing.
    pub body: Vec<u8>,
    /// The lines after the last chunk, their ends included.
    pub trailers: String,
    /// All of it has come.
    pub ended: bool,
}

impl Message {
    /// The start line without its end.
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    /// Method and target: `GET /`.
    pub fn asked(&self) -> &str {
        self.line().rsplit_once(' ').map_or("", |(asked, _)| asked)
    }

    /// The values of the fields of this lower-case name.
    pub fn fields(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }
}

/// The bytes that answer a message. Asked when its head has come, and again when it is whole;
/// nothing means not yet.
pub type Script = dyn Fn(&Message) -> Option<Vec<u8>> + Send + Sync;

/// The endpoint; it stops when dropped, and its connections are closed.
pub struct Recorder {
    listening: Listening,
    shared: Arc<Shared>,
}

struct Shared {
    script: Box<Script>,
    raw: Mutex<Vec<Vec<u8>>>,
    messages: Mutex<Vec<Message>>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("listening", &self.listening).finish_non_exhaustive()
    }
}

impl Recorder {
    /// One that answers 200 with `METHOD TARGET` as its body to what is whole.
    pub fn new(ns: &Namespace, address: SocketAddr) -> Self {
        Self::with(ns, address, |message| message.ended.then(|| Self::echo(message)))
    }

    /// One that answers by a script.
    pub fn with(
        ns: &Namespace,
        address: SocketAddr,
        script: impl Fn(&Message) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let (script, raw, messages) = (Box::new(script), Mutex::default(), Mutex::default());
        let shared = Arc::new(Shared { script, raw, messages });
        let of_server = shared.clone();
        let listening = Listening::start(ns, address, move |stream, number| {
            let mut raw = lock(&of_server.raw);
            let length = raw.len().max(number + 1);
            raw.resize(length, Vec::new());
            drop(raw);
            serve(stream, number, &of_server)
        });
        Self { listening, shared }
    }

    /// 200 with `METHOD TARGET` as the body.
    pub fn echo(message: &Message) -> Vec<u8> {
        let body = message.asked();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    /// Every byte that came, by connection.
    pub fn raw(&self) -> Vec<Vec<u8>> {
        lock(&self.shared.raw).clone()
    }

    /// Whether these bytes came on any connection.
    pub fn was_sent(&self, bytes: &[u8]) -> bool {
        self.raw().iter().any(|all| all.windows(bytes.len()).any(|window| window == bytes))
    }

    /// The messages so far, whole or not, as they were read.
    pub fn messages(&self) -> Vec<Message> {
        lock(&self.shared.messages).clone()
    }

    /// Forgets the messages so far.
    pub fn forget(&self) {
        lock(&self.shared.messages).clear();
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.listening.count()
    }
}

fn serve(mut stream: TcpStream, number: usize, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = Tap { stream: stream.try_clone()?, number, shared, held: Vec::new() };
    loop {
        let head = reader.until(|held| find(held, b"\r\n\r\n").map(|at| at + 4))?;
        let mut message = Message { head: String::from_utf8_lossy(&head).into_owned(), ..Message::default() };
        let length = message.fields("content-length").first().and_then(|text| text.parse::<usize>().ok());
        let chunked = message.fields("transfer-encoding").first() == Some(&"chunked");
        message.ended = !chunked && length.unwrap_or(0) == 0;
        lock(&shared.messages).push(message.clone());
        let mut answered = answer(&mut stream, &message, shared)?;
        if !message.ended {
            if chunked {
                reader.chunks(&mut message)?;
            } else {
                message.body = reader.until(|held| length.filter(|&length| held.len() >= length))?;
            }
            message.ended = true;
            // Unless it has been told to forget it.
            let mut messages = lock(&shared.messages);
            if let Some(kept) = messages.iter_mut().rfind(|one| one.head == message.head && !one.ended) {
                *kept = message.clone();
            }
            drop(messages);
            answered = answered || answer(&mut stream, &message, shared)?;
        }
        if !answered {
            // The script has nothing to say: whoever waits for it gives up by himself.
            return reader.until(|_| None).map(|_| ());
        }
    }
}

/// Whether the script answered.
fn answer(stream: &mut TcpStream, message: &Message, shared: &Shared) -> io::Result<bool> {
    let Some(bytes) = (shared.script)(message) else { return Ok(false) };
    stream.write_all(&bytes)?;
    Ok(true)
}

/// Reads, and writes down every byte.
struct Tap<'s> {
    stream: TcpStream,
    number: usize,
    shared: &'s Shared,
    held: Vec<u8>,
}

impl Tap<'_> {
    /// Reads until `whole` says how many bytes to take.
    fn until(&mut self, whole: impl Fn(&[u8]) -> Option<usize>) -> io::Result<Vec<u8>> {
        loop {
            if let Some(count) = whole(&self.held) {
                return Ok(self.held.drain(..count).collect());
            }
            let mut bytes = [0; 16 * 1024];
            let count = self.stream.read(&mut bytes)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.held.extend(&bytes[..count]);
            lock(&self.shared.raw)[self.number].extend(&bytes[..count]);
        }
    }

    /// Reads chunks to their end. Their extensions are for nobody here.
    fn chunks(&mut self, message: &mut Message) -> io::Result<()> {
        loop {
            let line = self.line()?;
            let size = line.split(';').next().unwrap_or_default().trim_end();
            let size = usize::from_str_radix(size, 16)
                .map_err(|_| io::Error::other(format!("no chunk size: {line:?}")))?;
            if size == 0 {
                break;
            }
            let chunk = self.until(|held| (held.len() >= size + 2).then_some(size + 2))?;
            message.body.extend(&chunk[..size]);
        }
        loop {
            let line = self.line()?;
            if line == "\r\n" {
                return Ok(());
            }
            message.trailers.push_str(&line);
        }
    }

    /// Reads a line, its end included.
    fn line(&mut self) -> io::Result<String> {
        let line = self.until(|held| find(held, b"\r\n").map(|at| at + 2))?;
        Ok(String::from_utf8_lossy(&line).into_owned())
    }
}

fn find(held: &[u8], needle: &[u8]) -> Option<usize> {
    held.windows(needle.len()).position(|window| window == needle)
}
