//! The one path normalisation: its result is what policy and routes match and what is forwarded.
//!
//! As Envoy does it for Cilium (`normalize_path`, `merge_slashes`, `UNESCAPE_AND_REDIRECT`), on the path only;
//! the query is never touched:
//!
//! 1. `%2f` and `%5c` are unescaped, and the client is redirected to the result of all the steps;
//! 2. `\` becomes `/`; escapes of unreserved characters are decoded, all others kept as they are;
//!    `"`, `<`, `>`, `^`, `` ` ``, `{`, `|` and `}` are escaped; dot segments are resolved, escaped dots too (RFC 3986 §5.2.4);
//! 3. repeated slashes are merged.
//!
//! Stricter than Envoy, and deliberately: an escape that is none (`%zz`) is refused, where Envoy keeps it; so
//! is a dot segment with parameters (`..;x`, `..%3bx`), which some backends resolve and the proxy would not.

use std::borrow::Cow;
use std::fmt;

/// A path and query in the one form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Normalised<'a> {
    target: Cow<'a, str>,
    path_len: usize,
}

impl<'a> Normalised<'a> {
    /// Path and query: `/public?x=1`.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The path alone: `/public`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.target[..self.path_len]
    }

    /// The query without `?`; `None` when there is no `?`.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.target.get(self.path_len + 1..)
    }

    /// Nothing had to change.
    #[must_use]
    pub fn is_borrowed(&self) -> bool {
        matches!(self.target, Cow::Borrowed(_))
    }

    /// Path and query, without a copy where nothing changed.
    #[must_use]
    pub fn into_target(self) -> Cow<'a, str> {
        self.target
    }
}

/// Why a target is not forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathError {
    /// It has escaped slashes or backslashes: answer 307 with this `Location` (gRPC: refuse).
    RedirectTo(String),
    /// A control byte, a space, a byte that is not ASCII, or `%00`: answer 400.
    Byte,
    /// `%` without two hexadecimal digits: answer 400.
    Escape,
    /// `#`: no fragment is sent in a request; answer 400.
    Fragment,
    /// A dot segment with parameters (`..;x`, `..%3bx`): answer 400.
    DotParameters,
    /// It does not start with `/`: answer 400.
    Relative,
}

impl PathError {
    /// Status of the answer: 307 or 400.
    #[must_use]
    pub fn status(&self) -> u16 {
        if matches!(self, Self::RedirectTo(_)) { 307 } else { 400 }
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RedirectTo(_) => "escaped slash in path",
            Self::Byte => "control or non-ASCII byte in target",
            Self::Escape => "invalid percent-encoding in path",
            Self::Fragment => "fragment in target",
            Self::DotParameters => "dot segment with parameters in path",
            Self::Relative => "path does not start with a slash",
        })
    }
}

impl std::error::Error for PathError {}

/// Normalises a target: path and query, or `*`. An empty path becomes `/` (an absolute form may lack it).
///
/// # Errors
/// See [`PathError`].
pub fn normalise(target: &str) -> Result<Normalised<'_>, PathError> {
    let bytes = target.as_bytes();
    let path_len = memchr::memchr(b'?', bytes).unwrap_or(bytes.len());
    check_bytes(&bytes[path_len..])?;
    if target == "*" || is_plain(&bytes[..path_len]) {
        return Ok(Normalised { target: Cow::Borrowed(target), path_len });
    }
    rebuilt(target, path_len)
}

/// Starts with a slash and needs no step; one look at each byte.
fn is_plain(path: &[u8]) -> bool {
    if path.first() != Some(&b'/') {
        return false;
    }
    let mut after_slash = false;
    for &byte in path {
        let class = CLASS[byte as usize];
        // After a slash neither a slash nor a dot is plain: `//`, `/.`, `/..`.
        if class == Class::Other || (after_slash && class != Class::Plain) {
            return false;
        }
        after_slash = class == Class::Slash;
    }
    true
}

/// Bytes that no target may have.
fn check_bytes(bytes: &[u8]) -> Result<(), PathError> {
    for &byte in bytes {
        if !(0x21..0x7f).contains(&byte) {
            return Err(PathError::Byte);
        }
        if byte == b'#' {
            return Err(PathError::Fragment);
        }
    }
    Ok(())
}

/// All the steps, for a path that may need some.
fn rebuilt(target: &str, path_len: usize) -> Result<Normalised<'_>, PathError> {
    let (path, query) = target.split_at(path_len);
    check_bytes(path.as_bytes())?;
    if !path.is_empty() && !path.starts_with(['/', '\\']) && !starts_with_escaped_slash(path) {
        return Err(PathError::Relative);
    }
    let (decoded, escaped_slash) = decoded(path.as_bytes())?;
    let mut canonical = resolved(&decoded)?;
    if canonical == path {
        return Ok(Normalised { target: Cow::Borrowed(target), path_len });
    }
    let path_len = canonical.len();
    canonical.push_str(query);
    if escaped_slash {
        return Err(PathError::RedirectTo(canonical));
    }
    Ok(Normalised { target: Cow::Owned(canonical), path_len })
}

fn starts_with_escaped_slash(path: &str) -> bool {
    matches!(path.as_bytes(), [b'%', b'2', b'f' | b'F', ..] | [b'%', b'5', b'c' | b'C', ..])
}

/// Steps 1 and 2 without the dot segments, and whether step 1 found anything.
fn decoded(path: &[u8]) -> Result<(String, bool), PathError> {
    let mut out = String::with_capacity(path.len() + 8);
    let mut escaped_slash = false;
    let mut at = 0;
    while let Some(&byte) = path.get(at) {
        at += 1;
        match byte {
            b'%' => {
                let digits = path.get(at..at + 2).ok_or(PathError::Escape)?;
                let value = hex(digits[0])? << 4 | hex(digits[1])?;
                at += 2;
                match value {
                    0 => return Err(PathError::Byte),
                    b'/' | b'\\' => {
                        escaped_slash = true;
                        out.push('/');
                    }
                    _ if is_unreserved(value) => out.push(char::from(value)),
                    _ => out.extend(['%', char::from(digits[0]), char::from(digits[1])]),
                }
            }
            b'\\' => out.push('/'),
            b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' => {
                out.extend(['%', upper_hex(byte >> 4), upper_hex(byte & 15)]);
            }
            _ => out.push(char::from(byte)),
        }
    }
    Ok((out, escaped_slash))
}

/// Dot segments resolved, then slashes merged: `/a//../b` is `/a/b`, as googleurl has it.
fn resolved(path: &str) -> Result<String, PathError> {
    let mut segments: Vec<&str> = Vec::new();
    let mut parts = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        match part {
            "." | ".." => {
                if part == ".." {
                    segments.pop();
                }
                if is_last {
                    segments.push("");
                }
            }
            _ if is_dots_with_parameters(part) => return Err(PathError::DotParameters),
            _ => segments.push(part),
        }
    }
    let mut out = String::with_capacity(path.len());
    for segment in segments.iter().filter(|segment| !segment.is_empty()) {
        out.push('/');
        out.push_str(segment);
    }
    if out.is_empty() || segments.last() == Some(&"") {
        out.push('/');
    }
    Ok(out)
}

/// `.` or `..`, and a semicolon behind it, escaped or not.
fn is_dots_with_parameters(segment: &str) -> bool {
    let after = segment.strip_prefix("..").or_else(|| segment.strip_prefix('.'));
    matches!(after.map(str::as_bytes), Some([b';', ..] | [b'%', b'3', b'b' | b'B', ..]))
}

fn hex(digit: u8) -> Result<u8, PathError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(PathError::Escape),
    }
}

fn upper_hex(nibble: u8) -> char {
    char::from(b"0123456789ABCDEF"[usize::from(nibble & 15)])
}

/// RFC 3986 §2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// What a byte of a path means to the fast look.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Stays as it is, wherever it stands.
    Plain,
    Slash,
    Dot,
    /// Needs the slow path.
    Other,
}

const CLASS: [Class; 256] = {
    let mut table = [Class::Other; 256];
    let mut byte = 0x21_u8;
    while byte < 0x7f {
        table[byte as usize] = match byte {
            b'/' => Class::Slash,
            b'.' => Class::Dot,
            b'#' | b'%' | b'?' | b'\\' => Class::Other,
            b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' => Class::Other,
            _ => Class::Plain,
        };
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests;
