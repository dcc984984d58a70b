//! What browsers of other origins are told.

use std::sync::Arc;

use model::route::{Cors, Filter, Origin, Redirect};

use crate::backend::Backend;
use crate::client::{Peer, pod};
use crate::world::{Plan, ingress, nothing};

fn cors(credentials: bool) -> Filter {
    Filter::Cors(Arc::new(Cors {
        origins: vec![Origin::Exact("https://a.test".into())],
        credentials,
        methods: vec!["GET".into(), "PUT".into()],
        headers: vec!["*".into()],
        expose: vec!["x-1".into()],
        max_age: 60,
    }))
}

fn asked(origin: &str) -> String {
    format!(
        "OPTIONS /x HTTP/1.1\r\nHost: a.test\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: PUT\r\n\
         Access-Control-Request-Headers: x-2,x-3\r\n\r\n"
    )
}

#[test]
fn the_proxy_answers_preflights() {
    let backend = Backend::echo("b");
    let mut world = Plan::new(&[backend.address]).filtered("/", vec![cors(true)]).start();
    let mut client = Peer::connect(world.gateway);
    client.send(&asked("https://a.test"));
    let answer = client.response();
    assert_eq!(answer.status(), 200);
    for (name, value) in [
        ("access-control-allow-origin", Some("https://a.test")),
        ("access-control-allow-credentials", Some("true")),
        ("access-control-allow-methods", Some("GET, PUT")),
        ("access-control-allow-headers", Some("x-2,x-3")),
        ("access-control-expose-headers", Some("x-1")),
        ("access-control-max-age", Some("60")),
        ("vary", Some("origin")),
        ("content-length", Some("0")),
    ] {
        assert_eq!(answer.header(name), value, "{name} in {}", answer.head);
    }
    assert_eq!(world.flow().http.unwrap().status, 200);

    client.send(&asked("https://b.test"));
    let answer = client.response();
    assert_eq!(answer.status(), 403);
    assert_eq!(answer.header("access-control-allow-origin"), None);
    assert_eq!(backend.requests(), 0);
    // OPTIONS that is no preflight is the endpoint's.
    client.send("OPTIONS /x HTTP/1.1\r\nHost: a.test\r\nOrigin: https://a.test\r\n\r\n");
    assert_eq!(client.response().header("access-control-allow-origin"), Some("https://a.test"));
    assert_eq!(backend.requests(), 1);
}

#[test]
fn answers_say_who_may_read_them() {
    let text =
        "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nVary: accept\r\nContent-Length: 2\r\n\r\nok";
    let backend = Backend::always(text);
    let world = Plan::new(&[backend.address]).filtered("/", vec![cors(false)]).start();
    let mut client = Peer::connect(world.gateway);
    for (origin, allowed) in [
        ("Origin: https://a.test\r\n", Some("https://a.test")),
        ("Origin: https://b.test\r\n", None),
        ("", None),
    ] {
        client.send(&format!("GET / HTTP/1.1\r\nHost: a.test\r\n{origin}\r\n"));
        let answer = client.response();
        assert_eq!((answer.status(), &*answer.body), (200, "ok"));
        assert_eq!(answer.header("access-control-allow-origin"), allowed, "{origin}");
        assert_eq!(answer.head.matches("Allow-Origin").count(), 0, "the endpoint's own is gone");
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        let vary: Vec<_> =
            answer.head.lines().filter(|l| l.to_ascii_lowercase().starts_with("vary: ")).collect();
        assert_eq!(vary, ["Vary: accept", "vary: origin"]);
    }
}

#[test]
fn so_do_the_proxys_own_answers() {
    let backend = Backend::echo_at(pod(7), "b");
    let plan = Plan::new(&[backend.address]).service(&[]).pod(7, ingress(nothing()));
    let redirect = Filter::Redirect(Redirect { status: 301, ..Redirect::default() });
    let mut none = crate::world::rule();
    (none.filters, none.backends) = (vec![cors(false)], vec![crate::world::to(1, 1)]);
    let mut invalid = none.clone();
    invalid.backends.clear();
    let plan = plan.route("/none", none).route("/invalid", invalid).filtered("/denied", vec![cors(false)]);
    let world = plan.filtered("/redirect", vec![cors(false), redirect]).start();
    let mut client = Peer::connect(world.gateway);
    for (path, status) in [("/none", 503), ("/invalid", 500), ("/denied", 403), ("/redirect", 301)] {
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: a.test\r\nOrigin: https://a.test\r\n\r\n"));
        let answer = client.response();
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://a.test"), "{path}");
        assert_eq!(answer.head.matches("vary").count(), 1, "{path}");
    }
}
