//! What redirection needs and does not find.

use std::fmt;
use std::fs;
use std::io;

use aya::maps::{Array, MapData};
use aya::programs::ProgramType;
use aya::util::KernelVersion;

use crate::error;

/// Something that is missing, with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What is missing.
    pub what: String,
    /// What to do, in one line.
    pub remedy: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.remedy)
    }
}

/// Looks for all that redirection needs; changes nothing. Empty: it will work.
pub fn preflight() -> Vec<Missing> {
    let mut missing = Vec::new();
    missing.extend(kernel());
    missing.extend(capabilities());
    if missing.is_empty() {
        missing.extend(bpf());
    }
    missing.extend(bpffs());
    missing.extend(sysctls());
    missing
}

fn lacking(what: impl Into<String>, remedy: impl Into<String>) -> Missing {
    Missing { what: what.into(), remedy: remedy.into() }
}

/// TCX links are of 6.6.
fn kernel() -> Option<Missing> {
    match KernelVersion::current() {
        Ok(version) if version >= KernelVersion::new(6, 6, 0) => None,
        Ok(_) => Some(lacking("the kernel is older than 6.6", "boot a newer one; TCX links are needed")),
        Err(error) => Some(lacking("the kernel's version", error.to_string())),
    }
}

fn capabilities() -> Vec<Missing> {
    const NEEDED: [(u32, &str); 2] = [(39, "CAP_BPF"), (12, "CAP_NET_ADMIN")];
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let held = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    NEEDED
        .into_iter()
        .filter(|(bit, _)| held & (1 << bit) == 0)
        .map(|(_, name)| lacking(format!("{name} not held"), "run as root, or grant the capability"))
        .collect()
}

fn bpf() -> Vec<Missing> {
    let mut missing = Vec::new();
    if let Err(error) = Array::<MapData, u64>::create(1, 0) {
        let why = match error::errno(&error) {
            Some(libc::EPERM) => "a sandbox forbids bpf(2): allow the system call",
            _ => "enable CONFIG_BPF_SYSCALL",
        };
        missing.push(lacking(format!("no eBPF map can be made ({error})"), why));
        return missing;
    }
    let needed = [
        (ProgramType::SchedClassifier, "sched_cls", "CONFIG_NET_CLS_ACT"),
        (ProgramType::SkLookup, "sk_lookup", "CONFIG_INET"),
    ];
    for (kind, name, option) in needed {
        match aya::sys::is_program_supported(kind) {
            Ok(true) => {}
            Ok(false) => missing.push(lacking(
                format!("the kernel has no eBPF programs of type {name}"),
                format!("use one built with {option}"),
            )),
            Err(error) => missing
                .push(lacking(format!("eBPF programs of type {name} cannot be loaded"), error.to_string())),
        }
    }
    missing
}

fn bpffs() -> Option<Missing> {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let found = known.lines().any(|line| line.ends_with("\tbpf"));
    (!found).then(|| lacking("the kernel has no bpffs", "use one with CONFIG_BPF_SYSCALL"))
}

/// Settings under which a packet marked for the proxy goes astray.
fn sysctls() -> Vec<Missing> {
    const HARMFUL: [(&str, &str); 2] = [
        ("net.ipv4.fwmark_reflect", "answers to redirected packets would come back to the node"),
        (
            "net.ipv4.conf.all.src_valid_mark",
            "the source of redirected packets would count as the node's own",
        ),
    ];
    let set = |name: &str| -> io::Result<bool> {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        Ok(fs::read_to_string(path)?.trim() != "0")
    };
    HARMFUL
        .into_iter()
        .filter(|(name, _)| set(name).unwrap_or(false))
        .map(|(name, why)| lacking(format!("{name} is set"), format!("{why}: set it to 0")))
        .collect()
}
