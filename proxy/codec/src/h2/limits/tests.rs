//! Budgets.

use super::*;

#[test]
fn a_budget_is_of_one_second() {
    let mut budget = Budget::new(2);
    // (at ns, within the budget)
    let steps = [(5, true), (6, true), (7, false), (SECOND - 1, false), (SECOND, true), (SECOND + 6, true)];
    for (now, within) in steps {
        assert_eq!(budget.spend(now), within, "at {now}");
    }
    assert!(!budget.spend(SECOND + 7));
    budget.earn(2);
    assert!(budget.spend(SECOND + 8));
    assert!(!budget.spend(SECOND + 9));
}

#[test]
fn what_is_earned_is_not_saved() {
    let mut budget = Budget::new(1);
    budget.earn(1_000);
    assert!(budget.spend(0));
    assert!(!budget.spend(0));
}

#[test]
fn what_is_granted_is_saved_up_to_a_bound() {
    let mut budget = Budget::new(1);
    (0..3).for_each(|_| budget.grant(GRANTED_MAX));
    let spent = (0..).take_while(|now| budget.spend(*now)).count();
    assert_eq!(spent, GRANTED_MAX as usize + 1);
}

#[test]
fn no_budget_is_none() {
    assert!(!Budget::new(0).spend(0));
}
