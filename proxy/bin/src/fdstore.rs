//! The link between supervisor and proxy: short messages over a sequenced-packet socket, some with
//! a file descriptor, and the named descriptors that the supervisor keeps.
//!
//! A proxy takes over what its predecessor held in the same form, whoever sends it: its supervisor,
//! or an older proxy whose supervisor died.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

/// One message. Names hold no space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// Keep the accompanying descriptor under this name.
    Hold(String),
    /// Close the descriptor of this name.
    Release(String),
    /// All descriptors are sent: begin.
    Start,
    /// The proxy serves.
    Ready,
    /// End within this time.
    Drain(Duration),
    /// A successor starts: leave the kernel's maps to it, and serve on.
    Yield,
    /// The successor failed: carry on.
    Resume,
    /// Read all of the configuration again.
    Reload,
}

impl Message {
    fn text(&self) -> String {
        match self {
            Self::Hold(name) => format!("HOLD {name}"),
            Self::Release(name) => format!("RELEASE {name}"),
            Self::Start => "START".into(),
            Self::Ready => "READY".into(),
            Self::Yield => "YIELD".into(),
            Self::Resume => "RESUME".into(),
            Self::Reload => "RELOAD".into(),
            Self::Drain(limit) => format!("DRAIN {}", limit.as_millis()),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        match verb {
            "HOLD" => Some(Self::Hold(rest.into())),
            "RELEASE" => Some(Self::Release(rest.into())),
            "START" => Some(Self::Start),
            "READY" => Some(Self::Ready),
            "YIELD" => Some(Self::Yield),
            "RESUME" => Some(Self::Resume),
            "RELOAD" => Some(Self::Reload),
            "DRAIN" => Some(Self::Drain(Duration::from_millis(rest.parse().ok()?))),
            _ => None,
        }
    }
}

/// Descriptors by name, in the order they came.
pub(crate) type Held = Vec<(String, OwnedFd)>;

/// One end of a link.
#[derive(Debug)]
pub(crate) struct Link(OwnedFd);

impl Link {
    /// Two connected ends, closed on exec.
    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        let (a, b) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self(a), Self(b)))
    }

    /// The end that a supervisor gave this process as standard input.
    pub(crate) fn from_stdin() -> io::Result<Self> {
        let fd = io::stdin().as_fd().try_clone_to_owned()?;
        let kind = rustix::net::sockopt::socket_type(&fd)?;
        if kind != SocketType::SEQPACKET {
            return Err(io::Error::other("standard input is no supervisor's link"));
        }
        Ok(Self(fd))
    }

    /// Connects to the proxy that listens on `path`.
    pub(crate) fn connect(path: &Path) -> io::Result<Self> {
        let fd = seqpacket()?;
        rustix::net::connect(&fd, &SocketAddrUnix::new(path)?)?;
        Ok(Self(fd))
    }

    /// Sends one message.
    pub(crate) fn send(&self, message: &Message, fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let text = message.text();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds: Vec<BorrowedFd<'_>> = fd.into_iter().collect();
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&fds)) {
            return Err(io::Error::other("no space for a descriptor"));
        }
        let bytes = [IoSlice::new(text.as_bytes())];
        rustix::net::sendmsg(&self.0, &bytes, &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Waits for one message; `None` when the other end is gone.
    pub(crate) fn receive(&self) -> io::Result<Option<(Message, Option<OwnedFd>)>> {
        let mut bytes = [0u8; MESSAGE_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let mut parts = [IoSliceMut::new(&mut bytes)];
            match rustix::net::recvmsg(&self.0, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::CONNRESET) => return Ok(None),
                other => break other?.bytes,
            }
        };
        let fd = control.drain().find_map(|part| match part {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        if received == 0 {
            return Ok(None);
        }
        let message = std::str::from_utf8(&bytes[..received]).ok().and_then(Message::parse);
        let message = message.ok_or_else(|| io::Error::other("unknown message on the link"))?;
        Ok(Some((message, fd)))
    }

    /// Sends every held descriptor, then [`Message::Start`].
    pub(crate) fn hand_over(&self, held: &[(String, OwnedFd)]) -> io::Result<()> {
        for (name, fd) in held {
            self.send(&Message::Hold(name.clone()), Some(fd.as_fd()))?;
        }
        self.send(&Message::Start, None)
    }

    /// Receives descriptors until [`Message::Start`].
    pub(crate) fn take_over(&self) -> io::Result<Held> {
        let mut held = Held::new();
        loop {
            match self.receive()? {
                Some((Message::Start, _)) => return Ok(held),
                Some((message, fd)) => apply(&mut held, message, fd),
                None => return Err(io::Error::other("the other end left before START")),
            }
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<Link> for OwnedFd {
    fn from(link: Link) -> Self {
        link.0
    }
}

/// Applies a Hold or Release to the store; other messages change nothing in it.
pub(crate) fn apply(held: &mut Held, message: Message, fd: Option<OwnedFd>) {
    match (message, fd) {
        (Message::Hold(name), Some(fd)) => {
            held.retain(|(other, _)| *other != name);
            held.push((name, fd));
        }
        (Message::Release(name), _) => held.retain(|(other, _)| *other != name),
        _ => {}
    }
}

/// A socket on which a successor asks for the descriptors.
#[derive(Debug)]
pub(crate) struct Door(OwnedFd);

impl Door {
    /// Listens on `path`, in place of whatever was there.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let fd = seqpacket()?;
        rustix::net::bind(&fd, &SocketAddrUnix::new(path)?)?;
        rustix::net::listen(&fd, 4)?;
        Ok(Self(fd))
    }

    /// Waits for a successor.
    pub(crate) fn accept(&self) -> io::Result<Link> {
        loop {
            match rustix::net::accept_with(&self.0, SocketFlags::CLOEXEC) {
                Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNABORTED) => {}
                other => return Ok(Link(other?)),
            }
        }
    }
}

fn seqpacket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let fd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    Ok(fd)
}

/// Longest message in bytes; names are far shorter.
const MESSAGE_MAX: usize = 256;

#[cfg(test)]
mod tests;
