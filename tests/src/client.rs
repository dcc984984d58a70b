//! Clients: raw bytes and single requests over a connection of one's own, and the real curl.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::lab::Host;
use crate::wait::PATIENCE;

/// An HTTP response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Fields in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body without framing.
    pub body: Vec<u8>,
}

impl Response {
    /// The first field of this lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        field(&self.headers, name)
    }

    /// The body without the line end.
    pub fn text(&self) -> String {
        text(&self.body)
    }
}

/// The first of the fields that has this lower-case name.
pub(crate) fn field<'f>(fields: &'f [(String, String)], name: &str) -> Option<&'f str> {
    fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

/// A body as text without the line end.
pub(crate) fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).trim_end().to_owned()
}

/// A connection from inside the host that holds nothing back, and whose reads and writes do not
/// last for ever.
pub(crate) fn dial(from: &Host, to: SocketAddr) -> io::Result<TcpStream> {
    set_up(from.connect(to)?)
}

fn set_up(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// A connection that speaks HTTP/1.1 as literally as the test wants.
#[derive(Debug)]
pub struct Client {
    /// For writing, and for what is not HTTP.
    pub stream: TcpStream,
    reader: BufReader<TcpStream>,
    host: String,
}

impl Client {
    /// Connects from inside the host.
    pub fn connect(from: &Host, to: SocketAddr) -> io::Result<Self> {
        Ok(Self::new(from.connect(to)?, to))
    }

    /// Uses a connection to `to`.
    pub fn new(stream: TcpStream, to: SocketAddr) -> Self {
        let stream = set_up(stream).expect("it is a TCP socket");
        let reader = stream.try_clone().expect("descriptors are plenty");
        Self { stream, reader: BufReader::new(reader), host: to.to_string() }
    }

    /// Sends these bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends a request without a body and reads the answer. `fields` are whole lines without
    /// their ends.
    pub fn request(&mut self, method: &str, target: &str, fields: &[&str]) -> io::Result<Response> {
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        let names_host = fields.iter().any(|field| field.to_ascii_lowercase().starts_with("host:"));
        if !names_host {
            head.push_str(&format!("Host: {}\r\n", self.host));
        }
        for field in fields {
            head.push_str(field);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        self.send(head)?;
        self.response()
    }

    /// `GET` without further fields.
    pub fn get(&mut self, target: &str) -> io::Result<Response> {
        self.request("GET", target, &[])
    }

    /// Reads one final response, skipping 100. An end instead of one is `UnexpectedEof`.
    pub fn response(&mut self) -> io::Result<Response> {
        loop {
            let response = self.read_response()?;
            if response.status != 100 {
                return Ok(response);
            }
        }
    }

    /// Reads until the other side closes: what came. A reset counts as closed.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match self.reader.read_to_end(&mut bytes) {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => Err(error),
            _ => Ok(bytes),
        }
    }

    /// Reads exactly this many bytes.
    pub fn read(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn read_response(&mut self) -> io::Result<Response> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status line: {line:?}")))?;
        let mut response = Response { status, headers: Vec::new(), body: Vec::new() };
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line)?;
            let Some((name, value)) = line.split_once(':') else { break };
            response.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        if matches!(status, 100 | 101 | 204 | 304) {
            return Ok(response);
        }
        let mut body = Vec::new();
        if response.header("transfer-encoding") == Some("chunked") {
            let trailers = read_chunks(&mut self.reader, &mut body)?;
            response.headers.extend(trailers);
        } else if let Some(length) = response.header("content-length") {
            let length = length.parse().map_err(io::Error::other)?;
            (&mut self.reader).take(length).read_to_end(&mut body)?;
            if body.len() as u64 != length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        } else {
            self.reader.read_to_end(&mut body)?;
        }
        response.body = body;
        Ok(response)
    }
}

/// Reads a chunked body; the trailer fields, names in lower case.
pub fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<Vec<(String, String)>> {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let size = u64::from_str_radix(line.trim(), 16)
            .map_err(|_| io::Error::other(format!("no chunk size: {line:?}")))?;
        if size == 0 {
            break;
        }
        reader.take(size).read_to_end(body)?;
        reader.read_line(&mut String::new())?;
    }
    let mut trailers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { return Ok(trailers) };
        trailers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

/// What curl got: the status (0 when none) and the body.
pub fn curl(from: &Host, arguments: &[&str]) -> (u16, String) {
    let output = from
        .ns
        .command("curl")
        .args(["-sS", "-w", "\n%{http_code}", "--connect-timeout", "3", "--max-time", "20"])
        .args(arguments)
        .output()
        .expect("curl is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap_or(("", "0"));
    (status.parse().unwrap_or(0), body.to_owned())
}
