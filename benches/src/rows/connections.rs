//! Memory of connections that have had an answer and are idle.

use anyhow::{Result, ensure};

use crate::figure::{Figures, PSS, PSS_PER_CONNECTION, Target, at_most};
use crate::listener::Listener;
use crate::load::hold::hold;
use crate::row::{Rounds, Row, Turn};
use crate::subject::{Subject, envoy, haproxy, nginx, pingora, weir};

/// Cleartext HTTP/1.1, the only one with a target.
pub(crate) const HTTP1: Row = row(
    "idle_connections_http1",
    "Memory of an idle HTTP/1.1 connection",
    &[
        haproxy(Listener::Http1),
        nginx(Listener::Http1),
        envoy(Listener::Http1),
        pingora(Listener::Http1),
        weir(Listener::Http1),
    ],
    &[at_most(PSS_PER_CONNECTION, 6.0)],
);

/// HTTP/1.1 in TLS.
pub(crate) const TLS: Row = row(
    "idle_connections_tls",
    "Memory of an idle HTTP/1.1 connection in TLS 1.3",
    &[
        haproxy(Listener::Tls),
        nginx(Listener::Tls),
        envoy(Listener::Tls),
        pingora(Listener::Tls),
        weir(Listener::Tls),
    ],
    &[],
);

/// Cleartext HTTP/2.
pub(crate) const HTTP2: Row = row(
    "idle_connections_http2",
    "Memory of an idle HTTP/2 connection",
    &[
        haproxy(Listener::Http2),
        nginx(Listener::Http2),
        envoy(Listener::Http2),
        pingora(Listener::Http2),
        weir(Listener::Http2),
    ],
    &[],
);

/// HTTP/2 in TLS.
pub(crate) const TLS_HTTP2: Row = row(
    "idle_connections_tls_http2",
    "Memory of an idle HTTP/2 connection in TLS 1.3",
    &[
        haproxy(Listener::TlsHttp2),
        nginx(Listener::TlsHttp2),
        envoy(Listener::TlsHttp2),
        weir(Listener::TlsHttp2),
    ],
    &[],
);

const fn row(
    name: &'static str,
    title: &'static str,
    subjects: &'static [Subject],
    targets: &'static [Target],
) -> Row {
    let references = &["haproxy", "envoy"];
    Row { name, title, rounds: Rounds::Once, subjects, offered_share: None, turn, references, targets }
}

fn turn(turn: &Turn<'_>) -> Result<Figures> {
    let (daemon, context) = (turn.subject.daemon(), turn.subject.context);
    let settled = || daemon.settled_pss_kib(|| context.interrupted());
    // What grows once, whatever the number of connections, has grown after this.
    drop(hold(turn.subject, CONNECTIONS_FIRST)?);
    let before = settled()?;
    let held = hold(turn.subject, CONNECTIONS)?;
    let after = settled()?;
    let open = daemon.descriptors()?;
    ensure!(open >= CONNECTIONS, "{open} descriptors are open: it closed connections");
    drop(held);
    let each = (after - before) / f64::from(u32::try_from(CONNECTIONS)?);
    Ok(Figures::new([(PSS_PER_CONNECTION, each), (PSS, after / 1024.0)]))
}

const CONNECTIONS_FIRST: usize = 200;
const CONNECTIONS: usize = 3_000;
