//! What an adaptive limiter tells of itself.

use core::time::Duration;

use super::RateChange;
use crate::counters::Outcomes;
use crate::stats::RateLimiterStats;

/// How an adaptive limiter was used, and what it thinks of the service: from
/// [`stats`](crate::AdaptiveRateLimiter::stats).
///
/// ```
/// use sluicegate::{AdaptiveRateLimiter, ManualClock};
///
/// let limiter = AdaptiveRateLimiter::builder().base_rate(1.0).clock(ManualClock::new()).build()?;
/// for _ in 0..4 {
///     if limiter.try_acquire().is_ok() {
///         limiter.record_success();
///     }
/// }
/// limiter.record_error();
///
/// let stats = limiter.stats();
/// assert_eq!((stats.total_requests, stats.allowed_requests, stats.rejected_requests), (4, 2, 2));
/// assert_eq!(stats.rejection_rate(), 0.5);
/// assert_eq!((stats.window_samples, stats.window_errors), (3, 1));
/// assert_eq!(stats.error_rate, 1.0 / 3.0);
/// assert_eq!((stats.current_rate, stats.last_change), (1.0, None));
/// # Ok::<(), sluicegate::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default))]
#[non_exhaustive]
pub struct AdaptiveStats {
    /// Calls that asked for at least one permit.
    pub total_requests: u64,
    /// Calls that were given their permits.
    pub allowed_requests: u64,
    /// Calls that were given nothing.
    pub rejected_requests: u64,
    /// How long all callers together waited for their permits.
    pub total_wait_time: Duration,
    /// Permits a second.
    pub current_rate: f64,
    /// The share of errors in the window that is running, from 0.0 to 1.0; 0.0 if nothing was reported yet.
    pub error_rate: f64,
    /// The outcomes reported in that window.
    pub window_samples: u64,
    /// Those of them that were errors or throttled.
    pub window_errors: u64,
    /// The last change of the rate, if there was one.
    pub last_change: Option<RateChange>,
}

impl AdaptiveStats {
    pub(super) fn new(
        calls: RateLimiterStats,
        current_rate: f64,
        window: Outcomes,
        last_change: Option<RateChange>,
    ) -> Self {
        Self {
            total_requests: calls.total_requests,
            allowed_requests: calls.allowed_requests,
            rejected_requests: calls.rejected_requests,
            total_wait_time: calls.total_wait_time,
            current_rate,
            error_rate: share(window.errors, window.samples()),
            window_samples: window.samples(),
            window_errors: window.errors,
            last_change,
        }
    }

    /// The share of calls that were rejected, from 0.0 to 1.0; 0.0 when there were none.
    #[must_use]
    pub fn rejection_rate(&self) -> f64 {
        share(self.rejected_requests, self.total_requests)
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
