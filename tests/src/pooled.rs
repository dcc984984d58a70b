//! An HTTP/2 server of node that does as it is told and keeps count of its connections and streams.

use std::net::SocketAddr;

use serde_json::Value;

use crate::namespace::Namespace;
use crate::peer::Peer;
use crate::until;

/// The server; it ends when dropped.
#[derive(Debug)]
pub struct Pooled {
    peer: Peer,
    reports: u32,
}

/// What it has counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Requests so far.
    pub requests: u64,
    /// Connections so far.
    pub opened: u64,
    /// Those of them that are open.
    pub open: u64,
    /// Requests whose answer is held.
    pub held: u64,
    /// The most streams that each connection had at a time.
    pub peaks: Vec<u64>,
}

impl Pooled {
    /// Starts it; `options` is the JSON that `tests/peers/h2pool.mjs` describes.
    pub fn start(ns: &Namespace, address: SocketAddr, options: &str) -> Self {
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        Self { peer: Peer::node(ns, "h2pool.mjs", &[&ip, &port, options]), reports: 0 }
    }

    /// Tells it `hold`, `release` or `goaway`, and waits until it has heard.
    pub fn tell(&mut self, line: &str) {
        self.peer.write(format!("{line}\n").as_bytes());
        self.report();
    }

    /// What it has counted so far.
    pub fn report(&mut self) -> Report {
        self.reports += 1;
        let line = format!("report {}", self.reports);
        self.peer.write(format!("{line}\n").as_bytes());
        let report = until("a report of the server", || {
            let text = self.peer.text();
            let mut reports = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            reports.find(|report| report["line"] == line)
        });
        let number = |name: &str| report[name].as_u64().unwrap_or_else(|| panic!("no {name} in {report}"));
        let peaks = report["peaks"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
        Report {
            requests: number("requests"),
            opened: number("opened"),
            open: number("open"),
            held: number("held"),
            peaks,
        }
    }
}
