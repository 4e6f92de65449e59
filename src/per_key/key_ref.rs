//! One key of a limiter.

use alloc::borrow::ToOwned;
use core::borrow::Borrow;
use core::fmt;
use core::hash::Hash;
use core::time::Duration;

use super::PerKeyRateLimiter;
use crate::clock::{Clock, MonotonicClock};
use crate::error::RateLimitExceeded;
use crate::stats::RateLimiterStats;

/// A limiter and one of its keys: made by [`PerKeyRateLimiter::key`]. Every verb looks the key up, as if it was named.
///
/// ```
/// use sluicegate::{ManualClock, PerKeyRateLimiter, Quota};
///
/// let limiter = PerKeyRateLimiter::<String>::builder(Quota::per_minute(5)).clock(ManualClock::new()).build()?;
/// let alice = limiter.key("alice");
/// assert!(alice.try_acquire_n(4).is_ok());
/// alice.refund(1);
/// assert_eq!(alice.available(), 2);
/// assert!(alice.try_acquire_n(3).is_err());
/// assert_eq!(alice.time_to_available(3), Ok(std::time::Duration::from_secs(12)));
/// assert_eq!(alice.blocking_acquire_n(2), Ok(())); // they are there
/// assert!(alice.try_acquire().is_err() && limiter.try_acquire("alice").is_err());
/// # Ok::<(), sluicegate::ConfigError>(())
/// ```
pub struct KeyRef<'a, K, Q: ?Sized, C: Clock = MonotonicClock> {
    pub(crate) limiter: &'a PerKeyRateLimiter<K, C>,
    pub(super) key: &'a Q,
}

impl<'a, K, Q, C> KeyRef<'a, K, Q, C>
where
    K: Eq + Hash + Borrow<Q>,
    Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
    C: Clock,
{
    pub(super) fn new(limiter: &'a PerKeyRateLimiter<K, C>, key: &'a Q) -> Self {
        Self { limiter, key }
    }

    /// As [`PerKeyRateLimiter::try_acquire`].
    ///
    /// # Errors
    /// As there.
    #[inline]
    pub fn try_acquire(&self) -> Result<(), RateLimitExceeded> {
        self.limiter.try_acquire(self.key)
    }

    /// As [`PerKeyRateLimiter::try_acquire_n`].
    ///
    /// # Errors
    /// As there.
    #[inline]
    pub fn try_acquire_n(&self, n: u64) -> Result<(), RateLimitExceeded> {
        self.limiter.try_acquire_n(self.key, n)
    }

    /// As [`PerKeyRateLimiter::refund`].
    #[inline]
    pub fn refund(&self, n: u64) {
        self.limiter.refund(self.key, n);
    }

    /// As [`PerKeyRateLimiter::available`].
    #[must_use]
    pub fn available(&self) -> u64 {
        self.limiter.available(self.key)
    }

    /// As [`PerKeyRateLimiter::time_to_available`].
    ///
    /// # Errors
    /// As there.
    pub fn time_to_available(&self, n: u64) -> Result<Duration, RateLimitExceeded> {
        self.limiter.time_to_available(self.key, n)
    }

    #[cfg(feature = "async")]
    pub(crate) fn clock(&self) -> &C {
        &self.limiter.inner.clock
    }

    /// As [`PerKeyRateLimiter::requota`].
    #[allow(clippy::must_use_candidate)] // it is called for what it does
    pub fn requota(&self) -> bool
    where
        C: Clone,
    {
        self.limiter.requota(self.key)
    }

    /// As [`PerKeyRateLimiter::stats`].
    #[must_use]
    pub fn stats(&self) -> Option<RateLimiterStats> {
        self.limiter.stats(self.key)
    }
}

impl<K, Q: ?Sized, C: Clock> Clone for KeyRef<'_, K, Q, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, Q: ?Sized, C: Clock> Copy for KeyRef<'_, K, Q, C> {}

impl<K, Q: ?Sized + fmt::Debug, C: Clock> fmt::Debug for KeyRef<'_, K, Q, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRef").field("key", &self.key).finish_non_exhaustive()
    }
}
