//! The layouts in the compiled object are ours: read from its BTF.

use std::collections::HashMap;
use std::mem::offset_of;

use aya_obj::Object;

use super::*;
use crate::kernel::{MAPS, OBJECT};

/// Members of a C structure: name and offset in bytes.
type Members = Vec<(String, usize)>;

/// Reads the structures of the object's BTF (Documentation/bpf/btf.rst), with their sizes.
fn structures() -> HashMap<String, (usize, Members)> {
    let object = Object::parse(OBJECT).unwrap();
    let btf = object.btf.unwrap().to_bytes();
    let word = |at: usize| usize::try_from(u32::from_ne_bytes(btf[at..at + 4].try_into().unwrap())).unwrap();
    let header = word(4);
    let (types, types_end) = (header + word(8), header + word(8) + word(12));
    let strings = header + word(16);
    let string = |offset: usize| {
        let bytes = btf[strings + offset..].split(|byte| *byte == 0).next();
        String::from_utf8(bytes.unwrap().to_vec()).unwrap()
    };
    let mut found = HashMap::new();
    let mut at = types;
    while at < types_end {
        let (name, info, size) = (word(at), word(at + 4), word(at + 8));
        let (kind, count) = (info >> 24 & 0x1f, info & 0xffff);
        at += 12;
        if kind == 4 {
            let members = (0..count).map(|index| {
                let member = at + index * 12;
                (string(word(member)), word(member + 8) / 8)
            });
            found.insert(string(name), (size, members.collect()));
        }
        // What follows each kind: int, array, struct, union, enum, prototype, variable, section,
        // tag, enum64.
        at += match kind {
            1 | 14 | 17 => 4,
            3 => 12,
            4 | 5 | 15 | 19 => 12 * count,
            6 | 13 => 8 * count,
            _ => 0,
        };
    }
    found
}

macro_rules! same {
    ($found:ident, $type:ident = $name:literal, [$($field:ident),*]) => {
        let (size, members) = $found.get($name).unwrap_or_else(|| panic!("no struct {}", $name));
        assert_eq!(*size, size_of::<$type>(), "size of {}", $name);
        let ours: Members = vec![$((stringify!($field).to_owned(), offset_of!($type, $field))),*];
        assert_eq!(*members, ours, "members of {}", $name);
    };
}

#[test]
fn layouts_are_those_of_the_object() {
    let found = structures();
    same!(
        found,
        Tuple = "tuple",
        [source, destination, source_port, destination_port, protocol, icmp_type, unused]
    );
    same!(found, Endpoint = "endpoint", [id, policy, ifindex, flags]);
    same!(found, Device = "device", [flags, bridge, mac, pod_mac]);
    same!(found, PolicyValue = "policy_value", [precedence, action, length, whole, unused]);
    same!(found, Frontend = "frontend", [address, port, protocol, unused]);
    same!(found, Flow = "flow", [seen, revision, flags]);
    same!(found, Config = "config", [revision, workers, port_first, port_last, share]);
    same!(found, FragmentKey = "fragment_key", [source, destination, id, ifindex, ipv6]);
    same!(found, Ports = "ports", [source, destination]);
    same!(found, Reported = "reported", [time, sequence, reason]);
    same!(
        found,
        Event = "event",
        [time, tuple, source_identity, destination_identity, endpoint, kind, direction, reason, unused]
    );
    // Our key begins after the prefix length.
    let (size, members) = &found["policy_key"];
    assert_eq!(*size, 4 + size_of::<PolicyData>());
    let ours: Members = [
        ("prefix", 0),
        ("policy", 4 + offset_of!(PolicyData, policy)),
        ("identity", 4 + offset_of!(PolicyData, identity)),
        ("direction", 4 + offset_of!(PolicyData, direction)),
        ("protocol", 4 + offset_of!(PolicyData, protocol)),
        ("port", 4 + offset_of!(PolicyData, port)),
    ]
    .map(|(name, offset)| (name.to_owned(), offset))
    .to_vec();
    assert_eq!(*members, ours);
}

#[test]
fn maps_are_those_of_the_object() {
    let object = Object::parse(OBJECT).unwrap();
    for (name, kind, key, value, entries) in MAPS {
        let map = &object.maps[name];
        assert_eq!(map.map_type(), kind as u32, "type of {name}");
        assert_eq!((map.key_size(), map.value_size()), (key, value), "{name}");
        if entries != 0 {
            assert_eq!(map.max_entries(), entries, "entries of {name}");
        }
    }
    let pinned = object.maps.keys().filter(|name| !name.starts_with('.')).count();
    assert_eq!(pinned, MAPS.len());
}

#[test]
fn addresses_keep_their_family() {
    for text in ["10.0.0.1", "0.0.0.0", "fd00::1", "::", "::1"] {
        let ip: IpAddr = text.parse().unwrap();
        assert_eq!(Address::new(ip).ip(), ip);
    }
    let mapped = Address::new("10.0.0.1".parse().unwrap()).bytes;
    assert_eq!(mapped, [0, 0, 0xffff_u32.to_be(), u32::from_ne_bytes([10, 0, 0, 1])]);
}
