//! G2: nothing is lost. A single caller gets what exact arithmetic gives, to within 1 ns (2 ns where the burst takes
//! more than 18 years to fill), at every rate and for ever. Proved by following a random caller with the exact model,
//! by greedy callers over hundreds of thousands of polls, and to the nanosecond at round rates.

mod support;

use std::ops::RangeInclusive;
use std::time::Duration;

use proptest::prelude::*;
use sluicegate::{ManualClock, Nanos, Quota, RateLimitExceeded, TokenBucket};
use support::buckets::{new_bucket, started_at};
use support::oracle::Oracle;
use support::quotas::{
    LIFETIME, Permits, SECOND, UNIX_NOW, YEAR, any_quota, cases, fitted, magnitude, modest_quota, offset_by, permits,
    tolerance, tolerance_after,
};

#[derive(Clone, Copy, Debug)]
enum Step {
    Forward(u64),
    Back(u64),
    /// To a few nanoseconds before or after so many permits are there.
    Due(Permits, i64),
}

#[derive(Clone, Copy, Debug)]
enum Verb {
    Take,
    UpTo,
    Refund,
    Charge,
    Look,
}

type Call = (Verb, Permits);

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Forward(0)),
        2 => Just(Step::Forward(1)),
        4 => magnitude(30).prop_map(Step::Forward),
        2 => magnitude(58).prop_map(Step::Forward),
        1 => magnitude(32).prop_map(Step::Back),
        8 => (permits(), -3_i64..=3).prop_map(|(permits, by)| Step::Due(permits, by)),
    ]
}

fn calls() -> impl Strategy<Value = Call> {
    let verb = prop_oneof![
        6 => Just(Verb::Take), 3 => Just(Verb::UpTo), 1 => Just(Verb::Refund), 1 => Just(Verb::Charge), 1 => Just(Verb::Look),
    ];
    (verb, permits())
}

/// The real bucket, and the exact one that follows its decisions. A decision is right if the exact one makes it with
/// what accrues in `tolerance` nanoseconds more or less. Since what is granted is taken from both, an error that grew
/// from call to call would soon be larger than that.
struct Pair {
    clock: ManualClock,
    bucket: TokenBucket<ManualClock>,
    oracle: Oracle,
    quota: Quota,
    now: u64,
    first: u64,
}

impl Pair {
    fn new(quota: Quota, origin: u64) -> Self {
        let (bucket, clock) = started_at(quota, origin);
        let oracle = Oracle::new(&quota, origin);
        Self { clock, bucket, oracle, quota, now: origin, first: origin }
    }

    fn step(&mut self, step: Step) {
        let to = match step {
            Step::Forward(by) => self.now.saturating_add(by),
            Step::Back(by) => self.now.saturating_sub(by),
            Step::Due(permits, by) => {
                let wait = self
                    .oracle
                    .time_to_available(permits.of(self.oracle.capacity()).min(self.oracle.capacity()), self.now);
                let due = u128::from(self.now) + wait.unwrap();
                offset_by(u64::try_from(due).unwrap_or(u64::MAX), by)
            }
        };
        // As far as a bucket's life goes.
        self.now = to.min(self.first + LIFETIME);
        self.clock.set(Nanos::from_nanos(self.now));
    }

    fn tolerance(&self) -> i64 {
        tolerance_after(&self.quota, self.now.saturating_sub(self.first)) as i64
    }

    /// What may be there, and what a charge may get.
    fn limits(&self) -> (RangeInclusive<u64>, RangeInclusive<u64>) {
        let available = |nanos| self.oracle.available_within(nanos, self.now);
        let chargeable = |nanos| self.oracle.chargeable_within(nanos, self.now);
        let tolerance = self.tolerance();
        (available(-tolerance)..=available(tolerance), chargeable(-tolerance)..=chargeable(tolerance))
    }

    fn call(&mut self, (verb, permits): Call) -> Result<(), TestCaseError> {
        let n = permits.of(self.oracle.capacity());
        let (bucket, now) = (&self.bucket, self.now);
        let (there, chargeable) = self.limits();
        let cut = |limits: RangeInclusive<u64>| n.min(*limits.start())..=n.min(*limits.end());
        match verb {
            Verb::Take => match bucket.try_acquire_n(n) {
                Ok(()) => {
                    prop_assert!(self.oracle.has_within(self.tolerance(), n, now), "{n} of {there:?} granted at {now}");
                    self.oracle.take(n, now);
                }
                Err(RateLimitExceeded::Denied { retry_after }) => {
                    prop_assert!(
                        !self.oracle.has_within(-self.tolerance(), n, now),
                        "{n} of {there:?} denied at {now}"
                    );
                    self.near(retry_after, n)?;
                }
                Err(error) => {
                    let capacity = self.oracle.capacity();
                    prop_assert!(n > capacity);
                    prop_assert_eq!(error, RateLimitExceeded::ExceedsCapacity { requested: n, capacity });
                }
            },
            Verb::UpTo => {
                let taken = bucket.try_acquire_up_to(n);
                prop_assert!(cut(there.clone()).contains(&taken), "{taken} of {there:?} taken at {now}");
                self.oracle.take(taken, now);
            }
            Verb::Refund => {
                bucket.refund(n);
                self.oracle.refund(n, now);
            }
            Verb::Charge => {
                let charged = bucket.charge(n);
                prop_assert!(
                    cut(chargeable.clone()).contains(&charged),
                    "{charged} of {chargeable:?} charged at {now}"
                );
                self.oracle.take(charged, now);
            }
            Verb::Look => match bucket.time_to_available(n) {
                Ok(wait) => self.near(wait, n)?,
                Err(_) => prop_assert!(n > self.oracle.capacity()),
            },
        }
        let available = self.bucket.available();
        let there = self.limits().0;
        prop_assert!(there.contains(&available), "{available} in {there:?} at {now}");
        Ok(())
    }

    /// The wait for `n` permits ends when the exact bucket has them, to within the tolerance.
    fn near(&self, wait: Duration, n: u64) -> Result<(), TestCaseError> {
        let (now, due) = (u128::from(self.now), self.oracle.due(n));
        if wait == Duration::ZERO {
            prop_assert!(self.oracle.has_within(self.tolerance(), n, self.now), "no wait, but due at {due}");
        } else if due <= u128::from(self.first + LIFETIME) {
            let tolerance = tolerance_after(&self.quota, due as u64 - self.first);
            let distance = (now + wait.as_nanos()).abs_diff(due);
            prop_assert!(distance <= tolerance.into(), "{wait:?} after {now}, but due at {due}");
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(cases(8_000))]

    #[test]
    fn every_decision_is_exact(
        quota in prop_oneof![any_quota(), modest_quota()],
        origin in prop_oneof![Just(0), Just(UNIX_NOW), magnitude(62)],
        trace in prop::collection::vec((steps(), calls()), 1..100),
    ) {
        let mut pair = Pair::new(quota, origin);
        for (step, call) in trace {
            pair.step(step);
            pair.call(call)?;
        }
    }

    /// A caller that polls at a fixed period and takes what it can: nothing is lost at any combination.
    #[test]
    fn every_polling_period_gets_the_whole_rate(quota in any_quota(), period in magnitude(50), polls in 1_u64..3_000) {
        let polls = polls.min(LIFETIME / period);
        // More than fits in the burst between two polls is not the caller's.
        let Some(quota) = fitted(quota.burst(quota.capacity().max(2 * accrued(&quota, period) as u64 + 4))) else {
            return Ok(());
        };
        if u128::from(quota.capacity()) < accrued(&quota, period) + 4 {
            return Ok(());
        }
        let (bucket, clock) = new_bucket(quota);
        prop_assert_eq!(bucket.try_acquire_up_to(u64::MAX), quota.capacity());
        let mut taken = 0;
        for _ in 0..polls {
            clock.advance(Duration::from_nanos(period));
            taken += bucket.try_acquire_up_to(u64::MAX);
        }
        let (least, most) = (accrued(&quota, polls * period), accrued(&quota, polls * period + tolerance(&quota)));
        prop_assert!((least..=most).contains(&taken.into()), "{taken} in {least}..={most}");
    }
}

/// The whole permits that `nanos` bring.
fn accrued(quota: &Quota, nanos: u64) -> u128 {
    u128::from(quota.permits()) * u128::from(nanos) / quota.period().as_nanos()
}

/// Rates from one a year to 4e9 a second.
fn rates() -> Vec<Quota> {
    let per = |permits, nanos| Quota::per(permits, Duration::from_nanos(nanos));
    vec![
        per(1, YEAR),
        Quota::per_day(1),
        Quota::per_hour(1),
        Quota::per_minute(1),
        Quota::from_rate(0.1),
        per(1, 3 * SECOND),
        Quota::per_second(7),
        Quota::per_second(1_000),
        per(3, 7_000_003),
        Quota::per_second(999_983),
        Quota::per_second(1_000_000),
        Quota::per_second(3_333_333),
        Quota::per_second(300_000_000),
        Quota::per_second(700_000_000),
        Quota::per_second(999_999_999),
        Quota::per_second(1_000_000_000),
        Quota::per_second(1_000_000_001),
        Quota::per_second(2_500_000_001),
        Quota::per_second(4_000_000_000),
    ]
}

/// A caller that takes one permit whenever it can, at every poll, for 400,000 polls: it is granted the burst and what
/// has accrued, off by at most one permit, unless it polls too rarely to take it all.
#[test]
fn long_run_no_drift() {
    const POLLS: u64 = 400_000;
    let mut runs = 0;
    for quota in rates() {
        let period = quota.period().as_nanos();
        // The time of one permit, and periods just beside it, at which a rounding of refills would lose most.
        let emission = (period / u128::from(quota.permits())) as u64;
        let near = [emission * 99 / 100, emission.saturating_sub(1), emission, emission + 1, emission / 2 + 1];
        let awkward = [1, 7, 101, 1_900, 119_000, 1_000_001, 15_485_863, 1_299_709_000_003];
        for polling in near.into_iter().chain(awkward) {
            if polling == 0 || polling > LIFETIME / POLLS {
                continue;
            }
            let per_poll = accrued(&quota, polling) + 1;
            // More than fits in the burst between two polls is not the caller's.
            let quota = quota.burst(2 * per_poll as u64 + 2);
            let Ok(bucket) = TokenBucket::with_clock(quota, ManualClock::new()) else { continue };
            drop(bucket);
            greedy(quota, polling, POLLS, per_poll > 1);
            runs += 1;
        }
    }
    assert!(runs > 150, "only {runs}");
}

fn greedy(quota: Quota, polling: u64, polls: u64, many: bool) {
    let (bucket, clock) = new_bucket(quota);
    let mut granted = bucket.try_acquire_up_to(u64::MAX);
    for _ in 0..polls {
        clock.advance(Duration::from_nanos(polling));
        if many {
            granted += bucket.try_acquire_up_to(u64::MAX);
        } else {
            granted += u64::from(bucket.try_acquire().is_ok());
        }
    }
    let exact = u128::from(quota.capacity()) + accrued(&quota, polling * polls);
    assert!(u128::from(granted).abs_diff(exact) <= 1, "{quota:?} every {polling} ns: {granted}, not {exact}");
}

/// At round rates and from time zero the k-th grant comes on the exact nanosecond, not one late.
#[test]
fn round_rates_grant_on_the_nanosecond() {
    let cases = [
        (Quota::per_second(100), 10_000_000),
        (Quota::per_second(1), SECOND),
        (Quota::per_second(1_000), 1_000_000),
        (Quota::per_second(1_000_000), 1_000),
        (Quota::per_second(1_000_000_000), 1),
        (Quota::per_second(500_000_000), 2),
        (Quota::per_second(200_000_000), 5),
        (Quota::per_second(64), 15_625_000),
        (Quota::per_minute(1), 60 * SECOND),
        (Quota::per_minute(600), SECOND / 10),
        (Quota::per_hour(1), 3_600 * SECOND),
        (Quota::per_hour(3_600), SECOND),
        (Quota::per_day(1), 86_400 * SECOND),
        (Quota::per_day(24), 3_600 * SECOND),
        (Quota::per(1, Duration::from_nanos(YEAR)), YEAR),
        (Quota::from_rate(0.1), 10 * SECOND),
    ];
    for (quota, emission) in cases {
        let (bucket, clock) = new_bucket(quota);
        assert_eq!(bucket.try_acquire_up_to(u64::MAX), quota.capacity());
        for k in (1..=1_000).chain([9_999, 1_000_000, 999_999_937]) {
            let Some(due) = emission.checked_mul(k).filter(|&due| due <= LIFETIME) else { break };
            if k > 1_000 {
                // What came meanwhile and was not cut off.
                clock.set(Nanos::from_nanos(due - emission));
                while bucket.try_acquire_up_to(u64::MAX) > 0 {}
            }
            clock.set(Nanos::from_nanos(due - 1));
            assert!(bucket.try_acquire().is_err(), "{quota:?}: grant {k} came early");
            clock.set(Nanos::from_nanos(due));
            assert!(bucket.try_acquire().is_ok(), "{quota:?}: grant {k} came late");
        }
    }
}

/// The same for rates that are not round: the k-th grant comes when exact arithmetic has it, rounded up.
#[test]
fn odd_rates_grant_on_the_nanosecond_from_time_zero() {
    for quota in rates() {
        // A smaller burst would be full before the rounded time, and what is above it is cut off.
        let (bucket, clock) = new_bucket(quota.burst(8));
        assert!(bucket.try_acquire_n(8).is_ok());
        for k in 1..=5_000_u64 {
            let due = (u128::from(k) * quota.period().as_nanos()).div_ceil(quota.permits().into());
            let Some(due) = u64::try_from(due).ok().filter(|&due| due <= LIFETIME) else { break };
            clock.set(Nanos::from_nanos(due));
            assert!(bucket.try_acquire().is_ok(), "{quota:?}: grant {k} did not come at {due}");
        }
    }
}
