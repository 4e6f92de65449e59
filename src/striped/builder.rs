//! A striped token bucket with more to say than a quota.

use core::fmt;

use super::StripedTokenBucket;
use crate::clock::{Clock, MonotonicClock};
use crate::error::ConfigError;
use crate::quota::Quota;

/// Builds a [`StripedTokenBucket`]; made by [`StripedTokenBucket::builder`].
///
/// With the feature `serde` it is read and written as a struct, so that a settings file may hold it, without
/// the clock.
///
/// ```
/// use sluicegate::{ManualClock, Quota, StripedTokenBucket};
///
/// let bucket = StripedTokenBucket::builder(Quota::per_second(50_000))
///     .clock(ManualClock::new()) // default: MonotonicClock
///     .initial(500) // default: the burst
///     .stats() // default: nothing is counted
///     .build()?;
/// assert_eq!(bucket.available(), 500);
/// # Ok::<(), sluicegate::ConfigError>(())
/// ```
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, bound(serialize = "", deserialize = "C: Clock + Default")))]
#[must_use = "a builder does nothing until `build`"]
pub struct StripedTokenBucketBuilder<C: Clock = MonotonicClock> {
    quota: Quota,
    #[cfg_attr(feature = "serde", serde(skip))]
    clock: C,
    initial: Option<u64>,
    #[cfg_attr(feature = "serde", serde(default))]
    stats: bool,
    #[cfg(feature = "async")]
    max_waiters: Option<usize>,
}

impl<C: Clock> StripedTokenBucketBuilder<C> {
    /// The same as [`StripedTokenBucket::builder`] on another clock; the way to begin where there is no default one.
    ///
    /// ```
    /// use sluicegate::{ManualClock, Quota, StripedTokenBucketBuilder};
    ///
    /// let bucket = StripedTokenBucketBuilder::new(Quota::per_second(50), ManualClock::new()).initial(0).build()?;
    /// assert!(bucket.try_acquire().is_err());
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn new(quota: Quota, clock: C) -> Self {
        Self {
            quota,
            clock,
            initial: None,
            stats: false,
            #[cfg(feature = "async")]
            max_waiters: None,
        }
    }

    /// Decides by `clock` instead of the one it has.
    pub fn clock<D: Clock>(self, clock: D) -> StripedTokenBucketBuilder<D> {
        StripedTokenBucketBuilder {
            quota: self.quota,
            clock,
            initial: self.initial,
            stats: self.stats,
            #[cfg(feature = "async")]
            max_waiters: self.max_waiters,
        }
    }

    /// The permits that are there at first, instead of a whole burst, which is the most; the rest comes at the rate, from
    /// `build` on.
    pub fn initial(self, permits: u64) -> Self {
        Self { initial: Some(permits), ..self }
    }

    /// Counts calls: by each thread in words of its own, without a locked instruction, so that it costs next to nothing;
    /// and about half a kilobyte a core, 8 KiB at most.
    pub fn stats(self) -> Self {
        Self { stats: true, ..self }
    }

    /// Refuses whoever would wait when so many do: at once, with an estimate of how long it would have been. Default: no
    /// bound.
    ///
    /// ```
    /// use sluicegate::{Quota, RateLimitExceeded, StripedTokenBucket};
    ///
    /// let bucket = StripedTokenBucket::builder(Quota::per_hour(1)).max_waiters(0).build()?;
    /// assert_eq!(bucket.blocking_acquire(), Ok(())); // it is there
    /// assert!(matches!(bucket.blocking_acquire(), Err(RateLimitExceeded::Denied { .. }))); // nobody may wait
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[cfg(feature = "async")]
    pub fn max_waiters(self, waiters: usize) -> Self {
        Self { max_waiters: Some(waiters), ..self }
    }

    /// The bucket.
    ///
    /// # Errors
    /// [`ConfigError`] if no bucket can keep the quota (see [`Quota`]), or `initial` is above the burst.
    ///
    /// ```
    /// use sluicegate::{Quota, StripedTokenBucket};
    ///
    /// let error = StripedTokenBucket::builder(Quota::per_second(5)).initial(6).build().unwrap_err();
    /// assert_eq!(error.field(), "initial");
    /// ```
    pub fn build(self) -> Result<StripedTokenBucket<C>, ConfigError> {
        let burst = self.quota.capacity();
        let permits = self.initial.unwrap_or(burst);
        if permits > burst {
            return Err(ConfigError::new("initial", "initial must be at most the burst").with_largest(burst));
        }
        let mut bucket = StripedTokenBucket::build(self.quota, self.clock, permits)?;
        #[cfg(feature = "async")]
        if let Some(waiters) = self.max_waiters {
            bucket.centre.line.set_max_waiters(waiters);
        }
        if self.stats {
            bucket.start_counting();
        }
        Ok(bucket)
    }
}

impl<C: Clock> fmt::Debug for StripedTokenBucketBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StripedTokenBucketBuilder")
            .field("quota", &self.quota)
            .field("initial", &self.initial)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}
