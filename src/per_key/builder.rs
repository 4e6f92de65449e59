//! A per-key limiter with more to say than a quota.

use core::fmt;
use core::hash::Hash;
use core::marker::PhantomData;
use core::time::Duration;

use crossbeam_utils::CachePadded;

use super::PerKeyRateLimiter;
use super::cleanup::Cleanup;
use super::store::Store;
use crate::algorithm::token_bucket::{Params, Scale};
use crate::clock::{Clock, MonotonicClock};
use crate::error::ConfigError;
use crate::quota::Quota;
use crate::sync::AtomicU64;

/// What a newcomer gets when there are `max_keys` keys and all of them still owe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhenFull {
    /// [`KeysExhausted`](crate::RateLimitExceeded::KeysExhausted).
    #[default]
    Deny,
    /// A share of one bucket of the limiter's quota, which all newcomers without a place have together.
    Share,
}

/// Builds a [`PerKeyRateLimiter`]; made by [`PerKeyRateLimiter::builder`].
///
/// ```
/// use sluicegate::{ManualClock, PerKeyRateLimiter, Quota, WhenFull};
/// use std::time::Duration;
///
/// let limiter = PerKeyRateLimiter::<String>::builder(Quota::per_minute(60).burst(5))
///     .clock(ManualClock::new()) // default: MonotonicClock
///     .cleanup_interval(Duration::from_secs(10)) // default: 60 s
///     .max_keys(1) // default: no bound
///     .when_full(WhenFull::Share) // default: WhenFull::Deny
///     .build()?;
/// assert!(limiter.try_acquire("alice").is_ok());
/// assert!(limiter.try_acquire_n("bob", 5).is_ok()); // there is no place for bob: he has a share
/// assert!(limiter.try_acquire("carol").is_err()); // of one bucket, with carol
/// assert_eq!(limiter.len(), 1);
/// # Ok::<(), sluicegate::ConfigError>(())
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct PerKeyRateLimiterBuilder<K, C: Clock = MonotonicClock> {
    quota: Quota,
    clock: C,
    cleanup_interval: Duration,
    max_keys: usize,
    when_full: WhenFull,
    key: PhantomData<fn(K)>,
}

impl<K: Eq + Hash, C: Clock> PerKeyRateLimiterBuilder<K, C> {
    /// The same as [`PerKeyRateLimiter::builder`] on another clock.
    pub fn new(quota: Quota, clock: C) -> Self {
        let cleanup_interval = Duration::from_secs(60);
        Self { quota, clock, cleanup_interval, max_keys: usize::MAX, when_full: WhenFull::default(), key: PhantomData }
    }

    /// Another clock.
    pub fn clock<D: Clock>(self, clock: D) -> PerKeyRateLimiterBuilder<K, D> {
        let Self { quota, cleanup_interval, max_keys, when_full, key, .. } = self;
        PerKeyRateLimiterBuilder { quota, clock, cleanup_interval, max_keys, when_full, key }
    }

    /// How long a key's bucket must have been full before it is forgotten, and how often that is looked for. Default:
    /// 60 s.
    pub fn cleanup_interval(self, interval: Duration) -> Self {
        Self { cleanup_interval: interval, ..self }
    }

    /// No more keys than this, ever. To make room for a newcomer, keys whose bucket is full are forgotten before their
    /// time. Default: no bound.
    pub fn max_keys(self, keys: usize) -> Self {
        Self { max_keys: keys, ..self }
    }

    /// What a newcomer gets when there is no room. Default: [`WhenFull::Deny`].
    pub fn when_full(self, when_full: WhenFull) -> Self {
        Self { when_full, ..self }
    }

    /// The limiter.
    ///
    /// # Errors
    /// [`ConfigError`] if no bucket can keep the quota (see [`Quota`]), `max_keys` is zero, or the interval is.
    ///
    /// ```
    /// use sluicegate::{PerKeyRateLimiter, Quota};
    ///
    /// let builder = PerKeyRateLimiter::<u32>::builder(Quota::per_second(1)).max_keys(0);
    /// assert_eq!(builder.build().unwrap_err().field(), "max_keys");
    /// ```
    pub fn build(self) -> Result<PerKeyRateLimiter<K, C>, ConfigError> {
        let scale = Scale::finest(&self.quota)?;
        if self.max_keys == 0 {
            return Err(ConfigError::new("max_keys", "max_keys must be at least 1"));
        }
        if self.cleanup_interval.is_zero() {
            return Err(ConfigError::new("cleanup_interval", "cleanup_interval must be above zero"));
        }
        let (length, now) = (self.clock.tick_length(), self.clock.ticks());
        let params = Params::fresh(&scale, length, now);
        Ok(PerKeyRateLimiter {
            store: Store::new(self.max_keys),
            cleanup: Cleanup::new(length.ticks(self.cleanup_interval), &params, now),
            params,
            quota: self.quota,
            when_full: self.when_full,
            overflow: CachePadded::new(AtomicU64::new(0)),
            clock: self.clock,
        })
    }
}

impl<K, C: Clock> fmt::Debug for PerKeyRateLimiterBuilder<K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerKeyRateLimiterBuilder")
            .field("quota", &self.quota)
            .field("cleanup_interval", &self.cleanup_interval)
            .field("max_keys", &self.max_keys)
            .field("when_full", &self.when_full)
            .finish_non_exhaustive()
    }
}
