//! Policies: to Cilium a WebSocket is the GET that asks for it.

use super::*;
use crate::world::policy;

/// `role=frontend` may GET `/echo` of `app=api`.
fn get_echo() -> String {
    policy(&PORT.to_string(), &["method: GET, path: /echo"])
}

#[test]
fn the_request_for_it_is_judged() {
    needs_lab!("node", "openssl", "npm:ws");
    let place = Place::new();
    place.world.lab.write("policy.yaml", &get_echo());
    let weir = Weir::start(&place.world.lab);
    let client = place.client(&place.world.frontend);
    let direct = |path: &str| format!("ws://{}{path}", place.world.api.at(PORT));
    for by in clients(&client) {
        open(&client, "allowed", by, &url("/echo"));
        exchange(&client, "allowed", by);
        for url in [url("/secret"), direct("/secret")] {
            let said = client.ask(json!({"open": "denied", "by": by, "url": url}));
            assert_eq!(said["opened"], Value::Null, "{by}: {said}");
            if by != "built-in" {
                let denied = (&json!(403), &json!("Access denied\r\n"));
                assert_eq!((&said["status"], &said["body"]), denied, "{by} {url}: {said}");
            }
        }
    }
    open(&client, "direct", "ws", &direct("/echo"));
    exchange(&client, "direct", "ws");
    assert!(place.paths().iter().all(|path| path == "/echo"), "{:?}", place.paths());
    let flow = weir.wait_flow("the refusal", |flow| flow["http"]["path"] == "/secret");
    assert_eq!(flow["verdict"], "DENIED");
    // And who asks.
    let stranger = place.client(&place.world.stranger);
    let said = stranger.ask(json!({"open": "denied", "url": url("/echo")}));
    assert_eq!(said["status"], 403, "{said}");
}

#[test]
fn a_revoked_connection_is_closed() {
    needs_lab!("node", "openssl", "npm:ws");
    let place = Place::new();
    place.world.lab.write("policy.yaml", &get_echo());
    let weir = Weir::start(&place.world.lab);
    let client = place.client(&place.world.frontend);
    for by in clients(&client) {
        open(&client, by, by, &url("/echo"));
    }
    place.world.lab.write("policy.yaml", &get_echo().replace("role: frontend", "role: nobody"));
    for by in clients(&client) {
        // Without a word of either side.
        assert_eq!(client.ask(json!({"closed": by}))["code"], 1006, "{by}");
    }
    weir.wait_flow("the revocation", |flow| flow["reason"] == "policy_revoked");
    let count = clients(&client).len();
    until("the ends at the server", || {
        let ends = objects(&place.server);
        (ends.iter().filter(|end| end["closed"] == 1006).count() == count).then_some(())
    });
}
