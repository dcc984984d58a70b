use super::*;
use model::policy::RequiredHeader;
use model::request::HeaderView;
use model::service::ObjectRef;

fn by() -> Arc<RuleRef> {
    let policy = ObjectRef { kind: "CiliumNetworkPolicy", namespace: "ns".into(), name: "p".into() };
    Arc::new(RuleRef { policy, place: "spec".into() })
}

fn rule() -> HttpRule {
    HttpRule { path: None, method: None, host: None, headers: Vec::new(), edits: Vec::new(), by: by() }
}

fn whole(pattern: &str) -> Option<Regex> {
    Some(Regex::new(&format!("^(?:{pattern})$")).expect("an expression"))
}

fn requires(name: &str, value: Option<&str>) -> HttpRule {
    let wanted = RequiredHeader { name: name.into(), value: value.map(Into::into) };
    HttpRule { headers: vec![wanted], ..rule() }
}

fn acts(name: &str, value: Option<&str>, action: MismatchAction) -> HttpRule {
    let wanted = HeaderMismatch { name: name.into(), value: value.map(Into::into), action };
    HttpRule { edits: vec![wanted], ..rule() }
}

/// `METHOD authority target` and header fields.
fn judge(rules: &HttpRules, line: &str, fields: &[(&str, &str)]) -> (bool, Vec<HeaderEdit>, usize) {
    let mut parts = line.split(' ');
    let mut part = || parts.next().unwrap_or_default();
    let (method, authority, target) = (part(), part(), part());
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let headers: Vec<HeaderView<'_>> =
        fields.iter().map(|(name, value)| HeaderView { name, value: value.as_bytes() }).collect();
    let view = HttpRequest { method, authority, path, query, target, headers: &headers };
    let verdict = request(rules, &view);
    (verdict.allowed, verdict.edits.clone(), verdict.mismatches.len())
}

fn rules(rules: Vec<HttpRule>) -> HttpRules {
    HttpRules { any: None, rules: rules.into_iter().map(Arc::new).collect() }
}

#[test]
fn each_field_matches_as_the_proxy_of_cilium_matches_it() {
    let path = |pattern: &str| HttpRule { path: whole(pattern), ..rule() };
    let method = |pattern: &str| HttpRule { method: whole(pattern), ..rule() };
    let host = |pattern: &str| HttpRule { host: whole(pattern), ..rule() };
    type Fields = &'static [(&'static str, &'static str)];
    let cases: Vec<(HttpRule, &str, Fields, bool)> = vec![
        // An empty rule matches everything.
        (rule(), "GET a /", &[], true),
        // The path is matched whole, query included.
        (path("/public"), "GET a /public", &[], true),
        (path("/public"), "GET a /public/x", &[], false),
        (path("/public"), "GET a /public?x=1", &[], false),
        (path(r"/public(\?.*)?"), "GET a /public?x=1", &[], true),
        (path("/public.*"), "GET a /public/x?y", &[], true),
        (path("public"), "GET a /public", &[], false),
        (path("/a|/b"), "GET a /b", &[], true),
        (path("/a|/b"), "GET a /bc", &[], false),
        (path("/PUBLIC"), "GET a /public", &[], false),
        // So is the method, case-sensitive: GET is not HEAD.
        (method("GET"), "GET a /", &[], true),
        (method("GET"), "HEAD a /", &[], false),
        (method("GET"), "get a /", &[], false),
        (method("GET|HEAD"), "HEAD a /", &[], true),
        (method("P.*"), "PATCH a /", &[], true),
        // The host is the whole authority, port included.
        (host(r"a\.test"), "GET a.test /", &[], true),
        (host(r"a\.test"), "GET a.test:80 /", &[], false),
        (host(r"a\.test(:\d+)?"), "GET a.test:80 /", &[], true),
        (host("a.test"), "GET a-test /", &[], true),
        (host(r".*\.test"), "GET x.a.test /", &[], true),
        // Headers: the whole value of all fields of the name joined by commas; or presence.
        (requires("x-key", Some("v")), "GET a /", &[("X-Key", "v")], true),
        (requires("x-key", Some("v")), "GET a /", &[("x-key", "V")], false),
        (requires("x-key", Some("v")), "GET a /", &[("x-key", "v2")], false),
        (requires("x-key", Some("v")), "GET a /", &[("x-key", "v"), ("X-KEY", "w")], false),
        (requires("x-key", Some("v,w")), "GET a /", &[("x-key", "v"), ("x-other", ""), ("X-KEY", "w")], true),
        (requires("x-key", Some("v")), "GET a /", &[], false),
        (requires("x-key", Some("")), "GET a /", &[("x-key", "")], true),
        (requires("x-key", Some("")), "GET a /", &[], false),
        (requires("x-key", None), "GET a /", &[("x-key", "")], true),
        (requires("x-key", None), "GET a /", &[("x-keys", "")], false),
        (requires(":method", Some("GET")), "GET a /", &[], true),
        (requires("host", Some("a")), "GET a /", &[], true),
        (requires(":path", Some("/?x")), "GET a /?x", &[], true),
    ];
    for (rule, line, fields, want) in cases {
        let text = format!("{rule:?} on {line} {fields:?}");
        assert_eq!(judge(&rules(vec![rule]), line, fields).0, want, "{text}");
    }
}

#[test]
fn one_matching_rule_is_enough_and_all_conditions_of_a_rule_are_needed() {
    let both = HttpRule { path: whole("/a"), method: whole("GET"), ..rule() };
    let either = rules(vec![both, HttpRule { path: whole("/b"), ..rule() }]);
    for (line, want) in [("GET a /a", true), ("POST a /a", false), ("POST a /b", true), ("GET a /c", false)] {
        assert_eq!(judge(&either, line, &[]).0, want, "{line}");
    }
    let none = HttpRules::default();
    assert!(!judge(&none, "GET a /", &[]).0);
    let any = HttpRules { any: Some(Some(by())), ..either };
    assert!(judge(&any, "GET a /c", &[]).0);
}

#[test]
fn mismatch_actions_let_the_request_pass_and_change_it() {
    use MismatchAction::{Add, Delete, Log, Replace};
    let (name, value): (Arc<str>, Arc<str>) = ("x-key".into(), "v".into());
    let add = || vec![HeaderEdit::Add(name.clone(), value.clone())];
    let set = || vec![HeaderEdit::Set(name.clone(), value.clone())];
    let remove = || vec![HeaderEdit::Remove(name.clone())];
    type Fields = &'static [(&'static str, &'static str)];
    type Row = (MismatchAction, Option<&'static str>, Fields, Vec<HeaderEdit>, usize);
    let cases: Vec<Row> = vec![
        (Log, Some("v"), &[("x-key", "v")], vec![], 0),
        (Log, Some("v"), &[("x-key", "w")], vec![], 1),
        (Log, Some("v"), &[], vec![], 1),
        (Log, None, &[("x-key", "w")], vec![], 0),
        (Log, None, &[], vec![], 1),
        (Add, Some("v"), &[("x-key", "v")], vec![], 0),
        (Add, Some("v"), &[("x-key", "w")], add(), 1),
        (Add, Some("v"), &[], add(), 1),
        (Delete, Some("v"), &[("x-key", "v")], vec![], 0),
        (Delete, Some("v"), &[("x-key", "w")], remove(), 1),
        (Delete, Some("v"), &[], vec![], 0),
        (Delete, None, &[], vec![], 0),
        (Replace, Some("v"), &[("x-key", "v")], vec![], 0),
        (Replace, Some("v"), &[("x-key", "w")], set(), 1),
        (Replace, Some("v"), &[("x-key", "v"), ("x-key", "v")], set(), 1),
        (Replace, Some("v"), &[], set(), 1),
    ];
    for (action, value, fields, edits, mismatches) in cases {
        let text = format!("{action:?} {value:?} on {fields:?}");
        let judged = judge(&rules(vec![acts("x-key", value, action)]), "GET a /", fields);
        assert_eq!(judged, (true, edits, mismatches), "{text}");
    }
}

#[test]
fn actions_of_every_matching_rule_are_carried_out_and_seen_by_the_next() {
    use MismatchAction::{Add, Replace};
    let first = HttpRule { path: whole("/a"), ..rule() };
    let replace = acts("x-key", Some("v"), Replace);
    let never = HttpRule { path: whole("/b"), ..acts("x-other", Some("v"), Add) };
    let needs = HttpRule { edits: acts("x-seen", Some("1"), Add).edits, ..requires("x-key", Some("v")) };
    let rules = rules(vec![first, replace, never, needs]);
    let (name, value): (Arc<str>, Arc<str>) = ("x-key".into(), "v".into());
    let edits = vec![HeaderEdit::Set(name, value), HeaderEdit::Add("x-seen".into(), "1".into())];
    assert_eq!(judge(&rules, "GET a /a", &[("x-key", "w")]), (true, edits, 2));
}

#[test]
fn a_plain_allow_does_not_stop_the_actions_of_rules_that_match() {
    let act = acts("x-key", Some("v"), MismatchAction::Log);
    let rules = HttpRules { any: Some(None), ..rules(vec![HttpRule { path: whole("/a"), ..act }]) };
    assert_eq!(judge(&rules, "GET a /a", &[]), (true, vec![], 1));
    assert_eq!(judge(&rules, "GET a /b", &[]), (true, vec![], 0));
}
