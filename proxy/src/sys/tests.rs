//! What the kernel makes of our calls.

use super::pin_thread;

#[test]
fn a_thread_is_pinned_to_a_cpu_that_it_may_use() {
    for index in [0, 1, 1000] {
        std::thread::spawn(move || pin_thread(index).unwrap()).join().unwrap();
    }
}
