//! Clients of others in a namespace that do one thing after the other as a test tells them: scripts of
//! `tests/peers` that take commands as `commands.mjs` says.

use std::cell::RefCell;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use crate::namespace::Namespace;
use crate::peer::{Peer, find, script_path};
use crate::until;

/// A running script.
#[derive(Debug)]
pub struct Driver(RefCell<Commands>);

#[derive(Debug)]
struct Commands {
    peer: Peer,
    count: u64,
}

impl Driver {
    /// Starts a script of `tests/peers` and waits until it says `ready`.
    pub fn node(ns: &Namespace, script: &str, arguments: &[&str]) -> Self {
        let path = script_path(script);
        let mut all: Vec<&str> = websocket().into_iter().collect();
        all.push(&path);
        all.extend(arguments);
        let peer = Peer::spawn(ns, "node", &all);
        peer.wait_text("ready");
        Self(RefCell::new(Commands { peer, count: 0 }))
    }

    /// Gives a command and waits for its answer.
    pub fn ask(&self, command: Value) -> Value {
        let number = self.tell(command);
        self.answer(number)
    }

    /// Gives a command without waiting; its number, for [`Driver::answer`].
    pub fn tell(&self, mut command: Value) -> u64 {
        let mut commands = self.0.borrow_mut();
        commands.count += 1;
        command["id"] = commands.count.into();
        commands.peer.write(format!("{command}\n").as_bytes());
        commands.count
    }

    /// Waits for the answer to a command.
    pub fn answer(&self, number: u64) -> Value {
        let commands = self.0.borrow();
        until(&format!("the answer to command {number} of {}", commands.peer.text()), || {
            let text = commands.peer.text();
            let mut answers = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            answers.find(|answer| answer["id"] == number)
        })
    }
}

/// The option that gives node 20 a WebSocket of its own; 22 has it anyway, and to 18 the option is unknown.
fn websocket() -> Option<&'static str> {
    const OPTION: &str = "--experimental-websocket";
    static KNOWN: OnceLock<bool> = OnceLock::new();
    let try_it = || {
        let node = find("node")?;
        let tried = Command::new(node).args([OPTION, "-e", "0"]).stderr(Stdio::null()).status();
        tried.ok().map(|status| status.success())
    };
    KNOWN.get_or_init(|| try_it().unwrap_or(false)).then_some(OPTION)
}

/// The JSON objects that a peer has written so far, one a line.
pub fn objects(peer: &Peer) -> Vec<Value> {
    let text = peer.text();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).filter(Value::is_object).collect()
}
