//! Sessions that are resumed, by openssl.

use tests::{Authority, Weir, until};

use super::{handshake, https, metrics, series, world_with};
use crate::restart::is_gone;
use crate::world::World;

/// The world with HTTPS for `a.test` and `b.test`, each with a certificate of its own.
fn world() -> (World, Authority) {
    let listeners = https("a", "hostname: a.test, ") + &https("b", "hostname: b.test, ");
    let (world, authority) = world_with(&listeners, &[]);
    for name in ["a", "b"] {
        let certificate = authority.issue(&[&format!("{name}.test")]);
        world.lab.write(&format!("{name}.yaml"), &certificate.secret(name));
    }
    (world, authority)
}

/// openssl with a request, as a ticket of TLS 1.3 comes with the answer; a new session goes into
/// the file, that of `from` is offered.
fn ask(world: &World, name: &str, version: &str, more: &[&str]) -> String {
    let target = format!("{}:{}", tests::lab::NODE_V4, super::PORT);
    let base = ["s_client", "-crlf", "-ign_eof", "-connect", &target, "-servername", name, version];
    let request = format!("GET / HTTP/1.1\nHost: {name}\nConnection: close\n\n");
    let arguments = [&base, more].concat();
    let text =
        tests::peer::run(&world.frontend.ns, "openssl", &arguments, request.as_bytes(), super::PATIENCE).text;
    assert!(text.contains("HTTP/1.1 200"), "{text}");
    text
}

#[test]
fn sessions_are_resumed_on_every_worker() {
    needs_lab!("openssl");
    let (world, authority) = world();
    let weir = Weir::start_with(&world.lab, &["--node", tests::lab::NODE, "--workers", "4"]);
    for version in ["-tls1_2", "-tls1_3"] {
        let file = world.lab.folder().join(format!("session{version}")).to_string_lossy().into_owned();
        let text = ask(&world, "a.test", version, &["-sess_out", &file]);
        assert!(text.contains("New, "), "{version}: {text}");
        // Which worker takes a connection is the kernel's choice: eight meet more than one of four.
        for _ in 0..8 {
            let text = ask(&world, "a.test", version, &["-sess_in", &file]);
            assert!(text.contains("Reused, "), "{version}: {text}");
        }
        // A session is of its name alone.
        let text = ask(&world, "b.test", version, &["-sess_in", &file]);
        assert!(text.contains("New, "), "{version}: {text}");
    }
    let resumed = until("sixteen to be counted", || {
        let metrics = metrics(&world);
        let resumed = series(&metrics, "weir_tls_resumed_total");
        (resumed > 15.5).then_some(metrics)
    });
    assert!(series(&resumed, "weir_tls_handshakes_total") > 19.5, "{resumed}");
    let busy = (0..4).filter(|worker| {
        let one = format!("weir_worker_requests_total{{worker=\"{worker}\"}}");
        series(&resumed, &one) > 0.5
    });
    assert!(busy.count() > 1, "more than one worker served: {resumed}");
    // Not one of a certificate that is no more.
    let file = world.lab.folder().join("session-tls1_3").to_string_lossy().into_owned();
    let before = weir.revision();
    world.lab.write("a.yaml", &authority.issue(&["a.test"]).secret("a"));
    weir.wait_revision(before);
    let text = ask(&world, "a.test", "-tls1_3", &["-sess_in", &file]);
    assert!(text.contains("New, "), "{text}");
}

/// The keys of tickets stay in the process that made them: what its successor is offered, it does
/// not know, and a whole handshake follows.
#[test]
fn a_successor_makes_sessions_of_its_own() {
    needs_lab!("openssl");
    let (world, _) = world();
    let weir = Weir::start(&world.lab);
    for version in ["-tls1_2", "-tls1_3"] {
        let file = world.lab.folder().join(format!("session{version}")).to_string_lossy().into_owned();
        ask(&world, "a.test", version, &["-sess_out", &file]);
        assert!(ask(&world, "a.test", version, &["-sess_in", &file]).contains("Reused, "), "{version}");
        let old = weir.proxy().unwrap();
        weir.restart();
        until("the old proxy to be gone", || is_gone(old));
        assert!(ask(&world, "a.test", version, &["-sess_in", &file]).contains("New, "), "{version}");
        ask(&world, "a.test", version, &["-sess_out", &file]);
        assert!(ask(&world, "a.test", version, &["-sess_in", &file]).contains("Reused, "), "{version}");
    }
}

/// Early data could be sent twice by anybody who saw it.
#[test]
fn early_data_is_never_taken() {
    needs_lab!("openssl");
    let (world, _) = world();
    let _weir = Weir::start(&world.lab);
    let file = world.lab.folder().join("session").to_string_lossy().into_owned();
    ask(&world, "a.test", "-tls1_3", &["-sess_out", &file]);
    let early = world.lab.folder().join("early");
    std::fs::write(&early, "GET /early HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
    let text =
        handshake(&world.frontend, "a.test", &["-sess_in", &file, "-early_data", &early.to_string_lossy()]);
    assert!(text.contains("Reused, TLSv1.3"), "{text}");
    assert!(text.contains("Early data was not sent") || text.contains("Early data was rejected"), "{text}");
    assert!(world.backend.seen().iter().all(|seen| seen.target != "/early"));
}
