//! Normalisation: what changes, what is refused, and that doing it twice changes nothing.

use super::*;

fn normal(target: &str) -> String {
    match normalise(target) {
        Ok(normalised) => {
            let (path, query) = (normalised.path().to_owned(), normalised.query().map(str::to_owned));
            let joined = query.map_or(path.clone(), |query| format!("{path}?{query}"));
            assert_eq!(joined, normalised.target(), "{target:?}");
            joined
        }
        other => panic!("{target:?}: {other:?}"),
    }
}

#[test]
fn unchanged_is_borrowed() {
    let table = [
        "/",
        "/public",
        "/public/",
        "/a/b.c/d-e_f~g;h=1:@!$&'()*+,=",
        "/public?x=//../%2f%zz\\&{|}<>\"^`",
        "/?",
        "*",
        "/.well-known/x",
        "/...",
        "/..a/.b",
        "/a%20b%C3%A9%25%3Fx",
        "/a[b]",
    ];
    for target in table {
        assert_eq!(normal(target), target);
        assert!(normalise(target).is_ok_and(|normalised| normalised.is_borrowed()), "{target:?}");
    }
}

#[test]
fn changed() {
    let table = [
        // Dot segments (RFC 3986 §5.2.4 and §5.4), escaped dots too.
        ("/a/b/c/./../../g", "/a/g"),
        ("/a/.", "/a/"),
        ("/a/..", "/"),
        ("/a/b/..", "/a/"),
        ("/..", "/"),
        ("/../../a", "/a"),
        ("/.", "/"),
        ("/public/../private", "/private"),
        ("/public/%2e%2e/private", "/private"),
        ("/public/%2E./private", "/private"),
        ("/public/.%2e/private?x=1", "/private?x=1"),
        ("/a/%2e", "/a/"),
        // Slashes: dots are resolved first, so `..` may take an empty segment.
        ("//", "/"),
        ("//a///b//", "/a/b/"),
        ("/a//../b", "/a/b"),
        ("/a//..", "/a/"),
        ("//..//a", "/a"),
        ("//evil.test/x", "/evil.test/x"),
        // Backslashes.
        ("/a\\b", "/a/b"),
        ("\\a", "/a"),
        ("/public\\..\\private", "/private"),
        ("/\\evil.test", "/evil.test"),
        // Escapes of unreserved characters are decoded, others kept in their case.
        ("/%70ublic", "/public"),
        ("/%41%5a%61%7A%30%39%2d%5F%7e", "/AZaz09-_~"),
        ("/%70%c3%A9%3b%20", "/p%c3%A9%3b%20"),
        ("/%252e%252e/%70", "/%252e%252e/p"),
        // Escaped as googleurl does.
        ("/{a}|b^\"<>`", "/%7Ba%7D%7Cb%5E%22%3C%3E%60"),
        // An absolute form may lack the path.
        ("", "/"),
        ("?x", "/?x"),
        // The query stays.
        ("//a?b//../c", "/a?b//../c"),
        ("/a/..?/x/..", "/?/x/.."),
    ];
    for (target, expected) in table {
        assert_eq!(normal(target), expected, "{target:?}");
        assert_eq!(normal(expected), expected, "again: {target:?}");
        assert!(!normalise(target).is_ok_and(|normalised| normalised.is_borrowed()), "{target:?}");
    }
}

#[test]
fn escaped_slashes_redirect() {
    let table = [
        ("/a%2fb", "/a/b"),
        ("/a%2Fb?x=%2f", "/a/b?x=%2f"),
        ("/a%5cb", "/a/b"),
        ("/a%5Cb", "/a/b"),
        ("%2fa", "/a"),
        ("/%2f", "/"),
        ("/%2fevil.test", "/evil.test"),
        ("/%5c%5cevil.test", "/evil.test"),
        ("/public%2f..%2fprivate", "/private"),
        ("/public/%2e%2e%2fprivate", "/private"),
        ("/a%2f%70", "/a/p"),
    ];
    for (target, location) in table {
        let redirect = PathError::RedirectTo(location.to_owned());
        assert_eq!(redirect.status(), 307);
        assert_eq!(normalise(target), Err(redirect), "{target:?}");
        assert_eq!(normal(location), location, "what is redirected to stays");
    }
    // Doubly escaped is no slash.
    assert_eq!(normal("/a%252fb"), "/a%252fb");
}

#[test]
fn refused() {
    use PathError as E;
    let table = [
        ("/a%00b", E::Byte),
        ("/a%00%2f", E::Byte),
        ("/a\0b", E::Byte),
        ("/a b", E::Byte),
        ("/a\tb", E::Byte),
        ("/a\x7f", E::Byte),
        ("/a\u{e9}", E::Byte),
        ("/a?b\0", E::Byte),
        ("/a?b c", E::Byte),
        ("/a?b\u{e9}", E::Byte),
        ("/a#b", E::Fragment),
        ("/a?b#c", E::Fragment),
        ("/a%", E::Escape),
        ("/a%2", E::Escape),
        ("/a%zz", E::Escape),
        ("/a%%36", E::Escape),
        ("/a%+1", E::Escape),
        ("/%2f%zz", E::Escape),
        ("/public/..;/private", E::DotParameters),
        ("/public/..;x=1/private", E::DotParameters),
        ("/public/.;/private", E::DotParameters),
        ("/public/%2e%2e;/private", E::DotParameters),
        ("/public\\..;/private", E::DotParameters),
        ("/public/..%3b/private", E::DotParameters),
        ("/public/%2e%2E%3Bx=1/private", E::DotParameters),
        ("/public/.%3b/private", E::DotParameters),
        ("a", E::Relative),
        ("*x", E::Relative),
        ("../a", E::Relative),
        ("a/b", E::Relative),
    ];
    for (target, error) in table {
        assert_eq!(error.status(), 400);
        assert_eq!(normalise(target), Err(error), "{target:?}");
    }
}
