//! HTTP/2 frame by frame: a client and an endpoint ([`Endpoint`]) that say what a test wants said,
//! however wrong it is, and keep what they are told. Nothing of the proxy under test is in them.

mod endpoint;

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;

use crate::client;
use crate::lab::Host;

pub use endpoint::{Endpoint, Seen};

/// A client's first bytes.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames (RFC 9113 §6).
pub mod kind {
    /// DATA.
    pub const DATA: u8 = 0;
    /// HEADERS.
    pub const HEADERS: u8 = 1;
    /// PRIORITY.
    pub const PRIORITY: u8 = 2;
    /// RST_STREAM.
    pub const RST_STREAM: u8 = 3;
    /// SETTINGS.
    pub const SETTINGS: u8 = 4;
    /// PING.
    pub const PING: u8 = 6;
    /// GOAWAY.
    pub const GOAWAY: u8 = 7;
    /// WINDOW_UPDATE.
    pub const WINDOW_UPDATE: u8 = 8;
    /// CONTINUATION.
    pub const CONTINUATION: u8 = 9;
}

/// Flags of frames.
pub mod flag {
    /// Of DATA and HEADERS.
    pub const END_STREAM: u8 = 1;
    /// Of SETTINGS and PING.
    pub const ACK: u8 = 1;
    /// Of HEADERS and CONTINUATION.
    pub const END_HEADERS: u8 = 4;
    /// Of DATA and HEADERS.
    pub const PADDED: u8 = 8;
}

/// Error codes (RFC 9113 §7).
pub mod code {
    /// No error.
    pub const NO_ERROR: u32 = 0;
    /// PROTOCOL_ERROR.
    pub const PROTOCOL_ERROR: u32 = 1;
    /// REFUSED_STREAM.
    pub const REFUSED_STREAM: u32 = 7;
    /// CANCEL.
    pub const CANCEL: u32 = 8;
    /// ENHANCE_YOUR_CALM.
    pub const ENHANCE_YOUR_CALM: u32 = 11;
}

/// SETTINGS_HEADER_TABLE_SIZE.
pub const HEADER_TABLE_SIZE: u16 = 1;
/// SETTINGS_MAX_CONCURRENT_STREAMS.
pub const MAX_CONCURRENT_STREAMS: u16 = 3;
/// SETTINGS_INITIAL_WINDOW_SIZE.
pub const INITIAL_WINDOW_SIZE: u16 = 4;
/// SETTINGS_ENABLE_CONNECT_PROTOCOL.
pub const ENABLE_CONNECT_PROTOCOL: u16 = 8;
/// Bytes that every peer takes in one frame.
pub const FRAME_BYTES: usize = 16_384;
/// The largest window.
pub const WINDOW_MAX: u32 = 0x7fff_ffff;

/// One frame, or a piece of nonsense in its form.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("no frame is that long").to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// HEADERS, and as many CONTINUATION as the fields need.
pub fn headers<N: AsRef<[u8]>, V: AsRef<[u8]>>(stream: u32, fields: &[(N, V)], end: bool) -> Vec<u8> {
    let block = block(fields);
    let mut pieces = block.chunks(FRAME_BYTES).peekable();
    let mut head = (kind::HEADERS, if end { flag::END_STREAM } else { 0 });
    let mut out = Vec::new();
    while let Some(piece) = pieces.next() {
        let (kind, flags) = std::mem::replace(&mut head, (kind::CONTINUATION, 0));
        let last = if pieces.peek().is_none() { flag::END_HEADERS } else { 0 };
        out.extend(frame(kind, flags | last, stream, piece));
    }
    out
}

/// DATA.
pub fn data(stream: u32, bytes: &[u8], end: bool) -> Vec<u8> {
    frame(kind::DATA, if end { flag::END_STREAM } else { 0 }, stream, bytes)
}

/// RST_STREAM.
pub fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(kind::RST_STREAM, 0, stream, &code.to_be_bytes())
}

/// SETTINGS.
pub fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let payload = values.iter().flat_map(|(name, value)| {
        let (name, value) = (name.to_be_bytes(), value.to_be_bytes());
        name.into_iter().chain(value)
    });
    frame(kind::SETTINGS, 0, 0, &payload.collect::<Vec<u8>>())
}

/// WINDOW_UPDATE.
pub fn window_update(stream: u32, by: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

/// A header block of literals as they are, valid or not: no table, no Huffman code.
pub fn block<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: &[(N, V)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        string(&mut out, name.as_ref());
        string(&mut out, value.as_ref());
    }
    out
}

/// A string literal (RFC 7541 §5.2).
pub fn string(out: &mut Vec<u8>, text: &[u8]) {
    let mut left = text.len();
    if left < 127 {
        out.push(u8::try_from(left).expect("it is below 127"));
    } else {
        out.push(127);
        left -= 127;
        while left >= 128 {
            out.push(u8::try_from(left % 128).expect("it is below 128") | 128);
            left /= 128;
        }
        out.push(u8::try_from(left).expect("it is below 128"));
    }
    out.extend(text);
}

/// The fields of a plain request, for [`headers`].
pub fn request<'a>(method: &'a str, path: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![(":method", method), (":scheme", "http"), (":authority", "a.test"), (":path", path)]
}

/// A frame as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its type: see [`kind`].
    pub kind: u8,
    /// Its flags: see [`flag`].
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// What it holds.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Reads one; `None` at the end. A reset counts as the end.
    pub fn read(reader: &mut impl Read) -> io::Result<Option<Self>> {
        let mut head = [0; 9];
        match reader.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if is_end(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
        let [a, b, c, kind, flags, d, e, f, g] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        match reader.read_exact(&mut payload) {
            Ok(()) => Ok(Some(Self { kind, flags, stream: u32::from_be_bytes([d, e, f, g]), payload })),
            Err(error) if is_end(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether it has this flag.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The last four bytes before any text as a number: the code of RST_STREAM and GOAWAY.
    fn code(&self) -> u32 {
        let at = if self.kind == kind::GOAWAY { 4 } else { 0 };
        self.payload
            .get(at..at + 4)
            .map_or(u32::MAX, |bytes| bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
}

/// Fields in order.
pub type Fields = Vec<(String, String)>;

/// Reads header blocks, which may go on in CONTINUATION.
#[derive(Default)]
struct Blocks {
    decoder: loona_hpack::Decoder<'static>,
    bytes: Vec<u8>,
    flags: u8,
}

impl std::fmt::Debug for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blocks").finish_non_exhaustive()
    }
}

impl Blocks {
    /// Takes HEADERS or CONTINUATION: the fields once they are whole, and whether they end the stream.
    fn take(&mut self, frame: &Frame) -> io::Result<Option<(Fields, bool)>> {
        if frame.kind == kind::HEADERS {
            self.bytes.clear();
            self.flags = frame.flags;
        }
        if frame.has(flag::PADDED) && frame.kind == kind::HEADERS {
            return Err(io::Error::other("nobody pads headers"));
        }
        self.bytes.extend(&frame.payload);
        if !frame.has(flag::END_HEADERS) {
            return Ok(None);
        }
        let fields =
            self.decoder.decode(&self.bytes).map_err(|error| io::Error::other(format!("{error:?}")))?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let fields = fields.into_iter().map(|(name, value)| (text(name), text(value)));
        Ok(Some((fields.collect(), self.flags & flag::END_STREAM != 0)))
    }
}

/// What came of one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// `:status`; 0 before it came.
    pub status: u16,
    /// The other fields, and then the trailers.
    pub fields: Fields,
    /// The body so far.
    pub body: Vec<u8>,
    /// It is whole.
    pub ended: bool,
    /// The code that the stream was reset with.
    pub reset: Option<u32>,
}

impl Answer {
    /// The first field of this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        client::field(&self.fields, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        client::text(&self.body)
    }
}

/// A client. Unless it [stops](Client::stops_reading), it does all that keeps a connection going:
/// acknowledges SETTINGS, answers PING and gives window back.
#[derive(Debug)]
pub struct Client {
    /// For sending.
    pub stream: TcpStream,
    reader: BufReader<TcpStream>,
    blocks: Blocks,
    answers: BTreeMap<u32, Answer>,
    gives_window: bool,
    go_away: Option<u32>,
    ended: bool,
    next: u32,
}

impl Client {
    /// Connects from inside the host, says that its windows are the largest, and waits until the
    /// other side has acknowledged that.
    pub fn connect(from: &Host, to: SocketAddr) -> io::Result<Self> {
        let mut client = Self::connect_with(from, to, &[(INITIAL_WINDOW_SIZE, WINDOW_MAX)])?;
        client.send(window_update(0, WINDOW_MAX - 65_535))?;
        Ok(client)
    }

    /// The same with these SETTINGS, and the connection's window as it is.
    pub fn connect_with(from: &Host, to: SocketAddr, values: &[(u16, u32)]) -> io::Result<Self> {
        let stream = client::dial(from, to)?;
        let mut client = Self {
            reader: BufReader::new(stream.try_clone()?),
            stream,
            blocks: Blocks::default(),
            answers: BTreeMap::new(),
            gives_window: true,
            go_away: None,
            ended: false,
            next: 1,
        };
        client.send([PREFACE, &settings(values)].concat())?;
        while !client.turn()? {}
        Ok(client)
    }

    /// Gives no window back any more for what it reads.
    pub fn keeps_window(&mut self) {
        self.gives_window = false;
    }

    /// Sends these bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// The identifier of the next stream.
    pub fn next_stream(&mut self) -> u32 {
        self.next += 2;
        self.next - 2
    }

    /// `GET` without a body, and its answer.
    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.ask(&request("GET", path))
    }

    /// A request of these fields without a body, and its answer.
    pub fn ask<N: AsRef<[u8]>, V: AsRef<[u8]>>(&mut self, fields: &[(N, V)]) -> io::Result<Answer> {
        let stream = self.next_stream();
        self.send(headers(stream, fields, true))?;
        self.answer(stream)
    }

    /// Waits until a stream has ended or was reset. The end of the connection is an error.
    pub fn answer(&mut self, stream: u32) -> io::Result<Answer> {
        self.wait(|client| {
            let answer = client.answers.get(&stream)?;
            (answer.ended || answer.reset.is_some()).then(|| answer.clone())
        })
    }

    /// What came of a stream so far.
    pub fn so_far(&self, stream: u32) -> Answer {
        self.answers.get(&stream).cloned().unwrap_or_default()
    }

    /// The code of the GOAWAY that came, if one did.
    pub fn go_away(&self) -> Option<u32> {
        self.go_away
    }

    /// Reads until `condition` gives a value. The end of the connection is an error.
    pub fn wait<T>(&mut self, condition: impl Fn(&Self) -> Option<T>) -> io::Result<T> {
        loop {
            if let Some(value) = condition(self) {
                return Ok(value);
            }
            if self.ended {
                return Err(io::Error::other(format!("ended; GOAWAY {:?}", self.go_away)));
            }
            self.turn()?;
        }
    }

    /// Sends these bytes from another thread until nobody takes them any more, and reads to the end.
    pub fn flood(mut self, bytes: Vec<u8>) -> io::Result<End> {
        let mut stream = self.stream.try_clone()?;
        let writer = thread::spawn(move || stream.write_all(&bytes).is_ok());
        let end = self.end();
        // What was not sent has nobody to go to.
        self.stream.shutdown(Shutdown::Both).ok();
        let sent_all = writer.join().expect("the writer does not panic");
        let code = end?;
        Ok(End { code, sent_all, answers: self.answers })
    }

    /// Reads to the end: the code of GOAWAY, if one came.
    pub fn end(&mut self) -> io::Result<Option<u32>> {
        while !self.ended {
            self.turn()?;
        }
        Ok(self.go_away)
    }

    /// Reads one frame; whether it acknowledged our SETTINGS.
    fn turn(&mut self) -> io::Result<bool> {
        let Some(frame) = Frame::read(&mut self.reader)? else {
            self.ended = true;
            return Ok(true);
        };
        match frame.kind {
            kind::SETTINGS if frame.has(flag::ACK) => return Ok(true),
            kind::SETTINGS => self.reply(&self::frame(kind::SETTINGS, flag::ACK, 0, &[])),
            kind::PING if !frame.has(flag::ACK) => {
                self.reply(&self::frame(kind::PING, flag::ACK, 0, &frame.payload));
            }
            kind::GOAWAY => self.go_away = Some(frame.code()),
            kind::HEADERS | kind::CONTINUATION => {
                let whole = self.blocks.take(&frame)?;
                let answer = self.answers.entry(frame.stream).or_default();
                if let Some((fields, end)) = whole {
                    for (name, value) in fields {
                        match name.as_str() {
                            ":status" => answer.status = value.parse().map_err(io::Error::other)?,
                            _ => answer.fields.push((name, value)),
                        }
                    }
                    answer.ended = end;
                }
            }
            kind::DATA => {
                let length = u32::try_from(frame.payload.len()).map_err(io::Error::other)?;
                if self.gives_window && length > 0 {
                    let both = [window_update(0, length), window_update(frame.stream, length)];
                    self.reply(&both.concat());
                }
                let answer = self.answers.entry(frame.stream).or_default();
                answer.body.extend(&frame.payload);
                answer.ended = frame.has(flag::END_STREAM);
            }
            kind::RST_STREAM => {
                self.answers.entry(frame.stream).or_default().reset = Some(frame.code());
            }
            _ => {}
        }
        Ok(false)
    }

    /// Says what keeps the connection going. One that is ending takes nothing.
    fn reply(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).ok();
    }
}

/// How a flood ended.
#[derive(Debug)]
pub struct End {
    /// The code of GOAWAY.
    pub code: Option<u32>,
    /// Whether all of it was taken, or at least buffered.
    pub sent_all: bool,
    /// What came of the streams.
    pub answers: BTreeMap<u32, Answer>,
}
