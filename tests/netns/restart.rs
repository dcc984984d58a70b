//! A new proxy process in place of the old one, under load: not one request fails.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::process::Signal;
use tests::client::Client;
use tests::lab::NODE_V4;
use tests::objects::{documents, gateway, service};
use tests::{Weir, until};

use crate::held::{Place, Streams};
use crate::lifecycle::under_load;
use crate::world::World;

mod last_good;

const ROUTE: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: api, namespace: default}
spec:
  parentRefs: [{name: web}]
  rules: [{backendRefs: [{name: api, port: 80}]}]
"#;

fn routed() -> World {
    let world = World::new();
    let objects = documents(&[
        gateway("web", 8080, &[]),
        service("api", &["10.96.0.1"], 80, &[(world.api.v4.into(), 80)]),
        ROUTE.into(),
    ]);
    world.lab.write("routes.yaml", &objects);
    world
}

/// Whether a process has ended; a proxy that was replaced accepts until it is told to.
pub(crate) fn is_gone(pid: rustix::process::Pid) -> Option<()> {
    rustix::process::test_kill_process(pid).is_err().then_some(())
}

#[test]
fn replacing_the_proxy_fails_no_request() {
    needs_lab!();
    let mut world = routed();
    let outside = world.lab.outside("outside");
    // However long a client takes to its next request.
    let patient = ["--drain-timeout", "20", "--limit", "drain_idle=15s"];
    let flags = [&["--node", tests::lab::NODE, "--workers", "2"], &patient[..]].concat();
    let weir = Weir::start_with(&world.lab, &flags);
    let stop = AtomicBool::new(false);
    let broken = Mutex::new(Vec::new());
    // One client keeps its connection as long as it may, another opens one for each request.
    let kept = thread::scope(|scope| {
        let load = scope.spawn(|| {
            let (mut answered, mut connections) = (0, 0);
            while !stop.load(Ordering::Relaxed) {
                let mut client = Client::connect(&world.frontend, (NODE_V4, 8080).into()).unwrap();
                connections += 1;
                while !stop.load(Ordering::Relaxed) {
                    match client.get("/") {
                        Ok(answer) => {
                            assert_eq!(answer.status, 200);
                            answered += 1;
                            if answer.header("connection") == Some("close") {
                                break;
                            }
                        }
                        Err(error) => {
                            broken.lock().unwrap().push(error);
                            break;
                        }
                    }
                }
            }
            (answered, connections)
        });
        let (answered, broken) = under_load(&outside, (NODE_V4, 8080).into(), || {
            for _ in 0..3 {
                let old = weir.proxy().unwrap();
                weir.restart();
                until("the old proxy to be gone", || is_gone(old));
            }
        });
        stop.store(true, Ordering::Relaxed);
        assert!(answered > 0);
        assert_eq!(broken, [], "not one fresh connection fails");
        load.join().unwrap()
    });
    assert!(broken.lock().unwrap().is_empty(), "{:?}", broken.lock().unwrap());
    // One for each proxy; and each of two workers of the old one may accept another that is told so at
    // once, before it has heard that it is replaced.
    assert!(
        kept.0 > 100 && (4..=4 + 3 * 2).contains(&kept.1),
        "{} answers on {} connections",
        kept.0,
        kept.1
    );
}

#[test]
fn a_successor_that_cannot_start_changes_nothing() {
    needs_lab!();
    let world = routed();
    let weir = Weir::start(&world.lab);
    let old = weir.proxy().unwrap();
    // A folder where it makes its mark.
    let (lock, aside) = (world.lab.folder().join("state/proxy.lock"), world.lab.folder().join("aside"));
    std::fs::rename(&lock, &aside).unwrap();
    std::fs::create_dir(&lock).unwrap();
    Weir::signal(weir.supervisor(), Signal::USR2);
    weir.wait_log("the old proxy serves on");
    assert_eq!(weir.proxies(), [old]);
    let mut client = Client::connect(&world.frontend, (NODE_V4, 8080).into()).unwrap();
    assert_eq!(client.get("/").unwrap().status, 200);
    // It follows the files again.
    let before = weir.revision();
    std::fs::remove_dir(&lock).unwrap();
    std::fs::rename(&aside, &lock).unwrap();
    world.lab.write("routes.yaml", &gateway("other", 8081, &[]));
    weir.wait_revision(before);
}

#[test]
fn a_long_answer_is_kept_to_its_end() {
    needs_lab!();
    let world = routed();
    let weir = Weir::start_with(&world.lab, &["--node", tests::lab::NODE, "--drain-timeout", "30"]);
    let old = weir.proxy().unwrap();
    let mut client = Client::connect(&world.frontend, (NODE_V4, 8080).into()).unwrap();
    client.send("POST /echo HTTP/1.1\r\nHost: api\r\nContent-Length: 6\r\n\r\nabc").unwrap();
    weir.restart();
    assert_eq!(weir.proxies().first(), Some(&old), "it waits for the request");
    client.send("def").unwrap();
    assert_eq!(client.response().unwrap().status, 200);
    until("the old proxy to be gone", || is_gone(old));
}

#[test]
fn long_streams_are_kept_to_their_deadline() {
    needs_lab!("openssl");
    let place = Place::new();
    let weir = Weir::start_with(&place.world.lab, &["--node", tests::lab::NODE, "--drain-timeout", "10"]);
    let old = weir.proxy().unwrap();
    let mut streams = Streams::open(&place);
    streams.carry();
    let new = weir.restart();
    streams.carry();
    assert_eq!(weir.proxies(), [old, new], "the old proxy serves them");
    let mut fresh = Streams::open(&place);
    streams.ended();
    until("the old proxy to be gone", || is_gone(old));
    fresh.carry();
    assert!(!weir.log().contains("killed"), "it ended by itself: {}", weir.log());
}

/// The kernel verified the programs when the first proxy began, which takes it a second and more; the
/// next proxies of the same binary use them.
#[test]
fn a_successor_uses_the_programs_that_are_loaded() {
    needs_lab!();
    let world = routed();
    let mut weir = Weir::start(&world.lab);
    let loaded = programs(&weir);
    assert_eq!(loaded.len(), 4, "{loaded:?}");
    let old = weir.proxy().unwrap();
    weir.restart();
    until("the old proxy to be gone", || is_gone(old));
    assert_eq!(programs(&weir), loaded);
    // Also where it is taken over from.
    weir.stop(Signal::KILL);
    let weir = Weir::start(&world.lab);
    weir.wait_log("INFO ready");
    assert_eq!(programs(&weir), loaded);
    let mut client = Client::connect(&world.frontend, "10.96.0.1:80".parse().unwrap()).unwrap();
    assert_eq!(client.get("/").unwrap().status, 200);
}

/// The numbers of the eBPF programs that the proxy holds.
fn programs(weir: &Weir) -> BTreeSet<String> {
    let folder = format!("/proc/{}/fdinfo", weir.proxy().unwrap().as_raw_nonzero());
    let texts =
        std::fs::read_dir(folder).unwrap().flatten().map(|entry| std::fs::read_to_string(entry.path()));
    let number = |text: String| {
        let is_program = text.contains("prog_type:");
        text.lines().find_map(|line| line.strip_prefix("prog_id:").filter(|_| is_program).map(str::to_owned))
    };
    texts.map_while(Result::ok).filter_map(number).collect()
}
