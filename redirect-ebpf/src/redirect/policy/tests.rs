//! How policy entries are written for the kernel.

use super::*;

fn entry(identity: u32, protocol: Option<u8>, port: u16, port_prefix: u8) -> PolicyEntry {
    PolicyEntry {
        direction: Direction::Ingress,
        identity,
        protocol,
        port,
        port_prefix,
        action: Action::Allow,
        precedence: 7,
    }
}

#[test]
fn keys_cover_protocol_and_port_by_prefix() {
    let cases = [
        (entry(5, None, 0, 0), 72, 0, 0, 0),
        (entry(5, Some(6), 0, 0), 80, 6, 0, 8),
        (entry(5, Some(6), 80, 16), 96, 6, 80, 24),
        (entry(5, Some(17), 8003, 13), 93, 17, 8000, 21),
        (entry(5, Some(17), 0xffff, 1), 81, 17, 0x8000, 9),
    ];
    for (entry, prefix, protocol, port, length) in cases {
        let ((found, key), value) = encode(&entry, false);
        assert_eq!(found, prefix, "{entry:?}");
        assert_eq!((key.protocol, u16::from_be(key.port)), (protocol, port));
        assert_eq!((key.identity, key.direction, key.policy), (5, 0, 0));
        assert_eq!((value.length, value.precedence), (length, 7));
    }
}

#[test]
fn an_entry_is_whole_if_nothing_narrower_can_contradict_it() {
    let port = |identity| entry(identity, Some(6), 80, 16);
    let cases = [
        (vec![], true, true),
        (vec![port(5)], false, false),
        (vec![port(6)], true, false),
        (vec![port(0)], false, false),
        (vec![PolicyEntry { direction: Direction::Egress, ..port(5) }], true, true),
    ];
    for (others, own, any) in cases {
        for (identity, expected) in [(5, own), (0, any)] {
            let mut policy = others.clone();
            policy.push(entry(identity, None, 0, 0));
            let ((length, key), _) = encode(&entry(identity, None, 0, 0), true);
            let value = entries(&policy)[&(length, key)];
            assert_eq!(value.whole == 1, expected, "{identity} with {others:?}");
        }
    }
}

#[test]
fn of_two_entries_of_a_key_the_higher_precedence_holds() {
    let low = PolicyEntry { action: Action::Deny, precedence: 1, ..entry(5, Some(6), 80, 16) };
    let high = entry(5, Some(6), 80, 16);
    for policy in [vec![low.clone(), high.clone()], vec![high, low]] {
        let entries = entries(&policy);
        assert_eq!(entries.len(), 1);
        assert!(entries.values().all(|value| value.action == abi::ACTION_ALLOW));
    }
}
