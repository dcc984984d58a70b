//! Death and return of the processes, under load; what stays and what goes.

use std::io::ErrorKind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use tests::client::{Client, curl};
use tests::lab::{NODE, NODE_V4};
use tests::namespace::Namespace;
use tests::objects::{documents, gateway, service};
use tests::{Backend, Host, Weir, until};

use crate::world::{GET_PUBLIC, World};

/// Requests on fresh connections from `from` while `work` runs. Returns how many were answered,
/// and what went wrong with the others. No answer may be wrong.
pub(crate) fn under_load(from: &Host, to: std::net::SocketAddr, work: impl FnOnce()) -> (usize, Vec<Broken>) {
    let stop = AtomicBool::new(false);
    let broken = Mutex::new(Vec::new());
    let answered = thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut answered = 0;
            while !stop.load(Ordering::Relaxed) {
                let mut client = match from.ns.connect(to, Duration::from_secs(10)) {
                    Ok(stream) => Client::new(stream, to),
                    Err(error) => {
                        broken.lock().unwrap().push(Broken::Connect(error.kind()));
                        continue;
                    }
                };
                match client.get("/public") {
                    Ok(answer) => {
                        assert_eq!(answer.status, 200);
                        answered += 1;
                    }
                    Err(error) => broken.lock().unwrap().push(Broken::Request(error.kind())),
                }
            }
            answered
        });
        work();
        stop.store(true, Ordering::Relaxed);
        load.join().unwrap()
    });
    (answered, broken.into_inner().unwrap())
}

#[derive(Debug, PartialEq)]
pub(crate) enum Broken {
    Connect(ErrorKind),
    Request(ErrorKind),
}

fn refused_or_timed_out(broken: &[Broken]) -> usize {
    broken.iter().filter(|one| matches!(one, Broken::Connect(_))).count()
}

#[test]
fn a_crashed_proxy_costs_new_connections_a_wait_and_never_a_refusal() {
    needs_lab!();
    let mut world = World::policed();
    let outside = world.lab.outside("outside");
    let gateway = documents(&[
        gateway("web", 8080, &[]),
        service("api", &["10.96.0.1"], 80, &[(world.api.v4.into(), 80)]),
        ROUTE.into(),
        GET_PUBLIC.replace("  - fromEndpoints", "  - fromEntities: [ingress]\n  - fromEndpoints"),
    ]);
    world.lab.write("policy.yaml", &gateway);
    let weir = Weir::start(&world.lab);
    let ways = [(&world.frontend, world.api.at(80)), (&outside, (NODE_V4, 8080).into())];
    for (from, to) in ways {
        let (answered, broken) = under_load(from, to, || {
            for _ in 0..3 {
                weir.crash_proxy();
            }
            let mut client = Client::connect(from, to).unwrap();
            assert_eq!(client.get("/public").unwrap().status, 200, "{to}");
        });
        assert!(answered > 0);
        assert_eq!(refused_or_timed_out(&broken), 0, "{to}: {broken:?}");
        // What the dead process had in its hands is lost: at most a connection or two each time.
        assert!(broken.len() <= 6, "{to}: {broken:?}");
    }
    let mut client = Client::connect(&world.frontend, world.api.at(80)).unwrap();
    assert_eq!(client.get("/private").unwrap().status, 403);
}

#[test]
fn without_its_supervisor_the_proxy_serves_on_and_the_next_run_takes_over() {
    needs_lab!();
    let world = World::policed();
    // However long a client takes from its connect to its request.
    let mut weir = Weir::start_with(&world.lab, &["--node", NODE, "--limit", "drain_idle=20s"]);
    let orphan = weir.proxy().unwrap();
    let mut successor = None;
    let (answered, broken) = under_load(&world.frontend, world.api.at(80), || {
        weir.stop(Signal::KILL);
        weir.wait_log("the supervisor is gone");
        assert_eq!(curl(&world.frontend, &[&format!("http://{}/public", world.api.at(80))]).0, 200);
        successor = Some(Weir::start(&world.lab));
        until("the old proxy to be gone", || {
            rustix::process::test_kill_process(orphan).is_err().then_some(())
        });
    });
    assert!(answered > 0);
    assert_eq!(broken, [], "not one request fails in a hand-over");
    let mut client = Client::connect(&world.frontend, world.api.at(80)).unwrap();
    assert_eq!(client.get("/private").unwrap().status, 403);
}

#[test]
fn with_both_dead_policed_connections_fail_closed_and_others_pass() {
    needs_lab!();
    let world = World::policed();
    let _open = Backend::http(&world.stranger.ns, world.stranger.at(80), "open");
    let weir = Weir::start(&world.lab);
    let mut live = Client::connect(&world.frontend, world.api.at(80)).unwrap();
    assert_eq!(live.get("/public").unwrap().status, 200);
    let (supervisor, proxy) = (weir.supervisor(), weir.proxy().unwrap());
    Weir::signal(supervisor, Signal::KILL);
    Weir::signal(proxy, Signal::KILL);
    until("the proxy's end", || rustix::process::test_kill_process(proxy).is_err().then_some(()));
    assert_eq!(live.rest().unwrap_or_default(), b"", "the old connection is gone");
    let before = world.backend.count();
    assert!(world.frontend.connect(world.api.at(80)).is_err(), "closed");
    assert!(world.stranger.connect(world.api.at(80)).is_err(), "still dropped");
    assert_eq!(curl(&world.frontend, &[&format!("http://{}/", world.stranger.at(80))]).0, 200);
    assert_eq!(world.backend.count(), before, "nothing reached the policed pod");
    let _again = Weir::start(&world.lab);
    let mut client = Client::connect(&world.frontend, world.api.at(80)).unwrap();
    assert_eq!(client.get("/public").unwrap().status, 200);
    assert_eq!(client.get("/private").unwrap().status, 403);
}

/// What Weir may leave in a node's namespace: rules, routes, pins.
fn installed(node: &Namespace, pins: &std::path::Path) -> String {
    let rules = node.run("ip rule").unwrap() + &node.run("ip -6 rule").unwrap();
    let routes =
        node.run("ip route show table all").unwrap() + &node.run("ip -6 route show table all").unwrap();
    // Link-local addresses come up by themselves, whenever duplicate detection is done.
    let kept: Vec<&str> = routes.lines().filter(|line| !line.contains("fe80::")).collect();
    let pinned = node.command("find").arg(pins).args(["-mindepth", "1"]).output().unwrap();
    format!("{rules}\n{}\n{}", kept.join("\n"), String::from_utf8_lossy(&pinned.stdout))
}

/// The same of a node whose devices are up: their routes have come, and none is marked as down.
fn installed_once_up(node: &Namespace, pins: &std::path::Path) -> String {
    // All but the loopback.
    let devices = node.run("ip -o link show up").unwrap().lines().count() - 1;
    until("the devices to be up", || {
        let multicast = node.run("ip -6 route show table local type multicast").unwrap();
        let installed = installed(node, pins);
        (multicast.lines().count() == devices && !installed.contains("linkdown")).then_some(installed)
    })
}

#[test]
fn sigterm_stays_closed_and_cleanup_leaves_nothing() {
    needs_lab!();
    let world = World::policed();
    let pins = world.lab.bpffs();
    let before = installed_once_up(&world.lab.node, &pins);
    let mut weir = Weir::start(&world.lab);
    assert_ne!(installed(&world.lab.node, &pins), before);
    let busy = Weir::command(&world.lab, "cleanup").arg("--bpffs").arg(pins.join("weir")).output();
    let busy = busy.unwrap();
    assert!(!busy.status.success(), "cleanup under a running weir");
    let said = String::from_utf8_lossy(&busy.stderr).into_owned();
    assert!(said.contains("already running") && said.contains("pid"), "{said}");
    assert!(weir.stop(Signal::TERM).success());
    assert!(world.frontend.connect(world.api.at(80)).is_err(), "closed after SIGTERM");
    let cleanup = Weir::command(&world.lab, "cleanup").arg("--bpffs").arg(pins.join("weir")).output();
    let cleanup = cleanup.unwrap();
    assert!(cleanup.status.success(), "{}", String::from_utf8_lossy(&cleanup.stderr));
    assert_eq!(installed(&world.lab.node, &pins), before);
    assert_eq!(curl(&world.stranger, &[&format!("http://{}/", world.api.at(80))]).0, 200);
    // Again, with nothing there.
    let again = Weir::command(&world.lab, "cleanup").arg("--bpffs").arg(pins.join("weir")).status();
    assert!(again.unwrap().success());
}

#[test]
fn sigint_cleans_up() {
    needs_lab!();
    let world = World::policed();
    let pins = world.lab.bpffs();
    let before = installed_once_up(&world.lab.node, &pins);
    let mut weir = Weir::start(&world.lab);
    assert!(weir.stop(Signal::INT).success());
    assert_eq!(installed(&world.lab.node, &pins), before);
    assert_eq!(curl(&world.stranger, &[&format!("http://{}/", world.api.at(80))]).0, 200);
}

#[test]
fn cleanup_ends_a_proxy_without_a_supervisor() {
    needs_lab!();
    let world = World::policed();
    let mut weir = Weir::start(&world.lab);
    let orphan = weir.proxy().unwrap();
    weir.stop(Signal::KILL);
    let pins = world.lab.bpffs().join("weir");
    let cleanup = Weir::command(&world.lab, "cleanup").arg("--bpffs").arg(pins).output().unwrap();
    assert!(cleanup.status.success(), "{}", String::from_utf8_lossy(&cleanup.stderr));
    until("the proxy's end", || rustix::process::test_kill_process(orphan).is_err().then_some(()));
}

#[test]
fn a_second_run_names_the_first() {
    needs_lab!();
    let world = World::new();
    let weir = Weir::start(&world.lab);
    let mut second = Weir::spawn(&world.lab, &[]);
    assert_eq!(second.wait().code(), Some(1));
    second.wait_log(&format!("pid {}", weir.supervisor().as_raw_nonzero()));
    assert_eq!(weir.ask("ready").as_deref(), Some("ready"), "the first serves on");
}

#[test]
fn sigterm_lets_a_request_under_way_finish() {
    needs_lab!();
    let (world, mut weir, mut client) = World::with_a_request_held();
    Weir::signal(weir.supervisor(), Signal::TERM);
    weir.wait_log("stopping");
    until("new connections to fail", || world.frontend.connect(world.api.at(80)).err());
    world.backend.release();
    let answer = client.response().unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "v1"));
    assert!(weir.wait().success());
}

const ROUTE: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: api, namespace: default}
spec:
  parentRefs: [{name: web}]
  rules:
  - backendRefs: [{name: api, port: 80}]
"#;

/// The kernel stops checking a program when its thread is interrupted.
#[test]
fn a_start_that_is_interrupted_goes_on() {
    needs_lab!();
    let world = World::policed();
    let weir = Weir::spawn(&world.lab, &["--node", NODE]);
    let proxy = until("the proxy to begin", || weir.proxies().first().copied());
    for _ in 0..40 {
        Weir::signal(proxy, Signal::STOP);
        Weir::signal(proxy, Signal::CONT);
        // Apart, so that some of them come while it checks.
        thread::sleep(Duration::from_millis(10));
    }
    weir.wait_ready();
    let frontend = &world.frontend;
    assert_eq!(Client::connect(frontend, world.api.at(80)).unwrap().get("/public").unwrap().status, 200);
    assert_eq!(weir.proxies(), [proxy]);
    assert!(!weir.log().contains("cannot redirect"), "{}", weir.log());
}
