//! A limit for each key: a token bucket of one word, in a sharded map.

mod builder;
mod cleanup;
mod entry;
mod key_ref;
mod store;

use ::alloc::borrow::ToOwned;
use ::core::borrow::Borrow;
use ::core::fmt;
use ::core::hash::Hash;
use ::core::time::Duration;

use crossbeam_utils::CachePadded;

pub use self::builder::{PerKeyRateLimiterBuilder, WhenFull};
use self::cleanup::{Cleanup, NEWCOMER};
pub use self::key_ref::KeyRef;
use self::store::{Newcomer, Store};
use crate::algorithm::token_bucket::{Params, Take};
use crate::clock::{Clock, MonotonicClock};
use crate::error::{ConfigError, RateLimitExceeded};
use crate::quota::Quota;
use crate::sync::AtomicU64;
use crate::token_bucket::duration;

/// A token bucket for each key: for users, addresses, tenants, API keys, chosen by strangers.
///
/// Every key has its own bucket of the limiter's quota, and costs its key and one word in a sharded hash map. A key is
/// let in when it is first charged; before that, and after it was forgotten, it has a full burst.
///
/// # Guarantee
/// Of each key what [`TokenBucket`](crate::TokenBucket) guarantees. A key is forgotten only when its bucket is full, so
/// that nobody can tell; whoever still owes is remembered, under any flood of others.
///
/// # Memory
/// Keys that were full for a `cleanup_interval` are dropped by those who call, a few places of the map at a time: there
/// is no thread in the background, and no call that looks at all keys. Shards give memory back when they are mostly empty.
/// With `max_keys` there are never more; what a newcomer gets when all places are taken, by keys that still owe, is
/// for [`WhenFull`] to say.
///
/// # Progress
/// A call takes the read lock of the key's shard (1 of 64 or more), one that lets a key in the write lock. The bucket
/// itself is changed by compare-and-swap. A shard that grows, or shrinks after most of its keys were dropped, holds up
/// its callers while it moves its keys.
///
/// # Hashing
/// foldhash, seeded at random for each limiter: who does not see hashes or timings cannot choose keys that collide. It is
/// no cryptographic hash; against an attacker who can measure, limit what is a key.
///
/// # Memory ordering
/// None is promised.
///
/// # Complexity
/// A hash of the key, a look-up, and a bucket's decision.
///
/// ```
/// use sluicegate::{PerKeyRateLimiter, Quota, RateLimitExceeded};
///
/// let logins: PerKeyRateLimiter<String> = PerKeyRateLimiter::new(Quota::per_minute(3))?;
/// for _ in 0..3 {
///     assert!(logins.try_acquire("alice").is_ok());
/// }
/// assert!(matches!(logins.try_acquire("alice"), Err(RateLimitExceeded::Denied { .. })));
/// assert!(logins.try_acquire("bob").is_ok());
/// assert_eq!(logins.len(), 2);
/// # Ok::<(), sluicegate::ConfigError>(())
/// ```
pub struct PerKeyRateLimiter<K, C: Clock = MonotonicClock> {
    store: Store<K>,
    params: Params,
    cleanup: Cleanup,
    quota: Quota,
    when_full: WhenFull,
    /// Of all newcomers for whom there is no place: the instant of one more bucket.
    overflow: CachePadded<AtomicU64>,
    clock: C,
}

impl<K: Eq + Hash> PerKeyRateLimiter<K> {
    /// A limiter on the [`MonotonicClock`], without a bound on the number of keys.
    ///
    /// # Errors
    /// [`ConfigError`] if no bucket can keep `quota`: see [`Quota`].
    ///
    /// ```
    /// use sluicegate::{PerKeyRateLimiter, Quota};
    ///
    /// let by_tenant: PerKeyRateLimiter<u64> = PerKeyRateLimiter::new(Quota::per_second(100))?;
    /// assert_eq!(by_tenant.available(&7), 100);
    /// assert!(PerKeyRateLimiter::<u64>::new(Quota::per_second(0)).is_err());
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn new(quota: Quota) -> Result<Self, ConfigError> {
        Self::builder(quota).build()
    }

    /// A limiter with more to say: another clock, a bound on the number of keys, another interval of cleaning up.
    pub fn builder(quota: Quota) -> PerKeyRateLimiterBuilder<K> {
        PerKeyRateLimiterBuilder::new(quota, MonotonicClock::new())
    }
}

impl<K: Eq + Hash, C: Clock> PerKeyRateLimiter<K, C> {
    /// Takes one permit of `key`'s, or nothing.
    ///
    /// # Errors
    /// As [`try_acquire_n`](Self::try_acquire_n).
    #[inline]
    pub fn try_acquire<Q>(&self, key: &Q) -> Result<(), RateLimitExceeded>
    where
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        K: Borrow<Q>,
    {
        self.try_acquire_n(key, 1)
    }

    /// Takes `n` permits of `key`'s, or nothing. `n = 0` is `Ok`, takes nothing and lets nobody in.
    ///
    /// # Errors
    /// [`Denied`](RateLimitExceeded::Denied) if they are not there now;
    /// [`ExceedsCapacity`](RateLimitExceeded::ExceedsCapacity) if `n` is above the burst;
    /// [`KeysExhausted`](RateLimitExceeded::KeysExhausted) if the key is new and there is no place for it now. Nothing
    /// was charged.
    ///
    /// ```
    /// use sluicegate::{ManualClock, PerKeyRateLimiter, Quota, RateLimitExceeded};
    ///
    /// let quota = Quota::per_second(10);
    /// let limiter = PerKeyRateLimiter::<String>::builder(quota).clock(ManualClock::new()).max_keys(1).build()?;
    /// assert_eq!(limiter.try_acquire_n("alice", 8), Ok(()));
    /// assert!(matches!(limiter.try_acquire_n("alice", 3), Err(RateLimitExceeded::Denied { .. })));
    /// assert!(matches!(limiter.try_acquire_n("bob", 11), Err(RateLimitExceeded::ExceedsCapacity { .. })));
    /// assert_eq!(limiter.try_acquire_n("bob", 1), Err(RateLimitExceeded::KeysExhausted { max_keys: 1 }));
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[inline]
    pub fn try_acquire_n<Q>(&self, key: &Q, n: u64) -> Result<(), RateLimitExceeded>
    where
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        K: Borrow<Q>,
    {
        if n == 0 {
            return Ok(());
        }
        let hash = self.store.hash(key);
        // Before the guard: the clock is the caller's.
        let ticks = self.clock.ticks();
        let take = self.store.with(hash, key, |word| entry::take(word, &self.params, ticks, n));
        let (result, weight) = match take {
            Some(take) => (self.outcome(take, ticks, n), 1),
            None => (self.newcomer(hash, key, ticks, n), NEWCOMER),
        };
        if self.cleanup.is_due(ticks, weight) {
            self.cleanup.sweep_piece(&self.store, &self.params, ticks);
        }
        result
    }

    #[cold]
    #[inline(never)]
    fn newcomer<Q>(&self, hash: u64, key: &Q, ticks: u64, n: u64) -> Result<(), RateLimitExceeded>
    where
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        K: Borrow<Q>,
    {
        if n > self.params.capacity() {
            return self.outcome(Take::Impossible, ticks, n);
        }
        let mut ticks = ticks;
        loop {
            match self.store.insert(hash, key.to_owned(), &self.params, ticks, n) {
                Newcomer::Known(take) => return self.outcome(take, ticks, n),
                Newcomer::Stale(take) => {
                    // Somebody was dropped since the reading: by a clock that runs on, a new one is not older than that.
                    let now = self.clock.ticks();
                    if now <= ticks {
                        return self.outcome(take, ticks, n);
                    }
                    ticks = now;
                }
                Newcomer::Full if self.cleanup.make_room(&self.store, &self.params, ticks) => {}
                Newcomer::Full => break,
            }
        }
        match self.when_full {
            WhenFull::Deny => Err(RateLimitExceeded::KeysExhausted { max_keys: self.store.max_keys() }),
            WhenFull::Share => self.outcome(entry::take(&self.overflow, &self.params, ticks, n), ticks, n),
        }
    }

    #[inline(always)]
    fn outcome(&self, take: Take, ticks: u64, n: u64) -> Result<(), RateLimitExceeded> {
        match take {
            Take::Granted(_) => Ok(()),
            Take::Denied(target) => {
                let wait = self.params.wait(target, ticks);
                Err(RateLimitExceeded::Denied { retry_after: duration(self.clock.tick_length(), wait) })
            }
            Take::Impossible => {
                Err(RateLimitExceeded::ExceedsCapacity { requested: n, capacity: self.params.capacity() })
            }
        }
    }

    /// Gives `n` permits of `key`'s back, never above the burst. Of one that is not known nothing is missing.
    ///
    /// ```
    /// use sluicegate::{ManualClock, PerKeyRateLimiter, Quota};
    ///
    /// let limiter = PerKeyRateLimiter::<u32>::builder(Quota::per_hour(3)).clock(ManualClock::new()).build()?;
    /// assert!(limiter.try_acquire_n(&1, 3).is_ok());
    /// limiter.refund(&1, 2);
    /// limiter.refund(&2, 2);
    /// assert_eq!((limiter.available(&1), limiter.available(&2)), (2, 3));
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[inline]
    pub fn refund<Q>(&self, key: &Q, n: u64)
    where
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        K: Borrow<Q>,
    {
        let (hash, ticks) = (self.store.hash(key), self.clock.ticks());
        let _ = self.store.with(hash, key, |word| entry::give_back(word, &self.params, ticks, n));
    }

    /// The whole permits that `key` has now: the burst, if it is not known. Stale as soon as it is told.
    #[must_use]
    pub fn available<Q>(&self, key: &Q) -> u64
    where
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        K: Borrow<Q>,
    {
        let (instant, ticks) = self.look(key);
        self.params.available(instant, ticks)
    }

    /// How long until `key` has `n` permits, if nobody else takes any: exactly; zero if they are there now.
    ///
    /// # Errors
    /// [`ExceedsCapacity`](RateLimitExceeded::ExceedsCapacity) if `n` is above the burst.
    ///
    /// ```
    /// use sluicegate::{ManualClock, PerKeyRateLimiter, Quota};
    /// use std::time::Duration;
    ///
    /// let limiter = PerKeyRateLimiter::<String>::builder(Quota::per_second(2)).clock(ManualClock::new()).build()?;
    /// assert_eq!(limiter.time_to_available("alice", 2), Ok(Duration::ZERO));
    /// assert!(limiter.try_acquire_n("alice", 2).is_ok());
    /// assert_eq!(limiter.time_to_available("alice", 1), Ok(Duration::from_millis(500)));
    /// assert!(limiter.time_to_available("alice", 3).is_err());
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn time_to_available<Q>(&self, key: &Q, n: u64) -> Result<Duration, RateLimitExceeded>
    where
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        K: Borrow<Q>,
    {
        let (instant, ticks) = self.look(key);
        match self.params.take(instant, ticks, n) {
            Take::Denied(target) if n > 0 => Ok(duration(self.clock.tick_length(), self.params.wait(target, ticks))),
            Take::Impossible => {
                Err(RateLimitExceeded::ExceedsCapacity { requested: n, capacity: self.params.capacity() })
            }
            Take::Granted(_) | Take::Denied(_) => Ok(Duration::ZERO),
        }
    }

    fn look<Q>(&self, key: &Q) -> (u64, u64)
    where
        Q: ?Sized + Hash + Eq,
        K: Borrow<Q>,
    {
        let (hash, ticks) = (self.store.hash(key), self.clock.ticks());
        (self.store.with(hash, key, entry::instant).unwrap_or_else(|| self.store.fresh()), ticks)
    }

    /// The quota of every key.
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// One key, for calls that shall not name it again.
    ///
    /// ```
    /// use sluicegate::{PerKeyRateLimiter, Quota};
    ///
    /// let limiter: PerKeyRateLimiter<String> = PerKeyRateLimiter::new(Quota::per_hour(1))?;
    /// let alice = limiter.key("alice");
    /// assert!(alice.try_acquire().is_ok());
    /// assert!(alice.try_acquire().is_err() && limiter.try_acquire("alice").is_err());
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn key<'a, Q>(&'a self, key: &'a Q) -> KeyRef<'a, K, Q, C>
    where
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        K: Borrow<Q>,
    {
        KeyRef::new(self, key)
    }

    /// How many keys are known: those that were charged, until they are forgotten.
    #[must_use]
    pub fn len(&self) -> usize {
        self.store.len()
    }

    /// Whether no key is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `key` is known.
    #[must_use]
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: ?Sized + Hash + Eq,
        K: Borrow<Q>,
    {
        self.store.with(self.store.hash(key), key, |_| ()).is_some()
    }

    /// Forgets `key`, with what it owes: it has a full burst again. Tells whether it was known.
    ///
    /// ```
    /// use sluicegate::{PerKeyRateLimiter, Quota};
    ///
    /// let limiter: PerKeyRateLimiter<String> = PerKeyRateLimiter::new(Quota::per_hour(1))?;
    /// assert!(limiter.try_acquire("alice").is_ok() && limiter.try_acquire("alice").is_err());
    /// assert!(limiter.remove("alice"));
    /// assert!(limiter.try_acquire("alice").is_ok());
    /// assert!(!limiter.remove("bob"));
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn remove<Q>(&self, key: &Q) -> bool
    where
        Q: ?Sized + Hash + Eq,
        K: Borrow<Q>,
    {
        self.store.remove(self.store.hash(key), key)
    }

    /// Forgets all keys, with what they owe. The overflow bucket of [`WhenFull::Share`] stays as it is.
    pub fn clear(&self) {
        self.store.clear();
    }

    /// Drops the keys whose bucket was full for a `cleanup_interval`, now; tells how many. Normally those who call do
    /// that, a little at a time.
    ///
    /// # Blocking
    /// Takes the write lock of one shard after the other, for 128 places each time.
    ///
    /// ```
    /// use sluicegate::{ManualClock, PerKeyRateLimiter, Quota};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let limiter = PerKeyRateLimiter::<u32>::builder(Quota::per_second(1))
    ///     .clock(clock.clone())
    ///     .cleanup_interval(Duration::from_secs(60))
    ///     .build()?;
    /// assert!(limiter.try_acquire(&1).is_ok());
    /// clock.advance(Duration::from_secs(60));
    /// assert_eq!(limiter.cleanup(), 0); // full since 59 seconds
    /// clock.advance(Duration::from_secs(1));
    /// assert_eq!(limiter.cleanup(), 1);
    /// assert!(limiter.is_empty());
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn cleanup(&self) -> usize {
        self.cleanup.sweep_all(&self.store, &self.params, self.clock.ticks())
    }
}

impl<K, C: Clock> fmt::Debug for PerKeyRateLimiter<K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerKeyRateLimiter")
            .field("quota", &self.quota)
            .field("keys", &self.store.len())
            .field("max_keys", &self.store.max_keys())
            .field("when_full", &self.when_full)
            .finish_non_exhaustive()
    }
}
