//! Clients and endpoints of the `h2` crate.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::client::{PATIENCE, pod};

/// Runs a test's client, which must be done in time.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    runtime().block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("in time") })
}

/// Waits for a condition while the client's tasks go on.
pub(super) async fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + PATIENCE;
    while !is_true() {
        assert!(std::time::Instant::now() < end, "never: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Of a client that opens no more streams than it may before it knows how many those are.
pub(super) fn builder() -> h2::client::Builder {
    let mut builder = h2::client::Builder::new();
    builder.initial_max_send_streams(100);
    builder
}

/// A client's connection.
pub(super) async fn connect(to: SocketAddr) -> SendRequest<Bytes> {
    connect_by(TcpStream::connect(to).await.unwrap(), &builder()).await
}

/// The same, of a test pod.
pub(super) async fn connect_from(last: u8, to: SocketAddr) -> SendRequest<Bytes> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(pod(last), 0)).unwrap();
    connect_by(socket.connect(to).await.unwrap(), &builder()).await
}

pub(super) async fn connect_by(stream: TcpStream, builder: &h2::client::Builder) -> SendRequest<Bytes> {
    stream.set_nodelay(true).unwrap();
    let (client, connection) = builder.handshake(stream).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    client.ready().await.unwrap()
}

/// A request to the Gateway's host.
pub(super) fn request(method: &str, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(format!("http://a.test{path}"))
}

/// A message as it was received.
#[derive(Debug, Default)]
pub(super) struct Received {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Option<HeaderMap>,
}

impl Received {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(super) fn trailer(&self, name: &str) -> Option<&str> {
        self.trailers.as_ref()?.get(name).map(|value| value.to_str().unwrap())
    }
}

/// Sends a request without a body.
pub(super) async fn get(client: &mut SendRequest<Bytes>, path: &str) -> Result<Received, h2::Error> {
    ask(client, request("GET", path)).await
}

/// The same, of any form.
pub(super) async fn ask(
    client: &mut SendRequest<Bytes>,
    request: http::request::Builder,
) -> Result<Received, h2::Error> {
    *client = client.clone().ready().await?;
    let (response, _) = client.send_request(request.body(()).unwrap(), true)?;
    receive(response.await?).await
}

/// Sends a request with a body, and trailers after it.
pub(super) async fn send(
    client: &mut SendRequest<Bytes>,
    request: http::request::Builder,
    body: &[u8],
    trailers: Option<HeaderMap>,
) -> Result<Received, h2::Error> {
    *client = client.clone().ready().await?;
    let (response, mut stream) = client.send_request(request.body(()).unwrap(), false)?;
    let body = Bytes::copy_from_slice(body);
    let sending = tokio::spawn(async move {
        let ends = trailers.is_none();
        write(&mut stream, body, ends).await?;
        if let Some(trailers) = trailers {
            stream.send_trailers(trailers)?;
        }
        Ok::<_, h2::Error>(())
    });
    let received = receive(response.await?).await;
    drop(sending.await.unwrap());
    received
}

/// Sends as the windows allow.
pub(super) async fn write(
    stream: &mut SendStream<Bytes>,
    mut body: Bytes,
    ends: bool,
) -> Result<(), h2::Error> {
    if body.is_empty() {
        return stream.send_data(body, ends);
    }
    while !body.is_empty() {
        stream.reserve_capacity(body.len().min(64 * 1024));
        let room = std::future::poll_fn(|context| stream.poll_capacity(context)).await;
        let Some(room) = room.transpose()? else { return Ok(()) };
        let piece = body.split_to(room.min(body.len()));
        stream.send_data(piece, ends && body.is_empty())?;
    }
    Ok(())
}

pub(super) async fn receive(response: Response<RecvStream>) -> Result<Received, h2::Error> {
    let (head, mut stream) = response.into_parts();
    let mut received =
        Received { status: head.status.as_u16(), headers: head.headers, ..Received::default() };
    drain(&mut stream, &mut received).await?;
    Ok(received)
}

async fn drain(stream: &mut RecvStream, received: &mut Received) -> Result<(), h2::Error> {
    while let Some(data) = stream.data().await {
        let data = data?;
        received.body.extend_from_slice(&data);
        stream.flow_control().release_capacity(data.len())?;
    }
    received.trailers = stream.trailers().await?;
    Ok(())
}

/// A request as an endpoint received it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) head: http::request::Parts,
    pub(super) message: Received,
}

impl Asked {
    pub(super) async fn of(request: Request<RecvStream>) -> Result<Self, h2::Error> {
        let (head, mut stream) = request.into_parts();
        let mut message = Received { headers: head.headers.clone(), ..Received::default() };
        drain(&mut stream, &mut message).await?;
        Ok(Self { head, message })
    }

    /// What an echo says: the head, then the body.
    pub(super) fn text(&self, name: &str) -> String {
        use std::fmt::Write;
        let mut text = format!("{name}\n{} {}\n", self.head.method, self.head.uri);
        for (name, value) in &self.head.headers {
            writeln!(text, "{name}: {}", value.to_str().unwrap()).unwrap();
        }
        text.push('\n');
        text.push_str(self.message.text());
        text
    }
}

/// An endpoint that speaks HTTP/2 alone. Its thread lives as long as the test's process.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    log: Arc<Mutex<Vec<Asked>>>,
}

/// What an endpoint's script gets: the request, and how to answer.
pub(super) type Call = (Request<RecvStream>, SendResponse<Bytes>);

impl Endpoint {
    /// Runs `script` for every request.
    pub(super) fn script<F: Future<Output = ()> + Send + 'static>(
        script: impl Fn(Call, Self) -> F + Send + Sync + 'static,
    ) -> Self {
        Self::start(IpAddr::V4(Ipv4Addr::LOCALHOST), h2::server::Builder::new(), script)
    }

    /// The same, at an address and with settings.
    pub(super) fn start<F: Future<Output = ()> + Send + 'static>(
        ip: IpAddr,
        builder: h2::server::Builder,
        script: impl Fn(Call, Self) -> F + Send + Sync + 'static,
    ) -> Self {
        let listener = std::net::TcpListener::bind((ip, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let endpoint =
            Self { address, connections: Arc::default(), open: Arc::default(), log: Arc::default() };
        let (own, script) = (endpoint.clone(), Arc::new(script));
        std::thread::spawn(move || {
            runtime().block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    own.connections.fetch_add(1, Ordering::SeqCst);
                    stream.set_nodelay(true).unwrap();
                    tokio::spawn(serve(stream, builder.clone(), script.clone(), own.clone()));
                }
            });
        });
        endpoint
    }

    /// Answers every request with its own name, the request's head and its body.
    pub(super) fn echo(name: &'static str) -> Self {
        Self::echo_at(IpAddr::V4(Ipv4Addr::LOCALHOST), name)
    }

    pub(super) fn echo_at(ip: IpAddr, name: &'static str) -> Self {
        Self::start(ip, h2::server::Builder::new(), move |(request, mut respond), own| async move {
            let Ok(asked) = Asked::of(request).await else { return };
            let text = asked.text(name);
            let trailers = asked.message.trailers.clone();
            own.log.lock().unwrap().push(asked);
            let Ok(mut stream) = respond.send_response(Response::new(()), false) else { return };
            if write(&mut stream, Bytes::from(text), trailers.is_none()).await.is_err() {
                return;
            }
            if let Some(trailers) = trailers {
                drop(stream.send_trailers(trailers));
            }
        })
    }

    /// Connections accepted so far.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Connections open now.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Requests read so far.
    pub(super) fn requests(&self) -> usize {
        self.log.lock().unwrap().len()
    }

    /// Keeps a request.
    pub(super) fn keep(&self, asked: Asked) {
        self.log.lock().unwrap().push(asked);
    }

    /// Looks at a request.
    pub(super) fn request<T>(&self, index: usize, see: impl FnOnce(&Asked) -> T) -> T {
        see(&self.log.lock().unwrap()[index])
    }
}

async fn serve<F: Future<Output = ()> + Send + 'static>(
    stream: TcpStream,
    builder: h2::server::Builder,
    script: Arc<impl Fn(Call, Endpoint) -> F + Send + Sync + 'static>,
    own: Endpoint,
) {
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
    own.open.fetch_add(1, Ordering::SeqCst);
    while let Some(Ok(call)) = connection.accept().await {
        tokio::spawn(script(call, own.clone()));
    }
    own.open.fetch_sub(1, Ordering::SeqCst);
}
