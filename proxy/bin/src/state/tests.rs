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
fn locks_are_removed_by_the_last_one_only() {
    let (state, path) = folder("remove");
    let files = || std::fs::read_dir(&path).unwrap().count();
    let (lock, mark) = (state.lock().unwrap(), state.mark_proxy().unwrap());
    state.remove_locks(lock).unwrap();
    assert_eq!(files(), 2, "a proxy serves");
    drop(mark);
    let lock = state.lock().unwrap();
    state.remove_locks(lock).unwrap();
    assert_eq!(files(), 0);
    std::fs::remove_dir_all(path).unwrap();
}

#[test]
fn a_lock_on_a_removed_file_keeps_nobody_out() {
    let (state, path) = folder("raced");
    let (lock, mark) = (path.join(SUPERVISOR_LOCK), path.join(PROXY_LOCK));
    let (old, older) = (state.lock().unwrap(), state.mark_proxy().unwrap());
    assert!(is_at(&old, &lock).unwrap() && is_at(&older, &mark).unwrap());
    std::fs::remove_file(&lock).unwrap();
    std::fs::remove_file(&mark).unwrap();
    assert!(!is_at(&old, &lock).unwrap(), "nothing is there");
    let (new, newer) = (state.lock().unwrap(), state.mark_proxy().unwrap());
    assert!(!is_at(&old, &lock).unwrap() && !is_at(&older, &mark).unwrap(), "another file is there");
    assert!(is_at(&new, &lock).unwrap() && is_at(&newer, &mark).unwrap());
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

/// It was told to end before its supervisor died.
#[test]
fn an_orphan_that_ends_meanwhile_is_none() {
    let (state, path) = folder("ending");
    let mark = state.mark_proxy().unwrap();
    let door = Door::open(&state.door()).unwrap();
    let orphan = std::thread::spawn(move || {
        drop(door.accept().unwrap());
        drop((door, mark));
    });
    assert!(state.orphan().unwrap().is_none());
    orphan.join().unwrap();
    std::fs::remove_dir_all(path).unwrap();
}

#[test]
fn a_path_too_long_for_a_socket_is_refused() {
    let path = std::env::temp_dir().join("x".repeat(120));
    let error = StateDir::open(&path).unwrap_err().to_string();
    assert!(error.contains("too long"), "{error}");
    std::fs::remove_dir_all(path).unwrap();
}
