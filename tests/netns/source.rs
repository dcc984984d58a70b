//! Which source address the backend sees, by each rule.

use std::net::IpAddr;

use tests::client::{Client, curl};
use tests::lab::NODE_V4;
use tests::objects::{documents, gateway, pod, service};
use tests::{Backend, Weir};

use crate::world::World;

/// The address that the backend saw last.
fn seen(backend: &Backend) -> IpAddr {
    backend.last().peer.ip()
}

#[test]
fn a_local_client_keeps_its_address_to_local_and_remote_pods() {
    needs_lab!();
    let mut world = World::policed();
    let remote = world.lab.remote_pod("remote");
    let far = Backend::http(&remote.ns, remote.at(80), "far");
    let all = documents(&[world.pods(), pod(&remote, &["app=api"]), EGRESS_HTTP.into()]);
    world.lab.write("pods.yaml", &all);
    let weir = Weir::start(&world.lab);
    for (to, backend) in [(&world.api, &world.backend), (&remote, &far)] {
        let mut client = Client::connect(&world.frontend, to.at(80)).unwrap();
        assert_eq!(client.get("/public").unwrap().status, 200, "{}", to.name);
        assert_eq!(seen(backend), world.frontend.v4, "{}", to.name);
        weir.wait_flow("the request", |flow| {
            flow["http"]["status"] == 200 && flow["destination"]["pod"] == to.name
        });
    }
}

#[test]
fn a_remote_client_keeps_its_address_to_a_local_pod() {
    needs_lab!();
    let mut world = World::policed();
    let remote = world.lab.remote_pod("remote");
    world.lab.write("remote.yaml", &pod(&remote, &["role=frontend"]));
    let _weir = Weir::start(&world.lab);
    let mut client = Client::connect(&remote, world.api.at(80)).unwrap();
    assert_eq!(client.get("/public").unwrap().status, 200);
    assert_eq!(client.get("/private").unwrap().status, 403, "it went through the proxy");
    assert_eq!(seen(&world.backend), remote.v4);
}

#[test]
fn through_a_gateway_the_client_shows_to_local_pods_and_the_node_to_others() {
    needs_lab!();
    let mut world = World::new();
    let outside = world.lab.outside("outside");
    let remote = world.lab.remote_pod("remote");
    let far = Backend::http(&remote.ns, remote.at(80), "far");
    let near_endpoint = [(world.api.v4.into(), 80)];
    let far_endpoint = [(remote.v4.into(), 80)];
    let objects = documents(&[
        world.pods(),
        pod(&remote, &["app=far"]),
        gateway("web", 8080, &[]),
        service("near", &["10.96.0.1"], 80, &near_endpoint),
        service("far", &["10.96.0.2"], 80, &far_endpoint),
        NEAR_AND_FAR.into(),
    ]);
    world.lab.write("pods.yaml", &objects);
    let _weir = Weir::start(&world.lab);
    let get = |path: &str| curl(&outside, &[&format!("http://{NODE_V4}:8080{path}")]);
    assert_eq!(get("/near"), (200, "v1\n".into()));
    assert_eq!(seen(&world.backend), outside.v4);
    assert_eq!(get("/far"), (200, "far\n".into()));
    assert_eq!(seen(&far), NODE_V4);
    // A pod of this node is seen as itself by both.
    let get = |path: &str| curl(&world.stranger, &[&format!("http://{NODE_V4}:8080{path}")]);
    assert_eq!(get("/near").0, 200);
    assert_eq!(seen(&world.backend), world.stranger.v4);
    assert_eq!(get("/far").0, 200);
}

#[test]
fn a_pod_that_reaches_itself_sees_the_node() {
    needs_lab!();
    let world = World::new();
    let endpoints = [(world.api.v4.into(), 80)];
    let objects = documents(&[world.pods(), service("api", &["10.96.0.1"], 80, &endpoints)]);
    world.lab.write("pods.yaml", &objects);
    let _weir = Weir::start(&world.lab);
    assert_eq!(curl(&world.api, &["http://10.96.0.1/"]), (200, "v1\n".into()));
    assert_ne!(seen(&world.backend), world.api.v4);
    let own = world.lab.node.run("ip -o addr").unwrap();
    assert!(own.contains(&format!(" {}/", seen(&world.backend))), "not the node's own address");
}

/// A pooled connection never carries another client's request.
#[test]
fn two_clients_interleaved_on_one_backend_are_told_apart() {
    needs_lab!();
    let world = World::new();
    world.lab.write("policy.yaml", ANYONE_HTTP);
    let _weir = Weir::start(&world.lab);
    let mut clients = [&world.frontend, &world.stranger]
        .map(|host| (host, Client::connect(host, world.api.at(80)).unwrap()));
    for round in 0..50 {
        for (host, client) in &mut clients {
            assert_eq!(client.get(&format!("/{round}")).unwrap().status, 200);
            assert_eq!(seen(&world.backend), host.v4, "round {round}");
        }
    }
    assert!(world.backend.connections() < 20, "upstream connections are reused");
}

const EGRESS_HTTP: &str = r#"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: frontend, namespace: default}
spec:
  endpointSelector: {matchLabels: {role: frontend}}
  egress:
  - toEndpoints: [{matchLabels: {app: api}}]
    toPorts:
    - ports: [{port: "80", protocol: TCP}]
      rules: {http: [{method: GET}]}
"#;

const ANYONE_HTTP: &str = r#"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: api, namespace: default}
spec:
  endpointSelector: {matchLabels: {app: api}}
  ingress:
  - toPorts:
    - ports: [{port: "80", protocol: TCP}]
      rules: {http: [{method: GET}]}
"#;

const NEAR_AND_FAR: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: near-and-far, namespace: default}
spec:
  parentRefs: [{name: web}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /near}}]
    backendRefs: [{name: near, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /far}}]
    backendRefs: [{name: far, port: 80}]
"#;
