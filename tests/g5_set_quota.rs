//! G5: a change of quota keeps the level, in permits and their fraction, cut to one new burst either way; time that
//! has passed counts at the old rate; nothing is granted by a change. Proved against the exact model between two
//! bounds: a change may round by what a nanosecond brings at the old rate and at the new one.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use sluicegate::{Clock, ManualClock, MonotonicClock, Nanos, Quota, TokenBucket};
use support::buckets::{new_bucket, started_at};
use support::clocks::Stopped;
use support::intervals::{Call, worst_excess};
use support::oracle::Oracle;
use support::quotas::{
    LIFETIME, Permits, SECOND, UNIX_NOW, YEAR, any_quota, cases, fitted, magnitude, modest_quota, permits, tolerance,
};

#[derive(Clone, Copy, Debug)]
enum Op {
    Forward(u64),
    Back(u64),
    Take(Permits),
    UpTo(Permits),
    Refund(Permits),
    Charge(Permits),
    Change(Quota),
}

fn ops(quotas: BoxedStrategy<Quota>, back: u32) -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => magnitude(34).prop_map(Op::Forward),
        1 => magnitude(55).prop_map(Op::Forward),
        back => magnitude(34).prop_map(Op::Back),
        4 => permits().prop_map(Op::Take),
        2 => permits().prop_map(Op::UpTo),
        1 => permits().prop_map(Op::Refund),
        1 => permits().prop_map(Op::Charge),
        4 => quotas.prop_map(Op::Change),
    ]
}

/// The real bucket between two exact ones that follow its decisions: one that rounds up at each change, and one that
/// rounds down.
struct Between {
    clock: ManualClock,
    bucket: TokenBucket<ManualClock>,
    upper: Oracle,
    lower: Oracle,
    quota: Quota,
    now: u64,
    /// The last change, from which on half a lifetime is promised.
    changed: u64,
}

impl Between {
    fn new(quota: Quota, origin: u64) -> Self {
        let (bucket, clock) = started_at(quota, origin);
        let oracle = Oracle::new(&quota, origin);
        Self { clock, bucket, upper: oracle.clone(), lower: oracle, quota, now: origin, changed: origin }
    }

    fn tolerance(&self) -> i64 {
        tolerance(&self.quota) as i64
    }

    fn both(&mut self, change: impl Fn(&mut Oracle)) {
        change(&mut self.upper);
        change(&mut self.lower);
    }

    fn run(&mut self, op: Op) -> Result<(), TestCaseError> {
        let (now, tolerance, capacity) = (self.now, self.tolerance(), self.quota.capacity());
        let there = |this: &Self| {
            this.lower.available_within(-this.tolerance(), this.now)
                ..=this.upper.available_within(this.tolerance(), this.now)
        };
        match op {
            Op::Forward(by) => self.set(now.saturating_add(by)),
            Op::Back(by) => self.set(now.saturating_sub(by)),
            Op::Take(permits) => {
                let n = permits.of(capacity);
                if self.bucket.try_acquire_n(n).is_ok() {
                    prop_assert!(self.upper.has_within(tolerance, n, now), "{n} of {:?} granted", there(self));
                    self.both(|oracle| oracle.take(n, now));
                } else {
                    prop_assert!(!self.lower.has_within(-tolerance, n, now), "{n} of {:?} denied", there(self));
                }
            }
            Op::UpTo(permits) => {
                let n = permits.of(capacity);
                let taken = self.bucket.try_acquire_up_to(n);
                let there = there(self);
                prop_assert!((n.min(*there.start())..=n.min(*there.end())).contains(&taken), "{taken} of {there:?}");
                self.both(|oracle| oracle.take(taken, now));
            }
            Op::Refund(permits) => {
                self.bucket.refund(permits.of(capacity));
                self.both(|oracle| oracle.refund(permits.of(capacity), now));
            }
            Op::Charge(permits) => {
                let n = permits.of(capacity);
                let charged = self.bucket.charge(n);
                let least = n.min(self.lower.chargeable_within(-tolerance, now));
                let most = n.min(self.upper.chargeable_within(tolerance, now));
                prop_assert!((least..=most).contains(&charged), "{charged} of {least}..={most} charged");
                self.both(|oracle| oracle.take(charged, now));
            }
            Op::Change(quota) => self.change(quota)?,
        }
        let (there, available) = (there(self), self.bucket.available());
        prop_assert!(there.contains(&available), "{available} in {there:?}");
        Ok(())
    }

    fn set(&mut self, to: u64) {
        self.now = to.min(self.changed + LIFETIME / 2);
        self.clock.set(Nanos::from_nanos(self.now));
    }

    fn change(&mut self, quota: Quota) -> Result<(), TestCaseError> {
        let (now, before) = (self.now, self.bucket.available());
        self.bucket.set_quota(quota).unwrap();
        prop_assert_eq!(self.bucket.quota(), quota);

        self.upper.gain(tolerance(&self.quota));
        self.lower.lose(tolerance(&self.quota), now);
        // One moment for both, so that they stay comparable at every reading.
        let at = self.upper.time_of_change(now);
        self.both(|oracle| oracle.set_quota_at(&quota, at));
        self.lower.lose(tolerance(&quota), now);
        self.quota = quota;
        self.changed = self.changed.max(now);
        // What is there in whole permits is kept to the last one, and not one is added.
        prop_assert_eq!(self.bucket.available(), before.min(quota.capacity()));
        Ok(())
    }
}

fn origins() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(UNIX_NOW), magnitude(60)]
}

proptest! {
    #![proptest_config(cases(6_000))]

    /// At these rates the rounding is far below a permit, so nearly every decision is the exact one.
    #[test]
    fn follows_the_model_at_modest_rates(
        quota in modest_quota(), origin in origins(), ops in prop::collection::vec(ops(modest_quota().boxed(), 1), 1..80),
    ) {
        let mut between = Between::new(quota, origin);
        for op in ops {
            between.run(op)?;
        }
    }

    /// Without a clock that goes back: a stale reading makes a change as old as what was rounded is worth at the
    /// slowest rate, which here is years.
    #[test]
    fn follows_the_model_across_all_rates(
        quota in any_quota(), origin in origins(), ops in prop::collection::vec(ops(any_quota().boxed(), 0), 1..60),
    ) {
        let mut between = Between::new(quota, origin);
        for op in ops {
            between.run(op)?;
        }
    }
}

#[test]
fn a_larger_burst_does_not_arrive_filled() {
    for (old, new) in [(10, 1_000), (1_000, 10), (10, 10)] {
        let (bucket, clock) = new_bucket(Quota::per_second(old).burst(10));
        assert_eq!(bucket.try_acquire_n(10), Ok(()));
        bucket.set_quota(Quota::per_second(new).burst(1 << 20)).unwrap();
        assert_eq!(bucket.available(), 0);
        clock.advance(Duration::from_secs(1));
        assert_eq!(bucket.available(), new);

        // Nor where it was full, or was never used.
        let (bucket, clock) = new_bucket(Quota::per_second(old).burst(10));
        bucket.set_quota(Quota::per_second(new).burst(1 << 20)).unwrap();
        assert_eq!(bucket.available(), 10);
        clock.advance(Duration::from_secs(1));
        assert_eq!(bucket.available(), 10 + new);

        // Nor where the old burst has cut off a day.
        let (bucket, clock) = new_bucket(Quota::per_second(old).burst(10));
        assert_eq!(bucket.available(), 10);
        clock.advance(Duration::from_secs(86_400));
        bucket.set_quota(Quota::per_second(new).burst(1 << 20)).unwrap();
        assert_eq!(bucket.available(), 10);
    }
}

#[test]
fn what_a_smaller_burst_cuts_off_stays_away() {
    for rate in [1, 1_000, 1_000_000_000] {
        let (bucket, _clock) = new_bucket(Quota::per_second(10).burst(500));
        bucket.set_quota(Quota::per_second(rate).burst(3)).unwrap();
        bucket.set_quota(Quota::per_second(10).burst(500)).unwrap();
        assert_eq!(bucket.available(), 3);
    }
}

#[test]
fn what_is_owed_is_kept_up_to_one_new_burst() {
    let owed = |bucket: &TokenBucket<ManualClock>| bucket.time_to_available(1).unwrap();
    for rate in [1, 3, 1_000] {
        let (bucket, _clock) = new_bucket(Quota::per_second(1).burst(100));
        assert_eq!(bucket.charge(u64::MAX), 200);
        bucket.set_quota(Quota::per_second(rate).burst(1_000)).unwrap();
        assert_eq!(owed(&bucket), Duration::from_nanos((101 * SECOND).div_ceil(rate)));
        bucket.set_quota(Quota::per_second(rate).burst(7)).unwrap();
        assert_eq!(owed(&bucket), Duration::from_nanos((8 * SECOND).div_ceil(rate)));
        // Once cut it is forgiven.
        bucket.set_quota(Quota::per_second(1).burst(100)).unwrap();
        assert_eq!(owed(&bucket), Duration::from_secs(8));
    }
}

#[test]
fn time_that_has_passed_counts_at_the_old_rate() {
    for (old, new, expected) in [(1, 1_000, 10), (1_000, 1, 10_000), (7, 7, 70)] {
        let (bucket, clock) = new_bucket(Quota::per_second(old).burst(20_000));
        assert_eq!(bucket.try_acquire_n(20_000), Ok(()));
        clock.advance(Duration::from_secs(10));
        bucket.set_quota(Quota::per_second(new).burst(20_000)).unwrap();
        assert_eq!(bucket.available(), expected);
        clock.advance(Duration::from_secs(1));
        assert_eq!(bucket.available(), expected + new);
    }
}

/// Half a permit at one an hour is half a permit at two an hour: the other half takes a quarter of an hour.
#[test]
fn the_fraction_of_a_permit_is_kept() {
    for (new, wait) in [(Quota::per_hour(2), 900), (Quota::per_minute(1), 30), (Quota::per_day(1), 43_200)] {
        let (bucket, clock) = new_bucket(Quota::per_hour(1));
        assert_eq!(bucket.try_acquire(), Ok(()));
        clock.advance(Duration::from_secs(1_800));
        bucket.set_quota(new.burst(5)).unwrap();
        let exact = Duration::from_secs(wait);
        // Rounded down by a nanosecond of each rate at most, so never early, and late by what that is worth.
        let late = 1.0 + (Quota::per_hour(1).rate() / new.rate()).ceil();
        let found = bucket.time_to_available(1).unwrap();
        assert!(found >= exact && found <= exact + Duration::from_nanos(late as u64), "{new:?}: {found:?}");
    }
}

#[test]
fn an_unusable_quota_leaves_the_old_one() {
    let old = Quota::per_minute(60).burst(7);
    let (bucket, clock) = new_bucket(old);
    assert_eq!(bucket.try_acquire_n(5), Ok(()));
    let bad = [
        (Quota::per_second(0), "permits"),
        (Quota::per(1, Duration::ZERO), "period"),
        (Quota::per_second(5).burst(0), "burst"),
        (Quota::per_second(5).burst(u64::MAX), "burst"),
        (Quota::per_second(u64::MAX), "rate"),
        (Quota::per(1, Duration::MAX), "rate"),
        (Quota::from_rate(f64::NAN), "rate"),
        (Quota::from_rate(f64::INFINITY), "rate"),
        (Quota::from_rate(-1.0), "rate"),
    ];
    for (quota, field) in bad {
        assert_eq!(bucket.set_quota(quota).unwrap_err().field(), field, "{quota:?}");
        assert_eq!((bucket.quota(), bucket.available()), (old, 2));
    }
    clock.advance(Duration::from_secs(2));
    assert_eq!(bucket.available(), 4);
}

#[test]
fn the_quota_is_told_as_it_was_given() {
    let (bucket, _clock) = new_bucket(Quota::per_second(1));
    for quota in [
        Quota::per_minute(60).burst(3),
        Quota::per_second(1).burst(3),
        Quota::per(120, Duration::from_secs(120)).burst(3),
        Quota::from_rate(0.3),
        Quota::per(4 * YEAR, Duration::from_nanos(YEAR)).burst(1 << 40),
    ] {
        bucket.set_quota(quota).unwrap();
        let told = bucket.quota();
        assert_eq!(
            (told.permits(), told.period(), told.capacity()),
            (quota.permits(), quota.period(), quota.capacity())
        );
    }
}

/// A change to a slower rate must not make the bucket's grid of time coarser than it promises: decisions stay within
/// 1 ns, the burst being full in seconds.
#[test]
fn a_slower_rate_keeps_to_the_nanosecond() {
    for seconds in 1..9 {
        for permits in [997, 991, 1_013] {
            let slow = Quota::per(permits, Duration::from_secs(seconds)).burst(10);
            for nanos in 0..200 {
                let (bucket, clock) = new_bucket(Quota::per_second(1_000).burst(10));
                assert_eq!(bucket.available(), 10);
                bucket.set_quota(slow).unwrap();
                clock.set(Nanos::from_nanos(SECOND + nanos));
                assert_eq!(bucket.try_acquire_n(10), Ok(()));
                let wait = bucket.time_to_available(1).unwrap().as_nanos();
                // In permits * ns: one permit takes seconds / permits.
                let early = i128::from(seconds * SECOND) - (wait * u128::from(permits)) as i128;
                assert!(
                    early <= i128::from(permits),
                    "{slow:?}, drained at 1 s + {nanos} ns: granted {} ns early",
                    early as f64 / permits as f64
                );
            }
        }
    }
}

/// A setter reads the clock and is stopped for half a second, in which all that is there is taken; then it goes on.
/// Whether the change counts from before that or from after it, nothing is there and nothing is owed.
fn stopped_after_its_reading(new: Quota) -> (u64, Duration) {
    let clock = Arc::new(Stopped::default());
    let bucket = Arc::new(TokenBucket::with_clock(Quota::per_second(10), Arc::clone(&clock)).unwrap());
    assert_eq!(bucket.available(), 10);
    clock.time.set(Nanos::from_nanos(SECOND));
    let (other, time) = (Arc::clone(&bucket), clock.time.clone());
    clock.after_reading(1, move || {
        time.advance(Duration::from_millis(500));
        assert_eq!(other.try_acquire_n(10), Ok(()));
    });
    bucket.set_quota(new).unwrap();
    assert!(clock.was_stopped());
    (bucket.available(), bucket.time_to_available(1).unwrap())
}

#[test]
fn a_setter_stopped_after_its_reading_recredits_no_time() {
    for new in [Quota::per_second(10), Quota::per_second(1_000).burst(10), Quota::per_second(1 << 20).burst(1_000)] {
        assert_eq!(stopped_after_its_reading(new).0, 0, "the change to {new:?} handed them out again");
    }
}

#[test]
fn a_setter_stopped_after_its_reading_charges_no_time() {
    for new in [Quota::per_second(10), Quota::per_second(1).burst(10), Quota::per_hour(1).burst(10)] {
        let (wait, exact) = (stopped_after_its_reading(new).1, new.period() / new.permits() as u32);
        assert!(wait <= exact + Duration::from_nanos(2), "after the change to {new:?}: {wait:?}");
    }
}

/// Quotas whose periods divide a year, so that the exact model stays small over any number of changes.
fn across_all_scales() -> Vec<Quota> {
    let per = |permits, nanos| Quota::per(permits, Duration::from_nanos(nanos));
    let quotas = [
        per(1, YEAR),
        Quota::per_day(1),
        Quota::per_hour(7),
        Quota::per_minute(100),
        Quota::per_second(3),
        Quota::per_second(1_000),
        Quota::per_second(999_983),
        Quota::per_second(700_000_000),
        Quota::per_second(4_000_000_000),
        per(1, 1),
    ];
    let bursts = [1, 10, 1_000, 1 << 24, 1 << 40];
    quotas.iter().flat_map(|quota| bursts.map(|burst| fitted(quota.burst(burst)).unwrap())).collect()
}

/// Ten thousand changes, with some use and some time between them: never a panic, never more than the exact level,
/// never less than what rounding explains.
#[test]
fn thousands_of_changes_across_all_scales() {
    let quotas = across_all_scales();
    for seed in [1_u64, 2, 3] {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut next = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let mut between = Between::new(quotas[0], if seed == 1 { 0 } else { UNIX_NOW });
        for _ in 0..10_000 {
            let quota = quotas[next(quotas.len() as u64) as usize];
            between.run(Op::Change(quota)).unwrap();
            let log = next(45);
            between.run(Op::Forward(next(1 << log))).unwrap();
            let n = Permits::Share(next(1 << 16) as u32);
            let op = [Op::Take(n), Op::UpTo(n), Op::Refund(n), Op::Charge(n), Op::UpTo(Permits::Exactly(1))];
            between.run(op[next(5) as usize]).unwrap();
        }
    }
}

/// A change at every nanosecond, the worst there is for rounding: nothing is gained, and less than a nanosecond's
/// worth lost at each change.
#[test]
fn changes_gain_nothing() {
    const STEPS: u64 = 3_000;
    let pairs = [
        (Quota::per_second(3_000_000_019), Quota::per_second(1_000_000_007)),
        (Quota::per_second(2_100_000_000), Quota::per_second(7)),
        (Quota::per(7, Duration::from_nanos(3)), Quota::per(5, Duration::from_nanos(3))),
        (Quota::per_second(2_100_000_000), Quota::per_second(2_100_000_000)),
    ];
    for (one, other) in pairs {
        let (bucket, clock) = new_bucket(one.burst(1 << 30));
        assert_eq!(bucket.try_acquire_n(1 << 30), Ok(()));
        for _ in 0..STEPS {
            clock.advance(Duration::from_nanos(1));
            bucket.set_quota(other.burst(1 << 30)).unwrap();
            clock.advance(Duration::from_nanos(1));
            bucket.set_quota(one.burst(1 << 30)).unwrap();
        }
        // One permit for the nanosecond of rounding that any interval has.
        let accrued = (one.rate() + other.rate()) * STEPS as f64 / 1e9;
        let most = accrued + one.rate().max(other.rate()) / 1e9;
        let lost = 2.0 * accrued;
        let available = bucket.available() as f64;
        assert!(available <= most && available >= accrued - lost, "{one:?}, {other:?}: {available} of {accrued}");
    }
}

/// While the clock stands still, what three threads take, charge and give back and what is there at the end add up to
/// what was there at first, to the permit, through any number of changes.
#[test]
fn threads_and_a_setter_lose_no_permit() {
    const THERE: u64 = 1_000_000;
    let quotas: Vec<Quota> = across_all_scales().into_iter().filter_map(|quota| fitted(quota.burst(1 << 21))).collect();
    let quotas: Vec<&Quota> = quotas.iter().filter(|quota| quota.capacity() == 1 << 21).collect();
    assert!(quotas.len() > 20);
    let clock = ManualClock::new();
    clock.set(Nanos::from_nanos(UNIX_NOW));
    let bucket = TokenBucket::builder(*quotas[0]).clock(clock).initial(THERE).build().unwrap();
    let (done, changes, net) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for quota in quotas.iter().cycle() {
                bucket.set_quota(**quota).unwrap();
                changes.fetch_add(1, Ordering::Relaxed);
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        let workers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut calls = 0_u64;
                    while calls < 40_000 || changes.load(Ordering::Relaxed) < 2_000 && calls < 100_000_000 {
                        calls += 1;
                        let taken = match calls % 4 {
                            0 => bucket.charge(2),
                            1 => bucket.try_acquire_up_to(5),
                            2 => u64::from(bucket.try_acquire_n(3).is_ok()) * 3,
                            _ => {
                                bucket.refund(9);
                                0_u64.wrapping_sub(9)
                            }
                        };
                        net.fetch_add(taken, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let failed = workers.into_iter().filter_map(|worker| worker.join().err()).count();
        done.store(true, Ordering::Relaxed);
        assert_eq!(failed, 0);
    });
    assert_eq!(bucket.available(), THERE.wrapping_sub(net.into_inner()), "after {changes:?} changes");
}

/// On the real clock: over every interval no more than the largest burst and the fastest rate allow, while a setter
/// flips among scales. What a change may round is far below a permit at these rates.
#[test]
fn threads_and_a_setter_on_the_real_clock() {
    const FASTEST: u64 = 100_000;
    let quotas = [
        Quota::per_second(FASTEST).burst(20),
        Quota::per_hour(1).burst(50),
        Quota::per_second(7).burst(1),
        Quota::per_second(99_991).burst(50),
        Quota::per_minute(1_000).burst(3),
    ];
    let (clock, bucket) = (MonotonicClock::new(), TokenBucket::new(quotas[0]).unwrap());
    let until = clock.now().as_nanos() + SECOND;
    let (calls, changes) = std::thread::scope(|scope| {
        let setter = scope.spawn(|| {
            let mut changes = 0_u64;
            for quota in quotas.iter().cycle() {
                bucket.set_quota(*quota).unwrap();
                changes += 1;
                // Mostly at full speed; at times long enough for the quota to show.
                if changes % 64 == 0 {
                    std::thread::sleep(Duration::from_micros(300));
                }
                if clock.now().as_nanos() > until {
                    break;
                }
            }
            changes
        });
        let acquire = || {
            let mut calls = Vec::new();
            while clock.now().as_nanos() < until {
                let start = clock.now().as_nanos();
                if bucket.try_acquire().is_ok() {
                    calls.push(Call { start, end: clock.now().as_nanos() + 1, permits: 1 });
                }
            }
            calls
        };
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(acquire)).collect();
        let calls: Vec<Call> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        (calls, setter.join().unwrap())
    });
    let excess = worst_excess(&calls, FASTEST, SECOND);
    let rounding = changes as f64 * FASTEST as f64 / 1e9;
    assert!(excess <= 50.0 + rounding, "{excess} in one interval, after {changes} changes");
    assert!(calls.len() > 100 && changes > 500, "{} grants, {changes} changes: nothing is proved", calls.len());
}
