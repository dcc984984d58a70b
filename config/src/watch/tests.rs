use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use super::{Dirty, Watch};
use crate::testdir::TestDir;

const LONG: Duration = Duration::from_secs(60);

fn started(dir: &TestDir) -> Watch {
    let (mut watch, error) = Watch::start();
    assert!(error.is_none(), "{error:?}");
    watch.add(dir.path()).unwrap();
    watch
}

/// Waits until a path was reported.
fn wait_for(watch: &Watch, path: &PathBuf) {
    let changes = watch.changes();
    loop {
        assert!(changes.wait(LONG), "{} was not reported", path.display());
        match watch.take() {
            Dirty::All => return,
            Dirty::Paths(paths) if paths.contains(path) => return,
            Dirty::Paths(_) => {}
        }
    }
}

#[test]
fn every_way_to_change_a_file_is_reported() {
    let dir = TestDir::new();
    let watch = started(&dir);
    let file = dir.file("a.yaml");
    fs::write(&file, "1").unwrap();
    wait_for(&watch, &file);
    fs::write(&file, "2").unwrap();
    wait_for(&watch, &file);
    dir.put("a.yaml", "3");
    wait_for(&watch, &file);
    fs::remove_file(&file).unwrap();
    wait_for(&watch, &file);
    symlink("b", &file).unwrap();
    wait_for(&watch, &file);
    fs::create_dir(dir.file("d")).unwrap();
    wait_for(&watch, &dir.file("d"));
    fs::rename(&file, dir.file("d/a")).unwrap();
    wait_for(&watch, &file);
}

#[test]
fn a_file_that_is_still_open_is_not_reported() {
    let dir = TestDir::new();
    let watch = started(&dir);
    let open = fs::File::create(dir.file("a.yaml")).unwrap();
    // Events come in order: with this one the creation was seen.
    fs::create_dir(dir.file("later")).unwrap();
    wait_for(&watch, &dir.file("later"));
    assert_eq!(watch.take(), Dirty::Paths([].into()));
    drop(open);
    wait_for(&watch, &dir.file("a.yaml"));
}

#[test]
fn reading_is_not_a_change() {
    let dir = TestDir::new();
    dir.put("a.yaml", "1");
    let watch = started(&dir);
    fs::read(dir.file("a.yaml")).unwrap();
    fs::read_dir(dir.path()).unwrap().for_each(drop);
    fs::create_dir(dir.file("later")).unwrap();
    assert!(watch.changes().wait(LONG));
    assert_eq!(watch.take(), Dirty::Paths([dir.file("later")].into()));
}

#[test]
fn a_folder_that_goes_is_reported() {
    let dir = TestDir::new();
    let folder = dir.file("d");
    fs::create_dir(&folder).unwrap();
    let (mut watch, _) = Watch::start();
    watch.add(&folder).unwrap();
    fs::rename(&folder, dir.file("e")).unwrap();
    wait_for(&watch, &folder);
}

#[test]
fn a_waker_ends_the_wait() {
    let dir = TestDir::new();
    let watch = started(&dir);
    let changes = watch.changes();
    let waker = changes.waker();
    let thread = std::thread::spawn(move || changes.wait(LONG));
    waker.wake();
    assert!(!thread.join().unwrap());
}

#[test]
fn polling_says_that_anything_may_have_changed() {
    let (watch, _) = Watch::start();
    watch.poll();
    assert!(watch.changes().wait(LONG));
    assert_eq!(watch.take(), Dirty::All);
    assert!(!watch.changes().wait(Duration::ZERO));
}

#[test]
fn the_thread_ends_with_the_watch() {
    let dir = TestDir::new();
    let watch = started(&dir);
    let shared = std::sync::Arc::downgrade(&watch.shared);
    drop(watch);
    while shared.strong_count() > 0 {
        std::thread::yield_now();
    }
}
