//! Dials to a Service's ClusterIP: bytes, or by route.

use std::io;

use tests::client::{Client, curl};
use tests::objects::{documents, pod, service};
use tests::{Backend, Host, Weir};

use crate::world::World;

const VIP: &str = "10.96.0.1";
const VIP6: &str = "fd96::1";

/// The world with a second api pod and Service `api` over both.
fn two_versions() -> (World, Host, Backend) {
    let mut world = World::new();
    let second = world.lab.pod("api2");
    let backend = Backend::http(&second.ns, second.at(80), "v2");
    let objects = documents(&[
        world.pods(),
        pod(&second, &["app=api"]),
        service("api", &[VIP], 80, &[(world.api.v4.into(), 80), (second.v4.into(), 80)]),
        service("v1", &["10.96.0.11"], 80, &[(world.api.v4.into(), 80)]),
        service("v2", &["10.96.0.12"], 80, &[(second.v4.into(), 80)]),
    ]);
    world.lab.write("pods.yaml", &objects);
    (world, second, backend)
}

/// An HTTPRoute bound to Service `api` with these weights.
pub(crate) fn weights(v1: u32, v2: u32) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n\
         metadata: {{name: split, namespace: default}}\nspec:\n  \
         parentRefs: [{{group: '', kind: Service, name: api}}]\n  rules:\n  - backendRefs:\n    \
         - {{name: v1, port: 80, weight: {v1}}}\n    - {{name: v2, port: 80, weight: {v2}}}\n"
    )
}

/// How many of `count` requests the second version answers; all must succeed.
fn share_of_second(client: &mut Client, count: usize) -> usize {
    let answers = (0..count).map(|_| client.get("/").unwrap());
    answers
        .filter(|answer| {
            assert_eq!(answer.status, 200);
            answer.text() == "v2"
        })
        .count()
}

/// Closed at once, without a byte: while it connects or after.
fn is_reset(end: io::Result<Vec<u8>>) {
    match end {
        Ok(bytes) => assert_eq!(bytes, b""),
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
    }
}

#[test]
fn weights_split_and_every_connection_is_judged() {
    needs_lab!();
    let (world, _second, _backend) = two_versions();
    world.lab.write("route.yaml", &weights(90, 10));
    let weir = Weir::start(&world.lab);
    let vip = format!("{VIP}:80").parse().unwrap();
    let mut client = Client::connect(&world.frontend, vip).unwrap();
    let second = share_of_second(&mut client, 1000);
    // Six standard deviations around 100.
    assert!((43..=157).contains(&second), "{second} of 1000");
    let flow = weir.wait_flow("a routed request", |flow| flow["http"]["status"] == 200);
    assert_eq!(flow["destination"]["ip"], VIP);
    assert!(flow["backend"]["pod"].is_string(), "{flow}");
    assert!(flow["route"].to_string().contains("split"), "{flow}");
    // A dial to a pod's own address is never routed.
    let mut direct = Client::connect(&world.frontend, world.api.at(80)).unwrap();
    assert_eq!(share_of_second(&mut direct, 50), 0);
    // A policy on the endpoints holds on this way too.
    let before = weir.revision();
    world.lab.write("policy.yaml", crate::world::GET_PUBLIC);
    weir.wait_revision(before);
    let mut client = Client::connect(&world.frontend, vip).unwrap();
    assert_eq!(client.get("/public").unwrap().status, 200);
    assert_eq!(client.get("/private").unwrap().status, 403);
    let mut client = Client::connect(&world.stranger, vip).unwrap();
    assert_eq!(client.get("/public").unwrap().status, 403);
}

#[test]
fn without_a_route_a_service_is_bytes() {
    needs_lab!();
    let world = World::new();
    let _echo = Backend::echo(&world.api.ns, world.api.at(90));
    let _echo6 = Backend::echo(&world.api.ns, world.api.at6(90));
    let objects = documents(&[
        world.pods(),
        service("echo", &[VIP, VIP6], 9000, &[(world.api.v4.into(), 90), (world.api.v6.into(), 90)]),
    ]);
    world.lab.write("pods.yaml", &objects);
    let weir = Weir::start(&world.lab);
    for vip in [format!("{VIP}:9000"), format!("[{VIP6}]:9000")] {
        let mut client = Client::connect(&world.frontend, vip.parse().unwrap()).unwrap();
        client.send(b"\x00\xffnot http\n").unwrap();
        assert_eq!(client.read(11).unwrap(), b"\x00\xffnot http\n", "{vip}");
        // Half-close: the other direction stays open until the backend is done.
        client.send("end").unwrap();
        client.stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(client.rest().unwrap(), b"end");
        let ip = vip.rsplit_once(':').unwrap().0.trim_matches(['[', ']']).to_owned();
        weir.wait_flow("the connection", |flow| {
            flow["destination"]["ip"] == ip && flow["verdict"] == "FORWARDED" && flow["bytes_in"] == 14
        });
    }
    // Denied bytes are reset, not answered.
    let before = weir.revision();
    world.lab.write("policy.yaml", crate::world::GET_PUBLIC);
    weir.wait_revision(before);
    let denied = Client::connect(&world.stranger, format!("{VIP}:9000").parse().unwrap());
    is_reset(denied.and_then(|mut client| client.rest()));
}

#[test]
fn without_a_route_http_policy_still_judges_each_request() {
    needs_lab!();
    let (world, _second, _backend) = two_versions();
    world.lab.write("policy.yaml", crate::world::GET_PUBLIC);
    let _weir = Weir::start(&world.lab);
    assert_eq!(curl(&world.frontend, &[&format!("http://{VIP}/public")]).0, 200);
    let denied = curl(&world.frontend, &[&format!("http://{VIP}/private")]);
    assert_eq!(denied, (403, "Access denied\r\n".into()));
}

#[test]
fn nothing_behind_it_is_503_and_a_bad_reference_500() {
    needs_lab!();
    let world = World::new();
    let objects = documents(&[
        world.pods(),
        service("api", &[VIP], 80, &[]),
        service("empty", &["10.96.0.5"], 80, &[]),
        service("bytes", &["10.96.0.6"], 80, &[]),
        NONE_AND_MISSING.into(),
    ]);
    world.lab.write("pods.yaml", &objects);
    let weir = Weir::start(&world.lab);
    let get = |path: &str| curl(&world.frontend, &[&format!("http://{VIP}{path}")]).0;
    assert_eq!(get("/empty"), 503);
    assert_eq!(get("/missing"), 500);
    for reason in ["no_endpoint", "invalid_backend"] {
        weir.wait_flow(reason, |flow| flow["reason"] == reason && flow["verdict"] == "FAILED");
    }
    let bytes = Client::connect(&world.frontend, "10.96.0.6:80".parse().unwrap());
    is_reset(bytes.and_then(|mut client| client.rest()));
}

const NONE_AND_MISSING: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: bad, namespace: default}
spec:
  parentRefs: [{group: '', kind: Service, name: api}]
  rules:
  - matches: [{path: {value: /empty}}]
    backendRefs: [{name: empty, port: 80}]
  - matches: [{path: {value: /missing}}]
    backendRefs: [{name: missing, port: 80}]
"#;
