//! What must hold while somebody attacks: others are served, memory is bounded, nothing breaks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tests::observe::Memory;
use tests::{client, h2, until};

use super::Site;

/// See the module. From [`Watch::start`] to [`Watch::conclude`].
pub(super) struct Watch<'s> {
    site: &'s Site,
    memory: Memory,
    served: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    bystander: JoinHandle<()>,
}

impl<'s> Watch<'s> {
    pub(super) fn start(site: &'s Site) -> Self {
        let from = &site.world.stranger;
        let plain = client::Client::connect(from, Site::address()).unwrap();
        let h2 = h2::Client::connect(from, Site::address()).unwrap();
        let (served, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (count, stopped) = (served.clone(), stop.clone());
        let bystander = thread::spawn(move || ask(plain, h2, &count, &stopped));
        // What two connections take is not the attack's.
        until("the bystander to be served", || (served.load(Ordering::Relaxed) > 0).then_some(()));
        served.store(0, Ordering::Relaxed);
        Self { site, memory: Memory::watch(site.weir.proxy().unwrap()), served, stop, bystander }
    }

    /// Whether others were served since it began.
    pub(super) fn has_served(&self) -> bool {
        assert!(!self.bystander.is_finished(), "the bystander was not served");
        self.served.load(Ordering::Relaxed) > 1
    }

    /// What holds after an attack that takes no more memory than most.
    pub(super) fn conclude(self) {
        self.conclude_within(GROWTH_KIB);
    }

    /// What holds after an attack: others were served all the time, memory has not grown by more, no
    /// stream is left open, and nothing panicked.
    pub(super) fn conclude_within(self, kib: u64) {
        until("others to be served", || self.has_served().then_some(()));
        self.stop.store(true, Ordering::Relaxed);
        if let Err(panic) = self.bystander.join() {
            std::panic::resume_unwind(panic);
        }
        let grown = self.memory.grown();
        println!("resident memory grew by {grown} KiB");
        assert!(grown <= kib, "resident memory grew by {grown} KiB, not {kib} at most");
        until("all streams to be let go of", || {
            (self.site.metrics().value("weir_http2_streams_open") == Some(0.0)).then_some(())
        });
        until("all connections to be let go of", || {
            (self.site.metrics().value("weir_connections") == Some(0.0)).then_some(())
        });
        assert_eq!(self.site.metrics().value("weir_panics_total"), Some(0.0));
    }
}

/// Asks over and over on its two connections, each of which is kept.
fn ask(mut plain: client::Client, mut h2: h2::Client, served: &AtomicUsize, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let answer = plain.get("/").unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "v1"));
        let answer = h2.get("/").unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "v1"));
        served.fetch_add(1, Ordering::Relaxed);
        // A client, not a load.
        thread::sleep(Duration::from_millis(5));
    }
}

/// Far below what any of these attacks would take if it were let through, and above what buffers and
/// an allocator keep.
const GROWTH_KIB: u64 = 12 * 1024;
