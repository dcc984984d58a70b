//! llhttp, by way of Node: one process for all tests, which ends when its input does.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex};

use crate::Seen;

/// What llhttp makes of an input: the requests that it read to their end, and its error if there was one.
pub(crate) struct Outcome {
    pub(crate) seen: Vec<Seen>,
    pub(crate) error: Option<String>,
}

struct Node {
    _process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

static NODE: LazyLock<Mutex<Node>> = LazyLock::new(|| Mutex::new(start()));

fn start() -> Node {
    let mut process = Command::new("node")
        .args(["--no-deprecation", "-e", include_str!("llhttp.js")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect(
            "node (Node.js 18 or newer, Debian package nodejs) must be in PATH: it runs llhttp for this test",
        );
    let input = process.stdin.take().expect("stdin is piped");
    let output = BufReader::new(process.stdout.take().expect("stdout is piped"));
    Node { _process: process, input, output }
}

pub(crate) fn sees(input: &[u8]) -> Outcome {
    let mut node = NODE.lock().expect("no test panics while it asks");
    let length = u32::try_from(input.len()).expect("inputs are short");
    let message = [&length.to_be_bytes(), input].concat();
    node.input.write_all(&message).expect("node reads");
    let mut line = String::new();
    node.output.read_line(&mut line).expect("node answers");
    drop(node);
    let mut words = line.split_whitespace();
    let error = words.next().expect("node answers with the outcome first");
    Outcome { error: (error != "-").then(|| error.to_owned()), seen: words.map(request).collect() }
}

fn request(text: &str) -> Seen {
    let parts: Vec<&str> = text.split(':').collect();
    let [method, target, body] = parts[..] else { panic!("node wrote {text:?}") };
    let target = String::from_utf8(unhex(target)).expect("targets are ASCII where we accept them");
    Seen { method: method.to_owned(), target, body: unhex(body) }
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal digits");
    (0..text.len()).step_by(2).map(byte).collect()
}
