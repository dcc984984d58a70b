//! What must hold for any input: called by the fuzz targets and, with seeded mutations, by
//! `tests/properties.rs`. A check panics where a property fails.

use codec::h2::text::{AskedOf, request_text, response_text};
use codec::h2::{self, ErrorCode, Event, Role, StreamId};
use codec::hpack;
use codec::http1::chunked::{Decoder, Progress};
use codec::http1::write::{self, RequestEdits, ResponseEdits};
use codec::http1::{
    Asked, FieldSet, Framing, Header, Limits, MAX_FIELDS, Malformed, RequestHead, ResponseHead, Version,
    parse_request, parse_response, uninit_headers,
};
use codec::path::{self, PathError};

const NO_FIELDS: [(&str, &[u8]); 0] = [];

/// An accepted request head is what a slow, simple reader sees; every prefix of it asks for more; what is
/// written from it is read back with the same meaning.
pub(crate) fn request(bytes: &[u8]) {
    let limits = Limits { target_bytes: usize::MAX, ..Limits::default() };
    let mut room = uninit_headers::<MAX_FIELDS>();
    let Ok(parsed) = parse_request(bytes, &mut room, &limits) else { return };
    let Some(head) = parsed else {
        assert!(plain_lines(after_empty_line(bytes)).is_none(), "a whole head is not incomplete");
        return;
    };
    let skipped = bytes.len() - after_empty_line(bytes).len();
    let (lines, length) = plain_lines(after_empty_line(bytes)).expect("an accepted head has plain lines");
    assert_eq!(head.head_len, length + skipped, "the head ends at the first empty line");
    let minor = if head.version == Version::Http10 { 0 } else { 1 };
    assert_eq!(lines[0], format!("{} {} HTTP/1.{minor}", head.method, head.target).as_bytes());
    same_fields(&lines[1..], head.headers);
    assert_eq!(head.framing, framing(head.headers, Framing::None), "framing");
    for end in cuts(head.head_len) {
        let mut room = uninit_headers::<MAX_FIELDS>();
        let prefix = parse_request(&bytes[..end], &mut room, &limits);
        assert!(matches!(prefix, Ok(None)), "cut at {end}: {prefix:?}");
    }
    if !head.path.is_empty() && head.path.starts_with('/') {
        path(head.path.as_bytes());
    }
    request_survives(&head);
}

fn request_survives(head: &RequestHead<'_, '_>) {
    let authority = if head.authority.is_empty() { Some("a.test") } else { None };
    let edits = RequestEdits { target: None, authority, removed: FieldSet::EMPTY };
    let mut out = Vec::new();
    write::request(&mut out, head, &edits, NO_FIELDS).expect("nothing is added");
    let limits = Limits { head_bytes: usize::MAX, target_bytes: usize::MAX, ..Limits::default() };
    let mut room = uninit_headers::<MAX_FIELDS>();
    let reread = parse_request(&out, &mut room, &limits);
    // The written head may need a field more than the received one: Host.
    if reread.as_ref().err() == Some(&Malformed::TooManyFields) {
        return;
    }
    let again = reread.expect("what is written is well formed").expect("and whole");
    assert_eq!(again.head_len, out.len());
    assert_eq!((again.method, again.framing), (head.method, head.framing));
    assert_eq!(
        again.authority.to_ascii_lowercase(),
        authority.unwrap_or(head.authority).to_ascii_lowercase()
    );
    assert_eq!(again.expect_continue, head.expect_continue);
    assert!(again.keep_alive, "persistence is this hop's own");
    let websocket = head.upgrade.filter(|name| name.eq_ignore_ascii_case("websocket"));
    assert_eq!(again.upgrade, websocket, "no other upgrade passes");
    let mut twice = Vec::new();
    write::request(&mut twice, &again, &RequestEdits::default(), NO_FIELDS).expect("nothing is added");
    assert_eq!(twice, out, "writing is stable");
}

/// As [`request`], for each kind of request that changes what an answer means.
pub(crate) fn response(bytes: &[u8]) {
    let kinds = [("GET", None), ("HEAD", None), ("CONNECT", None), ("GET", Some("websocket"))];
    for (method, upgrade) in kinds {
        let asked = Asked { method, upgrade };
        let mut room = uninit_headers::<MAX_FIELDS>();
        let Ok(parsed) = parse_response(bytes, &mut room, &Limits::default(), &asked) else { continue };
        let Some(head) = parsed else {
            assert!(plain_lines(bytes).is_none(), "a whole head is not incomplete");
            continue;
        };
        let (lines, length) = plain_lines(bytes).expect("an accepted head has plain lines");
        assert_eq!(head.head_len, length, "the head ends at the first empty line");
        same_fields(&lines[1..], head.headers);
        let bodiless =
            head.status < 200 || matches!(head.status, 204 | 304) || method == "HEAD" || head.tunnel;
        let expected = if bodiless { Framing::None } else { framing(head.headers, Framing::UntilClose) };
        assert_eq!(head.framing, expected, "framing");
        for end in cuts(length) {
            let mut room = uninit_headers::<MAX_FIELDS>();
            let prefix = parse_response(&bytes[..end], &mut room, &Limits::default(), &asked);
            assert!(matches!(prefix, Ok(None)), "cut at {end}: {prefix:?}");
        }
        response_survives(&head, &asked);
    }
}

fn response_survives(head: &ResponseHead<'_, '_>, asked: &Asked<'_>) {
    for client in [Version::Http10, Version::Http11] {
        let edits = ResponseEdits { removed: FieldSet::EMPTY, client, keep_alive: true };
        let mut out = Vec::new();
        write::response(&mut out, head, &edits, NO_FIELDS).expect("nothing is added");
        let limits = Limits { head_bytes: usize::MAX, ..Limits::default() };
        let mut room = uninit_headers::<MAX_FIELDS>();
        let reread = parse_response(&out, &mut room, &limits, asked);
        if reread.as_ref().err() == Some(&Malformed::TooManyFields) {
            continue;
        }
        let again = reread.expect("what is written is well formed").expect("and whole");
        assert_eq!(again.head_len, out.len());
        assert_eq!((again.status, again.framing), (head.status, head.framing_for(client)));
        assert_eq!((again.tunnel, again.upgrade), (head.tunnel, head.upgrade));
    }
}

/// However the input is cut, a chunked body has the same end, the same data, or the same error; and data
/// and end are those of a decoder that has it all at once.
pub(crate) fn chunked(bytes: &[u8]) {
    let whole = follow(&[bytes]);
    for cut in cuts(bytes.len()) {
        let (first, second) = bytes.split_at(cut);
        assert_eq!(follow(&[first, second]), whole, "cut at {cut}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(follow(&single), whole, "byte by byte");
    let mut decoder = Decoder::new(&Limits::default());
    let advanced = decoder.advance(bytes);
    match whole {
        Ok((Some(end), data)) => {
            assert_eq!(advanced, Ok(Progress { consumed: end, done: true }));
            assert_eq!(decoder.decoded(), data.len() as u64);
            assert_eq!(all_at_once(&bytes[..end]), Some(data));
        }
        Ok((None, _)) => assert_eq!(advanced, Ok(Progress { consumed: bytes.len(), done: false })),
        Err(error) => assert_eq!(advanced, Err(error)),
    }
}

/// Where the body ended, if it did, and its data.
type Followed = Result<(Option<usize>, Vec<u8>), Malformed>;

fn follow(pieces: &[&[u8]]) -> Followed {
    let mut decoder = Decoder::new(&Limits::default());
    let (mut data, mut total) = (Vec::new(), 0);
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            let step = decoder.step(rest)?;
            data.extend_from_slice(&rest[step.data]);
            total += step.consumed;
            if step.done {
                return Ok((Some(total), data));
            }
            rest = &rest[step.consumed..];
        }
    }
    Ok((None, data))
}

/// A whole chunked body, read in the simplest way.
fn all_at_once(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    loop {
        let end = find(rest, b"\r\n")?;
        let line = std::str::from_utf8(&rest[..end]).ok()?;
        let size = usize::from_str_radix(line.split(';').next()?, 16).ok()?;
        rest = &rest[end + 2..];
        if size == 0 {
            let trailers_end = if rest.starts_with(b"\r\n") { 0 } else { find(rest, b"\r\n\r\n")? + 2 };
            return (rest.len() == trailers_end + 2).then_some(data);
        }
        data.extend_from_slice(rest.get(..size)?);
        rest = rest[size..].strip_prefix(b"\r\n")?;
    }
}

/// A normalised path is in its one form: normalising it again changes nothing, nor does a redirect lead
/// to another.
pub(crate) fn path(bytes: &[u8]) {
    let Ok(target) = std::str::from_utf8(bytes) else { return };
    let (query, result) = match path::normalise(target) {
        Ok(normalised) => {
            assert!(!normalised.is_borrowed() || normalised.target() == target);
            (normalised.query().map(str::to_owned), normalised.into_target().into_owned())
        }
        Err(PathError::RedirectTo(location)) => {
            (location.split_once('?').map(|(_, query)| query.to_owned()), location)
        }
        Err(_) => return,
    };
    assert_eq!(query.as_deref(), target.split_once('?').map(|(_, query)| query), "the query is not touched");
    let again = path::normalise(&result).expect("a normalised target is accepted");
    assert!(again.is_borrowed() && again.target() == result, "{target:?} gave {result:?}, then {again:?}");
    assert!(again.path() == "*" || again.path().starts_with('/'), "{result:?}");
    let unsafe_part = |part: &str| matches!(part, "." | "..") || part.contains(['\\', '#', '\0']);
    assert!(!again.path().split('/').any(unsafe_part) && !again.path().contains("//"), "{result:?}");
    let lower = again.path().to_ascii_lowercase();
    assert!(!["%2e", "%2f", "%5c", "%00"].iter().any(|escape| lower.contains(escape)), "{result:?}");
}

/// Blocks of one connection, each behind a byte with its length: what is decoded is bounded, does not depend on
/// whether somebody wants it, and comes out the same when it is encoded again, whatever the table's size.
pub(crate) fn hpack(bytes: &[u8]) {
    let mut decoder = hpack::Decoder::new(hpack::DEFAULT_TABLE_BYTES);
    let mut unheard = hpack::Decoder::new(hpack::DEFAULT_TABLE_BYTES);
    let (mut encoder, mut again) = (hpack::Encoder::new(), hpack::Decoder::new(hpack::DEFAULT_TABLE_BYTES));
    let mut rest = bytes;
    while let [length, after @ ..] = rest {
        let block;
        (block, rest) = after.split_at(after.len().min(usize::from(*length)));
        let (outcome, fields) = decoded(&mut decoder, block);
        let refused = unheard.decode(block, &mut |_, _| false);
        assert_eq!(refused, outcome, "what is not wanted is decoded as well");
        let longest = (block.len() * 8 / 5).max(hpack::DEFAULT_TABLE_BYTES as usize);
        assert!(fields.len() <= block.len(), "a field takes a byte");
        assert!(fields.iter().all(|(name, value)| name.len().max(value.len()) <= longest));
        if outcome.is_err() {
            return;
        }
        if fields.len() % 4 == 1 {
            encoder.set_max_table_bytes(u32::from(*length) * 16);
        }
        let mut encoded = Vec::new();
        encoder.begin(&mut encoded);
        for (name, value) in &fields {
            encoder.field(name, value, &mut encoded);
        }
        assert_eq!(decoded(&mut again, &encoded), (Ok(()), fields), "encoded as {encoded:x?}");
    }
}

type Decoded = (Result<(), hpack::HpackError>, Vec<(Vec<u8>, Vec<u8>)>);

fn decoded(decoder: &mut hpack::Decoder, block: &[u8]) -> Decoded {
    let mut fields = Vec::new();
    let outcome = decoder.decode(block, &mut |name, value| {
        fields.push((name.to_vec(), value.to_vec()));
        true
    });
    (outcome, fields)
}

fn after_empty_line(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\r\n").unwrap_or(bytes)
}

/// The lines before the first empty line and the bytes up to and with it, if every line ends in CR LF.
fn plain_lines(bytes: &[u8]) -> Option<(Vec<&[u8]>, usize)> {
    let end = find(bytes, b"\r\n\r\n")?;
    let mut lines = Vec::new();
    let mut rest = &bytes[..end + 2];
    while let Some(at) = find(rest, b"\r\n") {
        let line = &rest[..at];
        if line.iter().any(|b| matches!(b, b'\r' | b'\n')) {
            return None;
        }
        lines.push(line);
        rest = &rest[at + 2..];
    }
    Some((lines, end + 4))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn same_fields(lines: &[&[u8]], headers: &[Header<'_>]) {
    assert_eq!(lines.len(), headers.len(), "one field a line");
    for (line, header) in lines.iter().zip(headers) {
        let colon = line.iter().position(|&b| b == b':').expect("a field has a colon");
        assert_eq!(&line[..colon], header.name.as_bytes());
        let value = line[colon + 1..].trim_ascii();
        assert_eq!(value, header.value, "{line:?}");
    }
}

/// Framing by counting, without a body unless said.
fn framing(headers: &[Header<'_>], silent: Framing) -> Framing {
    let named = |name: &str| -> Vec<String> {
        let same = headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        same.map(|header| String::from_utf8_lossy(header.value).to_ascii_lowercase()).collect()
    };
    let (lengths, codings) = (named("content-length"), named("transfer-encoding"));
    assert!(lengths.len() + codings.len() <= 1, "ambiguous framing was accepted");
    match (lengths.first(), codings.first()) {
        (Some(length), _) => Framing::Length(length.parse().expect("a length is a number")),
        (None, Some(coding)) => {
            assert_eq!(coding, "chunked");
            Framing::Chunked
        }
        (None, None) => silent,
    }
}

/// Some places to cut an input of this length: all of a short one.
fn cuts(length: usize) -> impl Iterator<Item = usize> {
    let step = (length / 24).max(1);
    (0..length).step_by(step)
}

/// A hello that is whole stays the same whatever follows; every prefix of it asks for more; cut into other
/// records it says the same; its name is a host name in lower case.
pub(crate) fn tls(bytes: &[u8]) {
    use codec::tls::{HELLO_BYTES_MAX, Peek, client_hello};
    let Peek::Hello(hello) = client_hello(bytes) else { return };
    if let Some(name) = &hello.sni {
        assert!(!name.is_empty() && name.len() <= 253 && !name.ends_with('.'), "{name:?}");
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b)));
    }
    let more = [bytes, &[0xff; 9]].concat();
    assert_eq!(client_hello(&more), Peek::Hello(hello.clone()), "what follows is not looked at");
    let whole = (0..=bytes.len()).find(|end| client_hello(&bytes[..*end]) != Peek::NeedMore);
    let whole = whole.expect("it is whole at the end");
    assert_eq!(client_hello(&bytes[..whole]), Peek::Hello(hello.clone()), "nothing before it is malformed");
    let one_record = usize::from(u16::from_be_bytes([bytes[3], bytes[4]])) + 5 == whole;
    if one_record && whole * 2 < HELLO_BYTES_MAX {
        let cut: Vec<u8> = bytes[5..whole]
            .chunks(7)
            .flat_map(|p| [&[22, 3, 1, 0, u8::try_from(p.len()).expect("seven at most")], p].concat())
            .collect();
        assert_eq!(client_hello(&cut), Peek::Hello(hello), "other records, the same message");
    }
}

/// A connection whose peer sends these bytes, the first two of which say who we are and what our user does:
/// memory and output are bounded, however the input is cut the same happens, and a head that is passed on is
/// one head in text.
pub(crate) fn h2(bytes: &[u8]) {
    let [mode, habit, input @ ..] = bytes else { return };
    let role = if mode & 1 == 0 { Role::Server } else { Role::Client };
    let limits = match mode >> 1 & 3 {
        0 => h2::Limits::default(),
        1 => h2::Limits { stream_window: 100, streams: 3, out_bytes: 200, ..h2::Limits::default() },
        _ => h2::Limits {
            header_list_bytes: 300,
            header_fields: 4,
            header_table_bytes: 64,
            ..h2::Limits::default()
        },
    };
    let mut connection = h2::Connection::new(role, &limits);
    let mut whole = h2_opened(role, &limits);
    let mut pieces = h2_opened(role, &limits);
    let mut one = Vec::new();
    let outcome = whole.receive(input, 1, &mut one).map_err(|error| error.code);
    assert_eq!(h2_in_pieces(&mut pieces, input, usize::from(*mode >> 3) + 1), (outcome, one));
    assert!(whole.out() == pieces.out(), "cut in pieces, another answer");
    let mut user = H2User { habit: *habit, ids: Vec::new() };
    let (mut at, mut now) = (0, 0);
    user.begin(role, &mut connection);
    while at < input.len() {
        now += 1_000_000;
        let end = (at + 1 + usize::from(*habit) * 8).min(input.len());
        let mut events = Vec::new();
        let received =
            connection.receive(&input[at..end.max((at + 20_000).min(input.len()))], now, &mut events);
        user.act(role, &mut connection, &events);
        let pending = connection.out().len();
        let heads = 20_000 * connection.streams_open().max(1);
        assert!(
            pending <= limits.out_bytes + limits.control_bytes + heads,
            "{pending} bytes wait to be sent"
        );
        assert!(connection.buffered() <= limits.connection_window as usize);
        assert!(connection.streams_open() <= limits.streams as usize);
        connection.sent(if habit & 8 == 0 { pending } else { pending / 2 });
        let mut more = Vec::new();
        connection.wake(now, &mut more);
        user.act(role, &mut connection, &more);
        match received {
            Ok(0) | Err(_) => break,
            Ok(count) => at += count,
        }
    }
    for id in user.ids {
        connection.close(id);
    }
    assert_eq!((connection.streams_open(), connection.buffered()), (0, 0), "nothing is left behind");
}

/// With the requests that a client's peer may answer.
fn h2_opened(role: Role, limits: &h2::Limits) -> h2::Connection {
    let mut connection = h2::Connection::new(role, limits);
    H2User { habit: 0, ids: Vec::new() }.begin(role, &mut connection);
    connection
}

fn h2_in_pieces(
    connection: &mut h2::Connection,
    input: &[u8],
    size: usize,
) -> (Result<usize, ErrorCode>, Vec<Event>) {
    let (mut events, mut start) = (Vec::new(), 0);
    for end in (0..input.len()).step_by(size).chain([input.len()]) {
        match connection.receive(&input[start..end], 1, &mut events) {
            Ok(count) => start += count,
            Err(error) => return (Err(error.code), events),
        }
    }
    (Ok(start), events)
}

struct H2User {
    habit: u8,
    ids: Vec<StreamId>,
}

impl H2User {
    fn begin(&mut self, role: Role, connection: &mut h2::Connection) {
        for count in 0..if role == Role::Client { 3 } else { 0 } {
            let method: &[u8] = if count == 1 { b"HEAD" } else { b"POST" };
            let opened = connection.open(
                |to| {
                    to.field(b":method", method);
                    to.field(b":scheme", b"http");
                    to.field(b":authority", b"a.test");
                    to.field(b":path", b"/");
                },
                count == 1,
            );
            self.ids.extend(opened);
        }
    }

    fn act(&mut self, role: Role, connection: &mut h2::Connection, events: &[Event]) {
        for event in events {
            match *event {
                Event::Head { stream, end } => {
                    self.head(role, connection, stream, end);
                    if role == Role::Server && self.habit & 1 == 0 {
                        connection.send_fields(stream, |to| to.field(b":status", b"200"), false);
                        connection.send_data(stream, &[7; 5_000], self.habit & 2 == 0);
                    }
                }
                Event::Data { stream } if self.habit & 4 == 0 => {
                    let count = connection.data(stream).len();
                    connection.consume(stream, count);
                }
                Event::Writable { stream } => {
                    connection.send_data(stream, &[8; 300], true);
                }
                Event::Trailers { stream } => {
                    let trailers = connection.trailers(stream).expect("announced trailers");
                    assert!(find(trailers.lines(), b"\r\n\r\n").is_none(), "trailers end no section");
                    connection.recycle(trailers);
                }
                Event::End { stream } if self.habit & 16 == 0 => connection.close(stream),
                Event::Reset { stream, .. } if self.habit & 32 == 0 => connection.close(stream),
                _ => {}
            }
        }
    }

    fn head(&mut self, role: Role, connection: &mut h2::Connection, stream: StreamId, end: bool) {
        // A stream that was reset meanwhile may have been let go of.
        let Some(fields) = connection.head(stream) else { return };
        let mut text = Vec::new();
        let mut room = uninit_headers::<MAX_FIELDS>();
        if role == Role::Server {
            self.ids.push(stream);
            if request_text(&fields, end, [0; 16], &mut text).is_ok()
                && let Ok(parsed) = parse_request(&text, &mut room, &Limits::default())
            {
                assert_eq!(parsed.expect("a whole head").head_len, text.len(), "one head");
            }
        } else if response_text(&fields, end, &AskedOf::default(), &mut text).is_ok() {
            let asked = Asked { method: "GET", upgrade: None };
            if let Ok(parsed) = parse_response(&text, &mut room, &Limits::default(), &asked) {
                assert_eq!(parsed.expect("a whole head").head_len, text.len(), "one head");
            }
        }
        connection.recycle(fields);
    }
}
