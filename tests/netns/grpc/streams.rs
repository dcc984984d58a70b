//! Streams that stay open while the configuration changes.

use super::*;
use crate::world::policy;

/// Calls of every service of the api pod.
fn open() -> String {
    policy("50051", &["path: '/test[.]v1[.].*'"])
}

/// Says something on an open stream and takes the answer.
fn say(client: &Driver, name: &str, text: &str) {
    let said = client.ask(json!({"say": name, "text": text}));
    assert_eq!(said["text"], format!("one {text}"), "{said}");
}

#[test]
fn a_stream_outlives_changes_that_do_not_concern_it() {
    needs_lab!("node", "openssl", "npm:@grpc/grpc-js");
    let place = Place::new(&to_one());
    place.lab().write("policy.yaml", &open());
    let weir = Weir::start(place.lab());
    let clients = [place.client(), place.secure_client()];
    for client in &clients {
        client.ask(json!({"open": "s"}));
        say(client, "s", "before");
    }
    let other = route("other", "  - backendRefs: [{name: one, port: 80}]\n");
    let other = other.replace("rules:", "hostnames: [other.test]\n  rules:");
    let changed = "  - matches: [{method: {method: Unary}}]\n    backendRefs: [{name: one, port: 80}]\n";
    for (file, text) in [
        ("more.yaml", service("more", &["10.96.0.9"], 80, &[(place.world.stranger.v4.into(), 80)])),
        ("other.yaml", other),
        ("another.yaml", open().replace("name: api", "name: another").replace("app: api", "role: stranger")),
        // Another rule for the same pod, which leaves the call allowed.
        ("policy.yaml", open().replace("test[.]", "test.")),
        // Its own route: the call is with its server already, and new ones go by the new rules.
        ("routes.yaml", route("one", changed)),
    ] {
        let before = weir.revision();
        place.lab().write(file, &text);
        weir.wait_revision(before);
        for client in &clients {
            say(client, "s", file);
        }
    }
    call(&clients[0], json!({"method": "Server"}), "UNIMPLEMENTED");
    for client in &clients {
        let said = client.ask(json!({"end": "s"}));
        assert_eq!((&said["code"], &said["last"]["end"]), (&json!("OK"), &json!("one")), "{said}");
    }
}

/// A new proxy takes over: streams are kept where they are, and new calls go to it.
#[test]
fn a_stream_outlives_the_replacement_of_the_proxy() {
    needs_lab!("node", "openssl", "npm:@grpc/grpc-js");
    let place = Place::new(&to_one());
    let weir = Weir::start(place.lab());
    let clients = [place.client(), place.secure_client()];
    for client in &clients {
        client.ask(json!({"open": "s"}));
        say(client, "s", "before");
    }
    weir.restart();
    for client in &clients {
        say(client, "s", "after");
        // On another connection, as the client was told that this one is to end.
        call(client, json!({}), "OK");
        let said = client.ask(json!({"end": "s"}));
        assert_eq!((&said["code"], &said["last"]["end"]), (&json!("OK"), &json!("one")), "{said}");
        call(client, json!({}), "OK");
    }
}

/// A stream whose server dies ends at once, and not as if all were well.
#[test]
fn a_stream_ends_with_its_server() {
    needs_lab!("node", "openssl", "npm:@grpc/grpc-js");
    let Place { world, server, certificate: _certificate } = Place::new(&to_one());
    let _weir = Weir::start(&world.lab);
    let client = client(&world.frontend, (NODE_V4, 8080).into());
    client.ask(json!({"open": "s"}));
    say(&client, "s", "before");
    let waits = client.tell(json!({"say": "s", "text": "hang"}));
    drop(server);
    let said = client.answer(waits);
    assert_eq!(said["code"], "UNAVAILABLE", "as if nobody were in between: {said}");
    call(&client, json!({}), "UNAVAILABLE");
    // The client's connection is none of the server's.
    let _server = serve(&world.api, PORT, "one");
    call(&client, json!({}), "OK");
}

/// What a policy no longer allows ends, and says so.
#[test]
fn a_stream_ends_when_it_is_revoked() {
    needs_lab!("node", "openssl", "npm:@grpc/grpc-js");
    let place = Place::new(&to_one());
    place.lab().write("policy.yaml", &open());
    let weir = Weir::start(place.lab());
    let client = client(&place.world.frontend, place.world.api.at(PORT));
    client.ask(json!({"open": "s"}));
    say(&client, "s", "before");
    let waits = client.tell(json!({"say": "s", "text": "hang"}));
    place.lab().write("policy.yaml", &open().replace("role: frontend", "role: nobody"));
    let said = client.answer(waits);
    assert_eq!(
        (&said["code"], &said["details"]),
        (&json!("PERMISSION_DENIED"), &json!("Access denied")),
        "{said}"
    );
    weir.wait_flow("the revocation", |flow| flow["reason"] == "policy_revoked");
}
