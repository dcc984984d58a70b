//! The admin endpoint over HTTP, for probes, Prometheus and people.
//!
//! | path | answer |
//! |---|---|
//! | `/live` | 200 while every thread makes progress, 503 if one stands still |
//! | `/ready` | 200 while new connections are welcome, 503 before and while draining |
//! | `/metrics` | all metrics, in the OpenMetrics text format |
//! | `/config` | the Snapshot in force as JSON, without keys; for this machine only |
//! | `/problems` | what is wrong with the configuration now, as `weir check` says it; for this machine only |
//! | `/log` | the log levels; `PUT` or `POST` changes them; for this machine only |
//!
//! hyper on a runtime and a thread of its own: clients are many and may be slow, and none of them
//! may take a worker's time. The thread runs at a lower priority than the workers.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::Result;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::admin::dump;
use crate::admin::log::Log;
use crate::admin::observed::Observed;
use crate::admin::places::Places;
use crate::check;
use crate::listeners::{self, Slots};
use crate::metrics::Metrics;

/// The endpoint under way. It answers until the process ends or [`Endpoint::leave`] is called.
#[derive(Debug)]
pub(crate) struct Endpoint {
    leave: watch::Sender<bool>,
}

impl Endpoint {
    /// Stops listening: whoever has the socket next answers.
    pub(crate) fn leave(&self) {
        self.leave.send_replace(true);
    }
}

/// Answers on `address` from a thread of its own. Where it cannot listen it says so and tries again:
/// traffic does not depend on it.
///
/// The socket is the supervisor's too: while a proxy is started again, clients wait in its queue.
pub(crate) fn serve(address: SocketAddr, slots: Slots, pages: Pages) -> Result<Endpoint> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (leave, mut left) = watch::channel(false);
    // Before anybody is told that this process is ready.
    let first = listeners::admin(&slots, Some(address));
    std::thread::Builder::new().name("admin-http".into()).spawn(move || {
        if let Err(error) = rustix::process::nice(NICE) {
            tracing::debug!(%error, "the admin endpoint keeps the priority of the workers");
        }
        runtime.block_on(async {
            tokio::select! {
                () = accept(address, first, &slots, Arc::new(pages)) => {}
                // An error means that the control side is gone.
                _ = left.wait_for(|left| *left) => {}
            }
        });
    })?;
    Ok(Endpoint { leave })
}

/// A socket to listen on, or why there is none.
type Made = io::Result<Option<std::net::TcpListener>>;

async fn accept(address: SocketAddr, first: Made, slots: &Slots, pages: Arc<Pages>) {
    let socket = listen(address, first, slots).await;
    let places = Arc::new(Mutex::new(Places::<AbortHandle>::default()));
    loop {
        let (stream, peer) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "an admin client was not accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (pages, ip) = (pages.clone(), peer.ip().to_canonical());
        let (id, ended) = lock(&places).enter(ip, Instant::now());
        if let Some(ended) = ended {
            ended.abort();
        }
        let place = Place { places: places.clone(), id };
        let task = tokio::spawn(async move {
            let service = service_fn(|request| {
                lock(&place.places).used(place.id, Instant::now());
                let pages = pages.clone();
                async move { Ok::<_, Infallible>(pages.answer(request, ip.is_loopback()).await) }
            });
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_PATIENCE)
                .max_buf_size(BUFFER_MAX)
                .serve_connection(TokioIo::new(stream), service);
            if let Ok(Err(error)) = tokio::time::timeout(CONNECTION_LIFE, served).await {
                tracing::debug!(%error, "an admin client broke off");
            }
        });
        lock(&places).began(id, task.abort_handle());
    }
}

/// Who is served, and how to end it.
type Served = Mutex<Places<AbortHandle>>;

fn lock(places: &Served) -> MutexGuard<'_, Places<AbortHandle>> {
    places.lock().expect("no panic while it is held")
}

/// A connection's place, until its task ends.
struct Place {
    places: Arc<Served>,
    id: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.places).leave(self.id);
    }
}

async fn listen(address: SocketAddr, first: Made, slots: &Slots) -> TcpListener {
    let mut is_told = false;
    let mut made = first;
    loop {
        match made.and_then(|socket| socket.map(TcpListener::from_std).transpose()) {
            Ok(Some(socket)) => return socket,
            Ok(None) => {}
            Err(error) if !is_told => {
                tracing::error!("--admin {address}: cannot listen: {error}; trying on");
                is_told = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(RETRY).await;
        made = listeners::admin(slots, Some(address));
    }
}

/// What the answers are made of.
#[derive(Debug)]
pub(crate) struct Pages {
    observed: Arc<Observed>,
    metrics: Metrics,
    log: Log,
}

type Answer = Response<Full<Bytes>>;

impl Pages {
    /// Of this process.
    pub(crate) fn new(observed: Arc<Observed>, log: Log) -> Self {
        Self { metrics: Metrics::new(observed.clone()), observed, log }
    }

    /// `is_near`: the client is on this machine.
    async fn answer(&self, request: Request<Incoming>, is_near: bool) -> Answer {
        let path = request.uri().path();
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let changes = matches!(*request.method(), Method::PUT | Method::POST);
        match path {
            "/" | "/live" | "/ready" | "/metrics" | "/config" | "/problems" if !reads => {
                not_allowed("GET, HEAD")
            }
            "/log" if !reads && !changes => not_allowed("GET, HEAD, PUT, POST"),
            "/config" | "/problems" | "/log" if !is_near => {
                plain(StatusCode::FORBIDDEN, format!("{path} answers clients of the node's loopback only"))
            }
            "/" => plain(StatusCode::OK, "/live /ready /metrics /config /problems /log".into()),
            "/live" => state("live", self.observed.live()),
            "/ready" => state("ready", self.observed.ready()),
            "/metrics" => match self.metrics.text() {
                Ok(text) => answer(StatusCode::OK, OPEN_METRICS, text.into()),
                Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
            },
            "/config" => {
                let json = dump::json(&self.observed.current.get(), &self.observed.limits);
                answer(StatusCode::OK, "application/json", json.into())
            }
            "/problems" => text(StatusCode::OK, check::report(&self.observed.problems.list(), false).0),
            "/log" if changes => self.change_log(request).await,
            "/log" => plain(StatusCode::OK, self.log.levels()),
            _ => plain(StatusCode::NOT_FOUND, "not found: / lists what there is".into()),
        }
    }

    async fn change_log(&self, request: Request<Incoming>) -> Answer {
        let body = Limited::new(request.into_body(), BODY_MAX).collect();
        let Ok(Ok(body)) = tokio::time::timeout(HEAD_PATIENCE, body).await else {
            return plain(StatusCode::BAD_REQUEST, format!("at most {BODY_MAX} bytes, and soon"));
        };
        let body = body.to_bytes();
        let changed =
            std::str::from_utf8(&body).map_err(Into::into).and_then(|text| self.log.change(text.trim()));
        match changed {
            Ok(levels) => {
                tracing::info!("log levels are now {levels}");
                plain(StatusCode::OK, levels)
            }
            Err(error) => plain(StatusCode::BAD_REQUEST, format!("{error:#}")),
        }
    }
}

fn state(name: &str, state: Result<(), String>) -> Answer {
    match state {
        Ok(()) => plain(StatusCode::OK, name.to_owned()),
        Err(why) => plain(StatusCode::SERVICE_UNAVAILABLE, why),
    }
}

fn not_allowed(methods: &'static str) -> Answer {
    let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, format!("only {methods}"));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    answer
}

fn plain(status: StatusCode, mut line: String) -> Answer {
    line.push('\n');
    text(status, line)
}

fn text(status: StatusCode, text: String) -> Answer {
    answer(status, "text/plain; charset=utf-8", text.into())
}

fn answer(status: StatusCode, content_type: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Time for a request's head and for its body.
const HEAD_PATIENCE: Duration = Duration::from_secs(5);
/// Longest life of a connection, however it is used.
const CONNECTION_LIFE: Duration = Duration::from_secs(120);
/// Bytes of a head.
const BUFFER_MAX: usize = 16 * 1024;
/// Bytes of a request body.
const BODY_MAX: usize = 1024;
/// Wait after a failed accept, mostly for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// Wait before listening is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Added to the niceness of the thread.
const NICE: i32 = 10;
