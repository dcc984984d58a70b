use std::collections::HashMap;

use super::*;

/// Numbers without a pattern (xorshift64).
fn numbers(seed: u64) -> impl FnMut(usize) -> usize {
    let mut x = seed;
    move |below| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        usize::try_from(x >> 33).unwrap() % below
    }
}

fn same(map: &SharedMap<Arc<str>, usize>, want: &HashMap<Arc<str>, usize>) {
    assert_eq!((map.len(), map.is_empty()), (want.len(), want.is_empty()));
    assert_eq!(map.iter().map(|(key, value)| (key.clone(), *value)).collect::<HashMap<_, _>>(), *want);
    assert_eq!(map.iter().count(), want.len(), "no key is there twice");
}

#[test]
fn it_does_what_a_hash_map_does_and_copies_do_not_change() {
    // From one key, over the borders of the few and of the shards, and back to none.
    for keys in [1, FEW, FEW + 1, SHARD, SHARD * 5] {
        let mut number = numbers(keys as u64 * 7 + 1);
        let (mut map, mut want) = (SharedMap::default(), HashMap::new());
        let mut copies = Vec::new();
        for step in 0..keys * 12 {
            let key: Arc<str> = number(keys).to_string().into();
            match number(4) {
                0 => assert_eq!(map.remove(&*key), want.remove(&*key)),
                1 => {
                    *map.get_or_default(key.clone()) += step;
                    *want.entry(key).or_default() += step;
                }
                _ => assert_eq!(map.insert(key.clone(), step), want.insert(key, step)),
            }
            let other = number(keys).to_string();
            assert_eq!(map.get(&*other), want.get(&*other));
            assert_eq!(map.get_mut(&*other), want.get_mut(&*other));
            if step % keys == 0 {
                copies.push((map.clone(), want.clone()));
            }
        }
        same(&map, &want);
        copies.iter().for_each(|(map, want)| same(map, want));
        for key in want.keys() {
            assert_eq!(map[&**key], want[key]);
            map.remove(key);
        }
        same(&map, &HashMap::new());
        copies.iter().for_each(|(map, want)| same(map, want));
    }
}

#[test]
fn a_change_copies_one_shard() {
    let before: SharedMap<usize, usize> = (0..10_000).map(|n| (n, n)).collect();
    let Entries::Shards(old) = &before.entries else { panic!("too few") };
    assert!(old.iter().all(|shard| shard.len() < SHARD * 3), "keys are spread");
    type Change = fn(&mut SharedMap<usize, usize>) -> Option<usize>;
    let changes: [Change; 2] = [|map| map.insert(77, 0), |map| map.remove(&77)];
    for change in changes {
        let mut after = before.clone();
        assert_eq!(after.get_mut(&10_000), None, "nothing to change");
        assert_eq!(change(&mut after), Some(77));
        let Entries::Shards(new) = &after.entries else { panic!("too few") };
        let differ = old.iter().zip(new).filter(|(old, new)| !Arc::ptr_eq(old, new));
        assert_eq!((old.len(), differ.count()), (new.len(), 1));
    }
}
