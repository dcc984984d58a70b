use super::*;
use crate::fixtures::{entry, table, with_request};
use crate::table::insert;

/// The route found for a request, or `-`.
fn found(table: &RouteTable, line: &str, headers: &[(&str, &str)]) -> String {
    with_request(line, headers, |request| {
        find(table, request).map_or("-".to_owned(), |m| m.rule.route.name.to_string())
    })
}

#[test]
fn hosts_from_exact_to_any_with_fall_through() {
    let table = table(&[
        ("a.example.com", "exact", "/only"),
        ("*.example.com", "wild", "/wild"),
        ("*.b.example.com", "longer", "/longer"),
        ("", "any", "/"),
        ("", "any-only", "=/only"),
    ]);
    for (line, want) in [
        ("GET a.example.com/only", "exact"),
        ("GET A.Example.COM:8080/only", "exact"),
        ("GET a.example.com./only", "exact"),
        ("GET a.example.com/wild", "wild"),
        ("GET a.example.com/else", "any"),
        ("GET x.y.example.com/wild", "wild"),
        ("GET x.b.example.com/longer", "longer"),
        ("GET x.b.example.com/wild", "wild"),
        ("GET b.example.com/longer", "any"),
        ("GET example.com/wild", "any"),
        ("GET .example.com/wild", "any"),
        ("GET other.com/only", "any-only"),
        ("GET [::1]:80/x", "any"),
        ("GET /x", "any"),
    ] {
        assert_eq!(found(&table, line, &[]), want, "{line}");
    }
    let long = format!("GET {}.example.com/wild", "a.".repeat(200));
    assert_eq!(found(&table, &long, &[]), "any", "longer than any DNS name");
}

#[test]
fn paths_exact_then_expression_then_longest_prefix_by_element() {
    let table = table(&[
        ("", "root", "/"),
        ("", "v2", "/v2"),
        ("", "deep", "/v2/deep/"),
        ("", "exact", "=/v2/deep"),
        ("", "slash", "=/slash/"),
        ("", "short", "~/re/.*"),
        ("", "long", "~/re/[a-z]+/x"),
    ]);
    for (path, want) in [
        ("/", "root"),
        ("/v2", "v2"),
        ("/v2/", "v2"),
        ("/v2/x", "v2"),
        ("/v2example", "root"),
        ("/V2", "root"),
        ("/v2/deep", "exact"),
        ("/v2/deep/", "deep"),
        ("/v2/deeper", "v2"),
        ("/v2/deep/a/b/c", "deep"),
        ("/slash/", "slash"),
        ("/slash", "root"),
        ("/re/a/x", "long"),
        ("/re/1/x", "short"),
        ("/pre/re/a/x", "root"),
        ("/v2?a=/v2/deep", "v2"),
    ] {
        assert_eq!(found(&table, &format!("GET h{path}"), &[]), want, "{path}");
    }
}

#[test]
fn a_longer_prefix_that_fails_otherwise_falls_to_a_shorter_one() {
    let table = table(&[("", "post", "POST /a/b"), ("", "get", "/a"), ("", "exact", "=/a/b x:1")]);
    for (line, headers, want) in [
        ("POST h/a/b", &[][..], "post"),
        ("GET h/a/b", &[], "get"),
        ("GET h/a/b", &[("X", "1")], "exact"),
        ("get h/a/b", &[("X", "2")], "get"),
        ("post h/a/b", &[], "get"),
        ("GET h/b", &[], "-"),
    ] {
        assert_eq!(found(&table, line, headers), want, "{line} {headers:?}");
    }
}

#[test]
fn ties_by_method_headers_queries_age_name_rule_and_order() {
    // Each entry beats all that follow; inserted in both orders.
    let order = [
        entry("r", 9, 0, "GET /p"),
        entry("r", 9, 0, "/p a:1 b:2"),
        entry("r", 9, 0, "/p a:1 q=1 r=2"),
        entry("r", 9, 0, "/p a:1 q=1"),
        entry("r", 9, 0, "/p q=1 r=2"),
        entry("r", 9, 0, "/p q=1"),
        entry("z", 1, 7, "/p"),
        entry("a", 5, 1, "/p"),
        entry("a", 5, 2, "/p"),
        entry("b", 5, 0, "/p"),
        entry("a", i64::MAX, 0, "/p"),
    ];
    let backwards: Vec<_> = order.iter().rev().collect();
    for inserted in [order.iter().collect(), backwards] {
        let mut table = RouteTable::default();
        for entry in inserted {
            insert(&mut table, &[], entry.clone());
        }
        for want in &order {
            let got = with_request("GET h/p?q=1&r=2", &[("a", "1"), ("b", "2")], |request| {
                find(&table, request).cloned()
            });
            assert!(Arc::ptr_eq(&got.unwrap(), want), "{want:?}");
            crate::remove(&mut table, &[], want);
        }
        assert_eq!(found(&table, "GET h/p", &[]), "-");
    }
    let (first, second) = (entry("r", 1, 0, "/p"), entry("r", 1, 0, "/p"));
    let mut table = RouteTable::default();
    insert(&mut table, &[], first.clone());
    insert(&mut table, &[], second);
    let got = with_request("GET h/p", &[], |request| find(&table, request).cloned());
    assert!(Arc::ptr_eq(&got.unwrap(), &first), "the first match of a rule");
}

#[test]
fn a_long_path_is_looked_up_no_deeper_than_the_longest_prefix() {
    let table = table(&[("", "short", "/a")]);
    assert_eq!(found(&table, &format!("GET h{}", "/a".repeat(4000)), &[]), "short");
    assert_eq!(found(&table, &format!("GET h/{}", "a".repeat(4000)), &[]), "-");
}

#[test]
#[ignore = "prints a measurement"]
fn measure_find_among_1000_routes() {
    let mut table = RouteTable::default();
    for i in 0..1000 {
        let host = Arc::from(format!("h{}.example.com", i % 100));
        insert(&mut table, &[host], entry(&format!("r{i}"), 0, 0, &format!("/service/{i}")));
    }
    let headers = [("user-agent", "curl"), ("accept", "*/*")];
    with_request("GET h42.example.com:8080/service/142/some/path?x=1", &headers, |request| {
        let start = std::time::Instant::now();
        for _ in 0..1_000_000 {
            assert!(find(std::hint::black_box(&table), request).is_some());
        }
        println!("find among 1,000 routes: {} ns", start.elapsed().as_nanos() / 1_000_000);
    });
}

#[test]
fn methods_after_services_and_before_all() {
    let table = table(&[
        ("", "any", "/"),
        ("", "both", "=/s.One/Get"),
        ("", "service", "/s.One"),
        ("", "service-like", "@~s\\.[OT].*/"),
        ("", "method", "@/Get"),
        ("", "method-like", "@/~G.*"),
        ("", "both-like", "@~t/~Get|Put"),
    ]);
    for (path, want) in [
        ("/s.One/Get", "both"),
        ("/s.One/Put", "service"),
        ("/s.Two/Get", "service-like"),
        ("/s.two/Get", "method"),
        ("/s.two/Gut", "method-like"),
        ("/t/Put", "both-like"),
        ("/t/Get", "both-like"),
        ("/t/Drop", "any"),
        ("/Get", "any"),
        ("//Get", "any"),
        ("/s.Two/", "any"),
        ("/a/b/Get", "any"),
        ("/a/Get/", "any"),
    ] {
        assert_eq!(found(&table, &format!("POST h{path}"), &[]), want, "{path}");
    }
}
