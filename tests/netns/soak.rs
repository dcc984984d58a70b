//! The soak in its shortest form: everything at once for some seconds, every answer checked.

use tests::soak::{Plan, run};

#[test]
fn seconds_of_everything_at_once_end_without_a_wrong_answer_or_a_leak() {
    needs_lab!("openssl");
    let report = run(&Plan::short());
    assert!(report.is_good(), "{report}");
    assert!(report.changes > 5 && report.restarts == 1, "{report}");
}
