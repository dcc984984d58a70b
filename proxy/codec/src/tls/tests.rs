use super::{HELLO_BYTES_MAX, Peek, client_hello};

fn sni(bytes: &[u8]) -> Option<Option<String>> {
    match client_hello(bytes) {
        Peek::Hello(hello) => Some(hello.sni.map(String::from)),
        _ => None,
    }
}

/// First flights as clients sent them.
const CAPTURED: &[(&str, &[u8], Option<&str>)] = &[
    ("openssl", include_bytes!("../../fuzz/seeds/tls/openssl"), Some("openssl.example.com")),
    ("openssl_tls12", include_bytes!("../../fuzz/seeds/tls/openssl_tls12"), Some("old.example.com")),
    ("openssl_no_sni", include_bytes!("../../fuzz/seeds/tls/openssl_no_sni"), None),
    ("curl", include_bytes!("../../fuzz/seeds/tls/curl"), Some("curl.example.com")),
    ("curl_ip", include_bytes!("../../fuzz/seeds/tls/curl_ip"), None),
    ("go", include_bytes!("../../fuzz/seeds/tls/go"), Some("go.example.com")),
    ("rustls", include_bytes!("../../fuzz/seeds/tls/rustls"), Some("rustls.example.com")),
];

/// The same handshake message in records of `size` bytes of payload.
fn cut(record: &[u8], size: usize) -> Vec<u8> {
    let records = record[5..].chunks(size);
    records.flat_map(|part| [&[22, 3, 1, 0, u8::try_from(part.len()).unwrap()][..], part].concat()).collect()
}

#[test]
fn names_of_captured_hellos() {
    for (client, bytes, name) in CAPTURED {
        assert_eq!(sni(bytes), Some(name.map(str::to_owned)), "{client}");
        for end in 0..bytes.len() {
            assert_eq!(client_hello(&bytes[..end]), Peek::NeedMore, "{client} cut at {end}");
        }
        for size in [1, 3, 4, 5, 100, 255] {
            let pieces = cut(bytes, size);
            assert_eq!(sni(&pieces), Some(name.map(str::to_owned)), "{client} in records of {size}");
            for end in [0, 1, 5, pieces.len() / 2, pieces.len() - 1] {
                assert_eq!(client_hello(&pieces[..end]), Peek::NeedMore, "{client} in {size}, cut at {end}");
            }
        }
    }
}

/// A hello with these extensions.
fn hello(extensions: &[(u16, &[u8])]) -> Vec<u8> {
    let mut list = Vec::new();
    for (kind, content) in extensions {
        list.extend_from_slice(&kind.to_be_bytes());
        list.extend_from_slice(&u16::try_from(content.len()).unwrap().to_be_bytes());
        list.extend_from_slice(content);
    }
    let mut body = vec![3, 3];
    body.extend_from_slice(&[7; 32]);
    body.extend_from_slice(&[0, 0, 2, 0x13, 1, 1, 0]);
    body.extend_from_slice(&u16::try_from(list.len()).unwrap().to_be_bytes());
    body.extend_from_slice(&list);
    record(1, &body)
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(body.len()).unwrap();
    let outer = (len + 4).to_be_bytes();
    let inner = len.to_be_bytes();
    [&[22, 3, 1, outer[0], outer[1], kind, 0, inner[0], inner[1]], body].concat()
}

fn names(names: &[(u8, &[u8])]) -> Vec<u8> {
    let mut list = Vec::new();
    for (kind, name) in names {
        list.push(*kind);
        list.extend_from_slice(&u16::try_from(name.len()).unwrap().to_be_bytes());
        list.extend_from_slice(name);
    }
    [&u16::try_from(list.len()).unwrap().to_be_bytes()[..], &list].concat()
}

#[test]
fn server_names() {
    let long = [&[b'a'; 63][..], b".", &[b'a'; 64]].concat();
    let cases: &[(&[u8], Option<Option<&str>>)] = &[
        (b"a.example.com", Some(Some("a.example.com"))),
        (b"A.Example.COM", Some(Some("a.example.com"))),
        (b"a.example.com.", Some(Some("a.example.com"))),
        (b"_a-1.example", Some(Some("_a-1.example"))),
        (b"localhost", Some(Some("localhost"))),
        (b"10.0.0.1", Some(None)),
        (b"::1", Some(None)),
        (b"", None),
        (b".", None),
        (b"a..b", None),
        (b".a", None),
        (b"*.example.com", None),
        (b"a b", None),
        (b"a\0.example.com", None),
        (b"a/b", None),
        ("ü.example".as_bytes(), None),
        (&[0xff], None),
        (&long, None),
        (&[b'a'; 254], None),
    ];
    for (name, wanted) in cases {
        let bytes = hello(&[(0, &names(&[(0, name)]))]);
        assert_eq!(sni(&bytes), wanted.map(|name| name.map(str::to_owned)), "{}", name.escape_ascii());
    }
}

#[test]
fn what_is_not_as_the_rules_are() {
    let name = names(&[(0, b"a.example")]);
    let whole = hello(&[(0, &name)]);
    let mut longer = whole.clone();
    longer[8] += 1;
    longer[4] += 1;
    longer.push(0);
    let empty_then = [&[22, 3, 1, 0, 0], &whole[..]].concat();
    let cases: &[(&str, Vec<u8>, Peek)] = &[
        ("no extensions, TLS 1.3 form", hello(&[]), Peek::Hello(super::Hello::default())),
        ("http", b"GET / HTTP/1.1\r\n".to_vec(), Peek::NotTls),
        ("ssl 2", vec![0x80, 0x2e, 1, 0, 2], Peek::NotTls),
        ("an alert", vec![21, 3, 1, 0, 2, 1, 0], Peek::NotTls),
        ("another major version", vec![22, 4, 0, 0, 9], Peek::NotTls),
        ("nothing", Vec::new(), Peek::NeedMore),
        ("a server's hello", record(2, &[0; 40]), Peek::Malformed),
        ("an empty record", empty_then, Peek::Malformed),
        ("a record too long", vec![22, 3, 1, 0x40, 1], Peek::Malformed),
        ("a message too long", vec![22, 3, 1, 0, 10, 1, 0, 0x40, 0], Peek::Malformed),
        ("bytes behind the extensions", longer, Peek::Malformed),
        ("the name twice", hello(&[(0, &name), (0, &name)]), Peek::Malformed),
        ("two names", hello(&[(0, &names(&[(0, b"a"), (0, b"b")]))]), Peek::Malformed),
        ("another kind of name", hello(&[(0, &names(&[(1, b"a")]))]), Peek::Malformed),
        ("no name", hello(&[(0, &[])]), Peek::Malformed),
        ("an extension cut short", record(1, &hello(&[(0, &name)])[9..40]), Peek::Malformed),
    ];
    for (what, bytes, wanted) in cases {
        assert_eq!(client_hello(bytes), *wanted, "{what}");
    }
}

#[test]
fn an_endless_hello_is_given_up() {
    // One byte a record, of a message that would be just short enough.
    let mut bytes = Vec::new();
    for byte in [1, 0, 0x3f, 0].into_iter().chain(std::iter::repeat(0)) {
        bytes.extend_from_slice(&[22, 3, 1, 0, 1, byte]);
        match client_hello(&bytes) {
            Peek::NeedMore => assert!(bytes.len() < HELLO_BYTES_MAX, "still waiting at {}", bytes.len()),
            Peek::Malformed => return,
            other => panic!("{other:?}"),
        }
    }
}
