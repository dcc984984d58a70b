//! The admin endpoint over HTTP: probes, metrics, the dump, log levels, and what death and draining do.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tests::client::Client;
use tests::lab::{NODE, NODE_V4};
use tests::{Weir, until};

use crate::world::{GET_PUBLIC, World};

/// The default port.
const PORT: u16 = 15200;

/// One request to the endpoint from the node itself: status and body.
fn request(world: &World, method: &str, path: &str, body: &str) -> std::io::Result<(u16, String)> {
    let address = ([127, 0, 0, 1], PORT).into();
    let mut client = Client::new(world.lab.node.connect(address, Duration::from_secs(10))?, address);
    client.send(format!(
        "{method} {path} HTTP/1.1\r\nHost: admin\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))?;
    let answer = client.response()?;
    Ok((answer.status, answer.text()))
}

pub(crate) fn get(world: &World, path: &str) -> (u16, String) {
    request(world, "GET", path, "").unwrap()
}

/// The value of one series; 0 where it is not there.
fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0.0, |number| number.parse().unwrap())
}

#[test]
fn requests_are_counted_by_outcome() {
    needs_lab!();
    let world = World::policed();
    let _weir = Weir::start(&world.lab);
    assert_eq!(get(&world, "/ready"), (200, "ready".into()));
    assert_eq!(get(&world, "/live"), (200, "live".into()));
    let mut client = Client::connect(&world.frontend, world.api.at(80)).unwrap();
    for _ in 0..7 {
        assert_eq!(client.get("/public").unwrap().status, 200);
    }
    for _ in 0..3 {
        assert_eq!(client.get("/private").unwrap().status, 403);
    }
    let fine = r#"weir_requests_total{protocol="http1",class="2xx",reason=""}"#;
    let denied = r#"weir_requests_total{protocol="http1",class="4xx",reason="policy_default_deny"}"#;
    // A request is counted when the last of its answer is written, which the client may see first, and
    // its duration comes last.
    let durations = "weir_request_duration_seconds_count";
    until("all requests to be counted", || {
        (value(&get(&world, "/metrics").1, durations) > 9.5).then_some(())
    });
    // Not those in which the last request was seen, which were made while it was being counted.
    let (status, metrics) = get(&world, "/metrics");
    assert_eq!(status, 200);
    let expected = [
        (fine, 7.0),
        (denied, 3.0),
        (durations, 10.0),
        (r#"weir_request_duration_seconds_bucket{le="+Inf"}"#, 10.0),
        ("weir_denied_total", 3.0),
        ("weir_connections", 1.0),
        ("weir_connections_accepted_total", 1.0),
        (r#"weir_upstream_connections_opened_total{protocol="http1"}"#, 1.0),
        (r#"weir_upstream_connections_reused_total{protocol="http1"}"#, 6.0),
        (r#"weir_config_problems{severity="error"}"#, 0.0),
        ("weir_ready", 1.0),
        (r#"weir_limit_hits_total{limit="head"}"#, 0.0),
    ];
    for (series, count) in expected {
        assert!((value(&metrics, series) - count).abs() < 0.5, "{series} is not {count} in:\n{metrics}");
    }
    assert!(value(&metrics, "weir_config_revision") >= 1.0);
    assert!(value(&metrics, "process_resident_memory_bytes") > 1e6);
    assert!(value(&metrics, "process_open_fds") > 10.0);
    assert!(metrics.contains("weir_worker_cpu_seconds_total{worker=\"0\"}"), "{metrics}");
    assert!(metrics.ends_with("\n# EOF"), "{metrics}");
    drop(client);
    until("the connection to be counted", || {
        let ended = r#"weir_connections_ended_total{reason=""}"#;
        (value(&get(&world, "/metrics").1, ended) > 0.5).then_some(())
    });
    until("the flow records to be counted", || {
        (value(&get(&world, "/metrics").1, "weir_flow_records_total") > 10.5).then_some(())
    });
}

#[test]
fn what_is_in_force_can_be_read() {
    needs_lab!();
    let world = World::policed();
    let _weir = Weir::start(&world.lab);
    let (status, text) = get(&world, "/config");
    assert_eq!(status, 200);
    let dump: Value = serde_json::from_str(&text).unwrap();
    let pods = dump["pods"].as_array().unwrap();
    let api = pods.iter().find(|pod| pod["pod"] == "default/api").unwrap();
    assert_eq!(api["policy"]["ingress"]["enforcement"], "enforced");
    assert_eq!(
        dump["revision"],
        get(&world, "/metrics")
            .1
            .lines()
            .find_map(|line| line.strip_prefix("weir_config_revision ")?.parse::<u64>().ok())
            .unwrap()
    );
    world
        .lab
        .write("policy.yaml", &format!("{GET_PUBLIC}\n---\n{{apiVersion: v1, kind: Pod, metadata: 7}}\n"));
    until("the problem to be counted", || {
        let errors = value(&get(&world, "/metrics").1, r#"weir_config_problems{severity="error"}"#);
        (errors > 0.5).then_some(())
    });
    for (method, path, status) in [("GET", "/", 200), ("GET", "/nothing", 404), ("PUT", "/metrics", 405)] {
        assert_eq!(request(&world, method, path, "").unwrap().0, status, "{method} {path}");
    }
}

#[test]
fn the_log_level_changes_while_it_runs() {
    needs_lab!();
    let world = World::policed();
    let weir = Weir::start(&world.lab);
    assert_eq!(get(&world, "/log"), (200, "info".into()));
    let (status, said) = request(&world, "PUT", "/log", "loud").unwrap();
    assert_eq!(status, 400, "{said}");
    let (status, said) = request(&world, "PUT", "/log", "prxy=debug").unwrap();
    assert_eq!(
        (status, said.as_str()),
        (400, "there is no part \"prxy\"; there are config, proxy, redirect, weir")
    );
    assert_eq!(request(&world, "PUT", "/log", "proxy=debug").unwrap(), (200, "info,proxy=debug".into()));
    // Nothing listens there: a failed connect is a line of the level debug.
    let closed = format!("connect to {}", world.api.at(81));
    world.lab.write("policy.yaml", &GET_PUBLIC.replace("\"80\"", "\"81\""));
    until("the refused connect to be logged", || {
        Client::connect(&world.frontend, world.api.at(81)).and_then(|mut client| client.get("/public")).ok();
        weir.log().contains(&closed).then_some(())
    });
    assert_eq!(request(&world, "POST", "/log", "warn,proxy=warn").unwrap().1, "warn,proxy=warn");
}

#[test]
fn only_this_machine_may_look_inside() {
    needs_lab!();
    let mut world = World::policed();
    let outside = world.lab.outside("outside");
    let _weir = Weir::start_with(&world.lab, &["--node", NODE, "--admin", &format!("0.0.0.0:{PORT}")]);
    let ask =
        |path: &str| Client::connect(&outside, (NODE_V4, PORT).into()).unwrap().get(path).unwrap().status;
    for (path, from_outside) in
        [("/ready", 200), ("/metrics", 200), ("/config", 403), ("/problems", 403), ("/log", 403)]
    {
        assert_eq!(until(path, || Some(ask(path))), from_outside, "{path}");
        assert_eq!(get(&world, path).0, 200, "{path}");
    }
}

#[test]
fn a_crash_and_a_hand_over_leave_no_gap() {
    needs_lab!();
    let world = World::policed();
    let mut weir = Weir::start(&world.lab);
    assert_eq!(get(&world, "/ready").0, 200);
    std::thread::scope(|scope| {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let world = &world;
        let probes = scope.spawn(move || {
            let mut wrong = Vec::new();
            while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                match request(world, "GET", "/ready", "") {
                    Ok((200, _)) => {}
                    other => wrong.push(format!("{other:?}")),
                }
            }
            wrong
        });
        weir.crash_proxy();
        weir.stop(Signal::KILL);
        weir.wait_log("the supervisor is gone");
        let successor = Weir::start(&world.lab);
        successor.wait_ready();
        stop.send(()).unwrap();
        let wrong = probes.join().unwrap();
        // A probe that the dead process had accepted is lost with it.
        assert!(wrong.len() <= 1, "{wrong:?}");
        drop(successor);
    });
}

#[test]
fn is_not_ready_while_it_drains() {
    needs_lab!();
    let (world, mut weir, mut client) = World::with_a_request_held();
    Weir::signal(weir.supervisor(), Signal::TERM);
    until("the endpoint to say so", || (get(&world, "/ready") == (503, "draining".into())).then_some(()));
    assert_eq!(get(&world, "/live").0, 200);
    world.backend.release();
    assert_eq!(client.response().unwrap().status, 200);
    assert!(weir.wait().success());
}

#[test]
fn none_means_none_and_a_taken_port_stops_nothing() {
    needs_lab!();
    let world = World::policed();
    let weir = Weir::start_with(&world.lab, &["--node", NODE, "--admin", "none"]);
    assert!(request(&world, "GET", "/ready", "").is_err());
    drop(weir);
    let taken = world.lab.node.listen(([127, 0, 0, 1], PORT).into());
    let weir = Weir::start(&world.lab);
    weir.wait_log("--admin 127.0.0.1:15200: cannot listen");
    let mut client = Client::connect(&world.frontend, world.api.at(80)).unwrap();
    assert_eq!(client.get("/public").unwrap().status, 200);
    drop(taken);
    until("the endpoint to answer", || {
        request(&world, "GET", "/ready", "").ok().filter(|(status, _)| *status == 200)
    });
}
