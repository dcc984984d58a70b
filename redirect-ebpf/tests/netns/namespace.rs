//! Network namespaces with pods in them, removed when dropped.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The namespaces of one test.
pub(crate) struct Net {
    prefix: String,
    pub(crate) dir: PathBuf,
    roles: Vec<&'static str>,
}

impl Net {
    /// Empty namespaces with loopback up. `None`, said aloud: not possible here.
    pub(crate) fn new(roles: &[&'static str]) -> Option<Self> {
        if let Some(why) = unfit() {
            println!("SKIP ebpf: {why}");
            return None;
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("wb{}x{number}", std::process::id());
        let dir = std::env::temp_dir().join(format!("weir-{prefix}"));
        fs::create_dir_all(&dir).unwrap();
        let net = Self { prefix, dir, roles: roles.to_vec() };
        for role in roles {
            if let Err(error) = try_ip(&["netns", "add", &net.name(role)]) {
                println!("SKIP ebpf: cannot create a netns: {error}");
                return None;
            }
            net.ip(role, "link set lo up");
            net.enter(role, || {
                fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
                fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1").unwrap();
            });
        }
        Some(net)
    }

    pub(crate) fn name(&self, role: &str) -> String {
        format!("{}-{role}", self.prefix)
    }

    /// The folder where pins go.
    pub(crate) fn pins(&self) -> PathBuf {
        self.dir.join("pins")
    }

    /// `ip -n NAMESPACE …`; `@role` stands for the name of another namespace.
    pub(crate) fn ip(&self, role: &str, command: &str) {
        let name = self.name(role);
        let words: Vec<String> = command
            .split_whitespace()
            .map(|word| match word.strip_prefix('@') {
                Some(role) => self.name(role),
                None => word.to_owned(),
            })
            .collect();
        let mut args = vec!["-n", &name];
        args.extend(words.iter().map(String::as_str));
        try_ip(&args).unwrap_or_else(|error| panic!("ip {}: {error}", args.join(" ")));
    }

    /// Runs something in a namespace, on a thread of its own.
    pub(crate) fn enter<T: Send>(&self, role: &str, run: impl FnOnce() -> T + Send) -> T {
        let path = Path::new("/run/netns").join(self.name(role));
        thread::scope(|scope| {
            let run = scope.spawn(move || {
                set_namespace(&path);
                run()
            });
            match run.join() {
                Ok(value) => value,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Starts something in a namespace that may outlive the call.
    pub(crate) fn spawn(&self, role: &str, run: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
        let path = Path::new("/run/netns").join(self.name(role));
        thread::spawn(move || {
            set_namespace(&path);
            run();
        })
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        let pins = self.pins();
        if pins.is_dir() {
            let path = Path::new("/run/netns").join(self.name(self.roles[0]));
            let removed = thread::spawn(move || {
                set_namespace(&path);
                redirect::cleanup(&pins).map(drop)
            })
            .join();
            if !thread::panicking() {
                removed.unwrap().unwrap();
            }
        }
        for role in &self.roles {
            let _ = try_ip(&["netns", "del", &self.name(role)]);
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn set_namespace(path: &Path) {
    let file = File::open(path).unwrap();
    // SAFETY: a descriptor of a namespace; only this thread moves.
    let result = unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) };
    assert_eq!(result, 0, "setns: {}", io::Error::last_os_error());
}

fn try_ip(args: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(args).output().map_err(|error| format!("cannot run ip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

fn unfit() -> Option<String> {
    let missing = redirect::preflight();
    if !missing.is_empty() {
        let lines: Vec<String> = missing.iter().map(ToString::to_string).collect();
        return Some(lines.join("; "));
    }
    // SAFETY: takes nothing.
    (unsafe { libc::geteuid() } != 0).then(|| "not root".to_owned())
}
