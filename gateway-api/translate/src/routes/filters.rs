//! `filters` of a rule or of a backend reference. What is not supported refuses the route: a
//! filter is never left out.

use std::sync::Arc;

use gateway_api::experimental::httproutes::{
    HttpRouteRulesFilters, HttpRouteRulesFiltersRequestMirror, HttpRouteRulesFiltersRequestRedirect,
    HttpRouteRulesFiltersRequestRedirectPathType as RedirectPath,
    HttpRouteRulesFiltersRequestRedirectScheme as Scheme, HttpRouteRulesFiltersType as Type,
    HttpRouteRulesFiltersUrlRewrite, HttpRouteRulesFiltersUrlRewritePathType as RewritePath,
};
use model::route::{Filter, HeaderEdits, Mirror, PathEdit, Redirect, Rewrite};

use super::compile::Compiler;
use super::http::RuleShape;
use crate::report;

mod cors;

/// Header fields that belong to the connection or frame the message: an edit would break it.
const FRAMING: &[&str] = &[
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A `token` of RFC 9110.
fn is_token(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(fits)
}

impl Compiler<'_> {
    /// Reads filters that have the form of an HTTPRoute's and a type of their own.
    pub(super) fn filters_like<T: serde::Serialize>(
        &mut self,
        field: &str,
        objects: Option<&Vec<T>>,
        shape: RuleShape,
    ) -> Vec<Filter> {
        let Some(objects) = objects else { return Vec::new() };
        let form = serde_json::to_value(objects);
        match form.and_then(serde_json::from_value::<Vec<HttpRouteRulesFilters>>) {
            Ok(objects) => self.filters(field, &objects, shape),
            Err(error) => {
                self.fault(field, &error.to_string());
                Vec::new()
            }
        }
    }

    /// Reads a list of filters.
    pub(super) fn filters(
        &mut self,
        field: &str,
        objects: &[HttpRouteRulesFilters],
        shape: RuleShape,
    ) -> Vec<Filter> {
        let has = |kind: Type| objects.iter().any(|object| object.r#type == kind);
        if has(Type::RequestRedirect) && has(Type::UrlRewrite) {
            self.fault(field, "RequestRedirect and URLRewrite exclude each other");
        }
        let mut filters = Vec::new();
        for (at, object) in objects.iter().enumerate() {
            let field = format!("{field}[{at}]");
            let again = objects[..at].iter().any(|earlier| earlier.r#type == object.r#type);
            if again && object.r#type != Type::RequestMirror {
                self.fault(&field, "a filter of this type stands here already");
            }
            filters.extend(self.filter(&field, object, shape));
        }
        filters
    }

    fn filter(&mut self, field: &str, object: &HttpRouteRulesFilters, shape: RuleShape) -> Option<Filter> {
        let missing = |compiler: &mut Self, name: &str| {
            compiler.fault(field, &format!("the field {name} is missing"));
            None
        };
        match object.r#type {
            Type::RequestHeaderModifier => {
                let Some(object) = &object.request_header_modifier else {
                    return missing(self, "requestHeaderModifier");
                };
                let set = object.set.iter().flatten().map(|h| (&*h.name, &*h.value));
                let add = object.add.iter().flatten().map(|h| (&*h.name, &*h.value));
                let field = format!("{field}.requestHeaderModifier");
                let edits = self.edits(&field, set, add, object.remove.as_deref());
                Some(Filter::RequestHeaders(edits))
            }
            Type::ResponseHeaderModifier => {
                let Some(object) = &object.response_header_modifier else {
                    return missing(self, "responseHeaderModifier");
                };
                let set = object.set.iter().flatten().map(|h| (&*h.name, &*h.value));
                let add = object.add.iter().flatten().map(|h| (&*h.name, &*h.value));
                let field = format!("{field}.responseHeaderModifier");
                let edits = self.edits(&field, set, add, object.remove.as_deref());
                Some(Filter::ResponseHeaders(edits))
            }
            Type::RequestRedirect => match &object.request_redirect {
                Some(object) => self.redirect(&format!("{field}.requestRedirect"), object, shape),
                None => missing(self, "requestRedirect"),
            },
            Type::UrlRewrite => match &object.url_rewrite {
                Some(object) => Some(self.rewrite(&format!("{field}.urlRewrite"), object, shape)),
                None => missing(self, "urlRewrite"),
            },
            Type::RequestMirror => match &object.request_mirror {
                Some(object) => self.mirror(&format!("{field}.requestMirror"), object),
                None => missing(self, "requestMirror"),
            },
            Type::Cors => match &object.cors {
                Some(object) => Some(self.cors(&format!("{field}.cors"), object)),
                None => missing(self, "cors"),
            },
            Type::ExtensionRef => {
                self.fault(field, "the filter ExtensionRef is not supported");
                None
            }
            Type::ExternalAuth => {
                self.fault(field, "the filter ExternalAuth is not supported");
                None
            }
        }
    }

    fn fault(&mut self, field: &str, message: &str) {
        report::error(&mut self.problems, field, message);
    }

    fn edits<'o>(
        &mut self,
        field: &str,
        set: impl Iterator<Item = (&'o str, &'o str)>,
        add: impl Iterator<Item = (&'o str, &'o str)>,
        remove: Option<&'o [String]>,
    ) -> HeaderEdits {
        let mut pairs = |list: &str, pairs: &mut dyn Iterator<Item = (&'o str, &'o str)>| {
            let mut read: Vec<(Arc<str>, Arc<str>)> = Vec::new();
            for (at, (name, value)) in pairs.enumerate() {
                let field = format!("{field}.{list}[{at}]");
                self.header_name(&format!("{field}.name"), name);
                if value.bytes().any(|b| b == b'\r' || b == b'\n' || b == 0) {
                    self.fault(&format!("{field}.value"), "a header value cannot hold CR, LF or NUL");
                }
                let name: Arc<str> = name.to_ascii_lowercase().into();
                // Of equal names the first counts.
                if read.iter().all(|(known, _)| *known != name) {
                    read.push((name, value.into()));
                }
            }
            read
        };
        let (mut set, mut add) = (set, add);
        let (set, add) = (pairs("set", &mut set), pairs("add", &mut add));
        let remove = remove.unwrap_or_default();
        for (at, name) in remove.iter().enumerate() {
            self.header_name(&format!("{field}.remove[{at}]"), name);
        }
        HeaderEdits { set, add, remove: remove.iter().map(|name| name.to_ascii_lowercase().into()).collect() }
    }

    fn header_name(&mut self, field: &str, name: &str) {
        if !is_token(name) {
            self.fault(field, &format!("{name:?} is not a header name"));
        } else if FRAMING.contains(&&*name.to_ascii_lowercase()) {
            self.fault(field, &format!("{name} frames the message and cannot be edited"));
        } else if name.eq_ignore_ascii_case("host") {
            self.fault(field, "Host cannot be edited: use the filter URLRewrite with a hostname");
        }
    }

    fn redirect(
        &mut self,
        field: &str,
        object: &HttpRouteRulesFiltersRequestRedirect,
        shape: RuleShape,
    ) -> Option<Filter> {
        if shape.of_backend {
            self.fault(field, "a redirect belongs to a rule, not to a backend");
            return None;
        }
        if shape.has_backends {
            self.fault(field, "a rule with a redirect can have no backendRefs");
        }
        let path = object.path.as_ref().and_then(|path| {
            let is_prefix = path.r#type == RedirectPath::ReplacePrefixMatch;
            let texts = (path.replace_full_path.as_deref(), path.replace_prefix_match.as_deref());
            self.path_edit(&format!("{field}.path"), is_prefix, texts, shape)
        });
        let port = object.port.map(|port| u16::try_from(port).unwrap_or_default());
        if port == Some(0) {
            self.fault(&format!("{field}.port"), "not a port");
        }
        let status = object.status_code.unwrap_or(302);
        let status = u16::try_from(status).unwrap_or_default();
        if !matches!(status, 301 | 302 | 303 | 307 | 308) {
            self.fault(&format!("{field}.statusCode"), "not one of 301, 302, 303, 307 and 308");
        }
        let scheme = object.scheme.as_ref().map(|scheme| match scheme {
            Scheme::Http => "http".into(),
            Scheme::Https => "https".into(),
        });
        let hostname = self.hostname(&format!("{field}.hostname"), object.hostname.as_deref());
        Some(Filter::Redirect(Redirect { scheme, hostname, path, port, status }))
    }

    fn rewrite(&mut self, field: &str, object: &HttpRouteRulesFiltersUrlRewrite, shape: RuleShape) -> Filter {
        let path = object.path.as_ref().and_then(|path| {
            let is_prefix = path.r#type == RewritePath::ReplacePrefixMatch;
            let texts = (path.replace_full_path.as_deref(), path.replace_prefix_match.as_deref());
            self.path_edit(&format!("{field}.path"), is_prefix, texts, shape)
        });
        let hostname = self.hostname(&format!("{field}.hostname"), object.hostname.as_deref());
        Filter::Rewrite(Rewrite { hostname, path })
    }

    /// A name that goes into `Location` or `Host`.
    fn hostname(&mut self, field: &str, name: Option<&str>) -> Option<Arc<str>> {
        let name = name?;
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
        if name.is_empty() || !name.bytes().all(fits) {
            self.fault(field, &format!("{name:?} is not a host name"));
        }
        Some(name.into())
    }

    /// `path` of a redirect or rewrite: its type and the texts of `replaceFullPath` and
    /// `replacePrefixMatch`.
    fn path_edit(
        &mut self,
        field: &str,
        is_prefix: bool,
        (full, prefix): (Option<&str>, Option<&str>),
        shape: RuleShape,
    ) -> Option<PathEdit> {
        let text = if is_prefix { prefix } else { full };
        if is_prefix && !shape.prefix_only {
            self.fault(field, "ReplacePrefixMatch needs every match of the rule to be a PathPrefix");
        }
        let Some(text) = text else {
            self.fault(field, "the replacement for its type is missing");
            return None;
        };
        if text.bytes().any(|b| b <= b' ' || b == 0x7f) {
            self.fault(field, &format!("{text:?} cannot stand in a request"));
        }
        Some(if is_prefix { PathEdit::Prefix(text.into()) } else { PathEdit::Full(text.into()) })
    }

    fn mirror(&mut self, field: &str, object: &HttpRouteRulesFiltersRequestMirror) -> Option<Filter> {
        let (numerator, denominator) = match (&object.fraction, object.percent) {
            (None, None) => (1, 1),
            (None, Some(percent)) => (percent, 100),
            (Some(fraction), None) => (fraction.numerator, fraction.denominator.unwrap_or(100)),
            (Some(_), Some(_)) => {
                self.fault(field, "percent and fraction exclude each other");
                return None;
            }
        };
        let share = u32::try_from(numerator).ok().zip(u32::try_from(denominator).ok());
        let Some((numerator, denominator)) = share.filter(|(n, d)| *d > 0 && n <= d) else {
            self.fault(field, &format!("{numerator} of {denominator} is not a share"));
            return None;
        };
        let target = self.target(format!("{field}.backendRef"), &(&object.backend_ref).into());
        Some(Filter::Mirror(Mirror { target, numerator, denominator }))
    }
}
