//! Who counts the calls of a bucket: it alone, or a key and its limiter.

#[cfg(feature = "per-key")]
use alloc::sync::Arc;
#[cfg(any(feature = "async", feature = "per-key"))]
use core::time::Duration;

use super::Counters;
use crate::stats::RateLimiterStats;
#[cfg(feature = "per-key")]
use crate::sync::{Ordering, UnmodelledU64};

/// What counts the calls of a bucket.
#[derive(Debug)]
pub(crate) enum Counting {
    Bucket(Counters),
    #[cfg(feature = "per-key")]
    Key(KeyCounting),
}

impl Counting {
    /// Out of line, as [`Counters::record`] is.
    #[inline(never)]
    pub(crate) fn record(&self, allowed: bool) {
        match self {
            Self::Bucket(counters) => counters.record(allowed, 0),
            #[cfg(feature = "per-key")]
            Self::Key(key) => key.record(allowed),
        }
    }

    #[cfg(feature = "async")]
    pub(crate) fn record_wait(&self, allowed: bool, waited: Duration) {
        match self {
            Self::Bucket(counters) => counters.record_wait(allowed, 0, waited),
            #[cfg(feature = "per-key")]
            Self::Key(key) => key.record_wait(allowed, waited),
        }
    }

    pub(crate) fn snapshot(&self) -> RateLimiterStats {
        match self {
            Self::Bucket(counters) => counters.snapshot(),
            #[cfg(feature = "per-key")]
            Self::Key(key) => key.tally.as_ref().map_or_else(RateLimiterStats::default, |tally| tally.snapshot()),
        }
    }
}

/// A key's tally, unless it has none, and the counters of its limiter.
#[cfg(feature = "per-key")]
#[derive(Debug)]
pub(crate) struct KeyCounting {
    pub(crate) tally: Option<Arc<KeyTally>>,
    pub(crate) total: Arc<Counters>,
}

#[cfg(feature = "per-key")]
impl KeyCounting {
    fn record(&self, allowed: bool) {
        self.total.record(allowed, 0);
        if let Some(tally) = &self.tally {
            tally.record(allowed);
        }
    }

    #[cfg(feature = "async")]
    fn record_wait(&self, allowed: bool, waited: Duration) {
        self.total.record_wait(allowed, 0, waited);
        if let Some(tally) = &self.tally {
            tally.record(allowed);
            let nanos = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
            // Ordering: Relaxed, as in `KeyTally::record`.
            tally.waited.fetch_add(nanos, Ordering::Relaxed);
        }
    }
}

/// The counters of one key: three words, since there may be millions of keys.
#[cfg(feature = "per-key")]
#[derive(Debug)]
pub(crate) struct KeyTally {
    allowed: UnmodelledU64,
    rejected: UnmodelledU64,
    /// Nanoseconds.
    waited: UnmodelledU64,
}

#[cfg(feature = "per-key")]
impl KeyTally {
    pub(crate) fn new() -> Self {
        let zero = || UnmodelledU64::new(0);
        Self { allowed: zero(), rejected: zero(), waited: zero() }
    }

    pub(crate) fn record(&self, allowed: bool) {
        let counter = if allowed { &self.allowed } else { &self.rejected };
        // Ordering: Relaxed; a counter publishes nothing, and a single location never loses an addition.
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Starts again from nothing.
    pub(crate) fn reset(&self) {
        for counter in [&self.allowed, &self.rejected, &self.waited] {
            // Ordering: Relaxed, as in `record`.
            counter.store(0, Ordering::Relaxed);
        }
    }

    pub(crate) fn snapshot(&self) -> RateLimiterStats {
        // Ordering: Relaxed; each counter is exact, together they are of no single instant.
        let [allowed, rejected, waited] =
            [&self.allowed, &self.rejected, &self.waited].map(|counter| counter.load(Ordering::Relaxed));
        RateLimiterStats {
            total_requests: allowed.wrapping_add(rejected),
            allowed_requests: allowed,
            rejected_requests: rejected,
            total_wait_time: Duration::from_nanos(waited),
        }
    }
}
