//! The state folder: who runs on this node, and where to reach it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::fs::FlockOperation;

use crate::fdstore::{Held, Link};

/// The state folder of one node.
#[derive(Clone, Debug)]
pub(crate) struct StateDir(PathBuf);

impl StateDir {
    /// Opens the folder and creates it, for this user alone, if it is not there.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(path).with_context(|| format!("cannot create --state-dir {}", path.display()))?;
        let path = path.canonicalize()?;
        let socket = path.join(ADMIN);
        if socket.as_os_str().len() > SOCKET_PATH_MAX {
            bail!("--state-dir {} is too long for a socket in it", path.display());
        }
        Ok(Self(path))
    }

    /// The folder itself.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Where a running proxy answers questions.
    pub(crate) fn admin(&self) -> PathBuf {
        self.0.join(ADMIN)
    }

    /// Where a proxy without a supervisor waits for a successor.
    pub(crate) fn door(&self) -> PathBuf {
        self.0.join(DOOR)
    }

    /// Becomes the one supervisor of this folder for as long as the file lives.
    pub(crate) fn lock(&self) -> Result<File> {
        let path = self.0.join(SUPERVISOR_LOCK);
        let mut file = loop {
            let mut file = open_lock(&path)?;
            if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
                let mut pid = String::new();
                file.read_to_string(&mut pid).unwrap_or_default();
                bail!("weir is already running on {}: pid {}", self.0.display(), pid.trim());
            }
            if is_at(&file, &path)? {
                break file;
            }
        };
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(file)
    }

    /// Marks a proxy as serving from this folder for as long as the file lives.
    pub(crate) fn mark_proxy(&self) -> Result<File> {
        let path = self.0.join(PROXY_LOCK);
        loop {
            let file = open_lock(&path)?;
            rustix::fs::flock(&file, FlockOperation::LockShared)?;
            if is_at(&file, &path)? {
                return Ok(file);
            }
        }
    }

    /// What writers of flow records to one standard output lock in turn.
    pub(crate) fn output_lock(&self) -> Result<File> {
        open_lock(&self.0.join(OUTPUT_LOCK))
    }

    /// Whether a proxy serves from this folder.
    fn proxy_serves(&self) -> Result<bool> {
        let file = open_lock(&self.0.join(PROXY_LOCK))?;
        Ok(rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err())
    }

    /// What a proxy without a supervisor holds, and the link to tell it to end. Call it with the
    /// lock held: then a proxy that serves has lost its supervisor.
    pub(crate) fn orphan(&self) -> Result<Option<(Link, Held)>> {
        let until = Instant::now() + DOOR_WAIT;
        while self.proxy_serves()? {
            let door = Link::connect(&self.door());
            match door.and_then(|link| link.take_over().map(|held| (link, held))) {
                Ok(taken) => return Ok(Some(taken)),
                Err(error) if Instant::now() > until => bail!(
                    "a proxy serves from {} but does not hand over its sockets ({error}); end it first",
                    self.0.display()
                ),
                // It opens its door, or ends, at this moment.
                Err(_) => {}
            }
            // It notices the loss of its supervisor at once and then opens its door.
            std::thread::sleep(DOOR_RETRY);
        }
        Ok(None)
    }

    /// Removes the sockets.
    pub(crate) fn remove_sockets(&self) -> io::Result<()> {
        remove(&self.admin())?;
        remove(&self.door())
    }

    /// Removes the files of the locks, the supervisor's own last and while it is held. Does nothing
    /// if a proxy serves.
    pub(crate) fn remove_locks(&self, held: File) -> Result<()> {
        let path = self.0.join(PROXY_LOCK);
        let proxy = open_lock(&path)?;
        if rustix::fs::flock(&proxy, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(());
        }
        remove(&path)?;
        remove(&self.0.join(OUTPUT_LOCK))?;
        remove(&self.0.join(SUPERVISOR_LOCK))?;
        drop(held);
        Ok(())
    }
}

/// Whether the file is still the one at this path: a lock on one that was removed keeps nobody out.
fn is_at(file: &File, path: &Path) -> Result<bool> {
    let own = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(there) => Ok((own.dev(), own.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot look at {}", path.display())),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn open_lock(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path).with_context(|| format!("cannot open {}", path.display()))
}

const ADMIN: &str = "admin.sock";
const DOOR: &str = "takeover.sock";
const SUPERVISOR_LOCK: &str = "supervisor.lock";
const PROXY_LOCK: &str = "proxy.lock";
const OUTPUT_LOCK: &str = "output.lock";
/// Bytes of a Unix socket's path, less the terminating zero (unix(7)).
const SOCKET_PATH_MAX: usize = 107;
const DOOR_WAIT: Duration = Duration::from_secs(5);
const DOOR_RETRY: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests;
