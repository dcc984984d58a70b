//! One file from the disk: whether it is there, whether it changed, its text.

use std::fs::{self, File, Metadata};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Largest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 16 << 20;

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// What is at a path.
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// A symlink to nothing.
    Dangling,
    /// Something that cannot be asked about.
    Unreadable(io::Error),
    /// A folder.
    Folder,
    /// A pipe, a socket or a device.
    Special,
    /// A file, and where it is if the path is a symlink.
    File(Fingerprint, Option<PathBuf>),
}

/// Looks at a path without reading the file.
pub(super) fn look(path: &Path) -> Found {
    let is_link = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.is_symlink(),
        Err(error) if is_gone(&error) => return Found::Nothing,
        Err(error) => return Found::Unreadable(error),
    };
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Found::Folder,
        Ok(metadata) if !metadata.is_file() => Found::Special,
        Ok(metadata) => {
            let target = if is_link { fs::canonicalize(path).ok() } else { None };
            Found::File(fingerprint(&metadata), target)
        }
        Err(error) if is_gone(&error) && is_link => Found::Dangling,
        Err(error) if is_gone(&error) => Found::Nothing,
        Err(error) => Found::Unreadable(error),
    }
}

/// Whether an error says that there is nothing at the path.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Whether an error may be over in a moment though nothing changes at the path: no descriptors, no
/// memory, a device or a server that does not answer.
pub(super) fn is_passing(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const EIO: i32 = 5;
    use io::ErrorKind::{
        Interrupted, OutOfMemory, ResourceBusy, StaleNetworkFileHandle, TimedOut, WouldBlock,
    };
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE | EIO))
        || matches!(
            error.kind(),
            Interrupted | OutOfMemory | ResourceBusy | StaleNetworkFileHandle | TimedOut | WouldBlock
        )
}

fn fingerprint(metadata: &Metadata) -> Fingerprint {
    Fingerprint {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    }
}

/// The bytes of a file of at most [`MAX_FILE_BYTES`].
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("it is larger than {} MiB", MAX_FILE_BYTES >> 20)));
    }
    Ok(bytes)
}

/// Equal for equal bytes.
pub(super) fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// Whether a file in a folder is read: `*.yaml`, `*.yml` and `*.json` that are not hidden.
pub(super) fn is_config(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    let extension = path.extension().and_then(|extension| extension.to_str());
    !hidden && matches!(extension, Some("yaml" | "yml" | "json"))
}

#[cfg(test)]
mod tests;
