//! Our parser, hyper's server and llhttp (Node's) on the same bytes: whatever we accept, the others must accept
//! with the same method, target and body. Where they accept and we refuse, we are stricter on purpose, and where
//! we accept and they refuse, they are stricter than they have to be: both kinds are listed.

mod hyper;
mod llhttp;

#[path = "../support/mutations.rs"]
mod mutations;

use codec::http1::chunked::Decoder;
use mutations::Random;

use codec::http1::{Framing, Limits, Malformed, parse_request, uninit_headers};

/// A request as a parser saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    method: String,
    target: String,
    body: Vec<u8>,
}

/// What a whole input means to us: the requests up to the end, a refusal, or one that is not whole.
struct Ours {
    seen: Vec<Seen>,
    refused: Option<Malformed>,
}

fn ours(mut input: &[u8]) -> Ours {
    let mut seen = Vec::new();
    loop {
        let mut headers = uninit_headers::<64>();
        let head = match parse_request(input, &mut headers, &Limits::default()) {
            Ok(Some(head)) => head,
            Ok(None) => return Ours { seen, refused: None },
            Err(refused) => return Ours { seen, refused: Some(refused) },
        };
        let after = &input[head.head_len..];
        let (body, length) = match body(after, head.framing) {
            Ok(Some(body)) => body,
            Ok(None) => return Ours { seen, refused: None },
            Err(refused) => return Ours { seen, refused: Some(refused) },
        };
        seen.push(Seen { method: head.method.to_owned(), target: head.target.to_owned(), body });
        // What follows is no request, or not answered by hyper.
        if !head.keep_alive || head.upgrade.is_some() || head.method == "CONNECT" {
            return Ours { seen, refused: None };
        }
        input = &after[length..];
    }
}

/// The body's data and its length on the wire; `None` if it is not whole.
fn body(input: &[u8], framing: Framing) -> Result<Option<(Vec<u8>, usize)>, Malformed> {
    let length = match framing {
        Framing::None | Framing::UntilClose => 0,
        Framing::Length(length) => usize::try_from(length).unwrap_or(usize::MAX),
        Framing::Chunked => {
            let (mut decoder, mut data, mut at) = (Decoder::new(&Limits::default()), Vec::new(), 0);
            while !decoder.is_done() && at < input.len() {
                let step = decoder.step(&input[at..])?;
                data.extend_from_slice(&input[at..][step.data]);
                at += step.consumed;
            }
            return Ok(decoder.is_done().then_some((data, at)));
        }
    };
    Ok(input.get(..length).map(|body| (body.to_vec(), length)))
}

/// `http::Uri` writes an absolute target with a lower-case scheme and always with a path.
fn same_target(ours: &str, theirs: &str) -> bool {
    ours == theirs || format!("{ours}/") == theirs || ours.replacen('?', "/?", 1) == theirs
}

/// What we see, which both others must see too, but for what is excused.
fn compare(input: &[u8]) -> Ours {
    let ours = ours(input);
    let (hyper, llhttp) = (hyper::sees(input), llhttp::sees(input));
    let text = String::from_utf8_lossy(input);
    for (index, seen) in ours.seen.iter().enumerate() {
        let Some(other) = hyper.get(index) else {
            assert!(is_excused_to_hyper(seen), "{text:?}: hyper refuses {seen:?}");
            break;
        };
        let same = seen.method == other.method
            && seen.body == other.body
            && same_target(&seen.target.to_ascii_lowercase(), &other.target.to_ascii_lowercase());
        assert!(same, "{text:?}:\nwe see {seen:?}\nhyper sees {other:?}");
    }
    for (index, seen) in ours.seen.iter().enumerate() {
        let Some(other) = llhttp.seen.get(index) else {
            let error = llhttp.error.as_deref();
            assert!(is_excused_to_llhttp(&text, seen, error), "{text:?}: llhttp refuses {seen:?}: {error:?}");
            break;
        };
        assert_eq!(seen, other, "{text:?}: ours, and llhttp's");
    }
    ours
}

/// RFC 3986 has none of these in a path or query, yet clients send them: nginx, HAProxy and llhttp let them pass,
/// and so do we, unchanged. `http::Uri` does not.
fn is_excused_to_hyper(seen: &Seen) -> bool {
    seen.target.contains(['<', '>', '`', '"'])
}

/// llhttp knows a list of methods: RFC 9110 §9.1 leaves that list open, so a proxy may not close it. And it takes
/// a tab at the end of the framing fields for part of their values: RFC 9110 §5.6.3 lets white space be tabs, and
/// what we forward of these fields is written anew, without.
fn is_excused_to_llhttp(input: &str, seen: &Seen, error: Option<&str>) -> bool {
    const METHODS: [&str; 9] =
        ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
    let tab_after = |name: &str| {
        input.split("\r\n").any(|line| {
            let value = line.trim_end_matches([' ', '\t']);
            line.to_ascii_lowercase().starts_with(name) && line[value.len()..].contains('\t')
        })
    };
    match error {
        Some("HPE_INVALID_METHOD") => !METHODS.contains(&seen.method.as_str()),
        Some("HPE_INVALID_TRANSFER_ENCODING") => tab_after("transfer-encoding:"),
        Some("HPE_INVALID_CONTENT_LENGTH") => tab_after("content-length:"),
        _ => false,
    }
}

#[test]
fn accepted_by_both() {
    let table: &[(&str, usize)] = &[
        ("GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n", 1),
        ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n", 2),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /2 HTTP/1.1\r\nHost: a\r\n\r\n", 2),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 005\r\n\r\nhelloGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
            2,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n\
             GET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
            2,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding:\tCHUNKED \r\n\r\n00\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
            2,
        ),
        ("GET http://a.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n", 1),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 1),
        ("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n", 1),
        ("GET / HTTP/1.0\r\n\r\nGET /2 HTTP/1.0\r\n\r\n", 1),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /2 HTTP/1.0\r\n\r\n", 2),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n", 1),
    ];
    for &(input, count) in table {
        assert_eq!(compare(input.as_bytes()).seen.len(), count, "{input:?}");
        assert_eq!(hyper::sees(input.as_bytes()).len(), count, "hyper: {input:?}");
    }
}

/// The differences: hyper serves these, we refuse them. A row that hyper begins to refuse can go.
#[test]
fn only_hyper_accepts() {
    use Malformed as M;
    let table: &[(&str, M)] = &[
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", M::StartLine),
        ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", M::StartLine),
        ("GET / HTTP/1.1\nHost: a\n\n", M::LineEnd),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: y\n\r\n", M::LineEnd),
        ("GET / HTTP/1.1\r\n\r\n", M::Host),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", M::Host),
        ("GET / HTTP/1.1\r\nHost: a b/c\r\n\r\n", M::Host),
        ("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", M::Host),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", M::Target),
        ("GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", M::Target),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", M::Target),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", M::ContentLength),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            M::LengthAndEncoding,
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", M::UnknownCoding),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
            M::TransferEncoding,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\na\r\n0\r\n\r\n",
            M::ChunkSize,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;\x01\r\na\r\n0\r\n\r\n",
            M::ChunkExtension,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n",
            M::Trailer,
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent_Length: 5\r\n\r\n", M::FieldName),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", M::Expectation),
        ("TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", M::UnexpectedBody),
    ];
    let mut agreed = Vec::new();
    for &(input, why) in table {
        let ours = compare(input.as_bytes());
        assert_eq!((ours.refused, ours.seen.len()), (Some(why), 0), "{input:?}");
        if hyper::sees(input.as_bytes()).is_empty() {
            agreed.push(input);
        }
    }
    assert!(agreed.is_empty(), "hyper refuses these too: {agreed:#?}");
}

/// What smugglers combine, each way, before a second request.
#[test]
fn combinations_are_seen_alike() {
    let starts = ["POST / HTTP/1.1\r\n", "POST / HTTP/1.0\r\n", "GET / HTTP/1.1\r\n", "POST / HTTP/1.1\n"];
    let fields = [
        "",
        "Host: a\r\n",
        "Content-Length: 5\r\n",
        "Content-Length: 6\r\n",
        "Content-Length: 5 \r\n",
        "Content-Length: 5,5\r\n",
        "Content-Length : 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length:\t5\r\n",
        "Content-Length: 5\n",
        "X: y\r\n Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding:\x0bchunked\r\n",
        "Transfer-Encoding: chunked\n",
        "Connection: keep-alive\r\n",
        "Connection: Content-Length\r\n",
    ];
    let bodies =
        ["", "hello", "0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n", "5;x\nhello\r\n0\r\n\r\n", "5\nhello\n0\n\n"];
    let mut accepted = 0;
    for start in starts {
        for first in fields {
            for second in fields {
                for body in bodies {
                    let next = "GET /next HTTP/1.1\r\nHost: b\r\n\r\n";
                    let input = format!("{start}Host: a\r\n{first}{second}\r\n{body}{next}");
                    accepted += compare(input.as_bytes()).seen.len();
                }
            }
        }
    }
    assert!(accepted > 500, "only {accepted} requests were compared");
}

/// The fuzz seeds, changed in places.
#[test]
fn mutations_are_seen_alike() {
    let mut random = Random(0xbf58_476d_1ce4_e5b9);
    let mut accepted = 0;
    for seed in mutations::seeds("request") {
        for _ in 0..5_000 {
            let mut input = seed.clone();
            mutations::mutate(&mut input, &mut random);
            accepted += compare(&input).seen.len();
        }
    }
    assert!(accepted > 5_000, "only {accepted} requests were compared");
}
