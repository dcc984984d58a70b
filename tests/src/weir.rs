//! The built binary, started in a lab and ended with it.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use rustix::process::{Pid, Signal};
use serde_json::Value;

use crate::lab::{Lab, NODE, UPLINK};
use crate::until;
use crate::wait::{START, until_within};

/// The path of the binary: `WEIR_BIN`, or the one that cargo builds beside the running test.
pub fn binary() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| std::env::var_os("WEIR_BIN").map_or_else(build, PathBuf::from)).clone()
}

fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo).args(["build", "-p", "weir"]).status();
    assert!(status.is_ok_and(|status| status.success()), "cargo build -p weir failed");
    // target/debug/deps/test-0123 -> target/debug/weir
    let test = std::env::current_exe().expect("a running test has a path");
    let profile = test.parent().and_then(|deps| deps.parent());
    profile.expect("tests run from target/PROFILE/deps").join("weir")
}

/// A running `weir run`.
#[derive(Debug)]
pub struct Weir {
    process: Child,
    state: PathBuf,
    flows: Arc<Mutex<Vec<Value>>>,
    log: Arc<Mutex<String>>,
    /// Replacements of the proxy seen in the log.
    restarts: AtomicUsize,
    /// Whether flow records are kept.
    keeps: Arc<AtomicBool>,
}

impl Weir {
    /// Starts it on the lab's configuration as node [`NODE`] and waits until it serves.
    pub fn start(lab: &Lab) -> Self {
        Self::start_with(lab, &["--node", NODE])
    }

    /// Starts it with more arguments and waits until it serves.
    pub fn start_with(lab: &Lab, arguments: &[&str]) -> Self {
        let weir = Self::spawn(lab, arguments);
        weir.wait_ready();
        weir
    }

    /// Starts it with more arguments and environment variables and waits until it serves.
    pub fn start_in(lab: &Lab, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let weir = Self::spawn_in(lab, arguments, environment);
        weir.wait_ready();
        weir
    }

    /// Starts it and does not wait.
    pub fn spawn(lab: &Lab, arguments: &[&str]) -> Self {
        Self::spawn_in(lab, arguments, &[])
    }

    fn spawn_in(lab: &Lab, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut process = Self::command(lab, "run")
            .envs(environment.iter().copied())
            .arg(lab.config())
            .args(["--output", "json", "--uplink", UPLINK, "--bpffs"])
            .arg(lab.bpffs().join("weir"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary can be run");
        let flows = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::new(Mutex::new(String::new()));
        let stdout = process.stdout.take().expect("it is piped");
        let stderr = process.stderr.take().expect("it is piped");
        let keeps = Arc::new(AtomicBool::new(true));
        let (lines, text, kept) = (flows.clone(), log.clone(), keeps.clone());
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).expect("a flow record is JSON");
                if !kept.load(Ordering::Relaxed) {
                    continue;
                }
                lines.lock().expect("no panic while it is held").push(value);
            }
        });
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut text = text.lock().expect("no panic while it is held");
                text.push_str(&line);
                text.push('\n');
            }
        });
        Self { process, state: state(lab), flows, log, restarts: AtomicUsize::new(0), keeps }
    }

    /// A `weir` command on the node with the lab's state folder.
    pub fn command(lab: &Lab, command: &str) -> Command {
        let mut weir = lab.node.command(binary());
        weir.arg(command).arg("--state-dir").arg(state(lab));
        weir
    }

    /// Waits until it serves.
    pub fn wait_ready(&self) {
        until_within(START, &format!("weir to serve; it said:\n{}", self.log()), || {
            (self.ask("ready").as_deref() == Some("ready")).then_some(())
        });
    }

    /// One line to the admin socket, and the answer without its end.
    pub fn ask(&self, line: &str) -> Option<String> {
        question(&self.state, line)
    }

    /// Waits until a change of the files is in force: until the answer to `revision` is above
    /// what it was `before`.
    pub fn wait_revision(&self, before: u64) {
        until("the change to be in force", || (self.revision() > before).then_some(()));
    }

    /// The revision that every worker has in force.
    pub fn revision(&self) -> u64 {
        self.ask("revision").and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// The flow records so far.
    pub fn flows(&self) -> Vec<Value> {
        self.flows.lock().expect("no panic while it is held").clone()
    }

    /// Has flow records be read and thrown away from now on: a long run makes millions.
    pub fn forget_flows(&self) {
        self.keeps.store(false, Ordering::Relaxed);
        self.flows.lock().expect("no panic while it is held").clear();
    }

    /// Waits for a flow record that `matches`.
    pub fn wait_flow(&self, what: &str, matches: impl Fn(&Value) -> bool) -> Value {
        until(&format!("a flow record of {what}"), || self.flows().into_iter().find(&matches))
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("no panic while it is held").clone()
    }

    /// Waits for a text in the log.
    pub fn wait_log(&self, text: &str) {
        until(&format!("{text:?} in the log"), || self.log().contains(text).then_some(()));
    }

    /// The supervisor's process.
    pub fn supervisor(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    /// The proxy's process, if there is one.
    pub fn proxy(&self) -> Option<Pid> {
        self.proxies().first().copied()
    }

    /// All proxies, the oldest first: more than one while one replaces another.
    pub fn proxies(&self) -> Vec<Pid> {
        let id = self.process.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let children = children.unwrap_or_default();
        children.split_whitespace().filter_map(|pid| pid.parse().ok().and_then(Pid::from_raw)).collect()
    }

    /// Has the proxy replaced by another and waits until that one serves; the old one may still
    /// have connections to end. Returns the new one.
    pub fn restart(&self) -> Pid {
        let old = self.proxies();
        Self::signal(self.supervisor(), Signal::USR2);
        let new =
            until_within(START, "a successor", || self.proxies().into_iter().find(|pid| !old.contains(pid)));
        until_within(START, "the old proxy to be replaced", || {
            let lines = self.log().lines().filter(|line| line.contains("replaced; the old")).count();
            (lines > self.restarts.load(Ordering::SeqCst))
                .then(|| self.restarts.store(lines, Ordering::SeqCst))
        });
        new
    }

    /// Sends a signal to one of the processes.
    pub fn signal(pid: Pid, signal: Signal) {
        rustix::process::kill_process(pid, signal).expect("the process is there");
    }

    /// Kills the proxy with SIGKILL; waits until the supervisor has another one that serves.
    pub fn crash_proxy(&self) {
        let old = self.proxy().expect("a proxy runs");
        Self::signal(old, Signal::KILL);
        until_within(START, "another proxy", || self.proxy().filter(|pid| *pid != old));
        self.wait_ready();
    }

    /// Sends a signal to the supervisor and waits for its end.
    pub fn stop(&mut self, signal: Signal) -> ExitStatus {
        Self::signal(self.supervisor(), signal);
        self.wait()
    }

    /// Waits for the supervisor's end.
    pub fn wait(&mut self) -> ExitStatus {
        until("weir to end", || self.process.try_wait().expect("it is our child"))
    }
}

impl Drop for Weir {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("weir's log:\n{}", self.log());
            for flow in self.flows().iter().rev().take(20).rev() {
                eprintln!("flow: {flow}");
            }
        }
        if matches!(self.process.try_wait(), Ok(None)) {
            let proxies = self.proxies();
            // The supervisor first, or it would start another.
            self.process.kill().ok();
            self.process.wait().ok();
            for pid in proxies {
                rustix::process::kill_process(pid, Signal::KILL).ok();
            }
        }
    }
}

/// One line to the admin socket of whichever Weir runs in the lab, and the answer without its end.
pub fn ask(lab: &Lab, line: &str) -> Option<String> {
    question(&state(lab), line)
}

fn question(state: &Path, line: &str) -> Option<String> {
    let mut stream = UnixStream::connect(state.join("admin.sock")).ok()?;
    stream.write_all(format!("{line}\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer.trim_end().to_owned())
}

fn state(lab: &Lab) -> PathBuf {
    lab.folder().join("state")
}
