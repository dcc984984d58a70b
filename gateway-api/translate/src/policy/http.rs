//! `rules.http` elements to compiled HTTP rules.

use std::sync::Arc;

use model::policy::{HeaderMismatch, HttpRule, MismatchAction, RequiredHeader};
use objects::cilium::HeaderMatch;
use regex::Regex;

use super::evaluation::Fault;
use super::re2;
use super::rule::{Scope, later};

/// Compiles one element. Empty strings are as good as absent.
pub(super) fn rule(
    scope: &Scope<'_>,
    place: &str,
    rule: &objects::cilium::HttpRule,
) -> Result<HttpRule, Fault> {
    let whole = |name: &str, pattern: &Option<String>| -> Result<Option<Regex>, Fault> {
        let Some(pattern) = pattern.as_deref().filter(|pattern| !pattern.is_empty()) else { return Ok(None) };
        re2::whole(pattern).map(Some).map_err(|message| Fault::new(format!("{place}.{name}"), message))
    };
    let mut compiled = HttpRule {
        path: whole("path", &rule.path)?,
        method: whole("method", &rule.method)?,
        host: whole("host", &rule.host)?,
        headers: Vec::new(),
        edits: Vec::new(),
        by: scope.at(place),
    };
    for (at, header) in rule.headers.iter().flatten().enumerate() {
        compiled.headers.push(required(&format!("{place}.headers[{at}]"), header)?);
    }
    for (at, header) in rule.header_matches.iter().flatten().enumerate() {
        header_match(&format!("{place}.headerMatches[{at}]"), header, &mut compiled)?;
    }
    Ok(compiled)
}

/// `Name: value` (the whole value) or `Name` (presence).
fn required(field: &str, header: &str) -> Result<RequiredHeader, Fault> {
    let (name, value) = match header.split_once(' ') {
        Some((name, value)) => (name.trim_end_matches(':'), Some(value.into())),
        None => (header, None),
    };
    Ok(RequiredHeader { name: field_name(field, name)?, value })
}

fn header_match(field: &str, header: &HeaderMatch, rule: &mut HttpRule) -> Result<(), Fault> {
    later(field, &[("secret", header.secret.is_some())])?;
    let name = field_name(&format!("{field}.name"), &header.name)?;
    let value: Option<Arc<str>> = header.value.as_deref().filter(|value| !value.is_empty()).map(Into::into);
    let action = match header.mismatch.as_deref() {
        None | Some("") => {
            rule.headers.push(RequiredHeader { name, value });
            return Ok(());
        }
        Some("LOG") => MismatchAction::Log,
        Some("ADD") => MismatchAction::Add,
        Some("DELETE") => MismatchAction::Delete,
        Some("REPLACE") => MismatchAction::Replace,
        Some(other) => {
            let message = format!("`{other}` is not one of LOG, ADD, DELETE and REPLACE");
            return Err(Fault::new(format!("{field}.mismatch"), message));
        }
    };
    if action != MismatchAction::Log && is_framing(&name) {
        let message = format!("a policy cannot change `{name}`, which says where a request goes or ends");
        return Err(Fault::new(format!("{field}.name"), message));
    }
    let is_field_value = |value: &str| !value.bytes().any(|c| matches!(c, 0..=8 | 10..=31 | 127));
    if !value.as_deref().is_none_or(is_field_value) {
        return Err(Fault::new(format!("{field}.value"), "a header value has no control characters"));
    }
    rule.edits.push(HeaderMismatch { name, value, action });
    Ok(())
}

/// A field name (RFC 9110 §5.6.2 token) in lower case, or one of the request's own parts as HTTP/2
/// names them.
fn field_name(field: &str, name: &str) -> Result<Arc<str>, Fault> {
    let is_token = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
    let is_pseudo = matches!(name, ":path" | ":method" | ":authority");
    if is_pseudo || (!name.is_empty() && name.bytes().all(is_token)) {
        return Ok(name.to_ascii_lowercase().into());
    }
    Err(Fault::new(field, format!("`{name}` is not a header name")))
}

fn is_framing(name: &str) -> bool {
    let framing = ["host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"];
    name.starts_with(':') || framing.contains(&name)
}
