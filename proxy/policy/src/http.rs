//! The verdict of an HTTP request, as Cilium's proxy makes it: expressions match the whole value,
//! several fields of one name count as one, joined by commas.

use std::borrow::Cow;
use std::sync::Arc;

use model::policy::{HeaderMismatch, HttpRule, HttpRules, MismatchAction, RuleRef};
use model::request::HttpRequest;
use regex::Regex;

/// A change to the request's header fields that a rule asks for. Names are lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderEdit {
    /// Append a field.
    Add(Arc<str>, Arc<str>),
    /// Replace all fields of the name by one.
    Set(Arc<str>, Arc<str>),
    /// Remove all fields of the name.
    Remove(Arc<str>),
}

/// A header that was not as a `headerMatches` element with an action wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The element.
    pub wanted: HeaderMismatch,
    /// What it does about it; `None`: it only takes note.
    pub edit: Option<HeaderEdit>,
}

/// What policy says of a request.
#[derive(Clone, Debug)]
pub struct RequestVerdict<'a> {
    /// Whether it passes.
    pub allowed: bool,
    /// The rule that lets it pass; `None` when none does or a built-in one does.
    pub by: Option<&'a Arc<RuleRef>>,
    /// Changes to make before it is forwarded, in order.
    pub edits: Vec<HeaderEdit>,
    /// Headers to note in the flow record.
    pub mismatches: Vec<Mismatch>,
}

/// Judges a request. Nothing is allocated unless a matching rule has a `headerMatches` element
/// with an action whose header does not match.
pub fn request<'a>(rules: &'a HttpRules, request: &HttpRequest<'_>) -> RequestVerdict<'a> {
    let mut verdict = RequestVerdict { allowed: false, by: None, edits: Vec::new(), mismatches: Vec::new() };
    let acting = rules.rules.iter().any(|rule| !rule.edits.is_empty());
    for rule in &rules.rules {
        if !matches(rule, request, &verdict.edits) {
            continue;
        }
        verdict.by = verdict.by.or(Some(&rule.by));
        verdict.allowed = true;
        // Actions of every rule that matches are carried out, so those after the first count.
        if !acting {
            return verdict;
        }
        for wanted in &rule.edits {
            act(wanted, request, &mut verdict);
        }
    }
    if let (false, Some(by)) = (verdict.allowed, &rules.any) {
        verdict.allowed = true;
        verdict.by = by.as_ref();
    }
    verdict
}

fn matches(rule: &HttpRule, request: &HttpRequest<'_>, edits: &[HeaderEdit]) -> bool {
    let whole = |regex: &Option<Regex>, text: &str| regex.as_ref().is_none_or(|r| r.is_match(text));
    whole(&rule.path, request.target)
        && whole(&rule.method, request.method)
        && whole(&rule.host, request.authority)
        && rule.headers.iter().all(|wanted| {
            let found = header(request, edits, &wanted.name);
            match &wanted.value {
                None => found.is_some(),
                Some(value) => found.is_some_and(|found| *found == *value.as_bytes()),
            }
        })
}

fn act(wanted: &HeaderMismatch, request: &HttpRequest<'_>, verdict: &mut RequestVerdict<'_>) {
    let found = header(request, &verdict.edits, &wanted.name);
    let is_met = match (&wanted.value, &found) {
        (None, found) => found.is_some(),
        (Some(value), Some(found)) => same(value.as_bytes(), found),
        (Some(_), None) => false,
    };
    if is_met {
        return;
    }
    let name = || wanted.name.clone();
    let value = || wanted.value.clone().unwrap_or_default();
    let edit = match wanted.action {
        MismatchAction::Log => None,
        MismatchAction::Add => Some(HeaderEdit::Add(name(), value())),
        MismatchAction::Replace => Some(HeaderEdit::Set(name(), value())),
        // There is nothing to delete: the header is absent.
        MismatchAction::Delete if found.is_none() => return,
        MismatchAction::Delete => Some(HeaderEdit::Remove(name())),
    };
    verdict.edits.extend(edit.clone());
    verdict.mismatches.push(Mismatch { wanted: wanted.clone(), edit });
}

/// The value of a header after the edits so far: all its fields, joined by commas.
fn header<'r>(request: &HttpRequest<'r>, edits: &[HeaderEdit], name: &str) -> Option<Cow<'r, [u8]>> {
    match name {
        ":path" => return Some(Cow::Borrowed(request.target.as_bytes())),
        ":method" => return Some(Cow::Borrowed(request.method.as_bytes())),
        ":authority" | "host" => return Some(Cow::Borrowed(request.authority.as_bytes())),
        _ => {}
    }
    let mut found = None;
    for value in request.values(name) {
        found = Some(joined(found, Cow::Borrowed(value)));
    }
    for edit in edits {
        match edit {
            HeaderEdit::Add(at, value) if **at == *name => {
                found = Some(joined(found, Cow::Owned(value.as_bytes().to_vec())));
            }
            HeaderEdit::Set(at, value) if **at == *name => {
                found = Some(Cow::Owned(value.as_bytes().to_vec()))
            }
            HeaderEdit::Remove(at) if **at == *name => found = None,
            _ => {}
        }
    }
    found
}

fn joined<'r>(before: Option<Cow<'r, [u8]>>, value: Cow<'r, [u8]>) -> Cow<'r, [u8]> {
    let Some(before) = before else { return value };
    let mut both = before.into_owned();
    both.push(b',');
    both.extend_from_slice(&value);
    Cow::Owned(both)
}

/// Compares in a time that does not depend on where the first difference is: values of
/// `headerMatches` are often keys.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}

#[cfg(test)]
mod tests;
