//! Which quota a key has: the limiter's, or one of its own, as `quota_for` rules.

use alloc::boxed::Box;
use alloc::sync::Arc;
use std::collections::HashMap;

use crate::algorithm::token_bucket::{Params, Scale};
use crate::clock::Clock;
use crate::error::ConfigError;
use crate::quota::Quota;
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};

/// So many quotas are kept before those that no key has are looked for.
const FEW: usize = 64;

/// A quota, and the parameters of the buckets of all keys that have it. They never change.
#[derive(Debug)]
pub(super) struct Tier {
    pub(super) quota: Quota,
    pub(super) scale: Scale,
    pub(super) params: Params,
}

impl Tier {
    pub(super) fn new(quota: Quota, clock: &impl Clock) -> Result<Self, ConfigError> {
        Ok(Self::on_scale(quota, Scale::finest(&quota)?, clock))
    }

    /// Of a quota that no bucket can keep: its keys are given nothing.
    fn new_or_nothing(quota: Quota, clock: &impl Clock) -> Self {
        let nothing = |_| Self::on_scale(quota.burst(0), Scale::nothing(), clock);
        Self::new(quota, clock).unwrap_or_else(nothing)
    }

    fn on_scale(quota: Quota, scale: Scale, clock: &impl Clock) -> Self {
        Self { quota, scale, params: Params::fresh(&scale, clock.tick_length(), clock.ticks()) }
    }
}

/// The tiers that keys have: one of each quota.
struct Tiers(Mutex<Table>);

struct Table {
    by_quota: HashMap<Quota, Arc<Tier>>,
    /// When there are so many, those that nobody has are dropped.
    many: usize,
}

impl Tiers {
    fn new() -> Self {
        Self(Mutex::new(Table { by_quota: HashMap::new(), many: FEW }))
    }

    /// The tier of `quota`.
    fn get(&self, quota: Quota, clock: &impl Clock) -> Arc<Tier> {
        if let Some(tier) = self.lock().by_quota.get(&quota) {
            return Arc::clone(tier);
        }
        // Without the lock: it asks the clock.
        let tier = Arc::new(Tier::new_or_nothing(quota, clock));
        let mut table = self.lock();
        let tier = Arc::clone(table.by_quota.entry(quota).or_insert(tier));
        if table.by_quota.len() >= table.many {
            table.by_quota.retain(|_, tier| Arc::strong_count(tier) > 1);
            table.many = FEW.max(2 * table.by_quota.len());
        }
        tier
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // A poisoned table is taken all the same: nothing in here panics half-way.
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Tells a key's quota, unless it is the limiter's.
pub(super) type QuotaFor<K> = Box<dyn Fn(&K) -> Option<Quota> + Send + Sync>;

/// Who has which quota.
pub(super) struct Rules<K> {
    /// The limiter's own.
    own: Tier,
    quota_for: Option<QuotaFor<K>>,
    tiers: Tiers,
    /// Moved on before a key is asked for again. Whoever puts an answer into force, under a lock that orders it with others
    /// who do so for that key, sees here whether it may be out of date.
    epoch: AtomicU64,
}

/// An answer.
pub(super) struct Rule {
    /// `None`: the limiter's own.
    pub(super) tier: Option<Arc<Tier>>,
    epoch: u64,
}

impl<K> Rules<K> {
    pub(super) fn new(own: Tier, quota_for: Option<QuotaFor<K>>) -> Self {
        Self { own, quota_for, tiers: Tiers::new(), epoch: AtomicU64::new(0) }
    }

    #[inline(always)]
    pub(super) fn own(&self) -> &Tier {
        &self.own
    }

    /// Whether all keys have the limiter's quota.
    pub(super) fn are_one(&self) -> bool {
        self.quota_for.is_none()
    }

    /// Asks for `key`: the caller's code, so never under a lock.
    pub(super) fn ask(&self, key: &K, clock: &impl Clock) -> Rule {
        // Ordering: Acquire pairs with `renew`: a question asked after it is answered after it.
        let epoch = self.epoch.load(Ordering::Acquire);
        let quota = self.quota_for.as_ref().and_then(|quota_for| quota_for(key));
        Rule { tier: quota.map(|quota| self.tiers.get(quota, clock)), epoch }
    }

    /// Answers to questions that were asked before this are out of date.
    pub(super) fn renew(&self) {
        // Ordering: Release pairs with the Acquire in `ask` and `is_current`.
        self.epoch.fetch_add(1, Ordering::Release);
    }

    /// Whether `rule` may still be put into force.
    pub(super) fn is_current(&self, rule: &Rule) -> bool {
        // Ordering: Acquire pairs with `renew`. One that is not seen here comes to the lock later, with a newer answer.
        self.epoch.load(Ordering::Acquire) == rule.epoch
    }

    /// The tier of a rule, and of a key.
    #[inline(always)]
    pub(super) fn tier<'a>(&'a self, tier: Option<&'a Arc<Tier>>) -> &'a Tier {
        tier.map_or(&self.own, |tier| tier)
    }
}
