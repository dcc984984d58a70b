//! Changes of the files under load.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use tests::client::Client;
use tests::objects::{documents, gateway, pod, service};
use tests::wait::{START, until_within};
use tests::{Backend, Weir};

use crate::services::weights;
use crate::world::World;

mod hostile;

/// 90 to 10 becomes 50 to 50 on the Service and on the Gateway without one failed request.
#[test]
fn the_split_changes_under_load_without_a_failed_request() {
    needs_lab!();
    let mut world = World::new();
    let second = world.lab.pod("api2");
    let _second = Backend::http(&second.ns, second.at(80), "v2");
    let both = [(world.api.v4.into(), 80), (second.v4.into(), 80)];
    let objects = documents(&[
        world.pods(),
        pod(&second, &["app=api"]),
        gateway("web", 8080, &[]),
        service("api", &["10.96.0.1"], 80, &both),
        service("v1", &["10.96.0.11"], 80, &both[..1]),
        service("v2", &["10.96.0.12"], 80, &both[1..]),
    ]);
    world.lab.write("pods.yaml", &objects);
    let route = |v1, v2| weights(v1, v2).replace("parentRefs: [", "parentRefs: [{name: web}, ");
    world.lab.write("route.yaml", &route(90, 10));
    let weir = Weir::start(&world.lab);
    let targets = ["10.96.0.1:80", "10.77.250.1:8080"].map(|text| text.parse().unwrap());
    // Requests and answers of the second version before, during and after the change.
    let counts: [[AtomicUsize; 2]; 3] = Default::default();
    let (phase, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for target in targets {
            for fresh in [true, false] {
                let (world, counts, phase, stop) = (&world, &counts, &phase, &stop);
                scope.spawn(move || {
                    let connect = || Client::connect(&world.frontend, target).expect("connect");
                    let mut client = connect();
                    while !stop.load(Ordering::Relaxed) {
                        let phase = phase.load(Ordering::SeqCst);
                        let answer = client.get("/").expect("no request fails");
                        assert_eq!(answer.status, 200, "{target}");
                        counts[phase][0].fetch_add(1, Ordering::Relaxed);
                        let second = usize::from(answer.text() == "v2");
                        counts[phase][1].fetch_add(second, Ordering::Relaxed);
                        if fresh {
                            client = connect();
                        }
                    }
                });
            }
        }
        let enough = |phase: usize| {
            let counts = &counts;
            move || (counts[phase][0].load(Ordering::Relaxed) > 2000).then_some(())
        };
        until_within(START, "2,000 requests before the change", enough(0));
        // A request that began before may be answered after: let those pass.
        phase.store(1, Ordering::SeqCst);
        let before = weir.revision();
        world.lab.write("route.yaml", &route(50, 50));
        weir.wait_revision(before);
        phase.store(2, Ordering::SeqCst);
        until_within(START, "2,000 requests after the change", enough(2));
        stop.store(true, Ordering::Relaxed);
    });
    let share = |phase: usize| {
        let [all, second] = &counts[phase];
        second.load(Ordering::Relaxed) * 100 / all.load(Ordering::Relaxed)
    };
    assert!((5..=15).contains(&share(0)), "{} % before", share(0));
    assert!((43..=57).contains(&share(2)), "{} % after", share(2));
}
