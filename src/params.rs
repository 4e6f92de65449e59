//! Two published sets of parameters, of which the word names the live one.
//!
//! `version` counts the writes of a slot that have ended, each made while the word names the other one. A reader takes
//! the version, the fields, later the word, and then looks whether the version is still the same: who has seen anything
//! of a write finds in the word that it has left this slot, or that it has come back, and then that the version has
//! moved on. See `TokenBucket` for the whole protocol.

use crate::algorithm::token_bucket::Params;
use crate::sync::{AtomicU64, Ordering, const_fn};

/// One cache line, only read while no quota changes.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Slot {
    /// How many writes have ended.
    version: AtomicU64,
    base: AtomicU64,
    horizon: AtomicU64,
    offset: AtomicU64,
    mult: AtomicU64,
    size: AtomicU64,
    recip: AtomicU64,
}

impl Slot {
    const_fn! {
        pub(crate) const fn new() -> Self {
            Self {
                version: AtomicU64::new(0),
                base: AtomicU64::new(0),
                horizon: AtomicU64::new(0),
                offset: AtomicU64::new(0),
                mult: AtomicU64::new(0),
                size: AtomicU64::new(0),
                recip: AtomicU64::new(0),
            }
        }
    }

    /// The version to give to [`is_still`](Self::is_still) later.
    #[inline]
    pub(crate) fn version(&self) -> u64 {
        // Ordering: Acquire pairs with the store of the version in `write`: who sees a version sees the fields that it
        // stands for.
        self.version.load(Ordering::Acquire)
    }

    /// The fields; a mixture if a write is under way, which `is_still` finds out.
    ///
    /// In the reverse of the order in which they are written: who sees one field of a write sees all that came
    /// before it, so there are as many mixtures as fields, not as many as subsets of them.
    #[inline]
    pub(crate) fn read(&self) -> Params {
        // Ordering: Acquire, each pairs with the Release store of the same field in `write`: who sees a field of a
        // later write sees in the word that it had left this slot before.
        let field = |field: &AtomicU64| field.load(Ordering::Acquire);
        let recip = field(&self.recip);
        let size = field(&self.size);
        let mult = field(&self.mult);
        let offset = field(&self.offset);
        let horizon = field(&self.horizon);
        let base = field(&self.base);
        Params { base, horizon, offset, mult, size, recip }
    }

    /// Whether no write has ended since `version`.
    #[inline]
    pub(crate) fn is_still(&self, version: u64) -> bool {
        // Ordering: Relaxed; the load of the word before it is Acquire: it cannot move before it, and it sees the version of
        // every write after which the word has come back to this slot.
        self.version.load(Ordering::Relaxed) == version
    }

    /// Publishes `params`. One writer at a time, and only while the word names the other slot.
    pub(crate) fn write(&self, params: &Params) {
        // Ordering: Relaxed; the setter's lock orders one writer after the other.
        let version = self.version.load(Ordering::Relaxed);
        // Ordering: Release, each pairs with its load in `read`: it takes along that the word names the other slot, so that
        // no reader takes a half-written slot for a live one.
        let set = |field: &AtomicU64, value| field.store(value, Ordering::Release);
        set(&self.base, params.base);
        set(&self.horizon, params.horizon);
        set(&self.offset, params.offset);
        set(&self.mult, params.mult);
        set(&self.size, params.size);
        set(&self.recip, params.recip);
        // Ordering: Release pairs with `version`.
        self.version.store(version + 1, Ordering::Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Kills: a version that does not move, or is not looked at; what a half-written slot is taken for is the models' to find.
    #[test]
    fn a_version_is_over_with_the_next_write() {
        let slot = Slot::new();
        let unwritten = slot.version();
        let params = Params { base: 1, horizon: 2, offset: 3, mult: 4, size: 5, recip: 6 };
        assert_eq!((unwritten, slot.is_still(unwritten)), (0, true));
        slot.write(&params);
        let written = slot.version();
        assert!(!slot.is_still(unwritten) && slot.is_still(written));
        assert_eq!(slot.read(), params);
        slot.write(&params);
        assert!(slot.version() > written && !slot.is_still(written));
    }
}
