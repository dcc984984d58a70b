use model::route::Cors;
use serde_json::{Value, json};

use super::*;
use crate::tests::World;

fn wildcard(scheme: &str, suffix: &str) -> Option<Origin> {
    Some(Origin::Wildcard { scheme: scheme.into(), suffix: suffix.into() })
}

#[test]
fn origins() {
    let exact = |text: &str| Some(Origin::Exact(text.into()));
    for (text, want) in [
        ("*", Some(Origin::Any)),
        ("https://example.com", exact("https://example.com")),
        ("HTTPS://Example.COM:8443", exact("https://example.com:8443")),
        ("https://example.com:443", exact("https://example.com")),
        ("http://example.com:80", exact("http://example.com")),
        ("https://example.com:80", exact("https://example.com:80")),
        ("http://localhost:3000", exact("http://localhost:3000")),
        ("https://*.bar.com", wildcard("https://", ".bar.com")),
        ("https://*.bar.com:8443", wildcard("https://", ".bar.com:8443")),
        ("https://*", wildcard("https://", "")),
        ("http://*:8080", wildcard("http://", ":8080")),
        ("", None),
        ("example.com", None),
        ("ftp://example.com", None),
        ("https://", None),
        ("https://*bar.com", None),
        ("https://foo.*.com", None),
        ("https://foo..com", None),
        ("https://example.com/", None),
        ("https://user@example.com", None),
        ("https://example.com:", None),
        ("https://example.com:0", None),
        ("https://example.com:65536", None),
    ] {
        assert_eq!(origin(text), want, "{text}");
    }
}

#[test]
fn of_a_rule_and_of_a_backend() {
    let all = json!({"allowOrigins": ["https://a.test", "https://*.b.test"], "allowCredentials": true,
        "allowMethods": ["GET", "PUT"], "allowHeaders": ["X-One"], "exposeHeaders": ["*"], "maxAge": 60});
    let full = Cors {
        origins: vec![Origin::Exact("https://a.test".into()), wildcard("https://", ".b.test").unwrap()],
        credentials: true,
        methods: vec!["GET".into(), "PUT".into()],
        headers: vec!["X-One".into()],
        expose: vec!["*".into()],
        max_age: 60,
    };
    let default = Cors { max_age: 5, ..Cors::default() };
    for (object, want) in [(all, full), (json!({}), default)] {
        let mut world = World::new();
        world.gateway("ns/gw", 80).service("ns/a", "10.96.0.1", "10.0.0.1");
        let filters = json!([{"type": "CORS", "cors": object}]);
        let backend: Value = json!({"name": "a", "port": 80, "filters": filters});
        world.route("ns/r", json!({"rules": [{"filters": filters, "backendRefs": [backend]}]})).ready();
        let rule = world.matched("GET h/").rule.clone();
        for filters in [&rule.filters, &rule.backends[0].filters] {
            assert!(matches!(&filters[..], [Filter::Cors(got)] if **got == want), "{filters:?}");
        }
    }
}
