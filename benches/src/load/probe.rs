//! One keep-alive connection that asks and reads a header of the answer, to time a change.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::namespace::connect;
use crate::routes::{EDIT, Routes};
use crate::subject::Running;

/// A connection to a subject.
#[derive(Debug)]
pub(crate) struct Probe {
    stream: TcpStream,
}

impl Probe {
    /// Connects from the client's pod.
    pub(crate) fn new(subject: &Running<'_>) -> Result<Self> {
        let address: SocketAddr = subject.authority().parse()?;
        let stream = connect(&subject.client, address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        Ok(Self { stream })
    }

    /// Asks for a route until an answer comes from this edit of it. Every answer must be a 200.
    pub(crate) fn wait(&mut self, routes: Routes, number: u32, edit: u32) -> Result<()> {
        let request = request(routes, number);
        let start = Instant::now();
        while self.ask(&request)? != Some(edit) {
            ensure!(
                start.elapsed() < CHANGE_MAX,
                "edit {edit} of route {number} is not live after {CHANGE_MAX:?}"
            );
        }
        Ok(())
    }

    /// Makes sure that an edit is not live before it is made: waiting for it would measure nothing.
    pub(crate) fn not_yet(&mut self, routes: Routes, number: u32, edit: u32) -> Result<()> {
        let live = self.ask(&request(routes, number))?;
        ensure!(live != Some(edit), "edit {edit} of route {number} is live before it is made");
        Ok(())
    }

    /// One request; the edit that the answer says.
    fn ask(&mut self, request: &str) -> Result<Option<u32>> {
        self.stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        let mut part = [0; 4096];
        loop {
            let count = self.stream.read(&mut part).context("no answer")?;
            ensure!(count > 0, "closed before the answer");
            answer.extend_from_slice(part.get(..count).unwrap_or_default());
            if let Some(edit) = edit(&answer)? {
                return Ok(edit);
            }
        }
    }
}

fn request(routes: Routes, number: u32) -> String {
    let (host, path) = routes.request(number);
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

/// The edit that a whole answer says: none yet, or none at all.
pub(super) fn edit(answer: &[u8]) -> Result<Option<Option<u32>>> {
    let text = std::str::from_utf8(answer).context("the answer is no text")?;
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return Ok(None) };
    if !head.starts_with("HTTP/1.1 200 ") {
        bail!("answered {:?}", head.lines().next().unwrap_or_default());
    }
    let field = |name: &str| {
        let fields = head.lines().filter_map(|line| line.split_once(':'));
        fields.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    };
    let length: usize = field("content-length").context("no content-length")?.parse()?;
    ensure!(body.len() <= length, "more than the answer");
    if body.len() < length {
        return Ok(None);
    }
    Ok(Some(field(EDIT).map(str::parse).transpose()?))
}

const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Long enough for what re-reads everything.
const CHANGE_MAX: Duration = Duration::from_secs(5);
