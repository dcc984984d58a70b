//! One network namespace, by name, with commands and threads inside it.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::thread::LinkNameSpaceType;

/// A network namespace; deleted when dropped. A node's has a mount namespace beside it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    /// Keeps the mount namespace; ends when its standard input closes.
    mounts: Option<Child>,
}

impl Namespace {
    /// Creates the namespace with its loopback up.
    pub fn new(name: &str) -> Result<Self> {
        run(Command::new("ip").args(["netns", "add", name]))?;
        let namespace = Self { name: name.to_owned(), mounts: None };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Adds a private mount namespace with a bpffs on `bpffs`, which must exist.
    pub fn mount_bpffs(&mut self, bpffs: &std::path::Path) -> Result<()> {
        // `cat` holds the namespace until this process ends, however it ends.
        let script = r#"mount -t bpf bpf "$1" && echo mounted && exec cat"#;
        let mut child = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"])
            .arg(bpffs)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("no stdout")?;
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line)?;
        self.mounts = Some(child);
        if line.trim() != "mounted" {
            bail!("cannot mount a bpffs on {}", bpffs.display());
        }
        Ok(())
    }

    /// The name that `ip netns` shows.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run inside.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display()));
        if let Some(mounts) = &self.mounts {
            command.arg(format!("--mount=/proc/{}/ns/mnt", mounts.id()));
        }
        command.arg("--").arg(program);
        command
    }

    /// Runs a command line inside, split at spaces; its standard output.
    pub fn run(&self, line: &str) -> Result<String> {
        let mut words = line.split_whitespace();
        let program = words.next().context("empty command")?;
        run(self.command(program).args(words))
    }

    /// Runs `ip` with this line of arguments.
    pub fn ip(&self, line: &str) -> Result<String> {
        run(Command::new("ip").args(["-n", &self.name]).args(line.split_whitespace()))
    }

    /// Runs `work` on a thread inside. Sockets made there stay there wherever they are used.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        enter(&self.open(), work)
    }

    /// The namespace as a descriptor, to [`enter`] it on threads that outlive this value.
    pub fn open(&self) -> File {
        File::open(self.path()).expect("the namespace exists while this value does")
    }

    /// A listening socket inside.
    pub fn listen(&self, address: SocketAddr) -> TcpListener {
        self.enter(|| TcpListener::bind(address))
            .unwrap_or_else(|error| panic!("{}: cannot listen on {address}: {error}", self.name))
    }

    /// A UDP socket inside.
    pub fn udp(&self, address: SocketAddr) -> UdpSocket {
        self.enter(|| UdpSocket::bind(address))
            .unwrap_or_else(|error| panic!("{}: cannot bind {address}: {error}", self.name))
    }

    /// A connection from inside.
    pub fn connect(&self, address: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
        self.enter(|| TcpStream::connect_timeout(&address, patience))
    }

    /// A connection from inside and from this address and port, which nothing else uses.
    pub fn connect_from(
        &self,
        from: SocketAddr,
        to: SocketAddr,
        patience: Duration,
    ) -> io::Result<TcpStream> {
        use rustix::net::{AddressFamily, SocketType, bind, connect, socket, sockopt};
        let family = if from.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        self.enter(|| {
            let fd = socket(family, SocketType::STREAM, None)?;
            // Bounds the connect as well.
            sockopt::set_socket_timeout(&fd, sockopt::Timeout::Send, Some(patience))?;
            bind(&fd, &from)?;
            connect(&fd, &to)?;
            Ok(TcpStream::from(fd))
        })
    }

    /// Processes that run inside.
    pub fn pids(&self) -> Vec<i32> {
        pids(&self.name)
    }

    fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
        if let Some(mut mounts) = self.mounts.take() {
            drop(mounts.stdin.take());
            mounts.wait().ok();
        }
    }
}

/// Runs `work` on a thread inside a namespace.
pub fn enter<T: Send>(namespace: &File, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let inside = scope.spawn(move || {
            let kind = Some(LinkNameSpaceType::Network);
            rustix::thread::move_into_link_name_space(namespace.as_fd(), kind)
                .expect("root may enter its own namespace");
            work()
        });
        inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Removes namespaces of this prefix whose maker, the number after it, is gone.
pub fn sweep(prefix: &str) {
    let Ok(names) = run(Command::new("ip").args(["netns", "list"])) else { return };
    for name in names.lines().filter_map(|line| line.split_whitespace().next()) {
        let maker = name.strip_prefix(prefix).and_then(|rest| rest.split('-').next());
        let Some(maker) = maker.and_then(|text| text.parse::<u32>().ok()) else { continue };
        if !std::path::Path::new(&format!("/proc/{maker}")).exists() {
            remove(name);
        }
    }
}

/// Runs to the end; standard output, or an error with standard error.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?}: {}: {}", output.status, stderr.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn pids(name: &str) -> Vec<i32> {
    let listed = run(Command::new("ip").args(["netns", "pids", name])).unwrap_or_default();
    listed.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

/// Ends what runs in the namespace and deletes it. The namespace is a test's own, so are the
/// processes in it; this process itself may be there with a thread and is spared.
fn remove(name: &str) {
    let own = std::process::id();
    for pid in pids(name) {
        if u32::try_from(pid).is_ok_and(|pid| pid != own)
            && let Some(pid) = rustix::process::Pid::from_raw(pid)
        {
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
        }
    }
    run(Command::new("ip").args(["netns", "del", name])).ok();
}
