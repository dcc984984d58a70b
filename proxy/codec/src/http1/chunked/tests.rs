//! Chunked bodies, whole and in every two pieces.

use super::*;

/// Feeds the input in pieces; where the body ended in it, if it did, and the data.
fn feed(pieces: &[&[u8]], limits: &Limits) -> Result<(Option<usize>, Vec<u8>), Malformed> {
    let mut decoder = Decoder::new(limits);
    let mut data = Vec::new();
    let mut total = 0;
    for piece in pieces {
        let mut rest = *piece;
        loop {
            let step = decoder.step(rest)?;
            data.extend_from_slice(&rest[step.data]);
            rest = &rest[step.consumed..];
            total += step.consumed;
            if step.done {
                assert_eq!(decoder.decoded(), data.len() as u64);
                return Ok((Some(total), data));
            }
            if rest.is_empty() {
                break;
            }
        }
    }
    Ok((None, data))
}

#[test]
fn accepted_in_any_split() {
    let table: &[(&str, &str)] = &[
        ("0\r\n\r\n", ""),
        ("000\r\n\r\n", ""),
        ("3\r\nabc\r\n0\r\n\r\n", "abc"),
        ("00003\r\nabc\r\n00\r\n\r\n", "abc"),
        ("a\r\n0123456789\r\nB\r\n01234567890\r\n0\r\n\r\n", "012345678901234567890"),
        ("3;x\r\nabc\r\n0;y=z\r\n\r\n", "abc"),
        ("3; x = \"a;b\" ;\ty\r\nabc\r\n0\r\n\r\n", "abc"),
        ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
        ("5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n"),
        ("0\r\nX-Sum: 1\r\ngrpc-status: 0 \r\nEmpty:\r\n\r\n", ""),
        ("1\r\na\r\n0\r\nX-Very-Long-Name-Of-A-Trailer-Field: \u{e9}\t!\r\n\r\n", "a"),
    ];
    for &(wire, data) in table {
        // What follows is the next message's.
        let input = format!("{wire}GET /");
        for cut in 0..input.len() {
            let (first, second) = input.as_bytes().split_at(cut);
            let taken = feed(&[first, second], &Limits::default());
            assert_eq!(taken, Ok((Some(wire.len()), data.into())), "{wire:?} cut at {cut}");
        }
        let bytes: Vec<&[u8]> = input.as_bytes().chunks(1).collect();
        assert_eq!(
            feed(&bytes, &Limits::default()),
            Ok((Some(wire.len()), data.into())),
            "{wire:?} bytewise"
        );
        let mut decoder = Decoder::new(&Limits::default());
        let progress = decoder.advance(input.as_bytes());
        assert_eq!(progress, Ok(Progress { consumed: wire.len(), done: true }), "{wire:?}");
        assert!(decoder.is_done());
        assert_eq!(decoder.advance(b"GET /"), Ok(Progress { consumed: 0, done: true }), "{wire:?}");
    }
}

#[test]
fn refused() {
    use Malformed as M;
    let table: &[(&str, M)] = &[
        ("\r\n", M::ChunkSize),
        (" 3\r\nabc\r\n0\r\n\r\n", M::ChunkSize),
        ("3 \r\nabc\r\n0\r\n\r\n", M::ChunkSize),
        ("3 ;x\r\nabc\r\n0\r\n\r\n", M::ChunkSize),
        ("+3\r\nabc\r\n0\r\n\r\n", M::ChunkSize),
        ("-3\r\nabc\r\n0\r\n\r\n", M::ChunkSize),
        ("0x3\r\nabc\r\n0\r\n\r\n", M::ChunkSize),
        ("3h\r\nabc\r\n0\r\n\r\n", M::ChunkSize),
        ("g\r\n", M::ChunkSize),
        (";x\r\n", M::ChunkSize),
        ("3\nabc\r\n0\r\n\r\n", M::ChunkSize),
        ("3\rabc", M::ChunkSize),
        ("3\r\nabc\n0\r\n\r\n", M::ChunkSize),
        ("3\r\nabcd\r\n0\r\n\r\n", M::ChunkSize),
        ("3\r\nabc\rX", M::ChunkSize),
        ("3\r\nabc0\r\n\r\n", M::ChunkSize),
        ("8000000000000000\r\n", M::ChunkSize),
        ("ffffffffffffffff\r\n", M::ChunkSize),
        ("10000000000000000\r\n", M::ChunkSize),
        ("00000000000000003\r\n", M::ChunkSize),
        // Extensions: bare LF and CR are the known way to smuggle here.
        ("3;\r\nabc\r\n0\r\n\r\n", M::ChunkExtension),
        ("3;x\nabc\r\n0\r\n\r\n", M::ChunkExtension),
        ("3;\nabc\r\n0\r\n\r\n", M::ChunkExtension),
        ("3;x\rabc", M::ChunkSize),
        ("3;x\x00\r\n", M::ChunkExtension),
        ("3;x\x7f\r\n", M::ChunkExtension),
        ("3;\"x\"\r\n", M::ChunkExtension),
        ("3;x\u{e9}\r\n", M::ChunkExtension),
        // Trailers.
        ("0\r\n\n", M::Trailer),
        ("0\r\n\rX", M::Trailer),
        ("0\n\r\n", M::ChunkSize),
        ("0\r\nA: b\n\r\n", M::Trailer),
        ("0\r\nA: b\r\n c\r\n\r\n", M::Trailer),
        ("0\r\n A: b\r\n\r\n", M::Trailer),
        ("0\r\nA : b\r\n\r\n", M::Trailer),
        ("0\r\n: b\r\n\r\n", M::Trailer),
        ("0\r\nA\r\n\r\n", M::Trailer),
        ("0\r\nA: b\x00\r\n\r\n", M::Trailer),
        ("0\r\nA: b\rc\r\n\r\n", M::Trailer),
        ("0\r\nContent-Length: 5\r\n\r\n", M::Trailer),
        ("0\r\ncontent_length: 5\r\n\r\n", M::Trailer),
        ("0\r\nTRANSFER-ENCODING: chunked\r\n\r\n", M::Trailer),
        ("0\r\nHost: a\r\n\r\n", M::Trailer),
        ("0\r\nAuthorization: a\r\n\r\n", M::Trailer),
        ("0\r\nProxy-Authorization: a\r\n\r\n", M::Trailer),
        ("0\r\nSet-Cookie: a\r\n\r\n", M::Trailer),
        ("0\r\nTE: a\r\n\r\n", M::Trailer),
        ("0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", M::Trailer),
    ];
    for &(wire, why) in table {
        for cut in 0..wire.len() {
            let (first, second) = wire.as_bytes().split_at(cut);
            assert_eq!(feed(&[first, second], &Limits::default()), Err(why), "{wire:?} cut at {cut}");
        }
    }
}

#[test]
fn limits() {
    use Malformed as M;
    let limits = Limits { chunk_extension_bytes: 8, trailer_bytes: 32, fields: 2, ..Limits::default() };
    let table: &[(&str, Option<M>)] = &[
        ("1;abcdefg\r\na\r\n0\r\n\r\n", None),
        ("1;abcdefgh\r\na\r\n0\r\n\r\n", Some(M::ChunkExtension)),
        ("0\r\nA: b\r\nA: b\r\n\r\n", None),
        ("0\r\nA: b\r\nA: b\r\nA: b\r\n\r\n", Some(M::TooManyFields)),
        ("0\r\nA: bbbbbbbbbbbbbbbbbbbbbbbbb\r\n\r\n", None),
        ("0\r\nA: bbbbbbbbbbbbbbbbbbbbbbbbbb\r\n\r\n", Some(M::TrailerTooLong)),
    ];
    for &(wire, expected) in table {
        assert_eq!(feed(&[wire.as_bytes()], &limits).err(), expected, "{wire:?}");
    }
}

#[test]
fn many_tiny_chunks_with_long_size_lines_are_refused() {
    let extended = format!("1;{}\r\na\r\n", "x".repeat(200));
    let bytes = extended.repeat(200);
    assert_eq!(feed(&[bytes.as_bytes()], &Limits::default()), Err(Malformed::ChunkExtension));
    let plain = "1\r\na\r\n".repeat(20_000) + "0\r\n\r\n";
    assert_eq!(feed(&[plain.as_bytes()], &Limits::default()).map(|(end, _)| end), Ok(Some(plain.len())));
}
