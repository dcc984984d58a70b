//! TLS towards endpoints, where a BackendTLSPolicy says so.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};

use ::tls::{Alpn, Identity};
use model::flow::{FlowReason, HttpVersion};
use model::tls::UpstreamSecurity;
use model::workload::Protocol;
use tokio::net::TcpStream;

use super::TlsStream;
use crate::addressed::Place;
use crate::parsed::Message;
use crate::picked::Picked;
use crate::refusal::Refusal;
use crate::routed::Context;
use crate::stream::Stream;
use crate::worker::Worker;

/// Why a handshake failed.
#[derive(Debug)]
pub(crate) struct Failure(pub(super) String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Failure {}

/// Whether a connection that could not be had was there, but for TLS.
pub(crate) fn is_failure(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|source| source.is::<Failure>())
}

/// How the endpoint of a message is spoken to; `None`: in the clear. BackendTLSPolicy is for what
/// comes through a Gateway: clients within the mesh that expect TLS of a Service speak it themselves.
///
/// ALPN offers the one version of HTTP that the stages have chosen, so that a connection is of
/// the kind that its pool is for.
///
/// # Errors
/// The policy is not valid: what to answer.
pub(crate) fn identity(picked: &Picked<'_>, context: &Context<'_>) -> Result<Option<Identity>, Refusal> {
    let is_gateway = matches!(context.ends.place, Place::Gateway(_));
    if !is_gateway || context.ends.transport != Protocol::Tcp {
        return Ok(None);
    }
    let invalid = || Refusal::new(500, FlowReason::InvalidBackend);
    let tls = match picked.security {
        None | Some(UpstreamSecurity::Cleartext) => return Ok(None),
        Some(UpstreamSecurity::Invalid(_)) => return Err(invalid()),
        Some(UpstreamSecurity::Tls(tls)) => tls,
    };
    let alpn = match (picked.message, picked.version) {
        (Message::Bytes, _) => Alpn::None,
        (Message::Request(_), HttpVersion::Http2) => Alpn::Http2,
        (Message::Request(_), _) => Alpn::Http1,
    };
    let identity = context.worker.tls.identity(tls, picked.certificate, alpn);
    let identity = identity.map_err(|error| {
        tracing::warn!("TLS towards endpoints: {error}");
        invalid()
    })?;
    Ok(Some(identity))
}

/// Speaks TLS on a connection that has just been opened.
///
/// # Errors
/// The endpoint is not who it has to be, does not know us, speaks no TLS or is too slow: an error
/// that [`is_failure`] tells from others; or the connection broke.
pub(crate) async fn handshake(worker: &Worker, tcp: TcpStream, identity: Identity) -> io::Result<Stream> {
    let gone = || io::Error::new(ErrorKind::InvalidData, Failure("its policy is no more".to_owned()));
    let setup = worker.tls.setup(identity).ok_or_else(gone)?;
    let endpoint = tcp.peer_addr();
    let mut stream = TlsStream::client(tcp, &setup, &worker.buffers)?;
    let timeout = worker.config.limits.handshake_timeout;
    let done = tokio::time::timeout(timeout, poll_fn(|context| stream.poll_handshake(context))).await;
    let error = match done {
        Ok(Ok(())) => {
            if stream.is_resumed() {
                worker.stats.tls_upstream_resumed.add();
            }
            return Ok(Stream::Tls(Box::new(stream)));
        }
        Ok(Err(error)) if is_failure(&error) => error,
        // An endpoint that speaks no TLS, or is not content, may just close.
        Ok(Err(error)) => io::Error::new(error.kind(), Failure(error.to_string())),
        Err(_) => {
            worker.stats.limit_handshake_timeout.add();
            io::Error::new(ErrorKind::TimedOut, Failure("the handshake took too long".to_owned()))
        }
    };
    worker.stats.tls_upstream_failed.add();
    if let (Ok(endpoint), Some(left_out)) = (endpoint, worker.tls.warnings.take(worker.clock.now())) {
        tracing::warn!(left_out, "TLS with the endpoint {endpoint} failed: {error}");
    }
    Err(error)
}
