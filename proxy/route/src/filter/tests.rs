use super::*;
use crate::fixtures::{entry, with_request};

fn redirect_of(text: &str) -> Redirect {
    let mut filter = Redirect { status: 302, ..Redirect::default() };
    for word in text.split_whitespace() {
        let (field, value) = word.split_once(':').unwrap();
        match field {
            "scheme" => filter.scheme = Some(value.into()),
            "host" => filter.hostname = Some(value.into()),
            "port" => filter.port = Some(value.parse().unwrap()),
            "full" => filter.path = Some(PathEdit::Full(value.into())),
            "prefix" => filter.path = Some(PathEdit::Prefix(value.into())),
            _ => filter.status = value.parse().unwrap(),
        }
    }
    filter
}

#[test]
fn redirects() {
    // Filter, matched prefix, request, its scheme and listener port, status and Location.
    for (filter, matched, request, (scheme, port), want) in [
        ("host:example.org", "/", "h/a?x=1", ("http", 80), "302 http://example.org/a?x=1"),
        ("host:example.org status:301", "/", "h/", ("http", 80), "301 http://example.org/"),
        ("", "/", "h:1234/a", ("http", 80), "302 http://h/a"),
        ("", "/", "h:1234/a", ("http", 8080), "302 http://h:8080/a"),
        ("", "/", "h/a", ("https", 443), "302 https://h/a"),
        ("scheme:https", "/", "h/a", ("http", 8080), "302 https://h/a"),
        ("scheme:https", "/", "h/a", ("http", 443), "302 https://h/a"),
        ("scheme:http", "/", "h/a", ("http", 8080), "302 http://h/a"),
        ("scheme:https port:8443", "/", "h/a", ("http", 80), "302 https://h:8443/a"),
        ("scheme:https port:443", "/", "h/a", ("http", 80), "302 https://h/a"),
        ("scheme:http port:443", "/", "h/a", ("https", 443), "302 http://h:443/a"),
        ("port:80", "/", "h/a", ("http", 8080), "302 http://h/a"),
        ("port:8083 host:e.org", "/", "h/a", ("http", 80), "302 http://e.org:8083/a"),
        ("full:/full/path", "/x", "h/x/y?q", ("http", 80), "302 http://h/full/path?q"),
        ("full:/full?own=1", "/x", "h/x/y?q", ("http", 80), "302 http://h/full?own=1"),
        ("prefix:/new", "/old", "h/old/y?q=1", ("http", 80), "302 http://h/new/y?q=1"),
        ("", "/", "[::1]:80/a", ("http", 80), "302 http://[::1]/a"),
        ("scheme:https", "/", "/a", ("http", 80), "302 /a"),
    ] {
        let entry = entry("r", 0, 0, matched);
        let (status, location) = with_request(&format!("GET {request}"), &[], |request| {
            super::redirect(&redirect_of(filter), &entry, request, scheme, port)
        });
        assert_eq!(format!("{status} {location}"), want, "{filter} on {request}");
    }
}

#[test]
fn replaced_prefixes() {
    // The table of HTTPPathModifier.replacePrefixMatch, then the conformance suite's.
    for (path, prefix, replacement, want) in [
        ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
        ("/foo/bar", "/foo/", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo/", "/xyz/", "/xyz/bar"),
        ("/foo", "/foo", "/xyz", "/xyz"),
        ("/foo/", "/foo", "/xyz", "/xyz/"),
        ("/foo/bar", "/foo", "", "/bar"),
        ("/foo/", "/foo", "", "/"),
        ("/foo", "/foo", "", "/"),
        ("/foo/", "/foo", "/", "/"),
        ("/foo", "/foo", "/", "/"),
        ("/prefix/one/two", "/prefix/one", "/one", "/one/two"),
        ("/strip-prefix", "/strip-prefix", "/", "/"),
        ("/strip-prefix/three", "/strip-prefix", "/", "/three"),
        ("/strip-prefix/three?a=/b", "/strip-prefix", "/", "/three?a=/b"),
        ("/a?", "/", "/b", "/b/a?"),
        ("/", "/", "/b", "/b/"),
    ] {
        let entry = entry("r", 0, 0, prefix);
        let filter = Rewrite { hostname: None, path: Some(PathEdit::Prefix(replacement.into())) };
        let got = with_request(&format!("GET h{path}"), &[], |request| rewrite(&filter, &entry, request));
        assert_eq!(got.target.as_deref(), Some(want), "{path} {prefix} {replacement}");
    }
}

#[test]
fn rewrites_change_only_what_they_name() {
    let entry = entry("r", 0, 0, "/");
    for (hostname, path, want) in [
        (None, None, (None, None)),
        (Some("one.example.org"), None, (Some("one.example.org"), None)),
        (None, Some("/one"), (None, Some("/one?q=1"))),
    ] {
        let filter =
            Rewrite { hostname: hostname.map(Arc::from), path: path.map(|p| PathEdit::Full(p.into())) };
        let got = with_request("GET h/a?q=1", &[], |request| rewrite(&filter, &entry, request));
        assert_eq!((got.authority.as_deref(), got.target.as_deref()), want);
    }
}

#[test]
fn header_edits() {
    let pairs = |text: &str| -> Vec<(Arc<str>, Arc<str>)> {
        text.split_whitespace()
            .map(|p| p.split_once('=').unwrap())
            .map(|(n, v)| (n.into(), v.into()))
            .collect()
    };
    // set, add, remove; fields before; fields after.
    for (set, add, remove, before, want) in [
        ("x=new", "", "", "X=old y=1 x=older", "y=1 x=new"),
        ("x=new", "", "", "", "x=new"),
        ("", "x=b", "", "X=a", "X=a,b"),
        ("", "x=b", "", "y=1", "y=1 x=b"),
        ("", "x=c", "", "x=a x=b", "x=a x=b,c"),
        ("", "set-cookie=b", "", "Set-Cookie=a", "Set-Cookie=a set-cookie=b"),
        ("", "", "x", "X=a y=1 x=b", "y=1"),
        ("x=1", "x=2", "", "x=0", "x=1,2"),
        ("x=1", "y=2", "x y", "x=0 y=0 z=0", "z=0"),
    ] {
        let edits = HeaderEdits {
            set: pairs(set),
            add: pairs(add),
            remove: remove.split_whitespace().map(Arc::from).collect(),
        };
        let before = pairs(before);
        let mut headers: Vec<Header<'_>> = before.iter().map(|(n, v)| header(n, v)).collect();
        edit_headers(&edits, &mut headers);
        let text = |h: &Header<'_>| format!("{}={}", h.name, String::from_utf8_lossy(&h.value));
        assert_eq!(headers.iter().map(text).collect::<Vec<_>>().join(" "), want, "{edits:?}");
    }
}
