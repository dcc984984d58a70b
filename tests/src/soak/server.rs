//! The servers behind the proxy: each says who it is and gives back what it got, and can be taken
//! away under its connections. HTTP is hyper's, of both versions.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, TE, UPGRADE};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::lab::Host;

/// Where every server speaks HTTP.
pub(super) const HTTP: u16 = 80;
/// Where it says its name and then repeats every byte.
pub(super) const TCP: u16 = 90;
/// Where it answers datagrams.
pub(super) const UDP: u16 = 53;

/// What a server is told; it answers when that is done.
enum Order {
    /// Reset every connection and listen to nobody.
    Die(oneshot::Sender<()>),
    /// Take no connection, end those without work, and reset the others after a while.
    Leave(oneshot::Sender<()>),
    /// Serve.
    Return(oneshot::Sender<()>),
}

/// The means to tell a server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) name: &'static str,
    orders: mpsc::UnboundedSender<Order>,
}

/// The server itself, to be run on a thread of its own.
pub(super) struct Serving {
    name: &'static str,
    orders: mpsc::UnboundedReceiver<Order>,
}

impl Server {
    pub(super) fn new(name: &'static str) -> (Self, Serving) {
        let (sender, orders) = mpsc::unbounded_channel();
        (Self { name, orders: sender }, Serving { name, orders })
    }

    pub(super) fn die(&self) {
        self.order(Order::Die);
    }

    pub(super) fn leave(&self) {
        self.order(Order::Leave);
    }

    pub(super) fn come_back(&self) {
        self.order(Order::Return);
    }

    fn order(&self, order: impl FnOnce(oneshot::Sender<()>) -> Order) {
        let (sender, done) = oneshot::channel();
        self.orders.send(order(sender)).unwrap_or_default();
        done.blocking_recv().expect("the server lives as long as its handle");
    }
}

impl Serving {
    /// Serves in the host's namespace until the handle is dropped.
    pub(super) fn run(self, host: &Host) {
        host.ns.enter(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(self.serve(host));
        });
    }

    async fn serve(mut self, host: &Host) {
        let datagrams = UdpSocket::bind(host.at(UDP)).await.expect("the port is free");
        let mut beside = JoinSet::new();
        beside.spawn(name_datagrams(self.name, datagrams));
        loop {
            let mut up = Up::new(self.name, host).await;
            let stays = loop {
                tokio::select! {
                    order = self.orders.recv() => break order,
                    () = up.accept() => {}
                }
            };
            match stays {
                Some(Order::Die(done)) => {
                    up.reset().await;
                    done.send(()).unwrap_or_default();
                }
                Some(Order::Leave(done)) => {
                    up.leave().await;
                    done.send(()).unwrap_or_default();
                }
                Some(Order::Return(done)) => {
                    done.send(()).unwrap_or_default();
                    continue;
                }
                None => return,
            }
            loop {
                match self.orders.recv().await {
                    Some(Order::Return(done)) => {
                        done.send(()).unwrap_or_default();
                        break;
                    }
                    Some(Order::Die(done) | Order::Leave(done)) => done.send(()).unwrap_or_default(),
                    None => return,
                }
            }
        }
    }
}

/// A server that listens.
struct Up {
    name: &'static str,
    http: TcpListener,
    tcp: TcpListener,
    connections: JoinSet<()>,
    life: watch::Sender<Life>,
}

/// How long the connections of a server may live on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Life {
    Serves,
    /// Until they are done.
    Leaves,
    /// No longer: those that are dropped are reset.
    Dies,
}

impl Up {
    async fn new(name: &'static str, host: &Host) -> Self {
        let listen = |port| TcpListener::bind(host.at(port));
        Self {
            name,
            http: listen(HTTP).await.expect("the port is free"),
            tcp: listen(TCP).await.expect("the port is free"),
            connections: JoinSet::new(),
            life: watch::Sender::new(Life::Serves),
        }
    }

    /// Takes one connection, or notes the end of one.
    async fn accept(&mut self) {
        tokio::select! {
            accepted = self.http.accept() => if let Ok((stream, _)) = accepted {
                self.connections.spawn(http(self.name, stream, self.life.subscribe()));
            },
            accepted = self.tcp.accept() => if let Ok((mut stream, _)) = accepted {
                let (name, life) = (self.name, self.life.subscribe());
                self.connections.spawn(async move {
                    let _fuse = Fuse::new(&stream, life);
                    stream.write_all(format!("{name}\n").as_bytes()).await.unwrap_or_default();
                    repeat(&mut stream).await;
                });
            },
            Some(_) = self.connections.join_next() => {}
        }
    }

    async fn reset(self) {
        drop((self.http, self.tcp));
        self.life.send_replace(Life::Dies);
        let mut connections = self.connections;
        connections.shutdown().await;
    }

    async fn leave(mut self) {
        drop((self.http, self.tcp));
        self.life.send_replace(Life::Leaves);
        let done = async { while self.connections.join_next().await.is_some() {} };
        // Streams that never end are cut.
        tokio::time::timeout(LEAVE, done).await.unwrap_or_default();
        self.life.send_replace(Life::Dies);
        self.connections.shutdown().await;
    }
}

/// How long a server that leaves waits for its connections to end.
const LEAVE: Duration = Duration::from_secs(1);

/// Has a connection end by a reset if its server dies.
struct Fuse(Option<std::net::TcpStream>, watch::Receiver<Life>);

impl Fuse {
    fn new(stream: &TcpStream, life: watch::Receiver<Life>) -> Self {
        use std::os::fd::AsFd;
        stream.set_nodelay(true).unwrap_or_default();
        Self(stream.as_fd().try_clone_to_owned().ok().map(Into::into), life)
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        // Closed after the connection's own descriptor: the last one to close resets.
        if let Some(stream) = self.0.take().filter(|_| *self.1.borrow() == Life::Dies) {
            let linger = Some(Duration::ZERO);
            rustix::net::sockopt::set_socket_linger(&stream, linger).unwrap_or_default();
        }
    }
}

async fn http(name: &'static str, stream: TcpStream, mut life: watch::Receiver<Life>) {
    let _fuse = Fuse::new(&stream, life.clone());
    let builder = auto::Builder::new(TokioExecutor::new());
    let of_requests = life.clone();
    let answer = hyper::service::service_fn(move |request| answer(name, request, of_requests.clone()));
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), answer);
    let mut connection = std::pin::pin!(connection);
    let leaves = tokio::select! {
        _ = &mut connection => false,
        _ = life.wait_for(|life| *life >= Life::Leaves) => true,
    };
    if leaves {
        connection.as_mut().graceful_shutdown();
        connection.await.unwrap_or_default();
    }
}

/// The head says who answered and to what; the body depends on the last parts of the path.
async fn answer(
    name: &'static str,
    request: Request<Incoming>,
    mut life: watch::Receiver<Life>,
) -> Result<Response<BoxBody<Bytes, hyper::Error>>, Infallible> {
    let mut response = Response::builder().header(BACKEND, name);
    let id = request.headers().get(ID).cloned();
    if let Some(id) = &id {
        response = response.header(ID, id);
    }
    if request.headers().contains_key(UPGRADE) {
        let on_upgrade = hyper::upgrade::on(request);
        tokio::spawn(async move {
            let Ok(upgraded) = on_upgrade.await else { return };
            let mut upgraded = TokioIo::new(upgraded);
            tokio::select! {
                () = repeat(&mut upgraded) => {}
                _ = life.wait_for(|life| *life == Life::Dies) => {}
            }
        });
        let response = response
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(CONNECTION, "upgrade")
            .header(UPGRADE, "websocket");
        return Ok(response.body(Empty::new().map_err(never).boxed()).expect("a valid head"));
    }
    let is_call = request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == GRPC);
    let mut parts = request.uri().path().rsplit('/');
    let (last, before) = (parts.next().unwrap_or_default().to_owned(), parts.next().unwrap_or_default());
    let body = if is_call {
        response = response.header(CONTENT_TYPE, GRPC);
        let has_te = request.headers().get(TE).is_some_and(|te| te == "trailers");
        Call { body: request.into_body(), done: false, bytes: 0, has_te }.boxed()
    } else if last == "echo" {
        request.into_body().boxed()
    } else if before == "bytes" {
        let id = id.and_then(|id| id.to_str().ok()?.parse().ok()).unwrap_or_default();
        Full::new(pattern(id, last.parse().unwrap_or_default())).map_err(never).boxed()
    } else {
        Full::new(Bytes::from(format!("{name}\n"))).map_err(never).boxed()
    };
    Ok(response.body(body).expect("a valid head"))
}

fn never(never: Infallible) -> hyper::Error {
    match never {}
}

/// Gives back the messages of a call as they come, then says how many bytes they were.
struct Call {
    body: Incoming,
    done: bool,
    bytes: usize,
    has_te: bool,
}

impl Body for Call {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if self.done {
            return Poll::Ready(None);
        }
        let polled = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        match polled {
            Some(Ok(frame)) if frame.is_data() => {
                self.bytes += frame.data_ref().map_or(0, Bytes::len);
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            _ => {
                self.done = true;
                let mut trailers = HeaderMap::new();
                // A proxy that hides this field would have gRPC servers refuse the call.
                let status = if self.has_te { "0" } else { "2" };
                trailers.insert("grpc-status", HeaderValue::from_static(status));
                trailers.insert(BYTES, self.bytes.into());
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// Sends back every byte until the end.
async fn repeat(stream: &mut (impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin)) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = stream.read(&mut bytes).await {
        if stream.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
    stream.shutdown().await.unwrap_or_default();
}

/// Answers every datagram with the name, a space and the datagram.
async fn name_datagrams(name: &'static str, socket: UdpSocket) {
    let mut datagram = vec![0; 2048];
    loop {
        let received: std::io::Result<(usize, SocketAddr)> = socket.recv_from(&mut datagram).await;
        let Ok((count, from)) = received else { continue };
        let answer = [name.as_bytes(), b" ", &datagram[..count]].concat();
        socket.send_to(&answer, from).await.unwrap_or_default();
    }
}

/// The bytes that belong to a request.
pub(super) fn pattern(id: u64, count: usize) -> Bytes {
    let seed = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..count)
        .map(|at| seed.rotate_left(u32::try_from(at % 59).unwrap_or_default()).to_le_bytes()[at % 8])
        .collect()
}

/// The field with the name of the server.
pub(super) const BACKEND: &str = "x-backend";
/// The field with the number of the request.
pub(super) const ID: &str = "x-soak-id";
/// The trailer with the number of bytes that a call brought.
pub(super) const BYTES: &str = "x-bytes";
/// The content type of a call.
pub(super) const GRPC: &str = "application/grpc";
