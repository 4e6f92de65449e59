//! A token bucket with more to say than a quota.

use ::core::fmt;

use super::TokenBucket;
use crate::clock::{Clock, MonotonicClock};
use crate::counters::{Counters, Counting};
use crate::error::ConfigError;
use crate::quota::Quota;

/// Builds a [`TokenBucket`]; made by [`TokenBucket::builder`].
///
/// With the feature `serde` it is read and written as a struct, so that a settings file may hold it, without
/// the clock.
///
/// ```
/// use sluicegate::{ManualClock, Quota, TokenBucket};
///
/// let bucket = TokenBucket::builder(Quota::per_second(50).burst(200))
///     .clock(ManualClock::new()) // default: MonotonicClock
///     .initial(50) // default: the burst
///     .stats() // default: nothing is counted
///     .build()?;
/// assert_eq!(bucket.available(), 50);
/// # Ok::<(), sluicegate::ConfigError>(())
/// ```
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, bound(serialize = "", deserialize = "C: Clock + Default")))]
#[must_use = "a builder does nothing until `build`"]
pub struct TokenBucketBuilder<C: Clock = MonotonicClock> {
    quota: Quota,
    #[cfg_attr(feature = "serde", serde(skip))]
    clock: C,
    initial: Option<u64>,
    #[cfg_attr(feature = "serde", serde(default))]
    stats: bool,
    #[cfg(feature = "async")]
    max_waiters: Option<usize>,
}

impl<C: Clock> TokenBucketBuilder<C> {
    /// The same as [`TokenBucket::builder`] on another clock; the way to begin where there is no default one.
    ///
    /// ```
    /// use sluicegate::{ManualClock, Quota, TokenBucketBuilder};
    ///
    /// let bucket = TokenBucketBuilder::new(Quota::per_second(50), ManualClock::new()).initial(0).build()?;
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
    pub fn clock<D: Clock>(self, clock: D) -> TokenBucketBuilder<D> {
        TokenBucketBuilder {
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
    /// use futures_lite::future::{block_on, poll_once};
    /// use sluicegate::{ManualClock, Quota, RateLimitExceeded, TokenBucket};
    ///
    /// let quota = Quota::per_minute(60).burst(1);
    /// let bucket = TokenBucket::builder(quota).clock(ManualClock::new()).initial(0).max_waiters(1).build()?;
    /// let mut first = bucket.acquire();
    /// assert_eq!(block_on(poll_once(&mut first)), None); // it waits
    /// assert!(matches!(block_on(bucket.acquire()), Err(RateLimitExceeded::Denied { .. }))); // the line is full
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
    /// use sluicegate::{Quota, TokenBucket};
    ///
    /// let error = TokenBucket::builder(Quota::per_second(5)).initial(6).build().unwrap_err();
    /// assert_eq!(error.to_string(), "initial must be at most the burst; the largest that fits is 5");
    /// ```
    pub fn build(self) -> Result<TokenBucket<C>, ConfigError> {
        let mut bucket = TokenBucket::with_clock(self.quota, self.clock)?;
        #[cfg(feature = "async")]
        if let Some(waiters) = self.max_waiters {
            bucket.line.set_max_waiters(waiters);
        }
        if let Some(permits) = self.initial {
            let burst = self.quota.capacity();
            if permits > burst {
                return Err(ConfigError::new("initial", "initial must be at most the burst").with_largest(burst));
            }
            bucket.core.start_with(&bucket.clock, permits);
        }
        if self.stats {
            bucket.core.start_counting(Counting::Bucket(Counters::new()));
        }
        Ok(bucket)
    }
}

impl<C: Clock> fmt::Debug for TokenBucketBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenBucketBuilder")
            .field("quota", &self.quota)
            .field("initial", &self.initial)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}
