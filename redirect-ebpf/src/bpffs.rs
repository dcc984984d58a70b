//! The pin directory: on a bpffs, with one folder for each layout of the maps.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::abi;
use crate::error::Error;
use crate::sys;

/// The pins of this layout.
pub(crate) fn layout_dir(pin_dir: &Path) -> PathBuf {
    pin_dir.join(format!("v{}", abi::LAYOUT))
}

/// The pins of other layouts, left by other versions.
pub(crate) fn other_layouts(pin_dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let ours = layout_dir(pin_dir);
    let mut others = layouts(pin_dir)?;
    others.retain(|path| *path != ours);
    Ok(others)
}

/// The folders of all layouts.
pub(crate) fn layouts(pin_dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let found = files(pin_dir)?.into_iter().filter(|path| {
        path.file_name().and_then(|name| name.to_str()?.strip_prefix('v')?.parse::<u32>().ok()).is_some()
    });
    Ok(found.collect())
}

/// What is in a folder; nothing if there is no such folder.
pub(crate) fn files(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let list = || -> io::Result<Vec<PathBuf>> { fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect() };
    match list() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        result => result.map_err(|error| Error::path("read", dir, error)),
    }
}

/// Makes the pin directory, on a bpffs: mounts one there if it is on another file system. Returns
/// whether it did.
pub(crate) fn prepare(pin_dir: &Path) -> Result<bool, Error> {
    fs::create_dir_all(pin_dir).map_err(|error| Error::path("create", pin_dir, error))?;
    let on_bpffs = sys::is_bpffs(pin_dir).map_err(|error| Error::path("look at", pin_dir, error))?;
    if !on_bpffs {
        sys::mount_bpffs(pin_dir).map_err(|error| Error::path("mount a bpffs at", pin_dir, error))?;
        tracing::info!(path = %pin_dir.display(), "mounted a bpffs of our own");
    }
    let layout = layout_dir(pin_dir);
    fs::create_dir_all(&layout).map_err(|error| Error::path("create", &layout, error))?;
    Ok(!on_bpffs)
}

/// Removes the pins of one layout, the links first so that no program runs without its maps.
pub(crate) fn remove_layout(dir: &Path) -> Result<(), Error> {
    let (links, maps): (Vec<_>, Vec<_>) = files(dir)?.into_iter().partition(|path| is_link(path));
    for path in links.into_iter().chain(maps) {
        fs::remove_file(&path).map_err(|error| Error::path("remove", path, error))?;
    }
    match fs::remove_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::path("remove", dir, error)),
        _ => Ok(()),
    }
}

/// Unmounts the pin directory if we mounted it, and removes the folder if nothing else is in it.
pub(crate) fn release(pin_dir: &Path) -> Result<(), Error> {
    if !pin_dir.is_dir() {
        return Ok(());
    }
    // The kernel itself puts `maps.debug` and `progs.debug` into the root of a bpffs.
    let mut strangers = files(pin_dir)?;
    strangers.retain(|path| path.extension().is_none_or(|extension| extension != "debug"));
    if !strangers.is_empty() {
        return Ok(());
    }
    if is_mount_of_ours(pin_dir)? {
        sys::unmount(pin_dir).map_err(|error| Error::path("unmount", pin_dir, error))?;
    } else if is_mount_point(pin_dir)? {
        return Ok(());
    }
    fs::remove_dir(pin_dir).map_err(|error| Error::path("remove", pin_dir, error))
}

/// Opens a pin; `None` if there is none.
pub(crate) fn open(path: &Path) -> Result<Option<OwnedFd>, Error> {
    match sys::open_pin(path) {
        Ok(descriptor) => Ok(Some(descriptor)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::path("open", path, error)),
    }
}

/// Names of links begin with that of their program.
pub(crate) fn is_link(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| {
        name.starts_with("from_") || name.starts_with("to_") || name.starts_with("choose_")
    })
}

/// Whether the mount at a path bears our name as its source.
fn is_mount_of_ours(path: &Path) -> Result<bool, Error> {
    let error = |error| Error::path("look at", path, error);
    let path = path.canonicalize().map_err(error)?;
    let mounts = fs::read_to_string("/proc/thread-self/mounts").map_err(error)?;
    Ok(mounts.lines().any(|line| {
        let mut fields = line.split(' ');
        let ours = fields.next() == Some(sys::MOUNT_SOURCE);
        ours && fields.next().map(unescape).as_deref() == path.to_str()
    }))
}

/// Blanks and the like are written in octal in the kernel's list of mounts.
fn unescape(field: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(field.to_owned(), |text, (code, byte)| text.replace(code, byte))
}

fn is_mount_point(path: &Path) -> Result<bool, Error> {
    let device = |path: &Path| {
        let metadata = fs::metadata(path).map_err(|error| Error::path("look at", path, error))?;
        Ok(metadata.dev())
    };
    Ok(device(path)? != device(&path.join(".."))?)
}

/// The calling thread's network namespace and its inode.
pub(crate) fn namespace() -> Result<(fs::File, u32), Error> {
    let path = Path::new("/proc/thread-self/ns/net");
    let error = |error| Error::path("open", path, error);
    let file = fs::File::open(path).map_err(error)?;
    let inode = file.metadata().map_err(error)?.ino();
    let inode = u32::try_from(inode).map_err(|why| error(io::Error::other(why)))?;
    Ok((file, inode))
}

/// A namespace's descriptor as the system call takes it.
pub(crate) fn as_target(file: &fs::File) -> u32 {
    file.as_fd().as_raw_fd().cast_unsigned()
}
