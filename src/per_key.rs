//! A limit for each key: a token bucket of one word, in a sharded map.

mod builder;
mod cleanup;
mod entry;
mod handle;
mod inner;
mod key_ref;
mod promoted;
mod rules;
#[cfg(not(any(loom, shuttle)))]
mod shards;
#[cfg(any(loom, shuttle))]
#[path = "per_key/shards_modelled.rs"]
mod shards;
mod store;
mod tier;
#[cfg(feature = "async")]
mod wait;

use ::alloc::borrow::ToOwned;
use ::alloc::sync::Arc;
use ::alloc::vec::Vec;
use ::core::borrow::Borrow;
use ::core::fmt;
use ::core::hash::Hash;
use ::core::time::Duration;

pub use self::builder::{PerKeyRateLimiterBuilder, WhenFull};
use self::entry::Entry;
pub use self::handle::KeyHandle;
use self::inner::{Inner, each};
pub use self::key_ref::KeyRef;
pub(crate) use self::promoted::User;
#[cfg(feature = "async")]
pub use self::wait::KeyAcquire;
use crate::algorithm::token_bucket::{Params, Take};
use crate::clock::{Clock, MonotonicClock};
use crate::error::{ConfigError, RateLimitExceeded};
use crate::quota::Quota;
use crate::stats::RateLimiterStats;
use crate::token_bucket::{TokenBucket, duration};

/// A token bucket for each key: for users, addresses, tenants, API keys, chosen by strangers.
///
/// Every key has its own bucket, of the limiter's quota or [its own](PerKeyRateLimiterBuilder::quota_for), and costs its key and one word in a sharded hash map. A key is
/// let in when it is first charged; before that, and after it was forgotten, it has a full burst.
///
/// # Guarantee
/// Of each key what [`TokenBucket`](crate::TokenBucket) guarantees. A key is forgotten only when its bucket is full, so
/// that nobody can tell; whoever still owes is remembered, under any flood of others.
///
/// # Memory
/// Keys that were full for a `cleanup_interval` are dropped by those who call, a few places of the map at a time: there
/// is no thread in the background, and no call that looks at all keys. Shards give memory back when they are mostly empty.
/// With `max_keys` there are never more; what a newcomer gets when all places are taken, by keys that still owe, is for
/// [`WhenFull`] to say. A key that somebody has a handle of, waits for or has reserved from has 800 bytes more meanwhile.
///
/// # Progress
/// A call takes the read lock of the key's shard (1 of 64 or more), one that lets a key in the write lock; where one key is
/// called much, a [`handle`](Self::handle) takes none. The bucket itself is changed by compare-and-swap. A shard that grows, or shrinks after most of its keys were dropped, holds up
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
    inner: Arc<Inner<K, C>>,
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
    ///
    /// ```
    /// use sluicegate::{PerKeyRateLimiter, Quota, RateLimitExceeded};
    ///
    /// let by_tenant = PerKeyRateLimiter::<u64>::builder(Quota::per_hour(100)).max_keys(1).build()?;
    /// assert_eq!(by_tenant.try_acquire(&7), Ok(()));
    /// assert_eq!(by_tenant.try_acquire(&8), Err(RateLimitExceeded::KeysExhausted { max_keys: 1 }));
    /// assert!(PerKeyRateLimiter::<u64>::builder(Quota::per_hour(100)).max_keys(0).build().is_err());
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn builder(quota: Quota) -> PerKeyRateLimiterBuilder<K> {
        PerKeyRateLimiterBuilder::new(quota, MonotonicClock::new())
    }
}

impl<K: Eq + Hash, C: Clock> PerKeyRateLimiter<K, C> {
    fn of(inner: Inner<K, C>) -> Self {
        Self { inner: Arc::new(inner) }
    }

    /// Takes one permit of `key`'s, or nothing.
    ///
    /// # Errors
    /// As [`try_acquire_n`](Self::try_acquire_n).
    ///
    /// ```
    /// use sluicegate::{ManualClock, PerKeyRateLimiter, Quota};
    /// use std::time::Duration;
    ///
    /// let limiter = PerKeyRateLimiter::<String>::builder(Quota::per_second(1)).clock(ManualClock::new()).build()?;
    /// assert!(limiter.try_acquire("alice").is_ok());
    /// let denied = limiter.try_acquire("alice").unwrap_err();
    /// assert_eq!(denied.retry_after(), Some(Duration::from_secs(1)));
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
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
    /// [`Denied`](RateLimitExceeded::Denied) if they are not there now, or while somebody waits for that key;
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
        self.inner.try_acquire_n(key, n)
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
        self.inner.refund(key, n);
    }

    /// The whole permits that `key` has now: the burst, if it is not known. Stale as soon as it is told. While somebody waits
    /// for the key they are kept for the line, so that a `try_` verb denies all the same.
    ///
    /// ```
    /// use sluicegate::{ManualClock, PerKeyRateLimiter, Quota};
    ///
    /// let limiter = PerKeyRateLimiter::<u32>::builder(Quota::per_second(5)).clock(ManualClock::new()).build()?;
    /// assert!(limiter.try_acquire_n(&1, 4).is_ok());
    /// assert_eq!((limiter.available(&1), limiter.available(&2)), (1, 5));
    /// assert!(limiter.try_acquire_n(&1, 2).is_err());
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[must_use]
    pub fn available<Q>(&self, key: &Q) -> u64
    where
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        K: Borrow<Q>,
    {
        self.inner.look(key, Params::available, TokenBucket::available)
    }

    /// How long until `key` has `n` permits, if nobody else comes: exactly, in the clock's own nanoseconds; zero if they are
    /// there now, and `Duration::MAX` where that lies beyond the bucket's horizon. While others wait for the key it is an
    /// estimate that counts the demand ahead.
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
        let by_word = |params: &Params, instant, ticks| match params.take(instant, ticks, n) {
            Take::Denied(target) if n > 0 => Ok(duration(self.inner.clock.tick_length(), params.wait(target, ticks))),
            // Not of nothing: where nothing ever fits nothing is owed.
            Take::Impossible => Err(RateLimitExceeded::ExceedsCapacity { requested: n, capacity: params.capacity() }),
            _ => Ok(Duration::ZERO),
        };
        self.inner.look(key, by_word, |bucket| bucket.time_to_available(n))
    }

    /// The quota of every key, but for those that [`quota_for`](PerKeyRateLimiterBuilder::quota_for) gives another one.
    ///
    /// ```
    /// use sluicegate::{PerKeyRateLimiter, Quota};
    ///
    /// let limiter: PerKeyRateLimiter<u32> = PerKeyRateLimiter::new(Quota::per_second(5).burst(9))?;
    /// assert_eq!(limiter.quota(), Quota::per_second(5).burst(9));
    /// assert!(limiter.try_acquire_n(&1, limiter.quota().capacity() + 1).is_err());
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn quota(&self) -> Quota {
        self.inner.rules.own().quota
    }

    /// Whether no key is given another one.
    pub(crate) fn has_one_quota(&self) -> bool {
        self.inner.rules.are_one()
    }

    /// Asks [`quota_for`](PerKeyRateLimiterBuilder::quota_for) again for `key`, and tells whether that is known. What it has
    /// available, or owes, stays the same number of permits: see [`TokenBucket::set_quota`]. What a handle has set is over.
    ///
    /// An answer that was asked for before this is not put into force after it. A key that was forgotten is new, and begins with
    /// the burst of whatever quota it has then.
    ///
    /// # Blocking
    /// Waits for others who ask for the same key; those who acquire are not blocked.
    ///
    /// ```
    /// use sluicegate::{ManualClock, PerKeyRateLimiter, Quota};
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// let plan = Arc::new(AtomicU64::new(10));
    /// let bought = Arc::clone(&plan);
    /// let limiter = PerKeyRateLimiter::<u32>::builder(Quota::per_second(1))
    ///     .clock(ManualClock::new())
    ///     .quota_for(move |_| Some(Quota::per_second(bought.load(Ordering::Relaxed))))
    ///     .build()?;
    /// assert!(!limiter.requota(&7)); // not known: it will be asked for when it comes
    /// assert!(limiter.try_acquire_n(&7, 4).is_ok());
    /// plan.store(5, Ordering::Relaxed);
    /// assert_eq!(limiter.available(&7), 6);
    /// assert!(limiter.requota(&7));
    /// assert_eq!(limiter.available(&7), 5); // cut to the new burst
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn requota<Q>(&self, key: &Q) -> bool
    where
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        K: Borrow<Q>,
        C: Clone,
    {
        self.inner.requota(key)
    }

    /// The key's own bucket, found once: every verb of [`TokenBucket`], without a look at the map. See [`KeyHandle`].
    ///
    /// A key that is not known is let in, if there is a place for it; else the handle is without one, for as long as it lives.
    ///
    /// ```
    /// use sluicegate::{PerKeyRateLimiter, Quota};
    ///
    /// let limiter = PerKeyRateLimiter::<u32>::builder(Quota::per_hour(2)).max_keys(1).build()?;
    /// let seven = limiter.handle(7);
    /// assert!(seven.try_acquire_n(2).is_ok());
    /// assert!(seven.try_acquire().is_err() && limiter.try_acquire(&7).is_err());
    /// assert_eq!(limiter.handle(8).quota().capacity(), 0); // there is no place for it
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn handle(&self, key: K) -> KeyHandle<K, C>
    where
        C: Clone,
    {
        KeyHandle::new(self.inner.user_of(key))
    }

    /// What was counted for `key`; `None` unless the limiter was built with
    /// [`stats`](PerKeyRateLimiterBuilder::stats), and if the key is not known.
    ///
    /// ```
    /// use sluicegate::{PerKeyRateLimiter, Quota};
    ///
    /// let limiter = PerKeyRateLimiter::<String>::builder(Quota::per_hour(1)).stats().build()?;
    /// assert!(limiter.try_acquire("alice").is_ok() && limiter.try_acquire("alice").is_err());
    /// assert_eq!(limiter.stats("alice").map(|stats| stats.rejection_rate()), Some(0.5));
    /// assert_eq!(limiter.stats("bob"), None);
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[must_use]
    pub fn stats<Q>(&self, key: &Q) -> Option<RateLimiterStats>
    where
        Q: ?Sized + Hash + Eq,
        K: Borrow<Q>,
    {
        each!(&self.inner.stores, store => {
            store.with(store.hash(key), key, |entry| entry.tally().map(|tally| tally.snapshot())).flatten()
        })
    }

    /// What was counted for each key that is known, in no order; nothing unless the limiter was built with
    /// [`stats`](PerKeyRateLimiterBuilder::stats).
    ///
    /// # Blocking
    /// Takes the read lock of one shard after the other, and clones its keys meanwhile: their `Clone` must not call the limiter.
    ///
    /// ```
    /// use sluicegate::{PerKeyRateLimiter, Quota};
    ///
    /// let limiter = PerKeyRateLimiter::<u32>::builder(Quota::per_hour(1)).stats().build()?;
    /// assert!(limiter.try_acquire(&7).is_ok() && limiter.try_acquire(&7).is_err());
    /// let all = limiter.all_stats();
    /// assert_eq!((all.len(), all[0].0, all[0].1.rejected_requests), (1, 7, 1));
    /// assert!(PerKeyRateLimiter::<u32>::new(Quota::per_hour(1))?.all_stats().is_empty());
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[must_use]
    pub fn all_stats(&self) -> Vec<(K, RateLimiterStats)>
    where
        K: Clone,
    {
        let mut all = Vec::new();
        if self.inner.totals.is_some() {
            each!(&self.inner.stores, store => store.for_each(|key, entry| {
                all.extend(Entry::tally(entry).map(|tally| (key.clone(), tally.snapshot())));
            }));
        }
        all
    }

    /// What was counted for all keys, those that were forgotten and newcomers without a place included; `None` unless the
    /// limiter was built with [`stats`](PerKeyRateLimiterBuilder::stats).
    ///
    /// ```
    /// use sluicegate::{PerKeyRateLimiter, Quota};
    ///
    /// let limiter = PerKeyRateLimiter::<u32>::builder(Quota::per_hour(1)).max_keys(1).stats().build()?;
    /// assert!(limiter.try_acquire(&7).is_ok() && limiter.try_acquire(&8).is_err());
    /// assert_eq!(limiter.total_stats().map(|stats| stats.rejected_requests), Some(1));
    /// assert_eq!(PerKeyRateLimiter::<u32>::new(Quota::per_hour(1))?.total_stats(), None);
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[must_use]
    pub fn total_stats(&self) -> Option<RateLimiterStats> {
        self.inner.totals.as_ref().map(|totals| totals.snapshot())
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
    ///
    /// ```
    /// use sluicegate::{PerKeyRateLimiter, Quota};
    ///
    /// let limiter: PerKeyRateLimiter<u32> = PerKeyRateLimiter::new(Quota::per_hour(1))?;
    /// assert!(limiter.is_empty());
    /// assert!(limiter.try_acquire(&1).is_ok() && limiter.try_acquire_n(&2, 2).is_err()); // 2 was not charged
    /// assert_eq!((limiter.len(), limiter.is_empty()), (1, false));
    /// assert_eq!((limiter.contains_key(&1), limiter.contains_key(&2)), (true, false));
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.stores.len()
    }

    /// Whether no key is known: see [`len`](Self::len).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `key` is known: see [`len`](Self::len).
    #[must_use]
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: ?Sized + Hash + Eq,
        K: Borrow<Q>,
    {
        each!(&self.inner.stores, store => store.with(store.hash(key), key, |_| ()).is_some())
    }

    /// Forgets `key`, with what it owes: it has a full burst again. Tells whether it was known.
    ///
    /// One that somebody has a handle of, waits for or has reserved from starts afresh in place: full, counted from nothing,
    /// and of the quota that [`quota_for`](PerKeyRateLimiterBuilder::quota_for) says now.
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
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        K: Borrow<Q>,
    {
        self.inner.remove(key)
    }

    /// Forgets all keys, with what they owe; those in use start afresh in place, of the quota that they have. The overflow
    /// bucket of [`WhenFull::Share`] stays as it is.
    ///
    /// ```
    /// use sluicegate::{PerKeyRateLimiter, Quota};
    ///
    /// let limiter: PerKeyRateLimiter<u32> = PerKeyRateLimiter::new(Quota::per_hour(1))?;
    /// assert!(limiter.try_acquire(&1).is_ok() && limiter.try_acquire(&1).is_err());
    /// limiter.clear();
    /// assert!(limiter.is_empty() && limiter.try_acquire(&1).is_ok());
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn clear(&self) {
        self.inner.clear();
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
    #[allow(clippy::must_use_candidate)] // it is called for what it does
    pub fn cleanup(&self) -> usize {
        let inner = &*self.inner;
        let (own, ticks) = (&inner.rules.own().params, inner.clock.ticks());
        each!(&inner.stores, store => inner.cleanup.sweep_all(store, own, ticks))
    }
}

impl<K, C: Clock> fmt::Debug for PerKeyRateLimiter<K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerKeyRateLimiter")
            .field("quota", &self.inner.rules.own().quota)
            .field("keys", &self.inner.stores.len())
            .field("max_keys", &self.inner.stores.max_keys())
            .field("total_stats", &self.inner.totals.as_ref().map(|totals| totals.snapshot()))
            .finish_non_exhaustive()
    }
}
