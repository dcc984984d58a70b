//! Connections that are held open and idle after one answered request each: `benches/load/hold.py`.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::listener::Listener;
use crate::namespace::NODE;
use crate::subject::Running;

/// Held connections. Closed when dropped.
#[derive(Debug)]
pub(crate) struct Held(Child);

/// Opens connections and returns once each has had an answer.
pub(crate) fn hold(subject: &Running<'_>, connections: usize) -> Result<Held> {
    let protocol = match subject.listener {
        Listener::Tls => "tls",
        Listener::Http2 | Listener::Grpc => "http2",
        Listener::TlsHttp2 => "tls-http2",
        Listener::Http1 | Listener::Tcp => "http1",
    };
    let place = subject.client_place();
    let mut command = place.command("python3");
    command.arg(subject.context.root.join("benches/load/hold.py"));
    command.args([NODE, &subject.port().to_string(), protocol, &connections.to_string()]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let output = child.stdout.take().context("its output is piped")?;
    let held = Held(child);
    let (said, says) = mpsc::channel();
    // Ends with the process.
    thread::spawn(move || {
        let mut line = String::new();
        let _ = BufReader::new(output).read_line(&mut line);
        let _ = said.send(line);
    });
    let start = Instant::now();
    loop {
        subject.context.interrupted()?;
        match says.recv_timeout(POLL) {
            Ok(line) => {
                ensure!(line.trim() == "held", "not every connection was answered: {}", held.error());
                return Ok(held);
            }
            Err(_) => ensure!(start.elapsed() < OPEN_MAX, "{connections} connections take too long"),
        }
    }
}

impl Held {
    /// What it said last. It has ended.
    fn error(mut self) -> String {
        let _ = self.0.kill();
        let Some(error) = self.0.stderr.take() else { return String::new() };
        BufReader::new(error).lines().map_while(std::io::Result::ok).last().unwrap_or_default()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const POLL: Duration = Duration::from_millis(20);
const OPEN_MAX: Duration = Duration::from_secs(30);
