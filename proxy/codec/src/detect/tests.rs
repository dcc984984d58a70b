//! First bytes and what they show, at every cut.

use super::*;

#[test]
fn first_bytes() {
    use Detected as D;
    let table: &[(&[u8], D)] = &[
        (b"", D::NeedMore),
        (b"GET / HTTP/1.1\r\n", D::Http1),
        (b"OPTIONS * HTTP/1.1\r\n", D::Http1),
        (b"POST http://a/ HTTP/1.1", D::Http1),
        (b"CONNECT a:1", D::Http1),
        (b"CONNECT [", D::Http1),
        (b"\r\nGET /", D::Http1),
        (b"\r", D::NeedMore),
        (b"\r\n", D::NeedMore),
        (b"GET", D::NeedMore),
        (b"GET ", D::NeedMore),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", D::Http2Preface),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00", D::Http2Preface),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", D::NeedMore),
        (b"PRI * HTTP/2.0\r\n\r\nXX", D::NotHttp),
        (b"PRI", D::NeedMore),
        (b"\x16\x03\x01\x02\x00", D::NotHttp),
        (b"\x00\x00\x00\x12", D::NotHttp),
        (b"\n", D::NotHttp),
        (b"\r\r", D::NotHttp),
        (b"\r\n\r\n", D::NotHttp),
        (b" GET", D::NotHttp),
        (b"GET  /", D::NotHttp),
        (b"GET\r\n", D::NotHttp),
        (b"SSH-2.0-x\r\n", D::NotHttp),
        (b"*1\r\n$4\r\nPING\r\n", D::NotHttp),
        (b"G\x80T /", D::NotHttp),
        (b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", D::NotHttp),
        (b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", D::NeedMore),
    ];
    for &(bytes, expected) in table {
        assert_eq!(detect(bytes), expected, "{:?}", String::from_utf8_lossy(bytes));
        // What is decided stays decided, and nothing is decided against a valid beginning.
        for end in 0..bytes.len() {
            let earlier = detect(&bytes[..end]);
            assert!(earlier == D::NeedMore || earlier == expected, "{bytes:?} at {end}: {earlier:?}");
        }
    }
}
