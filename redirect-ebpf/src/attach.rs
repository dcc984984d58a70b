//! Links: which program runs where. Each is pinned, so that it outlives the process; a new version
//! of a program takes the place of the old one at once.

use std::collections::HashSet;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use crate::bpffs;
use crate::error::Error;
use crate::kernel::{CHOOSE_LISTENER, FROM_POD, FROM_UPLINK, Programs, TO_POD};
use crate::sys::{self, AttachPoint};

/// What is attached, by this process or one before.
#[derive(Debug)]
pub(crate) struct Links {
    dir: PathBuf,
    /// Pins whose program is of this process.
    current: HashSet<PathBuf>,
}

/// A program at a hook of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Hook {
    pub(crate) program: &'static str,
    pub(crate) ifindex: u32,
}

impl Hook {
    /// The hooks of a pod's veth. What leaves the pod is judged first.
    pub(crate) fn pod(ifindex: u32) -> [Self; 2] {
        [FROM_POD, TO_POD].map(|program| Self { program, ifindex })
    }

    /// The hook of an uplink.
    pub(crate) fn uplink(ifindex: u32) -> Self {
        Self { program: FROM_UPLINK, ifindex }
    }

    /// No dots: a bpffs refuses them.
    fn pin(self, dir: &Path) -> PathBuf {
        dir.join(format!("{}_{}", self.program, self.ifindex))
    }

    fn point(self) -> AttachPoint {
        if self.program == TO_POD { AttachPoint::TcxEgress } else { AttachPoint::TcxIngress }
    }
}

/// What the pins of a layout directory belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Nobody: nothing is attached.
    Nobody,
    /// The namespace with this inode.
    Namespace(u32),
    /// A namespace that is gone.
    Gone,
}

/// Looks at a layout directory, by the one link that belongs to a namespace.
pub(crate) fn owner(dir: &Path) -> Result<Owner, Error> {
    let path = dir.join(CHOOSE_LISTENER);
    let Some(link) = bpffs::open(&path)? else {
        return Ok(Owner::Nobody);
    };
    let target = sys::link_target(link.as_fd()).map_err(|cause| Error::Link {
        action: "look at the link",
        path,
        cause,
    })?;
    Ok(match target {
        0 => Owner::Gone,
        inode => Owner::Namespace(inode),
    })
}

/// Whether a layout directory has the program for what a pod sends pinned on this device, and the
/// device is still the one that it was attached to.
pub(crate) fn holds(dir: &Path, ifindex: u32) -> Result<bool, Error> {
    let path = Hook { program: FROM_POD, ifindex }.pin(dir);
    let Some(link) = bpffs::open(&path)? else {
        return Ok(false);
    };
    let target = sys::link_target(link.as_fd());
    let failed = |cause| Error::Link { action: "look at the link", path, cause };
    target.map(|target| target == ifindex).map_err(failed)
}

impl Links {
    /// Whether the device carries our programs for pods.
    pub(crate) fn holds(&self, ifindex: u32) -> Result<bool, Error> {
        holds(&self.dir, ifindex)
    }

    /// The devices that carry programs for pods, of this layout or of another.
    pub(crate) fn pod_devices(&self, pin_dir: &Path) -> Result<Vec<u32>, Error> {
        let mut found = Vec::new();
        for layout in bpffs::layouts(pin_dir)? {
            for path in bpffs::files(&layout)? {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let index = name.strip_prefix(FROM_POD).and_then(|rest| rest.strip_prefix('_'));
                let index = index.and_then(|index| index.parse::<u32>().ok());
                if let Some(index) = index.filter(|index| !found.contains(index))
                    && holds(&layout, index)?
                {
                    found.push(index);
                }
            }
        }
        Ok(found)
    }

    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir, current: HashSet::new() }
    }

    /// Puts the program for new connections into the calling thread's network namespace.
    pub(crate) fn attach_namespace(&mut self, programs: &Programs) -> Result<(), Error> {
        let (namespace, _) = bpffs::namespace()?;
        let path = self.dir.join(CHOOSE_LISTENER);
        self.attach(
            path,
            programs.choose_listener.as_fd(),
            bpffs::as_target(&namespace),
            AttachPoint::SkLookup,
        )
    }

    /// Attaches a program at a hook, or puts it in the place of one attached before. A link whose
    /// device is gone, perhaps made anew since, is replaced.
    pub(crate) fn attach_hook(&mut self, programs: &Programs, hook: Hook) -> Result<(), Error> {
        let program = match hook.program {
            FROM_POD => &programs.from_pod,
            FROM_UPLINK => &programs.from_uplink,
            _ => &programs.to_pod,
        };
        self.attach(hook.pin(&self.dir), program.as_fd(), hook.ifindex, hook.point())
    }

    /// Detaches everything but `hooks`.
    pub(crate) fn retain(&mut self, hooks: &HashSet<Hook>) -> Result<(), Error> {
        let mut stay: HashSet<PathBuf> = hooks.iter().map(|hook| hook.pin(&self.dir)).collect();
        stay.insert(self.dir.join(CHOOSE_LISTENER));
        for path in bpffs::files(&self.dir)? {
            if bpffs::is_link(&path) && !stay.contains(&path) {
                self.current.remove(&path);
                fs::remove_file(&path).map_err(|error| Error::path("remove", path, error))?;
            }
        }
        Ok(())
    }

    fn attach(
        &mut self,
        path: PathBuf,
        program: BorrowedFd<'_>,
        target: u32,
        point: AttachPoint,
    ) -> Result<(), Error> {
        let failed = |action| {
            let path = path.clone();
            move |cause| Error::Link { action, path, cause }
        };
        if let Some(link) = bpffs::open(&path)? {
            let link = link.as_fd();
            // Both kinds of link tell by 0 that their device or namespace is gone.
            let alive = sys::link_target(link).map_err(failed("look at the link"))? != 0;
            if alive && self.current.contains(&path) {
                return Ok(());
            }
            if alive {
                sys::link_update(link, program).map_err(failed("update the link"))?;
                self.current.insert(path);
                return Ok(());
            }
            fs::remove_file(&path).map_err(|error| Error::path("remove", &path, error))?;
        }
        let link = sys::link_create(program, target, point).map_err(failed("attach the program of"))?;
        sys::pin(link.as_fd(), &path).map_err(failed("pin the link"))?;
        self.current.insert(path);
        Ok(())
    }
}
