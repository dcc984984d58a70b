//! Why an HTTP rule does not match, found by asking the policy about each field of it alone.

use std::sync::Arc;

use model::policy::{HttpRule, HttpRules};
use model::request::HttpRequest;
use regex::Regex;

use crate::explain::answer::Miss;

/// The rules that do not match, those with the fewest mismatches first.
pub(super) fn misses(rules: &HttpRules, request: &HttpRequest<'_>) -> Vec<Miss> {
    let mut misses: Vec<Miss> = rules
        .rules
        .iter()
        .map(|rule| Miss { rule: rule.by.to_string(), reasons: reasons(rule, request) })
        .collect();
    misses.sort_by_key(|miss| miss.reasons.len());
    misses
}

fn reasons(rule: &HttpRule, request: &HttpRequest<'_>) -> Vec<String> {
    let mut reasons = Vec::new();
    let mut ask = |part: HttpRule, reason: &dyn Fn() -> String| {
        let rules = HttpRules { any: None, rules: vec![part.into()] };
        if !policy::request(&rules, request).allowed {
            reasons.push(reason());
        }
    };
    let texts = [
        ("method", &rule.method, request.method),
        ("path", &rule.path, request.target),
        ("host", &rule.host, request.authority),
    ];
    for (name, wanted, sent) in texts {
        let mut part = empty(rule);
        match name {
            "method" => part.method.clone_from(wanted),
            "path" => part.path.clone_from(wanted),
            _ => part.host.clone_from(wanted),
        }
        ask(part, &|| format!("{name} {sent:?} does not match {:?}", wanted.as_ref().map_or("", written)));
    }
    for header in &rule.headers {
        let part = HttpRule { headers: vec![header.clone()], ..empty(rule) };
        ask(part, &|| {
            let sent: Vec<String> =
                request.values(&header.name).map(|v| String::from_utf8_lossy(v).into_owned()).collect();
            match (&header.value, sent.is_empty()) {
                (_, true) => format!("header {:?} is missing", header.name),
                // The wanted value may be a secret: it is not shown.
                (_, false) => format!("header {:?} has another value: {:?}", header.name, sent.join(",")),
            }
        });
    }
    reasons
}

/// A rule that matches everything.
fn empty(rule: &HttpRule) -> HttpRule {
    HttpRule {
        path: None,
        method: None,
        host: None,
        headers: Vec::new(),
        edits: Vec::new(),
        by: Arc::clone(&rule.by),
    }
}

/// An expression as it was written, without what makes it match the whole text.
pub(super) fn written(regex: &Regex) -> &str {
    let text = regex.as_str();
    let inner = text.strip_prefix("^(?:").and_then(|text| text.strip_suffix(")$"));
    inner.unwrap_or(text)
}
