//! Clients of HTTP: what they ask, how often, and whether the answer is right to the last byte.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, TE};
use hyper::{Request, Response, Version};

use super::connection::{Connection, NAME, PATIENCE, Sent, Tls, Unanswered, chain, tcp};
use super::expect::Expected;
use super::random::Random;
use super::server::{BACKEND, BYTES, GRPC, ID, pattern};
use super::shared::{Attempt, GOODBYE, QUIET, Shared};

/// A way to ask.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    /// Its name in the tally.
    pub(super) what: &'static str,
    /// Where to.
    pub(super) to: SocketAddr,
    /// With TLS.
    pub(super) secured: bool,
    pub(super) version: Version,
    /// What the path begins with.
    pub(super) prefix: &'static str,
    /// Which answers are right.
    pub(super) expected: fn(&Shared) -> &Expected,
    pub(super) habit: Habit,
}

/// What clients of a way do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Habit {
    /// A connection a request.
    Fresh,
    /// Many requests on one connection, one after the other.
    Kept,
    /// As many at a time on one connection.
    Streams(usize),
    /// The same with gRPC's framing and trailers.
    Calls(usize),
    /// Requests whose answer is a status of the proxy's own at times.
    Plain,
}

/// Asks until it is over.
pub(super) async fn ask(shared: Arc<Shared>, tls: Arc<Tls>, way: Way, seed: u64, pause: Duration) {
    let mut random = Random::new(seed);
    while !shared.is_over() {
        let Some(mut connection) = connect(&shared, &tls, &way).await else {
            tokio::time::sleep(pause).await;
            continue;
        };
        let turns = if way.habit == Habit::Fresh { 1 } else { random.below(60) + 1 };
        for _ in 0..turns {
            tokio::time::sleep(random.about(pause)).await;
            if shared.is_over() {
                break;
            }
            let goes_on = match way.habit {
                Habit::Streams(count) | Habit::Calls(count) => {
                    many(&shared, &way, &connection, &mut random, count).await
                }
                _ => one(shared.clone(), way, &mut connection, random.next()).await,
            };
            if !goes_on {
                break;
            }
        }
    }
}

async fn connect(shared: &Shared, tls: &Tls, way: &Way) -> Option<Connection> {
    let attempt = Attempt::new(way.what, (way.expected)(shared));
    let stream = if way.secured {
        let attempt = Attempt::new("certificate", &shared.certificate);
        let protocol: &[u8] = if way.version == Version::HTTP_2 { b"h2" } else { b"http/1.1" };
        tls.connect(way.to, protocol).await.map(|(stream, certificate)| {
            shared.answered(&attempt, &certificate);
            stream
        })
    } else {
        tcp(way.to).await.map(|stream| Box::new(stream) as _)
    };
    let connection = match stream {
        Ok(stream) => Connection::new(stream, way.version).await,
        Err(why) => Err(why),
    };
    // The proxy is always there to take connections: no rule excuses this.
    connection.map_err(|why| shared.wrong(&attempt, &why)).ok()
}

/// Requests at the same time.
async fn many(
    shared: &Arc<Shared>,
    way: &Way,
    connection: &Connection,
    random: &mut Random,
    count: usize,
) -> bool {
    let mut streams = tokio::task::JoinSet::new();
    for _ in 0..count {
        let (shared, way, mut connection, seed) = (shared.clone(), *way, connection.share(), random.next());
        streams.spawn(async move { one(shared, way, &mut connection, seed).await });
    }
    streams.join_all().await.into_iter().all(|goes_on| goes_on)
}

/// One request; whether the connection is good for another.
async fn one(shared: Arc<Shared>, way: Way, connection: &mut Connection, seed: u64) -> bool {
    let id = shared.number();
    let kind = Kind::any(&way, &mut Random::new(seed));
    let attempt = Attempt::new(way.what, (way.expected)(&shared));
    let response = match connection.send(kind.request(&way, id)).await {
        Ok(response) => response,
        // It was told so, or between two requests: the next one goes over another.
        Err(Unanswered::Unsent) => return false,
        Err(Unanswered::Unprocessed) => {
            shared.excuse(GOODBYE);
            return false;
        }
        Err(Unanswered::Ended { quiet, .. }) if quiet > PAUSE => {
            shared.excuse(QUIET);
            return false;
        }
        Err(Unanswered::Ended { quiet, why }) => {
            shared.failed(&attempt, &format!("{why}; the connection was used {quiet:?} before"));
            return false;
        }
        Err(Unanswered::Late) => {
            shared.wrong(&attempt, &format!("no answer in {PATIENCE:?}"));
            return false;
        }
    };
    let checked = tokio::time::timeout(PATIENCE, kind.check(&way, id, response)).await;
    match checked.unwrap_or_else(|_| Err(Bad::Broken(format!("half an answer in {PATIENCE:?}")))) {
        Ok(answer) => shared.answered(&attempt, &answer),
        Err(Bad::Broken(why)) => {
            shared.failed(&attempt, &why);
            return false;
        }
        Err(Bad::Wrong(why)) => shared.wrong(&attempt, &why),
    }
    true
}

/// How long a proxy that drains keeps a connection without a request (`drain_idle`).
pub(super) const DRAIN_IDLE: Duration = Duration::from_secs(4);
/// Nearly as long: on a busy machine a request may come much later than its client looked at the clock.
const PAUSE: Duration = Duration::from_secs(2);

/// What is asked for.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// The server's name.
    Name,
    /// So many bytes.
    Bytes(usize),
    /// So many bytes back, their number said before if `known`.
    Echo { count: usize, known: bool },
    /// So many gRPC messages of so many bytes back.
    Call { messages: usize, count: usize },
}

/// Why an answer is not right.
enum Bad {
    /// It is not whole, or says that somebody else failed.
    Broken(String),
    /// It is whole, and not what was asked for.
    Wrong(String),
}

impl Kind {
    fn any(way: &Way, random: &mut Random) -> Self {
        // Most are short; some take several reads, windows and packets.
        let count = if random.below(12) == 0 { random.below(300_000) } else { random.below(4_000) };
        match (way.habit, random.below(4)) {
            (Habit::Calls(_), _) => Self::Call { messages: random.below(5), count: count / 4 },
            (Habit::Plain, _) | (_, 0) => Self::Name,
            (_, 1) => Self::Bytes(count),
            (_, two) => Self::Echo { count, known: two == 2 },
        }
    }

    fn request(self, way: &Way, id: u64) -> Request<Sent> {
        let host = if way.secured { NAME.to_owned() } else { way.to.to_string() };
        let (scheme, prefix) = (if way.secured { "https" } else { "http" }, way.prefix);
        let path = match self {
            Self::Name => prefix.to_owned(),
            Self::Bytes(count) => format!("{prefix}/bytes/{count}"),
            Self::Echo { .. } => format!("{prefix}/echo"),
            Self::Call { .. } => format!("{prefix}/soak.Echo/Chat"),
        };
        let mut request = Request::builder().header(ID, id);
        request = match (way.version, self) {
            (Version::HTTP_2, _) => request.uri(format!("{scheme}://{host}{path}")),
            _ => request.uri(path).header(HOST, host),
        };
        let body = match self {
            Self::Name | Self::Bytes(_) => Empty::new().boxed(),
            Self::Echo { count, known } => {
                request = request.method("POST");
                let bytes = pattern(id, count);
                if known { Full::new(bytes).boxed() } else { pieces(&bytes, PIECE) }
            }
            Self::Call { messages, count } => {
                request = request.method("POST").header(CONTENT_TYPE, GRPC).header(TE, "trailers");
                pieces(&call(id, messages, count), count + FRAME)
            }
        };
        request.body(body).expect("a valid head")
    }

    /// Reads the answer; who gave it, or the status of the proxy's own.
    async fn check(self, way: &Way, id: u64, response: Response<Incoming>) -> Result<String, Bad> {
        let (head, body) = response.into_parts();
        let status = head.status.as_u16();
        let field = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (server, number) = (field(BACKEND).to_owned(), field(ID).to_owned());
        let body = body.collect().await.map_err(|error| Bad::Broken(format!("body: {}", chain(&error))))?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        let bytes = body.to_bytes();
        if matches!(status, 502..=504) {
            return Err(Bad::Broken(format!("status {status}: {}", String::from_utf8_lossy(&bytes))));
        }
        if matches!(status, 403 | 404) && way.habit == Habit::Plain {
            return Ok(status.to_string());
        }
        // Instead of an answer, or as the end of one that is not whole.
        let ended = head.headers.get(STATUS).or_else(|| trailers.get(STATUS));
        if let Some(status @ ("7" | "14")) = ended.and_then(|value| value.to_str().ok()) {
            return Err(Bad::Broken(format!("the call ended with status {status}")));
        }
        if status != 200 || number != id.to_string() {
            return Err(Bad::Wrong(format!("status {status}, answer {number:?} to request {id}: {bytes:?}")));
        }
        let right = match self {
            Self::Name => Bytes::from(format!("{server}\n")),
            Self::Bytes(count) | Self::Echo { count, .. } => pattern(id, count),
            Self::Call { messages, count } => call(id, messages, count),
        };
        if bytes != right {
            let (got, wanted) = (bytes.len(), right.len());
            return Err(Bad::Wrong(format!("{self:?}: {got} bytes instead of {wanted}, or others")));
        }
        if let Self::Call { .. } = self {
            let field = |name: &str| trailers.get(name).and_then(|value| value.to_str().ok());
            if field(STATUS) != Some("0") || field(BYTES) != Some(&*right.len().to_string()) {
                return Err(Bad::Wrong(format!("trailers {trailers:?} after {} bytes", right.len())));
            }
        }
        Ok(server)
    }
}

/// The messages of a call with their frames.
fn call(id: u64, messages: usize, count: usize) -> Bytes {
    let message = pattern(id, count);
    let length = u32::try_from(count).unwrap_or_default().to_be_bytes();
    let framed = [&[0][..], &length, &message].concat();
    framed.repeat(messages).into()
}

/// A body whose length is not said before, in pieces of so many bytes.
fn pieces(bytes: &Bytes, size: usize) -> Sent {
    let pieces: Vec<_> = bytes.chunks(size).map(|piece| bytes.slice_ref(piece)).collect();
    Pieces(pieces.into_iter()).boxed()
}

/// A body of pieces that are there.
struct Pieces(std::vec::IntoIter<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.next().map(|piece| Ok(Frame::data(piece))))
    }
}

const STATUS: &str = "grpc-status";
/// Bytes of a piece.
const PIECE: usize = 3_000;
/// Bytes before a gRPC message.
const FRAME: usize = 5;
