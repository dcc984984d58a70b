use super::{Key, Known, PLACES, place};

#[derive(Clone)]
struct Number(usize);

impl Key for Number {
    fn addresses(&self) -> (usize, usize) {
        (self.0, 0)
    }
}

#[test]
fn writes_once_and_again_after_something_else_took_the_place() {
    let first = 64;
    let other = (1..).map(|n| first + n * 16).find(|n| place((*n, 0)) == place((first, 0))).unwrap();
    let mut known = Known::default();
    let cases = [(first, true), (first, false), (other, true), (other, false), (first, true)];
    for (number, is_written) in cases {
        let mut written = false;
        let text = known.text(
            (number, 0),
            || Number(number),
            |out| {
                written = true;
                out.extend_from_slice(number.to_string().as_bytes());
            },
        );
        assert_eq!(text, number.to_string().as_bytes());
        assert_eq!(written, is_written, "{number}");
    }
}

#[test]
fn uses_all_places() {
    let used: std::collections::HashSet<usize> = (0..8 * PLACES).map(|n| place((n * 64, n * 96))).collect();
    assert!(used.len() > PLACES / 2, "{} of {PLACES}", used.len());
    assert!(used.iter().all(|place| *place < PLACES));
}
