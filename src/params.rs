//! Two published sets of parameters, of which the word names the live one.
//!
//! A slot is a sequence lock of atomics: `version` is odd while it is written. A reader takes the version, the
//! fields, later the word, and then looks whether the version is still the same. See `TokenBucket` for the whole
//! protocol.

use crate::algorithm::token_bucket::Params;
use crate::sync::{AtomicU64, Ordering, const_fn, fence};

/// One cache line, only read while no quota changes.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Slot {
    /// 0: never written; odd: being written.
    version: AtomicU64,
    base: AtomicU64,
    horizon: AtomicU64,
    mult: AtomicU64,
    offset: AtomicU64,
    burst: AtomicU64,
    shift: AtomicU64,
    recip: AtomicU64,
}

impl Slot {
    const_fn! {
        pub(crate) const fn new() -> Self {
            Self {
                version: AtomicU64::new(0),
                base: AtomicU64::new(0),
                horizon: AtomicU64::new(0),
                mult: AtomicU64::new(0),
                offset: AtomicU64::new(0),
                burst: AtomicU64::new(0),
                shift: AtomicU64::new(0),
                recip: AtomicU64::new(0),
            }
        }
    }

    /// The version to give to [`is_still`](Self::is_still) later.
    #[inline]
    pub(crate) fn version(&self) -> u64 {
        // Ordering: Acquire pairs with both Releases in `write`. With the last: who sees a version sees the fields
        // that it stands for. With the first: who sees an odd version also sees the word that has left this slot.
        self.version.load(Ordering::Acquire)
    }

    /// The fields; a mixture if a write is under way, which `is_still` finds out.
    #[inline]
    pub(crate) fn read(&self) -> Params {
        // Ordering: Relaxed, all of them; the fence before `is_still` pairs with the one in `write`: who reads a
        // field of a later write sees its odd version afterwards.
        let field = |field: &AtomicU64| field.load(Ordering::Relaxed);
        Params {
            base: field(&self.base),
            horizon: field(&self.horizon),
            mult: field(&self.mult),
            offset: field(&self.offset),
            burst: field(&self.burst),
            shift: field(&self.shift),
            recip: field(&self.recip),
        }
    }

    /// Whether nobody has begun to write since `version`. An Acquire fence comes before it.
    #[inline]
    pub(crate) fn is_still(&self, version: u64) -> bool {
        // Ordering: Relaxed, behind the caller's fence, as said at `read`.
        self.version.load(Ordering::Relaxed) == version
    }

    /// Publishes `params`. One writer at a time, and only while the word names the other slot.
    pub(crate) fn write(&self, params: &Params) {
        // Ordering: Relaxed; the setter's lock orders one writer after the other.
        let version = self.version.load(Ordering::Relaxed);
        // Ordering: Release pairs with `version`: an odd version is seen together with the word that names the
        // other slot, so that no reader takes a half-written slot for a live one.
        self.version.store(version + 1, Ordering::Release);
        // Ordering: the Release fence pairs with the reader's Acquire fence, see `read`.
        fence(Ordering::Release);
        // Ordering: Relaxed, all of them; the store of the version below publishes them.
        let set = |field: &AtomicU64, value| field.store(value, Ordering::Relaxed);
        set(&self.base, params.base);
        set(&self.horizon, params.horizon);
        set(&self.mult, params.mult);
        set(&self.offset, params.offset);
        set(&self.burst, params.burst);
        set(&self.shift, params.shift);
        set(&self.recip, params.recip);
        // Ordering: Release pairs with `version`.
        self.version.store(version + 2, Ordering::Release);
    }
}
