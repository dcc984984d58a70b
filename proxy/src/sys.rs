//! The system calls that no library wraps safely.
#![allow(unsafe_code)]

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Binds the calling thread to the `index`th CPU (modulo their number) that it may use now.
pub(crate) fn pin_thread(index: usize) -> io::Result<()> {
    let size = size_of::<libc::cpu_set_t>();
    // SAFETY: a cpu_set_t is a bit array; all zeroes is its empty set.
    let mut allowed: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `allowed` is valid for writes of `size` bytes; pid 0 is the calling thread.
    if unsafe { libc::sched_getaffinity(0, size, &raw mut allowed) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let cpus: Vec<usize> = (0..size * 8)
        // SAFETY: `cpu` is below the number of bits of the set.
        .filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &allowed) })
        .collect();
    let Some(cpu) = cpus.get(index % cpus.len().max(1)) else {
        return Err(io::Error::other("the thread may use no CPU"));
    };
    // SAFETY: as above.
    let mut one: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `cpu` came out of a set of the same size.
    unsafe { libc::CPU_SET(*cpu, &mut one) };
    // SAFETY: `one` is valid for reads of `size` bytes.
    if unsafe { libc::sched_setaffinity(0, size, &raw const one) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Has the runtime watch a listening socket for connections. It must not block.
pub(crate) fn watch(listener: TcpListener) -> io::Result<AsyncFd<TcpListener>> {
    // SAFETY: a `TcpListener` owns its descriptor: it is open, and the same, until it is dropped, and
    // what holds it here lends it for reading alone.
    Ok(unsafe { AsyncFd::register_with_interest(listener, Interest::READABLE) }?)
}

/// Bytes of a TCP socket that its peer's kernel has acknowledged, ever.
pub(crate) fn acknowledged(socket: impl AsFd) -> io::Result<u64> {
    let mut info = [0_u8; INFO_BYTES];
    let mut length = libc::socklen_t::try_from(INFO_BYTES).map_err(io::Error::other)?;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: `info` is valid for writes of `length` bytes, and `length` of a socklen_t.
    let code = unsafe {
        libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &raw mut length)
    };
    if code != 0 {
        return Err(io::Error::last_os_error());
    }
    info.last_chunk().map(|bytes| u64::from_ne_bytes(*bytes)).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// `struct tcp_info` of linux/tcp.h up to and with `tcpi_bytes_acked`, which libc's does not have.
const INFO_BYTES: usize = 128;

#[cfg(test)]
mod tests;
