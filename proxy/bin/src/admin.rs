//! The admin endpoints. Over HTTP: [`http`]. Here the socket for Weir's own commands: one line asks, the answer is all until the end of the stream.
//!
//! | line | answer |
//! |---|---|
//! | `ready` | `ready`, or `starting` |
//! | `revision` | the number of the Snapshot that all workers and the kernel have in force |
//! | `problems` | the problems of the configuration, one a line |
//! | `explain ARGUMENTS` | JSON: `{"allowed", "text", "explanation"}` or `{"error"}`; the arguments are a JSON list |

pub(crate) mod dump;
pub(crate) mod http;
pub(crate) mod log;
pub(crate) mod observed;
mod places;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// A question and where its answer goes.
#[derive(Debug)]
pub(crate) struct Question {
    /// The line, without its end.
    pub(crate) line: String,
    /// Takes one answer.
    pub(crate) answer: SyncSender<String>,
}

/// Listens on `path` from a thread of its own; `deliver` takes the questions to whoever knows.
pub(crate) fn serve(path: &Path, deliver: impl Fn(Question) + Send + 'static) -> Result<()> {
    // Bound beside and moved into place, so that the path always answers.
    let part = path.with_extension("new");
    match std::fs::remove_file(&part) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let listener =
        UnixListener::bind(&part).with_context(|| format!("cannot listen on {}", part.display()))?;
    std::fs::rename(&part, path)?;
    std::thread::Builder::new().name("admin".into()).spawn(move || {
        for stream in listener.incoming().flatten() {
            if let Err(error) = answer(&stream, &deliver) {
                tracing::debug!(%error, "an admin client was not answered");
            }
        }
    })?;
    Ok(())
}

fn answer(stream: &UnixStream, deliver: &impl Fn(Question)) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new(stream.take(LINE_MAX)).read_line(&mut line)?;
    let (sender, receiver) = sync_channel(1);
    deliver(Question { line: line.trim_end().to_owned(), answer: sender });
    let text = receiver.recv_timeout(PATIENCE).context("the proxy is busy")?;
    let mut stream = stream;
    stream.write_all(text.as_bytes())?;
    stream.write_all(b"\n")?;
    Ok(())
}

/// Asks the running Weir that listens on `path`.
pub(crate) fn ask(path: &Path, line: &str) -> Result<String> {
    let mut stream = UnixStream::connect(path)
        .with_context(|| format!("no Weir answers on {} (is it running? see --state-dir)", path.display()))?;
    stream.set_read_timeout(Some(PATIENCE * 2))?;
    writeln!(stream, "{line}")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.is_empty() {
        bail!("the Weir on {} gave no answer", path.display());
    }
    answer.truncate(answer.trim_end().len());
    Ok(answer)
}

/// Bytes of a question.
const LINE_MAX: u64 = 64 * 1024;
/// Time for a client to ask and to read, and for the control thread to answer.
const PATIENCE: Duration = Duration::from_secs(5);
