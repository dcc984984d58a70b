//! Response heads: what is refused and why, and what frames the body of the rest.

use super::super::uninit_headers;
use super::*;

const GET: Asked<'_> = Asked { method: "GET", upgrade: None };
const HEAD: Asked<'_> = Asked { method: "HEAD", upgrade: None };
const CONNECT: Asked<'_> = Asked { method: "CONNECT", upgrade: None };
const H2C: Asked<'_> = Asked { method: "GET", upgrade: Some("h2c") };
const SOCKET: Asked<'_> = Asked { method: "GET", upgrade: Some("websocket") };

fn parse<T>(
    bytes: &str,
    asked: &Asked<'_>,
    look: impl FnOnce(Result<Option<ResponseHead<'_, '_>>, Malformed>) -> T,
) -> T {
    let mut headers = uninit_headers::<MAX_FIELDS>();
    look(parse_response(bytes.as_bytes(), &mut headers, &Limits::default(), asked))
}

#[test]
fn refused() {
    use Malformed as M;
    let table: &[(&str, &Asked<'_>, M)] = &[
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", &GET, M::StartLine),
        ("\nHTTP/1.1 200 OK\r\n\r\n", &GET, M::StartLine),
        ("HTTP/2.0 200 OK\r\n\r\n", &GET, M::Version),
        ("HTTP/1.2 200 OK\r\n\r\n", &GET, M::Version),
        ("ICY 200 OK\r\n\r\n", &GET, M::Version),
        ("HTTP/1.1 2000 OK\r\n\r\n", &GET, M::StartLine),
        ("HTTP/1.1 20 OK\r\n\r\n", &GET, M::StartLine),
        ("HTTP/1.1 099 OK\r\n\r\n", &GET, M::StartLine),
        ("HTTP/1.1  200 OK\r\n\r\n", &GET, M::StartLine),
        ("HTTP/1.1 200 O\x00K\r\n\r\n", &GET, M::StartLine),
        ("HTTP/1.1 200 O\rK\r\n\r\n", &GET, M::StartLine),
        ("HTTP/1.1 200 OK\n\r\n", &GET, M::LineEnd),
        ("HTTP/1.1 200 OK\nA: b\r\n\r\n", &GET, M::LineEnd),
        ("HTTP/1.1 200\n\r\n", &GET, M::LineEnd),
        ("HTTP/1.1 200 OK\r\nA: b\n\r\n", &GET, M::LineEnd),
        ("HTTP/1.1 200 OK\r\nA: b\r\n\n", &GET, M::LineEnd),
        ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", &GET, M::FieldName),
        ("HTTP/1.1 200 OK\r\n A: b\r\n\r\n", &GET, M::FieldName),
        ("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", &GET, M::FieldName),
        ("HTTP/1.1 200 OK\r\n: b\r\n\r\n", &GET, M::FieldName),
        ("HTTP/1.1 200 OK\r\nA: b\x00\r\n\r\n", &GET, M::FieldValue),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", &GET, M::ContentLength),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", &GET, M::ContentLength),
        ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", &HEAD, M::ContentLength),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            &GET,
            M::LengthAndEncoding,
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", &GET, M::UnknownCoding),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", &GET, M::TransferEncoding),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &GET, M::TransferEncoding),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", &GET, M::UnexpectedBody),
        ("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", &GET, M::UnexpectedBody),
        ("HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n", &GET, M::UnexpectedBody),
        ("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", &GET, M::UnaskedUpgrade),
        ("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", &SOCKET, M::UnaskedUpgrade),
        ("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", &H2C, M::UnaskedUpgrade),
        ("HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n", &SOCKET, M::UnaskedUpgrade),
        ("HTTP/1.1 101 S\r\nConnection: upgrade\r\n\r\n", &SOCKET, M::UnaskedUpgrade),
        ("HTTP/1.0 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", &SOCKET, M::UnaskedUpgrade),
        (
            "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 9\r\n\r\n",
            &SOCKET,
            M::UnexpectedBody,
        ),
    ];
    for (bytes, asked, why) in table {
        parse(bytes, asked, |head| assert_eq!(head.err(), Some(*why), "{bytes:?}"));
    }
}

#[test]
fn framing() {
    use Framing as F;
    struct Row(&'static str, &'static Asked<'static>, F, Option<u64>, bool, bool);
    let table = [
        Row("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", &GET, F::Length(5), Some(5), true, false),
        Row("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", &HEAD, F::None, Some(5), true, false),
        Row("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &GET, F::Chunked, None, true, false),
        Row("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &HEAD, F::None, None, true, false),
        Row("HTTP/1.1 200 OK\r\n\r\n", &GET, F::UntilClose, None, false, false),
        Row("HTTP/1.1 200\r\n\r\n", &GET, F::UntilClose, None, false, false),
        Row("HTTP/1.1 200 \r\n\r\n", &GET, F::UntilClose, None, false, false),
        Row("HTTP/1.1 404 \u{e9}\r\nContent-Length: 0\r\n\r\n", &GET, F::Length(0), Some(0), true, false),
        Row(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n",
            &GET,
            F::Length(5),
            Some(5),
            false,
            false,
        ),
        Row("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", &GET, F::Length(5), Some(5), false, false),
        Row(
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n",
            &GET,
            F::Length(5),
            Some(5),
            true,
            false,
        ),
        Row("HTTP/1.1 204 No Content\r\n\r\n", &GET, F::None, None, true, false),
        Row("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", &GET, F::None, Some(0), true, false),
        Row("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", &GET, F::None, Some(5), true, false),
        Row("HTTP/1.1 100 Continue\r\n\r\n", &GET, F::None, None, true, false),
        Row("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", &GET, F::None, None, true, false),
        Row(
            "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n",
            &SOCKET,
            F::None,
            None,
            false,
            true,
        ),
        Row(
            "HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            &SOCKET,
            F::UntilClose,
            None,
            false,
            false,
        ),
        Row("HTTP/1.1 200 OK\r\n\r\n", &CONNECT, F::None, None, false, true),
        Row("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", &CONNECT, F::None, Some(5), false, true),
        Row("HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\n", &CONNECT, F::Length(5), Some(5), true, false),
    ];
    for Row(bytes, asked, framing, length, keep_alive, tunnel) in table {
        parse(bytes, asked, |head| {
            let Ok(Some(head)) = head else { panic!("{bytes:?}: {head:?}") };
            assert_eq!(head.framing, framing, "{bytes:?}");
            assert_eq!(head.content_length, length, "{bytes:?}");
            assert_eq!(head.keep_alive, keep_alive, "{bytes:?}");
            assert_eq!(head.tunnel, tunnel, "{bytes:?}");
            assert_eq!(head.upgrade.is_some(), head.status == 101, "{bytes:?}");
            assert_eq!(head.is_interim(), matches!(head.status, 100 | 103), "{bytes:?}");
            assert_eq!(head.head_len, bytes.len(), "{bytes:?}");
        });
    }
}

#[test]
fn any_split_asks_for_more() {
    let whole = "HTTP/1.1 200 Fine\r\nServer: x\r\nEmpty:\r\nContent-Length: 3\r\n\r\n";
    for end in 0..whole.len() {
        parse(&whole[..end], &GET, |head| assert!(matches!(head, Ok(None)), "{end}: {head:?}"));
    }
    parse(&format!("{whole}abcHTTP/1.1\n"), &GET, |head| {
        let Ok(Some(head)) = head else { panic!("{head:?}") };
        assert_eq!((head.head_len, head.status, head.reason), (whole.len(), 200, "Fine"));
    });
}

#[test]
fn limits() {
    let limits = Limits { head_bytes: 64, fields: 2, ..Limits::default() };
    let long = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "a".repeat(64));
    let table: &[(&str, Option<Malformed>)] = &[
        (&long, Some(Malformed::HeadTooLong)),
        (&long[..64], Some(Malformed::HeadTooLong)),
        (&long[..63], None),
        ("HTTP/1.1 200 OK\r\nA: b\r\nA: b\r\n\r\n", None),
        ("HTTP/1.1 200 OK\r\nA: b\r\nA: b\r\nA: b\r\n", Some(Malformed::TooManyFields)),
    ];
    for &(bytes, expected) in table {
        let mut headers = uninit_headers::<MAX_FIELDS>();
        let refused = parse_response(bytes.as_bytes(), &mut headers, &limits, &GET).err();
        assert_eq!(refused, expected, "{bytes:?}");
    }
}
