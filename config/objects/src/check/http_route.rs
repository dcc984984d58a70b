//! HTTPRoutes: the schema and the rules of the Gateway API's CRD.

use std::collections::HashSet;

use gateway_api::apis::experimental::httproutes::{
    HttpRoute, HttpRouteRules, HttpRouteRulesBackendRefs, HttpRouteRulesFilters,
    HttpRouteRulesFiltersType as FilterType, HttpRouteRulesMatches,
    HttpRouteRulesMatchesHeadersType as HeaderType, HttpRouteRulesMatchesPathType as PathType,
    HttpRouteRulesMatchesQueryParamsType as QueryType, HttpRouteRulesRetry, HttpRouteRulesTimeouts,
};

use super::{Checker, filter, route};

/// Most `retry.attempts`.
const MAX_ATTEMPTS: i64 = 100;

/// Everything of an HTTPRoute.
pub(super) fn http_route(c: &mut Checker, object: &HttpRoute) {
    let spec = &object.spec;
    c.at("spec", |c| {
        route::head(c, object);
        let rules = spec.rules.as_deref().unwrap_or_default();
        c.must_at("rules", spec.rules.is_none() || !rules.is_empty(), "at least one is needed");
        route::rules(c, rules, |rule| rule.matches.as_ref().map_or(0, Vec::len), |rule| rule.name.as_deref());
        c.each("rules", rules, rule);
    });
}

fn rule(c: &mut Checker, rule: &HttpRouteRules) {
    c.some("name", rule.name.as_ref(), |c, name| c.subdomain(name));
    c.at_most("matches", rule.matches.as_deref().unwrap_or_default(), 64);
    c.each_of("matches", &rule.matches, one_match);
    c.at_most("backendRefs", rule.backend_refs.as_deref().unwrap_or_default(), 16);
    c.each_of("backendRefs", &rule.backend_refs, |c, backend| backend_ref(c, backend, rule));
    let filters = rule.filters.as_deref().unwrap_or_default();
    filter::filters(c, filters, rule);
    let redirects = filters.iter().any(|filter| filter.r#type == FilterType::RequestRedirect);
    let backends = rule.backend_refs.as_ref().map_or(0, Vec::len);
    c.must_at("backendRefs", !redirects || backends == 0, "a rule with a RequestRedirect filter has none");
    c.some("timeouts", rule.timeouts.as_ref(), timeouts);
    c.some("retry", rule.retry.as_ref(), retry);
}

fn backend_ref(c: &mut Checker, backend: &HttpRouteRulesBackendRefs, rule: &HttpRouteRules) {
    route::backend_ref(c, &backend.into());
    let Some(filters) = &backend.filters else { return };
    // The generated types differ in name only.
    let same = serde_json::to_value(filters).and_then(serde_json::from_value::<Vec<HttpRouteRulesFilters>>);
    match same {
        Ok(filters) => filter::filters(c, &filters, rule),
        Err(error) => c.at("filters", |c| c.fault(error.to_string())),
    }
}

fn one_match(c: &mut Checker, one: &HttpRouteRulesMatches) {
    if let Some(path) = &one.path {
        let kind = path.r#type.as_ref().unwrap_or(&PathType::PathPrefix);
        c.at("path", |c| c.some("value", path.value.as_ref(), |c, value| path_value(c, kind, value)));
    }
    let headers = one.headers.as_deref().unwrap_or_default();
    c.at_most("headers", headers, 16);
    c.each("headers", headers, |c, header| {
        c.at("name", |c| filter::header_name(c, &header.name));
        c.must_at("value", (1..=4096).contains(&header.value.len()), "must have 1 to 4096 characters");
        if header.r#type == Some(HeaderType::RegularExpression) {
            c.at("value", |c| c.regex(&header.value));
        }
    });
    let names: Vec<String> = headers.iter().map(|header| header.name.to_ascii_lowercase()).collect();
    c.unique("headers", names.iter().map(String::as_str));
    let query = one.query_params.as_deref().unwrap_or_default();
    c.at_most("queryParams", query, 16);
    c.each("queryParams", query, |c, param| {
        c.at("name", |c| filter::header_name(c, &param.name));
        c.must_at("value", (1..=1024).contains(&param.value.len()), "must have 1 to 1024 characters");
        if param.r#type == Some(QueryType::RegularExpression) {
            c.at("value", |c| c.regex(&param.value));
        }
    });
    c.unique("queryParams", query.iter().map(|param| param.name.as_str()));
}

fn path_value(c: &mut Checker, kind: &PathType, value: &str) {
    c.must(value.len() <= 1024, "must have at most 1024 characters");
    if *kind == PathType::RegularExpression {
        return c.regex(value);
    }
    c.must(value.starts_with('/'), format!("`{value}` must begin with `/`"));
    for part in ["//", "/./", "/../", "%2f", "%2F", "#"] {
        c.must(!value.contains(part), format!("`{value}` must not contain `{part}`"));
    }
    for end in ["/.", "/.."] {
        c.must(!value.ends_with(end), format!("`{value}` must not end with `{end}`"));
    }
    c.must(is_path(value), format!("`{value}` has a character that a path cannot have unescaped"));
}

/// The characters of RFC 3986 §3.3, and `#`, which has a message of its own.
fn is_path(value: &str) -> bool {
    let bytes = value.as_bytes();
    (0..bytes.len()).all(|at| match bytes[at] {
        b'%' => bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)),
        byte => byte.is_ascii_alphanumeric() || b"-/._~!$&'()*+,;=:@#".contains(&byte),
    })
}

fn timeouts(c: &mut Checker, timeouts: &HttpRouteRulesTimeouts) {
    let mut read = |key: &str, text: &Option<String>| -> Option<u128> {
        let mut millis = None;
        c.some(key, text.as_ref(), |c, text| millis = duration(c, text));
        millis
    };
    let request = read("request", &timeouts.request);
    let backend = read("backendRequest", &timeouts.backend_request);
    if let (Some(request), Some(backend)) = (request, backend) {
        // Zero means no limit.
        let fits = request == 0 || backend <= request;
        c.must_at("backendRequest", fits, "must not be longer than `request`");
    }
}

/// The codes and numbers of `retry`.
fn retry(c: &mut Checker, retry: &HttpRouteRulesRetry) {
    c.each_of("codes", &retry.codes, |c, code| c.range(*code, 400, 599));
    c.some("attempts", retry.attempts.as_ref(), |c, attempts| c.range(*attempts, 0, MAX_ATTEMPTS));
    c.some("backoff", retry.backoff.as_ref(), |c, backoff| {
        duration(c, backoff);
    });
}

/// The milliseconds of a GEP-2257 duration.
pub(super) fn duration(c: &mut Checker, text: &str) -> Option<u128> {
    let parsed = text.parse::<gateway_api::Duration>();
    c.must(parsed.is_ok(), format!("`{text}` is not a duration such as `10s` or `1m30s`"));
    parsed.ok().map(|duration| duration.as_millis())
}

/// Names used twice in one list.
pub(super) fn repeated<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut seen = HashSet::new();
    names.map(str::to_ascii_lowercase).find(|name| !seen.insert(name.clone()))
}
