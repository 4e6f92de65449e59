//! A bucket in exact arithmetic, as two models: one that rounds up at each change of quota, and one that rounds down.

use std::ops::RangeInclusive;
use std::time::Duration;

use sluicegate::{Quota, RateLimitExceeded};

use crate::oracle::Oracle;
use crate::quotas::{LIFETIME, tolerance, tolerance_after};

/// The real bucket lies between the two, which follow its decisions.
#[derive(Clone, Debug)]
pub struct Exact {
    upper: Oracle,
    lower: Oracle,
    quota: Quota,
    first: u64,
    /// So far time is promised to count.
    end: u64,
}

impl Exact {
    /// A full one.
    pub fn new(quota: Quota, now: u64) -> Self {
        let oracle = Oracle::new(&quota, now);
        Self { upper: oracle.clone(), lower: oracle, quota, first: now, end: now.saturating_add(LIFETIME) }
    }

    /// A full one after what was known is forgotten: a clock that is behind begins its time earlier.
    pub fn afresh(quota: Quota, earliest: u64, now: u64) -> Self {
        Self { upper: Oracle::new(&quota, earliest), ..Self::new(quota, now) }
    }

    /// The lower one of which the burst is only so much.
    pub fn at_least(quota: Quota, burst: u64, permits: u64, now: u64) -> Self {
        Self { lower: Oracle::holding(&quota.burst(burst), permits.min(burst), now), ..Self::new(quota, now) }
    }

    pub fn quota(&self) -> Quota {
        self.quota
    }

    pub fn end(&self) -> u64 {
        self.end
    }

    fn tolerance(&self, now: u64) -> i64 {
        tolerance_after(&self.quota, now.saturating_sub(self.first)) as i64
    }

    pub fn may_grant(&self, n: u64, now: u64) -> bool {
        self.upper.has_within(self.tolerance(now), n, now)
    }

    pub fn must_grant(&self, n: u64, now: u64) -> bool {
        self.lower.has_within(-self.tolerance(now), n, now)
    }

    pub fn available(&self, now: u64) -> RangeInclusive<u64> {
        let nanos = self.tolerance(now);
        self.lower.available_within(-nanos, now)..=self.upper.available_within(nanos, now)
    }

    /// What an attempt at so many may get.
    pub fn up_to(&self, n: u64, now: u64) -> RangeInclusive<u64> {
        let there = self.available(now);
        n.min(*there.start())..=n.min(*there.end())
    }

    pub fn charged(&self, n: u64, now: u64) -> RangeInclusive<u64> {
        let nanos = self.tolerance(now);
        n.min(self.lower.chargeable_within(-nanos, now))..=n.min(self.upper.chargeable_within(nanos, now))
    }

    /// A denial, or a wait, of `n` permits is what exact arithmetic says.
    pub fn assert_denied(&self, error: RateLimitExceeded, n: u64, now: u64) {
        match error {
            RateLimitExceeded::Denied { retry_after } => {
                assert!(!self.must_grant(n, now), "{n} of {:?} denied at {now}", self.available(now));
                self.assert_wait(retry_after, n, now);
            }
            error => {
                let capacity = self.quota.capacity();
                assert!(n > capacity);
                assert_eq!(error, RateLimitExceeded::ExceedsCapacity { requested: n, capacity });
            }
        }
    }

    pub fn assert_wait(&self, wait: Duration, n: u64, now: u64) {
        if wait == Duration::ZERO {
            return assert!(self.may_grant(n, now), "no wait for {n} of {:?} at {now}", self.available(now));
        }
        let (early, late) = (self.upper.due(n), self.lower.due(n));
        if late <= self.end.into() {
            let nanos = u128::from(tolerance_after(&self.quota, late as u64 - self.first.min(late as u64)));
            let due = u128::from(now) + wait.as_nanos();
            assert!(early <= due + nanos && due <= late + nanos, "{wait:?} after {now}, but due in {early}..={late}");
        }
    }

    pub fn take(&mut self, n: u64, now: u64) {
        self.take_at(n, now, now);
    }

    /// The lower one of which takes it later, if it may have counted from then on only.
    pub fn take_at(&mut self, n: u64, now: u64, latest: u64) {
        self.upper.take(n, now);
        self.lower.take(n, latest);
    }

    pub fn refund(&mut self, n: u64, now: u64) {
        self.upper.refund(n, now);
        self.lower.refund(n, now);
    }

    pub fn change(&mut self, quota: Quota, now: u64) {
        self.upper.gain(tolerance(&self.quota));
        self.lower.lose(tolerance(&self.quota), now);
        // One moment for both, so that they stay comparable at every reading.
        let at = self.upper.time_of_change(now);
        self.upper.set_quota_at(&quota, at);
        self.lower.set_quota_at(&quota, at);
        self.lower.lose(tolerance(&quota), now);
        self.quota = quota;
        self.end = now.saturating_add(LIFETIME / 2).min(self.end);
    }
}
