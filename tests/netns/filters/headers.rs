//! Fields set, added and removed, by a rule and by the backend reference that is chosen.

use tests::backend::Seen;
use tests::{Act, Faulty};

use crate::filters::{CLIENTS, TO_S, head, start, start_with, status, values};
use crate::fleet::{Fleet, endpoint, fleet, route};
use crate::world::World;

fn all<'s>(seen: &'s Seen, name: &str) -> Vec<&'s str> {
    seen.headers.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str()).collect()
}

const EDITS: &str = "{set: [{name: X-Set, value: new}], add: [{name: X-Add, value: more}], \
                     remove: [X-Remove, x-absent]}";

#[test]
fn request_fields_are_set_added_and_removed() {
    needs_lab!();
    let filter = format!("filters: [{{type: RequestHeaderModifier, requestHeaderModifier: {EDITS}}}]");
    let (fleet, server) = start(&[&format!("{TO_S}, {filter}")]);
    for client in CLIENTS {
        let none = head(&fleet, &[client, "-H", "X-Keep: kept"], "/");
        assert_eq!(status(&none), 200, "{client}");
        let seen = server.seen().pop().unwrap();
        assert_eq!([all(&seen, "x-set"), all(&seen, "x-add")], [["new"], ["more"]], "{client}");
        assert_eq!(all(&seen, "x-keep"), ["kept"], "{client}");
        let there = ["-H", "x-sEt: old", "-H", "X-Set: older", "-H", "X-Add: one", "-H", "x-remove: gone"];
        head(&fleet, &[&[client][..], &there].concat(), "/");
        let seen = server.seen().pop().unwrap();
        assert_eq!(all(&seen, "x-set"), ["new"], "{client}: all values are replaced");
        assert_eq!(all(&seen, "x-add"), ["one,more"], "{client}");
        assert!(all(&seen, "x-remove").is_empty(), "{client}");
    }
}

#[test]
fn response_fields_are_set_added_and_removed() {
    needs_lab!();
    let answer = "HTTP/1.1 200 OK\r\nX-Set: old\r\nx-set: older\r\nX-Add: one\r\nX-Remove: gone\r\n\
                  X-Keep: kept\r\nSet-Cookie: a=1\r\nContent-Length: 2\r\n\r\nok";
    let filter = format!("filters: [{{type: ResponseHeaderModifier, responseHeaderModifier: {EDITS}}}]");
    let cookie = "filters: [{type: ResponseHeaderModifier, responseHeaderModifier: \
                  {add: [{name: Set-Cookie, value: b=2}]}}]";
    let path = "matches: [{path: {value: /cookie}}]";
    let rules = [format!("{TO_S}, {filter}"), format!("{path}, {TO_S}, {cookie}")];
    let (fleet, _server) = start_with(&[&rules[0], &rules[1]], Act::Raw(answer.into()));
    for client in CLIENTS {
        let head = head(&fleet, &[client], "/");
        assert_eq!(status(&head), 200, "{client}");
        assert_eq!(values(&head, "x-set"), ["new"], "{client}: {head:?}");
        assert_eq!(values(&head, "x-add"), ["one,more"], "{client}: {head:?}");
        assert_eq!(values(&head, "x-remove"), [""; 0], "{client}: {head:?}");
        assert_eq!(values(&head, "x-keep"), ["kept"], "{client}: {head:?}");
        let head = super::head(&fleet, &[client], "/cookie");
        assert_eq!(values(&head, "set-cookie"), ["a=1", "b=2"], "{client}: cookies are never joined");
    }
}

/// Filters of a backend reference hold for its share of the requests, after those of the rule.
#[test]
fn filters_of_a_backend_reference_come_after_those_of_the_rule() {
    needs_lab!();
    let world = World::new();
    let servers: [Faulty; 2] = [81, 82].map(|port| endpoint(&world, port, Act::Status(200)));
    let set = |kind: &str, field: &str, name: &str, value: &str| {
        format!("{{type: {kind}, {field}: {{set: [{{name: {name}, value: {value:?}}}]}}}}")
    };
    let request =
        |name: &str, value: &str| set("RequestHeaderModifier", "requestHeaderModifier", name, value);
    let response =
        |name: &str, value: &str| set("ResponseHeaderModifier", "responseHeaderModifier", name, value);
    let rewrite = "{type: URLRewrite, urlRewrite: {hostname: b.test, path: {type: ReplacePrefixMatch, \
                   replacePrefixMatch: /b}}}";
    let rule = format!(
        "matches: [{{path: {{value: /x}}}}], filters: [{}, {}], backendRefs: [\
         {{name: a, port: 80, filters: [{}, {}]}}, {{name: b, port: 80, filters: [{}, {rewrite}]}}]",
        request("X-Who", "rule"),
        response("X-Rule", "yes"),
        request("X-Who", "a"),
        response("X-Answer", "a"),
        request("X-Other", "b"),
    );
    let objects =
        [fleet("a", &world.api, &[81], &[]), fleet("b", &world.api, &[82], &[]), route("r", &[&rule])];
    let fleet = Fleet::start(world, &objects);
    for nth in 0..40 {
        let head = head(&fleet, &[CLIENTS[nth % 2]], "/x/y?z=1");
        assert_eq!(values(&head, "x-rule"), ["yes"]);
        let is_a = values(&head, "x-backend") == ["81"];
        assert_eq!(values(&head, "x-answer"), if is_a { &["a"][..] } else { &[] });
    }
    let [a, b] = servers.each_ref().map(Faulty::seen);
    assert!(a.len() >= 5 && b.len() >= 5, "{} and {}", a.len(), b.len());
    for seen in a {
        assert_eq!((all(&seen, "x-who"), seen.target.as_str()), (vec!["a"], "/x/y?z=1"));
        assert!(all(&seen, "x-other").is_empty());
    }
    for seen in b {
        assert_eq!((all(&seen, "x-who"), seen.target.as_str()), (vec!["rule"], "/b/y?z=1"));
        assert_eq!((seen.header("x-other"), seen.header("host")), (Some("b"), Some("b.test")));
    }
}
