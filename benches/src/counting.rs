//! An allocator that counts, for a binary that installs it: how many bytes something keeps.

use core::sync::atomic::{AtomicBool, AtomicIsize, Ordering};
use std::alloc::{GlobalAlloc, Layout, System};

/// The system's allocator. While [`counted`] runs, it counts what all threads ask for and give back.
#[derive(Clone, Copy, Debug)]
pub struct Counting;

/// Only read while nobody counts, so that what is timed does not share a line that is written.
static IS_ON: AtomicBool = AtomicBool::new(false);
static BYTES: AtomicIsize = AtomicIsize::new(0);

fn add(bytes: isize) {
    // Ordering: Relaxed, here and below; a count and a flag that publish nothing.
    if IS_ON.load(Ordering::Relaxed) {
        BYTES.fetch_add(bytes, Ordering::Relaxed);
    }
}

#[allow(unsafe_code)]
// SAFETY: every method passes its arguments on to `System`, whose contract is the same.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size() as isize);
        // SAFETY: the caller's promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        add(-(layout.size() as isize));
        // SAFETY: the caller's promises, and `at` came from `System`.
        unsafe { System.dealloc(at, layout) }
    }
}

/// Runs `work`, and tells how many bytes more are out after it than before: what was asked for, and not what the
/// allocator makes of it. 0 where [`Counting`] is not installed.
///
/// One caller at a time. Threads that `work` starts are counted to its end, and so is whoever else allocates meanwhile.
pub fn counted<R>(work: impl FnOnce() -> R) -> (R, isize) {
    BYTES.store(0, Ordering::Relaxed);
    IS_ON.store(true, Ordering::Relaxed);
    let found = work();
    IS_ON.store(false, Ordering::Relaxed);
    (found, BYTES.load(Ordering::Relaxed))
}
