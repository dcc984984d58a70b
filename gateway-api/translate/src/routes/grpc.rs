//! GRPCRoutes: a method is a path, `/package.Service/Method`, and all else is as with HTTPRoutes.

use std::sync::Arc;

use gateway_api::grpcroutes::{
    GrpcRoute, GrpcRouteRules, GrpcRouteRulesMatches, GrpcRouteRulesMatchesHeadersType as HeaderType,
    GrpcRouteRulesMatchesMethod, GrpcRouteRulesMatchesMethodType as MethodType,
};
use model::route::{HeaderMatch, MethodMatch, PathMatch, RouteMatch, RouteRule, Timeouts, WeightedBackend};

use super::RouteKind;
use super::compile::Compiler;
use super::http::RuleShape;
use crate::report::{self, created, object_ref};
use crate::tables::Entries;

impl RouteKind for GrpcRoute {
    const BINDS_TO_SERVICES: bool = true;

    fn compile(&self, compiler: &mut Compiler<'_>) -> Entries {
        let mut matches = Vec::new();
        let rules = self.spec.rules.as_deref().unwrap_or_default();
        let default = [GrpcRouteRules::default()];
        let rules = if rules.is_empty() { &default } else { rules };
        let created = created(&self.metadata);
        for (index, rule) in rules.iter().enumerate() {
            compiler.grpc_rule(index, rule, created, &mut matches);
        }
        Entries::Http(matches)
    }
}

impl Compiler<'_> {
    fn grpc_rule(
        &mut self,
        index: usize,
        rule: &GrpcRouteRules,
        created: i64,
        out: &mut Vec<Arc<RouteMatch>>,
    ) {
        let field = format!("spec.rules[{index}]");
        let matches = rule.matches.as_deref().unwrap_or_default();
        let default = [GrpcRouteRulesMatches::default()];
        let matches = if matches.is_empty() { &default } else { matches };
        let objects = rule.backend_refs.as_deref().unwrap_or_default();
        let shape = RuleShape { prefix_only: false, of_backend: false, has_backends: !objects.is_empty() };
        let mut backends = Vec::new();
        for (at, object) in objects.iter().enumerate() {
            let field = format!("{field}.backendRefs[{at}]");
            let target = self.backend(field.clone(), &object.into());
            let shape = RuleShape { of_backend: true, ..shape };
            let filters = self.filters_like(&format!("{field}.filters"), object.filters.as_ref(), shape);
            backends.extend(target.map(|(weight, target)| WeightedBackend { weight, target, filters }));
        }
        let compiled = Arc::new(RouteRule {
            route: object_ref(self.key),
            index: u32::try_from(index).unwrap_or(u32::MAX),
            name: rule.name.as_deref().map(Arc::from),
            filters: self.filters_like(&format!("{field}.filters"), rule.filters.as_ref(), shape),
            backends,
            timeouts: Timeouts::default(),
            retry: None,
            grpc: true,
        });
        for (at, object) in matches.iter().enumerate() {
            let field = format!("{field}.matches[{at}]");
            let headers = self.grpc_headers(&format!("{field}.headers"), object);
            let path = self.grpc_path(&format!("{field}.method"), object.method.as_ref());
            let rule = compiled.clone();
            out.extend(path.map(|path| {
                Arc::new(RouteMatch { path, method: None, headers, query: Vec::new(), created, rule })
            }));
        }
    }

    /// The paths of the methods that a match names; without one those of all. An exact service is a
    /// path or its beginning, so that finding it takes no search; all else is looked through.
    fn grpc_path(&mut self, field: &str, object: Option<&GrpcRouteRulesMatchesMethod>) -> Option<PathMatch> {
        let Some(object) = object else { return Some(PathMatch::Prefix("".into())) };
        let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let (service, method) = (text(&object.service), text(&object.method));
        for (name, text) in [("service", &service), ("method", &method)] {
            if text.as_ref().is_some_and(|text| text.contains('/')) {
                let message = "no name of a service or method holds a /";
                report::error(&mut self.problems, format!("{field}.{name}"), message);
            }
        }
        let is_regex = object.r#type == Some(MethodType::RegularExpression);
        match (service, method) {
            (None, None) => {
                report::error(&mut self.problems, field, "needs a service, a method or both");
                None
            }
            (Some(service), Some(method)) if !is_regex => {
                Some(PathMatch::Exact(format!("/{service}/{method}").into()))
            }
            (Some(service), None) if !is_regex => Some(PathMatch::Prefix(format!("/{service}").into())),
            (service, method) => {
                let service = service.map(|text| self.value(&format!("{field}.service"), is_regex, &text));
                let method = method.map(|text| self.value(&format!("{field}.method"), is_regex, &text));
                // An expression that is not one refuses the route.
                let found = MethodMatch { service: service.flatten(), method: method.flatten() };
                Some(PathMatch::Method(Box::new(found)))
            }
        }
    }

    fn grpc_headers(&mut self, field: &str, object: &GrpcRouteRulesMatches) -> Vec<HeaderMatch> {
        let mut headers: Vec<HeaderMatch> = Vec::new();
        for (at, header) in object.headers.iter().flatten().enumerate() {
            let name: Arc<str> = header.name.to_ascii_lowercase().into();
            let regex = header.r#type == Some(HeaderType::RegularExpression);
            let value = self.value(&format!("{field}[{at}].value"), regex, &header.value);
            // Of equal names the first counts.
            if headers.iter().all(|known| known.name != name) {
                headers.extend(value.map(|value| HeaderMatch { name, value }));
            }
        }
        headers
    }
}
