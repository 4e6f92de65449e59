//! What a per-key limiter is inside: decisions by key, whether it has a word, a bucket, or nothing yet.

use alloc::borrow::ToOwned;
use alloc::sync::Arc;
use core::borrow::Borrow;
use core::hash::Hash;

use super::cleanup::{Cleanup, NEWCOMER};
use super::entry::{self, Decision, Entry, Full, Plain};
use super::promoted::{KeyBucket, Promoted, User};
use super::shards::Enter;
use super::store::{Reserved, Store};
use super::tier::Rules;
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
    /// All places are taken by keys that owe.
    NoPlace,
}

/// A key that is to be waited for.
#[cfg(feature = "async")]
pub(super) enum Waiting<K: Eq + Hash, C: Clock> {
    /// Not any more: it was counted.
    Settled(Result<(), RateLimitExceeded>),
    /// In the line of this bucket.
    By(User<K, C>),
}

impl<K: Eq + Hash, C: Clock> Inner<K, C> {
    /// Takes `n` permits of an entry's, or nothing; counts that, but a denial only if nobody will wait for it.
    #[inline(always)]
    fn take<E: Entry>(&self, entry: &E, ticks: u64, n: u64, waits: bool) -> Decision {
        let decision = entry::take(entry.word(), entry.params(&self.rules.own().params), ticks, n);
        if let Some(tally) = entry.tally() {
            match decision {
                Decision::Moved => {}
                Decision::Denied(_) if waits => {}
                decision => self.count(tally, decision == Decision::Granted),
            }
        }
        decision
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
        let (result, weight) = match store.with(hash, key, |entry| self.take(entry, ticks, n, false)) {
            Some(Decision::Moved) => (self.elsewhere(store, hash, key, ticks, n), 1),
            Some(decision) => (self.outcome(decision, n), 1),
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
            match self.newcomer(store, hash, key, ticks, n, false) {
                Newcomer::Decided(Decision::Moved) => {}
                Newcomer::Decided(decision) => return self.outcome(decision, n),
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
        waits: bool,
    ) -> Newcomer
    where
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        K: Borrow<Q>,
    {
        let own = &self.rules.own().params;
        if let (true, Some(impossible)) = (self.rules.are_one(), self.impossible(own, n)) {
            return Newcomer::Decided(impossible);
        }
        let mut reserved = self.place(store, ticks);
        if reserved.is_none() {
            return Newcomer::NoPlace;
        }
        let mut key = key.to_owned();
        loop {
            let rule = self.rules.ask(&key, &self.clock);
            let mut denied = None;
            let entered = store.enter(hash, key, &mut reserved, |known| {
                if let Some(entry) = known {
                    return Enter::Leave(self.take(entry, ticks, n, waits));
                }
                if !self.rules.is_current(&rule) {
                    return Enter::Again;
                }
                let params = &self.rules.tier(rule.tier.as_ref()).params;
                match params.take(store.fresh(params), ticks, n) {
                    Take::Granted(instant) => {
                        let tally = self.new_tally();
                        if let Some(tally) = &tally {
                            self.count(tally, true);
                        }
                        Enter::Insert(E::new(instant, rule.tier.clone(), tally), Decision::Granted)
                    }
                    Take::Denied(_) => {
                        denied = Some(Decision::new(params.take(store.fresh(params), ticks, n), params, ticks));
                        Enter::Again
                    }
                    Take::Impossible => {
                        self.count_total(false);
                        Enter::Leave(Decision::Impossible(params.capacity()))
                    }
                }
            });
            key = match entered {
                Ok(decision) => return Newcomer::Decided(decision),
                Err(key) => key,
            };
            if let Some(denied) = denied {
                // Somebody was dropped since the reading: by a clock that runs on, a new one is not older than that.
                let now = self.clock.ticks();
                if now <= ticks {
                    if !waits {
                        self.count_total(false);
                    }
                    return Newcomer::Decided(denied);
                }
                ticks = now;
            }
        }
    }

    fn new_tally(&self) -> Option<Arc<KeyTally>> {
        self.totals.as_ref().map(|_| Arc::new(KeyTally::new()))
    }

    /// The answer to a call for more than there ever is under `params`; counted.
    fn impossible(&self, params: &Params, n: u64) -> Option<Decision> {
        let capacity = params.capacity();
        (n > capacity).then(|| {
            self.count_total(false);
            Decision::Impossible(capacity)
        })
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
            Decision::Granted | Decision::Moved => Ok(()),
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
                None if self.rules.are_one() => by_word(own, store.fresh(own), ticks),
                None => {
                    let rule = self.rules.ask(&key.to_owned(), &self.clock);
                    let params = &self.rules.tier(rule.tier.as_ref()).params;
                    by_word(params, store.fresh(params), ticks)
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
                if store.with(hash, key, give_back).unwrap_or(true) {
                    return;
                }
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
                    let user = User::new(self, bucket);
                    self.rules.renew();
                    self.rule_again(&user, &key.to_owned());
                    user.reset();
                    return true;
                }
            }
        })
    }

    /// Forgets all keys; those in use start afresh in place.
    pub(super) fn clear(self: &Arc<Self>) {
        each!(&self.stores, store => store.clear());
        for bucket in self.promoted.all() {
            User::new(self, bucket).reset();
        }
    }

    /// Asks for `key` again, who keeps what it owes. Tells whether it was known.
    pub(super) fn requota<Q>(self: &Arc<Self>, key: &Q) -> bool
    where
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        K: Borrow<Q>,
        C: Clone,
    {
        // Before it is looked for: whoever lets it in with an older answer comes after this, and sees it.
        self.rules.renew();
        each!(&self.stores, store => {
            let Some(user) = self.user(store, store.hash(key), key) else {
                return false;
            };
            self.rule_again(&user, &key.to_owned());
            true
        })
    }

    fn rule_again(&self, user: &User<K, C>, key: &K) {
        user.rule(|| self.rules.ask(key, &self.clock));
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

    /// A user of `key`, which is let in, on the place that is reserved, if it is not known.
    fn enter<E: Entry>(
        self: &Arc<Self>,
        store: &Store<K, E>,
        hash: u64,
        mut key: K,
        reserved: Reserved<'_, K, E>,
    ) -> User<K, C>
    where
        C: Clone,
    {
        let mut reserved = Some(reserved);
        loop {
            let rule = self.rules.ask(&key, &self.clock);
            let mut clock = Some(self.clock.clone());
            let entered = store.enter(hash, key, &mut reserved, |known| {
                if let Some(entry) = known {
                    return Enter::Leave(self.promote(entry, hash, &mut clock));
                }
                if !self.rules.is_current(&rule) {
                    return Enter::Again;
                }
                let instant = store.fresh(&self.rules.tier(rule.tier.as_ref()).params);
                let entry = E::new(instant, rule.tier.clone(), self.new_tally());
                let bucket = self.promote(&entry, hash, &mut clock);
                Enter::Insert(entry, bucket)
            });
            match entered {
                Ok(bucket) => return User::new(self, bucket),
                Err(again) => key = again,
            }
        }
    }

    /// A user of `key`, who is let in if it is not known, for whom a place is made or added.
    pub(super) fn user_of(self: &Arc<Self>, key: K) -> User<K, C>
    where
        C: Clone,
    {
        each!(&self.stores, store => {
            let hash = store.hash(&key);
            if let Some(user) = self.user(store, hash, &key) {
                return user;
            }
            let reserved = self.place(store, self.clock.ticks()).unwrap_or_else(|| store.reserve_one_more());
            self.enter(store, hash, key, reserved)
        })
    }

    /// Takes `n` permits of `key`'s, or tells in which line to wait for them.
    #[cfg(feature = "async")]
    pub(super) fn acquire_n<Q>(self: &Arc<Self>, key: &Q, n: u64) -> Waiting<K, C>
    where
        Q: ?Sized + Hash + Eq + ToOwned<Owned = K>,
        K: Borrow<Q>,
        C: Clone,
    {
        if n == 0 {
            return Waiting::Settled(Ok(()));
        }
        each!(&self.stores, store => {
            let (hash, ticks) = (store.hash(key), self.clock.ticks());
            self.tidy(store, ticks, NEWCOMER);
            loop {
                let decision = store.with(hash, key, |entry| self.take(entry, ticks, n, true));
                let decision = match decision {
                    Some(decision) => decision,
                    None => match self.newcomer(store, hash, key, ticks, n, true) {
                        Newcomer::Decided(decision) => decision,
                        Newcomer::NoPlace => {
                            return match &self.overflow {
                                Some(overflow) => Waiting::By(User::of_overflow(self, overflow)),
                                None => Waiting::Settled(Err(self.exhausted(store))),
                            };
                        }
                    },
                };
                if !matches!(decision, Decision::Denied(_) | Decision::Moved) {
                    return Waiting::Settled(self.outcome(decision, n));
                }
                if let Some(user) = self.user(store, hash, key) {
                    return Waiting::By(user);
                }
                // One who is not known is denied while the clock is back behind somebody who was dropped: it needs a line.
                if let (Decision::Denied(_), Some(reserved)) = (decision, self.place(store, ticks)) {
                    return Waiting::By(self.enter(store, hash, key.to_owned(), reserved));
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
