//! Mirrors: copies go where the route says and as often as it says, and whatever a mirror does, the
//! request that it is a copy of is answered as if there were none.

use std::time::{Duration, Instant};

use tests::client::curl;
use tests::lab::NODE_V4;
use tests::objects::{gateway, pod, service};
use tests::{Act, Faulty, Weir, metrics, until};

use crate::fleet::{Fleet, endpoint, fleet, route};
use crate::world::World;

const MIRRORED: &str = "weir_requests_mirrored_total";

fn mirror(to: &str, share: &str) -> String {
    format!("{{type: RequestMirror, requestMirror: {{backendRef: {{name: {to}, port: 80}}{share}}}}}")
}

fn rule(filters: &[String]) -> String {
    format!("backendRefs: [{{name: main, port: 80}}], filters: [{}]", filters.join(", "))
}

#[test]
fn every_mirror_gets_its_copy_with_path_query_fields_and_body() {
    needs_lab!();
    let world = World::new();
    let main = endpoint(&world, 81, Act::Status(200));
    let mirrors = [82, 83].map(|port| endpoint(&world, port, Act::Status(500)));
    let filters = [mirror("one", ""), mirror("two", "")];
    let objects = [
        fleet("main", &world.api, &[81], &[]),
        fleet("one", &world.api, &[82], &[]),
        fleet("two", &world.api, &[83], &[]),
        route("r", &[&rule(&filters)]),
    ];
    let fleet = Fleet::start(world, &objects);
    let url = format!("http://{NODE_V4}:8080/a/b?c=d");
    for client in ["--http1.1", "--http2-prior-knowledge"] {
        let arguments = [client, "-H", "X-Own: yes", "-d", "the body", &url];
        assert_eq!(curl(&fleet.world.frontend, &arguments), (200, "81\n".into()), "{client}");
    }
    for server in &mirrors {
        until("both copies", || (server.count() == 2).then_some(()));
    }
    for seen in [&main, &mirrors[0], &mirrors[1]].iter().flat_map(|server| server.seen()) {
        assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/a/b?c=d"));
        assert_eq!(seen.body, b"the body");
        assert_eq!(seen.header("x-own"), Some("yes"));
    }
    assert_eq!(main.count(), 2, "one request is one request, whatever became of its copies");
    assert_eq!(fleet.metric(MIRRORED), 4);
}

/// One mirror that never answers, one that refuses, one that resets, one that closes and one that
/// answers with nonsense; and one whose node swallows every packet.
#[test]
fn a_mirror_can_neither_delay_nor_fail_a_request() {
    needs_lab!();
    let world = World::new();
    world.lab.other.ip("route add blackhole 10.77.1.99/32").unwrap();
    let main = endpoint(&world, 81, Act::Status(200));
    let hanging = endpoint(&world, 82, Act::Hold);
    let acts = [Act::Reset, Act::Close, Act::Raw("nonsense\r\n\r\n".into())];
    let bad: Vec<Faulty> = (83..).zip(acts).map(|(port, act)| endpoint(&world, port, act)).collect();
    let names = ["hanging", "refused", "reset", "closed", "nonsense", "swallowed"];
    let filters: Vec<String> = names.iter().map(|name| mirror(name, "")).collect();
    let objects = [
        fleet("main", &world.api, &[81], &[]),
        fleet("hanging", &world.api, &[82], &[]),
        fleet("refused", &world.api, &[9], &[]),
        fleet("reset", &world.api, &[83], &[]),
        fleet("closed", &world.api, &[84], &[]),
        fleet("nonsense", &world.api, &[85], &[]),
        service("swallowed", &[], 80, &[("10.77.1.99".parse().unwrap(), 80)]),
        route("r", &[&rule(&filters)]),
    ];
    let fleet = Fleet::start(world, &objects);
    let url = format!("http://{NODE_V4}:8080/");
    assert_eq!(fleet.statuses("/", 30), [200; 30]);
    for client in ["--http1.1", "--http2-prior-knowledge"] {
        for body in [&["-d", "short"][..], &[]] {
            let (status, _) = curl(&fleet.world.frontend, &[&[client], body, &[&url]].concat());
            assert_eq!(status, 200, "{client} {body:?}");
        }
    }
    assert_eq!(main.count(), 34);
    // All were answered while not one of the copies at the first mirror was, nor ever is.
    until("the copies that hang", || (hanging.count() == 34).then_some(()));
    for server in &bad {
        until("the copies that fail", || (server.count() == 34).then_some(()));
    }
    assert_eq!(fleet.metric(MIRRORED), 6 * 34);
    assert_eq!(fleet.metric("weir_retries_total"), 0, "a copy is sent once");
    let failed = fleet.weir.flows().iter().filter(|flow| flow["verdict"] != "FORWARDED").count();
    assert_eq!(failed, 0, "nothing is said to have failed");
    // They are given up after a while; nothing is left of them.
    until("the copies to be given up", || {
        let given_up = fleet.metric("weir_limit_hits_total{limit=\"mirror_timeout\"}");

        (given_up == 34).then_some(())
    });
    until("the mirror to be rid of them", || (hanging.under_way() == 0).then_some(()));
}

/// 256 copies may be under way; the requests beyond are not copied, and are answered.
#[test]
fn copies_that_pile_up_are_not_sent() {
    needs_lab!("h2load");
    let world = World::new();
    let main = endpoint(&world, 81, Act::Status(200));
    let hanging = endpoint(&world, 82, Act::Hold);
    let objects = [
        fleet("main", &world.api, &[81], &[]),
        fleet("hanging", &world.api, &[82], &[]),
        route("r", &[&rule(&[mirror("hanging", "")])]),
    ];
    let fleet = Fleet::start(world, &objects);
    let url = format!("http://{NODE_V4}:8080/");
    let arguments = ["-n", "400", "-c", "4", "-m", "10", &url];
    let patience = Duration::from_secs(60);
    let begun = Instant::now();
    let run = tests::peer::run(&fleet.world.frontend.ns, "h2load", &arguments, b"", patience);
    assert!(run.text.contains("status codes: 400 2xx"), "{}", run.text);
    assert_eq!(main.count(), 400);
    let (sent, left_out) = (fleet.metric(MIRRORED), fleet.metric("weir_limit_hits_total{limit=\"mirror\"}"));
    assert_eq!(sent + left_out, 400);
    // A copy is given up after ten seconds, and then another may be sent.
    if begun.elapsed() < Duration::from_secs(10) {
        assert_eq!(sent, 256);
    }
    until("the copies to come", || (hanging.count() as u64 == sent).then_some(()));
}

#[test]
fn a_share_of_requests_is_copied() {
    needs_lab!();
    let world = World::new();
    let _main = endpoint(&world, 81, Act::Status(200));
    // Its name, what is said of its share, and the bounds of 600 requests: six standard deviations.
    let cases = [
        ("all", ", percent: 100", 600..=600),
        ("none", ", percent: 0", 0..=0),
        ("some", ", percent: 20", 62..=178),
        ("quarter", ", fraction: {numerator: 1, denominator: 4}", 87..=213),
        ("thousandth", ", fraction: {numerator: 1, denominator: 1000}", 0..=6),
        ("hundredths", ", fraction: {numerator: 50}", 227..=373),
    ];
    let mut objects = vec![fleet("main", &world.api, &[81], &[])];
    let (mut servers, mut filters) = (Vec::new(), Vec::new());
    for (port, (name, share, _)) in (90..).zip(&cases) {
        servers.push(endpoint(&world, port, Act::Status(200)));
        objects.push(fleet(name, &world.api, &[port], &[]));
        filters.push(mirror(name, share));
    }
    objects.push(route("r", &[&rule(&filters)]));
    let fleet = Fleet::start(world, &objects);
    assert_eq!(fleet.statuses("/", 600), [200; 600]);
    let sent = fleet.metric(MIRRORED);
    until("all copies", || {
        (servers.iter().map(|server| server.count() as u64).sum::<u64>() == sent).then_some(())
    });
    for (server, (name, _, range)) in servers.iter().zip(cases) {
        assert!(range.contains(&server.count()), "{name}: {}", server.count());
    }
}

/// 64 KiB are kept for copies.
#[test]
fn a_long_body_is_passed_on_and_not_copied() {
    needs_lab!();
    let world = World::new();
    let main = endpoint(&world, 81, Act::Status(200));
    let copy = endpoint(&world, 82, Act::Status(200));
    let objects = [
        fleet("main", &world.api, &[81], &[]),
        fleet("copy", &world.api, &[82], &[]),
        route("r", &[&rule(&[mirror("copy", "")])]),
    ];
    let fleet = Fleet::start(world, &objects);
    let file = fleet.world.lab.folder().join("body");
    let (data, url) = (format!("@{}", file.display()), format!("http://{NODE_V4}:8080/"));
    // How long a body is, and how many copies there are then.
    for (length, copies) in [(60_000, 1), (1_000_000, 1), (10, 2)] {
        std::fs::write(&file, vec![b'm'; length]).unwrap();
        let arguments = ["--data-binary", &data, "-H", "Expect:", &url];
        assert_eq!(curl(&fleet.world.frontend, &arguments).0, 200);
        assert_eq!(main.seen().last().unwrap().body.len(), length);
        // One after the other: two connections may bring them in any order.
        until("those that are copied", || (copy.count() == copies).then_some(()));
    }
    let lengths: Vec<usize> = copy.seen().iter().map(|seen| seen.body.len()).collect();
    assert_eq!(lengths, [60_000, 10]);
    assert_eq!(fleet.metric("weir_limit_hits_total{limit=\"mirror\"}"), 1);
}

/// A mirror leads around no policy: what may not be said to a pod is not said to it in copy.
#[test]
fn a_copy_is_sent_only_where_policy_lets_the_request_pass() {
    needs_lab!();
    let mut world = World::new();
    let secret = world.lab.pod("secret");
    let main = endpoint(&world, 81, Act::Status(200));
    let copy = Faulty::steady(&secret.ns, secret.at(80), "secret", Act::Status(200));
    let pods = [
        world.pods(),
        pod(&secret, &["app=secret"]),
        gateway("web", 8080, &[]),
        fleet("main", &world.api, &[81], &[]),
        service("secret", &[], 80, &[(secret.v4.into(), 80)]),
        route("r", &[&rule(&[mirror("secret", "")])]),
        crate::world::GET_PUBLIC.replace("name: api,", "name: secret,").replace("app: api", "app: secret"),
    ];
    world.lab.write("pods.yaml", &tests::objects::documents(&pods));
    let _weir = Weir::start(&world.lab);
    let get = |path: &str| curl(&world.frontend, &[&format!("http://{NODE_V4}:8080{path}")]).0;
    assert_eq!([get("/private"), get("/public"), get("/private")], [200; 3]);
    assert_eq!(curl(&world.stranger, &[&format!("http://{NODE_V4}:8080/public")]).0, 200);
    until("the copy that is allowed", || (copy.count() == 1).then_some(()));
    assert_eq!(main.count(), 4);
    assert_eq!(metrics::value(&world.lab, MIRRORED), 1);
    assert_eq!(copy.seen()[0].target, "/public");
}
