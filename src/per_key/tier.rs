//! Quotas, with the parameters that all keys of one have.

use alloc::sync::Arc;
use std::collections::HashMap;

use crate::algorithm::token_bucket::{Params, Scale};
use crate::clock::Clock;
use crate::error::ConfigError;
use crate::quota::Quota;
use crate::sync::RwLock;

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

    /// One whose keys are given nothing.
    pub(super) fn closed(quota: Quota, clock: &impl Clock) -> Self {
        Self::on_scale(quota.burst(0), Scale::nothing(), clock)
    }

    /// Whether its keys are given nothing: they are never as good as new.
    pub(super) fn is_closed(&self) -> bool {
        self.params.capacity() == 0
    }

    fn on_scale(quota: Quota, scale: Scale, clock: &impl Clock) -> Self {
        Self { quota, scale, params: Params::fresh(&scale, clock.tick_length(), clock.ticks()) }
    }
}

/// The tiers that keys have: one of each quota.
pub(super) struct Tiers(RwLock<Table>);

struct Table {
    by_quota: HashMap<Quota, Arc<Tier>>,
    /// When there are so many, those that nobody has are dropped.
    many: usize,
}

impl Tiers {
    pub(super) fn new() -> Self {
        Self(RwLock::new(Table { by_quota: HashMap::new(), many: FEW }))
    }

    /// The tier of `quota`.
    pub(super) fn get(&self, quota: Quota, clock: &impl Clock) -> Arc<Tier> {
        // A poisoned table is taken all the same, here and below: nothing in here panics half-way.
        let known = self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner()).by_quota.get(&quota).cloned();
        if let Some(tier) = known {
            return tier;
        }
        // Without the lock: it asks the clock.
        let tier = Arc::new(Tier::new(quota, clock).unwrap_or_else(|_| Tier::closed(quota, clock)));
        let mut table = self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let tier = Arc::clone(table.by_quota.entry(quota).or_insert(tier));
        if table.by_quota.len() >= table.many {
            table.by_quota.retain(|_, tier| Arc::strong_count(tier) > 1);
            table.many = FEW.max(2 * table.by_quota.len());
        }
        tier
    }
}

#[cfg(all(test, feature = "std", not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    /// Kills: quotas that nobody has and that stay; a key's that goes; a search for them at every new one.
    #[test]
    fn quotas_that_nobody_has_go() {
        let (tiers, clock) = (Tiers::new(), ManualClock::new());
        let get = |permits| tiers.get(Quota::per_second(permits), &clock);
        let len = || (tiers.0.read().unwrap().by_quota.len(), tiers.0.read().unwrap().many);
        let held: Vec<_> = (1..=100).map(get).collect();
        assert_eq!(len(), (100, 2 * FEW));
        for permits in 101..1_000 {
            drop(get(permits));
            assert!(len().0 < 203);
        }
        assert!((1..).zip(&held).all(|(permits, tier)| Arc::ptr_eq(tier, &get(permits))));
        drop(held);
        for permits in 2_000..3_000 {
            drop(get(permits));
        }
        assert!(len().0 < FEW);
        assert_eq!(len().1, FEW);
    }
}
