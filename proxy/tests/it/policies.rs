//! Who may ask what: judged for the source, the endpoint picked and the request.

use std::sync::Arc;

use model::flow::{FlowReason, FlowVerdict};
use model::identity::IdentityId;
use model::policy::{Direction, HeaderMismatch, HttpRules, MismatchAction, PolicyVerdict};
use model::route::{Filter, PathEdit, Rewrite};

use crate::backend::Backend;
use crate::client::{Peer, pod, until};
use crate::world::{Plan, egress, http, identity, ingress, nothing, only};

#[test]
fn ingress_policy_of_a_local_endpoint_is_judged_request_by_request() {
    let backend = Backend::echo_at(pod(7), "b");
    let policy = ingress(only(IdentityId::INGRESS, http("GET", "/public")));
    let mut world = Plan::new(&[backend.address]).pod(7, policy).start();
    let mut client = Peer::connect(world.gateway);
    for (method, path, status) in
        [("GET", "/public", 200), ("POST", "/public", 403), ("GET", "/private", 403), ("GET", "/public", 200)]
    {
        // A denied request with a body does not cost the connection.
        client.send(&format!("{method} {path} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc"));
        let answer = client.response();
        assert_eq!(answer.status(), status, "{method} {path}");
        let flow = world.flow();
        assert_eq!(flow.http.unwrap().status, status);
        assert_eq!(flow.direction, Some(Direction::Ingress));
        if status == 403 {
            assert_eq!(answer.body, "Access denied\r\n");
            assert_eq!((flow.verdict, flow.reason), (FlowVerdict::Denied, FlowReason::PolicyDefaultDeny));
        } else {
            assert_eq!(
                flow.rule.unwrap().to_string(),
                "CiliumNetworkPolicy test/policy spec.rule[0].http[0]"
            );
        }
        assert_eq!(flow.source.identity.unwrap().id, IdentityId::INGRESS);
    }
    assert_eq!(backend.requests(), 2);
    assert_eq!(world.proxy().stats().denied, 2);
}

#[test]
fn a_denied_body_too_long_to_discard_costs_the_connection() {
    let backend = Backend::echo_at(pod(7), "b");
    let world = Plan::new(&[backend.address]).pod(7, ingress(nothing())).start();
    let mut client = Peer::connect(world.gateway);
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000\r\n\r\nsome");
    let answer = client.response();
    assert_eq!((answer.status(), answer.header("connection")), (403, Some("close")));
    assert!(client.is_closed());
    assert_eq!(world.proxy().stats().limit_discard, 1);
}

#[test]
fn egress_sees_the_request_as_sent_and_ingress_as_forwarded() {
    let backend = Backend::echo_at(pod(7), "b");
    let rewrite = Rewrite { hostname: None, path: Some(PathEdit::Full("/inner".into())) };
    let plan = Plan::new(&[backend.address]).filtered("/outer", vec![Filter::Rewrite(rewrite)]);
    let cases = [("/outer", "/inner", 200), ("/inner", "/inner", 403), ("/outer", "/outer", 403)];
    for (sent, forwarded, status) in cases {
        let plan = plan.clone().pod(9, egress(only(identity(7), http("GET", sent))));
        let world = plan.pod(7, ingress(only(identity(9), http("GET", forwarded)))).start();
        assert_eq!(Peer::from_pod(9, world.gateway).get("/outer").status(), status, "{sent} {forwarded}");
    }
}

#[test]
fn a_pod_keeps_its_identity_at_a_gateway() {
    let backend = Backend::echo_at(pod(7), "b");
    let policy = ingress(only(identity(9), PolicyVerdict::Allow));
    let plan = Plan::new(&[backend.address]).pod(7, policy).pod(9, Default::default());
    let world = plan.start();
    assert_eq!(Peer::from_pod(9, world.gateway).get("/").status(), 200);
    assert_eq!(Peer::connect(world.gateway).get("/").status(), 403);
}

#[test]
fn policy_matches_the_normalised_path() {
    let backend = Backend::echo_at(pod(7), "b");
    let policy = ingress(only(IdentityId::INGRESS, http("GET", "/public")));
    let world = Plan::new(&[backend.address]).pod(7, policy).start();
    let mut client = Peer::connect(world.gateway);
    for (path, status) in
        [("/public/../private", 403), ("/private/../public", 200), ("//public", 200), ("/%70ublic", 200)]
    {
        assert_eq!(client.get(path).status(), status, "{path}");
    }
    let answer = client.get("/private%2f..%2fpublic");
    assert_eq!((answer.status(), answer.header("location")), (307, Some("/public")));
}

#[test]
fn http_rules_make_a_service_port_speak_http() {
    let backend = Backend::echo("b");
    let policy = egress(only(IdentityId::WORLD_IPV4, http("GET", "/public")));
    let mut world = Plan::new(&[backend.address]).pod(9, policy).start();
    let mut client = Peer::from_pod(9, world.service);
    assert_eq!(client.get("/public").status(), 200);
    assert_eq!(client.get("/private").status(), 403);
    drop(client);
    // Two requests and their connection.
    for _ in 0..3 {
        world.flow();
    }
    // What is not HTTP is closed without an answer.
    let mut client = Peer::from_pod(9, world.service);
    client.send("\x16\x03\x01\x02\x00");
    assert!(client.is_closed());
    assert_eq!(world.flow().reason, FlowReason::NotHttp);
    // The same port is bytes to a pod without such rules.
    let mut other = Peer::connect(world.service);
    other.send("GET /private HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(other.response().status(), 200);
}

#[test]
fn a_policy_change_reaches_what_is_under_way() {
    let (told, ended) = std::sync::mpsc::channel();
    let backend = Backend::script(move |mut peer, _| {
        peer.head();
        let _ = told.send(peer.is_closed());
    });
    let plan = Plan::new(&[backend.address]);
    let open = plan.clone().pod(9, egress(only(IdentityId::WORLD_IPV4, http("GET", "/"))));
    let mut world = open.start();
    let mut client = Peer::from_pod(9, world.gateway);
    client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    until("the endpoint is asked", || world.proxy().stats().upstream_opened == 1);
    world.publish(&plan.pod(9, egress(only(IdentityId::WORLD_IPV4, http("GET", "/other")))));
    assert!(client.is_reset());
    assert!(ended.recv_timeout(crate::client::PATIENCE).unwrap());
    let flow = world.flow();
    assert_eq!((flow.verdict, flow.reason), (FlowVerdict::Denied, FlowReason::PolicyRevoked));
}

#[test]
fn an_idle_connection_of_a_source_that_may_nothing_is_closed() {
    let backend = Backend::echo("b");
    let plan = Plan::new(&[backend.address]);
    let open = plan.clone().pod(9, egress(only(IdentityId::WORLD_IPV4, http("GET", "/"))));
    let mut world = open.start();
    let mut client = Peer::from_pod(9, world.service);
    assert_eq!(client.get("/").status(), 200);
    world.publish(&plan.pod(9, egress(nothing())));
    assert!(client.is_closed());
}

#[test]
fn a_pod_without_a_policy_entry_is_closed() {
    use std::sync::Arc;
    let backend = Backend::echo_at(pod(7), "b");
    let plan = Plan::new(&[backend.address]).pod(7, Default::default());
    let mut world = plan.start();
    assert_eq!(Peer::connect(world.gateway).get("/").status(), 200);
    world.publish_changed(&plan, |snapshot| snapshot.policies = Arc::default());
    assert_eq!(Peer::connect(world.gateway).get("/").status(), 403);
}

#[test]
fn a_header_that_a_rule_only_takes_note_of_is_in_the_record() {
    let PolicyVerdict::Http(rules) = http("GET", "/") else { panic!("HTTP rules") };
    let mut rule = (*rules.rules[0]).clone();
    rule.edits = vec![HeaderMismatch {
        name: "x-team".into(),
        value: Some("blue".into()),
        action: MismatchAction::Log,
    }];
    let rules = HttpRules { any: None, rules: vec![Arc::new(rule)] };
    let policy = egress(only(IdentityId::WORLD_IPV4, PolicyVerdict::Http(Arc::new(rules))));
    let backend = Backend::echo("b");
    let mut world = Plan::new(&[backend.address]).pod(9, policy).start();
    let mut client = Peer::from_pod(9, world.service);
    for (team, noted) in [("blue", vec![]), ("red", vec!["x-team"])] {
        client.send(&format!("GET / HTTP/1.1\r\nHost: a.test\r\nX-Team: {team}\r\n\r\n"));
        assert_eq!(client.response().status(), 200);
        let names = world.flow().header_mismatches;
        assert_eq!(names.iter().map(|name| &**name).collect::<Vec<_>>(), noted, "{team}");
    }
}
