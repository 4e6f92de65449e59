//! Bytes that are out, of the whole process: a test that counts them runs alone. Not one of `support`'s modules, since its
//! allocator is that of every test that has it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::{Mutex, MutexGuard};

/// The system's allocator, counting the bytes that are out.
struct Counting;

static LIVE: AtomicIsize = AtomicIsize::new(0);
static PEAK: AtomicIsize = AtomicIsize::new(0);

fn count(bytes: isize) {
    let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    if bytes > 0 {
        PEAK.fetch_max(live, Ordering::Relaxed);
    }
}

// SAFETY: every call is the system allocator's own.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static ALONE: Mutex<()> = Mutex::new(());

/// What is out beyond what was when it was made, while nobody else runs.
pub(crate) struct Bytes(isize, #[allow(dead_code)] MutexGuard<'static, ()>);

impl Bytes {
    pub(crate) fn new() -> Self {
        let alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let live = LIVE.load(Ordering::Relaxed);
        PEAK.store(live, Ordering::Relaxed);
        Self(live, alone)
    }

    pub(crate) fn live(&self) -> isize {
        LIVE.load(Ordering::Relaxed) - self.0
    }

    /// The most that was ever out.
    pub(crate) fn peak(&self) -> isize {
        PEAK.load(Ordering::Relaxed) - self.0
    }
}
