//! A relay in a namespace that hands the first message of TLS on in small pieces.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::thread;

use crate::namespace::{Namespace, enter};

/// How the first record of a client is cut.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// Into segments of so many bytes.
    Segments(usize),
    /// Into records that carry so many bytes each, a segment each.
    Records(usize),
}

/// The relay; it takes no more connections when dropped.
#[derive(Debug)]
pub struct Relay {
    /// Where it listens.
    pub address: SocketAddr,
    listener: TcpListener,
}

impl Relay {
    /// Listens on a port of the loopback inside.
    pub fn start(ns: &Namespace, to: SocketAddr, cut: Cut) -> Self {
        let listener = ns.listen(([127, 0, 0, 1], 0).into());
        let address = listener.local_addr().expect("it is bound");
        let accepting = listener.try_clone().expect("descriptors are plenty");
        let inside = ns.open();
        thread::spawn(move || {
            while let Ok((client, _)) = accepting.accept() {
                let Ok(server) = enter(&inside, || TcpStream::connect(to)) else { continue };
                // A broken connection is for the client to notice.
                thread::spawn(move || relay(client, server, cut).ok());
            }
        });
        Self { address, listener }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        rustix::net::shutdown(self.listener.as_fd(), rustix::net::Shutdown::Both).ok();
    }
}

fn relay(mut client: TcpStream, mut server: TcpStream, cut: Cut) -> io::Result<()> {
    server.set_nodelay(true)?;
    let (mut back, mut there) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        io::copy(&mut back, &mut there).ok();
        there.shutdown(Shutdown::Both).ok();
    });
    let mut header = [0; 5];
    client.read_exact(&mut header)?;
    let mut body = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
    client.read_exact(&mut body)?;
    for piece in pieces(header, &body, cut) {
        server.write_all(&piece)?;
        // For a segment of its own: without a delay nothing waits for more.
        thread::yield_now();
    }
    io::copy(&mut client, &mut server)?;
    server.shutdown(Shutdown::Write)
}

fn pieces(header: [u8; 5], body: &[u8], cut: Cut) -> Vec<Vec<u8>> {
    match cut {
        Cut::Segments(size) => [&header[..], body].concat().chunks(size).map(<[u8]>::to_vec).collect(),
        Cut::Records(size) => {
            let record = |part: &[u8]| {
                let length = u16::try_from(part.len()).expect("parts of a record are small");
                [&header[..3], &length.to_be_bytes(), part].concat()
            };
            body.chunks(size).map(record).collect()
        }
    }
}
