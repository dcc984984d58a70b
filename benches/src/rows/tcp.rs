//! TCP passed through.
//!
//! The floor copies through user space with 64 KiB at a time, so here it is no lower bound: splice(2)
//! and larger reads are cheaper.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::figure::{CPU_PER_GB, Figures, GB_PER_SECOND, ratio};
use crate::listener::{LARGE_BODY_BYTES, Listener};
use crate::load::wrk::Wrk;
use crate::row::{Rounds, Row, Turn};
use crate::subject::{envoy, floor, haproxy, nginx, weir};

/// Large bodies.
pub(crate) const LARGE: Row = Row {
    name: "tcp_1mib",
    title: "TCP passthrough of 1 MiB bodies (HAProxy with splice)",
    rounds: Rounds::Usual(3),
    subjects: &[
        floor(Listener::Tcp),
        haproxy(Listener::Tcp),
        nginx(Listener::Tcp),
        envoy(Listener::Tcp),
        weir(Listener::Tcp),
    ],
    offered_share: None,
    turn,
    references: &["floor", "haproxy", "envoy"],
    targets: &[ratio(CPU_PER_GB, "haproxy", 1.1)],
};

fn turn(turn: &Turn<'_>) -> Result<Figures> {
    let wrk = Wrk { connections: CONNECTIONS, one_each: false, script: None };
    let cost = turn.cost(|time| wrk.run(turn.subject, time, || turn.subject.context.interrupted()))?;
    let load = cost.load.flawless()?;
    if turn.subject.name == "haproxy" {
        let spliced = spliced(&turn.subject.context.out.join("haproxy.sock"))?;
        let sent = load.done * LARGE_BODY_BYTES;
        ensure!(spliced >= sent, "it spliced {spliced:.0} of {sent:.0} bytes: the row compares with splice");
    }
    let gb = LARGE_BODY_BYTES / 1e9;
    let cpu_ms = cost.cpu.as_secs_f64() * 1e3;
    Ok(Figures::new([(CPU_PER_GB, cpu_ms / (load.done * gb)), (GB_PER_SECOND, load.per_second * gb)]))
}

/// Bytes that HAProxy has spliced since its start, by its stats socket.
fn spliced(socket: &Path) -> Result<f64> {
    let mut stream = UnixStream::connect(socket).with_context(|| socket.display().to_string())?;
    stream.set_read_timeout(Some(STATS_MAX))?;
    stream.write_all(b"show info\n")?;
    let mut info = String::new();
    stream.read_to_string(&mut info)?;
    let value = |key: &str| info.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    let bytes = SPLICED.iter().find_map(|key| value(key));
    Ok(bytes.context("HAProxy does not say how much it spliced")?.trim().parse()?)
}

/// How `show info` names it: rightly, and as HAProxy 2.6 does.
const SPLICED: [&str; 2] = ["TotalSplicedBytesOut", "TotalSplicdedBytesOut"];
const STATS_MAX: Duration = Duration::from_secs(5);
/// Fewer than for small answers, so that bodies are not all under way at once.
const CONNECTIONS: usize = 16;
