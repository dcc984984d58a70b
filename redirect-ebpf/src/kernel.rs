//! The eBPF object in the kernel: loading it, with the pinned maps of a process before where they
//! fit.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher};
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use aya::maps::lpm_trie::LpmTrie;
use aya::maps::{Array, HashMap, Map, MapData, MapError, MapInfo, MapType, PerCpuArray, SockMap};
use aya::programs::{Program, ProgramError, SchedClassifier, SkLookup};
use aya::{Ebpf, EbpfLoader, Pod, include_bytes_aligned};

use crate::abi;
use crate::bpffs;
use crate::error::Error;
use crate::sys;

/// The compiled programs.
pub(crate) static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/redirect.bpf.o"));

pub(crate) const FROM_POD: &str = "from_pod";
pub(crate) const FROM_UPLINK: &str = "from_uplink";
pub(crate) const TO_POD: &str = "to_pod";
pub(crate) const CHOOSE_LISTENER: &str = "choose_listener";

/// What a map must be like to be taken up again: name, type, sizes of key and value, entries.
/// 0 entries: as configured.
pub(crate) const MAPS: [(&str, MapType, u32, u32, u32); 18] = [
    ("node", MapType::Hash, 16, 4, 8192),
    ("identities", MapType::LpmTrie, 20, 4, 262_144),
    ("endpoints", MapType::Hash, 16, 16, 8192),
    ("devices", MapType::Hash, 4, 20, 4096),
    ("policy", MapType::LpmTrie, 16, 8, 524_288),
    ("frontends", MapType::Hash, 20, 4, 131_072),
    ("flows", MapType::LruHash, 40, 16, 0),
    ("other_flows", MapType::LruHash, 40, 16, 0),
    ("spilled_flows", MapType::LruHash, 40, 16, 0),
    ("shares", MapType::Array, 4, 40, 0),
    ("share_heads", MapType::Array, 4, 4, abi::SHARES),
    ("proxied", MapType::LruHash, 40, 4, 0),
    ("fragments", MapType::LruHash, 44, 4, 8192),
    ("listeners", MapType::SockMap, 4, 4, 1024),
    ("config", MapType::Array, 4, 16, 1),
    ("events", MapType::RingBuf, 0, 0, 524_288),
    ("reported", MapType::LruHash, 40, 16, 4096),
    ("counters", MapType::PerCpuArray, 4, 8, abi::COUNTERS),
];

/// The loaded programs, ready to attach.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) from_pod: OwnedFd,
    pub(crate) from_uplink: OwnedFd,
    pub(crate) to_pod: OwnedFd,
    pub(crate) choose_listener: OwnedFd,
}

pub(crate) type Identities = LpmTrie<MapData, abi::Address, u32>;
pub(crate) type Policy = LpmTrie<MapData, abi::PolicyData, abi::PolicyValue>;
pub(crate) type Hash<K, V> = HashMap<MapData, K, V>;

/// The maps that user space reads or writes.
pub(crate) struct Maps {
    pub(crate) node: Hash<abi::Address, u32>,
    pub(crate) identities: Identities,
    pub(crate) endpoints: Hash<abi::Address, abi::Endpoint>,
    pub(crate) devices: Hash<u32, abi::Device>,
    pub(crate) policy: Policy,
    pub(crate) frontends: Hash<abi::Frontend, u32>,
    pub(crate) flows: [Hash<abi::Tuple, abi::Flow>; 3],
    pub(crate) listeners: SockMap<MapData>,
    pub(crate) config: Array<MapData, abi::Config>,
    pub(crate) counters: PerCpuArray<MapData, u64>,
}

/// Loads the programs; maps are opened where `dir` has them pinned, else made and pinned there.
/// `flows` is the size of the flow maps, in entries.
pub(crate) fn load(dir: &Path, flows: u32) -> Result<(Programs, Maps), Error> {
    let pins = ProgramPins::new(dir, flows)?;
    discard_unfit(dir, flows)?;
    let mut loader = EbpfLoader::new();
    loader.default_map_pin_directory(dir);
    for (name, _, _, _, entries) in MAPS {
        if entries == 0 {
            loader.map_max_entries(name, configured(name, flows));
        }
    }
    let mut ebpf = loader.load(OBJECT).map_err(|cause| Error::Load { cause: Box::new(cause) })?;
    let programs = Programs {
        from_pod: pins.open_or(FROM_POD, || classifier(&mut ebpf, FROM_POD))?,
        from_uplink: pins.open_or(FROM_UPLINK, || classifier(&mut ebpf, FROM_UPLINK))?,
        to_pod: pins.open_or(TO_POD, || classifier(&mut ebpf, TO_POD))?,
        choose_listener: pins.open_or(CHOOSE_LISTENER, || sk_lookup(&mut ebpf, CHOOSE_LISTENER))?,
    };
    let maps = Maps {
        node: hash(&mut ebpf, "node")?,
        identities: trie(&mut ebpf, "identities")?,
        endpoints: hash(&mut ebpf, "endpoints")?,
        devices: hash(&mut ebpf, "devices")?,
        policy: trie(&mut ebpf, "policy")?,
        frontends: hash(&mut ebpf, "frontends")?,
        flows: [
            hash(&mut ebpf, "flows")?,
            hash(&mut ebpf, "other_flows")?,
            hash(&mut ebpf, "spilled_flows")?,
        ],
        listeners: map(&mut ebpf, "listeners")?.try_into().map_err(Error::map("listeners", "open"))?,
        config: map(&mut ebpf, "config")?.try_into().map_err(Error::map("config", "open"))?,
        counters: map(&mut ebpf, "counters")?.try_into().map_err(Error::map("counters", "open"))?,
    };
    Ok((programs, maps))
}

/// Flows of other protocols than TCP that every pod can have, of as many as `flows`.
pub(crate) fn share(flows: u32) -> u32 {
    (flows / 2 / abi::SHARES).max(1)
}

/// Entries of a map whose size depends on the number of flows.
fn configured(name: &str, flows: u32) -> u32 {
    let shares = share(flows) * abi::SHARES;
    match name {
        "shares" => shares,
        // The kernel evicts before a map is quite full.
        "other_flows" => shares + flows / 4,
        "spilled_flows" => flows / 2,
        _ => flows,
    }
}

/// The endpoints that are pinned in a layout directory.
pub(crate) fn pinned_endpoints(
    dir: &Path,
) -> Result<std::collections::HashMap<abi::Address, abi::Endpoint>, Error> {
    let read = || {
        let map = Map::from_map_data(MapData::from_pin(dir.join("endpoints"))?)?;
        let map: Hash<abi::Address, abi::Endpoint> = map.try_into()?;
        map.iter().collect::<Result<_, MapError>>()
    };
    read().map_err(Error::map("endpoints", "read the pinned"))
}

/// Loaded programs pinned beside their maps. The kernel takes more than a second of processor time to
/// verify them, which the next process with the same object saves.
struct ProgramPins<'d> {
    dir: &'d Path,
    /// Tells one version of the object from another.
    version: u64,
}

impl<'d> ProgramPins<'d> {
    /// Keeps those of this object, if they use the very maps that are pinned now: if every one of
    /// these is there and stays.
    fn new(dir: &'d Path, flows: u32) -> Result<Self, Error> {
        let mut hasher = DefaultHasher::new();
        OBJECT.hash(&mut hasher);
        let pins = Self { dir, version: hasher.finish() };
        let all_fit =
            MAPS.iter().try_fold(true, |all, map| Ok(all && pinned_fits(dir, map, flows)? == Some(true)))?;
        for path in bpffs::files(dir)? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let is_ours = name.starts_with(&pins.prefix());
            if name.starts_with(PROGRAM) && !(is_ours && all_fit) {
                fs::remove_file(&path).map_err(|error| Error::path("remove", path, error))?;
            }
        }
        Ok(pins)
    }

    fn prefix(&self) -> String {
        format!("{PROGRAM}{:016x}_", self.version)
    }

    /// The pinned program, or a new one that is then pinned.
    fn open_or(&self, name: &str, load: impl FnOnce() -> Result<OwnedFd, Error>) -> Result<OwnedFd, Error> {
        let path = self.dir.join(self.prefix() + name);
        if let Some(program) = bpffs::open(&path)? {
            return Ok(program);
        }
        let program = load()?;
        sys::pin(program.as_fd(), &path).map_err(|cause| Error::path("pin a program at", &path, cause))?;
        Ok(program)
    }
}

/// What the names of pinned programs begin with.
const PROGRAM: &str = "program_";

/// Whether a map is pinned and what the programs expect; `None` if it is not pinned.
fn pinned_fits(
    dir: &Path,
    map: &(&'static str, MapType, u32, u32, u32),
    flows: u32,
) -> Result<Option<bool>, Error> {
    let (name, kind, key, value, entries) = *map;
    let path = dir.join(name);
    if !path.exists() {
        return Ok(None);
    }
    let entries = if entries == 0 { configured(name, flows) } else { entries };
    let info = MapInfo::from_pin(&path).map_err(Error::map(name, "open the pin"))?;
    let fits = info.map_type().ok() == Some(kind)
        && info.key_size() == key
        && info.value_size() == value
        && info.max_entries() == entries;
    Ok(Some(fits))
}

/// Unpins maps that are not what the programs expect: aya would take them as they are. Programs
/// attached before go on with them until they are replaced.
fn discard_unfit(dir: &Path, flows: u32) -> Result<(), Error> {
    for map in MAPS {
        if pinned_fits(dir, &map, flows)? == Some(false) {
            let path = dir.join(map.0);
            tracing::info!(path = %path.display(), "pinned map does not fit; making it anew");
            fs::remove_file(&path).map_err(|error| Error::path("remove", path, error))?;
        }
    }
    Ok(())
}

fn absent(what: &str) -> Error {
    Error::Absent { what: format!("{what} in the eBPF object") }
}

fn program<'e>(ebpf: &'e mut Ebpf, name: &str) -> Result<&'e mut Program, Error> {
    ebpf.program_mut(name).ok_or_else(|| absent(name))
}

fn classifier(ebpf: &mut Ebpf, name: &'static str) -> Result<OwnedFd, Error> {
    let failed = |source| Error::program(name, "load", "", source);
    let program: &mut SchedClassifier = program(ebpf, name)?.try_into().map_err(failed)?;
    uninterrupted(|| program.load()).map_err(failed)?;
    let descriptor = program.fd().map_err(failed)?.as_fd();
    descriptor.try_clone_to_owned().map_err(|error| Error::path("duplicate the descriptor of", name, error))
}

fn sk_lookup(ebpf: &mut Ebpf, name: &'static str) -> Result<OwnedFd, Error> {
    let failed = |source| Error::program(name, "load", "", source);
    let program: &mut SkLookup = program(ebpf, name)?.try_into().map_err(failed)?;
    uninterrupted(|| program.load()).map_err(failed)?;
    let descriptor = program.fd().map_err(failed)?.as_fd();
    descriptor.try_clone_to_owned().map_err(|error| Error::path("duplicate the descriptor of", name, error))
}

/// Loads a program. The kernel stops checking it when this thread is sent a signal (EAGAIN); then it is tried again.
fn uninterrupted(mut load: impl FnMut() -> Result<(), ProgramError>) -> Result<(), ProgramError> {
    for _ in 1..LOADS {
        match load() {
            Err(ProgramError::LoadError { io_error, .. }) if io_error.kind() == ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
    load()
}

/// Times that a program is loaded, if signals come between.
const LOADS: usize = 64;

fn map(ebpf: &mut Ebpf, name: &str) -> Result<Map, Error> {
    ebpf.take_map(name).ok_or_else(|| absent(name))
}

fn hash<K: Pod, V: Pod>(ebpf: &mut Ebpf, name: &'static str) -> Result<Hash<K, V>, Error> {
    let typed: Result<_, MapError> = map(ebpf, name)?.try_into();
    typed.map_err(Error::map(name, "open"))
}

fn trie<K: Pod, V: Pod>(ebpf: &mut Ebpf, name: &'static str) -> Result<LpmTrie<MapData, K, V>, Error> {
    let typed: Result<_, MapError> = map(ebpf, name)?.try_into();
    typed.map_err(Error::map(name, "open"))
}
