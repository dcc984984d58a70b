//! RequestRedirect: every status, and where it leads.

use crate::filters::{CLIENTS, head, start, status, values};

fn rule(path: &str, redirect: &str) -> String {
    format!(
        "matches: [{{path: {{value: {path}}}}}], \
         filters: [{{type: RequestRedirect, requestRedirect: {{{redirect}}}}}]"
    )
}

#[test]
fn each_status_is_the_one_that_is_said() {
    needs_lab!();
    let codes = [301, 302, 303, 307, 308];
    let rules: Vec<String> = codes
        .iter()
        .map(|code| rule(&format!("/{code}"), &format!("hostname: new.test, statusCode: {code}")))
        .chain([rule("/default", "hostname: new.test")])
        .collect();
    let (fleet, server) = start(&rules.iter().map(String::as_str).collect::<Vec<_>>());
    for client in CLIENTS {
        for (path, code) in
            codes.map(|code| (format!("/{code}"), code)).into_iter().chain([("/default".into(), 302)])
        {
            for method in ["GET", "POST", "HEAD"] {
                let arguments: &[&str] = match method {
                    "POST" => &[client, "-d", "body"],
                    "HEAD" => &[client, "-I"],
                    _ => &[client],
                };
                let head = head(&fleet, arguments, &path);
                assert_eq!(status(&head), code, "{client} {method} {path}");
                let location = format!("http://new.test:8080{path}");
                assert_eq!(values(&head, "location"), [location], "{client} {method}");
            }
        }
    }
    assert_eq!(server.count(), 0, "the proxy answers by itself");
}

#[test]
fn scheme_host_port_and_path_are_replaced_or_kept() {
    needs_lab!();
    // Path of the rule, what it says, what is asked for, and where that leads.
    let cases = [
        ("/scheme", "scheme: https", "/scheme/a?b=c", "https://own.test/scheme/a?b=c"),
        ("/same", "scheme: http", "/same", "http://own.test/same"),
        ("/port", "port: 8443", "/port", "http://own.test:8443/port"),
        ("/well", "port: 80", "/well", "http://own.test/well"),
        ("/odd", "scheme: https, port: 80", "/odd", "https://own.test:80/odd"),
        ("/tls", "scheme: https, port: 443", "/tls", "https://own.test/tls"),
        ("/host", "hostname: new.test", "/host?q", "http://new.test:8080/host?q"),
        (
            "/full",
            "path: {type: ReplaceFullPath, replaceFullPath: /all}",
            "/full/a?b=c",
            "http://own.test:8080/all?b=c",
        ),
        (
            "/prefix",
            "path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}",
            "/prefix/a?b=c",
            "http://own.test:8080/new/a?b=c",
        ),
        (
            "/top",
            "path: {type: ReplacePrefixMatch, replacePrefixMatch: /}",
            "/top/a",
            "http://own.test:8080/a",
        ),
        (
            "/every",
            "scheme: https, hostname: new.test, port: 8443, path: {type: ReplacePrefixMatch, \
             replacePrefixMatch: /new}, statusCode: 308",
            "/every/a?b",
            "https://new.test:8443/new/a?b",
        ),
    ];
    let rules: Vec<String> = cases.iter().map(|(path, redirect, ..)| rule(path, redirect)).collect();
    let (fleet, _server) = start(&rules.iter().map(String::as_str).collect::<Vec<_>>());
    for client in CLIENTS {
        for (_, redirect, path, location) in cases {
            // The port that a client says in Host is its own affair: the listener's counts.
            for host in ["Host: own.test", "Host: own.test:8080"] {
                let head = head(&fleet, &[client, "-H", host], path);
                assert!((300..400).contains(&status(&head)), "{redirect}: {head:?}");
                assert_eq!(values(&head, "location"), [location], "{client} {host} {redirect}");
            }
        }
    }
}
