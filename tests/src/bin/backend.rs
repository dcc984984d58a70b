//! A small HTTP/1.1 server for the demo: answers every request with its own name.
//!
//! Usage: `backend ADDRESS:PORT NAME`. One thread a connection, keep-alive, bodies read and
//! thrown away; it exists so that the demo needs nothing but curl and this repository.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::{env, process, thread};

/// A request head larger than this is refused by closing.
const HEAD_MAX: usize = 64 * 1024;

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    let [address, name] = args.as_slice() else {
        eprintln!("usage: backend ADDRESS:PORT NAME");
        process::exit(2);
    };
    let listener = TcpListener::bind(address).unwrap_or_else(|error| {
        eprintln!("backend: cannot listen on {address}: {error}");
        process::exit(1);
    });
    for stream in listener.incoming().flatten() {
        let name = name.clone();
        thread::spawn(move || serve(stream, &name));
    }
}

/// Answers requests until the client closes. Errors end the connection, as the client sees.
fn serve(mut stream: TcpStream, name: &str) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let answer =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nx-backend: {name}\r\n\r\n{name}\n", name.len() + 1);
    let mut pending = Vec::new();
    loop {
        let Some(head) = read_head(&mut stream, &mut pending)? else { return Ok(()) };
        let length = content_length(&pending[..head]);
        pending.drain(..head);
        while pending.len() < length {
            if fill(&mut stream, &mut pending)? == 0 {
                return Ok(());
            }
        }
        pending.drain(..length);
        stream.write_all(answer.as_bytes())?;
    }
}

/// Reads until a whole head is pending; its length, or `None` at the end of the stream.
fn read_head(stream: &mut TcpStream, pending: &mut Vec<u8>) -> io::Result<Option<usize>> {
    loop {
        if let Some(at) = pending.windows(4).position(|four| four == b"\r\n\r\n") {
            return Ok(Some(at + 4));
        }
        if pending.len() > HEAD_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if fill(stream, pending)? == 0 {
            return Ok(None);
        }
    }
}

fn fill(stream: &mut TcpStream, pending: &mut Vec<u8>) -> io::Result<usize> {
    let mut chunk = [0; 16 * 1024];
    let read = stream.read(&mut chunk)?;
    pending.extend_from_slice(&chunk[..read]);
    Ok(read)
}

fn content_length(head: &[u8]) -> usize {
    let text = String::from_utf8_lossy(head);
    let value = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    value.unwrap_or(0)
}
