//! Where the pins of programs and maps are, and whether they outlive Weir there.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::state::StateDir;

/// Where programs and maps are pinned: `given`, else below `/sys/fs/bpf` if that is a bpffs, else
/// in the state folder.
pub(crate) fn folder(state: &StateDir, given: Option<&Path>) -> PathBuf {
    if let Some(given) = given {
        return given.to_owned();
    }
    let shared = Path::new("/sys/fs/bpf");
    let is_bpffs = rustix::fs::statfs(shared).is_ok_and(|fs| i128::from(fs.f_type) == BPFFS_MAGIC);
    if is_bpffs { shared.join("weir") } else { state.path().join("bpf") }
}

/// Warns where the bpffs of the pins is mounted in this mount namespace and not in that of process
/// 1: then it ends with the last process in here, and what redirects and polices with it.
pub(crate) fn warn_if_private(pins: &Path) {
    let Ok(metadata) = std::fs::metadata(pins) else { return };
    // Without /proc, or within a container, nothing can be told.
    let Ok(mounts) = std::fs::read_to_string("/proc/1/mountinfo") else { return };
    let device = (rustix::fs::major(metadata.dev()), rustix::fs::minor(metadata.dev()));
    if !is_mounted(&mounts, device) {
        tracing::warn!(
            "the bpffs of {} is mounted in a mount namespace of its own (`ip netns exec`, PrivateMounts=): \
             when Weir ends the pins end too, and pods under policy are left open. Start it by \
             `nsenter --net=FILE` or without PrivateMounts=, or mount a bpffs outside and name it by --bpffs",
            pins.display()
        );
    }
}

/// Whether a mountinfo file (proc_pid_mountinfo(5)) has a mount of this device. Each bpffs is one.
fn is_mounted(mountinfo: &str, (major, minor): (u32, u32)) -> bool {
    let device = format!("{major}:{minor}");
    mountinfo.lines().any(|line| line.split(' ').nth(2) == Some(&device))
}

/// `BPF_FS_MAGIC` of linux/magic.h.
const BPFFS_MAGIC: i128 = 0xcafe_4a11;

#[cfg(test)]
mod tests;
