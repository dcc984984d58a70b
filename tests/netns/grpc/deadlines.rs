//! The time that a client allows its call (`grpc-timeout`): once it is over nobody works for it any more.

use std::thread;

use tests::h2::{Endpoint, INITIAL_WINDOW_SIZE, Seen, code, data};

use super::failures::{annotated_frames, begin, fields, frames, message, raw_client, whole};
use super::*;
use crate::fleet::route as http_route;

const COUNTER: &str = "weir_grpc_deadlines_total";

/// A call of `Other` with this `grpc-timeout`, of a client that itself waits for ever.
fn within(timeout: &str) -> Value {
    json!({"service": "Other", "metadata": {"grpc-timeout": timeout}})
}

/// Waits until the endpoint was told that nobody waits for any of so many calls.
fn cancelled(endpoint: &Endpoint, count: usize) -> Vec<Seen> {
    until("the endpoint to be told", || {
        let seen = endpoint.seen();
        let resets = seen.iter().filter(|seen| seen.reset == Some(code::CANCEL)).count();
        (resets == count).then_some(seen)
    })
}

fn metric(place: &Place, series: &str) -> u64 {
    tests::metrics::value(place.lab(), series)
}

#[test]
fn a_call_without_an_answer_ends_at_its_deadline() {
    needs_lab!("node", "openssl", "npm:@grpc/grpc-js");
    let (place, endpoint) = frames(|_| None);
    let weir = Weir::start(place.lab());
    let said = call(&place.client(), within("2000m"), "DEADLINE_EXCEEDED");
    assert_eq!(said["details"], "The deadline of the call has passed", "{said}");
    cancelled(&endpoint, 1);
    // In nanoseconds, by one who reads every field. A tenth of a second is as much as can be said: on a
    // busy machine it may be over before the endpoint was asked.
    let more = [("grpc-timeout", "99999999n")];
    let mut calls = 1;
    until("the endpoint to be asked", || {
        let answer = raw_client(&place).ask(&fields("application/grpc", &more)).unwrap();
        let end = (answer.status, answer.ended, answer.reset, answer.field("grpc-status"));
        assert_eq!(end, (200, true, None, Some("4")), "{answer:?}");
        assert_eq!(answer.field("content-length"), None, "nothing but trailers: {answer:?}");
        calls += 1;
        (endpoint.seen().len() > 1).then_some(())
    });
    let seen = until("the endpoint to be told", || {
        let seen = endpoint.seen();
        seen.iter().all(|seen| seen.reset == Some(code::CANCEL)).then_some(seen)
    });
    let timeouts: Vec<_> = seen.iter().map(|seen| seen.field("grpc-timeout")).collect();
    assert_eq!(timeouts[..2], [Some("2000m"), Some("99999999n")], "as the client said it");
    assert_eq!(metric(&place, COUNTER), calls);
    assert_eq!(metric(&place, "weir_route_request_timeouts_total"), 0);
    weir.wait_flow("the deadline", |flow| flow["reason"] == "deadline_exceeded");
}

/// The time is that of the whole call, however much goes on in it.
#[test]
fn a_call_with_half_an_answer_ends_at_its_deadline() {
    needs_lab!("node", "openssl", "npm:@grpc/grpc-js");
    let long = [0].repeat(200_000);
    let (place, endpoint) = frames(move |seen| {
        let first = if seen.field("long").is_some() { &long[..60_000] } else { &message("first") };
        seen.ended.then(|| [begin(seen), pieces(seen.stream, first)].concat())
    });
    let _weir = Weir::start(place.lab());
    let said = call(&place.client(), within("2S"), "DEADLINE_EXCEEDED");
    assert_eq!(said["texts"], json!(["first"]), "{said}");
    let mut raw = raw_client(&place);
    let answer = raw.ask(&fields("application/grpc", &[("grpc-timeout", "2S")])).unwrap();
    let end = (answer.ended, answer.reset, answer.field("grpc-status"));
    assert_eq!(end, (true, None, Some("4")), "{answer:?}");
    // One who takes no more of the answer is told all the same: trailers need no window.
    let settings = [(INITIAL_WINDOW_SIZE, 1_000)];
    let mut raw = tests::h2::Client::connect_with(&place.world.frontend, (NODE_V4, 8080).into(), &settings);
    let raw = raw.as_mut().unwrap();
    raw.keeps_window();
    let more = [("grpc-timeout", "2S"), ("long", "1")];
    let answer = raw.ask(&fields("application/grpc", &more)).unwrap();
    let end = (answer.ended, answer.reset, answer.field("grpc-status"), answer.body.len());
    assert_eq!(end, (true, None, Some("4"), 1_000), "{answer:?}");
    cancelled(&endpoint, 3);
    assert_eq!(metric(&place, COUNTER), 3);
}

/// DATA frames that a peer takes.
fn pieces(stream: u32, bytes: &[u8]) -> Vec<u8> {
    bytes.chunks(tests::h2::FRAME_BYTES).flat_map(|piece| data(stream, piece, false)).collect()
}

#[test]
fn of_two_times_the_shorter_counts() {
    needs_lab!("node", "openssl", "npm:@grpc/grpc-js");
    let (place, endpoint) = frames(|_| None);
    place.lab().write(
        "routes.yaml",
        &http_route("timed", &["timeouts: {request: 3s}, backendRefs: [{name: frames, port: 80}]"]),
    );
    let weir = Weir::start(place.lab());
    let client = place.client();
    for (timeout, reason, counts) in [("10S", "route_timeout", (1, 0)), ("2S", "deadline_exceeded", (1, 1))] {
        call(&client, within(timeout), "DEADLINE_EXCEEDED");
        weir.wait_flow(reason, |flow| flow["reason"] == reason);
        let counted = (metric(&place, "weir_route_request_timeouts_total"), metric(&place, COUNTER));
        assert_eq!(counted, counts, "{timeout}");
    }
    cancelled(&endpoint, 2);
}

/// What a server may be at its leisure about: a deadline that is none, or none of a call.
#[test]
fn what_is_no_deadline_of_a_call_is_left_to_its_server() {
    needs_lab!("node", "openssl", "npm:@grpc/grpc-js");
    let (place, endpoint) = frames(|seen| {
        // As slow as a server may be that is not in a hurry.
        seen.ended.then(|| thread::sleep(Duration::from_millis(200)))?;
        Some(whole(seen, "slow"))
    });
    let _weir = Weir::start(place.lab());
    let client = place.client();
    // Nine digits, no unit, an unknown one, no number, signs, fractions, other units' names.
    let invalid = ["000000001m", "1", "1q", "m", "-1m", "+1m", "0.1m", "1ms", "1 m", "0x1m"];
    for timeout in invalid {
        assert_eq!(call(&client, within(timeout), "OK")["texts"], json!(["slow"]), "{timeout}");
    }
    let seen: Vec<_> = endpoint.seen();
    let seen: Vec<_> = seen.iter().filter_map(|seen| seen.field("grpc-timeout")).collect();
    assert_eq!(seen, invalid, "as the client said it");
    let answer = raw_client(&place).ask(&fields("application/json", &[("grpc-timeout", "1m")])).unwrap();
    assert_eq!((answer.status, answer.body), (200, message("slow")));
    // Long ones, and longer than any clock runs.
    for timeout in ["10S", "1M", "1H", "99999999H", "99999999u"] {
        call(&client, within(timeout), "OK");
    }
    assert_eq!(metric(&place, COUNTER), 0);
}

#[test]
fn a_deadline_that_has_passed_already_costs_no_server_anything() {
    needs_lab!("node", "openssl", "npm:@grpc/grpc-js");
    let (place, endpoint) = frames(|seen| seen.ended.then(|| whole(seen, "a")));
    let _weir = Weir::start(place.lab());
    let client = place.client();
    // A connection to the endpoint is there.
    call(&client, within("10S"), "OK");
    for timeout in ["0n", "0S", "00000000m"] {
        call(&client, within(timeout), "DEADLINE_EXCEEDED");
    }
    assert_eq!(endpoint.seen().len(), 1);
    assert_eq!(metric(&place, COUNTER), 3);
}

/// A client in a hurry puts no endpoint out of service.
#[test]
fn deadlines_are_no_failures_of_the_endpoint() {
    needs_lab!("node", "openssl", "npm:@grpc/grpc-js");
    let annotations = [("outlier-consecutive-errors", "1"), ("outlier-base-ejection-time", "1h")];
    let script = |seen: &Seen| seen.field("answer").map(|_| whole(seen, "a"));
    let (place, endpoint) = annotated_frames(&annotations, script);
    let _weir = Weir::start(place.lab());
    let client = place.client();
    for told in [(); 5].map(|()| client.tell(within("2S"))) {
        let said = client.answer(told);
        assert_eq!(said["code"], "DEADLINE_EXCEEDED", "{said}");
    }
    assert_eq!(metric(&place, "weir_endpoint_ejections_total"), 0);
    let answered = json!({"service": "Other", "metadata": {"grpc-timeout": "10S", "answer": "1"}});
    call(&client, answered, "OK");
    cancelled(&endpoint, 5);
}

#[test]
fn no_try_begins_after_the_deadline() {
    needs_lab!("node", "openssl", "npm:@grpc/grpc-js");
    let (place, endpoint) = frames(|_| None);
    let rule = "timeouts: {backendRequest: 1s}, retry: {attempts: 50, backoff: 10ms}, \
                backendRefs: [{name: frames, port: 80}]";
    place.lab().write("routes.yaml", &http_route("retried", &[rule]));
    let _weir = Weir::start(place.lab());
    call(&place.client(), within("4S"), "DEADLINE_EXCEEDED");
    let tries = metric(&place, "weir_route_try_timeouts_total") + metric(&place, COUNTER);
    // A second and 10 ms and what a busy machine adds: at most four fit into four seconds.
    assert!((2..=4).contains(&tries), "{tries} tries");
    let seen = cancelled(&endpoint, tries.try_into().unwrap());
    assert_eq!(seen.len() as u64, tries);
}
