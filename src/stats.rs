//! What a limiter counted.

use core::time::Duration;

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
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
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
