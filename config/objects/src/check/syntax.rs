//! The syntax of names, hostnames and other texts.

use std::net::IpAddr;

use super::Checker;

/// A DNS-1123 label (RFC 1123): at most 63 of `a-z`, `0-9` and `-`, no `-` at either end.
pub(super) fn is_label(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty()
        && text.len() <= 63
        && text.bytes().all(allowed)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// A DNS-1123 subdomain: at most 253 bytes of labels joined by dots.
pub(super) fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// A header name or another HTTP token (RFC 9110 §5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// A header value (RFC 9110 §5.5): no control characters, no space at either end.
pub(super) fn is_header_value(text: &str) -> bool {
    text.trim_matches([' ', '\t']) == text && !text.bytes().any(|b| (b < 0x20 && b != b'\t') || b == 0x7f)
}

impl Checker {
    /// A DNS-1123 label.
    pub(super) fn label(&mut self, text: &str) {
        let rule = "lower-case letters, digits and `-`, at most 63, with a letter or digit at both ends";
        self.must(is_label(text), format!("`{text}` is not a name ({rule})"));
    }

    /// A DNS-1123 subdomain.
    pub(super) fn subdomain(&mut self, text: &str) {
        let rule =
            "lower-case letters, digits, `-` and `.`, at most 253, with a letter or digit at both ends";
        self.must(is_subdomain(text), format!("`{text}` is not a name ({rule})"));
    }

    /// A hostname of the Gateway API: a subdomain that is no IP address, or one behind `*.`.
    pub(super) fn hostname(&mut self, text: &str, wildcard: bool) {
        let rest = text.strip_prefix("*.").filter(|_| wildcard).unwrap_or(text);
        let good = is_subdomain(rest) && text.len() <= 253 && text.parse::<IpAddr>().is_err();
        self.must(good, format!("`{text}` is not a hostname"));
    }

    /// An IP address.
    pub(super) fn ip(&mut self, text: &str) {
        self.must(text.parse::<IpAddr>().is_ok(), format!("`{text}` is not an IP address"));
    }

    /// A label key: an optional DNS prefix and `/`, then at most 63 of letters, digits, `-_.`.
    pub(super) fn label_key(&mut self, text: &str) {
        let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
        let good = prefix.is_none_or(is_subdomain) && !name.is_empty() && is_label_text(name);
        self.must(good, format!("`{text}` is not a label key"));
    }

    /// A label value: empty, or at most 63 of letters, digits, `-_.`.
    pub(super) fn label_value(&mut self, text: &str) {
        self.must(is_label_text(text), format!("`{text}` is not a label value"));
    }

    /// A regular expression.
    pub(super) fn regex(&mut self, text: &str) {
        if let Err(error) = regex::Regex::new(text) {
            let reason = error.to_string();
            let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
            self.fault(format!("`{text}` is not a regular expression: {reason}"));
        }
    }
}

fn is_label_text(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
        && edge(bytes.first())
        && edge(bytes.last())
}
