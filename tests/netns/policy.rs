//! Allowed, denied by method, denied by path, dropped.

use std::io;

use tests::client::{Client, curl};
use tests::{Backend, Weir, until};

use crate::world::World;

#[test]
fn frontend_may_get_public_and_nothing_else() {
    needs_lab!();
    let world = World::policed();
    let weir = Weir::start(&world.lab);
    let url = |path: &str| format!("http://{}{path}", world.api.at(80));
    let table: [(&[&str], u16, &str); 5] = [
        (&[&url("/public")], 200, "v1\n"),
        (&[&url("/public"), "-X", "POST"], 403, "Access denied\r\n"),
        (&[&url("/private")], 403, "Access denied\r\n"),
        (&[&url("/public/more")], 403, "Access denied\r\n"),
        // Judged as it is forwarded: normalised.
        (&[&url("/private/../public"), "--path-as-is"], 200, "v1\n"),
    ];
    for (arguments, status, body) in table {
        assert_eq!(curl(&world.frontend, arguments), (status, body.to_owned()), "{arguments:?}");
    }
    let denied =
        weir.wait_flow("the POST", |flow| flow["http"]["method"] == "POST" && flow["http"]["status"] == 403);
    assert_eq!(denied["verdict"], "DENIED");
    assert_eq!(denied["direction"], "ingress");
    assert_eq!(denied["source"]["pod"], "frontend");
    assert_eq!(denied["destination"]["pod"], "api");
    let allowed = weir.wait_flow("the GET", |flow| flow["http"]["status"] == 200);
    assert_eq!(allowed["verdict"], "FORWARDED");
    assert!(allowed.to_string().contains("spec.ingress[0]"), "no rule in {allowed}");
    assert_eq!(world.backend.count(), 2, "denied requests never arrive");
}

#[test]
fn keep_alive_survives_a_denial() {
    needs_lab!();
    let world = World::policed();
    let _weir = Weir::start(&world.lab);
    let mut client = Client::connect(&world.frontend, world.api.at(80)).unwrap();
    for (target, status) in [("/public", 200), ("/private", 403), ("/public", 200)] {
        let answer = client.get(target).unwrap();
        assert_eq!(answer.status, status, "{target}");
        assert!(status != 403 || answer.body == b"Access denied\r\n");
    }
}

#[test]
fn a_stranger_is_dropped_and_recorded() {
    needs_lab!();
    let world = World::policed();
    let weir = Weir::start(&world.lab);
    let error = world.stranger.connect(world.api.at(80)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    let flow = weir.wait_flow("the drop", |flow| flow["source"]["pod"] == "stranger");
    assert_eq!(flow["verdict"], "DENIED");
    assert_eq!(flow["reason"], "policy_default_deny");
    assert_eq!(flow["direction"], "ingress");
    // Another port of a policed pod is closed for everyone.
    let _other = Backend::echo(&world.api.ns, world.api.at(81));
    assert!(world.frontend.connect(world.api.at(81)).is_err());
    // A pod that no policy selects is open for everyone.
    let _open = Backend::http(&world.frontend.ns, world.frontend.at(80), "open");
    assert!(world.stranger.connect(world.frontend.at(80)).is_ok());
}

#[test]
fn what_is_not_http_is_closed() {
    needs_lab!();
    let world = World::policed();
    let weir = Weir::start(&world.lab);
    for bytes in ["SSH-2.0-test\r\n", "\x16\x03\x01\x00\x05", "PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n"] {
        let mut client = Client::connect(&world.frontend, world.api.at(80)).unwrap();
        client.send(bytes).unwrap();
        let rest = String::from_utf8_lossy(&client.rest().unwrap()).into_owned();
        assert!(!rest.contains("v1"), "{bytes:?} got {rest:?}");
    }
    assert_eq!(world.backend.connections(), 0);
    weir.wait_flow("not HTTP", |flow| flow["verdict"] != "FORWARDED");
}

#[test]
fn egress_policy_judges_the_request_as_sent() {
    needs_lab!();
    let world = World::new();
    world.lab.write("policy.yaml", EGRESS_GET);
    let weir = Weir::start(&world.lab);
    let mut client = Client::connect(&world.frontend, world.api.at(80)).unwrap();
    assert_eq!(client.get("/public").unwrap().status, 200);
    assert_eq!(client.request("DELETE", "/public", &[]).unwrap().status, 403);
    let denied = weir.wait_flow("the DELETE", |flow| flow["http"]["status"] == 403);
    assert_eq!(denied["direction"], "egress");
    let _other = Backend::echo(&world.stranger.ns, world.stranger.at(80));
    assert!(world.frontend.connect(world.stranger.at(80)).is_err(), "egress is enforced");
}

/// Replies of an allowed connection pass although egress denies all.
#[test]
fn replies_pass_under_egress_default_deny() {
    needs_lab!();
    let world = World::new();
    world.lab.write("policy.yaml", INGRESS_ALLOW_EGRESS_NONE);
    let _weir = Weir::start(&world.lab);
    assert_eq!(curl(&world.frontend, &[&format!("http://{}/", world.api.at(80))]).0, 200);
    let _target = Backend::echo(&world.frontend.ns, world.frontend.at(80));
    assert!(world.api.connect(world.frontend.at(80)).is_err(), "the api may open nothing");
    // A ping is allowed with all else from the frontend, and so is its answer.
    world.lab.ping(&world.frontend.ns, world.api.v4.into());
    assert!(world.api.ns.run(&format!("ping -c1 -W1 {}", world.frontend.v4)).is_err());
}

#[test]
fn a_revoked_flow_stops() {
    needs_lab!();
    let world = World::new();
    world.lab.write("policy.yaml", INGRESS_ALLOW_EGRESS_NONE);
    let _echo = Backend::echo(&world.api.ns, world.api.at(90));
    let weir = Weir::start(&world.lab);
    let mut direct = Client::connect(&world.frontend, world.api.at(90)).unwrap();
    direct.send("one").unwrap();
    assert_eq!(direct.read(3).unwrap(), b"one");
    let before = weir.revision();
    let revoked = INGRESS_ALLOW_EGRESS_NONE.replace("role: frontend", "role: nobody");
    world.lab.write("policy.yaml", &revoked);
    weir.wait_revision(before);
    let silence = std::time::Duration::from_secs(1);
    direct.stream.set_read_timeout(Some(silence)).unwrap();
    direct.send("two").unwrap();
    assert!(direct.read(3).is_err(), "bytes still flow");
}

#[test]
fn a_live_connection_through_the_proxy_is_closed_when_revoked() {
    needs_lab!();
    let world = World::policed();
    let weir = Weir::start(&world.lab);
    let mut client = Client::connect(&world.frontend, world.api.at(80)).unwrap();
    assert_eq!(client.get("/public").unwrap().status, 200);
    world.lab.write("policy.yaml", &crate::world::GET_PUBLIC.replace("role: frontend", "role: nobody"));
    assert_eq!(client.rest().unwrap(), b"", "closed without another word");
    weir.wait_flow("the revocation", |flow| flow["reason"] == "policy_revoked");
    until("a new connection to be refused", || {
        world.frontend.connect(world.api.at(80)).is_err().then_some(())
    });
}

const EGRESS_GET: &str = r#"
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

const INGRESS_ALLOW_EGRESS_NONE: &str = r#"
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: api, namespace: default}
spec:
  endpointSelector: {matchLabels: {app: api}}
  ingress:
  - fromEndpoints: [{matchLabels: {role: frontend}}]
  egress:
  - {}
  enableDefaultDeny: {egress: true}
"#;
