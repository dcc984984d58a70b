//! One HTTPRoute to its matches. All or nothing: a route with a fault in any rule is refused as a
//! whole, so that no rule of it can take what another was meant to.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use gateway_api::httproutes::{
    HttpRoute, HttpRouteRules, HttpRouteRulesBackendRefs, HttpRouteRulesFilters, HttpRouteRulesMatches,
    HttpRouteRulesMatchesHeadersType as HeaderType, HttpRouteRulesMatchesPathType as PathType,
    HttpRouteRulesMatchesQueryParamsType as QueryType, HttpRouteRulesTimeouts,
};
use model::route::{
    BackendTarget, HeaderMatch, PathMatch, QueryMatch, RouteMatch, RouteRule, Timeouts, ValueMatch,
    WeightedBackend,
};
use objects::ObjectKey;

use super::Context;
use super::references::{Reference, Resolution, Unresolved, resolve};
use crate::report::{self, Problems, created, object_ref};

/// A route as it is in force.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    /// What it was read from.
    pub(super) object: Arc<HttpRoute>,
    /// Its matches, rule by rule.
    pub(super) matches: Vec<Arc<RouteMatch>>,
    /// What it names and what that came to.
    references: Vec<(Reference, Resolution)>,
    namespace: Arc<str>,
}

impl Compiled {
    /// Whether all that it names still comes to the same.
    pub(super) fn is_current(&self, context: Context<'_>) -> bool {
        let mut references = self.references.iter();
        references.all(|(reference, known)| resolve(reference, &self.namespace, context) == *known)
    }

    /// The references that lead nowhere.
    pub(super) fn unresolved(&self) -> impl Iterator<Item = (&Reference, &Unresolved)> {
        self.references.iter().filter_map(|(reference, known)| Some((reference, known.as_ref().err()?)))
    }
}

/// Reads a route, or says why it is refused.
pub(super) fn compile(
    key: &ObjectKey,
    object: &Arc<HttpRoute>,
    context: Context<'_>,
) -> Result<Compiled, Problems> {
    let mut compiler = Compiler { key, context, problems: Vec::new(), references: Vec::new() };
    let mut matches = Vec::new();
    let rules = object.spec.rules.as_deref().unwrap_or_default();
    // Without rules the API server fills in one without anything.
    let default = [HttpRouteRules::default()];
    let rules = if rules.is_empty() { &default } else { rules };
    let created = created(&object.metadata);
    for (index, rule) in rules.iter().enumerate() {
        compiler.rule(index, rule, created, &mut matches);
    }
    let Compiler { problems, references, .. } = compiler;
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Compiled { object: object.clone(), matches, references, namespace: key.namespace.clone() })
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

/// What is gathered while a route is read.
pub(super) struct Compiler<'a> {
    key: &'a ObjectKey,
    context: Context<'a>,
    pub(super) problems: Problems,
    references: Vec<(Reference, Resolution)>,
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
        let filters = rule.filters.as_deref().unwrap_or_default();
        let compiled = RouteRule {
            route: object_ref(self.key),
            index: u32::try_from(index).unwrap_or(u32::MAX),
            name: rule.name.as_deref().map(Arc::from),
            filters: self.filters(&format!("{field}.filters"), filters, shape),
            backends: self.backends(&field, backends, shape),
            timeouts: self.timeouts(&format!("{field}.timeouts"), rule.timeouts.as_ref()),
            retry: None,
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

    fn value(&mut self, field: &str, is_regex: bool, value: &str) -> Option<ValueMatch> {
        if is_regex {
            return self.regex(field, value).map(ValueMatch::Regex);
        }
        Some(ValueMatch::Exact(value.into()))
    }

    fn regex(&mut self, field: &str, expression: &str) -> Option<regex::Regex> {
        match route::full_match(expression) {
            Ok(regex) => Some(regex),
            Err(error) => {
                report::error(&mut self.problems, field, format!("not a regular expression: {error}"));
                None
            }
        }
    }

    fn backends(
        &mut self,
        field: &str,
        objects: &[HttpRouteRulesBackendRefs],
        shape: RuleShape,
    ) -> Vec<WeightedBackend> {
        let mut backends = Vec::new();
        for (at, object) in objects.iter().enumerate() {
            let field = format!("{field}.backendRefs[{at}]");
            let weight = object.weight.unwrap_or(1);
            let Ok(weight) = u32::try_from(weight) else {
                report::error(&mut self.problems, format!("{field}.weight"), format!("{weight} is negative"));
                continue;
            };
            // Both lists of filters have one form in the API and two types in the bindings.
            let filters = object.filters.as_ref().map(|filters| {
                let form = serde_json::to_value(filters);
                form.and_then(serde_json::from_value::<Vec<HttpRouteRulesFilters>>)
            });
            let filters = match filters.transpose() {
                Ok(filters) => filters.unwrap_or_default(),
                Err(error) => {
                    report::error(&mut self.problems, format!("{field}.filters"), error.to_string());
                    continue;
                }
            };
            let shape = RuleShape { of_backend: true, ..shape };
            let target = self.target(Reference {
                field: field.clone(),
                group: object.group.clone().unwrap_or_default(),
                kind: object.kind.clone().unwrap_or_else(|| "Service".to_owned()),
                namespace: object.namespace.clone().unwrap_or_else(|| self.key.namespace.to_string()),
                name: object.name.clone(),
                port: object.port,
            });
            let filters = self.filters(&format!("{field}.filters"), &filters, shape);
            backends.push(WeightedBackend { weight, target, filters });
        }
        backends
    }

    /// What a reference comes to; an unresolved one does not refuse the route.
    pub(super) fn target(&mut self, reference: Reference) -> BackendTarget {
        let resolution = resolve(&reference, &self.key.namespace, self.context);
        let target = match &resolution {
            Ok(id) => BackendTarget::Service(*id),
            Err(unresolved) => BackendTarget::Invalid(unresolved.reason.to_string().into()),
        };
        self.references.push((reference, resolution));
        target
    }

    /// The namespace of references that name none.
    pub(super) fn namespace(&self) -> String {
        self.key.namespace.to_string()
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

    /// A GEP-2257 duration; zero is no limit.
    fn duration(&mut self, field: &str, text: Option<&str>) -> Option<Duration> {
        match gateway_api::Duration::from_str(text?) {
            Ok(duration) => {
                let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
                Some(Duration::from_millis(millis)).filter(|duration| !duration.is_zero())
            }
            Err(error) => {
                let message =
                    format!("{:?} is not a duration like 1h30m or 500ms: {error}", text.unwrap_or_default());
                report::error(&mut self.problems, field, message);
                None
            }
        }
    }
}
