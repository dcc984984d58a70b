//! GRPCRoutes: matches, weights, Services as parents, and HTTPRoutes beside them.

use std::process::Command;

use tests::weir::binary;

use super::*;

/// The place with a second server, Service `two`.
fn two_servers(routes: &str) -> (Place, (Peer, Host)) {
    let mut world = World::new();
    let second = world.lab.pod("api2");
    let server = serve(&second, PORT, "two");
    let objects = vec![pod(&second, &["app=api"]), backend("two", "10.96.0.2", &second)];
    (Place::with(world, routes, objects), (server, second))
}

/// Who answered.
fn who(client: &Driver, command: Value) -> String {
    let said = call(client, command, "OK");
    said["first"]["server"].as_str().unwrap().to_owned()
}

#[test]
fn services_methods_and_headers() {
    needs_lab!("node", "openssl", "npm:@grpc/grpc-js");
    let (place, _two) = two_servers(&route("matches", MATCHES));
    let _weir = Weir::start(place.lab());
    let client = place.client();
    for (command, want) in [
        // By service and method.
        (json!({"method": "Unary"}), "two"),
        // By service alone, which comes before a method without one.
        (json!({"method": "Server"}), "one"),
        (json!({"method": "Client"}), "one"),
        // By service and a header.
        (json!({"method": "Client", "metadata": {"version": "2"}}), "two"),
        (json!({"method": "Client", "metadata": {"version": "3"}}), "one"),
        // By an expression.
        (json!({"service": "Other"}), "two"),
    ] {
        assert_eq!(who(&client, command.clone()), want, "{command}");
    }
}

#[test]
fn weights_count_by_call_also_on_one_connection() {
    needs_lab!("node", "openssl", "npm:@grpc/grpc-js");
    let weighted = |one: u32, two: u32| {
        let two = format!("{{name: two, port: 80, weight: {two}}}");
        route("one", &format!("  - backendRefs: [{{name: one, port: 80, weight: {one}}}, {two}]\n"))
    };
    let (place, _two) = two_servers(&weighted(1, 1));
    let weir = Weir::start(place.lab());
    let client = place.client();
    let share = |fresh: bool| (0..60).filter(|_| who(&client, json!({"fresh": fresh})) == "two").count();
    for fresh in [false, true] {
        let share = share(fresh);
        assert!((10..=50).contains(&share), "{share} of 60, fresh: {fresh}");
    }
    let before = weir.revision();
    place.lab().write("routes.yaml", &weighted(0, 1));
    weir.wait_revision(before);
    assert_eq!(share(false), 60, "and the connection is the one of before");
}

/// A route bound to a Service takes the calls to its ClusterIP, whatever name they carry.
#[test]
fn calls_to_a_service_go_by_its_route() {
    needs_lab!("node", "openssl", "npm:@grpc/grpc-js");
    let at_service = |rules: &str| {
        route("mesh", rules).replace("[{name: web}]", "[{group: '', kind: Service, name: one}]")
    };
    let rules = "  - matches: [{method: {method: Unary}}]\n    backendRefs: [{name: two, port: 80}]\n  \
                 - backendRefs: [{name: one, port: 80}]\n";
    let (place, _two) = two_servers(&at_service(rules));
    let weir = Weir::start(place.lab());
    let target = (std::net::Ipv4Addr::new(10, 96, 0, 1), 80);
    let client = client(&place.world.frontend, target.into());
    assert_eq!(who(&client, json!({})), "two");
    assert_eq!(who(&client, json!({"method": "Server", "texts": ["repeat 1"]})), "one");
    // Without the route it is what it is without us.
    let before = weir.revision();
    place.lab().write("routes.yaml", "");
    weir.wait_revision(before);
    assert_eq!(who(&client, json!({"fresh": true})), "one");
}

/// Of an HTTPRoute and a GRPCRoute on one hostname the one that comes first counts, alone.
#[test]
fn an_http_route_on_the_same_hostname_is_refused_and_said_to_be() {
    needs_lab!("node", "openssl", "npm:@grpc/grpc-js");
    let place = Place::new(&to_one());
    place.lab().write("zz.yaml", LATER);
    let weir = Weir::start(place.lab());
    let client = place.client();
    call(&client, json!({}), "OK");
    let get = |path: &str| {
        let url = format!("http://{NODE_V4}:8080{path}");
        tests::client::curl(&place.world.frontend, &[&url]).0
    };
    assert_eq!(get("/redirected"), 415, "it is the GRPCRoute's, whose server says that it is no call");
    let refused = "HTTPRoute default/zz: spec.parentRefs[0]: GRPCRoute default/one comes first";
    weir.wait_log(refused);
    let check = Command::new(binary()).arg("check").arg(place.lab().config()).output().unwrap();
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(!check.status.success() && said.contains(refused), "{said}");
    let before = weir.revision();
    place.lab().write("routes.yaml", "");
    weir.wait_revision(before);
    assert_eq!(get("/redirected"), 302);
    call(&client, json!({}), "UNKNOWN");
}

const MATCHES: &str = r#"
  - matches: [{method: {method: Server}}]
    backendRefs: [{name: two, port: 80}]
  - matches: [{method: {service: test.v1.Echo}}]
    backendRefs: [{name: one, port: 80}]
  - matches: [{method: {service: test.v1.Echo, method: Unary}}]
    backendRefs: [{name: two, port: 80}]
  - matches: [{method: {service: test.v1.Echo}, headers: [{name: version, value: "2"}]}]
    backendRefs: [{name: two, port: 80}]
  - matches: [{method: {type: RegularExpression, service: "test[.]v[0-9]+[.]O.*"}}]
    backendRefs: [{name: two, port: 80}]
"#;

const LATER: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: zz, namespace: default}
spec:
  parentRefs: [{name: web}]
  rules:
  - filters: [{type: RequestRedirect, requestRedirect: {hostname: new.test}}]
"#;
