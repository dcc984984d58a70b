//! The filter `CORS`: which origins may read answers, and what they may send.

use std::sync::Arc;

use gateway_api::experimental::httproutes::HttpRouteRulesFiltersCors;
use model::route::{Cors, Filter, Origin};

use super::is_token;
use crate::routes::compile::Compiler;

/// `maxAge` where the object does not say.
const MAX_AGE: i32 = 5;

impl Compiler<'_> {
    /// Reads the filter; a list with a fault refuses the route.
    pub(super) fn cors(&mut self, field: &str, object: &HttpRouteRulesFiltersCors) -> Filter {
        let origins = object.allow_origins.as_deref().unwrap_or_default();
        let max_age = object.max_age.unwrap_or(MAX_AGE);
        if max_age < 1 {
            self.fault(&format!("{field}.maxAge"), &format!("must be at least 1 second, not {max_age}"));
        }
        Filter::Cors(Arc::new(Cors {
            origins: self.origins(&format!("{field}.allowOrigins"), origins),
            credentials: object.allow_credentials.unwrap_or_default(),
            methods: self.tokens(&format!("{field}.allowMethods"), object.allow_methods.as_deref()),
            headers: self.tokens(&format!("{field}.allowHeaders"), object.allow_headers.as_deref()),
            expose: self.tokens(&format!("{field}.exposeHeaders"), object.expose_headers.as_deref()),
            max_age: u32::try_from(max_age).unwrap_or_default(),
        }))
    }

    fn origins(&mut self, field: &str, texts: &[String]) -> Vec<Origin> {
        let mut origins = Vec::new();
        for (at, text) in texts.iter().enumerate() {
            match origin(text) {
                Some(origin) => origins.push(origin),
                None => self.fault(
                    &format!("{field}[{at}]"),
                    &format!(
                        "{text:?} is not an origin like https://example.com:8443 or https://*.example.com"
                    ),
                ),
            }
        }
        if origins.len() > 1 && origins.contains(&Origin::Any) {
            self.fault(field, "* stands for all origins: it stands alone");
        }
        origins
    }

    /// Names of methods or header fields, or `*` alone.
    fn tokens(&mut self, field: &str, names: Option<&[String]>) -> Vec<Arc<str>> {
        let names = names.unwrap_or_default();
        for (at, name) in names.iter().enumerate().filter(|(_, name)| !is_token(name)) {
            self.fault(&format!("{field}[{at}]"), &format!("{name:?} is not a name"));
        }
        if names.len() > 1 && names.iter().any(|name| name == "*") {
            self.fault(field, "* stands for all: it stands alone");
        }
        names.iter().map(|name| name.as_str().into()).collect()
    }
}

/// `*`, or `scheme://host` with an optional port; the host may be `*` or begin with `*.`.
fn origin(text: &str) -> Option<Origin> {
    if text == "*" {
        return Some(Origin::Any);
    }
    let text = text.to_ascii_lowercase();
    let (scheme, authority) = text.split_once("://")?;
    let default = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port.parse::<u16>().ok().filter(|port| *port != 0)?)),
        None => (authority, None),
    };
    // Browsers leave the scheme's own port out.
    let port = port.filter(|port| *port != default).map_or(String::new(), |port| format!(":{port}"));
    let suffix = host.strip_prefix('*');
    let names = match suffix {
        Some("") => None,
        Some(suffix) => Some(suffix.strip_prefix('.')?),
        None => Some(host),
    };
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(fits);
    if names.is_some_and(|names| !names.split('.').all(is_label)) {
        return None;
    }
    Some(match suffix {
        Some(suffix) => Origin::Wildcard {
            scheme: format!("{scheme}://").into(),
            suffix: format!("{suffix}{port}").into(),
        },
        None => Origin::Exact(format!("{scheme}://{host}{port}").into()),
    })
}

#[cfg(test)]
mod tests;
