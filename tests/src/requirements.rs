//! What the tests in namespaces need of the machine, and how they say that it is missing.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::peer;

/// Whether tests in network namespaces can run here. If not, says once for each `test` what is
/// missing, on a line that begins with `SKIP`.
pub fn met(test: &str) -> bool {
    static MISSING: OnceLock<Option<String>> = OnceLock::new();
    match MISSING.get_or_init(missing) {
        None => true,
        Some(what) => skip(test, what),
    }
}

/// Whether each of these programs, and packages of node as `npm:NAME`, is there. If not, says so as
/// [`met`] does.
pub fn found(test: &str, programs: &[&str]) -> bool {
    let is_missing = |program: &&&str| match program.strip_prefix("npm:") {
        Some(package) => !peer::has_package(package),
        None => peer::find(program).is_none(),
    };
    match programs.iter().find(is_missing) {
        None => true,
        Some(program) => skip(test, &format!("{program} is not installed (scripts/tools.sh)")),
    }
}

/// Says that a test, or a part of it, is left out and why. Returns `false`.
pub fn skip(test: &str, what: &str) -> bool {
    // Past the capture of the test harness, which hides the output of tests that pass.
    let line = format!("SKIP {test}: {what}\n");
    rustix::io::write(std::io::stderr(), line.as_bytes()).ok();
    false
}

fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("not root: no network namespaces, no eBPF".into());
    }
    for tool in ["ip", "nsenter", "unshare", "mount", "curl"] {
        let found = std::env::var("PATH")
            .unwrap_or_default()
            .split(':')
            .any(|folder| Path::new(folder).join(tool).exists());
        if !found {
            return Some(format!("{tool} is not installed"));
        }
    }
    let namespace = Command::new("unshare").args(["--net", "--mount", "true"]).stderr(Stdio::null()).status();
    match namespace {
        Ok(status) if status.success() => None,
        _ => Some("cannot create network and mount namespaces".into()),
    }
}
