//! `weir cleanup`: removes what outlives the processes.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cli::CleanupArgs;
use crate::fdstore::Message;
use crate::pins;
use crate::state::StateDir;

/// Ends a proxy that has no supervisor and removes all that was installed. Fails while a
/// supervisor runs.
pub(crate) fn run(args: &CleanupArgs) -> Result<()> {
    let state = StateDir::open(&args.places.state_dir)?;
    let lock = state.lock()?;
    if let Some((link, held)) = state.orphan()? {
        drop(held);
        link.send(&Message::Drain(Duration::ZERO), None)?;
        // It closes its end when it is gone.
        while link.receive()?.is_some() {}
    }
    state.remove_sockets()?;
    remove_installed(&state, args.places.bpffs.as_deref())?;
    state.remove_locks(lock)
}

/// Detaches the programs and removes pins, rules and routes.
pub(crate) fn remove_installed(state: &StateDir, bpffs: Option<&Path>) -> Result<()> {
    let pins = pins::folder(state, bpffs);
    let removed = redirect::cleanup(&pins)
        .with_context(|| format!("cannot remove all of what is pinned in {}", pins.display()))?;
    if removed.routing || !removed.layouts.is_empty() {
        tracing::info!("removed what redirected: pins in {}, rules and routes", pins.display());
    }
    Ok(())
}
