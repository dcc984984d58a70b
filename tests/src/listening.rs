//! A listener in a namespace whose connections have a thread each. It stops when dropped, and its
//! connections are closed.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use crate::namespace::Namespace;

/// See the module.
#[derive(Debug)]
pub(crate) struct Listening {
    listener: TcpListener,
    connections: Arc<Mutex<Vec<TcpStream>>>,
}

impl Listening {
    /// Serves each connection, which is told its number: the first is 0.
    pub(crate) fn start(
        ns: &Namespace,
        address: SocketAddr,
        serve: impl Fn(TcpStream, usize) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = ns.listen(address);
        // Else a burst that a busy machine accepts late would be dropped, and comes again after a second.
        rustix::net::listen(listener.as_fd(), BACKLOG).expect("it listens");
        let accepting = listener.try_clone().expect("descriptors are plenty");
        let listening = Self { listener, connections: Arc::default() };
        let (connections, serve) = (listening.connections.clone(), Arc::new(serve));
        thread::spawn(move || {
            while let Ok((stream, _)) = accepting.accept() {
                let Ok(copy) = stream.try_clone() else { continue };
                let number = {
                    let mut connections = lock(&connections);
                    connections.push(copy);
                    connections.len() - 1
                };
                let serve = serve.clone();
                // A broken connection is for the other side to notice.
                thread::spawn(move || serve(stream, number).ok());
            }
        });
        listening
    }

    /// Connections accepted so far.
    pub(crate) fn count(&self) -> usize {
        lock(&self.connections).len()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        rustix::net::shutdown(self.listener.as_fd(), rustix::net::Shutdown::Both).ok();
        for stream in lock(&self.connections).iter() {
            stream.shutdown(Shutdown::Both).ok();
        }
    }
}

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// What a thread that panics holds is of no use to anybody.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic while it is held")
}
