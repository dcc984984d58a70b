//! HTTPRoutes: rules of matches, filters and weighted backends.

use std::sync::Arc;

use gateway_api::experimental::httproutes::{
    HttpRoute, HttpRouteRules, HttpRouteRulesBackendRefs, HttpRouteRulesMatches,
    HttpRouteRulesMatchesHeadersType as HeaderType, HttpRouteRulesMatchesPathType as PathType,
    HttpRouteRulesMatchesQueryParamsType as QueryType, HttpRouteRulesTimeouts,
    HttpRouteUseDefaultGateways as DefaultGateways,
};
use model::route::{HeaderMatch, PathMatch, QueryMatch, RouteMatch, RouteRule, Timeouts, WeightedBackend};

use super::RouteKind;
use super::compile::Compiler;
use crate::report::{self, created, object_ref};
use crate::tables::Entries;

mod retry;

impl RouteKind for HttpRoute {
    const BINDS_TO_SERVICES: bool = true;

    fn compile(&self, compiler: &mut Compiler<'_>) -> Entries {
        if self.spec.use_default_gateways == Some(DefaultGateways::All) {
            let message = "is not supported: name the Gateways";
            report::error(&mut compiler.problems, "spec.useDefaultGateways", message);
        }
        let mut matches = Vec::new();
        let rules = self.spec.rules.as_deref().unwrap_or_default();
        // Without rules the API server fills in one without anything.
        let default = [HttpRouteRules::default()];
        let rules = if rules.is_empty() { &default } else { rules };
        let created = created(&self.metadata);
        for (index, rule) in rules.iter().enumerate() {
            compiler.rule(index, rule, created, &mut matches);
        }
        matches.shrink_to_fit();
        Entries::Http(matches)
    }
}

/// Where the matches of a rule lead to and what it may do to their paths.
#[derive(Clone, Copy, Debug)]
pub(super) struct RuleShape {
    /// Every match of the rule is a `PathPrefix`.
    pub(super) prefix_only: bool,
    /// The filters are those of a backend reference.
    pub(super) of_backend: bool,
    /// The rule has backend references.
    pub(super) has_backends: bool,
}

impl Compiler<'_> {
    fn rule(&mut self, index: usize, rule: &HttpRouteRules, created: i64, out: &mut Vec<Arc<RouteMatch>>) {
        let field = format!("spec.rules[{index}]");
        let matches = rule.matches.as_deref().unwrap_or_default();
        let default = [HttpRouteRulesMatches::default()];
        let matches = if matches.is_empty() { &default } else { matches };
        let backends = rule.backend_refs.as_deref().unwrap_or_default();
        let is_prefix = |m: &HttpRouteRulesMatches| {
            let kind = m.path.as_ref().and_then(|path| path.r#type.as_ref());
            kind.is_none_or(|kind| *kind == PathType::PathPrefix)
        };
        let shape = RuleShape {
            prefix_only: matches.iter().all(is_prefix),
            of_backend: false,
            has_backends: !backends.is_empty(),
        };
        if rule.session_persistence.is_some() {
            report::error(&mut self.problems, format!("{field}.sessionPersistence"), "is not supported");
        }
        let filters = rule.filters.as_deref().unwrap_or_default();
        let compiled = RouteRule {
            route: object_ref(self.key),
            index: u32::try_from(index).unwrap_or(u32::MAX),
            name: rule.name.as_deref().map(Arc::from),
            filters: self.filters(&format!("{field}.filters"), filters, shape),
            backends: self.backends(&field, backends, shape),
            timeouts: self.timeouts(&format!("{field}.timeouts"), rule.timeouts.as_ref()),
            retry: self.retry(&format!("{field}.retry"), rule.retry.as_ref()),
            grpc: false,
        };
        let compiled = Arc::new(compiled);
        for (at, object) in matches.iter().enumerate() {
            let read = self.one_match(&format!("{field}.matches[{at}]"), object, created, &compiled);
            out.extend(read.map(Arc::new));
        }
    }

    fn one_match(
        &mut self,
        field: &str,
        object: &HttpRouteRulesMatches,
        created: i64,
        rule: &Arc<RouteRule>,
    ) -> Option<RouteMatch> {
        let path = object.path.clone().unwrap_or_default();
        let value = path.value.as_deref().unwrap_or("/");
        let path_field = format!("{field}.path.value");
        let path = match path.r#type.unwrap_or(PathType::PathPrefix) {
            PathType::RegularExpression => Some(PathMatch::Regex(self.regex(&path_field, value)?)),
            _ if !value.starts_with('/') => {
                report::error(&mut self.problems, path_field, format!("{value:?} does not begin with /"));
                None
            }
            PathType::Exact => Some(PathMatch::Exact(value.into())),
            PathType::PathPrefix => Some(PathMatch::Prefix(value.trim_end_matches('/').into())),
        };
        let method = object.method.as_ref().and_then(|method| {
            let name = serde_json::to_value(method).ok()?;
            name.as_str().map(Arc::from)
        });
        let mut headers: Vec<HeaderMatch> = Vec::new();
        for (at, header) in object.headers.iter().flatten().enumerate() {
            let name: Arc<str> = header.name.to_ascii_lowercase().into();
            let field = format!("{field}.headers[{at}].value");
            let value =
                self.value(&field, header.r#type == Some(HeaderType::RegularExpression), &header.value);
            // Of equal names the first counts.
            if headers.iter().all(|known| known.name != name) {
                headers.extend(value.map(|value| HeaderMatch { name, value }));
            }
        }
        let mut query: Vec<QueryMatch> = Vec::new();
        for (at, parameter) in object.query_params.iter().flatten().enumerate() {
            let name: Arc<str> = parameter.name.as_str().into();
            let field = format!("{field}.queryParams[{at}].value");
            let regex = parameter.r#type == Some(QueryType::RegularExpression);
            let value = self.value(&field, regex, &parameter.value);
            if query.iter().all(|known| known.name != name) {
                query.extend(value.map(|value| QueryMatch { name, value }));
            }
        }
        Some(RouteMatch { path: path?, method, headers, query, created, rule: rule.clone() })
    }

    fn backends(
        &mut self,
        field: &str,
        objects: &[HttpRouteRulesBackendRefs],
        shape: RuleShape,
    ) -> Vec<WeightedBackend> {
        let mut backends = Vec::with_capacity(objects.len());
        for (at, object) in objects.iter().enumerate() {
            let field = format!("{field}.backendRefs[{at}]");
            let target = self.backend(field.clone(), &object.into());
            let shape = RuleShape { of_backend: true, ..shape };
            let filters = self.filters_like(&format!("{field}.filters"), object.filters.as_ref(), shape);
            let Some((weight, target)) = target else { continue };
            backends.push(WeightedBackend { weight, target, filters });
        }
        backends
    }

    fn timeouts(&mut self, field: &str, object: Option<&HttpRouteRulesTimeouts>) -> Timeouts {
        let Some(object) = object else { return Timeouts::default() };
        let timeouts = Timeouts {
            request: self.duration(&format!("{field}.request"), object.request.as_deref()),
            backend_request: self
                .duration(&format!("{field}.backendRequest"), object.backend_request.as_deref()),
        };
        let pair = timeouts.request.zip(timeouts.backend_request);
        if pair.is_some_and(|(request, backend)| backend > request) {
            let message = "longer than the timeout of the whole request";
            report::error(&mut self.problems, format!("{field}.backendRequest"), message);
        }
        timeouts
    }
}
