use std::time::Duration;

use model::route::{
    BackendTarget, Filter, HeaderEdits, Mirror, PathEdit, Redirect, Retry, Rewrite, Timeouts,
};
use objects::Kind;
use serde_json::{Value, json};

use crate::tests::World;

mod grpc;
mod parents;
mod stream;

/// A world with Gateway `ns/gw` on port 80 and Services `ns/a` and `other/b` of port 80.
fn world() -> World {
    let mut world = World::new();
    world.gateway("ns/gw", 80);
    world.service("ns/a", "10.96.0.1", "10.0.0.1").service("other/b", "10.96.0.2", "10.0.0.2");
    world
}

fn rule(matches: Value) -> Value {
    json!({"matches": matches, "backendRefs": [{"name": "a", "port": 80}]})
}

#[test]
fn precedence_across_routes() {
    let mut world = world();
    let path = |kind: &str, value: &str| json!({"path": {"type": kind, "value": value}});
    let with = |mut object: Value, field: &str, value: Value| {
        object[field] = value;
        object
    };
    let v = json!([{"name": "Version", "value": "1"}, {"name": "version", "value": "ignored"}]);
    let q = json!([{"name": "q", "value": "1"}, {"name": "q", "value": "ignored"}]);
    world.route("ns/any", json!({"rules": [rule(json!([])), rule(json!([path("PathPrefix", "/")]))]}));
    world.route(
        "ns/prefix",
        json!({"rules": [rule(json!([path("PathPrefix", "/v2/"), path("PathPrefix", "/v3")]))]}),
    );
    world.route("ns/exact", json!({"rules": [rule(json!([path("Exact", "/v2")]))]}));
    world.route("ns/regex", json!({"rules": [rule(json!([path("RegularExpression", "/v[23]/re.*")]))]}));
    world.route(
        "ns/more",
        json!({"rules": [
            rule(json!([with(path("PathPrefix", "/v2"), "headers", v)])),
            rule(json!([with(path("PathPrefix", "/v2"), "queryParams", q)])),
            rule(json!([with(path("PathPrefix", "/v2"), "method", json!("POST"))])),
        ]}),
    );
    world.ready();
    for (line, headers, want) in [
        ("GET h/", &[][..], "any#0"),
        ("GET h/v2", &[], "exact#0"),
        ("GET h/v2/", &[], "prefix#0"),
        ("GET h/v3/x", &[], "prefix#0"),
        ("GET h/v2example", &[], "any#0"),
        ("GET h/v2/regular", &[], "regex#0"),
        ("GET h/v4/regular", &[], "any#0"),
        ("GET h/v2/x", &[("VERSION", "1")], "more#0"),
        ("GET h/v2/x", &[("VERSION", "2")], "prefix#0"),
        ("GET h/v2/x?q=1", &[], "more#1"),
        ("GET h/v2/x?Q=1", &[], "prefix#0"),
        ("GET h/v2/x?q=1", &[("version", "1")], "more#0"),
        ("POST h/v2/x?q=1", &[("version", "1")], "more#2"),
    ] {
        assert_eq!(world.find(80, line, headers), want, "{line} {headers:?}");
    }
}

#[test]
fn ties_go_to_the_oldest_then_by_name() {
    let mut world = world();
    let spec = |path: &str| {
        let parents = json!([{"name": "gw", "namespace": "ns"}]);
        json!({"parentRefs": parents, "rules": [rule(json!([{"path": {"value": path}}]))]})
    };
    let aged = |time: &str, path: &str| json!({"metadata": {"creationTimestamp": time}, "spec": spec(path)});
    world.apply("HTTPRoute", "ns/young", aged("2026-02-01T00:00:00Z", "/age"));
    world.apply("HTTPRoute", "ns/zz-old", aged("2026-01-01T00:00:00Z", "/age"));
    world.apply("HTTPRoute", "ns/none", json!({"spec": spec("/age")}));
    world.apply("HTTPRoute", "ns/b", aged("2026-01-01T00:00:00Z", "/name"));
    world.apply("HTTPRoute", "ns/a", aged("2026-01-01T00:00:00Z", "/name"));
    world.ready();
    assert_eq!(world.find(80, "GET h/age", &[]), "zz-old#0");
    assert_eq!(world.find(80, "GET h/name", &[]), "a#0");
    world.remove(Kind::HttpRoute, "ns/zz-old").ready();
    assert_eq!(world.find(80, "GET h/age", &[]), "young#0");
    world.remove(Kind::HttpRoute, "ns/young").ready();
    assert_eq!(world.find(80, "GET h/age", &[]), "none#0");
}

#[test]
fn references() {
    let mut world = world();
    let grant = |name: &str| {
        let from = json!([{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "ns"}]);
        json!({"spec": {"from": from, "to": [{"group": "", "kind": "Service", "name": name}]}})
    };
    world.apply("ReferenceGrant", "other/grant", grant("b"));
    let ports = json!([{"port": 53, "protocol": "UDP"}]);
    world.apply("Service", "ns/udp", json!({"spec": {"clusterIP": "10.96.0.53", "ports": ports}}));
    world.apply("Service", "ns/name", json!({"spec": {"type": "ExternalName", "externalName": "x.test"}}));
    for (reference, want) in [
        (json!({"name": "a", "port": 80}), Ok("10.0.0.1:8080")),
        (json!({"name": "a", "port": 80, "kind": "Service", "group": ""}), Ok("10.0.0.1:8080")),
        (json!({"name": "b", "port": 80, "namespace": "other"}), Ok("10.0.0.2:8080")),
        (json!({"name": "missing", "port": 80}), Err("BackendNotFound")),
        (json!({"name": "a", "port": 81}), Err("BackendNotFound")),
        (json!({"name": "a"}), Err("BackendNotFound")),
        (json!({"name": "name", "port": 80}), Err("BackendNotFound")),
        (json!({"name": "udp", "port": 53}), Err("UnsupportedProtocol")),
        (json!({"name": "a", "port": 80, "kind": "Unknown"}), Err("InvalidKind")),
        (json!({"name": "a", "port": 80, "group": "example.com"}), Err("InvalidKind")),
        (json!({"name": "not-granted", "port": 80, "namespace": "other"}), Err("RefNotPermitted")),
        (json!({"name": "b", "port": 80, "namespace": "third"}), Err("RefNotPermitted")),
    ] {
        let good = json!({"name": "a", "port": 80, "weight": 0});
        world.route("ns/r", json!({"rules": [{"backendRefs": [good, reference]}]}));
        let problems = world.translate();
        let rule = world.matched("GET h/").rule.clone();
        assert_eq!((rule.backends[0].weight, rule.backends[1].weight), (0, 1), "{reference}");
        let conditions = world.statuses(Kind::HttpRoute, "ns/r");
        match (&rule.backends[1].target, want) {
            (BackendTarget::Service(id), Ok(address)) => {
                let backend = &world.last.snapshot.backends[id];
                assert_eq!(backend.endpoints[0].address.to_string(), address, "{reference}");
                assert_eq!(problems, [""; 0]);
                assert_eq!(conditions, ["0: Accepted=true/Accepted ResolvedRefs=true/ResolvedRefs"]);
            }
            (BackendTarget::Invalid(reason), Err(wanted)) => {
                assert_eq!(&**reason, wanted, "{reference}");
                assert!(problems[0].contains("ns/r: spec.rules[0].backendRefs[1]: "), "{problems:?}");
                assert_eq!(conditions, [format!("0: Accepted=true/Accepted ResolvedRefs=false/{wanted}")]);
            }
            other => panic!("{reference}: {other:?}"),
        }
    }
    // A grant that goes takes effect; so does one for all names.
    world.route(
        "ns/r",
        json!({"rules": [{"backendRefs": [{"name": "b", "port": 80, "namespace": "other"}]}]}),
    );
    world.ready().remove(Kind::ReferenceGrant, "other/grant");
    assert_eq!(world.translate().len(), 1);
    let mut all = grant("b");
    all["spec"]["to"][0].as_object_mut().unwrap().remove("name");
    world.apply("ReferenceGrant", "other/all", all).ready();
}

#[test]
fn no_backends_and_no_rules_match_and_have_nowhere_to_go() {
    let mut world = world();
    world.route("ns/r", json!({"rules": [{"backendRefs": []}]})).ready();
    assert!(world.matched("GET h/").rule.backends.is_empty());
    world.route("ns/r", json!({})).ready();
    assert!(world.matched("GET h/deep/path").rule.backends.is_empty());
}

#[test]
fn an_invalid_backend_that_wins_does_not_fall_through() {
    let mut world = world();
    let broken = json!({"matches": [{"path": {"value": "/x"}}], "backendRefs": [{"name": "no", "port": 1}]});
    world.route("ns/r", json!({"rules": [rule(json!([{"path": {"value": "/"}}])), broken]}));
    assert_eq!(world.translate().len(), 1);
    assert_eq!(world.find(80, "GET h/x/y", &[]), "r#1");
}

#[test]
fn filters() {
    let mut world = world();
    let Value::Object(id) = json!({"name": "a", "port": 80}) else { unreachable!() };
    let filters = json!([
        {"type": "RequestHeaderModifier", "requestHeaderModifier": {
            "set": [{"name": "X-Set", "value": "s"}, {"name": "x-set", "value": "ignored"}],
            "add": [{"name": "X-Add", "value": "a"}], "remove": ["X-Remove"]}},
        {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"remove": ["server"]}},
        {"type": "URLRewrite", "urlRewrite": {"hostname": "new.test",
            "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"}}},
        {"type": "RequestMirror", "requestMirror": {"backendRef": id, "percent": 20}},
        {"type": "RequestMirror", "requestMirror": {"backendRef": id, "fraction": {"numerator": 1, "denominator": 3}}},
        {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "no", "port": 1}}},
    ]);
    let of_backend = json!([{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["B"]}}]);
    let backend = json!({"name": "a", "port": 80, "filters": of_backend});
    world.route("ns/r", json!({"rules": [{"filters": filters, "backendRefs": [backend]}]}));
    let problems = world.translate();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("spec.rules[0].filters[5].requestMirror.backendRef"), "{problems:?}");
    assert!(problems[0].ends_with("(BackendNotFound): nothing is mirrored to it"), "{problems:?}");
    let rule = world.matched("GET h/").rule.clone();
    let target = BackendTarget::Service(world.backend("ns/a", 80).id);
    let invalid = BackendTarget::Invalid("BackendNotFound".into());
    let mirror = |target: &BackendTarget, numerator, denominator| Mirror {
        target: target.clone(),
        numerator,
        denominator,
    };
    let edits = HeaderEdits {
        set: vec![("x-set".into(), "s".into())],
        add: vec![("x-add".into(), "a".into())],
        remove: vec!["x-remove".into()],
    };
    let path = Some(PathEdit::Prefix("/new".into()));
    let wanted = [
        format!("RequestHeaders({edits:?})"),
        format!(
            "ResponseHeaders({:?})",
            HeaderEdits { remove: vec!["server".into()], ..HeaderEdits::default() }
        ),
        format!("Rewrite({:?})", Rewrite { hostname: Some("new.test".into()), path }),
        format!("Mirror({:?})", mirror(&target, 20, 100)),
        format!("Mirror({:?})", mirror(&target, 1, 3)),
        format!("Mirror({:?})", mirror(&invalid, 1, 1)),
    ];
    let got: Vec<String> = rule.filters.iter().map(|filter| format!("{filter:?}")).collect();
    assert_eq!(got, wanted);
    assert!(
        matches!(&rule.backends[0].filters[..], [Filter::RequestHeaders(edits)] if *edits.remove == ["b".into()])
    );
}

#[test]
fn redirects() {
    let mut world = world();
    let full = json!({"type": "ReplaceFullPath", "replaceFullPath": "/full"});
    for (redirect, want) in [
        (json!({}), Redirect { status: 302, ..Redirect::default() }),
        (
            json!({"scheme": "https", "hostname": "h.test", "port": 8443, "statusCode": 308, "path": full}),
            Redirect {
                scheme: Some("https".into()),
                hostname: Some("h.test".into()),
                path: Some(PathEdit::Full("/full".into())),
                port: Some(8443),
                status: 308,
            },
        ),
    ] {
        let filter = json!({"type": "RequestRedirect", "requestRedirect": redirect});
        world.route("ns/r", json!({"rules": [{"filters": [filter]}]})).ready();
        let rule = world.matched("GET h/").rule.clone();
        assert!(matches!(&rule.filters[..], [Filter::Redirect(got)] if *got == want), "{rule:?}");
    }
}

#[test]
fn timeouts() {
    let mut world = world();
    let millis = |ms| Some(Duration::from_millis(ms));
    for (timeouts, request, backend_request) in [
        (json!({}), None, None),
        (json!({"request": "500ms"}), millis(500), None),
        (json!({"request": "1m30s", "backendRequest": "1s500ms"}), millis(90_000), millis(1_500)),
        (json!({"request": "0s", "backendRequest": "1h"}), None, millis(3_600_000)),
        (json!({"backendRequest": "0s"}), None, None),
    ] {
        world.route("ns/r", json!({"rules": [{"timeouts": timeouts}]})).ready();
        assert_eq!(
            world.matched("GET h/").rule.timeouts,
            Timeouts { request, backend_request },
            "{timeouts}"
        );
    }
}

#[test]
fn retries() {
    let mut world = world();
    let millis = |ms| Some(Duration::from_millis(ms));
    for (rule, want) in [
        (json!({}), None),
        (json!({"retry": {}}), Some((vec![], 1, None))),
        (
            json!({"retry": {"codes": [500, 503, 500], "attempts": 3, "backoff": "100ms"}}),
            Some((vec![500, 503], 3, millis(100))),
        ),
        (json!({"retry": {"codes": [429], "attempts": 0}}), Some((vec![429], 0, None))),
    ] {
        let want = want.map(|(codes, attempts, backoff)| Retry { codes, attempts, backoff });
        world.route("ns/r", json!({"rules": [rule]})).ready();
        assert_eq!(world.matched("GET h/").rule.retry, want, "{rule}");
    }
}

/// Rules that refuse their route, with the field that is to blame.
fn refused() -> Vec<(Value, &'static str)> {
    let matching = |field: &str, value: Value| json!({"matches": [{ field: value }]});
    let filter = |kind: &str, field: &str, value: Value| json!({"filters": [{"type": kind, field: value}]});
    let regex = "RegularExpression";
    let header = |name: &str, value: &str| {
        let set = json!([{"name": name, "value": value}]);
        filter("RequestHeaderModifier", "requestHeaderModifier", json!({ "set": set }))
    };
    let mirror = |extra: Value| {
        let mut mirror = extra;
        mirror["backendRef"] = json!({"name": "a", "port": 80});
        filter("RequestMirror", "requestMirror", mirror)
    };
    let redirect = |value: Value| filter("RequestRedirect", "requestRedirect", value);
    let prefix = json!({"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/x"}});
    let mut on_exact = filter("URLRewrite", "urlRewrite", prefix);
    on_exact["matches"] = json!([{"path": {"type": "Exact", "value": "/e"}}]);
    let mut with_backend = redirect(json!({}));
    with_backend["backendRefs"] = json!([{"name": "a", "port": 80}]);
    let both = json!({"filters": [{"type": "RequestRedirect", "requestRedirect": {}},
        {"type": "URLRewrite", "urlRewrite": {}}]});
    let edit = json!({"type": "RequestHeaderModifier", "requestHeaderModifier": {}});
    let on_backend =
        json!([{"name": "a", "port": 80, "filters": [{"type": "RequestRedirect", "requestRedirect": {}}]}]);
    let extension = json!({"group": "g", "kind": "k", "name": "n"});
    vec![
        (matching("path", json!({"type": regex, "value": "/("})), "matches[0].path.value"),
        (matching("path", json!({"type": "Exact", "value": "x"})), "matches[0].path.value"),
        (
            matching("headers", json!([{"name": "a", "type": regex, "value": "["}])),
            "matches[0].headers[0].value",
        ),
        (
            matching("queryParams", json!([{"name": "a", "type": regex, "value": "["}])),
            "matches[0].queryParams[0].value",
        ),
        (filter("ExtensionRef", "extensionRef", extension), "filters[0]"),
        (
            filter("ExternalAuth", "externalAuth", json!({"backendRef": {"name": "a"}, "protocol": "GRPC"})),
            "filters[0]",
        ),
        (json!({"sessionPersistence": {}}), "sessionPersistence"),
        (filter("RequestMirror", "urlRewrite", json!({})), "filters[0]"),
        (both, "filters"),
        (json!({"filters": [edit, edit]}), "filters[1]"),
        (header("bad name", "x"), "filters[0].requestHeaderModifier.set[0].name"),
        (header("x", "a\r\nb: c"), "filters[0].requestHeaderModifier.set[0].value"),
        (header("Transfer-Encoding", "chunked"), "filters[0].requestHeaderModifier.set[0].name"),
        (header("Host", "x"), "filters[0].requestHeaderModifier.set[0].name"),
        (redirect(json!({"statusCode": 200})), "filters[0].requestRedirect.statusCode"),
        (redirect(json!({"port": 0})), "filters[0].requestRedirect.port"),
        (redirect(json!({"hostname": "a/b"})), "filters[0].requestRedirect.hostname"),
        (redirect(json!({"path": {"type": "ReplaceFullPath"}})), "filters[0].requestRedirect.path"),
        (with_backend, "filters[0].requestRedirect"),
        (json!({"backendRefs": on_backend}), "backendRefs[0].filters[0].requestRedirect"),
        (on_exact, "filters[0].urlRewrite.path"),
        (mirror(json!({"percent": 101})), "filters[0].requestMirror"),
        (mirror(json!({"percent": 1, "fraction": {"numerator": 1}})), "filters[0].requestMirror"),
        (mirror(json!({"fraction": {"numerator": 1, "denominator": 0}})), "filters[0].requestMirror"),
        (json!({"timeouts": {"request": "1.5s"}}), "timeouts.request"),
        (json!({"timeouts": {"request": "1s", "backendRequest": "2s"}}), "timeouts.backendRequest"),
        (json!({"backendRefs": [{"name": "a", "port": 80, "weight": -1}]}), "backendRefs[0].weight"),
    ]
}

/// The same for the filter CORS and for retries.
fn refused_cors_and_retry() -> Vec<(Value, &'static str)> {
    let filter = |kind: &str, field: &str, value: Value| json!({"filters": [{"type": kind, field: value}]});
    vec![
        (filter("CORS", "cors", json!({"allowOrigins": ["x"]})), "filters[0].cors.allowOrigins[0]"),
        (filter("CORS", "cors", json!({"allowOrigins": ["*", "http://a"]})), "filters[0].cors.allowOrigins"),
        (filter("CORS", "cors", json!({"allowMethods": ["*", "GET"]})), "filters[0].cors.allowMethods"),
        (filter("CORS", "cors", json!({"allowHeaders": ["a b"]})), "filters[0].cors.allowHeaders[0]"),
        (filter("CORS", "cors", json!({"exposeHeaders": [""]})), "filters[0].cors.exposeHeaders[0]"),
        (filter("CORS", "cors", json!({"maxAge": 0})), "filters[0].cors.maxAge"),
        (json!({"retry": {"codes": [503, 200]}}), "retry.codes[1]"),
        (json!({"retry": {"attempts": -1}}), "retry.attempts"),
        (json!({"retry": {"attempts": 101}}), "retry.attempts"),
        (json!({"retry": {"backoff": "1.5s"}}), "retry.backoff"),
    ]
}

#[test]
fn a_refused_route_names_the_field_and_leaves_the_last_good_version() {
    for (rule, field) in refused().into_iter().chain(refused_cors_and_retry()) {
        let mut world = world();
        let good = self::rule(json!([{"path": {"value": "/good"}}]));
        world.route("ns/other", json!({"rules": [good]}));
        // Rule 0 is fine: the route is refused as a whole.
        let bad = json!({"rules": [{"matches": [{"path": {"value": "/r"}}]}, rule]});
        world.route("ns/r", bad.clone());
        let problems = world.translate();
        let wanted = format!("HTTPRoute ns/r: spec.rules[1].{field}: ");
        assert!(problems.iter().any(|p| p.starts_with(&wanted)), "{wanted} not in {problems:?}");
        assert_eq!(world.find(80, "GET h/r", &[]), "404", "{field}");
        assert_eq!(world.find(80, "GET h/good", &[]), "other#0", "{field}");
        let conditions = world.statuses(Kind::HttpRoute, "ns/r");
        assert!(conditions[0].contains("Accepted=false/UnsupportedValue"), "{conditions:?}");

        world.route("ns/r", json!({"rules": [{"matches": [{"path": {"value": "/r"}}]}]})).ready();
        assert_eq!(world.find(80, "GET h/r", &[]), "r#0");
        world.route("ns/r", bad);
        assert!(!world.translate().is_empty());
        assert_eq!(world.find(80, "GET h/r", &[]), "r#0", "{field}: the last good version stays");
        world.remove(Kind::HttpRoute, "ns/r").ready();
        assert_eq!(world.find(80, "GET h/r", &[]), "404");
    }
}

#[test]
fn the_last_good_version_follows_what_it_names() {
    let mut world = world();
    let backends = json!([{"name": "late", "port": 80}]);
    world.route("ns/r", json!({"rules": [{"backendRefs": backends}]}));
    assert_eq!(world.translate().len(), 1);
    world.route("ns/r", json!({"rules": [{"timeouts": {"request": "x"}}]}));
    assert_eq!(world.translate().len(), 2, "the refusal, and what the good version still misses");
    world.service("ns/late", "10.96.0.9", "10.0.0.9");
    assert_eq!(world.translate().len(), 1);
    let target = world.matched("GET h/").rule.backends[0].target.clone();
    assert_eq!(target, BackendTarget::Service(world.backend("ns/late", 80).id));
}
