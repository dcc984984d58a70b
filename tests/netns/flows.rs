//! Flow records on standard output.

use std::fs;
use std::process::{Command, Stdio};

use rustix::process::Pid;
use tests::client::Client;
use tests::lab::NODE;
use tests::wait::{START, until_within};
use tests::{Lab, Weir, until};

use crate::world::World;

/// The command line of `weir run` on the lab, with pipes that the test holds.
fn run(lab: &Lab, output: &str) -> Command {
    let mut command = Weir::command(lab, "run");
    command.arg(lab.config()).args(["--node", NODE, "--output", output, "--bpffs"]);
    command.arg(lab.bpffs().join("weir")).stdin(Stdio::null()).stderr(Stdio::null());
    command
}

fn ready(lab: &Lab) {
    until_within(START, "weir to serve", || {
        (tests::weir::ask(lab, "ready").as_deref() == Some("ready")).then_some(())
    });
}

/// Far more records than pipe, queue and rings hold.
#[test]
fn a_blocked_reader_stalls_nobody() {
    needs_lab!();
    let world = World::policed();
    let mut weir = run(&world.lab, "json").stdout(Stdio::piped()).spawn().unwrap();
    ready(&world.lab);
    let mut client = Client::connect(&world.frontend, world.api.at(80)).unwrap();
    for _ in 0..20_000 {
        assert_eq!(client.get("/public").unwrap().status, 200);
    }
    // Nor does it keep the process from ending.
    let pid = rustix::process::Pid::from_child(&weir);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let status = until("weir to end", || weir.try_wait().unwrap());
    assert!(status.success());
}

#[test]
fn a_reader_that_went_away_stalls_nobody() {
    needs_lab!();
    let world = World::policed();
    let mut weir = run(&world.lab, "text").stdout(Stdio::piped()).spawn().unwrap();
    drop(weir.stdout.take());
    ready(&world.lab);
    let mut client = Client::connect(&world.frontend, world.api.at(80)).unwrap();
    for _ in 0..100 {
        assert_eq!(client.get("/public").unwrap().status, 200);
    }
    assert!(weir.try_wait().unwrap().is_none());
    weir.kill().unwrap();
    weir.wait().unwrap();
}

/// The threads of a process by name, and their niceness (proc_pid_stat(5), field 19).
fn threads(process: Pid) -> Vec<(String, i64)> {
    let folder = format!("/proc/{}/task", process.as_raw_nonzero());
    let tasks = fs::read_dir(folder).unwrap();
    // One that ends meanwhile has none.
    let stats = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("stat")).ok());
    let named = stats.map(|stat| {
        let (before, after) = stat.rsplit_once(')').unwrap();
        let name = before.split_once('(').unwrap().1.to_owned();
        // The state, the first behind the name, is field 3.
        (name, after.split_whitespace().nth(19 - 3).unwrap().parse().unwrap())
    });
    named.collect()
}

/// Where all share a processor, an answer does not wait for a record.
#[test]
fn threads_of_records_make_way_for_workers() {
    needs_lab!();
    let world = World::policed();
    let weir = Weir::start(&world.lab);
    let proxy = weir.proxy().unwrap();
    until("threads of records to be nicer than workers", || {
        let threads = threads(proxy);
        let least = |name: &str| {
            threads.iter().filter(|(thread, _)| thread.starts_with(name)).map(|(_, nice)| *nice).min()
        };
        let worker = least("weir-worker")?;
        (least("flows")? > worker && least("flow-printer")? > worker).then_some(())
    });
}

#[test]
fn records_say_who_to_whom_and_why() {
    needs_lab!();
    let world = World::policed();
    let weir = Weir::start(&world.lab);
    let mut client = Client::connect(&world.frontend, world.api.at(80)).unwrap();
    client.get("/public").unwrap();
    let flow = weir.wait_flow("the allowed request", |flow| flow["http"]["status"] == 200);
    let expected = [
        ("/source/ip", world.frontend.v4.to_string()),
        ("/source/pod", "frontend".into()),
        ("/source/namespace", "default".into()),
        ("/destination/ip", world.api.v4.to_string()),
        ("/destination/pod", "api".into()),
        ("/protocol", "TCP".into()),
        ("/verdict", "FORWARDED".into()),
        ("/direction", "ingress".into()),
        ("/http/method", "GET".into()),
        ("/http/path", "/public".into()),
    ];
    for (place, value) in expected {
        assert_eq!(flow.pointer(place).and_then(|v| v.as_str()), Some(value.as_str()), "{place}");
    }
    assert_eq!(flow["destination"]["port"], 80);
    assert_eq!(flow["bytes_out"], 3);
    let labels = flow["source"]["labels"].to_string();
    assert!(labels.contains("k8s:role=frontend"), "{labels}");
}

/// The running Weir explains itself by the Snapshot that it serves by.
#[test]
fn the_running_weir_explains() {
    needs_lab!();
    let world = World::policed();
    let _weir = Weir::start(&world.lab);
    let ask = |method: &str| {
        let mut explain = Weir::command(&world.lab, "explain");
        explain.args(["--from", "default/frontend", "--to", "default/api:80"]);
        let output = explain.args(["--method", method, "--path", "/public"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(ask("POST").contains("DENIED"));
    assert!(!ask("GET").contains("DENIED"));
    let mut nobody = Weir::command(&world.lab, "explain");
    let output = nobody.args(["--from", "default/nobody", "--to", "default/api:80"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}
