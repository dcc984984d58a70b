use super::*;
use crate::fixtures::{entry, with_request};

#[test]
fn headers() {
    for (wanted, headers, want) in [
        ("/ version:one", &[("Version", "one")][..], true),
        ("/ version:one", &[("version", "One")], false),
        ("/ version:one", &[("version", "two")], false),
        ("/ version:one", &[], false),
        ("/ version:one", &[("version", "one"), ("VERSION", "two")], false),
        (
            "/ version:one,two,three",
            &[("v", "x"), ("version", "one"), ("VERSION", "two"), ("version", "three")],
            true,
        ),
        ("/ version:~o.e", &[("version", "one")], true),
        ("/ version:~o.e", &[("version", "xone")], false),
        ("/ version:~o|one.*", &[("version", "one two")], true),
        ("/ version:~a,b", &[("version", "a"), ("version", "b")], true),
    ] {
        let wanted = entry("r", 0, 0, wanted);
        let got = with_request("GET h/", headers, |request| has_header(request, &wanted.headers[0]));
        assert_eq!(got, want, "{wanted:?} {headers:?}");
    }
    let opaque = [model::request::HeaderView { name: "v", value: b"\xff" }];
    let wanted = entry("r", 0, 0, "/ v:~.*");
    with_request("GET h/", &[], |request| {
        let request = HttpRequest { headers: &opaque, ..*request };
        assert!(!has_header(&request, &wanted.headers[0]), "no expression matches what is not UTF-8");
    });
}

#[test]
fn queries() {
    for (wanted, target, want) in [
        ("/ animal=whale", "/?animal=whale", true),
        ("/ animal=whale", "/?ANIMAL=whale", false),
        ("/ animal=whale", "/?animal=Whale", false),
        ("/ animal=whale", "/?a=b&animal=whale&c", true),
        ("/ animal=whale", "/?animal=whales", false),
        ("/ animal=whale", "/?animal=dog&animal=whale", false),
        ("/ animal=whale", "/?animal=whale&animal=dog", true),
        ("/ animal=whale", "/?animal=wh%61le", true),
        ("/ animal=whale", "/?%61nimal=whale", true),
        ("/ animal=whale", "/", false),
        ("/ animal=", "/?animal", true),
        ("/ animal=", "/?animal=", true),
        ("/ animal=", "/?other", false),
        ("/ animal=a%b", "/?animal=a%b", true),
        ("/ animal=a%4", "/?animal=a%4", true),
        ("/ animal=x=y", "/?animal=x=y", true),
        ("/ animal=~a.b", "/?animal=a+b", true),
        ("/ animal=~a.", "/?animal=%61%2f", true),
        ("/ animal=~a.*", "/?animal=ba", false),
        ("/ animal=~.*", "/?animal=%ff", false),
    ] {
        let wanted = entry("r", 0, 0, wanted);
        let got =
            with_request(&format!("GET h{target}"), &[], |request| has_query(request, &wanted.query[0]));
        assert_eq!(got, want, "{wanted:?} {target}");
    }
    let spaced = QueryMatch { name: "a".into(), value: ValueMatch::Exact("b c".into()) };
    for target in ["/?a=b+c", "/?a=b%20c"] {
        assert!(
            with_request(&format!("GET h{target}"), &[], |request| has_query(request, &spaced)),
            "{target}"
        );
    }
}
