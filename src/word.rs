//! The one compare-and-swap. Every limiter, stripe, handle and clock of the crate changes its state through it.

use crate::sync::{AtomicU64, Ordering};

/// Replaces `current` by `new`, or tells what stood there instead.
///
/// The strong form: a failure means that somebody else succeeded, so every loop around it is lock-free.
#[inline]
pub(crate) fn cas(word: &AtomicU64, current: u64, new: u64) -> Result<u64, u64> {
    // Ordering: Release publishes what a setter wrote before it made a slot live (`TokenBucket::set_quota`), and what
    // a window counter closed before it opened the next window; its partner is every Acquire load of a word, the one
    // on failure included. Acquirers, which publish nothing, would do with Relaxed: a word is a single location, and
    // their own exchange continues the release sequence of the setter's. The stronger pair is one instruction on
    // x86-64 all the same.
    word.compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire)
}

/// Replaces a word by `new` if that is larger.
#[inline]
pub(crate) fn raise(word: &AtomicU64, new: u64) {
    // Ordering: Release pairs with the Acquire load of the same word: who sees that something was closed sees, when it
    // looks, that it had been open.
    word.fetch_max(new, Ordering::Release);
}
