//! Every name is found, and nothing else.

use super::{KNOWN, POLICIES, Policy, TABLE, known};

#[test]
fn the_static_table_is_found() {
    for (at, (name, value)) in TABLE.iter().enumerate() {
        let known = known(name);
        let first = TABLE.iter().position(|entry| entry.0 == *name).unwrap();
        assert_eq!(usize::from(known.index), first + 1, "{name:?}");
        let exact = (!value.is_empty()).then(|| u8::try_from(at + 1).unwrap());
        assert_eq!(known.exact(value), exact, "{name:?}");
    }
}

#[test]
fn policies_are_found() {
    for (name, policy) in POLICIES {
        assert_eq!(known(name).policy, *policy, "{name:?}");
        assert!(KNOWN.iter().any(|known| known.name == *name));
    }
    let unknown: [&[u8]; 6] = [b"", b"x", b"x-team", b":methods", b"accepts", b"User-Agent"];
    for name in unknown {
        assert_eq!((known(name).index, known(name).policy), (0, Policy::Index), "{name:?}");
        assert_eq!(known(name).exact(b""), None);
    }
}
