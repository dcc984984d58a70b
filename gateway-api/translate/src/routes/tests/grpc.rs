use model::route::PathMatch;
use serde_json::{Value, json};

use super::*;

/// Puts a GRPCRoute to Gateway `ns/gw` in force.
fn route(world: &mut World, name: &str, mut spec: Value) {
    if spec.get("parentRefs").is_none() {
        spec["parentRefs"] = json!([{"name": "gw", "namespace": "ns"}]);
    }
    world.apply("GRPCRoute", name, json!({ "spec": spec }));
}

fn matching(method: Value) -> Value {
    json!({"matches": [{"method": method}], "backendRefs": [{"name": "a", "port": 80}]})
}

#[test]
fn methods_are_paths() {
    let mut world = world();
    let regex = "RegularExpression";
    let with_header = json!({"matches": [{"method": {"service": "s.One"},
        "headers": [{"name": "Version", "value": "2"}, {"name": "version", "value": "ignored"}]}]});
    route(
        &mut world,
        "ns/r",
        json!({"rules": [
            matching(json!({"service": "s.One", "method": "Get"})),
            matching(json!({"service": "s.One"})),
            with_header,
            matching(json!({"type": "Exact", "method": "A.ny"})),
            matching(json!({"type": regex, "service": "re\\.(A|B)", "method": "G.t"})),
            matching(json!({"type": regex, "service": "re\\.C|re\\.D"})),
            matching(json!({"type": regex, "method": "List|Drop"})),
            {"matches": [{"headers": [{"name": "all", "type": regex, "value": "y.*"}]}]},
        ]}),
    );
    world.ready();
    for (line, headers, want) in [
        ("POST h/s.One/Get", &[][..], "r#0"),
        ("POST h/s.One/Put", &[], "r#1"),
        ("POST h/s.One/Put", &[("VERSION", "2")], "r#2"),
        ("POST h/s.One/Get", &[("version", "2")], "r#0"),
        ("POST h/s.OneMore/Get", &[], "404"),
        ("POST h/other/A.ny", &[], "r#3"),
        ("POST h/other/Axny", &[], "404"),
        ("POST h/re.A/Get", &[], "r#4"),
        ("POST h/re.B/Got", &[], "r#4"),
        ("POST h/re.A/Gett", &[], "404"),
        ("POST h/re.D/x", &[], "r#5"),
        ("POST h/re.D/x/y", &[], "404"),
        ("POST h/x/Drop", &[], "r#6"),
        ("POST h/x/Dropped", &[], "404"),
        ("POST h/x/y", &[("all", "yes")], "r#7"),
        ("POST h/x/y", &[], "404"),
    ] {
        assert_eq!(world.find(80, line, headers), want, "{line} {headers:?}");
    }
}

/// Service, method, headers, each before the next; what is said exactly before expressions.
#[test]
fn precedence_across_rules() {
    let mut world = world();
    let regex = "RegularExpression";
    let with_header = |mut rule: Value| {
        rule["matches"][0]["headers"] = json!([{"name": "version", "value": "2"}]);
        rule
    };
    let all = |rules: Value| json!({ "rules": rules });
    // By name the last to come, so that the order is not theirs.
    route(&mut world, "ns/z-both", all(json!([matching(json!({"service": "s.One", "method": "Get"}))])));
    route(&mut world, "ns/y-service", all(json!([matching(json!({"service": "s.One"}))])));
    route(
        &mut world,
        "ns/x-service-like",
        all(json!([
            matching(json!({"type": regex, "service": "s\\.[A-Z].*"})),
            matching(json!({"type": regex, "service": "s\\.[A-Z].*", "method": "G.*"})),
            matching(json!({"type": regex, "service": "s.*", "method": "a much longer one|Get|Put"})),
        ])),
    );
    route(
        &mut world,
        "ns/w-method",
        all(json!([matching(json!({"method": "Get"})), with_header(matching(json!({"method": "Get"})))])),
    );
    route(&mut world, "ns/v-method-like", all(json!([matching(json!({"type": regex, "method": "G.*"}))])));
    route(&mut world, "ns/a-any", all(json!([{}, with_header(json!({"matches": [{}]}))])));
    world.ready();
    for (line, headers, want) in [
        ("POST h/s.One/Get", &[][..], "z-both#0"),
        ("POST h/s.One/Get", &[("version", "2")], "z-both#0"),
        // The service comes before the method, and before headers.
        ("POST h/s.One/Put", &[], "y-service#0"),
        ("POST h/s.One/Put", &[("version", "2")], "y-service#0"),
        ("POST h/s.Two/Get", &[], "x-service-like#1"),
        ("POST h/s.Two/Put", &[], "x-service-like#0"),
        ("POST h/s.two/Put", &[], "x-service-like#2"),
        ("POST h/t.Two/Get", &[], "w-method#0"),
        ("POST h/t.Two/Get", &[("version", "2")], "w-method#1"),
        ("POST h/t.Two/Gut", &[("version", "2")], "v-method-like#0"),
        ("POST h/t.Two/Put", &[("version", "2")], "a-any#1"),
        ("POST h/t.Two/Put", &[], "a-any#0"),
    ] {
        assert_eq!(world.find(80, line, headers), want, "{line} {headers:?}");
    }
}

#[test]
fn a_rule_has_all_that_the_kind_has() {
    let mut world = world();
    let edit = json!([{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["X"]}}]);
    let mirror =
        json!([{"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "a", "port": 80}}}]);
    let backends =
        json!([{"name": "a", "port": 80, "weight": 3, "filters": edit}, {"name": "no", "port": 1}]);
    let grpc = json!({"name": "named", "filters": mirror, "backendRefs": backends});
    let parents = json!([{"name": "gw"}, {"group": "", "kind": "Service", "name": "a"}]);
    route(&mut world, "ns/r", json!({"parentRefs": parents, "hostnames": ["g.test"], "rules": [grpc]}));
    let problems = world.translate();
    assert!(problems.len() == 1 && problems[0].contains("GRPCRoute ns/r: spec.rules[0].backendRefs[1]"));
    let found = world.matched("POST g.test/any.Service/Method");
    let rule = &found.rule;
    assert!(matches!(&found.path, PathMatch::Prefix(path) if path.is_empty()));
    assert_eq!((rule.route.kind, rule.name.as_deref(), rule.grpc), ("GRPCRoute", Some("named"), true));
    assert!(matches!(&rule.filters[..], [Filter::Mirror(_)]));
    assert!(matches!(&rule.backends[0].filters[..], [Filter::RequestHeaders(_)]));
    let weights: Vec<u32> = rule.backends.iter().map(|backend| backend.weight).collect();
    assert_eq!(weights, [3, 1]);
    assert_eq!(world.find_at("10.96.0.1:80", "POST x/s/m"), "r#0");
    let resolved = "Accepted=true/Accepted ResolvedRefs=false/BackendNotFound";
    assert_eq!(world.statuses(Kind::GrpcRoute, "ns/r"), [format!("0: {resolved}"), format!("1: {resolved}")]);
    assert!(world.statuses(Kind::Gateway, "ns/gw")[0].starts_with("http(1):"));
    world.remove(Kind::GrpcRoute, "ns/r").ready();
    assert_eq!(world.find(80, "POST g.test/s/m", &[]), "404");
}

#[test]
fn a_refused_route_names_the_field() {
    let regex = "RegularExpression";
    let filter = |value: Value| json!({ "filters": [value] });
    for (rule, field) in [
        (matching(json!({})), "matches[0].method"),
        (matching(json!({"service": "a/b"})), "matches[0].method.service"),
        (matching(json!({"type": regex, "service": "("})), "matches[0].method.service"),
        (matching(json!({"type": regex, "service": "a)|(b"})), "matches[0].method.service"),
        (matching(json!({"type": regex, "method": "["})), "matches[0].method.method"),
        (
            json!({"matches": [{"headers": [{"name": "a", "type": regex, "value": "["}]}]}),
            "matches[0].headers[0].value",
        ),
        (
            filter(json!({"type": "ExtensionRef", "extensionRef": {"group": "g", "kind": "k", "name": "n"}})),
            "filters[0]",
        ),
        (filter(json!({"type": "RequestMirror"})), "filters[0]"),
        (json!({"backendRefs": [{"name": "a", "port": 80, "weight": -1}]}), "backendRefs[0].weight"),
    ] {
        let mut world = world();
        route(&mut world, "ns/r", json!({"rules": [{}, rule]}));
        let problems = world.translate();
        let wanted = format!("GRPCRoute ns/r: spec.rules[1].{field}: ");
        assert!(problems.iter().any(|p| p.contains(&wanted)), "{wanted} not in {problems:?}");
        assert_eq!(world.find(80, "POST h/s/m", &[]), "404", "{field}");
        let conditions = world.statuses(Kind::GrpcRoute, "ns/r");
        assert!(conditions[0].contains("Accepted=false/UnsupportedValue"), "{conditions:?}");
    }
}
