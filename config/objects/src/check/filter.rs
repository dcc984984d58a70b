//! The filters of an HTTPRoute's rule or backend reference.

use gateway_api::apis::experimental::httproutes::{
    HttpRouteRules, HttpRouteRulesFilters, HttpRouteRulesFiltersCors, HttpRouteRulesFiltersRequestMirror,
    HttpRouteRulesFiltersRequestRedirect, HttpRouteRulesFiltersType as FilterType,
    HttpRouteRulesMatchesPathType as PathType,
};

use super::http_route::repeated;
use super::{Checker, syntax};

/// Status codes of a redirect.
const REDIRECT_CODES: [i64; 5] = [301, 302, 303, 307, 308];

/// `allowMethods` of a CORS filter.
const CORS_METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "*"];

/// `filters[]` of a rule, or of a backend reference of that rule.
pub(super) fn filters(c: &mut Checker, filters: &[HttpRouteRulesFilters], rule: &HttpRouteRules) {
    c.at_most("filters", filters, 16);
    c.each("filters", filters, |c, filter| {
        only_its_own(c, filter);
        one(c, filter, rule);
    });
    let count = |kind: FilterType| filters.iter().filter(|filter| filter.r#type == kind).count();
    for (kind, name) in [
        (FilterType::RequestHeaderModifier, "RequestHeaderModifier"),
        (FilterType::ResponseHeaderModifier, "ResponseHeaderModifier"),
        (FilterType::RequestRedirect, "RequestRedirect"),
        (FilterType::UrlRewrite, "URLRewrite"),
        (FilterType::Cors, "CORS"),
    ] {
        c.must_at("filters", count(kind) <= 1, format!("a second {name}"));
    }
    let both = count(FilterType::RequestRedirect) > 0 && count(FilterType::UrlRewrite) > 0;
    c.must_at("filters", !both, "RequestRedirect and URLRewrite exclude each other");
}

/// `type` names the one field that is set.
fn only_its_own(c: &mut Checker, filter: &HttpRouteRulesFilters) {
    let fields = [
        (
            FilterType::RequestHeaderModifier,
            "requestHeaderModifier",
            filter.request_header_modifier.is_some(),
        ),
        (
            FilterType::ResponseHeaderModifier,
            "responseHeaderModifier",
            filter.response_header_modifier.is_some(),
        ),
        (FilterType::RequestMirror, "requestMirror", filter.request_mirror.is_some()),
        (FilterType::RequestRedirect, "requestRedirect", filter.request_redirect.is_some()),
        (FilterType::UrlRewrite, "urlRewrite", filter.url_rewrite.is_some()),
        (FilterType::ExtensionRef, "extensionRef", filter.extension_ref.is_some()),
        (FilterType::Cors, "cors", filter.cors.is_some()),
        (FilterType::ExternalAuth, "externalAuth", filter.external_auth.is_some()),
    ];
    for (kind, name, is_set) in fields {
        let wanted = kind == filter.r#type;
        if wanted && !is_set {
            c.at(name, |c| c.fault("is missing: `type` names it"));
        }
        if !wanted && is_set {
            c.at(name, |c| c.fault("is not what `type` names"));
        }
    }
}

fn one(c: &mut Checker, filter: &HttpRouteRulesFilters, rule: &HttpRouteRules) {
    if let Some(edit) = &filter.request_header_modifier {
        let set = edit.set.iter().flatten().map(|h| (h.name.as_str(), h.value.as_str())).collect();
        let add = edit.add.iter().flatten().map(|h| (h.name.as_str(), h.value.as_str())).collect();
        let remove = edit.remove.as_deref().unwrap_or_default();
        c.at("requestHeaderModifier", |c| header_edits(c, set, add, remove));
    }
    if let Some(edit) = &filter.response_header_modifier {
        let set = edit.set.iter().flatten().map(|h| (h.name.as_str(), h.value.as_str())).collect();
        let add = edit.add.iter().flatten().map(|h| (h.name.as_str(), h.value.as_str())).collect();
        let remove = edit.remove.as_deref().unwrap_or_default();
        c.at("responseHeaderModifier", |c| header_edits(c, set, add, remove));
    }
    c.some("requestMirror", filter.request_mirror.as_ref(), mirror);
    c.some("requestRedirect", filter.request_redirect.as_ref(), |c, redirect| {
        self::redirect(c, redirect);
        if let Some(path) = &redirect.path {
            c.at("path", |c| path_edit(c, &path.replace_full_path, &path.replace_prefix_match, rule));
        }
    });
    c.some("cors", filter.cors.as_ref(), cors);
    c.some("urlRewrite", filter.url_rewrite.as_ref(), |c, rewrite| {
        c.some("hostname", rewrite.hostname.as_ref(), |c, hostname| c.hostname(hostname, false));
        if let Some(path) = &rewrite.path {
            c.at("path", |c| path_edit(c, &path.replace_full_path, &path.replace_prefix_match, rule));
        }
    });
}

fn header_edits(c: &mut Checker, set: Vec<(&str, &str)>, add: Vec<(&str, &str)>, remove: &[String]) {
    for (key, list) in [("set", &set), ("add", &add)] {
        c.at_most(key, list, 16);
        c.each(key, list, |c, (name, value)| {
            c.at("name", |c| header_name(c, name));
            let good = !value.is_empty() && value.len() <= 4096 && syntax::is_header_value(value);
            c.must_at("value", good, "is not a header value");
        });
    }
    c.at_most("remove", remove, 16);
    c.each("remove", remove, |c, name| header_name(c, name));
    let names = set.iter().chain(&add).map(|(name, _)| *name).chain(remove.iter().map(String::as_str));
    if let Some(name) = repeated(names) {
        c.fault(format!("names `{name}` twice"));
    }
}

/// A name of at most 256 token characters.
pub(super) fn header_name(c: &mut Checker, name: &str) {
    c.must(syntax::is_token(name) && name.len() <= 256, format!("`{name}` is not a header name"));
}

fn mirror(c: &mut Checker, mirror: &HttpRouteRulesFiltersRequestMirror) {
    c.at("backendRef", |c| {
        let backend = &mirror.backend_ref;
        c.must_at("name", !backend.name.is_empty(), "is empty");
        c.some("port", backend.port.as_ref(), |c, port| c.port(*port));
        let service = backend.kind.as_deref().unwrap_or("Service") == "Service";
        c.must_at("port", backend.port.is_some() || !service, "is missing: a Service needs one");
    });
    c.some("percent", mirror.percent.as_ref(), |c, percent| c.range(*percent, 0, 100));
    c.must_at("percent", mirror.percent.is_none() || mirror.fraction.is_none(), "excludes `fraction`");
    c.some("fraction", mirror.fraction.as_ref(), |c, fraction| {
        let denominator = fraction.denominator.unwrap_or(100);
        c.must_at("denominator", denominator >= 1, "must be at least 1");
        c.at("numerator", |c| c.range(fraction.numerator, 0, denominator.into()));
    });
}

fn redirect(c: &mut Checker, redirect: &HttpRouteRulesFiltersRequestRedirect) {
    c.some("hostname", redirect.hostname.as_ref(), |c, hostname| c.hostname(hostname, false));
    c.some("port", redirect.port.as_ref(), |c, port| c.port(*port));
    c.some("statusCode", redirect.status_code.as_ref(), |c, code| {
        c.must(REDIRECT_CODES.contains(code), format!("must be 301, 302, 303, 307 or 308, not {code}"));
    });
}

/// Sizes, and wildcards that stand alone. What an origin may be the translation knows.
fn cors(c: &mut Checker, cors: &HttpRouteRulesFiltersCors) {
    for (key, list, max) in [
        ("allowOrigins", &cors.allow_origins, 64),
        ("allowMethods", &cors.allow_methods, 9),
        ("allowHeaders", &cors.allow_headers, 64),
        ("exposeHeaders", &cors.expose_headers, 64),
    ] {
        let list = list.as_deref().unwrap_or_default();
        c.at_most(key, list, max);
        c.unique(key, list.iter().map(String::as_str));
        let alone = list.len() <= 1 || !list.iter().any(|name| name == "*");
        c.must_at(key, alone || key == "exposeHeaders", "`*` stands for all: it stands alone");
    }
    c.each_of("allowMethods", &cors.allow_methods, |c, method| c.one_of(method, &CORS_METHODS));
    c.some("maxAge", cors.max_age.as_ref(), |c, seconds| c.must(*seconds >= 1, "must be at least 1"));
}

fn path_edit(c: &mut Checker, full: &Option<String>, prefix: &Option<String>, rule: &HttpRouteRules) {
    c.must(full.is_some() != prefix.is_some(), "needs either `replaceFullPath` or `replacePrefixMatch`");
    for (key, value) in [("replaceFullPath", full), ("replacePrefixMatch", prefix)] {
        c.some(key, value.as_ref(), |c, value| {
            c.must(value.len() <= 1024, "must have at most 1024 characters")
        });
    }
    let matches = rule.matches.as_deref().unwrap_or_default();
    let by_prefix = matches.iter().all(|one| {
        let kind = one.path.as_ref().and_then(|path| path.r#type.as_ref());
        kind.is_none_or(|kind| *kind == PathType::PathPrefix)
    });
    let message = "needs a rule with at most one match, of type PathPrefix";
    c.must_at("replacePrefixMatch", prefix.is_none() || (matches.len() <= 1 && by_prefix), message);
}
