//! Our per-key limiters that do more than the plain one: what counting costs, and quotas by key.

use core::num::NonZeroU32;
use core::time::Duration;
use std::rc::Rc;

use sluicegate::{KeyHandle, PerKeyRateLimiter};

use super::{HANDLE, Held, Key, Keyed, OURS, Sequence, Subject, Suite, Work, by_handle, quota, subject};

/// The name of the one that counts.
pub const STATS: &str = "sluicegate_stats";
/// The name of the one that asks for quotas.
pub const QUOTA_FOR: &str = "sluicegate_quota_for";

/// Calls are counted, by key and all together.
#[derive(Debug)]
pub struct Counted<K: Key>(PerKeyRateLimiter<K>);

/// Every other key, the first one included, has a quota of its own: one permit less of a burst. The rest have the
/// limiter's, so that a call cannot foresee which it is.
#[derive(Debug)]
pub struct Tiered<K: Key>(PerKeyRateLimiter<K>);

/// A key of which one can tell whether it is one of every other.
pub trait Numbered: Key {
    /// Whether it is.
    fn is_even(&self) -> bool;
}

impl Numbered for u64 {
    fn is_even(&self) -> bool {
        self % 2 == 0
    }
}

/// Of one that ends in a digit.
impl Numbered for String {
    fn is_even(&self) -> bool {
        self.as_bytes().last().is_some_and(|digit| digit % 2 == 0)
    }
}

impl<K: Key> Keyed<K> for Counted<K> {
    fn make(cleanup_interval: Duration) -> Self {
        let builder = PerKeyRateLimiter::builder(quota()).cleanup_interval(cleanup_interval).stats();
        Self(builder.build().expect("the quota fits"))
    }

    #[inline(always)]
    fn take(&self, key: &K) -> bool {
        self.0.take(key)
    }

    fn take_n(&self, key: &K, n: NonZeroU32) -> bool {
        self.0.take_n(key, n)
    }

    fn count(&self) -> usize {
        self.0.count()
    }
}

impl<K: Numbered> Keyed<K> for Tiered<K> {
    fn make(cleanup_interval: Duration) -> Self {
        let own = quota().burst(quota().capacity() - 1);
        let builder = PerKeyRateLimiter::<K>::builder(quota()).cleanup_interval(cleanup_interval);
        let builder = builder.quota_for(move |key| key.is_even().then_some(own));
        Self(builder.build().expect("the quota fits"))
    }

    #[inline(always)]
    fn take(&self, key: &K) -> bool {
        self.0.take(key)
    }

    fn take_n(&self, key: &K, n: NonZeroU32) -> bool {
        self.0.take_n(key, n)
    }

    fn count(&self) -> usize {
        self.0.count()
    }
}

impl Held for Counted<u64> {
    fn hold(&self, key: u64) -> KeyHandle<u64> {
        self.0.hold(key)
    }
}

impl Held for Tiered<u64> {
    fn hold(&self, key: u64) -> KeyHandle<u64> {
        self.0.hold(key)
    }
}

/// The names of handles of those.
const HANDLES: [&str; 2] = ["sluicegate_stats_handle", "sluicegate_quota_for_handle"];

/// All suites: some of the works on which the plain one is measured against others.
pub(in crate::subjects) fn suites() -> Vec<Suite> {
    let works = [Work::HotKey, Work::OwnKeys, Work::Keys1k, Work::Keys1m, Work::Churn];
    works.map(|work| Suite { name: work.name(), subjects: kinds(work) }).into()
}

fn kinds(work: Work) -> Vec<Subject> {
    let sequence: Sequence = Rc::default();
    let mut subjects = vec![
        subject::<PerKeyRateLimiter<u64>>(OURS, work, &sequence),
        subject::<Counted<u64>>(STATS, work, &sequence),
        subject::<Tiered<u64>>(QUOTA_FOR, work, &sequence),
    ];
    if work.has_handles() {
        let [stats, quota_for] = HANDLES;
        subjects.extend([
            by_handle::<PerKeyRateLimiter<u64>>(HANDLE, work, &sequence),
            by_handle::<Counted<u64>>(stats, work, &sequence),
            by_handle::<Tiered<u64>>(quota_for, work, &sequence),
        ]);
    }
    subjects
}
