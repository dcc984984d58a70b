//! The paths, what becomes of each, and how the most lenient endpoint would read what is forwarded.

use std::borrow::Cow;

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    /// It is forwarded with this target.
    As(&'static str),
    /// It is not allowed.
    Refused,
    /// It is malformed: 400.
    Bad,
    /// The client is told to ask for this: 307.
    To(&'static str),
}

use Outcome::{As, Bad, Refused, To};

pub(super) const TABLE: &[(&str, Outcome)] = &[
    // What is meant.
    ("/public", As("/public")),
    ("/public/", As("/public/")),
    ("/public/x?y=z", As("/public/x?y=z")),
    ("/secret", Refused),
    ("/", Refused),
    ("/publicity", Refused),
    // Dot segments, as they are and escaped.
    ("/public/../secret", Refused),
    ("/public/./../secret", Refused),
    ("/public/x/../../secret", Refused),
    ("/public/..", Refused),
    ("/public/%2e%2e/secret", Refused),
    ("/public/.%2E/secret", Refused),
    ("/public/%2e./secret", Refused),
    ("/public/x/%2e%2e/%2E%2e/secret", Refused),
    ("/public/..?/public", Refused),
    ("/../secret", Refused),
    ("/./secret", Refused),
    ("/../public/x", As("/public/x")),
    ("/x/../public/x", As("/public/x")),
    ("/public/a/../b", As("/public/b")),
    ("/public/%2e/x", As("/public/x")),
    ("/public/x/..", As("/public/")),
    ("/public/...", As("/public/...")),
    ("/public/..x", As("/public/..x")),
    ("/public../secret", Refused),
    // Escapes of what needs none.
    ("/%73ecret", Refused),
    ("/%70ublic/x", As("/public/x")),
    ("/public/%61%7e", As("/public/a~")),
    ("/public/%20%3f%23%25", As("/public/%20%3f%23%25")),
    // Once more than once: the endpoint sees what was matched.
    ("/public/%252e%252e/secret", As("/public/%252e%252e/secret")),
    ("/public/%252f..%252fsecret", As("/public/%252f..%252fsecret")),
    // Slashes: repeated, escaped, backwards.
    ("//secret", Refused),
    ("//public//x", As("/public/x")),
    // Dots go before slashes are merged: the segment that they take back is the empty one.
    ("/public//../secret", As("/public/secret")),
    ("/public//../../secret", Refused),
    ("//public/..//secret", Refused),
    ("/public%2f..%2fsecret", To("/secret")),
    ("/public/..%2fsecret", To("/secret")),
    ("/public/..%2Fsecret", To("/secret")),
    ("/public%2fx", To("/public/x")),
    ("/%2fsecret", To("/secret")),
    ("/public/%2e%2e%2fsecret", To("/secret")),
    ("/public%5c..%5csecret", To("/secret")),
    ("/public/..%5Csecret", To("/secret")),
    ("/public\\..\\secret", Refused),
    ("/public/..\\secret", Refused),
    ("/\\secret", Refused),
    ("/public\\x", As("/public/x")),
    // Path parameters.
    ("/public;/../secret", Refused),
    ("/public/..;/secret", Bad),
    ("/public/..;x=y/secret", Bad),
    ("/public/%2e%2e;/secret", Bad),
    ("/public/.;/../secret", Bad),
    ("/public/..%3b/secret", Bad),
    ("/public/%2e%2E%3Bx=y/secret", Bad),
    ("/public/.%3b/..%3b/secret", Bad),
    ("/secret;/public", Refused),
    ("/secret;x=/public/", Refused),
    ("/public;x=y", Refused),
    ("/public/a;x=y/b", As("/public/a;x=y/b")),
    ("/public/;/x", As("/public/;/x")),
    // NUL and escapes that are none.
    ("/public/%00/../secret", Bad),
    ("/public%00", Bad),
    ("/secret%00/public", Bad),
    ("/public/%", Bad),
    ("/public/%2", Bad),
    ("/public/%zz", Bad),
    ("/public/%u002e%u002e/secret", Bad),
    ("/public/%2%65%2e/secret", Bad),
    // Case.
    ("/PUBLIC", Refused),
    ("/Public/x", Refused),
    ("/pubLic/../SECRET", Refused),
    ("/%50ublic", Refused),
    // Query and fragment, which are no path.
    ("/secret?/public", Refused),
    ("/secret?x=/public/../public", Refused),
    ("/public/?/../secret", As("/public/?/../secret")),
    ("/public/x?y=%2f..%2fsecret", As("/public/x?y=%2f..%2fsecret")),
    ("/public#/../secret", Bad),
    ("/secret#/public", Bad),
    // Letters that some matchers take for more.
    ("/*", Refused),
    ("/secret*", Refused),
    ("/public/*", As("/public/*")),
    ("/public/{x}|<y>", As("/public/%7Bx%7D%7C%3Cy%3E")),
];

/// The path as it is read by an endpoint that unescapes once, takes backslashes for slashes, cuts
/// parameters off before that and after it, resolves dots and minds no case.
pub(super) fn most_lenient(target: &str) -> String {
    let path = target.split('?').next().unwrap_or_default();
    let decoded = unescaped(&without_parameters(path)).to_ascii_lowercase().replace('\\', "/");
    let mut segments: Vec<Cow<'_, str>> = Vec::new();
    for segment in without_parameters(&decoded).split('/') {
        match segment.trim() {
            "" | "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment.to_owned().into()),
        }
    }
    format!("/{}", segments.join("/"))
}

fn without_parameters(path: &str) -> String {
    let segments = path.split('/').map(|segment| segment.split(';').next().unwrap_or_default());
    segments.collect::<Vec<_>>().join("/")
}

fn unescaped(path: &str) -> String {
    let mut parts = path.split('%');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(char::from(byte));
                out.push_str(&part[2..]);
            }
            None => {
                out.push('%');
                out.push_str(part);
            }
        }
    }
    out
}
