use model::service::ListenerProtocol;
use model::service::ObjectRef;

use super::*;

#[test]
fn a_request_belongs_to_the_most_specific_listener() {
    let listener_of = |name: &str| {
        Arc::new(Listener {
            gateway: ObjectRef { kind: "Gateway", namespace: "ns".into(), name: "gw".into() },
            name: name.into(),
            hostname: (name != "any").then(|| name.into()),
            protocol: ListenerProtocol::Http(Arc::default()),
            backend_certificate: None,
        })
    };
    let names = ["a.foo.com", "*.bar.foo.com", "*.foo.com", "any"];
    let port = GatewayPort { listeners: names.map(listener_of).to_vec() };
    let no_any = GatewayPort { listeners: names[..3].iter().map(|n| listener_of(n)).collect() };
    for (host, want) in [
        ("a.foo.com", Some("a.foo.com")),
        ("A.FOO.com:8080", Some("a.foo.com")),
        ("b.foo.com", Some("*.foo.com")),
        ("x.y.foo.com", Some("*.foo.com")),
        ("x.bar.foo.com", Some("*.bar.foo.com")),
        ("bar.foo.com", Some("*.foo.com")),
        ("foo.com", None),
        (".foo.com", None),
        ("xfoo.com", None),
        ("", None),
        ("10.0.0.1:80", None),
    ] {
        let name = |port| listener(port, host).map(|l| l.name.to_string());
        assert_eq!(name(&no_any).as_deref(), want, "{host}");
        assert_eq!(name(&port).as_deref(), want.or(Some("any")), "{host}");
    }
}
