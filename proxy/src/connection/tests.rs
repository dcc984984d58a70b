//! A panic ends one task and is counted; the others go on.

use std::rc::Rc;

use tokio::task::LocalSet;

use super::Witness;
use crate::stats::Stats;

#[test]
fn a_panic_ends_its_own_task_alone() {
    let stats = Rc::new(Stats::default());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let task = |panics: bool| {
        let stats = stats.clone();
        async move {
            let _witness = Witness(&stats);
            tokio::task::yield_now().await;
            assert!(!panics, "injected");
        }
    };
    let (broken, sound) = LocalSet::new().block_on(&runtime, async {
        let broken = tokio::task::spawn_local(task(true));
        let sound = tokio::task::spawn_local(task(false));
        (broken.await, sound.await)
    });
    assert!(broken.unwrap_err().is_panic());
    assert!(sound.is_ok());
    assert_eq!(stats.panics.get(), 1);
}
