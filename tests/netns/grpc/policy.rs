//! Policies of calls: to Cilium a call is a POST of its path.

use tests::peer;

use super::*;
use crate::world::policy;

/// `role=frontend` may call `Echo/Unary` and `Echo/Both` of `app=api`, with a header for the latter.
fn unary_and_both() -> String {
    let unary = "method: POST, path: /test.v1.Echo/Unary";
    policy("50051", &[unary, "method: POST, path: /test.v1.Echo/Both, headers: ['key 1']"])
}

fn judged(client: &Driver) {
    for (command, status) in [
        (json!({}), "OK"),
        (json!({"method": "Server"}), "PERMISSION_DENIED"),
        (json!({"method": "Client", "data": 100_000}), "PERMISSION_DENIED"),
        (json!({"method": "Both"}), "PERMISSION_DENIED"),
        (json!({"method": "Both", "metadata": {"key": "1"}}), "OK"),
        (json!({"service": "Other"}), "PERMISSION_DENIED"),
        (json!({}), "OK"),
    ] {
        call(client, command, status);
    }
}

#[test]
fn each_call_is_judged_by_its_path_from_pod_to_pod() {
    needs_lab!("node", "openssl", "npm:@grpc/grpc-js", "grpcurl");
    let place = Place::new(&to_one());
    place.lab().write("policy.yaml", &unary_and_both());
    let weir = Weir::start(place.lab());
    judged(&client(&place.world.frontend, place.world.api.at(PORT)));
    let seen: Vec<Value> = place.seen(3).into_iter().map(|seen| seen["path"].clone()).collect();
    assert_eq!(seen, ["Unary", "Both", "Unary"], "what is denied never arrives");
    let flow = weir.wait_flow("a refusal", |flow| flow["http"]["path"] == "/test.v1.Other/Unary");
    assert_eq!((&flow["verdict"], &flow["http"]["status"]), (&json!("DENIED"), &json!(403)));
    // grpc-go reads the refusal as grpc-js does.
    let folder = peer::script_path("");
    let (target, method) = (place.world.api.at(PORT).to_string(), "test.v1.Echo/Server");
    let arguments = ["-plaintext", "-import-path", &folder, "-proto", "echo.proto", &target, method];
    let run = peer::run(&place.world.frontend.ns, "grpcurl", &arguments, b"", PATIENCE);
    assert!(!run.success, "{}", run.text);
    assert!(run.text.contains("Code: PermissionDenied\n  Message: Access denied"), "{}", run.text);
    // Another pod gets no connection.
    let stranger = client(&place.world.stranger, place.world.api.at(PORT));
    call(&stranger, json!({"deadline": 3000}), "DEADLINE_EXCEEDED");
}

#[test]
fn each_call_is_judged_by_its_path_behind_a_gateway() {
    needs_lab!("node", "openssl", "npm:@grpc/grpc-js");
    let place = Place::new(&to_one());
    place.lab().write("policy.yaml", &unary_and_both());
    let _weir = Weir::start(place.lab());
    judged(&place.client());
    judged(&place.secure_client());
    let stranger = client(&place.world.stranger, (NODE_V4, 8080).into());
    call(&stranger, json!({}), "PERMISSION_DENIED");
}
