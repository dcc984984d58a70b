//! HTTP/2 as the specification has it: every case of h2spec against a Gateway's listener.

use std::time::Duration;

use tests::lab::NODE_V4;
use tests::objects::{documents, gateway, service};
use tests::{Weir, peer};

use crate::world::World;

/// All cases run, within this: most of them wait for an end that comes at once.
const PATIENCE: Duration = Duration::from_secs(300);
/// What h2spec 2.2.1 has, strict ones included.
const CASES: usize = 146;

#[test]
fn every_case_passes_in_clear() {
    needs_lab!("h2spec");
    let world = World::new();
    world.lab.write(
        "pods.yaml",
        &documents(&[
            world.pods(),
            gateway("web", 8080, &[]),
            service("api", &["10.96.0.1"], 80, &[(world.api.v4.into(), 80)]),
            crate::http2::ROUTE.into(),
        ]),
    );
    let _weir = Weir::start(&world.lab);
    passes(&world, &["-p", "8080"]);
}

fn passes(world: &World, more: &[&str]) {
    let address = NODE_V4.to_string();
    let mut arguments = vec!["--strict", "-h", &address, "-P", "/", "-o", "3"];
    arguments.extend(more);
    let finished = peer::run(&world.frontend.ns, "h2spec", &arguments, b"", PATIENCE);
    let text = &finished.text;
    let summary = format!("{CASES} tests, {CASES} passed, 0 skipped, 0 failed");
    assert!(finished.success && text.contains(&summary), "{text}");
}
