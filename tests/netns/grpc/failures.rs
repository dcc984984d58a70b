//! Calls whose server breaks off in the middle of its answer: the client learns how, in gRPC's words.

use std::sync::atomic::{AtomicBool, Ordering};

use tests::h2::{self, Endpoint, Seen, code, data, headers, reset};
use tests::peer;

use super::*;
use crate::fleet::fleet;

/// The port of the endpoint that answers frame by frame.
const FRAMES: u16 = 50052;

/// What begins the answer to a call.
pub(super) fn begin(seen: &Seen) -> Vec<u8> {
    headers(seen.stream, &[(":status", "200"), ("content-type", "application/grpc")], false)
}

/// A message with this text, as it goes in DATA.
pub(super) fn message(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    [&[0, 0, 0, 0, length + 2, 0x0a, length], text.as_bytes()].concat()
}

/// A whole answer.
pub(super) fn whole(seen: &Seen, text: &str) -> Vec<u8> {
    let end = headers(seen.stream, &[("grpc-status", "0")], true);
    [begin(seen), data(seen.stream, &message(text), false), end].concat()
}

/// The place where calls of `Other` go to an endpoint that answers by a script.
pub(super) fn frames(script: impl Fn(&Seen) -> Option<Vec<u8>> + Send + Sync + 'static) -> (Place, Endpoint) {
    annotated_frames(&[], script)
}

/// The same with `weir.dev/` annotations of its Service.
pub(super) fn annotated_frames(
    annotations: &[(&str, &str)],
    script: impl Fn(&Seen) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> (Place, Endpoint) {
    let rules = "  - matches: [{method: {service: test.v1.Other}}]\n    \
                 backendRefs: [{name: frames, port: 80}]\n  - backendRefs: [{name: one, port: 80}]\n";
    let world = World::new();
    let endpoint = Endpoint::with(&world.api.ns, world.api.at(FRAMES), &[], script);
    let service = h2c(&fleet("frames", &world.api, &[FRAMES], annotations));
    (Place::with(world, &route("frames", rules), vec![service]), endpoint)
}

/// The fields of a call of `Other`, for a client that speaks frame by frame.
pub(super) fn fields<'a>(content_type: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = h2::request("POST", "/test.v1.Other/Unary");
    fields.extend([("te", "trailers"), ("content-type", content_type)]);
    fields.extend(more);
    fields
}

/// A client that speaks frame by frame.
pub(super) fn raw_client(place: &Place) -> h2::Client {
    h2::Client::connect(&place.world.frontend, (NODE_V4, 8080).into()).unwrap()
}

/// How gRPC maps the codes of RST_STREAM (`doc/PROTOCOL-HTTP2.md`, "Errors").
const CODES: [(u32, &str, &str); 7] = [
    (code::NO_ERROR, "INTERNAL", "13"),
    (code::PROTOCOL_ERROR, "INTERNAL", "13"),
    (2, "INTERNAL", "13"),
    (code::REFUSED_STREAM, "UNAVAILABLE", "14"),
    (code::CANCEL, "CANCELLED", "1"),
    (code::ENHANCE_YOUR_CALM, "RESOURCE_EXHAUSTED", "8"),
    (12, "PERMISSION_DENIED", "7"),
];

#[test]
fn a_call_that_its_server_resets_ends_with_the_status_of_the_code() {
    needs_lab!("node", "openssl", "npm:@grpc/grpc-js", "grpcurl");
    let (place, _endpoint) = frames(|seen| {
        let code = seen.field("code")?.parse().unwrap();
        let text = data(seen.stream, &message("first"), false);
        seen.ended.then(|| [begin(seen), text, reset(seen.stream, code)].concat())
    });
    let _weir = Weir::start(place.lab());
    let client = place.client();
    let mut raw = raw_client(&place);
    for (code, status, number) in CODES {
        let text = code.to_string();
        let said = call(&client, json!({"service": "Other", "metadata": {"code": text}}), status);
        assert_eq!(said["details"], "The endpoint reset the call", "{code}");
        assert_eq!(said["texts"], json!(["first"]), "{code}: what came before is not lost");
        // It is an end in order, not a reset with a status in front.
        let answer = raw.ask(&fields("application/grpc", &[("code", &text)])).unwrap();
        assert_eq!((answer.ended, answer.reset), (true, None), "{code}: {answer:?}");
        assert_eq!((answer.status, answer.field("grpc-status")), (200, Some(number)), "{code}");
        assert_eq!(answer.body, message("first"), "{code}");
        // grpc-go reads it as grpc-js does.
        let (folder, target, header) =
            (peer::script_path(""), format!("{NODE_V4}:8080"), format!("code: {code}"));
        let options = ["-plaintext", "-import-path", &folder, "-proto", "echo.proto", "-H", &header];
        let arguments = [&options[..], &[&target, "test.v1.Other/Unary"]].concat();
        let run = peer::run(&place.world.frontend.ns, "grpcurl", &arguments, b"", PATIENCE);
        let name = status.replace('_', "").replace("CANCELLED", "CANCELED");
        let said = run.text.to_uppercase();
        assert!(
            said.contains(&format!("CODE: {name}\n  MESSAGE: THE ENDPOINT RESET THE CALL")),
            "{}",
            run.text
        );
        // What is no call knows no such end.
        let answer = raw.ask(&fields("application/json", &[("code", &text)])).unwrap();
        assert_eq!((answer.ended, answer.reset), (false, Some(code)), "{code}: {answer:?}");
    }
    call(&client, json!({}), "OK");
}

/// Half a message cannot be taken for a whole one.
#[test]
fn a_call_whose_server_is_cut_off_is_unavailable() {
    needs_lab!("node", "openssl", "npm:@grpc/grpc-js");
    let (place, endpoint) = frames(|seen| {
        let half = [message("whole"), message("half")[..8].to_vec()].concat();
        seen.ended.then(|| [begin(seen), data(seen.stream, &half, false)].concat())
    });
    let weir = Weir::start(place.lab());
    let mut raw = raw_client(&place);
    let client = place.client();
    client.ask(json!({"open": "cut", "service": "Other", "method": "Unary", "texts": [""]}));
    assert_eq!(client.ask(json!({"hear": "cut"}))["text"], "whole");
    let stream = raw.next_stream();
    raw.send(headers(stream, &fields("application/grpc", &[]), true)).unwrap();
    raw.wait(|raw| (raw.so_far(stream).body.len() == 20).then_some(())).unwrap();
    drop(endpoint);
    let answer = raw.answer(stream).unwrap();
    assert_eq!((answer.ended, answer.reset), (true, None), "{answer:?}");
    assert_eq!(answer.field("grpc-status"), Some("14"), "{answer:?}");
    let said = client.ask(json!({"end": "cut"}));
    assert_eq!(said["code"], "UNAVAILABLE", "{said}");
    assert_eq!(said["details"], "The endpoint went away before the call had ended", "{said}");
    assert_eq!(said["texts"], json!(["whole"]), "{said}");
    weir.wait_flow("the failure", |flow| flow["reason"] == "upstream_failed");
    // And nothing is left of the connection to it.
    call(&client, json!({"service": "Other"}), "UNAVAILABLE");
    call(&client, json!({}), "OK");
}

/// A server that goes on sending while the client still does, and then resets both.
#[test]
fn a_call_that_is_reset_while_the_client_still_sends() {
    needs_lab!("node", "openssl", "npm:@grpc/grpc-js");
    let answered = AtomicBool::new(false);
    let (place, endpoint) = frames(move |seen| {
        let first = !seen.ended && !answered.swap(true, Ordering::Relaxed);
        first.then(|| [begin(seen), reset(seen.stream, code::ENHANCE_YOUR_CALM)].concat())
    });
    let _weir = Weir::start(place.lab());
    let mut raw = raw_client(&place);
    let stream = raw.next_stream();
    raw.send(headers(stream, &fields("application/grpc", &[]), false)).unwrap();
    let answer = raw.answer(stream).unwrap();
    assert_eq!((answer.ended, answer.field("grpc-status")), (true, Some("8")), "{answer:?}");
    // What it sends after that is nobody's, and harms no other call.
    raw.send(data(stream, &message("late"), true)).unwrap();
    let mut fields = fields("application/grpc", &[]);
    fields[3].1 = "/test.v1.Echo/Unary";
    let other = raw.next_stream();
    raw.send([headers(other, &fields, false), data(other, &message("a"), true)].concat()).unwrap();
    let answer = raw.answer(other).unwrap();
    assert_eq!(answer.field("grpc-status"), Some("0"), "{answer:?}");
    assert!(endpoint.seen()[0].body.is_empty(), "{:?}", endpoint.seen());
}
