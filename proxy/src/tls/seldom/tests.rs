use super::*;

#[test]
fn one_in_ten_seconds_with_the_number_of_the_others() {
    let (start, seldom) = (Moment(0) + Duration::from_secs(1_700_000_000), Seldom::default());
    for (seconds, taken) in
        [(0, Some(0)), (1, None), (9, None), (10, Some(2)), (19, None), (40, Some(1)), (60, Some(0))]
    {
        assert_eq!(seldom.take(start + Duration::from_secs(seconds)), taken, "{seconds}");
    }
}
