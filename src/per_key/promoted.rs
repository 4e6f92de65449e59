//! Keys in use. One that somebody has a handle of, waits for or has reserved from has a whole token bucket, beside the map,
//! for as long as that lasts.
//!
//! # Protocol
//! Under the shard's write guard a key's word becomes that of a bucket, and names its place; from then on everybody is sent
//! there. Under the same guard the bucket's word becomes the key's again, when nobody uses it any more. Those who look a
//! bucket up count as its users from then on, and do so under the shard's guard: so none of them has one that is not the
//! key's, and a key never has two states.
//!
//! ```text
//! use     (read guard) MOVED -> users += 1.  Else (write guard) make the bucket at the word's instant, put it into the slab,
//!         users += 1, mark MOVED
//! leave   users -= 1; was the last one -> w = its word; t = clock; (write guard) still nobody, still w -> the key's word is
//!         what that is under its rule at t, or the key goes if it was never charged, under one quota all the time; out of the
//!         slab. w changed -> again
//! ```
//!
//! A sweep passes over a key in use. Locks are taken in the order shard, slab; a rule's lock by users, who hold no other
//! one, and by the last one to leave under the guard, when nobody else can have it.

use alloc::sync::Arc;
use core::hash::Hash;
use core::ops::Deref;
use core::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use slab::Slab;

use super::entry::{self, Entry};
use super::inner::{Inner, each};
use super::store::Store;
use super::tier::Tier;
use crate::algorithm::token_bucket::Params;
use crate::clock::Clock;
use crate::counters::{Counters, Counting, KeyCounting, KeyTally};
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};
use crate::token_bucket::TokenBucket;
use crate::token_bucket::core::Core;
use crate::wait::Line;

/// The bucket of a key in use.
pub(super) struct KeyBucket<C: Clock> {
    pub(super) bucket: TokenBucket<C>,
    users: AtomicU64,
    ruling: Mutex<Ruling>,
    tally: Option<Arc<KeyTally>>,
    hash: u64,
    /// In the slab.
    place: usize,
}

/// What `quota_for` said last, whatever a handle has set since.
struct Ruling {
    tier: Option<Arc<Tier>>,
    /// How often it was asked again: who has an answer sees whether it may be out of date.
    asked: u64,
    /// Handles that live.
    handles: usize,
}

/// Above so many places an empty slab gives its memory back.
const LARGE: usize = 64;

/// Of a bucket that is in no slab.
const NOWHERE: usize = usize::MAX;

impl<C: Clock> KeyBucket<C> {
    /// A bucket of `tier`, at `instant`, which nobody uses yet; `ruled` unless that tier is the limiter's own.
    fn new(
        tier: &Tier,
        instant: u64,
        ruled: Option<Arc<Tier>>,
        tally: Option<Arc<KeyTally>>,
        totals: Option<&Arc<Counters>>,
        clock: C,
    ) -> Self {
        let mut core = Core::started(tier.quota, tier.scale, &tier.params, instant);
        if let Some(total) = totals {
            core.start_counting(Counting::Key(KeyCounting { tally: tally.clone(), total: Arc::clone(total) }));
        }
        Self {
            bucket: TokenBucket { core, line: Line::new(), clock },
            users: AtomicU64::new(0),
            ruling: Mutex::new(Ruling { tier: ruled, asked: 0, handles: 0 }),
            tally,
            hash: 0,
            place: NOWHERE,
        }
    }

    /// A bucket that is no key's, with a user more than use it: so it is in no slab, and never anything else.
    pub(super) fn apart(tier: &Tier, totals: Option<&Arc<Counters>>, clock: C) -> Arc<Self> {
        one_more(&one_more(&Arc::new(Self::new(tier, 0, None, None, totals, clock))))
    }

    fn ruling(&self) -> MutexGuard<'_, Ruling> {
        // A poisoned one is taken all the same: every state is whole.
        self.ruling.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The buckets of keys in use, each at a place of its own.
pub(super) struct Promoted<C: Clock>(Mutex<Slab<Arc<KeyBucket<C>>>>);

impl<C: Clock> Promoted<C> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Slab::new()))
    }

    fn lock(&self) -> MutexGuard<'_, Slab<Arc<KeyBucket<C>>>> {
        // A poisoned one is taken all the same: nothing in here panics half-way.
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The bucket at `place`, with one user more.
    pub(super) fn get(&self, place: usize) -> Arc<KeyBucket<C>> {
        one_more(&self.lock()[place])
    }

    /// Keeps the bucket that `make` makes for a place; with a first user.
    fn insert(&self, make: impl FnOnce(usize) -> KeyBucket<C>) -> Arc<KeyBucket<C>> {
        let mut slab = self.lock();
        let vacant = slab.vacant_entry();
        let bucket = Arc::new(make(vacant.key()));
        one_more(vacant.insert(bucket))
    }

    /// Takes `bucket` out, if it is there.
    fn take(&self, bucket: &Arc<KeyBucket<C>>) -> Option<Arc<KeyBucket<C>>> {
        let mut slab = self.lock();
        let is_there = slab.get(bucket.place).is_some_and(|there| Arc::ptr_eq(there, bucket));
        let taken = if is_there { slab.try_remove(bucket.place) } else { None };
        if slab.is_empty() && slab.capacity() > LARGE {
            *slab = Slab::new();
        }
        taken
    }
}

fn one_more<C: Clock>(bucket: &Arc<KeyBucket<C>>) -> Arc<KeyBucket<C>> {
    // Ordering: Relaxed; under the shard's guard, or on behalf of a user who stays.
    bucket.users.fetch_add(1, Ordering::Relaxed);
    Arc::clone(bucket)
}

/// A user of a key's bucket: while there is one, the bucket is the key's only state.
pub(crate) struct User<K: Eq + Hash, C: Clock> {
    bucket: Arc<KeyBucket<C>>,
    limiter: Arc<Inner<K, C>>,
}

impl<K: Eq + Hash, C: Clock> User<K, C> {
    /// Of a bucket that has been told.
    pub(super) fn new(limiter: &Arc<Inner<K, C>>, bucket: Arc<KeyBucket<C>>) -> Self {
        Self { bucket, limiter: Arc::clone(limiter) }
    }

    /// Of the bucket that newcomers share.
    pub(super) fn of_overflow(limiter: &Arc<Inner<K, C>>, overflow: &Arc<KeyBucket<C>>) -> Self {
        Self::new(limiter, one_more(overflow))
    }

    /// One handle more.
    pub(super) fn count_handle(&self) {
        self.bucket.ruling().handles += 1;
    }

    /// One handle less. After the last one the rule holds again, whatever they have set.
    pub(super) fn discount_handle(&self) {
        let mut ruling = self.bucket.ruling();
        ruling.handles -= 1;
        // It is being dropped, perhaps by a panic: neither the clock's nor that of one who waits goes on.
        let impose = AssertUnwindSafe(|| ruling.handles == 0 && self.impose(&ruling));
        let waits = catch_unwind(impose).unwrap_or(false);
        drop(ruling);
        if waits {
            self.line.wake_quietly_after_change(self.quota().capacity());
        }
    }

    /// Puts what `ask` answers into force, and tells whether somebody who waits is to be told.
    ///
    /// An answer that was asked for before somebody else began to ask is asked for again, so that no older one comes after
    /// theirs. Each call begins once.
    pub(super) fn rule(&self, ask: impl Fn() -> Option<Arc<Tier>>) -> bool {
        self.bucket.ruling().asked += 1;
        loop {
            let asked = self.bucket.ruling().asked;
            let tier = ask();
            let mut ruling = self.bucket.ruling();
            if ruling.asked == asked {
                ruling.tier = tier;
                return self.impose(&ruling);
            }
        }
    }

    /// Wakes those whom a change concerns; a panic of theirs goes on.
    pub(super) fn wake_after_change(&self) {
        self.line.wake_after_change(self.quota().capacity());
    }

    /// Makes the quota what the ruling says, if it is not; tells whether somebody who waits is to be told.
    fn impose(&self, ruling: &Ruling) -> bool {
        let (bucket, tier) = (&self.bucket.bucket, self.limiter.rules.tier(ruling.tier.as_ref()));
        bucket.quota() != tier.quota && bucket.core.impose_quota(&bucket.clock, &tier.quota, &tier.scale)
    }

    /// Starts afresh in place: full, whatever was owed, and counted from nothing.
    pub(super) fn reset(&self) {
        if self.core.reset(&self.clock) {
            self.line.wake_quietly_after_change(self.quota().capacity());
        }
        if let Some(tally) = &self.bucket.tally {
            tally.reset();
        }
    }
}

impl<K: Eq + Hash, C: Clock> Clone for User<K, C> {
    fn clone(&self) -> Self {
        Self::new(&self.limiter, one_more(&self.bucket))
    }
}

impl<K: Eq + Hash, C: Clock> Deref for User<K, C> {
    type Target = TokenBucket<C>;

    #[inline(always)]
    fn deref(&self) -> &TokenBucket<C> {
        &self.bucket.bucket
    }
}

impl<K: Eq + Hash, C: Clock> Drop for User<K, C> {
    fn drop(&mut self) {
        // Ordering: Release pairs with the Acquire load in `settle`: who finds nobody sees what all have done.
        if self.bucket.users.fetch_sub(1, Ordering::Release) == 1 {
            self.limiter.demote(&self.bucket);
        }
    }
}

/// What became of a bucket that its last user has left.
enum Settled {
    /// It is the key's word again, or somebody uses it.
    Done,
    /// It has been used meanwhile.
    Again,
}

impl<K: Eq + Hash, C: Clock> Inner<K, C> {
    /// A key's bucket, with a user more, if it has one.
    pub(super) fn moved<Q, E: Entry>(&self, store: &Store<K, E>, hash: u64, key: &Q) -> Option<Arc<KeyBucket<C>>>
    where
        Q: ?Sized + Eq,
        K: core::borrow::Borrow<Q>,
    {
        let bucket = |place| self.promoted.get(place);
        store.with(hash, key, |entry| entry::look(entry.word()).err().map(bucket)).flatten()
    }

    /// The same of an entry that its caller is alone with; it gets one, if it has none. `clock` is a clone that was made before
    /// the guard was taken: it is the caller's code.
    pub(super) fn promote<E: Entry>(&self, entry: &E, hash: u64, clock: &mut Option<C>) -> Arc<KeyBucket<C>>
    where
        C: Clone,
    {
        let instant = match entry::look(entry.word()) {
            Err(place) => return self.promoted.get(place),
            Ok(instant) => instant,
        };
        let bucket = self.promoted.insert(|place| {
            let (tier, ruled) = (self.rules.tier(entry.tier()), entry.tier().cloned());
            let clock = clock.take().unwrap_or_else(|| self.clock.clone());
            let bucket = KeyBucket::new(tier, instant, ruled, entry.tally().cloned(), self.totals.as_ref(), clock);
            KeyBucket { hash, place, ..bucket }
        });
        entry::mark_moved(entry.word(), bucket.place);
        bucket
    }

    /// Makes the key of a bucket that nobody uses one of a word again.
    #[cold]
    #[inline(never)]
    fn demote(&self, bucket: &Arc<KeyBucket<C>>) {
        loop {
            let word = bucket.bucket.core.word();
            // After the word: not older than the readings behind it. Before the guard: it is the caller's code.
            // Should it panic, the key is one of a word all the same: by the oldest reading there is, which finds least.
            let ticks = catch_unwind(AssertUnwindSafe(|| self.clock.ticks())).unwrap_or(0);
            if let Settled::Done = each!(&self.stores, store => self.settle(store, bucket, word, ticks)) {
                return;
            }
        }
    }

    fn settle<E: Entry>(&self, store: &Store<K, E>, bucket: &Arc<KeyBucket<C>>, word: u64, ticks: u64) -> Settled {
        let core = &bucket.bucket.core;
        let mut settled = Settled::Done;
        // Dropped without the guard: a clock is in it.
        let mut taken = None;
        let is = |_: &K, entry: &E| entry::look(entry.word()) == Err(bucket.place);
        let removed = store.remove_if(bucket.hash, is, |entry| {
            // Ordering: Acquire pairs with the Release of those who left.
            if bucket.users.load(Ordering::Acquire) > 0 {
                return false;
            }
            if core.word() != word {
                settled = Settled::Again;
                return false;
            }
            taken = self.promoted.take(bucket);
            if taken.is_none() {
                // Another bucket of a key with this hash is at the place that this one had.
                return false;
            }
            let tier = bucket.ruling().tier.clone();
            let params: &Params = &self.rules.tier(tier.as_ref()).params;
            let instant = core.carry_over(ticks, params);
            // Its quota was the same from the beginning; or else what it has now might be less than a burst of before.
            let is_new = core.is_under(entry.params(&self.rules.own().params))
                && core.is_under(params)
                && instant <= store.fresh(bucket.hash, params);
            if !is_new {
                entry.settle(instant, tier);
            }
            is_new
        });
        drop(removed);
        drop(taken);
        settled
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::per_key::PerKeyRateLimiter;
    use crate::quota::Quota;

    /// Kills: places that stay after a flood of handles; those of a few that are made anew again and again.
    #[test]
    fn places_of_many_go_with_the_last() {
        let builder = PerKeyRateLimiter::builder(Quota::per_second(1)).clock(ManualClock::new());
        let limiter: PerKeyRateLimiter<usize, _> = builder.build().unwrap();
        let places = || limiter.inner.promoted.lock().capacity();
        for (many, left) in [(LARGE, LARGE), (LARGE + 1, 0)] {
            let handles: Vec<_> = (0..many).map(|key| limiter.handle(key)).collect();
            assert!(places() >= many);
            drop(handles);
            assert_eq!(places(), left);
        }
    }
}
