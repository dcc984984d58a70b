//! What a list is kept as; what is refused stands in `h2::tests::rules`.

use super::*;

fn decode(kind: ListKind, list: &[(&str, &str)]) -> Result<Fields, ListError> {
    let (mut fields, limits) = (Fields::default(), Limits::default());
    let mut decoder = ListDecoder::new(&mut fields, &limits, kind);
    for (name, value) in list {
        decoder.take(name.as_bytes(), value.as_bytes());
    }
    decoder.finish().map(|()| fields)
}

#[test]
fn a_request_is_kept_as_text() {
    let list = [
        (":method", "PUT"),
        (":path", "/a?b"),
        (":authority", "a.test"),
        (":scheme", "https"),
        ("accept", "*/*"),
        ("cookie", "a=b"),
        ("host", "a.test"),
        ("te", "trailers"),
        ("cookie", "c=d"),
        ("content-length", "12"),
        ("empty", ""),
    ];
    let fields = decode(ListKind::Request, &list).expect("well formed");
    assert_eq!(fields.method(), b"PUT");
    assert_eq!(fields.path(), Some(&b"/a?b"[..]));
    assert_eq!(fields.authority(), Some(&b"a.test"[..]));
    assert_eq!(fields.scheme(), Some(&b"https"[..]));
    assert_eq!((fields.protocol(), fields.status()), (None, 0));
    let lines = b"accept: */*\r\nhost: a.test\r\ncontent-length: 12\r\nempty: \r\n";
    assert_eq!(fields.lines(), lines);
    let (before, after) = fields.lines_without_host();
    assert_eq!((before, after), (&b"accept: */*\r\n"[..], &b"content-length: 12\r\nempty: \r\n"[..]));
    assert_eq!(fields.host(), Some(&b"a.test"[..]));
    assert_eq!(fields.cookie(), Some(&b"a=b; c=d"[..]));
    assert_eq!(fields.content_length(), Some(12));
}

#[test]
fn a_recycled_list_is_empty() {
    let mut fields = decode(
        ListKind::Request,
        &[(":method", "GET"), (":scheme", "http"), (":path", "/"), ("cookie", "a=b"), ("host", "x")],
    )
    .expect("well formed");
    fields.clear();
    let of_new = format!("{:?}", Fields::default());
    assert_eq!(format!("{fields:?}"), of_new);
    let mut large = Fields { text: vec![0; 100_000], ..Fields::default() };
    large.clear();
    assert!(large.text.capacity() <= KEPT_BYTES);
}

#[test]
fn a_list_is_lost_at_its_first_error() {
    let (mut fields, limits) = (Fields::default(), Limits::default());
    let mut decoder = ListDecoder::new(&mut fields, &limits, ListKind::Response);
    assert!(decoder.take(b":status", b"200"));
    assert!(!decoder.take(b"Upper", b"x"));
    assert_eq!(decoder.finish(), Err(ListError::Malformed("field name")));
}

#[test]
fn list_bytes_are_counted_as_the_rfc_does() {
    let mut fields = Fields::default();
    // 7 + 3 + 32, 1 + 1 + 32.
    let limits = Limits { header_list_bytes: 76, ..Limits::default() };
    let mut decoder = ListDecoder::new(&mut fields, &limits, ListKind::Response);
    assert!(decoder.take(b":status", b"200"));
    assert!(decoder.take(b"x", b"y"));
    assert!(!decoder.take(b"", b""));
    assert_eq!(decoder.finish(), too_large(LimitHit::HeaderListBytes));
}

/// Wherever its content type stands: some clients send their metadata first.
#[test]
fn a_call_is_known_though_its_list_is_lost() {
    let limits = Limits { header_list_bytes: 200, ..Limits::default() };
    let long = "v".repeat(200);
    let (call, other) = (("content-type", "application/grpc+proto"), ("content-type", "text/plain"));
    let (large, x) = (("large", long.as_str()), ("x", "y"));
    let cases = [
        (vec![call, large], true, false),
        (vec![x, large, x, call], true, false),
        (vec![large, x, x], false, true),
        (vec![other, large], false, false),
        (vec![large, other, call], false, false),
        (vec![large, x, ("content-type", "application/grpc-web")], false, false),
        (vec![("content-type", &long), x], false, false),
    ];
    for (list, expected, wants_more) in cases {
        let mut fields = Fields::default();
        let mut decoder = ListDecoder::new(&mut fields, &limits, ListKind::Request);
        let wanted = list.iter().all(|(name, value)| decoder.take(name.as_bytes(), value.as_bytes()));
        assert_eq!(wanted, wants_more, "{list:?}");
        let limit = LimitHit::HeaderListBytes;
        assert_eq!(decoder.finish(), Err(ListError::TooLarge { limit, is_call: expected }), "{list:?}");
        assert!(fields.lines().is_empty(), "{list:?}: nothing is kept of it");
    }
}

#[test]
fn content_lengths() {
    let cases = [
        ("0", Some(0)),
        ("00012", Some(12)),
        ("9223372036854775807", Some(i64::MAX as u64)),
        ("9223372036854775808", None),
        ("00000000000000000001", None),
        ("", None),
        ("1,1", None),
        ("-1", None),
        ("0x1", None),
        ("1 ", None),
    ];
    for (value, expected) in cases {
        assert_eq!(content_length(value.as_bytes()), expected, "{value:?}");
    }
}
