//! What is generated.

use super::Routes;

#[test]
fn a_route_answers_the_request_for_it() {
    for (routes, wanted) in [
        (Routes::Hosts(3), ["hostnames: [host-2.bench.test]", "value: /public}"]),
        (Routes::OneHost(3), ["hostnames: [one.bench.test]", "value: /public/2}"]),
    ] {
        let (host, path) = routes.request(2);
        let text = routes.route("http1", 2, 0);
        assert!(text.contains(&format!("[{host}]")) && text.contains(&format!("value: {path}}}")), "{text}");
        assert!(wanted.iter().all(|part| text.contains(part)), "{text}");
        assert!(!text.contains("filters"), "{text}");
        assert!(routes.route("http1", 2, 7).contains("value: \"7\""));
    }
}

#[test]
fn scripts_ask_for_every_route() {
    let script = Routes::Hosts(12).script();
    assert!(script.contains("for n = 1, 12 do") && script.contains("next % 12 + 1"), "{script}");
}
