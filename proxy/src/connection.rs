//! One connection from its accept to its close. The stages are named here, in their order.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use codec::http1::Framing;
use model::flow::{FlowReason, FlowVerdict, HttpVersion};

use crate::accepted::Accepted;
use crate::addressed::Addressing;
use crate::buffer::Buffer;
use crate::client::{Client, Received};
use crate::clock::Moment;
use crate::connected::Connected;
use crate::http1::{Deadline, End, Exchange, Sending};
use crate::http2;
use crate::message::About;
use crate::mirror::{self, Replays};
use crate::parsed::{self, Message, Parsed, Request, Room};
use crate::permitted::{Denial, Permitted};
use crate::refusal::{Refusal, Unsent};
use crate::resilience::{Again, Tries};
use crate::routed::Context;
use crate::stats::Stats;
use crate::stream::Stream;
use crate::tls::{self, Carries};
use crate::tunnel::{Half, Tunnel, TunnelEnd};
use crate::worker::Worker;

/// The task of a connection. A panic in it ends this task and its connection alone: the runtime
/// catches it at the task's edge, and all that the connection holds is given back by drops.
pub(crate) async fn run(worker: Rc<Worker>, accepted: Accepted) {
    let _witness = Witness(&worker.stats);
    match tls::enter(Client::new(&worker, accepted.address(&worker))).await {
        Some((mut client, Carries::Requests)) => requests(&mut client).await,
        Some((mut client, Carries::Bytes)) => bytes(&mut client).await,
        None => {}
    }
}

/// One message through the stages, in the order that their types enforce. `head` is that of a
/// request; `None` stands for a connection of bytes.
async fn connect(
    client: &mut Client,
    head: Option<&[u8]>,
    tries: &mut Tries,
    about: &mut About,
) -> Result<Connected, Refusal> {
    let worker = client.worker.clone();
    let (permitted, deadline) = {
        let mut room: Room<'_> = codec::http1::uninit_headers();
        let request;
        let message = match head {
            None => Message::Bytes,
            Some(bytes) => {
                let head = parsed::head(bytes, &mut room, &worker.codec)?;
                about.read(client, &head);
                request = Request::read(head)?;
                Message::Request(&request)
            }
        };
        let (memory, ends) = (worker.spares.take(), &client.addressed.ends);
        let (random, tried, why) = (tries.random, &*tries.failed.clone(), tries.why);
        let repeats = tries.repeats();
        let version = client.addressed.accepted.stream.version();
        let (client, secured) = (&client.address, client.addressed.accepted.secured.as_deref());
        let context =
            Context { worker: &worker, ends, random, tried, why, repeats, client, version, secured };
        let flow = about.flow(&worker, ends);

        let parsed = Parsed::of(message, flow);
        let routed = parsed.route(&context, flow)?;
        tries.route(routed.route, flow.since);
        let timeout = about.ask.and_then(|ask| ask.timeout);
        timeout.iter().for_each(|timeout| tries.bound(about.since + *timeout));
        about.cors = routed.cors();
        let flow = about.flow(&worker, ends);
        let picked = routed.pick(&context, flow);
        tries.to(match &picked {
            Ok(picked) => picked.target.service.clone(),
            Err(_) => routed.service(&context),
        });
        let picked = picked?;
        let permitted = picked.permit(&context, memory, Some(flow))?;

        if tries.begin(worker.clock.coarse()) {
            about.tee = mirror::plan(&routed, &context);
            about.tee.keep(replays(tries, &permitted));
        }
        let elapsed = || Duration::from_nanos(worker.clock.now().since(about.since));
        let deadline = Deadline::new(permitted.timeouts(), timeout, elapsed);
        (permitted, deadline)
    };
    permitted.connect(&worker, tries.fresh, deadline).await
}

/// Whether the body of a request is kept. A stream of HTTP/2 can be refused when much of it is sent.
fn replays(tries: &Tries, permitted: &Permitted) -> Replays {
    match (tries.replays(), permitted.key().version) {
        (true, _) => Replays::ByRoute,
        (false, HttpVersion::Http2) => Replays::Unprocessed,
        (false, HttpVersion::Http1) => Replays::No,
    }
}

/// Serves requests, one after the other, until one of the two does not want to go on.
async fn requests(client: &mut Client) {
    let mut resets = false;
    loop {
        let next = match client.receive().await {
            Received::Request(since) => request(client, since).await,
            Received::Http2 => {
                Box::pin(http2::serve(client)).await;
                Next::Close
            }
            Received::Done => break,
        };
        match next {
            Next::Request => client.done(),
            Next::Close => break,
            Next::Reset => {
                resets = true;
                break;
            }
        }
    }
    client.conclude();
    if resets { client.reset() } else { client.close().await }
}

/// Serves HTTP/2 streams, one after the other.
pub(crate) async fn streams(mut client: Client, lane: http2::Lane) {
    let worker = client.worker.clone();
    let _witness = Witness(&worker.stats);
    while let Some(malformed) = lane.next(&mut client).await {
        let since = client.addressed.accepted.since;
        let refusal = match malformed {
            Some(status) => Some(Refusal::new(status, FlowReason::BadRequest)),
            // Reset as soon as it was begun: no endpoint is to hear of it (CVE-2023-44487).
            None if client.stream().reset_code().is_some() => Some(Refusal::new(400, FlowReason::ClientGone)),
            None => None,
        };
        let next = match refusal {
            None => request(&mut client, since).await,
            Some(refusal) => {
                Box::pin(client.reject(refusal.closing(), Some(since))).await;
                Next::Close
            }
        };
        match next {
            Next::Request | Next::Close => client.close().await,
            Next::Reset => client.reset(),
        }
        lane.rest(&mut client);
    }
}

/// What to do with a client's connection.
enum Next {
    /// Read the next request.
    Request,
    /// Close it so that the last answer is read.
    Close,
    /// Reset it: what was sent is not whole.
    Reset,
}

/// Serves one request.
async fn request(client: &mut Client, since: Moment) -> Next {
    let mut about = About::new(since);
    let worker = client.worker.clone();
    let mut head = client.take_input();
    let mut tries = Tries::new(&worker);
    loop {
        client.addressed.refresh(&worker);
        let connected = connect(client, Some(head.filled()), &mut tries, &mut about).await;
        if let Some(ask) = &about.ask {
            // What follows the head is its body, or the next request.
            client.input.extend(&head.filled()[ask.head_len.min(head.len())..]);
            head.truncate(ask.head_len);
        }
        let refusal = match connected {
            Ok(connected) => match exchange(client, connected, head.filled(), &mut about, &mut tries).await {
                Ok(next) => return next,
                Err(refusal) => refusal,
            },
            Err(refusal) => refusal,
        };
        match tries.next(&refusal, &worker, client.live().is_draining()) {
            Again::No => {
                // Boxed, as is all that few requests come to: the task is as large as its largest wait.
                let goes_on = Box::pin(about.answer(client, refusal)).await;
                return if goes_on { Next::Request } else { Next::Close };
            }
            again => {
                if !Box::pin(again.wait(client)).await {
                    about
                        .flow(&worker, &client.addressed.ends)
                        .end(FlowVerdict::Failed, FlowReason::ClientGone);
                    return Next::Reset;
                }
            }
        }
    }
}

/// Has a request answered by its endpoint.
///
/// # Errors
/// Nothing has been answered: what to answer, or to try again.
async fn exchange(
    client: &mut Client,
    connected: Connected,
    head: &[u8],
    about: &mut About,
    tries: &mut Tries,
) -> Result<Next, Refusal> {
    let worker = client.worker.clone();
    let Some(ask) = about.ask else { return Ok(Next::Reset) };
    let Connected { mut permitted, mut upstream, deadline, load } = connected;
    let bytes = permitted.take_head();
    let ends = client.addressed.ends.clone();
    let sending = Sending { permitted: &permitted, target: load.target(), bytes, head, ask };
    let parts = about.parts(&worker, &ends, tries);
    let mut exchange = Exchange::new(client, sending, &mut upstream, deadline, parts);
    let end = match exchange.begin() {
        Ok(()) => poll_fn(|context| exchange.poll(context)).await,
        Err(end) => end,
    };
    let again = exchange.grants(&end);
    let trailers = exchange.trailers(&end);
    let left = exchange.finish(&end, again);
    let flow = about.flow(&worker, &ends);
    match end {
        End::Done { keeps_client, is_last, keeps_upstream } => {
            client.is_last = is_last;
            flow.end(FlowVerdict::Forwarded, FlowReason::None);
            if keeps_upstream {
                worker.upstreams.checkin(upstream, worker.clock.coarse());
            }
            return Ok(if keeps_client { Next::Request } else { Next::Close });
        }
        End::Switched => {
            let (from_client, from_upstream) = (client.take_input(), left);
            let still = |ends: &Addressing, address: &str| permitted.still(ends, Some(head), address);
            let held = (from_client, from_upstream);
            return Ok(Box::pin(tunnel(client, about, &mut upstream.stream, held, still)).await);
        }
        End::Unsent => {
            let unsent = if upstream.stream.is_left_out() {
                Unsent::LeftOut
            } else if upstream.stream.is_unprocessed() {
                Unsent::Unprocessed
            } else {
                Unsent::Stale
            };
            return Err(Refusal::new(502, FlowReason::UpstreamFailed).unsent(unsent));
        }
        End::Again { keeps_upstream } => {
            if keeps_upstream {
                worker.upstreams.checkin(upstream, worker.clock.coarse());
            }
            return Err(Refusal::new(502, FlowReason::UpstreamFailed));
        }
        End::Failed { status, reason } if again => return Err(Refusal::new(status, reason)),
        End::Failed { status: 0, reason } => {
            flow.end(FlowVerdict::Failed, reason);
            if trailers.is_none() {
                client.stream().reset_like(&upstream.stream);
            }
        }
        End::Failed { status, reason } => {
            let refusal = Refusal::new(status, reason);
            // Some of the body may have been taken: where it ends is not known here any more.
            let has_body = !matches!(ask.framing, Framing::None | Framing::Length(0));
            return Err(if has_body { refusal.closing() } else { refusal });
        }
        End::ClientGone => flow.end(FlowVerdict::Failed, FlowReason::ClientGone),
        End::Revoked(denial) => flow.revoke(&denial),
    }
    let has_ended = trailers.is_some_and(|trailers| client.stream().end_call(&trailers.fields()));
    Ok(if has_ended { Next::Close } else { Next::Reset })
}

/// Serves a connection that is not looked into. The endpoint is connected to before anything is
/// read: it may be the one who speaks first.
async fn bytes(client: &mut Client) {
    let worker = client.worker.clone();
    let mut about = About::new(client.addressed.accepted.since);
    let mut tries = Tries::new(&worker);
    let connected = loop {
        let refusal = match connect(client, None, &mut tries, &mut about).await {
            Ok(connected) => break connected,
            Err(refusal) => refusal,
        };
        match tries.next(&refusal, &worker, client.live().is_draining()) {
            Again::No => {
                about.flow(&worker, &client.addressed.ends).refuse(&refusal);
                return client.reset();
            }
            again => again.sleep(&worker).await,
        }
        client.addressed.refresh(&worker);
    };
    let Connected { permitted, mut upstream, load: _load, .. } = connected;
    let still = |ends: &Addressing, address: &str| permitted.still(ends, None, address);
    // Of TLS that is passed through, its first message has been read.
    let held = (client.take_input(), Buffer::new(&worker.buffers));
    match tunnel(client, &mut about, &mut upstream.stream, held, still).await {
        Next::Reset => client.reset(),
        Next::Request | Next::Close => {}
    }
}

/// Moves bytes both ways until both ends are done; `held` is what was read of each.
async fn tunnel(
    client: &mut Client,
    about: &mut About,
    upstream: &mut Stream,
    held: (Buffer, Buffer),
    still: impl Fn(&Addressing, &str) -> Result<(), Denial>,
) -> Next {
    let worker = client.worker.clone();
    let ends = client.addressed.ends.clone();
    let eof = client.eof;
    let accepted = &mut client.addressed.accepted;
    let (from, to, by) = (accepted.client, accepted.original, accepted.by);
    let mut tunnel = Tunnel {
        worker: &worker,
        live: &accepted.live,
        flow: about.flow(&worker, &ends),
        client: &mut accepted.stream,
        upstream,
        to_upstream: if eof { Half::ending(held.0) } else { Half::new(held.0) },
        to_client: Half::new(held.1),
    };
    accepted.live.arm(tunnel.deadline());
    let judge = || still(&Addressing::of(worker.view(), from, to, by), &client.address);
    let end = poll_fn(|context| tunnel.poll(judge, context)).await;
    let flow = tunnel.flow;
    flow.end(FlowVerdict::Forwarded, FlowReason::None);
    match end {
        TunnelEnd::Closed => return Next::Close,
        TunnelEnd::Broken(reason) => flow.end(FlowVerdict::Forwarded, reason),
        TunnelEnd::Stalled => {
            worker.stats.limit_tunnel_timeout.add();
            flow.end(FlowVerdict::Forwarded, FlowReason::Limit);
        }
        TunnelEnd::Revoked(denial) => flow.revoke(&denial),
    }
    tunnel.upstream.reset();
    Next::Reset
}

/// Counts the panic that drops it.
struct Witness<'s>(&'s Stats);

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.panics.add();
        }
    }
}

#[cfg(test)]
mod tests;
