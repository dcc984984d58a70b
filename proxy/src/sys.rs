//! The system calls that no library wraps safely.
#![allow(unsafe_code)]

use std::io;
use std::ops::RangeInclusive;
use std::os::fd::{AsRawFd, BorrowedFd};

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

/// Lets `bind` choose the address alone and `connect` the port (`IP_BIND_ADDRESS_NO_PORT`), from
/// this range (`IP_LOCAL_PORT_RANGE`). Works on sockets of both families.
///
/// # Minimum kernel version
/// 6.3; before that the error is `ENOPROTOOPT`.
pub(crate) fn source_ports(socket: BorrowedFd<'_>, range: &RangeInclusive<u16>) -> io::Result<()> {
    let packed = u32::from(*range.end()) << 16 | u32::from(*range.start());
    set_ip(socket, libc::IP_BIND_ADDRESS_NO_PORT, 1)?;
    set_ip(socket, IP_LOCAL_PORT_RANGE, packed)
}

/// `IP_LOCAL_PORT_RANGE` of `linux/in.h`: low and high port in the halves of a `u32`.
const IP_LOCAL_PORT_RANGE: libc::c_int = 51;

fn set_ip(socket: BorrowedFd<'_>, option: libc::c_int, value: u32) -> io::Result<()> {
    // Four bytes: it fits.
    #[allow(clippy::cast_possible_truncation)]
    let len = size_of::<u32>() as libc::socklen_t;
    // SAFETY: the descriptor is open while borrowed; `value` is valid for reads of `len` bytes.
    let done =
        unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_IP, option, (&raw const value).cast(), len) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests;
