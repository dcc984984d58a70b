//! Gateways that carry bytes: TCP, UDP, and TLS by server name.

use model::route::SniTable;

use super::*;

/// A rule of a route of this kind to Service port 4, `both`.
fn to_both(kind: &'static str, weight: u32) -> Arc<RouteRule> {
    Arc::new(RouteRule {
        route: object(kind, "stream"),
        index: 0,
        name: None,
        filters: Vec::new(),
        backends: vec![WeightedBackend {
            weight,
            target: BackendTarget::Service(BackendId(4)),
            filters: Vec::new(),
        }],
        timeouts: Timeouts::default(),
        retry: None,
        grpc: false,
    })
}

/// The snapshot of the other tests with Gateway `streams` at 10.1.1.2.
fn with_streams() -> Snapshot {
    let mut names = SniTable::default();
    names.exact.insert("tls.test".into(), to_both("TLSRoute", 1));
    let listeners = [
        (53, Protocol::Udp, "dns", ListenerProtocol::Udp(Some(to_both("UDPRoute", 1)))),
        (54, Protocol::Udp, "none", ListenerProtocol::Udp(None)),
        (55, Protocol::Udp, "nowhere", ListenerProtocol::Udp(Some(to_both("UDPRoute", 0)))),
        (3306, Protocol::Tcp, "sql", ListenerProtocol::Tcp(Some(to_both("TCPRoute", 1)))),
        (3307, Protocol::Tcp, "nosql", ListenerProtocol::Tcp(None)),
        (443, Protocol::Tcp, "tls", ListenerProtocol::TlsPassthrough(Arc::new(names))),
    ];
    let mut snapshot = snapshot();
    let gateways = Arc::make_mut(&mut snapshot.gateways);
    for (port, transport, name, protocol) in listeners {
        let listener = Listener {
            gateway: object("Gateway", if name == "dns" { "dns" } else { "streams" }),
            name: name.into(),
            hostname: None,
            protocol,
            backend_certificate: None,
        };
        let at = GatewayAddr { ip: Some([10, 1, 1, 2].into()), port, transport };
        gateways.insert(at, Arc::new(GatewayPort { listeners: vec![Arc::new(listener)] }));
    }
    snapshot
}

#[test]
fn routes_of_bytes_decide() {
    let snapshot = with_streams();
    let cases = [
        (
            "10.1.1.2:53 --protocol udp",
            "Gateway default/dns listener dns",
            "UDPRoute default/stream spec.rules[0]",
        ),
        (
            "default/dns --protocol udp",
            "Gateway default/dns listener dns",
            "UDPRoute default/stream spec.rules[0]",
        ),
        ("10.1.1.2:3306", "Gateway default/streams listener sql", "TCPRoute default/stream spec.rules[0]"),
        ("10.1.1.2:443 --host TLS.test", "Gateway default/streams listener tls", "TLSRoute default/stream"),
    ];
    for (to, listener, route) in cases {
        let explanation = run(&snapshot, &args(&format!("--from default/frontend --to {to}"))).expect(to);
        let text = explanation.text();
        for wanted in [listener, route, "backend  Service default/both:80, weight 1 (100.0%)"] {
            assert!(text.contains(wanted), "{wanted} is not in:\n{text}");
        }
        let endpoints: Vec<String> =
            explanation.backends[0].endpoints.iter().map(|e| e.address.to_string()).collect();
        assert_eq!(endpoints, ["10.0.0.3:9000", "10.0.1.1:9000"], "{to}");
        let json = explanation.json();
        assert_eq!(
            (&json["route"]["listener"], &json["route"]["rule"]),
            (&listener.into(), &0.into()),
            "{to}"
        );
        assert_eq!(json["route"]["match"], serde_json::Value::Null, "{to}");
    }
}

#[test]
fn what_no_route_carries_fails() {
    let snapshot = with_streams();
    let dropped = "the datagrams are dropped";
    let reset = "the connection is reset";
    let cases = [
        ("10.1.1.2:54 --protocol udp", format!("{dropped}: no route")),
        ("10.1.1.2:55 --protocol udp", format!("{dropped}: the rule has no backend with a weight")),
        ("10.1.1.2:3307", format!("{reset}: no route")),
        ("10.1.1.2:443 --host other.test", format!("{reset}: no route")),
    ];
    for (to, why) in cases {
        let explanation = run(&snapshot, &args(&format!("--from outside --to {to}"))).expect(to);
        assert_eq!(explanation.outcome, Outcome::Failed(why), "{to}:\n{}", explanation.text());
        let is_http = explanation.text().contains("HTTP");
        assert!(!is_http, "{to}: nothing is said of HTTP:\n{}", explanation.text());
    }
}

#[test]
fn policy_of_datagrams_is_judged() {
    let mut snapshot = with_streams();
    let closed = DirectionPolicy { enforcement: Enforcement::Enforced, entries: HashMap::new() };
    let policy = EndpointPolicy { ingress: closed, ..EndpointPolicy::default() };
    Arc::make_mut(&mut snapshot.policies).insert(EndpointId(3), Arc::new(policy));
    let backends = Arc::make_mut(&mut snapshot.backends);
    backends.extend([backend(4, "both", &[("10.0.0.3:9000", true)])]);
    for (to, why) in [
        ("10.1.1.2:53 --protocol udp", "the datagrams are dropped"),
        ("10.1.1.2:3306", "the connection is reset"),
    ] {
        let explanation = run(&snapshot, &args(&format!("--from default/frontend --to {to}"))).expect(to);
        assert_eq!(explanation.outcome, Outcome::Denied(why.into()), "{to}:\n{}", explanation.text());
    }
}

#[test]
fn the_transport_must_be_the_listeners() {
    let snapshot = with_streams();
    for (to, wanted) in [
        ("10.1.1.2:53", "Gateway default/dns at 10.1.1.2:53 answers on UDP only, not TCP"),
        ("default/dns", "Gateway default/dns at 10.1.1.2:53 answers on UDP only, not TCP"),
        ("10.1.1.2:3306 --protocol udp", "answers on TCP only, not UDP"),
        ("10.1.1.2:3306 --protocol sctp", "answers on TCP only, not SCTP"),
        // Of one that listens on both, the ports in question are meant.
        ("default/streams --protocol udp", "which port? It has 54, 55"),
        ("default/streams", "which port? It has 443, 3306, 3307"),
    ] {
        let error = run(&snapshot, &args(&format!("--from outside --to {to}"))).expect_err(to).to_string();
        assert!(error.contains(wanted), "{to}: {error}");
    }
}
