//! Endpoints: threads that accept and follow a script.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::client::{Message, Peer};

/// A listening endpoint. Its thread lives as long as the test's process.
#[derive(Clone)]
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<Message>>>,
}

/// What an endpoint keeps of what it was asked.
pub(crate) type Log = Arc<Mutex<Vec<Message>>>;

impl Backend {
    /// Runs `script` for every connection.
    pub(crate) fn script(script: impl Fn(Peer, &Log) + Send + Sync + 'static) -> Self {
        Self::script_at(IpAddr::V4(Ipv4Addr::LOCALHOST), script)
    }

    /// The same, at the address of a pod.
    pub(crate) fn script_at(ip: IpAddr, script: impl Fn(Peer, &Log) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((ip, 0)).unwrap();
        let backend = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            requests: Arc::default(),
        };
        let (own, script) = (backend.clone(), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                own.connections.fetch_add(1, Ordering::SeqCst);
                let (script, log) = (script.clone(), own.requests.clone());
                std::thread::spawn(move || script(Peer::new(stream), &log));
            }
        });
        backend
    }

    /// Answers every request with its own name, the request's head and its body.
    pub(crate) fn echo(name: &'static str) -> Self {
        Self::echo_at(IpAddr::V4(Ipv4Addr::LOCALHOST), name)
    }

    pub(crate) fn echo_at(ip: IpAddr, name: &'static str) -> Self {
        Self::script_at(ip, move |mut peer, log| {
            while let Some(request) = peer.request() {
                let text = format!("{name}\n{}\n\n{}", request.head, request.body);
                log.lock().unwrap().push(request);
                if peer.try_send(&respond(200, &text)).is_err() {
                    return;
                }
            }
        })
    }

    /// Answers the first request of every connection with this text.
    pub(crate) fn once(answer: impl Into<String>) -> Self {
        let answer = answer.into();
        Self::script(move |mut peer, log| {
            let Some(request) = peer.request() else { return };
            log.lock().unwrap().push(request);
            drop(peer.try_send(&answer));
        })
    }

    /// Answers every request with this text.
    pub(crate) fn always(answer: impl Into<String>) -> Self {
        let answer = answer.into();
        Self::script(move |mut peer, log| {
            while let Some(request) = peer.request() {
                log.lock().unwrap().push(request);
                if peer.try_send(&answer).is_err() {
                    return;
                }
            }
        })
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Requests read so far.
    pub(crate) fn requests(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    /// Looks at a request.
    pub(crate) fn request<T>(&self, index: usize, see: impl FnOnce(&Message) -> T) -> T {
        see(&self.requests.lock().unwrap()[index])
    }
}

/// A response with a length.
pub(crate) fn respond(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}
