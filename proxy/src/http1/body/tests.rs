//! Bodies split at every offset end where their framing says.

use codec::http1::{Framing, Limits};

use super::Body;

/// Bytes that belonged to the body and whether it ended; `None` if it was malformed.
type Passed = Option<(usize, bool)>;

/// Passes `input` in two parts.
fn passed(framing: Framing, input: &[u8], at: usize) -> Passed {
    let mut body = Body::new(framing, &Limits::default());
    let first = body.pass(&input[..at]).ok()?;
    if first < at {
        return Some((first, body.is_done()));
    }
    let second = body.pass(&input[at..]).ok()?;
    Some((first + second, body.is_done()))
}

#[test]
fn a_body_ends_where_its_framing_says() {
    let chunked = b"3\r\nabc\r\n0\r\nA: b\r\n\r\nnext";
    let cases: [(Framing, &[u8], Passed); 6] = [
        (Framing::None, b"next", Some((0, true))),
        (Framing::Length(0), b"next", Some((0, true))),
        (Framing::Length(3), b"abcnext", Some((3, true))),
        (Framing::Length(9), b"abcnext", Some((7, false))),
        (Framing::Chunked, chunked, Some((chunked.len() - 4, true))),
        (Framing::UntilClose, b"abc", Some((3, false))),
    ];
    for (framing, input, expected) in cases {
        for at in 0..=input.len() {
            assert_eq!(passed(framing, input, at), expected, "{framing:?} split at {at}");
        }
    }
    assert_eq!(passed(Framing::Chunked, b"x\r\n", 0), None);
}

#[test]
fn decoding_leaves_the_data_alone() {
    let input = b"3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\nnext";
    for at in 0..=input.len() - 4 {
        let mut body = Body::new(Framing::Chunked, &Limits::default());
        let mut out = Vec::new();
        let first = body.decode(&input[..at], &mut out).expect("well formed");
        let second = body.decode(&input[first..], &mut out).expect("well formed");
        assert_eq!((first + second, &*out), (input.len() - 4, &b"abcde"[..]), "split at {at}");
        assert!(body.is_done());
    }
}
