//! A client's way in: what its connection carries, by the listeners of the port that it reached.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ::tls::Alpn;
use codec::tls::{HELLO_BYTES_MAX, Hello, Peek, client_hello};
use model::flow::{FlowReason, FlowVerdict};
use model::service::{GatewayPort, Listener, ListenerProtocol};
use model::tls::ServerTls;

use super::{Secured, TlsStream, rule};
use crate::addressed::Place;
use crate::client::Client;
use crate::flow::Flow;
use crate::io::poll_fill;
use crate::live::{Live, Signal};
use crate::stream::Stream;
use crate::worker::Worker;

/// What a connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carries {
    /// HTTP.
    Requests,
    /// Anything.
    Bytes,
}

/// Why a connection does not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Out {
    /// The client left before it said anything.
    Unsaid,
    Failed(FlowReason),
    /// No policy lets it reach anything by now.
    Revoked,
}

/// Finds out what a connection carries, after a handshake if its port is one of TLS. `None`: it
/// did not come in, and what there is to say of it is in its flow record.
pub(crate) async fn enter(client: Client) -> Option<(Client, Carries)> {
    let carries = match &client.addressed.ends.place {
        // Its state is of a size that connections in the clear need not have.
        Place::Gateway(port) if is_tls(port) => return Box::pin(secure(client)).await,
        Place::Gateway(port) if is_tcp(port) => Carries::Bytes,
        _ if client.addressed.ends.is_http() => Carries::Requests,
        _ => Carries::Bytes,
    };
    Some((client, carries))
}

fn is_tcp(port: &GatewayPort) -> bool {
    port.listeners.iter().any(|listener| matches!(listener.protocol, ListenerProtocol::Tcp(_)))
}

fn is_tls(port: &GatewayPort) -> bool {
    let is = |listener: &Arc<Listener>| {
        listener.server_tls().is_some() || matches!(listener.protocol, ListenerProtocol::TlsPassthrough(_))
    };
    port.listeners.iter().any(is)
}

async fn secure(mut client: Client) -> Option<(Client, Carries)> {
    let worker = client.worker.clone();
    let since = client.addressed.accepted.since;
    client.live().arm(since + worker.config.limits.handshake_timeout);
    let said = hello(&mut client).await;
    client.addressed.refresh(&worker);
    let entered = match said {
        Ok(hello) => choose(&client, hello),
        Err(out) => Err(out),
    };
    let (secured, how) = match entered {
        Ok(entered) => entered,
        Err(out) => return leave(&client, out),
    };
    let carries = match how {
        How::Passthrough => Carries::Bytes,
        How::Terminate(tls, alpn) => {
            client = handshake(client, &tls, alpn).await?;
            if alpn == Alpn::None { Carries::Bytes } else { Carries::Requests }
        }
    };
    client.addressed.accepted.secured = Some(Rc::new(secured));
    client.addressed.refresh(&worker);
    Some((client, carries))
}

/// Closes without a word, and records why.
fn leave(client: &Client, out: Out) -> Option<(Client, Carries)> {
    let worker = &client.worker;
    let (verdict, reason) = match out {
        Out::Unsaid => return None,
        Out::Failed(reason) => (FlowVerdict::Failed, reason),
        Out::Revoked => (FlowVerdict::Denied, FlowReason::PolicyRevoked),
    };
    if reason == FlowReason::TlsFailed {
        worker.stats.tls_failed.add();
    }
    let since = client.addressed.accepted.since;
    Flow::connection(worker, &client.addressed.ends, since).end(verdict, reason);
    None
}

/// Reads the first message of TLS into the client's input, where it stays.
async fn hello(client: &mut Client) -> Result<Hello, Out> {
    loop {
        match client_hello(client.input.filled()) {
            Peek::Hello(hello) => return Ok(hello),
            Peek::NeedMore => {}
            Peek::NotTls | Peek::Malformed => return Err(Out::Failed(FlowReason::TlsFailed)),
        }
        poll_fn(|context| poll_more(client, context)).await?;
    }
}

fn poll_more(client: &mut Client, context: &mut Context<'_>) -> Poll<Result<(), Out>> {
    let worker = client.worker.clone();
    while let Some(signal) = client.live().poll(context) {
        match signal {
            Signal::Deadline => return Poll::Ready(Err(late(&worker))),
            Signal::Judge => {
                client.addressed.refresh(&worker);
                if client.addressed.ends.is_closed() {
                    worker.stats.revoked.add();
                    return Poll::Ready(Err(Out::Revoked));
                }
            }
        }
    }
    // A proxy that drains waits like any other: what was accepted is served, and its first message may
    // be on its way.
    let stream = &mut client.addressed.accepted.stream;
    Poll::Ready(match ready!(poll_fill(stream, &mut client.input, HELLO_BYTES_MAX, context)) {
        Ok(count) if count > 0 => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::StorageFull => Err(Out::Failed(FlowReason::Limit)),
        Ok(_) | Err(_) if client.input.is_empty() => Err(Out::Unsaid),
        Ok(_) | Err(_) => Err(Out::Failed(FlowReason::ClientGone)),
    })
}

fn late(worker: &Worker) -> Out {
    worker.stats.limit_handshake_timeout.add();
    Out::Failed(FlowReason::ClientTimeout)
}

/// How a listener takes a connection.
enum How {
    Passthrough,
    Terminate(Arc<ServerTls>, Alpn),
}

/// Finds the listener for a server name. One that forwards bytes also has to know where to: a
/// client that nothing is for must not see TLS work.
fn choose(client: &Client, hello: Hello) -> Result<(Secured, How), Out> {
    let nothing = Out::Failed(FlowReason::NoRoute);
    let Place::Gateway(port) = &client.addressed.ends.place else { return Err(nothing) };
    let name = hello.sni.as_deref();
    let listener = route::listener(port, name.unwrap_or_default()).ok_or(nothing)?;
    let how = match &listener.protocol {
        ListenerProtocol::Https { tls, .. } => How::Terminate(tls.clone(), Alpn::Http),
        ListenerProtocol::TlsTerminate { tls, .. } if rule(listener, name).is_some() => {
            How::Terminate(tls.clone(), Alpn::None)
        }
        ListenerProtocol::TlsPassthrough(_) if rule(listener, name).is_some() => How::Passthrough,
        _ => return Err(nothing),
    };
    let (listener, terminated) = (listener.clone(), matches!(how, How::Terminate(..)));
    Ok((Secured { sni: hello.sni, listener, terminated }, how))
}

/// Answers the first message. `None`: the handshake failed.
async fn handshake(mut client: Client, tls: &Arc<ServerTls>, alpn: Alpn) -> Option<Client> {
    let worker = client.worker.clone();
    let Some(_place) = Slot::take(&worker.handshakes, worker.config.limits.handshakes) else {
        worker.stats.limit_handshakes.add();
        leave(&client, Out::Failed(FlowReason::Limit));
        client.reset();
        return None;
    };
    let config = match worker.tls.server(tls, alpn) {
        Ok(config) => config,
        Err(error) => {
            tracing::warn!("TLS of a listener: {error}");
            leave(&client, Out::Failed(FlowReason::TlsFailed));
            return None;
        }
    };
    let arrived = client.take_input();
    let Stream::Tcp(tcp) = client.addressed.accepted.stream else { return None };
    let live = &client.addressed.accepted.live;
    let stream = tcp.into_watched().and_then(|tcp| TlsStream::server(tcp, config, arrived));
    let shaken = match stream {
        Ok(mut stream) => {
            let done = poll_fn(|context| poll_shake(&mut stream, live, &worker, context)).await;
            done.map(|()| stream)
        }
        Err(_) => Err(Out::Failed(FlowReason::TlsFailed)),
    };
    match shaken {
        Ok(stream) => {
            worker.stats.tls_handshakes.add();
            if stream.is_resumed() {
                worker.stats.tls_resumed.add();
            }
            client.addressed.accepted.stream = Stream::Tls(Box::new(stream));
            Some(client)
        }
        Err(Out::Failed(reason)) => {
            if reason == FlowReason::TlsFailed {
                worker.stats.tls_failed.add();
            }
            let (ends, since) = (&client.addressed.ends, client.addressed.accepted.since);
            Flow::connection(&worker, ends, since).end(FlowVerdict::Failed, reason);
            None
        }
        Err(Out::Unsaid | Out::Revoked) => None,
    }
}

fn poll_shake(
    stream: &mut TlsStream,
    live: &Live,
    worker: &Worker,
    context: &mut Context<'_>,
) -> Poll<Result<(), Out>> {
    while let Some(signal) = live.poll(context) {
        match signal {
            Signal::Deadline => return Poll::Ready(Err(late(worker))),
            // What comes of it is judged when it is known.
            Signal::Judge => {}
        }
    }
    Poll::Ready(ready!(stream.poll_handshake(context)).map_err(|error| {
        tracing::debug!("handshake with a client failed: {error}");
        Out::Failed(FlowReason::TlsFailed)
    }))
}

/// A place among the handshakes under way, given back on drop.
struct Slot<'c>(&'c Cell<usize>);

impl<'c> Slot<'c> {
    fn take(count: &'c Cell<usize>, max: usize) -> Option<Self> {
        (count.get() < max).then(|| {
            count.set(count.get() + 1);
            Self(count)
        })
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
