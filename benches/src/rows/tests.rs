//! Rows are whole.

use std::collections::BTreeSet;

use super::ALL;

#[test]
fn names_are_unique_and_known() {
    let names: BTreeSet<&str> = ALL.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), ALL.len());
    for row in ALL {
        let subjects: BTreeSet<&str> = row.subjects.iter().map(|subject| subject.name).collect();
        assert_eq!(subjects.len(), row.subjects.len(), "{}", row.name);
        let referred =
            row.targets.iter().flat_map(|target| target.against.into_iter().chain([target.subject]));
        for name in referred.chain(row.references.iter().copied()) {
            assert!(subjects.contains(name), "{}: {name}", row.name);
        }
        assert!(
            row.rounds.count(None) > 0
                && row.rounds.count(Some(9)) > 0
                && row.targets.iter().all(|target| target.max >= 0.0),
            "{}",
            row.name
        );
    }
}
