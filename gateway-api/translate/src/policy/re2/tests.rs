use super::*;

#[test]
fn expressions_match_the_whole_text_as_re2_does() {
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("/public", &["/public"], &["/public/x", "/public?x=1", "x/public", ""]),
        ("/public.*", &["/public", "/public/x?y"], &["/publi"]),
        ("a|b", &["a", "b"], &["ab", "xa", "bx"]),
        (r"/v\d+", &["/v1", "/v12"], &["/v", "/v\u{663}"]),
        (r"\w\s\w", &["a b"], &["é b", "a\u{a0}b"]),
        (r"[\d-]+", &["1-2"], &["a"]),
        (r"[^\D]", &["5"], &["x", "\u{663}"]),
        ("[[a]", &["[", "a"], &["b"]),
        ("[]a]+", &["]a"], &["["]),
        ("[^]a]", &["b"], &["]", "a"]),
        ("[a&&b]", &["a", "&", "b"], &["&&"]),
        ("[a~~b]", &["~"], &["c"]),
        ("[+--]+", &["+,-"], &["*"]),
        ("[a-]", &["a", "-"], &["b"]),
        ("[[:alpha:]_]+", &["a_B"], &["1"]),
        ("[[:^digit:]]", &["x"], &["1"]),
        (r"\<x\>", &["<x>"], &["x"]),
        (r"a\.b", &["a.b"], &["axb"]),
        ("a{2}", &["aa"], &["a", "a{2}"]),
        ("a{2,}?", &["aa", "aaa"], &["a"]),
        ("a{,2}", &["a{,2}"], &["a", "aa", ""]),
        ("a{", &["a{"], &["a"]),
        ("{id}", &["{id}"], &["id"]),
        (r"\Qa.b\E+", &["a.b", "a.bb"], &["axb"]),
        (r"\x41\x{42}", &["AB"], &["ab"]),
        ("(?i)get", &["GET", "get"], &["gets"]),
        ("(?i:a)b", &["Ab"], &["AB"]),
        ("(?s).", &["\n"], &[""]),
        (".", &["a", "é"], &["\n", "ab"]),
        ("(?P<x>a)(?<y>b)", &["ab"], &["a"]),
        ("a#b c", &["a#b c"], &["a"]),
        (r"\bx\b", &["x"], &["xy"]),
        (r"x\b{start}", &["x{start}"], &["x"]),
        ("", &[""], &["a"]),
    ];
    for (pattern, yes, no) in cases {
        let regex = whole(pattern).unwrap_or_else(|error| panic!("{error}"));
        for text in *yes {
            assert!(regex.is_match(text), "`{pattern}` should match {text:?}");
        }
        for text in *no {
            assert!(!regex.is_match(text), "`{pattern}` should not match {text:?}");
        }
    }
}

#[test]
fn what_is_no_re2_expression_is_refused() {
    let patterns = [
        "(",
        ")",
        "a)(b",
        "[",
        "[a",
        "[]",
        r"\",
        "*",
        "a**",
        "a+*",
        "a{2}{3}",
        "a{1001}",
        "a{2,1}",
        "(?=a)",
        "(?!a)",
        "(?<=a)b",
        "(?x)a b",
        "(?u)a",
        "(?R)a",
        r"\1",
        r"\B",
        r"\C",
        r"\Z",
        r"\y",
        r"[\b]",
        r"[z-a]",
        "[[:nope:]]",
        r"\p{Nope}",
        r"\p",
        r"\x{110000}",
        r"\xZZ",
        "(?P<>a)",
        "(?P<a",
        r"((((a{100}){100}){100}){100})",
    ];
    for pattern in patterns {
        assert!(whole(pattern).is_err(), "`{pattern}` is accepted as {:?}", whole(pattern));
    }
}
