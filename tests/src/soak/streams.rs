//! Clients of what is not requests and answers: bytes, upgraded connections, streams that last, and
//! datagrams.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Channel, Empty};
use hyper::header::{CONNECTION, HOST, UPGRADE};
use hyper::{Request, Version};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;

use super::connection::{Connection, PATIENCE, Transport, Unanswered, patiently, tcp};
use super::random::Random;
use super::server::{BACKEND, ID, pattern};
use super::shared::{Attempt, Shared};

/// What carries bytes both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    /// The TCP listener.
    Tcp,
    /// An HTTP/1.1 connection that switched to WebSocket.
    Upgrade,
    /// The bodies of one HTTP/2 stream.
    Stream,
}

/// How long one of them is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// A few turns.
    Short,
    /// As long as it may live.
    Long,
}

/// Sends bytes and reads them back until it is over.
pub(super) async fn hold(
    shared: Arc<Shared>,
    to: SocketAddr,
    carrier: Carrier,
    hold: Hold,
    seed: u64,
    pause: Duration,
) {
    let mut random = Random::new(seed);
    while !shared.is_over() {
        let (what, expected) = match carrier {
            Carrier::Tcp => ("tcp", &shared.tcp),
            Carrier::Upgrade => ("upgrade", &shared.a),
            Carrier::Stream => ("http2 stream", &shared.b),
        };
        let attempt = Attempt::new(what, expected);
        let opened = match carrier {
            Carrier::Tcp => open_tcp(to).await,
            Carrier::Upgrade => open_upgrade(&shared, to).await,
            Carrier::Stream => open_stream(&shared, to).await,
        };
        let (mut ends, server) = match opened {
            Ok(opened) => opened,
            Err(why) => {
                shared.failed(&attempt, &why);
                tokio::time::sleep(pause).await;
                continue;
            }
        };
        shared.answered(&attempt, &server);
        let turns = if hold == Hold::Long { usize::MAX } else { random.below(20) + 1 };
        for _ in 0..turns {
            tokio::time::sleep(random.about(pause)).await;
            if shared.is_over() {
                break;
            }
            let id = shared.number();
            match ends.turn(pattern(id, random.below(8_000) + 1)).await {
                Ok(true) => shared.right(&attempt),
                Ok(false) => shared.wrong(&attempt, "other bytes came back"),
                Err(why) => {
                    shared.cut(&attempt, &server, &why);
                    break;
                }
            }
        }
        ends.end().await;
    }
}

/// A stream that repeats.
enum Ends {
    Bytes(Box<dyn Transport>),
    Bodies { send: http_body_util::channel::Sender<Bytes>, answer: hyper::body::Incoming },
}

impl Ends {
    /// Sends this and waits for as much; whether it is the same.
    async fn turn(&mut self, bytes: Bytes) -> Result<bool, String> {
        match self {
            Self::Bytes(stream) => {
                patiently("write", stream.write_all(&bytes)).await?;
                let mut back = vec![0; bytes.len()];
                patiently("read", stream.read_exact(&mut back)).await?;
                Ok(back == bytes)
            }
            Self::Bodies { send, answer } => {
                patiently("write", send.send_data(bytes.clone())).await?;
                let mut back = Vec::new();
                while back.len() < bytes.len() {
                    let frame = patiently("read", async { answer.frame().await.ok_or("the end") }).await?;
                    let frame = frame.map_err(|error| super::connection::chain(&error))?;
                    back.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new()));
                }
                Ok(back == bytes)
            }
        }
    }

    /// Ends it in good order: the other side ends when it is told of the end.
    async fn end(self) {
        if let Self::Bytes(mut stream) = self {
            stream.shutdown().await.unwrap_or_default();
            let mut rest = Vec::new();
            tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.map(drop).unwrap_or_default();
        }
    }
}

type Opened = (Ends, String);

/// The name comes before anything is sent.
async fn open_tcp(to: SocketAddr) -> Result<Opened, String> {
    let mut stream = tcp(to).await?;
    let mut name = Vec::new();
    while !name.ends_with(b"\n") {
        name.push(patiently("name", stream.read_u8()).await?);
    }
    let name = String::from_utf8_lossy(&name).trim_end().to_owned();
    Ok((Ends::Bytes(Box::new(stream)), name))
}

async fn open_upgrade(shared: &Shared, to: SocketAddr) -> Result<Opened, String> {
    let mut connection = Connection::new(Box::new(tcp(to).await?), Version::HTTP_11).await?;
    let request = Request::builder()
        .uri("/a/socket")
        .header(HOST, to.to_string())
        .header(CONNECTION, "upgrade")
        .header(UPGRADE, "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header(ID, shared.number());
    let request = request.body(Empty::new().boxed()).expect("a valid head");
    let response = connection.send(request).await.map_err(unanswered)?;
    let server = server(&response);
    if response.status() != 101 {
        return Err(format!("status {} to an upgrade", response.status()));
    }
    let upgraded = patiently("upgrade", hyper::upgrade::on(response)).await?;
    Ok((Ends::Bytes(Box::new(TokioIo::new(upgraded))), server))
}

async fn open_stream(shared: &Shared, to: SocketAddr) -> Result<Opened, String> {
    let mut connection = Connection::new(Box::new(tcp(to).await?), Version::HTTP_2).await?;
    let (mut send, body) = Channel::new(1);
    let uri = format!("http://{to}/b/echo");
    let request = Request::builder().method("POST").uri(uri).header(ID, shared.number());
    // Its answer begins when something has been sent.
    let first = Bytes::from_static(b"first");
    send.send_data(first.clone()).await.map_err(|error| error.to_string())?;
    let response = connection.send(request.body(body.boxed()).expect("a valid head")).await;
    let response = response.map_err(unanswered)?;
    let server = server(&response);
    if response.status() != 200 {
        return Err(format!("status {} to a stream", response.status()));
    }
    let mut ends = Ends::Bodies { send, answer: response.into_body() };
    let Ends::Bodies { answer, .. } = &mut ends else { unreachable!("it was just made") };
    let frame = patiently("read", async { answer.frame().await.ok_or("the end") }).await?;
    let frame = frame.map_err(|error| super::connection::chain(&error))?;
    if frame.data_ref() != Some(&first) {
        return Err("other bytes came back at first".into());
    }
    Ok((ends, server))
}

fn server(response: &hyper::Response<hyper::body::Incoming>) -> String {
    let name = response.headers().get(BACKEND).and_then(|name| name.to_str().ok());
    name.unwrap_or_default().to_owned()
}

fn unanswered(why: Unanswered) -> String {
    match why {
        Unanswered::Unsent | Unanswered::Unprocessed => {
            "the connection ended before anything was sent".into()
        }
        Unanswered::Ended { why, .. } => why,
        Unanswered::Late => format!("no answer in {PATIENCE:?}"),
    }
}

/// Asks by datagram until it is over. Each flow has a socket of its own for some questions.
pub(super) async fn datagrams(shared: Arc<Shared>, to: SocketAddr, seed: u64, pause: Duration) {
    let mut random = Random::new(seed);
    while !shared.is_over() {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.expect("ports are plenty");
        // What is right since the flow began: it stays with its server.
        let attempt = Attempt::new("udp", &shared.udp);
        for _ in 0..random.below(30) + 1 {
            tokio::time::sleep(random.about(pause)).await;
            if shared.is_over() {
                break;
            }
            let question = pattern(shared.number(), random.below(1_200) + 8);
            match patiently("answer", datagram(&socket, to, &question)).await {
                Ok(Some(server)) => shared.answered(&attempt, &server),
                Ok(None) => shared.wrong(&attempt, "another datagram than was sent"),
                Err(why) => shared.wrong(&attempt, &why),
            }
        }
    }
}

async fn datagram(socket: &UdpSocket, to: SocketAddr, question: &[u8]) -> std::io::Result<Option<String>> {
    socket.send_to(question, to).await?;
    let mut answer = vec![0; 2048];
    let (count, from) = socket.recv_from(&mut answer).await?;
    let answer = &answer[..count];
    let Some(at) = answer.iter().position(|byte| *byte == b' ').filter(|_| from == to) else {
        return Ok(None);
    };
    let same = answer[at + 1..] == *question;
    Ok(same.then(|| String::from_utf8_lossy(&answer[..at]).into_owned()))
}
