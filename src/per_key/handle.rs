//! A key's own bucket, held.

use core::fmt;
use core::hash::Hash;
use core::ops::Deref;

use super::promoted::User;
use crate::clock::{Clock, MonotonicClock};
use crate::error::RateLimitExceeded;
use crate::local::LocalTokenBucket;
use crate::reservation::OwnedKeyReservation;
use crate::token_bucket::TokenBucket;

/// A key's own [`TokenBucket`]: made by [`PerKeyRateLimiter::handle`](crate::PerKeyRateLimiter::handle).
///
/// It is found once; its calls look into no map and take no lock. It owns its share of the limiter, so that a connection or
/// a task can keep it. Calls by the map for the same key go to the same bucket meanwhile, more slowly than before: those
/// who call much should have a handle (or a clone of one) each.
///
/// # Guarantee
/// There is one state of a key at any time: what was taken by a handle is missing by the map, and the other way round. A key
/// is not forgotten while it has a handle; [`remove`](crate::PerKeyRateLimiter::remove) and
/// [`clear`](crate::PerKeyRateLimiter::clear) make it start afresh in place. What is owed when the last handle is dropped
/// is owed by the map.
///
/// # Quota
/// [`set_quota`](TokenBucket::set_quota) holds for the key until [`requota`](crate::PerKeyRateLimiter::requota),
/// [`remove`](crate::PerKeyRateLimiter::remove) or the end of the key's last handle; then it is again what the limiter, or its
/// `quota_for`, says.
///
/// # Without a place
/// With `max_keys`, a key that is not known and for which there is no place is not let in by a handle either: the handle is of the
/// bucket that newcomers share, or of one that holds nothing (`quota().capacity() == 0`, and every call is
/// [`ExceedsCapacity`](RateLimitExceeded::ExceedsCapacity)), as [`WhenFull`](crate::WhenFull) says, for as long as it lives. What is set there by [`set_quota`](TokenBucket::set_quota) is
/// no key's: of the one it concerns all who share it, of the other this handle and its clones.
///
/// # Memory
/// A bucket of 800 bytes beside the map, for as long as somebody has a handle of the key, waits for it or has
/// reserved from it. [`stats`](TokenBucket::stats) are the key's.
///
/// ```
/// use sluicegate::{ManualClock, PerKeyRateLimiter, Quota};
///
/// let limiter = PerKeyRateLimiter::<String>::builder(Quota::per_hour(3)).clock(ManualClock::new()).build()?;
/// assert!(limiter.try_acquire("alice").is_ok());
/// let alice = limiter.handle("alice".to_owned());
/// assert!(alice.try_acquire_n(2).is_ok());
/// assert!(alice.try_acquire().is_err() && limiter.try_acquire("alice").is_err());
///
/// let worker = std::thread::spawn(move || alice.charge(1));
/// assert_eq!(worker.join().expect("no panic"), 1);
/// assert_eq!(limiter.time_to_available("alice", 1), Ok(std::time::Duration::from_secs(2 * 1_200)));
/// # Ok::<(), sluicegate::ConfigError>(())
/// ```
pub struct KeyHandle<K: Eq + Hash, C: Clock = MonotonicClock> {
    user: User<K, C>,
}

impl<K: Eq + Hash, C: Clock> KeyHandle<K, C> {
    pub(super) fn new(user: User<K, C>) -> Self {
        user.count_handle();
        Self { user }
    }

    /// A worker's own stock of the key's bucket, taken out of the key's burst: see [`LocalTokenBucket`]. While there is one, a call
    /// for the key, by the map too, gets at most what is left of the burst: three quarters, or more.
    ///
    /// ```
    /// use sluicegate::{PerKeyRateLimiter, Quota};
    ///
    /// let limiter: PerKeyRateLimiter<String> = PerKeyRateLimiter::new(Quota::per_hour(10_000))?;
    /// let acme = limiter.handle("acme".to_owned());
    /// let mut local = acme.local();
    /// assert!((0..9_000).all(|_| local.try_acquire().is_ok()));
    /// assert!(local.try_acquire_n(1_001).is_err());
    /// drop(local); // what it had left is everybody's again
    /// assert_eq!(limiter.available("acme"), 1_000);
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn local(&self) -> LocalTokenBucket<'_, C> {
        LocalTokenBucket::of_bucket(self)
    }

    /// Takes `n` permits on an estimate, to be settled when the actual cost is known; with a share of the bucket, so that it
    /// may outlive the handle.
    ///
    /// # Errors
    /// As [`try_acquire_n`](TokenBucket::try_acquire_n).
    ///
    /// ```
    /// use sluicegate::{ManualClock, PerKeyRateLimiter, Quota};
    ///
    /// let limiter = PerKeyRateLimiter::<u32>::builder(Quota::per_hour(10)).clock(ManualClock::new()).build()?;
    /// let reservation = limiter.handle(7).try_reserve_owned(8).expect("they are there");
    /// assert_eq!(limiter.available(&7), 2);
    /// assert!(limiter.handle(7).try_reserve_owned(3).is_err());
    /// assert_eq!(reservation.commit(5), 5);
    /// assert_eq!(limiter.available(&7), 5);
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn try_reserve_owned(&self, n: u64) -> Result<OwnedKeyReservation<K, C>, RateLimitExceeded> {
        self.try_acquire_n(n)?;
        Ok(OwnedKeyReservation::new(self.user.clone(), n))
    }
}

impl<K: Eq + Hash, C: Clock> Deref for KeyHandle<K, C> {
    type Target = TokenBucket<C>;

    #[inline(always)]
    fn deref(&self) -> &TokenBucket<C> {
        &self.user
    }
}

impl<K: Eq + Hash, C: Clock> Clone for KeyHandle<K, C> {
    fn clone(&self) -> Self {
        Self::new(self.user.clone())
    }
}

impl<K: Eq + Hash, C: Clock> Drop for KeyHandle<K, C> {
    fn drop(&mut self) {
        self.user.discount_handle();
    }
}

impl<K: Eq + Hash, C: Clock> fmt::Debug for KeyHandle<K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyHandle").field("bucket", &**self).finish_non_exhaustive()
    }
}
