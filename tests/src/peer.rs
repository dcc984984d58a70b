//! Programs of others in a namespace, as clients and as servers: `node` with a script of
//! `tests/peers`, `h2spec`, `nghttp`, `h2load`, `openssl`.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::namespace::Namespace;
use crate::until;

/// Where `scripts/tools.sh` or the system has a program.
pub fn find(program: &str) -> Option<PathBuf> {
    let built = cache().map(|folder| folder.join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    built.into_iter().chain(std::env::split_paths(&path)).map(|dir| dir.join(program)).find(|at| at.is_file())
}

/// Whether `scripts/tools.sh` has installed a package of node, which scripts find by `modules.mjs`.
pub fn has_package(name: &str) -> bool {
    cache().is_some_and(|folder| folder.join("npm/node_modules").join(name).is_dir())
}

/// What `scripts/tools.sh` installs into.
fn cache() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME")?;
        Some(Path::new(&home).join(".cache"))
    });
    cache.map(|folder| folder.join("weir"))
}

/// What a program that ended has written, both streams in one.
#[derive(Debug)]
pub struct Finished {
    /// Whether it ended with 0.
    pub success: bool,
    /// Standard output, then standard error.
    pub text: String,
}

/// Runs a program to its end with `input`; one that takes longer than `patience` is ended.
pub fn run(ns: &Namespace, program: &str, arguments: &[&str], input: &[u8], patience: Duration) -> Finished {
    let mut peer = Peer::spawn(ns, program, arguments);
    peer.write(input);
    drop(peer.process.stdin.take());
    let deadline = Instant::now() + patience;
    let success = loop {
        match peer.process.try_wait().expect("it is our child") {
            Some(status) => break status.success(),
            None if Instant::now() > deadline => break false,
            None => thread::sleep(Duration::from_millis(10)),
        }
    };
    peer.end();
    Finished { success, text: peer.text() }
}

/// A running program; it is ended when dropped.
#[derive(Debug)]
pub struct Peer {
    process: Child,
    text: Arc<Mutex<String>>,
    readers: Vec<thread::JoinHandle<()>>,
}

impl Peer {
    /// Starts a program that [`find`] finds.
    pub fn spawn(ns: &Namespace, program: &str, arguments: &[&str]) -> Self {
        let at = find(program).unwrap_or_else(|| panic!("{program} is missing: run scripts/tools.sh"));
        let mut command: Command = ns.command(at);
        let mut process = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program can be run");
        let text = Arc::new(Mutex::new(String::new()));
        let stdout = process.stdout.take().map(|stream| collect(stream, &text));
        let stderr = process.stderr.take().map(|stream| collect(stream, &text));
        Self { process, text, readers: stdout.into_iter().chain(stderr).collect() }
    }

    /// Starts a script of `tests/peers` and waits until it says `ready`.
    pub fn node(ns: &Namespace, script: &str, arguments: &[&str]) -> Self {
        let path = script_path(script);
        let mut all = vec![path.as_str()];
        all.extend(arguments);
        let peer = Self::spawn(ns, "node", &all);
        peer.wait_text("ready");
        peer
    }

    /// What it wrote so far.
    pub fn text(&self) -> String {
        self.text.lock().expect("no panic while it is held").clone()
    }

    /// Waits until it has written this.
    pub fn wait_text(&self, text: &str) {
        until(&format!("{text:?} from the peer"), || self.text().contains(text).then_some(()));
    }

    /// Writes to its standard input. One that has ended takes nothing.
    pub fn write(&mut self, input: &[u8]) {
        if let Some(stdin) = &mut self.process.stdin {
            stdin.write_all(input).and_then(|()| stdin.flush()).ok();
        }
    }

    fn end(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        for reader in self.readers.drain(..) {
            reader.join().ok();
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if thread::panicking() {
            let ended = self.process.try_wait();
            eprintln!("a peer that ended with {ended:?} said:\n{}", self.text());
        }
        self.end();
    }
}

/// The path of a script of `tests/peers`.
pub fn script_path(script: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(script).to_string_lossy().into_owned()
}

fn collect(stream: impl Read + Send + 'static, text: &Arc<Mutex<String>>) -> thread::JoinHandle<()> {
    let text = text.clone();
    thread::spawn(move || {
        let mut lines = BufReader::new(stream);
        let mut line = Vec::new();
        while matches!(lines.read_until(b'\n', &mut line), Ok(1..)) {
            let mut text = text.lock().expect("no panic while it is held");
            write!(text, "{}", String::from_utf8_lossy(&line)).expect("a String takes all");
            line.clear();
        }
    })
}
