//! What enters through a Gateway.

use tests::client::{Client, curl};
use tests::lab::NODE_V4;
use tests::objects::{documents, gateway, service};
use tests::{Backend, Host, Weir, until};

use crate::world::World;

/// The world with Gateway `web` on port 8080 and a route to the api, and a client outside.
fn with_gateway() -> (World, Host) {
    let mut world = World::new();
    let outside = world.lab.outside("outside");
    world.write_gateway("/a", 80);
    (world, outside)
}

fn get(from: &Host, path: &str) -> u16 {
    curl(from, &[&format!("http://{NODE_V4}:8080{path}")]).0
}

#[test]
fn outside_is_reserved_ingress_and_a_pod_keeps_its_identity() {
    needs_lab!();
    let (world, outside) = with_gateway();
    world.lab.write("policy.yaml", FRONTEND_ONLY);
    let weir = Weir::start(&world.lab);
    assert_eq!(get(&world.frontend, "/a"), 200);
    assert_eq!(get(&world.stranger, "/a"), 403);
    assert_eq!(get(&outside, "/a"), 403);
    let flow = weir.wait_flow("from outside", |flow| {
        flow["http"]["status"] == 403 && flow["source"]["ip"] == outside.v4.to_string()
    });
    assert_eq!(flow["verdict"], "DENIED");
    let before = weir.revision();
    world.lab.write(
        "policy.yaml",
        &FRONTEND_ONLY.replace("  - fromEndpoints", "  - fromEntities: [ingress]\n  - fromEndpoints"),
    );
    weir.wait_revision(before);
    assert_eq!(get(&outside, "/a"), 200);
    assert_eq!(get(&world.stranger, "/a"), 403);
}

#[test]
fn routes_match_and_what_matches_none_is_404() {
    needs_lab!();
    let (world, outside) = with_gateway();
    world.lab.write("more.yaml", FILTERS);
    let _weir = Weir::start(&world.lab);
    let mut client = Client::connect(&outside, (NODE_V4, 8080).into()).unwrap();
    assert_eq!(client.get("/a/b").unwrap().status, 200);
    assert_eq!(client.get("/ab").unwrap().status, 404, "prefixes end at elements");
    let answer = client.get("/old/page?x=1").unwrap();
    assert_eq!(answer.status, 301);
    assert_eq!(answer.header("location"), Some("http://new.test:8080/new/page?x=1"));
    let answer = client.request("GET", "/edit", &["X-Drop: 1", "Host: a.test"]).unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-answer"), Some("yes"));
    let seen = world.backend.last();
    assert_eq!(seen.target, "/rewritten");
    assert_eq!(seen.header("host"), Some("inner.test"));
    assert_eq!(seen.header("x-set"), Some("1"));
    assert_eq!(seen.header("x-drop"), None);
    assert_eq!(client.request("GET", "/slow", &[]).unwrap().status, 504, "timeouts.request");
}

#[test]
fn a_copy_goes_to_the_mirror_with_path_and_query() {
    needs_lab!();
    let (world, outside) = with_gateway();
    let copies = Backend::http(&world.api.ns, world.api.at(81), "copies");
    let mirrored = [service("copies", &["10.96.0.2"], 81, &[(world.api.v4.into(), 81)]), MIRROR.into()];
    world.lab.write("mirror.yaml", &documents(&mirrored));
    let _weir = Weir::start(&world.lab);
    let mut client = Client::connect(&outside, (NODE_V4, 8080).into()).unwrap();
    assert_eq!(client.get("/mirrored?x=1").unwrap().status, 200);
    assert_eq!(world.backend.last().target, "/mirrored?x=1");
    until("the copy", || (copies.count() == 1).then_some(()));
    assert_eq!(copies.last().target, "/mirrored?x=1");
    // A mirror that is not there costs the original nothing.
    drop(copies);
    assert_eq!(client.get("/mirrored?x=2").unwrap().status, 200);
}

#[test]
fn listeners_come_and_go_with_their_gateways() {
    needs_lab!();
    let (world, outside) = with_gateway();
    let weir = Weir::start(&world.lab);
    assert_eq!(get(&outside, "/a"), 200);
    world.lab.write(
        "second.yaml",
        &gateway("second", 8081, &[])
            .replace("name: weir}", "name: weir2}")
            .replace("gatewayClassName: weir", "gatewayClassName: weir2"),
    );
    until("the second Gateway to answer", || {
        (curl(&outside, &[&format!("http://{NODE_V4}:8081/")]).0 == 404).then_some(())
    });
    let before = weir.revision();
    std::fs::remove_file(world.lab.config().join("second.yaml")).unwrap();
    weir.wait_revision(before);
    until("the second Gateway to be gone", || {
        (curl(&outside, &[&format!("http://{NODE_V4}:8081/")]).0 == 0).then_some(())
    });
    assert_eq!(get(&outside, "/a"), 200);
}

#[test]
fn a_port_that_is_taken_is_reported_by_the_gateways_name_and_taken_when_free() {
    needs_lab!();
    let (world, outside) = with_gateway();
    let taken = world.lab.node.listen(([0, 0, 0, 0], 8080).into());
    let weir = Weir::start(&world.lab);
    weir.wait_log("Gateway default/web");
    drop(taken);
    until("the Gateway to answer", || (get(&outside, "/a") == 200).then_some(()));
}

#[test]
fn without_redirection_the_gateways_still_serve() {
    needs_lab!();
    let (world, outside) = with_gateway();
    let weir = Weir::start_with(&world.lab, &["--no-redirect", "--node", tests::lab::NODE]);
    assert_eq!(get(&outside, "/a"), 200);
    // In a line that says what is missing.
    weir.wait_log("--no-redirect");
    assert_eq!(world.backend.last().peer.ip().to_string(), "169.254.1.1", "the node's own");
}

const FRONTEND_ONLY: &str = r#"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: api, namespace: default}
spec:
  endpointSelector: {matchLabels: {app: api}}
  ingress:
  - fromEndpoints: [{matchLabels: {role: frontend}}]
"#;

const MIRROR: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: mirror, namespace: default}
spec:
  parentRefs: [{name: web}]
  rules:
  - matches: [{path: {type: Exact, value: /mirrored}}]
    filters:
    - type: RequestMirror
      requestMirror: {backendRef: {name: copies, port: 81}}
    backendRefs: [{name: api, port: 80}]
"#;

const FILTERS: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: filters, namespace: default}
spec:
  parentRefs: [{name: web}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /old}}]
    filters:
    - type: RequestRedirect
      requestRedirect:
        hostname: new.test
        statusCode: 301
        path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}
  - matches: [{path: {type: Exact, value: /edit}}]
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier:
        set: [{name: X-Set, value: "1"}]
        remove: [X-Drop]
    - type: ResponseHeaderModifier
      responseHeaderModifier: {add: [{name: X-Answer, value: "yes"}]}
    - type: URLRewrite
      urlRewrite:
        hostname: inner.test
        path: {type: ReplaceFullPath, replaceFullPath: /rewritten}
    backendRefs: [{name: api, port: 80}]
  - matches: [{path: {type: Exact, value: /slow}}]
    filters:
    - type: URLRewrite
      urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /hold}}
    timeouts: {request: 300ms}
    backendRefs: [{name: api, port: 80}]
"#;
