//! The table against a plain list, through evictions, compactions and changes of its bound.

use std::collections::VecDeque;

use super::{Name, Table, entry_size};

type Listed = (Vec<u8>, Vec<u8>, usize);

fn trim(list: &mut VecDeque<Listed>, max: usize) {
    while list.iter().map(|(name, value, _)| entry_size(name, value)).sum::<usize>() > max {
        list.pop_back();
    }
}

fn same(table: &Table<usize>, list: &VecDeque<Listed>) {
    for (age, (name, value, number)) in list.iter().enumerate() {
        assert_eq!(table.get(age), Some((&name[..], &value[..])));
        assert_eq!(table.kept(age), Some(number));
    }
    assert_eq!(table.get(list.len()), None);
    assert_eq!(table.get(usize::MAX), None);
}

#[test]
fn as_a_plain_list() {
    for max in [0, 31, 32, 33, 70, 256, 4096] {
        let (mut table, mut list) = (Table::new(max), VecDeque::new());
        let mut bound = max as usize;
        for number in 0..3000 {
            if number % 401 == 400 {
                bound = number % 7 * 40;
                table.set_max(u32::try_from(bound).unwrap());
                trim(&mut list, bound);
            }
            let value = vec![u8::try_from(number % 251).unwrap(); number * 7 % 90];
            let age = number % 5;
            let (source, name) = match list.get(age) {
                Some((name, _, _)) if number % 3 == 0 => (Name::Entry(age), name.clone()),
                _ => (Name::Bytes(b"name"), b"name".to_vec()),
            };
            let id = table.insert(source, &value, number);
            list.push_front((name, value, number));
            trim(&mut list, bound);
            same(&table, &list);
            if !list.is_empty() {
                assert_eq!((table.age(id), table.age(id.wrapping_sub(1))), (0, 1));
            }
            assert!(table.bytes.len() <= 2 * bound, "{} bytes", table.bytes.len());
        }
    }
}
