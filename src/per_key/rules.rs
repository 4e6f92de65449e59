//! Which quota a key has: the limiter's, or one of its own, as `quota_for` says.
//!
//! That is the caller's code, so it is asked without a lock, and its answer may be out of date when it is put into force. An
//! answer for a newcomer is on a list while it is on its way, and `requota` strikes it out there, before it looks for the key; who
//! has an answer struck out asks again. Of a key in use the same is done by a number of its own: see `promoted`.

use alloc::boxed::Box;
use alloc::sync::Arc;

use crossbeam_utils::CachePadded;
use slab::Slab;

use super::tier::{Tier, Tiers};
use crate::clock::Clock;
use crate::quota::Quota;
use crate::sync::{Mutex, MutexGuard};

/// Tells a key's quota, unless it is the limiter's.
pub(super) type QuotaFor<K> = Box<dyn Fn(&K) -> Option<Quota> + Send + Sync>;

pub(super) struct Rules<K> {
    /// The limiter's own.
    own: Tier,
    /// None if all keys have that.
    others: Option<Box<Others<K>>>,
}

/// Who has another one.
struct Others<K> {
    quota_for: QuotaFor<K>,
    tiers: Tiers,
    /// Newcomers that are being asked for, in one of some lists by their hash.
    newcomers: [CachePadded<Mutex<Slab<Newcomer>>>; LISTS],
}

/// So that threads that let keys in seldom meet.
const LISTS: usize = 16;

impl<K> Others<K> {
    fn ask(&self, key: &K, clock: &impl Clock) -> Option<Arc<Tier>> {
        (self.quota_for)(key).map(|quota| self.tiers.get(quota, clock))
    }

    fn list(&self, hash: u64) -> &Mutex<Slab<Newcomer>> {
        &self.newcomers[hash as usize % LISTS]
    }
}

struct Newcomer {
    hash: u64,
    is_out_of_date: bool,
}

/// An answer for a newcomer, on its way.
pub(super) struct Rule<'a> {
    /// `None`: the limiter's own.
    pub(super) tier: Option<Arc<Tier>>,
    /// Where it stands in the list, if there is a question.
    place: Option<(&'a Mutex<Slab<Newcomer>>, usize)>,
}

impl<K> Rules<K> {
    pub(super) fn new(own: Tier, quota_for: Option<QuotaFor<K>>) -> Self {
        let newcomers = || core::array::from_fn(|_| CachePadded::new(Mutex::new(Slab::new())));
        let others = |quota_for| Box::new(Others { quota_for, tiers: Tiers::new(), newcomers: newcomers() });
        Self { own, others: quota_for.map(others) }
    }

    #[inline(always)]
    pub(super) fn own(&self) -> &Tier {
        &self.own
    }

    /// Whether all keys have the limiter's quota.
    pub(super) fn are_one(&self) -> bool {
        self.others.is_none()
    }

    /// The tier of `key`, unless that is the limiter's own.
    pub(super) fn ask(&self, key: &K, clock: &impl Clock) -> Option<Arc<Tier>> {
        self.others.as_ref()?.ask(key, clock)
    }

    /// The same for one who is to be let in.
    pub(super) fn ask_for_newcomer(&self, hash: u64, key: &K, clock: &impl Clock) -> Rule<'_> {
        let mut rule = Rule { tier: None, place: None };
        if let Some(others) = &self.others {
            let list = others.list(hash);
            rule.place = Some((list, lock(list).insert(Newcomer { hash, is_out_of_date: false })));
            rule.tier = others.ask(key, clock);
        }
        rule
    }

    /// Answers for newcomers of this hash that are on their way are out of date.
    pub(super) fn strike_out(&self, hash: u64) {
        if let Some(others) = &self.others {
            for (_, newcomer) in lock(others.list(hash)).iter_mut() {
                newcomer.is_out_of_date |= newcomer.hash == hash;
            }
        }
    }

    /// The tier of a rule, and of a key.
    #[inline(always)]
    pub(super) fn tier<'a>(&'a self, tier: Option<&'a Arc<Tier>>) -> &'a Tier {
        tier.map_or(&self.own, |tier| tier)
    }
}

impl Rule<'_> {
    /// Whether it may be put into force: asked under the guard under which it is.
    pub(super) fn is_current(&self) -> bool {
        self.place.is_none_or(|(newcomers, place)| !lock(newcomers)[place].is_out_of_date)
    }
}

impl Drop for Rule<'_> {
    fn drop(&mut self) {
        if let Some((newcomers, place)) = self.place {
            lock(newcomers).remove(place);
        }
    }
}

fn lock(newcomers: &Mutex<Slab<Newcomer>>) -> MutexGuard<'_, Slab<Newcomer>> {
    // A poisoned list is taken all the same: nothing in here panics half-way.
    newcomers.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use core::panic::AssertUnwindSafe;
    use std::panic::catch_unwind;

    /// Kills: a question that stays in its list when it is answered, or when it panics.
    #[test]
    fn questions_leave_nothing() {
        let (quota, clock) = (Quota::per_second(1), ManualClock::new());
        let own = Tier::new(quota, &clock).unwrap();
        let rules: Rules<u64> = Rules::new(
            own,
            Some(Box::new(|&key: &u64| (key != 7).then_some(Quota::per_second(2)).or_else(|| panic!()))),
        );
        let asked = || rules.others.as_ref().unwrap().newcomers.iter().map(|list| lock(list).len()).sum::<usize>();
        let first = rules.ask_for_newcomer(1, &1, &clock);
        assert_eq!((first.is_current(), asked()), (true, 1));
        assert!(catch_unwind(AssertUnwindSafe(|| rules.ask_for_newcomer(1, &7, &clock).is_current())).is_err());
        assert_eq!(asked(), 1);
        rules.strike_out(1);
        assert!(!first.is_current());
        drop(first);
        assert_eq!(asked(), 0);
    }
}
