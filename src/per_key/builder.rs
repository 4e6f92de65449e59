//! A per-key limiter with more to say than a quota.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::hash::Hash;
use core::time::Duration;

use super::PerKeyRateLimiter;
use super::cleanup::Cleanup;
use super::inner::{Inner, Stores};
use super::promoted::{KeyBucket, Promoted};
use super::rules::{QuotaFor, Rules};
use super::store::Store;
use super::tier::Tier;
use crate::clock::{Clock, MonotonicClock};
use crate::counters::Counters;
use crate::error::ConfigError;
use crate::quota::Quota;

/// What a newcomer gets when there are `max_keys` keys and all of them still owe: said by
/// [`when_full`](PerKeyRateLimiterBuilder::when_full).
///
/// ```
/// use sluicegate::{PerKeyRateLimiter, Quota, RateLimitExceeded, WhenFull};
///
/// let full = |when_full| PerKeyRateLimiter::<u32>::builder(Quota::per_hour(1)).max_keys(1).when_full(when_full).build();
///
/// let denies = full(WhenFull::Deny)?;
/// assert!(denies.try_acquire(&1).is_ok());
/// assert_eq!(denies.try_acquire(&2), Err(RateLimitExceeded::KeysExhausted { max_keys: 1 }));
///
/// let shares = full(WhenFull::Share)?;
/// assert!(shares.try_acquire(&1).is_ok() && shares.try_acquire(&2).is_ok());
/// assert!(shares.try_acquire(&3).is_err()); // 2 has taken the one permit of both
/// # Ok::<(), sluicegate::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
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
/// With the feature `serde` it is read and written as a struct, so that a settings file may hold it, without
/// the clock and `quota_for`.
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
///     .quota_for(|_| None) // default: every key has the limiter's own quota
///     .stats() // default: nothing is counted
///     .build()?;
/// assert!(limiter.try_acquire("alice").is_ok());
/// assert!(limiter.try_acquire_n("bob", 5).is_ok()); // there is no place for bob: he has a share
/// assert!(limiter.try_acquire("carol").is_err()); // of one bucket, with carol
/// assert_eq!(limiter.len(), 1);
/// # Ok::<(), sluicegate::ConfigError>(())
/// ```
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, bound(serialize = "", deserialize = "C: Clock + Default")))]
#[must_use = "a builder does nothing until `build`"]
pub struct PerKeyRateLimiterBuilder<K, C: Clock = MonotonicClock> {
    quota: Quota,
    #[cfg_attr(feature = "serde", serde(skip))]
    clock: C,
    #[cfg_attr(feature = "serde", serde(with = "crate::quota::period", default = "default_cleanup_interval"))]
    cleanup_interval: Duration,
    max_keys: Option<usize>,
    #[cfg_attr(feature = "serde", serde(default))]
    when_full: WhenFull,
    #[cfg_attr(feature = "serde", serde(skip))]
    quota_for: Option<QuotaFor<K>>,
    #[cfg_attr(feature = "serde", serde(default))]
    stats: bool,
}

fn default_cleanup_interval() -> Duration {
    Duration::from_secs(60)
}

impl<K: Eq + Hash, C: Clock> PerKeyRateLimiterBuilder<K, C> {
    /// The same as [`PerKeyRateLimiter::builder`] on another clock.
    ///
    /// ```
    /// use sluicegate::{ManualClock, PerKeyRateLimiterBuilder, Quota};
    ///
    /// let limiter = PerKeyRateLimiterBuilder::<u32, _>::new(Quota::per_second(1), ManualClock::new()).build()?;
    /// assert!(limiter.try_acquire(&1).is_ok());
    /// assert!(limiter.try_acquire(&1).is_err());
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn new(quota: Quota, clock: C) -> Self {
        Self {
            quota,
            clock,
            cleanup_interval: default_cleanup_interval(),
            max_keys: None,
            when_full: WhenFull::default(),
            quota_for: None,
            stats: false,
        }
    }

    /// Decides by `clock` instead of the one it has.
    pub fn clock<D: Clock>(self, clock: D) -> PerKeyRateLimiterBuilder<K, D> {
        let Self { quota, cleanup_interval, max_keys, when_full, quota_for, stats, .. } = self;
        PerKeyRateLimiterBuilder { quota, clock, cleanup_interval, max_keys, when_full, quota_for, stats }
    }

    /// How long a key's bucket must have been full before it is forgotten, and how often that is looked for. Default:
    /// 60 s.
    pub fn cleanup_interval(self, interval: Duration) -> Self {
        Self { cleanup_interval: interval, ..self }
    }

    /// No more keys than this, ever. To make room for a newcomer, keys whose bucket is full are forgotten before their
    /// time. Default: no bound.
    pub fn max_keys(self, keys: usize) -> Self {
        Self { max_keys: Some(keys), ..self }
    }

    /// What a newcomer gets when there is no room. Default: [`WhenFull::Deny`].
    pub fn when_full(self, when_full: WhenFull) -> Self {
        Self { when_full, ..self }
    }

    /// Quotas by key: for tiers of tenants, for those who pay. `None` is the limiter's own.
    ///
    /// It is asked when a key is first charged, and by [`requota`](PerKeyRateLimiter::requota); never under a lock, so it may
    /// take its time and call the limiter (but not `requota` for the same key, which would ask it again), and it may be asked
    /// more than once. A quota that no bucket can keep blocks its
    /// keys: they are told [`ExceedsCapacity`](crate::RateLimitExceeded::ExceedsCapacity) with a capacity of 0. A key then costs
    /// two words more in the map.
    ///
    /// ```
    /// use sluicegate::{PerKeyRateLimiter, Quota, RateLimitExceeded};
    ///
    /// let limiter = PerKeyRateLimiter::<String>::builder(Quota::per_second(10))
    ///     .quota_for(|tenant| match tenant.as_str() {
    ///         "acme" => Some(Quota::per_second(1_000)),
    ///         "mallory" => Some(Quota::per_second(0)),
    ///         _ => None,
    ///     })
    ///     .build()?;
    /// assert_eq!((limiter.available("acme"), limiter.available("bob")), (1_000, 10));
    /// let never = Err(RateLimitExceeded::ExceedsCapacity { requested: 1, capacity: 0 });
    /// assert_eq!(limiter.try_acquire("mallory"), never);
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn quota_for(self, quota_for: impl Fn(&K) -> Option<Quota> + Send + Sync + 'static) -> Self {
        Self { quota_for: Some(Box::new(quota_for)), ..self }
    }

    /// Counts calls, by key and all together. It costs two words in the map and 40 bytes a key, and two additions a call.
    pub fn stats(self) -> Self {
        Self { stats: true, ..self }
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
    pub fn build(self) -> Result<PerKeyRateLimiter<K, C>, ConfigError>
    where
        C: Clone,
    {
        let Self { quota, clock, cleanup_interval, max_keys, when_full, quota_for, stats } = self;
        let own = Tier::new(quota, &clock)?;
        let max_keys = max_keys.unwrap_or(usize::MAX);
        if max_keys == 0 {
            return Err(ConfigError::new("max_keys", "max_keys must be at least 1"));
        }
        if cleanup_interval.is_zero() {
            return Err(ConfigError::new("cleanup_interval", "cleanup_interval must be above zero"));
        }
        let stores = if stats || quota_for.is_some() {
            Stores::Full(Store::new(max_keys))
        } else {
            Stores::Plain(Store::new(max_keys))
        };
        let totals = stats.then(|| Arc::new(Counters::new()));
        let overflow = match when_full {
            WhenFull::Deny => None,
            WhenFull::Share => Some(KeyBucket::apart(&own, totals.as_ref(), clock.clone())),
        };
        Ok(PerKeyRateLimiter::of(Inner {
            stores,
            rules: Rules::new(own, quota_for),
            cleanup: Cleanup::new(clock.tick_length().ticks(cleanup_interval), clock.ticks()),
            promoted: Promoted::new(),
            overflow,
            totals,
            clock,
        }))
    }
}

impl<K, C: Clock> fmt::Debug for PerKeyRateLimiterBuilder<K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerKeyRateLimiterBuilder")
            .field("quota", &self.quota)
            .field("cleanup_interval", &self.cleanup_interval)
            .field("max_keys", &self.max_keys.unwrap_or(usize::MAX))
            .field("when_full", &self.when_full)
            .field("has_quota_for", &self.quota_for.is_some())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}
