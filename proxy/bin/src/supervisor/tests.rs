use super::*;

#[test]
fn the_first_restart_is_immediate_and_later_ones_wait_up_to_a_second() {
    let table = [(0, 0), (1, 0), (2, 50), (3, 100), (4, 200), (5, 400), (6, 800), (7, 1000), (90, 1000)];
    for (failures, millis) in table {
        assert_eq!(back_off(failures), Duration::from_millis(millis), "after {failures}");
    }
}
