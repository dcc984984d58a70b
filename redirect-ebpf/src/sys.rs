//! The system calls that no dependency offers in the form needed: links of programs by descriptor
//! (aya updates and inspects only some kinds) and mounts.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Attach point of a link: `enum bpf_attach_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum AttachPoint {
    SkLookup = 36,
    TcxIngress = 46,
    TcxEgress = 47,
}

/// `BPF_LINK_CREATE`: `target` is an ifindex for TCX, a descriptor of the namespace for sk_lookup.
pub(crate) fn link_create(program: BorrowedFd<'_>, target: u32, point: AttachPoint) -> io::Result<OwnedFd> {
    let mut attr = Attr::new();
    attr.set(0, program.as_raw_fd().cast_unsigned());
    attr.set(4, target);
    attr.set(8, point as u32);
    bpf(LINK_CREATE, &mut attr).and_then(owned)
}

/// `BPF_LINK_UPDATE`: puts another program in the place of the link's, at once.
/// `ENOLINK`: what it was attached to is gone.
pub(crate) fn link_update(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = Attr::new();
    attr.set(0, link.as_raw_fd().cast_unsigned());
    attr.set(4, program.as_raw_fd().cast_unsigned());
    bpf(LINK_UPDATE, &mut attr).map(drop)
}

/// What a link is attached to: inode of the namespace, or ifindex; 0 if that is gone.
pub(crate) fn link_target(link: BorrowedFd<'_>) -> io::Result<u32> {
    // struct bpf_link_info: type, id, prog_id, padding, then the target's number.
    let mut info = [0_u32; 32];
    let mut attr = Attr::new();
    attr.set(0, link.as_raw_fd().cast_unsigned());
    attr.set(4, u32::try_from(size_of_val(&info)).map_err(io::Error::other)?);
    attr.set_pointer(8, info.as_mut_ptr().cast());
    bpf(OBJ_GET_INFO_BY_FD, &mut attr)?;
    Ok(info[4])
}

/// `BPF_OBJ_PIN`.
pub(crate) fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = Attr::new();
    attr.set_pointer(0, path.as_ptr().cast_mut().cast());
    attr.set(8, object.as_raw_fd().cast_unsigned());
    bpf(OBJ_PIN, &mut attr).map(drop)
}

/// `BPF_OBJ_GET`: opens what is pinned.
pub(crate) fn open_pin(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = Attr::new();
    attr.set_pointer(0, path.as_ptr().cast_mut().cast());
    bpf(OBJ_GET, &mut attr).and_then(owned)
}

/// Whether `path` is on a bpffs.
pub(crate) fn is_bpffs(path: &Path) -> io::Result<bool> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: all bytes zero is a valid `statfs`.
    let mut buffer: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: a terminated string and a buffer of the right type that outlive the call.
    check(unsafe { libc::statfs(path.as_ptr(), &raw mut buffer) })?;
    Ok(buffer.f_type == libc::BPF_FS_MAGIC)
}

/// The source that mounts of ours are listed with.
pub(crate) const MOUNT_SOURCE: &str = "weir";

/// Mounts a bpffs at `path`; it does not spread to other mount namespaces afterwards.
pub(crate) fn mount_bpffs(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let source = CString::new(MOUNT_SOURCE)?;
    let kind = c"bpf".as_ptr();
    // SAFETY: terminated strings that outlive the call; this type takes options as one.
    check(unsafe { libc::mount(source.as_ptr(), path.as_ptr(), kind, 0, c"mode=0700".as_ptr().cast()) })?;
    let none = std::ptr::null();
    // SAFETY: as above; with MS_PRIVATE the other arguments are ignored.
    check(unsafe { libc::mount(none, path.as_ptr(), none, libc::MS_PRIVATE, none.cast()) })
}

/// Unmounts what is mounted at `path`.
pub(crate) fn unmount(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: a terminated string that outlives the call.
    check(unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) })
}

const OBJ_PIN: libc::c_long = 6;
const OBJ_GET: libc::c_long = 7;
const OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const LINK_CREATE: libc::c_long = 28;
const LINK_UPDATE: libc::c_long = 29;

/// `union bpf_attr`, zero where a call says nothing.
#[repr(C, align(8))]
struct Attr([u8; 64]);

impl Attr {
    fn new() -> Self {
        Self([0; 64])
    }

    fn set(&mut self, offset: usize, value: u32) {
        self.0[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
    }

    fn set_pointer(&mut self, offset: usize, pointer: *mut u8) {
        let value = pointer as u64;
        self.0[offset..offset + 8].copy_from_slice(&value.to_ne_bytes());
    }
}

fn bpf(command: libc::c_long, attr: &mut Attr) -> io::Result<i32> {
    // SAFETY: `attr` is as long as said; the pointers within it, set by the functions above, are
    // to buffers of theirs that are long enough and outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attr.0.as_mut_ptr(), attr.0.len()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(result).map_err(io::Error::other)
}

fn owned(descriptor: i32) -> io::Result<OwnedFd> {
    // SAFETY: the kernel has just made this descriptor for us; nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
