//! Taking everything away.

use std::path::{Path, PathBuf};

use crate::bpffs;
use crate::error::Error;
use crate::routing;

/// What [`cleanup()`] removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Folders of pins, with the maps and the attached programs in them.
    pub layouts: Vec<PathBuf>,
    /// Whether there were routing rules or routes.
    pub routing: bool,
}

/// Detaches all programs that are pinned below `pin_dir`, of every layout, and removes maps, rules
/// and routes; a bpffs that was mounted there is unmounted. From then on all traffic passes.
/// Does nothing where there is nothing.
///
/// Call it in the network namespace in which redirection ran, in the same mount namespace.
///
/// # Errors
/// What could not be removed. The rest may be: call again.
pub fn cleanup(pin_dir: &Path) -> Result<Removed, Error> {
    let layouts = bpffs::layouts(pin_dir)?;
    for layout in &layouts {
        bpffs::remove_layout(layout)?;
    }
    bpffs::release(pin_dir)?;
    // Last, so that no packet is marked for a route that is gone.
    let routing = routing::remove()?;
    Ok(Removed { layouts, routing })
}
