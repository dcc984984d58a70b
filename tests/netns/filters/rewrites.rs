//! URLRewrite: what the endpoint is asked for.

use crate::filters::{CLIENTS, TO_S, head, start, status};

#[test]
fn paths_and_hosts_are_rewritten_and_queries_stay() {
    needs_lab!();
    let rule = |matches: &str, rewrite: &str| {
        format!(
            "matches: [{{path: {matches}}}], {TO_S}, filters: [{{type: URLRewrite, urlRewrite: {{{rewrite}}}}}]"
        )
    };
    let prefix = |to: &str| format!("path: {{type: ReplacePrefixMatch, replacePrefixMatch: {to}}}");
    let full = |to: &str| format!("path: {{type: ReplaceFullPath, replaceFullPath: {to}}}");
    let rules = [
        rule("{value: /prefix}", &prefix("/new")),
        rule("{value: /top}", &prefix("/")),
        rule("{value: /slash}", &prefix("/new/")),
        rule("{value: /empty}", &prefix("''")),
        rule("{value: /full}", &full("/all")),
        rule("{type: Exact, value: /exact}", &full("/one")),
        rule("{type: RegularExpression, value: '/re[a-z]+'}", &full("/found")),
        rule("{value: /host}", "hostname: other.test"),
        rule("{value: /both}", &format!("hostname: other.test, {}", prefix("/b"))),
    ];
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let (fleet, server) = start(&rules);
    let own = "own.test";
    // What is asked for, and what the endpoint sees.
    let cases = [
        ("/prefix", "/new", own),
        ("/prefix/a/b?c=/d", "/new/a/b?c=/d", own),
        ("/prefix/", "/new/", own),
        ("/top", "/", own),
        ("/top/a", "/a", own),
        ("/top?a", "/?a", own),
        ("/slash/a", "/new/a", own),
        ("/slash", "/new", own),
        ("/empty/a", "/a", own),
        ("/empty", "/", own),
        ("/full", "/all", own),
        ("/full/a/b?c=d", "/all?c=d", own),
        ("/exact?a=b", "/one?a=b", own),
        ("/regex", "/found", own),
        ("/host/a?b", "/host/a?b", "other.test"),
        ("/both/a%20b?c", "/b/a%20b?c", "other.test"),
    ];
    for client in CLIENTS {
        for (path, target, host) in cases {
            let head = head(&fleet, &[client, "-H", "Host: own.test"], path);
            assert_eq!(status(&head), 200, "{client} {path}");
            let seen = server.seen().pop().unwrap();
            assert_eq!(seen.target, target, "{client} {path}");
            assert_eq!(seen.header("host"), Some(host), "{client} {path}");
        }
    }
    // A longer word is not under the prefix.
    assert_eq!(status(&head(&fleet, &[], "/prefixed")), 404);
}
