use super::*;
use crate::fdstore::Door;

fn folder(name: &str) -> (StateDir, PathBuf) {
    let path = std::env::temp_dir().join(format!("weir-state-{}-{name}", std::process::id()));
    (StateDir::open(&path).unwrap(), path)
}

#[test]
fn one_supervisor_at_a_time_and_the_second_learns_its_pid() {
    let (state, path) = folder("lock");
    let lock = state.lock().unwrap();
    let error = state.lock().unwrap_err().to_string();
    assert!(error.ends_with(&format!("pid {}", std::process::id())), "{error}");
    drop(lock);
    state.lock().unwrap();
    std::fs::remove_dir_all(path).unwrap();
}

#[test]
fn nobody_serving_means_no_orphan() {
    let (state, path) = folder("none");
    assert!(state.orphan().unwrap().is_none());
    std::fs::remove_dir_all(path).unwrap();
}

#[test]
fn an_orphan_hands_over_what_it_holds() {
    let (state, path) = folder("orphan");
    let mark = state.mark_proxy().unwrap();
    let door = Door::open(&state.door()).unwrap();
    let orphan = std::thread::spawn(move || {
        let link = door.accept().unwrap();
        let (a, _) = Link::pair().unwrap();
        link.hand_over(&[("a".to_string(), a.into())]).unwrap();
        link.receive().unwrap()
    });
    let (link, held) = state.orphan().unwrap().unwrap();
    assert_eq!(held[0].0, "a");
    drop(link);
    assert!(orphan.join().unwrap().is_none());
    drop(mark);
    std::fs::remove_dir_all(path).unwrap();
}

#[test]
fn a_path_too_long_for_a_socket_is_refused() {
    let path = std::env::temp_dir().join("x".repeat(120));
    let error = StateDir::open(&path).unwrap_err().to_string();
    assert!(error.contains("too long"), "{error}");
    std::fs::remove_dir_all(path).unwrap();
}
