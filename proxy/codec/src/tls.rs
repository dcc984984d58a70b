//! The first message of a TLS connection, looked at without taking part in the handshake: which
//! server name the client asks for (RFC 8446 §4.1.2, RFC 6066 §3).
//!
//! The message may be cut into records in any way, and the records into reads. Whoever takes part
//! afterwards, rustls or the endpoint, reads the same bytes and is stricter about all else in them.

/// Bytes of a connection that its first message may take, the headers of records included.
pub const HELLO_BYTES_MAX: usize = 16 * 1024;

const RECORD_HEADER: usize = 5;
/// `handshake(22)`.
const HANDSHAKE: u8 = 22;
/// `client_hello(1)`.
const CLIENT_HELLO: u8 = 1;
/// `server_name(0)`, the extension and in it `host_name(0)`.
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;
/// Bytes of a DNS name.
const NAME_BYTES_MAX: usize = 253;

/// What the first bytes of a connection show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peek {
    /// A prefix of something valid: read more.
    NeedMore,
    /// The first message is whole.
    Hello(Hello),
    /// No TLS that a client starts with.
    NotTls,
    /// TLS, but not as its rules are, or longer than [`HELLO_BYTES_MAX`].
    Malformed,
}

/// What a `ClientHello` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// The server name, lower case, a syntactically valid DNS name without a dot at its end. `None`
    /// also for an IP address, which is no server name (RFC 6066 §3).
    pub sni: Option<Box<str>>,
}

/// Judges the first bytes of a connection. They stay where they are.
#[must_use]
pub fn client_hello(bytes: &[u8]) -> Peek {
    let peek = match message(bytes) {
        Ok(Message::Whole(body)) => parse(body),
        Ok(Message::Cut(body)) => parse(&body),
        Ok(Message::NeedMore) => {
            return if bytes.len() < HELLO_BYTES_MAX { Peek::NeedMore } else { Peek::Malformed };
        }
        Err(peek) => return peek,
    };
    peek.map_or(Peek::Malformed, Peek::Hello)
}

/// The body of the message.
enum Message<'b> {
    NeedMore,
    /// In one record.
    Whole(&'b [u8]),
    /// Put together from several.
    Cut(Vec<u8>),
}

fn message(bytes: &[u8]) -> Result<Message<'_>, Peek> {
    let mut joined = Vec::new();
    let mut at = 0;
    loop {
        let Some(payload) = record(&bytes[at..])? else { return Ok(Message::NeedMore) };
        at += RECORD_HEADER + payload.len;
        let held = joined.len() + payload.bytes.len();
        let first = if joined.is_empty() { payload.bytes } else { &joined[..] };
        let length = match body_len(first)? {
            Some(length) if length + 4 + RECORD_HEADER > HELLO_BYTES_MAX => return Err(Peek::Malformed),
            length => length,
        };
        match length {
            Some(length) if joined.is_empty() && held >= length + 4 => {
                // A first flight has nothing behind the hello (early data is a record of its own).
                return Ok(Message::Whole(&payload.bytes[4..length + 4]));
            }
            _ => joined.extend_from_slice(payload.bytes),
        }
        if let Some(length) = body_len(&joined)?
            && joined.len() >= length + 4
        {
            joined.truncate(length + 4);
            return Ok(Message::Cut(joined.split_off(4)));
        }
        if payload.bytes.len() < payload.len {
            return Ok(Message::NeedMore);
        }
    }
}

/// A record's payload as far as it is there, and how long it is to be.
struct Payload<'b> {
    bytes: &'b [u8],
    len: usize,
}

/// `None`: its header is not whole.
fn record(bytes: &[u8]) -> Result<Option<Payload<'_>>, Peek> {
    if bytes.first().is_some_and(|kind| *kind != HANDSHAKE) || bytes.get(1).is_some_and(|major| *major != 3) {
        return Err(Peek::NotTls);
    }
    let Some((header, rest)) = bytes.split_first_chunk::<RECORD_HEADER>() else { return Ok(None) };
    let len = usize::from(u16::from_be_bytes([header[3], header[4]]));
    // No handshake record is empty (RFC 8446 §5.1).
    if len == 0 || len > 1 << 14 {
        return Err(Peek::Malformed);
    }
    Ok(Some(Payload { bytes: &rest[..len.min(rest.len())], len }))
}

/// The length in a handshake message's header; `None`: the header is not whole.
fn body_len(message: &[u8]) -> Result<Option<usize>, Peek> {
    match message {
        [] => Ok(None),
        [CLIENT_HELLO, a, b, c, ..] => Ok(Some(u32::from_be_bytes([0, *a, *b, *c]) as usize)),
        [CLIENT_HELLO, ..] => Ok(None),
        _ => Err(Peek::Malformed),
    }
}

/// Reads the fields up to the server name; `None` where one does not fit.
fn parse(body: &[u8]) -> Option<Hello> {
    let mut body = Reader(body);
    body.take(2 + 32)?; // legacy_version, random
    body.short_vector()?; // legacy_session_id
    body.vector()?; // cipher_suites
    body.short_vector()?; // legacy_compression_methods
    let mut hello = Hello::default();
    if body.0.is_empty() {
        return Some(hello); // TLS 1.2 without extensions
    }
    let mut extensions = Reader(body.vector()?);
    let mut named = false;
    while !extensions.0.is_empty() {
        let (kind, content) = (extensions.number()?, extensions.vector()?);
        if kind == SERVER_NAME {
            if std::mem::replace(&mut named, true) {
                return None;
            }
            hello.sni = server_name(content)?;
        }
    }
    body.0.is_empty().then_some(hello)
}

/// The one host name of the extension; `None` where it is not as it must be.
fn server_name(content: &[u8]) -> Option<Option<Box<str>>> {
    let mut content = Reader(content);
    let mut list = Reader(content.vector()?);
    let (kind, name) = (*list.take(1)?.first()?, list.vector()?);
    if kind != HOST_NAME || !list.0.is_empty() || !content.0.is_empty() {
        return None;
    }
    let name = std::str::from_utf8(name).ok()?;
    if name.parse::<std::net::IpAddr>().is_ok() {
        return Some(None);
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let good = |label: &str| {
        let all = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        all && (1..=63).contains(&label.len())
    };
    let valid = name.len() <= NAME_BYTES_MAX && name.split('.').all(good);
    valid.then(|| Some(name.to_ascii_lowercase().into()))
}

/// Fields of a message, from its front.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        let bytes = self.take(2)?;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// With a length of one byte.
    fn short_vector(&mut self) -> Option<&'b [u8]> {
        let len = *self.take(1)?.first()?;
        self.take(usize::from(len))
    }

    /// With a length of two bytes.
    fn vector(&mut self) -> Option<&'b [u8]> {
        let len = self.number()?;
        self.take(usize::from(len))
    }
}

#[cfg(test)]
mod tests;
