//! Limits of numbers and of bytes.

use std::io::ErrorKind;

use tests::client::{Client, Response};
use tests::observe::Metrics;
use tests::{Act, Host, h2, until};

use super::{GATEWAY, Site};

/// A request on a connection of its own, which may be reset before it is known to be there.
fn get(host: &Host) -> std::io::Result<Response> {
    Client::connect(host, GATEWAY)?.get("/")
}

/// Whether the connection was closed or reset before anything was answered.
fn is_refused(host: &Host) -> bool {
    match get(host) {
        Ok(answer) => panic!("{answer:?}"),
        Err(error) => {
            matches!(
                error.kind(),
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
            )
        }
    }
}

#[test]
fn so_many_connections_are_served() {
    needs_lab!();
    let site = Site::start(&["connections=4", "connections_per_pod=2"]);
    let mut held = [site.client(), site.client()];
    for client in &mut held {
        assert_eq!(client.get("/").unwrap().status, 200);
    }
    assert!(is_refused(&site.world.frontend), "a third of one pod");
    site.counts("connections_per_pod", 1);
    // Streams count as connections do, and the pod of others is not concerned.
    let others = || h2::Client::connect(&site.world.stranger, GATEWAY).unwrap();
    let mut other = others();
    assert_eq!(other.get("/").unwrap().status, 200);
    let [one, _two] = held;
    drop(one);
    until("room for another", || get(&site.world.frontend).ok());
}

#[test]
fn heads_are_so_long() {
    needs_lab!();
    let site = Site::start(&["head_bytes=2KiB", "target_bytes=256", "head_fields=6"]);
    let field = |length: usize| format!("X: {}", "y".repeat(length));
    let target = |length: usize| format!("/{}", "p".repeat(length - 1));
    let cases: [(&str, Vec<String>, u16); 6] = [
        (&target(256), vec![], 200),
        (&target(257), vec![], 414),
        ("/", vec![field(1_800)], 200),
        ("/", vec![field(2_048)], 431),
        ("/", vec![field(1); 5], 200),
        ("/", vec![field(1); 6], 431),
    ];
    let mut stopped = 0;
    for (target, fields, status) in &cases {
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        assert_eq!(
            site.client().request("GET", target, &fields).unwrap().status,
            *status,
            "{target} {fields:?}"
        );
        stopped += u32::from(*status != 200);
    }
    site.counts("head", stopped);
    // In HTTP/2 as well.
    let mut streams = h2::Client::connect(&site.world.frontend, GATEWAY).unwrap();
    let many: Vec<(&str, &str)> = h2::request("GET", "/").into_iter().chain([("x", "y"); 7]).collect();
    assert_eq!(streams.ask(&many).unwrap().status, 431);
    assert_eq!(streams.get("/").unwrap().status, 200);
    site.counts("http2_header_fields", 1);
}

#[test]
fn so_many_interim_responses_come_before_an_answer() {
    needs_lab!();
    let site = Site::start(&["interim_responses=2"]);
    for (count, status) in [(2, 200), (3, 502)] {
        let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(count);
        site.server.does(Act::Raw(format!("{hints}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")));
        let mut client = site.client();
        client.send("GET /act HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let text = String::from_utf8(client.rest().unwrap()).unwrap();
        assert!(text.contains(&format!("HTTP/1.1 {status} ")), "{text}");
        assert_eq!(text.matches("HTTP/1.1 103").count(), 2, "{text}");
    }
    site.counts("interim", 1);
}

#[test]
fn so_many_streams_are_open_at_a_time() {
    needs_lab!();
    let site = Site::start(&["http2_streams=2"]);
    site.server.does(Act::Hold);
    let mut client = h2::Client::connect(&site.world.frontend, GATEWAY).unwrap();
    let streams: Vec<u32> = (0..3).map(|_| client.next_stream()).collect();
    for stream in &streams {
        client.send(h2::headers(*stream, &h2::request("GET", "/act"), true)).unwrap();
    }
    assert_eq!(client.answer(streams[2]).unwrap().reset, Some(h2::code::REFUSED_STREAM));
    until("the others to come", || (site.server.under_way() == 2).then_some(()));
    site.server.release();
    for stream in &streams[..2] {
        assert_eq!(client.answer(*stream).unwrap().status, 200);
    }
    site.counts("http2_streams", 1);
}

/// 0 keeps none: where endpoints are better asked anew each time.
#[test]
fn so_many_connections_to_endpoints_are_kept() {
    needs_lab!();
    for (kept, connections) in [("0", 5), ("1", 1)] {
        let site = Site::start(&[&format!("idle_upstream_per_key={kept}")]);
        let mut client = site.client();
        for _ in 0..5 {
            assert_eq!(client.get("/act").unwrap().status, 200);
        }
        assert_eq!(site.server.connections(), connections, "{kept}");
        site.counts("idle_upstream", if kept == "0" { 5 } else { 0 });
    }
}

/// An answer of ours to a request whose body nobody needs: a short rest is read, for a long one the
/// connection is given up.
#[test]
fn so_much_of_a_body_is_read_for_the_sake_of_its_connection() {
    needs_lab!();
    let site = Site::start(&["discard_bytes=1KiB"]);
    let post = |length: usize| {
        let mut client = site.client();
        client.send(format!("POST /h2 HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")).unwrap();
        // Nobody listens there.
        assert_eq!(client.response().unwrap().status, 503);
        client
    };
    let mut goes_on = post(1_000);
    goes_on.send(vec![b'x'; 1_000]).unwrap();
    assert_eq!(goes_on.get("/").unwrap().status, 200);
    assert_eq!(post(2_000).rest().unwrap(), b"");
    site.counts("discard", 1);
}

/// One client that is no pod has so many, streams among them. Pods and others find room.
#[test]
fn so_many_connections_are_served_of_one_client() {
    needs_lab!();
    let mut site = Site::start(&["connections=8", "connections_per_client=3", "http2_streams=10"]);
    let (one, other) = (site.world.lab.outside("one"), site.world.lab.outside("another"));
    site.server.does(Act::Hold);
    let mut streams = h2::Client::connect(&one, GATEWAY).unwrap();
    let numbers: Vec<u32> = (0..3).map(|_| streams.next_stream()).collect();
    for number in &numbers {
        // A body that never ends.
        streams.send(h2::headers(*number, &h2::request("POST", "/act"), false)).unwrap();
    }
    assert_eq!(streams.answer(numbers[2]).unwrap().reset, Some(h2::code::REFUSED_STREAM));
    site.counts("connections_per_client", 1);
    assert!(is_refused(&one));
    site.counts("connections_per_client", 2);
    for host in [&other, &site.world.frontend] {
        assert_eq!(get(host).unwrap().status, 200);
    }
    drop(streams);
    until("room for another", || get(&one).ok());
}

/// So is memory: heads that do not come to their end.
#[test]
fn so_much_is_kept_for_one_client() {
    needs_lab!();
    let mut site = Site::start(&["buffered_bytes_per_client=1MiB"]);
    let one = site.world.lab.outside("one");
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(30_000));
    let mut clients: Vec<Client> = Vec::new();
    until("the memory to be full", || {
        let mut client = Site::client_of(&one);
        client.send(&head).ok();
        clients.push(client);
        (Metrics::of(&site.world.lab.node).unwrap().limit("buffered") > 0.5).then_some(())
    });
    assert!(clients.len() < 100, "{}", clients.len());
    assert_eq!(site.client().get("/").unwrap().status, 200);
}

/// An endpoint that allows a stream a connection has so many connections in all, and of those that carry
/// nothing so many stay.
#[test]
fn so_many_connections_in_http2_go_to_an_endpoint() {
    needs_lab!();
    let site = Site::start(&["http2_connections_per_key=3", "http2_connections=1"]);
    let one = [(h2::MAX_CONCURRENT_STREAMS, 1)];
    let endpoint = h2::Endpoint::with(&site.world.api.ns, site.world.api.at(82), &one, |seen| {
        (seen.ended && seen.path() != "/h2/hold").then(|| h2::Endpoint::echo(seen))
    });
    let mut held = Vec::new();
    for count in 1..=3 {
        let mut client = site.client();
        client.send("GET /h2/hold HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        held.push(client);
        until("it to come", || (endpoint.seen().len() == count).then_some(()));
    }
    assert_eq!(site.client().get("/h2/now").unwrap().status, 503);
    site.counts("http2_connections", 1);
    drop(held);
    until("two to be told goodbye", || (endpoint.goodbyes() == [0; 2]).then_some(()));
    assert_eq!(site.client().get("/h2/now").unwrap().status, 200);
    assert_eq!(endpoint.connections(), 3, "the third is there still");
    site.counts("http2_connections", 3);
}
