//! What a limiter counted, and the counters themselves, striped so that counting does not contend.

use alloc::boxed::Box;
use core::time::Duration;

use crossbeam_utils::CachePadded;

use crate::sync::{AtomicU64, Ordering};

/// How a limiter was used: calls, not permits. A limiter counts only when it was built with `.stats()`.
///
/// Counted are the verbs that ask (`try_acquire`, `try_acquire_n`, `try_acquire_up_to`, `try_reserve`): allowed when they
/// take anything, rejected when they take nothing; and those that wait, when they end, with the time that they waited:
/// one that is dropped before is not counted. Neither are calls for no permits (`n = 0`), `refund` and `charge`.
///
/// ```
/// use sluicegate::{ManualClock, Quota, TokenBucket};
///
/// let bucket = TokenBucket::builder(Quota::per_second(3)).clock(ManualClock::new()).stats().build()?;
/// for _ in 0..4 {
///     let _ = bucket.try_acquire();
/// }
/// let stats = bucket.stats().expect("built with .stats()");
/// assert_eq!((stats.total_requests, stats.allowed_requests, stats.rejected_requests), (4, 3, 1));
/// assert_eq!(stats.rejection_rate(), 0.25);
///
/// // Without `.stats()` nothing is counted.
/// assert_eq!(TokenBucket::new(Quota::per_second(3))?.stats(), None);
/// # Ok::<(), sluicegate::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimiterStats {
    /// Calls that asked for at least one permit.
    pub total_requests: u64,
    /// Calls that were given something.
    pub allowed_requests: u64,
    /// Calls that were given nothing.
    pub rejected_requests: u64,
    /// How long all callers together waited for their permits.
    pub total_wait_time: Duration,
}

impl RateLimiterStats {
    /// The share of calls that were rejected, from 0.0 to 1.0; 0.0 when there were none.
    #[must_use]
    pub fn rejection_rate(&self) -> f64 {
        if self.total_requests == 0 {
            return 0.0;
        }
        self.rejected_requests as f64 / self.total_requests as f64
    }
}

/// Counters of one stripe: a cache line of their own, written mostly by one core.
#[derive(Debug)]
struct Stripe {
    allowed: AtomicU64,
    rejected: AtomicU64,
    /// Nanoseconds.
    waited: AtomicU64,
}

/// Counters of one limiter, one stripe a core.
#[derive(Debug)]
pub(crate) struct Counters {
    stripes: Box<[CachePadded<Stripe>]>,
}

impl Counters {
    pub(crate) fn new() -> Self {
        let zero = || AtomicU64::new(0);
        let stripe = || CachePadded::new(Stripe { allowed: zero(), rejected: zero(), waited: zero() });
        Self { stripes: (0..stripe_count()).map(|_| stripe()).collect() }
    }

    /// Counts one call. Out of line, to keep the calls that are not counted small.
    #[inline(never)]
    pub(crate) fn record(&self, allowed: bool) {
        let stripe = self.stripe();
        let counter = if allowed { &stripe.allowed } else { &stripe.rejected };
        // Ordering: Relaxed; a counter publishes nothing, and a single location never loses an addition.
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one call that may have waited.
    #[cfg(feature = "async")]
    pub(crate) fn record_wait(&self, allowed: bool, waited: Duration) {
        self.record(allowed);
        let nanos = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        // Ordering: Relaxed, as in `record`.
        self.stripe().waited.fetch_add(nanos, Ordering::Relaxed);
    }

    fn stripe(&self) -> &Stripe {
        // The number of stripes is a power of two.
        &self.stripes[thread_index() & (self.stripes.len() - 1)]
    }

    /// The sums over all stripes. Calls under way may or may not be in them.
    pub(crate) fn snapshot(&self) -> RateLimiterStats {
        let (mut allowed, mut rejected, mut waited) = (0_u64, 0_u64, 0_u64);
        for stripe in &self.stripes {
            // Ordering: Relaxed; each counter is exact, their sum is of no single instant.
            allowed = allowed.wrapping_add(stripe.allowed.load(Ordering::Relaxed));
            // Ordering: Relaxed, as above.
            rejected = rejected.wrapping_add(stripe.rejected.load(Ordering::Relaxed));
            // Ordering: Relaxed, as above.
            waited = waited.saturating_add(stripe.waited.load(Ordering::Relaxed));
        }
        RateLimiterStats {
            total_requests: allowed.wrapping_add(rejected),
            allowed_requests: allowed,
            rejected_requests: rejected,
            total_wait_time: Duration::from_nanos(waited),
        }
    }
}

#[cfg(all(feature = "std", not(loom)))]
fn stripe_count() -> usize {
    std::thread::available_parallelism().map_or(1, core::num::NonZero::get).next_power_of_two().min(64)
}

/// A small number of the calling thread's own, handed out in order of first use: neighbours in time, such as the
/// workers of one pool, land on different stripes.
#[cfg(all(feature = "std", not(loom)))]
#[inline]
fn thread_index() -> usize {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    std::thread_local! {
        // Ordering: Relaxed; only the uniqueness of the number matters.
        static INDEX: usize = NEXT.fetch_add(1, Ordering::Relaxed) as usize;
    }
    // While the thread's locals are being destroyed, any stripe will do.
    INDEX.try_with(|index| *index).unwrap_or(0)
}

#[cfg(not(all(feature = "std", not(loom))))]
fn stripe_count() -> usize {
    1
}

#[cfg(not(all(feature = "std", not(loom))))]
fn thread_index() -> usize {
    0
}
