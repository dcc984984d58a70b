//! Calls: the four kinds, metadata, statuses, limits.

use tests::peer;

use super::*;

/// What is asked of the four kinds, and what the server answers.
fn kinds() -> [(Value, Value); 4] {
    [
        (json!({"method": "Unary", "texts": ["a"]}), json!(["one a"])),
        (json!({"method": "Client", "texts": ["a", "b", "c"], "data": 7}), json!(["one a+b+c 21"])),
        (json!({"method": "Server", "texts": ["repeat 3"]}), json!(["one 0", "one 1", "one 2"])),
        (
            json!({"method": "Both", "texts": ["a", "repeat 2", "c"]}),
            json!(["one a", "one 0", "one 1", "one c"]),
        ),
    ]
}

#[test]
fn every_kind_of_call_with_its_metadata_in_the_clear_and_in_tls() {
    needs_lab!("node", "openssl", "npm:@grpc/grpc-js");
    let place = Place::new(&to_one());
    let _weir = Weir::start(place.lab());
    // What is sent, and the same in base64 as it goes over the wire.
    let metadata = json!({"echo": "a, b", "echo-bin": "AP8B/w=="});
    let clients = [(place.client(), format!("{NODE_V4}:8080")), (place.secure_client(), NAME.to_owned())];
    let mut calls = 0;
    for (client, authority) in clients {
        for (mut command, texts) in kinds() {
            command["metadata"] = metadata.clone();
            let said = call(&client, command.clone(), "OK");
            assert_eq!(said["texts"], texts, "{command}");
            assert_eq!(said["first"]["server"], "one", "{command}: {said}");
            assert_eq!(said["first"]["echo"], "a, b", "{command}: {said}");
            assert_eq!(said["first"]["echo-bin"], "AP8B/w==", "{command}: {said}");
            assert_eq!(said["last"]["end"], "one", "{command}: {said}");
            assert_eq!(said["last"]["end-bin"], "AP8B/w==", "{command}: {said}");
            calls += 1;
            let seen = place.seen(calls);
            let last = seen.last().unwrap();
            assert_eq!(last["path"], command["method"], "{last}");
            assert_eq!(last["host"], authority, "{last}");
            assert_eq!(last["metadata"]["echo"], "a, b", "{last}");
        }
    }
    assert_eq!(place.seen(8).len(), 8);
}

#[test]
fn grpcurl_makes_every_kind_of_call() {
    needs_lab!("node", "openssl", "npm:@grpc/grpc-js", "grpcurl");
    let place = Place::new(&to_one());
    let _weir = Weir::start(place.lab());
    let folder = peer::script_path("");
    let certificate = place.certificate.certificate.to_string_lossy().into_owned();
    let (clear, secure) = (format!("{NODE_V4}:8080"), format!("{NODE_V4}:8443"));
    let targets: [&[&str]; 2] =
        [&["-plaintext", &clear], &["-cacert", &certificate, "-authority", NAME, &secure]];
    for target in targets {
        for (command, texts) in kinds() {
            // Seven bytes, as JSON has them.
            let data = if command["data"].is_number() { "eXl5eXl5eQ==" } else { "" };
            let messages = command["texts"].as_array().unwrap().iter();
            let input: String =
                messages.map(|text| json!({"text": text, "data": data}).to_string()).collect();
            let method = format!("test.v1.Echo/{}", command["method"].as_str().unwrap());
            let (last, options) = target.split_last().unwrap();
            let arguments = [
                &[
                    "-v",
                    "-import-path",
                    &folder,
                    "-proto",
                    "echo.proto",
                    "-H",
                    "echo-bin: AP8B/w==",
                    "-d",
                    "@",
                ],
                options,
                &[last, &method],
            ]
            .concat();
            let run = peer::run(&place.world.frontend.ns, "grpcurl", &arguments, input.as_bytes(), PATIENCE);
            assert!(run.success, "{method}: {}", run.text);
            for text in texts.as_array().unwrap() {
                assert!(
                    run.text.contains(&format!("\"text\": {text}")),
                    "{method}: no {text} in {}",
                    run.text
                );
            }
            // Its end, and metadata of bytes as such.
            assert!(run.text.contains("end: one") && run.text.contains("end-bin: AP8B/w=="), "{}", run.text);
        }
    }
}

#[test]
fn a_server_ends_a_call_as_it_likes() {
    needs_lab!("node", "openssl", "npm:@grpc/grpc-js");
    let place = Place::new(&to_one());
    let _weir = Weir::start(place.lab());
    let client = place.client();
    for (method, number, status) in [
        ("Unary", 5, "NOT_FOUND"),
        ("Unary", 16, "UNAUTHENTICATED"),
        ("Server", 8, "RESOURCE_EXHAUSTED"),
        ("Both", 10, "ABORTED"),
    ] {
        let said = call(&client, json!({"method": method, "texts": [format!("fail {number}")]}), status);
        assert_eq!(said["details"], "as asked: 100 % ü", "{method}");
        assert_eq!(said["last"]["end"], "one", "{method}: {said}");
    }
    // After some answers.
    let said = call(&client, json!({"method": "Both", "texts": ["a", "b", "fail 9"]}), "FAILED_PRECONDITION");
    assert_eq!(said["texts"], json!(["one a", "one b"]));
}

/// What Weir itself answers.
#[test]
fn refusals_have_the_status_that_clients_act_on() {
    needs_lab!("node", "openssl", "npm:@grpc/grpc-js");
    let to = |service: &str, header: &str| {
        format!(
            "  - matches: [{{headers: [{{name: to, value: {header}}}]}}]\n    \
             backendRefs: [{{name: {service}, port: 80}}]\n"
        )
    };
    let rules = [to("one", "one"), to("empty", "empty"), to("gone", "gone"), to("missing", "missing")];
    let world = World::new();
    // Nobody listens on the port of the one; the other has no endpoint.
    let gone = service("gone", &["10.96.0.3"], 80, &[(world.api.v4.into(), 9)]);
    let empty = service("empty", &["10.96.0.4"], 80, &[]);
    let place = Place::with(world, &named(&route("refusals", &rules.concat())), vec![gone, empty]);
    place.lab().write("slow.yaml", SLOW);
    let weir = Weir::start(place.lab());
    let client = client_of(&place, NAME);
    let to = |header: &str| json!({"metadata": {"to": header}});
    call(&client, to("one"), "OK");
    for (header, status, flow) in [
        ("nowhere", "UNIMPLEMENTED", 404),
        ("empty", "UNAVAILABLE", 503),
        ("gone", "UNAVAILABLE", 503),
        ("missing", "UNAVAILABLE", 500),
    ] {
        let said = call(&client, to(header), status);
        assert_eq!(said["texts"], json!([]), "{header}");
        weir.wait_flow(header, |record| record["http"]["status"] == flow);
    }
    // By a route of HTTP that has a time-out.
    let slow = json!({"service": "Other", "texts": ["hang"], "metadata": {"slow": "yes"}});
    let client = client_of(&place, "slow.test");
    call(&client, slow, "DEADLINE_EXCEEDED");
    // The server is told that nobody waits any more.
    until("the call to be cancelled", || {
        objects(&place.server).into_iter().find(|line| line["cancelled"] == "Other" && line["text"] == "hang")
    });
    call(&client, json!({"service": "Other"}), "OK");
}

/// More than streams fit on one connection.
#[test]
fn many_calls_at_once_on_one_connection_are_all_answered() {
    needs_lab!("node", "openssl", "npm:@grpc/grpc-js");
    let place = Place::new(&to_one());
    let _weir = Weir::start(place.lab());
    let client = place.client();
    let told: Vec<u64> =
        (0..300).map(|at| client.tell(json!({"method": "Both", "texts": [at.to_string()]}))).collect();
    for (at, number) in told.into_iter().enumerate() {
        let said = client.answer(number);
        assert_eq!((&said["code"], &said["texts"]), (&json!("OK"), &json!([format!("one {at}")])), "{said}");
    }
}

/// A route of [`NAME`] alone.
fn named(route: &str) -> String {
    route.replace("  rules:", &format!("  hostnames: [{NAME}]\n  rules:"))
}

/// A client that asks for this name.
fn client_of(place: &Place, authority: &str) -> Driver {
    let target = format!("{NODE_V4}:8080");
    Driver::node(&place.world.frontend.ns, "grpc_client.mjs", &[&target, authority])
}

#[test]
fn a_call_that_the_client_gives_up_is_given_up_at_the_server() {
    needs_lab!("node", "openssl", "npm:@grpc/grpc-js");
    let place = Place::new(&to_one());
    let _weir = Weir::start(place.lab());
    let client = place.client();
    for method in ["Unary", "Server"] {
        // Long enough for the call to be there by then.
        call(&client, json!({"method": method, "texts": ["hang"], "deadline": 3000}), "DEADLINE_EXCEEDED");
        until("the call to be cancelled", || {
            objects(&place.server).into_iter().find(|line| line["cancelled"] == method)
        });
    }
    call(&client, json!({}), "OK");
}

/// Weir has no limit for messages: those of both ends count. What is beyond costs its own call alone.
#[test]
fn messages_and_metadata_up_to_the_limits_and_beyond() {
    needs_lab!("node", "openssl", "npm:@grpc/grpc-js");
    let place = Place::new(&to_one());
    let _weir = Weir::start(place.lab());
    let client = place.client();
    let said = call(&client, json!({"texts": ["big 15000000"]}), "OK");
    assert_eq!(said["bytes"], 15_000_000);
    let said = call(&client, json!({"method": "Client", "texts": ["a", "b"], "data": 9_000_000}), "OK");
    assert_eq!(said["texts"], json!(["one a+b 18000000"]));
    call(&client, json!({"texts": ["big 25000000"]}), "RESOURCE_EXHAUSTED");
    call(&client, json!({"texts": ["a"], "data": 25_000_000}), "RESOURCE_EXHAUSTED");
    let long = "x".repeat(20_000);
    let said = call(&client, json!({"metadata": {"echo": long}}), "OK");
    assert_eq!(said["first"]["echo"], long);
    // The server speaks of its calls in their order.
    let seen_of = |name: &str| {
        until("the call to be seen", || place.seen(0).iter().position(|seen| seen["text"] == name))
    };
    call(&client, json!({"texts": ["before"]}), "OK");
    let before = seen_of("before");
    // Beyond the header limits of the proxy.
    let many: serde_json::Map<String, Value> = (0..120).map(|at| (format!("m-{at}"), json!("x"))).collect();
    for metadata in [json!({"echo": "x".repeat(40_000)}), Value::Object(many)] {
        let said = call(&client, json!({"metadata": metadata}), "RESOURCE_EXHAUSTED");
        assert_eq!(said["details"], "Request header fields too large", "{said}");
    }
    call(&client, json!({"texts": ["after"]}), "OK");
    assert_eq!(seen_of("after"), before + 1, "those went no further");
}

const SLOW: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: slow, namespace: default}
spec:
  parentRefs: [{name: web}]
  hostnames: [slow.test]
  rules:
  - matches: [{headers: [{name: slow, value: "yes"}]}]
    timeouts: {request: 2s}
    backendRefs: [{name: one, port: 80}]
  - backendRefs: [{name: one, port: 80}]
"#;
