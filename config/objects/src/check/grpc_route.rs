//! GRPCRoutes: the schema and the rules of the Gateway API's CRD.

use gateway_api::apis::experimental::httproutes::{HttpRouteRules, HttpRouteRulesFilters};
use gateway_api::apis::standard::grpcroutes::{
    GrpcRoute, GrpcRouteRules, GrpcRouteRulesMatches, GrpcRouteRulesMatchesHeadersType as HeaderType,
    GrpcRouteRulesMatchesMethodType as MethodType,
};
use serde::Serialize;

use super::{Checker, filter, route, syntax};

/// Everything of a GRPCRoute.
pub(super) fn grpc_route(c: &mut Checker, object: &GrpcRoute) {
    let rules = object.spec.rules.as_deref().unwrap_or_default();
    c.at("spec", |c| {
        route::head(c, object);
        route::rules(c, rules, |rule| rule.matches.as_ref().map_or(0, Vec::len), |rule| rule.name.as_deref());
        c.each("rules", rules, rule);
    });
}

fn rule(c: &mut Checker, rule: &GrpcRouteRules) {
    c.some("name", rule.name.as_ref(), |c, name| c.subdomain(name));
    c.at_most("matches", rule.matches.as_deref().unwrap_or_default(), 64);
    c.each_of("matches", &rule.matches, one_match);
    filters(c, rule.filters.as_ref());
    c.at_most("backendRefs", rule.backend_refs.as_deref().unwrap_or_default(), 16);
    c.each_of("backendRefs", &rule.backend_refs, |c, backend| {
        route::backend_ref(c, &backend.into());
        filters(c, backend.filters.as_ref());
    });
}

/// The filters of a GRPCRoute are some of an HTTPRoute's, in the same form.
fn filters<T: Serialize>(c: &mut Checker, filters: Option<&Vec<T>>) {
    let Some(filters) = filters else { return };
    let same = serde_json::to_value(filters).and_then(serde_json::from_value::<Vec<HttpRouteRulesFilters>>);
    match same {
        Ok(filters) => filter::filters(c, &filters, &HttpRouteRules::default()),
        Err(error) => c.at("filters", |c| c.fault(error.to_string())),
    }
}

fn one_match(c: &mut Checker, one: &GrpcRouteRulesMatches) {
    c.some("method", one.method.as_ref(), |c, method| {
        let regex = method.r#type == Some(MethodType::RegularExpression);
        let named = method.service.is_some() || method.method.is_some();
        c.must(named, "needs `service`, `method` or both");
        c.some("service", method.service.as_ref(), |c, service| match regex {
            true => c.regex(service),
            false => {
                let good = service.split('.').all(is_identifier) && service.len() <= 1024;
                c.must(good, format!("`{service}` is not the name of a service"));
            }
        });
        c.some("method", method.method.as_ref(), |c, name| match regex {
            true => c.regex(name),
            false => {
                let good = is_identifier(name) && name.len() <= 1024;
                c.must(good, format!("`{name}` is not the name of a method"));
            }
        });
    });
    let headers = one.headers.as_deref().unwrap_or_default();
    c.at_most("headers", headers, 16);
    c.each("headers", headers, |c, header| {
        c.must_at("name", syntax::is_token(&header.name), format!("`{}` is not a header name", header.name));
        c.must_at("value", (1..=4096).contains(&header.value.len()), "must have 1 to 4096 characters");
        if header.r#type == Some(HeaderType::RegularExpression) {
            c.at("value", |c| c.regex(&header.value));
        }
    });
    let names: Vec<String> = headers.iter().map(|header| header.name.to_ascii_lowercase()).collect();
    c.unique("headers", names.iter().map(String::as_str));
}

/// A name of Protocol Buffers, and `-`, which the CRD lets through too.
fn is_identifier(text: &str) -> bool {
    let starts = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    starts && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}
