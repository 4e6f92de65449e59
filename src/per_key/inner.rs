//! What a per-key limiter is inside: decisions by key, whether it has a word, a bucket, or nothing yet.

use alloc::borrow::ToOwned;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::hash::Hash;
#[cfg(feature = "async")]
use core::time::Duration;

use super::cleanup::{Cleanup, NEWCOMER};
use super::entry::{self, Decision, Entry, Full, Moved, Plain};
use super::promoted::{KeyBucket, Promoted, User};
use super::rules::Rules;
use super::store::{Enter, Reserved, Store};
use super::tier::Tier;
use crate::algorithm::token_bucket::{Params, Take};
use crate::clock::Clock;
use crate::counters::{Counters, KeyTally};
use crate::error::RateLimitExceeded;
use crate::token_bucket::{TokenBucket, duration};

pub(super) struct Inner<K, C: Clock> {
    pub(super) stores: Stores<K>,
    pub(super) rules: Rules<K>,
    pub(super) cleanup: Cleanup,
    pub(super) promoted: Promoted<C>,
    /// Of newcomers for whom there is no place, if they share one. It has a user more than use it, so it stays.
    pub(super) overflow: Option<Arc<KeyBucket<C>>>,
    /// Of all keys, if calls are counted.
    pub(super) totals: Option<Arc<Counters>>,
    pub(super) clock: C,
}

/// The map, with no more to an entry than is needed.
pub(super) enum Stores<K> {
    Plain(Store<K, Plain>),
    Full(Store<K, Full>),
}

/// The same for whichever store it is.
macro_rules! each {
    ($stores:expr, $store:ident => $result:expr) => {
        match $stores {
            $crate::per_key::inner::Stores::Plain($store) => $result,
            $crate::per_key::inner::Stores::Full($store) => $result,
        }
    };
}
pub(in crate::per_key) use each;

/// What came of the first call of a key.
enum Newcomer {
    /// It was let in, or is not to be, or was there already.
    Decided(Decision),
    /// It was there already, and in use.
    Moved,
    /// All places are taken by keys that owe, and it is none of them.
    NoPlace,
}

impl From<Result<Decision, Moved>> for Newcomer {
    fn from(result: Result<Decision, Moved>) -> Self {
        result.map_or(Self::Moved, Self::Decided)
    }
}

/// Whether who is denied waits, for so many ticks: then it is counted later.
trait Patience: Fn(u64) -> bool + Copy {}

impl<F: Fn(u64) -> bool + Copy> Patience for F {}

/// A key that is to be waited for.
#[cfg(feature = "async")]
pub(super) enum Waiting<K: Eq + Hash, C: Clock> {
    /// Not any more: it was counted.
    Settled(Result<(), RateLimitExceeded>),
    /// In the line of this bucket.
    By(User<K, C>),
}

impl<K: Eq + Hash, C: Clock> Inner<K, C> {
    /// Takes `n` permits of an entry's, or nothing; counts that, but a denial only if nobody waits for it.
    #[inline(always)]
    fn take<E: Entry>(&self, entry: &E, ticks: u64, n: u64, waits: impl Patience) -> Result<Decision, Moved> {
        let decision = entry::take(entry.word(), entry.params(&self.rules.own().params), ticks, n)?;
        if let Some(tally) = entry.tally() {
            match decision {
                Decision::Denied(wait) if waits(wait) => {}
                decision => self.count(tally, decision == Decision::Granted),
            }
        }
        Ok(decision)
    }

    /// The same for who does not wait, as a function that is inlined always.
    #[inline(always)]
    fn take_now<E: Entry>((inner, ticks, n): (&Self, u64, u64), entry: &E) -> Result<Decision, Moved> {
        inner.take(entry, ticks, n, |_| false)
    }

    fn count(&self, tally: &KeyTally, allowed: bool) {
        tally.record(allowed);
        self.count_total(allowed);
    }

    fn count_total(&self, allowed: bool) {
        if let Some(totals) = &self.totals {
            totals.record(allowed, 0);
        }
    }

    #[inline(always)]
    pub(super) fn try_acquire_n<Q>(self: &Arc<Self>, key: &Q, n: u64) -> Result<(), RateLimitExceeded>
    where
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        K: Borrow<Q>,
    {
        if n == 0 {
            return Ok(());
        }
        each!(&self.stores, store => self.try_acquire_in(store, key, n))
    }

    #[inline(always)]
    fn try_acquire_in<Q, E: Entry>(
        self: &Arc<Self>,
        store: &Store<K, E>,
        key: &Q,
        n: u64,
    ) -> Result<(), RateLimitExceeded>
    where
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        K: Borrow<Q>,
    {
        let hash = store.hash(key);
        // Before the guard: the clock is the caller's.
        let ticks = self.clock.ticks();
        let (result, weight) = match store.with_given(hash, key, (&**self, ticks, n), Self::take_now) {
            Some(Ok(decision)) => (self.outcome(decision, n), 1),
            Some(Err(Moved)) => (self.elsewhere(store, hash, key, ticks, n), 1),
            None => (self.elsewhere(store, hash, key, ticks, n), NEWCOMER),
        };
        self.tidy(store, ticks, weight);
        result
    }

    /// A piece of the clean-up, if this call should do one; it counts for so many.
    #[inline(always)]
    fn tidy<E: Entry>(&self, store: &Store<K, E>, ticks: u64, weight: u32) {
        if self.cleanup.is_due(ticks, weight) {
            self.cleanup.sweep_piece(store, &self.rules.own().params, ticks);
        }
    }

    /// By a key's bucket, or as a newcomer; whichever it is by now.
    #[cold]
    #[inline(never)]
    fn elsewhere<Q, E: Entry>(
        self: &Arc<Self>,
        store: &Store<K, E>,
        hash: u64,
        key: &Q,
        ticks: u64,
        n: u64,
    ) -> Result<(), RateLimitExceeded>
    where
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        K: Borrow<Q>,
    {
        loop {
            if let Some(bucket) = self.moved(store, hash, key) {
                return User::new(self, bucket).try_acquire_n(n);
            }
            match self.newcomer(store, hash, key, ticks, n, |_| false) {
                Newcomer::Decided(decision) => return self.outcome(decision, n),
                Newcomer::Moved => {}
                Newcomer::NoPlace => {
                    return match &self.overflow {
                        Some(overflow) => overflow.bucket.try_acquire_n(n),
                        None => Err(self.exhausted(store)),
                    };
                }
            }
        }
    }

    fn exhausted<E>(&self, store: &Store<K, E>) -> RateLimitExceeded {
        self.count_total(false);
        RateLimitExceeded::KeysExhausted { max_keys: store.max_keys() }
    }

    /// Lets `key` in with its first charge, unless that is denied or there is no place.
    fn newcomer<Q, E: Entry>(
        &self,
        store: &Store<K, E>,
        hash: u64,
        key: &Q,
        mut ticks: u64,
        n: u64,
        waits: impl Patience,
    ) -> Newcomer
    where
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        K: Borrow<Q>,
    {
        let own = self.rules.own();
        if self.rules.are_one() && n > own.params.capacity() {
            return Newcomer::Decided(self.impossible(own));
        }
        let no_place = |ticks| match store.with(hash, key, |entry| self.take(entry, ticks, n, waits)) {
            // It has one: it came in, or was in use, a moment ago.
            Some(result) => Newcomer::from(result),
            None => Newcomer::NoPlace,
        };
        let mut reserved = self.place(store, ticks);
        if reserved.is_none() {
            return no_place(ticks);
        }
        if !self.rules.are_one() {
            // Others may have the place while the question is asked.
            reserved = None;
        }
        let mut key = key.to_owned();
        let mut denied_by = 0;
        loop {
            let rule = self.rules.ask_for_newcomer(hash, &key, &self.clock);
            let tier = self.rules.tier(rule.tier.as_ref());
            if n > tier.params.capacity() {
                return Newcomer::Decided(self.impossible(tier));
            }
            reserved = reserved.or_else(|| self.place(store, ticks));
            if reserved.is_none() {
                return no_place(ticks);
            }
            let mut denied = None;
            let entered = store.enter(hash, key, &mut reserved, |known| {
                if let Some(entry) = known {
                    return Enter::Leave(Newcomer::from(self.take(entry, ticks, n, waits)));
                }
                if !rule.is_current() {
                    return Enter::Again;
                }
                let fresh = store.fresh(hash, &tier.params);
                let take = tier.params.take(fresh, ticks, n);
                let Take::Granted(instant) = take else {
                    denied = Some((Decision::new(take, &tier.params, ticks), fresh));
                    return Enter::Again;
                };
                let tally = self.new_tally();
                if let Some(tally) = &tally {
                    self.count(tally, true);
                }
                Enter::Insert(E::new(instant, rule.tier.clone(), tally), Newcomer::Decided(Decision::Granted))
            });
            key = match entered {
                Ok(newcomer) => return newcomer,
                Err(key) => key,
            };
            if let Some((denied, fresh)) = denied {
                // Somebody was dropped since the reading: by a clock that runs on, a new one is not older than that, unless
                // somebody was dropped again. One that has stepped back may be older for long.
                let now = self.clock.ticks();
                if now <= ticks || fresh == denied_by {
                    match denied {
                        Decision::Denied(wait) if waits(wait) => {}
                        _ => self.count_total(false),
                    }
                    return Newcomer::Decided(denied);
                }
                (ticks, denied_by) = (now, fresh);
            }
        }
    }

    fn new_tally(&self) -> Option<Arc<KeyTally>> {
        self.totals.as_ref().map(|_| Arc::new(KeyTally::new()))
    }

    /// The answer to a call for more than there ever is; counted.
    fn impossible(&self, tier: &Tier) -> Decision {
        self.count_total(false);
        Decision::Impossible(tier.params.capacity())
    }

    /// A place for a newcomer, for whom somebody goes who is as good as new.
    fn place<'a, E: Entry>(&self, store: &'a Store<K, E>, ticks: u64) -> Option<Reserved<'a, K, E>> {
        loop {
            if let Some(reserved) = store.reserve() {
                return Some(reserved);
            }
            if !self.cleanup.make_room(store, &self.rules.own().params, ticks) {
                return None;
            }
        }
    }

    #[inline(always)]
    fn outcome(&self, decision: Decision, n: u64) -> Result<(), RateLimitExceeded> {
        match decision {
            Decision::Denied(wait) => {
                Err(RateLimitExceeded::Denied { retry_after: duration(self.clock.tick_length(), wait) })
            }
            Decision::Impossible(capacity) => Err(RateLimitExceeded::ExceedsCapacity { requested: n, capacity }),
            Decision::Granted => Ok(()),
        }
    }

    /// What `by_word` or `by_bucket` says of a key; one that is not known is asked for, and looked at as if it was.
    pub(super) fn look<Q, T>(
        self: &Arc<Self>,
        key: &Q,
        by_word: impl Fn(&Params, u64, u64) -> T,
        by_bucket: impl Fn(&TokenBucket<C>) -> T,
    ) -> T
    where
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        K: Borrow<Q>,
    {
        each!(&self.stores, store => {
            let (hash, ticks) = (store.hash(key), self.clock.ticks());
            let own = &self.rules.own().params;
            let look = |entry: &_| match entry::look(Entry::word(entry)) {
                Ok(instant) => Ok(by_word(Entry::params(entry, own), instant, ticks)),
                Err(place) => Err(self.promoted.get(place)),
            };
            match store.with(hash, key, look) {
                Some(Ok(result)) => result,
                Some(Err(bucket)) => by_bucket(&User::new(self, bucket)),
                None if self.rules.are_one() => by_word(own, store.fresh(hash, own), ticks),
                None => {
                    let tier = self.rules.ask(&key.to_owned(), &self.clock);
                    let params = &self.rules.tier(tier.as_ref()).params;
                    by_word(params, store.fresh(hash, params), ticks)
                }
            }
        })
    }

    /// Gives `n` permits of `key`'s back.
    #[inline(always)]
    pub(super) fn refund<Q>(self: &Arc<Self>, key: &Q, n: u64)
    where
        Q: ?Sized + Hash + Eq,
        K: Borrow<Q>,
    {
        each!(&self.stores, store => {
            let (hash, ticks) = (store.hash(key), self.clock.ticks());
            loop {
                let give_back = |entry: &_| {
                    let params = Entry::params(entry, &self.rules.own().params);
                    entry::give_back(Entry::word(entry), params, ticks, n)
                };
                // Of one who is not known nothing is missing.
                let Some(Err(Moved)) = store.with(hash, key, give_back) else {
                    return;
                };
                if let Some(bucket) = self.moved(store, hash, key) {
                    return User::new(self, bucket).refund(n);
                }
            }
        })
    }

    /// Forgets `key`; one in use starts afresh in place. Tells whether it was known.
    pub(super) fn remove<Q>(self: &Arc<Self>, key: &Q) -> bool
    where
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        K: Borrow<Q>,
    {
        each!(&self.stores, store => {
            let hash = store.hash(key);
            loop {
                let mut is_moved = false;
                let removed = store.remove_if(hash, |known, _| known.borrow() == key, |entry| {
                    is_moved = entry::look(entry.word()).is_err();
                    !is_moved
                });
                if !is_moved {
                    return removed.is_some();
                }
                if let Some(bucket) = self.moved(store, hash, key) {
                    let (user, key) = (User::new(self, bucket), key.to_owned());
                    user.rule(|| self.rules.ask(&key, &self.clock));
                    user.reset();
                    return true;
                }
            }
        })
    }

    /// Forgets all keys; those in use start afresh in place.
    pub(super) fn clear(self: &Arc<Self>) {
        let mut in_use = Vec::new();
        each!(&self.stores, store => store.clear(|place| in_use.push(User::new(self, self.promoted.get(place)))));
        in_use.iter().for_each(User::reset);
    }

    /// Asks for `key` again, who keeps what it owes. Tells whether it was known.
    pub(super) fn requota<Q>(self: &Arc<Self>, key: &Q) -> bool
    where
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        K: Borrow<Q>,
        C: Clone,
    {
        each!(&self.stores, store => {
            let hash = store.hash(key);
            // Before it is looked for: whoever lets it in after that finds its answer struck out.
            self.rules.strike_out(hash);
            let Some(user) = self.user(store, hash, key) else {
                return false;
            };
            let key = key.to_owned();
            if user.rule(|| self.rules.ask(&key, &self.clock)) {
                user.wake_after_change();
            }
            true
        })
    }

    /// A user of a key that is known.
    fn user<Q, E: Entry>(self: &Arc<Self>, store: &Store<K, E>, hash: u64, key: &Q) -> Option<User<K, C>>
    where
        Q: ?Sized + Eq,
        K: Borrow<Q>,
        C: Clone,
    {
        let bucket = self.moved(store, hash, key).or_else(|| {
            let mut clock = Some(self.clock.clone());
            store.with_mut(hash, key, |entry| self.promote(entry, hash, &mut clock))
        });
        bucket.map(|bucket| User::new(self, bucket))
    }

    /// A user of `key`, which is let in uncharged, if it is not known; `None` if there is no place for it.
    fn enter<E: Entry>(self: &Arc<Self>, store: &Store<K, E>, hash: u64, mut key: K, ticks: u64) -> Option<User<K, C>>
    where
        C: Clone,
    {
        loop {
            if let Some(user) = self.user(store, hash, &key) {
                return Some(user);
            }
            let rule = self.rules.ask_for_newcomer(hash, &key, &self.clock);
            let mut reserved = self.place(store, ticks);
            if reserved.is_none() {
                // It may have come in, and taken the last one.
                return self.user(store, hash, &key);
            }
            let mut clock = Some(self.clock.clone());
            let entered = store.enter(hash, key, &mut reserved, |known| {
                if known.is_some() || !rule.is_current() {
                    return Enter::Again;
                }
                let instant = store.fresh(hash, &self.rules.tier(rule.tier.as_ref()).params);
                let entry = E::new(instant, rule.tier.clone(), self.new_tally());
                let bucket = self.promote(&entry, hash, &mut clock);
                Enter::Insert(entry, bucket)
            });
            match entered {
                Ok(bucket) => return Some(User::new(self, bucket)),
                Err(again) => key = again,
            }
        }
    }

    /// A user of `key`, who is let in if it is not known. One for whom there is no place has a share of the overflow bucket, or a
    /// bucket that holds nothing.
    pub(super) fn user_of(self: &Arc<Self>, key: K) -> User<K, C>
    where
        C: Clone,
    {
        let ticks = self.clock.ticks();
        let user = each!(&self.stores, store => {
            self.tidy(store, ticks, NEWCOMER);
            self.enter(store, store.hash(&key), key, ticks)
        });
        user.unwrap_or_else(|| match &self.overflow {
            Some(overflow) => User::of_overflow(self, overflow),
            None => {
                let closed = Tier::closed(self.rules.own().quota, &self.clock);
                User::new(self, KeyBucket::apart(&closed, self.totals.as_ref(), self.clock.clone()))
            }
        })
    }

    /// Takes `n` permits of `key`'s, or tells in which line to wait for them, unless that takes longer than `timeout`.
    #[cfg(feature = "async")]
    pub(super) fn acquire_n<Q>(self: &Arc<Self>, key: &Q, n: u64, timeout: Option<Duration>) -> Waiting<K, C>
    where
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        K: Borrow<Q>,
        C: Clone,
    {
        if n == 0 {
            return Waiting::Settled(Ok(()));
        }
        let length = self.clock.tick_length();
        // Of a key that is not in use nobody waits before.
        let waits = |wait| timeout.is_none_or(|timeout| duration(length, wait) <= timeout);
        each!(&self.stores, store => {
            let (hash, ticks) = (store.hash(key), self.clock.ticks());
            loop {
                let known = store.with(hash, key, |entry| self.take(entry, ticks, n, waits));
                self.tidy(store, ticks, if known.is_some() { 1 } else { NEWCOMER });
                let newcomer = match known {
                    Some(result) => Newcomer::from(result),
                    None => self.newcomer(store, hash, key, ticks, n, waits),
                };
                match newcomer {
                    Newcomer::Decided(Decision::Denied(wait)) if waits(wait) => {
                        // One who is not known is denied while the clock is back behind somebody who was dropped.
                        if let Some(user) = self.enter(store, hash, key.to_owned(), ticks) {
                            return Waiting::By(user);
                        }
                    }
                    Newcomer::Decided(decision) => return Waiting::Settled(self.outcome(decision, n)),
                    Newcomer::Moved => {
                        if let Some(user) = self.user(store, hash, key) {
                            return Waiting::By(user);
                        }
                    }
                    Newcomer::NoPlace => {
                        return match &self.overflow {
                            Some(overflow) => Waiting::By(User::of_overflow(self, overflow)),
                            None => Waiting::Settled(Err(self.exhausted(store))),
                        };
                    }
                }
            }
        })
    }
}

impl<K> Stores<K> {
    pub(super) fn len(&self) -> usize {
        each!(self, store => store.len())
    }

    pub(super) fn max_keys(&self) -> usize {
        each!(self, store => store.max_keys())
    }
}
