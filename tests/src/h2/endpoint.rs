//! An endpoint that speaks HTTP/2 alone, frame by frame.

use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use super::{Blocks, Fields, Frame, PREFACE, data, flag, frame, headers, kind, settings, window_update};
use crate::client::field;
use crate::listening::{Listening, lock};
use crate::namespace::Namespace;

/// A request as it arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its connection: the first is 0.
    pub connection: usize,
    /// Its stream.
    pub stream: u32,
    /// Pseudo-header fields and others, in order.
    pub fields: Fields,
    /// The body so far.
    pub body: Vec<u8>,
    /// Fields after the body.
    pub trailers: Fields,
    /// It is whole.
    pub ended: bool,
    /// It was reset, with this code.
    pub reset: Option<u32>,
}

impl Seen {
    /// The first field of this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.fields, name)
    }

    /// `:path`.
    pub fn path(&self) -> &str {
        self.field(":path").unwrap_or_default()
    }
}

/// The frames that answer a request. Asked when its head has come, and again when it is whole;
/// nothing means not yet.
type Script = dyn Fn(&Seen) -> Option<Vec<u8>> + Send + Sync;

/// The endpoint; it stops when dropped, and its connections are closed.
pub struct Endpoint {
    listening: Listening,
    shared: Arc<Shared>,
}

struct Shared {
    settings: Vec<(u16, u32)>,
    script: Box<Script>,
    seen: Mutex<Vec<Seen>>,
    goodbyes: Mutex<Vec<u32>>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("listening", &self.listening).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// One that answers 200 with `METHOD PATH` as its body to what is whole.
    pub fn new(ns: &Namespace, address: SocketAddr) -> Self {
        Self::with(ns, address, &[], |seen| seen.ended.then(|| Self::echo(seen)))
    }

    /// One with these SETTINGS that answers by a script.
    pub fn with(
        ns: &Namespace,
        address: SocketAddr,
        settings: &[(u16, u32)],
        script: impl Fn(&Seen) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            settings: settings.to_vec(),
            script: Box::new(script),
            seen: Mutex::default(),
            goodbyes: Mutex::default(),
        });
        let of_server = shared.clone();
        let listening =
            Listening::start(ns, address, move |stream, number| serve(stream, number, &of_server));
        Self { listening, shared }
    }

    /// 200 with `METHOD PATH` as the body.
    pub fn echo(seen: &Seen) -> Vec<u8> {
        let body = format!("{} {}", seen.field(":method").unwrap_or_default(), seen.path());
        Self::answer(seen, body.as_bytes())
    }

    /// 200 with a body.
    pub fn answer(seen: &Seen, body: &[u8]) -> Vec<u8> {
        [headers(seen.stream, &[(":status", "200")], false), data(seen.stream, body, true)].concat()
    }

    /// Every request so far, whole or not.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.shared.seen).clone()
    }

    /// Forgets the requests so far, which must be whole.
    pub fn forget(&self) {
        let mut seen = lock(&self.shared.seen);
        assert!(seen.iter().all(|seen| seen.ended), "not whole: {seen:?}");
        seen.clear();
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.listening.count()
    }

    /// The codes of the GOAWAYs it was told.
    pub fn goodbyes(&self) -> Vec<u32> {
        lock(&self.shared.goodbyes).clone()
    }
}

fn serve(mut stream: TcpStream, connection: usize, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut preface = [0; PREFACE.len()];
    reader.read_exact(&mut preface)?;
    if preface != PREFACE {
        return Err(io::Error::other("this is not HTTP/2"));
    }
    stream.write_all(&settings(&shared.settings))?;
    let mut open = Open { connection, shared, blocks: Blocks::default() };
    while let Some(frame) = Frame::read(&mut reader)? {
        // One that takes no more may have said why.
        stream.write_all(&open.take(&frame)?).ok();
    }
    Ok(())
}

/// One connection.
struct Open<'s> {
    connection: usize,
    shared: &'s Shared,
    blocks: Blocks,
}

impl Open<'_> {
    /// Takes a frame: what to send.
    fn take(&mut self, given: &Frame) -> io::Result<Vec<u8>> {
        let id = given.stream;
        match given.kind {
            kind::SETTINGS if !given.has(flag::ACK) => return Ok(frame(kind::SETTINGS, flag::ACK, 0, &[])),
            kind::PING if !given.has(flag::ACK) => {
                return Ok(frame(kind::PING, flag::ACK, 0, &given.payload));
            }
            kind::GOAWAY => lock(&self.shared.goodbyes).push(given.code()),
            kind::HEADERS | kind::CONTINUATION => {
                let Some((fields, end)) = self.blocks.take(given)? else { return Ok(Vec::new()) };
                let noted = self.note(id, |seen| {
                    seen.trailers.clone_from(&fields);
                    seen.ended = end;
                });
                // Seen with its fields or not at all.
                let noted = noted.unwrap_or_else(|| {
                    let connection = self.connection;
                    let new = Seen { connection, stream: id, fields, ended: end, ..Seen::default() };
                    lock(&self.shared.seen).push(new.clone());
                    new
                });
                return Ok(self.answer(Some(noted)));
            }
            kind::DATA => {
                let length = u32::try_from(given.payload.len()).map_err(io::Error::other)?;
                let mut out = Vec::new();
                if length > 0 {
                    out.extend(window_update(0, length));
                    out.extend(window_update(id, length));
                }
                let noted = self.note(id, |seen| {
                    seen.body.extend(&given.payload);
                    seen.ended = given.has(flag::END_STREAM);
                });
                out.extend(self.answer(noted.filter(|seen| seen.ended)));
                return Ok(out);
            }
            kind::RST_STREAM => drop(self.note(id, |seen| seen.reset = Some(given.code()))),
            _ => {}
        }
        Ok(Vec::new())
    }

    /// Writes down what is new of a request, if it is not forgotten.
    fn note(&self, stream: u32, change: impl FnOnce(&mut Seen)) -> Option<Seen> {
        let mut all = lock(&self.shared.seen);
        let seen = all.iter_mut().rfind(|one| one.connection == self.connection && one.stream == stream)?;
        change(seen);
        Some(seen.clone())
    }

    fn answer(&self, seen: Option<Seen>) -> Vec<u8> {
        seen.and_then(|seen| (self.shared.script)(&seen)).unwrap_or_default()
    }
}
