//! G12: a composite takes all or nothing, and after a denial every member is as if it had never been asked.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use sluicegate::{
    AdaptiveRateLimiter, Clock, FixedWindowCounter, Limiter, ManualClock, Outcome, PerKeyRateLimiter, Quota,
    RateLimitExceeded, SlidingWindowCounter, StripedTokenBucket, TokenBucket, WhenFull, all_of,
};
use support::clocks::CountingClock;
use support::oracle::{Answer, Oracle};
use support::quotas::{SECOND, cases};

type Bucket = TokenBucket<ManualClock>;

fn denied(retry_after: Duration) -> RateLimitExceeded {
    RateLimitExceeded::Denied { retry_after }
}

fn exceeds(requested: u64, capacity: u64) -> RateLimitExceeded {
    RateLimitExceeded::ExceedsCapacity { requested, capacity }
}

fn bucket(quota: Quota, clock: &ManualClock) -> Bucket {
    TokenBucket::with_clock(quota, clock.clone()).expect("a valid quota")
}

/// All that can be seen of a limiter without taking anything.
fn state(limiter: &dyn Limiter) -> (u64, Vec<Result<Duration, RateLimitExceeded>>) {
    (limiter.available(), (0..40).chain([u64::MAX]).map(|n| limiter.time_to_available(n)).collect())
}

// ---- against the model ----

#[derive(Clone, Copy, Debug)]
enum Op {
    /// In nanoseconds.
    Pass(u64),
    /// By the composite of this shape.
    Acquire(usize, u64),
    /// Of one level, by somebody else.
    Direct(usize, u64),
    Refund(usize, u64),
    Charge(usize, u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => prop_oneof![0..3_u64, 0..SECOND, 0..20 * SECOND].prop_map(Op::Pass),
        5 => (0..4_usize, 0..12_u64).prop_map(|(shape, n)| Op::Acquire(shape, n)),
        1 => (0..4_usize, prop_oneof![Just(u64::MAX), Just(1 << 63), 0..100_u64]).prop_map(|(s, n)| Op::Acquire(s, n)),
        1 => (0..3_usize, 0..12_u64).prop_map(|(level, n)| Op::Direct(level, n)),
        1 => (0..3_usize, 0..12_u64).prop_map(|(level, n)| Op::Refund(level, n)),
        1 => (0..3_usize, 0..5_u64).prop_map(|(level, n)| Op::Charge(level, n)),
    ]
}

/// Of a round rate, so that not even 1 ns is lost.
fn quota() -> impl Strategy<Value = Quota> {
    (prop::sample::select(vec![1, 2, 4, 5, 10, 20, 100]), 1..40_u64)
        .prop_map(|(rate, burst)| Quota::per_second(rate).burst(burst))
}

/// What three levels say together, of `n` calls with `each` permits of a level.
fn expected(levels: &[Oracle; 3], each: [u64; 3], n: u64, now: u64) -> Result<(), RateLimitExceeded> {
    let mut worst = Ok(());
    for (level, k) in levels.iter().zip(each).filter(|&(_, k)| n > 0 && k > 0) {
        let answer = n.checked_mul(k).map_or(Answer::Impossible, |permits| level.ask(permits, now));
        worst = match (answer, worst) {
            (Answer::Impossible, Err(RateLimitExceeded::ExceedsCapacity { capacity, .. })) => {
                Err(exceeds(n, capacity.min(level.capacity() / k)))
            }
            (Answer::Impossible, _) => Err(exceeds(n, level.capacity() / k)),
            (Answer::Denied(nanos), Ok(())) => Err(denied(Duration::from_nanos(nanos as u64))),
            (Answer::Denied(nanos), Err(RateLimitExceeded::Denied { retry_after })) => {
                Err(denied(retry_after.max(Duration::from_nanos(nanos as u64))))
            }
            (_, worst) => worst,
        };
    }
    worst
}

proptest! {
    #![proptest_config(cases(3_000))]

    /// Kills: the denying member's wait instead of the longest; a capacity that is not the smallest. Everybody, a tenant and a user, in four shapes.
    #[test]
    fn three_levels_follow_the_model(
        quotas in [quota(), quota(), quota()],
        each in [1..4_u64, 0..3_u64, 1..6_u64],
        ops in prop::collection::vec(op(), 1..60),
    ) {
        let clock = ManualClock::new();
        let buckets = quotas.map(|quota| bucket(quota, &clock));
        let [all, tenant, user] = &buckets;
        let mut levels = quotas.map(|quota| Oracle::new(&quota, 0));
        let mut now = 0;
        buckets.iter().for_each(|bucket| _ = bucket.available());

        let flat = all_of(((all, each[0]), (tenant, each[1]), (user, each[2])));
        let nested = all_of((all_of(((user, each[2]), all_of([(tenant, each[1])]))), (all, each[0])));
        let list: Vec<Box<dyn Limiter + '_>> = vec![
            Box::new((user, each[2])),
            Box::new(None::<Bucket>),
            Box::new((tenant, each[1])),
            Box::new((all, each[0])),
        ];
        let list = all_of(list);
        let turned = [(tenant, each[1]), (all, each[0]), (user, each[2])];
        let turned = all_of(&turned[..]);
        let shapes: [&dyn Limiter; 4] = [&flat, &nested, &list, &turned];

        for op in ops {
            match op {
                Op::Pass(nanos) => {
                    now += nanos;
                    clock.advance(Duration::from_nanos(nanos));
                }
                Op::Acquire(shape, n) => {
                    let expected = expected(&levels, each, n, now);
                    let wait = match expected {
                        Ok(()) => Ok(Duration::ZERO),
                        Err(RateLimitExceeded::Denied { retry_after }) => Ok(retry_after),
                        Err(never) => Err(never),
                    };
                    prop_assert_eq!(shapes[shape].time_to_available(n), wait);
                    let before = buckets.each_ref().map(|bucket| state(bucket));
                    prop_assert_eq!(shapes[shape].try_acquire_n(n), expected);
                    if expected.is_ok() {
                        for (level, k) in levels.iter_mut().zip(each) {
                            level.take(n * k, now);
                        }
                    } else {
                        prop_assert_eq!(buckets.each_ref().map(|bucket| state(bucket)), before);
                    }
                }
                Op::Direct(level, n) => {
                    let taken = matches!(levels[level].try_acquire_n(n, now), Answer::Granted);
                    prop_assert_eq!(buckets[level].try_acquire_n(n).is_ok(), taken || n == 0);
                }
                Op::Refund(level, n) => {
                    levels[level].refund(n, now);
                    buckets[level].refund(n);
                }
                Op::Charge(level, n) => {
                    prop_assert_eq!(buckets[level].charge(n), levels[level].charge(n, now));
                }
            }
            for (bucket, level) in buckets.iter().zip(&levels) {
                prop_assert_eq!(bucket.available(), level.available(now));
            }
            let least = levels.iter().zip(each).filter(|&(_, k)| k > 0).map(|(level, k)| level.available(now) / k).min();
            for shape in shapes {
                prop_assert_eq!(Some(shape.available()), least);
            }
        }
    }
}

// ---- roll-back ----

/// Kills: a member that may be missing and does not pay though it is there.
#[test]
fn a_member_that_may_be_missing() {
    let clock = ManualClock::new();
    let [a, b] = [5, 9].map(|permits| bucket(Quota::per_hour(permits), &clock));
    assert_eq!(all_of((&a, Some(&b), None::<&Bucket>)).try_acquire_n(3), Ok(()));
    assert_eq!(all_of((Some(&b), &a)).try_acquire_n(2), Ok(()));
    assert_eq!((a.available(), b.available()), (0, 4));
}

/// What the thread's own stripe holds is seen, and taken, without the clock; where it holds nothing nobody else is asked.
/// Kills: a stripe that is told to hold what it does not, or not what it does.
#[test]
fn a_striped_member_is_seen_by_its_stock() {
    let (clock, asked) = (CountingClock::default(), AtomicU64::new(0));
    let asks = || asked.load(Ordering::Relaxed);
    let first = Meddler(|n| {
        asked.fetch_add(n, Ordering::Relaxed);
        Ok(())
    });
    let striped = StripedTokenBucket::with_clock(Quota::per_hour(1_000_000), &clock).unwrap();
    let all = all_of((&first, &striped));
    assert_eq!(striped.try_acquire(), Ok(()), "and fills the stripe");
    clock.readings();
    assert_eq!((all.try_acquire(), asks(), clock.readings()), (Ok(()), 1, 0));
    let left = striped.available();
    assert_eq!(striped.try_acquire_up_to(u64::MAX), left);
    assert!(all.try_acquire_n(2).is_err());
    assert_eq!(asks(), 1);
}

/// A limiter that has what it is asked for, until it is asked: then it does this.
struct Meddler<F>(F);

impl<F: Fn(u64) -> Result<(), RateLimitExceeded> + Send + Sync> Limiter for Meddler<F> {
    fn try_acquire_n(&self, n: u64) -> Result<(), RateLimitExceeded> {
        (self.0)(n)
    }
    fn refund(&self, _n: u64) {}
    fn available(&self) -> u64 {
        u64::MAX
    }
    fn time_to_available(&self, _n: u64) -> Result<Duration, RateLimitExceeded> {
        Ok(Duration::ZERO)
    }
}

const LATER: Duration = Duration::from_millis(77);

/// Of every kind of limiter, wherever the one stands that denies. Kills `nothing-comes-back`, `first-does-not-come-back`.
#[test]
fn what_was_taken_comes_back() {
    let clock = ManualClock::new();
    let hour = Duration::from_secs(3_600);
    let quota = Quota::per_hour(36);
    let keys = PerKeyRateLimiter::<u32>::builder(quota).clock(clock.clone()).build().expect("it fits");
    let members: Vec<Box<dyn Limiter + '_>> = vec![
        Box::new(bucket(quota, &clock)),
        Box::new(FixedWindowCounter::with_clock(36, hour, clock.clone()).expect("it fits")),
        Box::new(SlidingWindowCounter::with_clock(36, hour, clock.clone()).expect("it fits")),
        Box::new(SlidingWindowCounter::builder(36, hour).strict().clock(clock.clone()).build().expect("it fits")),
        Box::new(StripedTokenBucket::with_clock(Quota::per_hour(3_600), clock.clone()).expect("it fits")),
        Box::new(AdaptiveRateLimiter::builder().base_rate(18.0).clock(clock.clone()).build().expect("it fits")),
        Box::new(keys.key(&1)),
        Box::new(keys.handle(2)),
        Box::new(all_of((bucket(quota, &clock), (bucket(quota, &clock), 2)))),
        Box::new(Some((bucket(quota, &clock), 2))),
    ];
    let last = Meddler(|_| Err(denied(LATER)));
    for taken in [0, 4, 7] {
        for member in &members {
            assert_eq!(member.try_acquire_n(taken), Ok(()));
            clock.advance(Duration::from_nanos(12_345));
        }
        let before: Vec<_> = members.iter().map(|member| state(member)).collect();
        for at in 0..=members.len() {
            let mut all: Vec<&dyn Limiter> = members.iter().map(|member| &**member).collect();
            all.insert(at, &last);
            assert_eq!(all_of(all).try_acquire_n(3), Err(denied(LATER)), "the one that denies is at {at}");
        }
        assert_eq!(all_of((&members[0], &last, &members[1])).try_acquire_n(3), Err(denied(LATER)));
        let after: Vec<_> = members.iter().map(|member| state(member)).collect();
        assert_eq!(after, before);
    }
}

/// Kills: the wait of the member that denied, which is not the longest.
#[test]
fn the_longest_wait_of_all() {
    let clock = ManualClock::new();
    let [a, b, c] = [1, 4, 2].map(|rate| bucket(Quota::per_second(rate).burst(4), &clock));
    for member in [&a, &b, &c] {
        assert_eq!(member.try_acquire_n(4), Ok(()));
    }
    // The second one denies first, and not for the longest time.
    let all = all_of((&a, &c, &b));
    assert_eq!(all.try_acquire_n(2), Err(denied(Duration::from_secs(2))));
    assert_eq!(all.try_acquire_n(5), Err(exceeds(5, 4)));
    clock.advance(Duration::from_secs(2) - Duration::from_nanos(1));
    assert_eq!(all.try_acquire_n(2), Err(denied(Duration::from_nanos(1))));
    clock.advance(Duration::from_nanos(1));
    assert_eq!(all.try_acquire_n(2), Ok(()));
}

/// What never comes is worse than what comes late, and what may come at any time lies between.
#[test]
fn what_holds_for_all_members() {
    let clock = ManualClock::new();
    let empty = bucket(Quota::per_second(1), &clock);
    assert!(empty.try_acquire().is_ok());
    let (small, large) = (bucket(Quota::per_second(3), &clock), bucket(Quota::per_second(9), &clock));
    let keys = PerKeyRateLimiter::<u32>::builder(Quota::per_hour(5)).max_keys(1).clock(clock.clone()).build();
    let keys = keys.expect("it fits");
    assert!(keys.try_acquire(&1).is_ok());
    let exhausted = RateLimitExceeded::KeysExhausted { max_keys: 1 };

    assert_eq!(all_of((&large, &small, &empty)).try_acquire_n(10), Err(exceeds(10, 1)));
    assert_eq!(all_of((&large, &small)).try_acquire_n(10), Err(exceeds(10, 3)));
    assert_eq!(all_of((&large, &small)).try_acquire_n(4), Err(exceeds(4, 3)));
    assert_eq!(all_of((keys.key(&2), &large)).try_acquire(), Err(exhausted));
    assert_eq!(all_of((&large, keys.key(&2))).try_acquire(), Err(exhausted));
    assert_eq!(all_of((&large, &keys.handle(2))).try_acquire(), Err(exceeds(1, 0)));
    assert_eq!((small.available(), large.available(), keys.available(&1)), (3, 9, 4));
}

#[test]
fn a_limiter_that_stands_in_it_twice() {
    let clock = ManualClock::new();
    let a = bucket(Quota::per_second(10), &clock);
    let twice = all_of((&a, &a));
    assert_eq!(twice.try_acquire_n(3), Ok(()));
    assert_eq!(a.available(), 4);
    // Each of them is there, both are not; and the time is that of both.
    let before = state(&a);
    assert_eq!(twice.try_acquire_n(3), Err(denied(Duration::from_millis(200))));
    assert_eq!(state(&a), before);
    clock.advance(Duration::from_nanos(199_999_999));
    assert_eq!(twice.try_acquire_n(3), Err(denied(Duration::from_nanos(1))));
    clock.advance(Duration::from_nanos(1));
    assert_eq!(twice.try_acquire_n(3), Ok(()));
    assert_eq!(a.available(), 0);
    // In this form it says what never is.
    assert_eq!((&a, 2).try_acquire_n(6), Err(exceeds(6, 5)));
}

/// The bound of G12, reached: somebody comes between charge and roll-back to a bucket that was full, while three permits' time passes.
#[test]
fn who_comes_between_gains_what_came_meanwhile_at_most() {
    for (n, gap, taken, gain) in [(4, 3, 9, 3), (4, 9, 10, 4), (4, 0, 6, 0), (1, 3, 10, 1), (4, 3, 0, 0)] {
        let clock = ManualClock::new();
        let (asked, unasked) =
            (bucket(Quota::per_second(1).burst(10), &clock), bucket(Quota::per_second(1).burst(10), &clock));
        let pass = |bucket: &Bucket| assert_eq!(bucket.try_acquire_n(taken), Ok(()));
        assert_eq!((asked.available(), unasked.available()), (10, 10));
        let last = Meddler(|_| {
            clock.advance(Duration::from_secs(gap));
            pass(&asked);
            Err(denied(LATER))
        });
        assert_eq!(all_of((&asked, &last)).try_acquire_n(n), Err(denied(LATER)));
        pass(&unasked);
        assert_eq!(asked.available(), unasked.available() + gain, "n = {n}, gap of {gap} permits, {taken} taken");
        assert!(gain <= n.min(gap));
    }
}

/// The same of a member that was looked at, which is charged at the reading of the look: the gap begins with that.
///
/// Kills: a charge at a reading of its own, with which the gap would begin later.
#[test]
fn the_gap_begins_with_the_look() {
    for (n, gap, gain) in [(4, 3, 3), (4, 9, 4), (4, 0, 0), (1, 3, 1)] {
        let clock = ManualClock::new();
        let [asked, unasked] = [(); 2].map(|()| bucket(Quota::per_second(1).burst(10), &clock));
        assert_eq!((asked.available(), unasked.available()), (10, 10));
        // All time passes before the charge.
        let first = Meddler(|_| {
            clock.advance(Duration::from_secs(gap));
            Ok(())
        });
        let last = Meddler(|_| {
            assert_eq!(asked.try_acquire_n(6), Ok(()));
            Err(denied(LATER))
        });
        assert_eq!(all_of((first, &asked, last)).try_acquire_n(n), Err(denied(LATER)));
        assert_eq!(unasked.try_acquire_n(6), Ok(()));
        assert_eq!(asked.available(), unasked.available() + gain, "n = {n}, gap of {gap} permits");
        assert!(gain <= n.min(gap));
    }
}

#[test]
fn others_may_be_denied_meanwhile_and_no_longer() {
    let clock = ManualClock::new();
    let a = bucket(Quota::per_second(1).burst(5), &clock);
    let last = Meddler(|_| {
        assert_eq!(a.try_acquire_n(3), Err(denied(Duration::from_secs(1))));
        assert_eq!(a.try_acquire_n(2), Ok(()));
        Err(denied(LATER))
    });
    assert_eq!(all_of((&a, last)).try_acquire_n(3), Err(denied(LATER)));
    assert_eq!(a.try_acquire_n(3), Ok(()));
}

/// Of a window nothing comes back after its end; of a key without a place, nothing.
#[test]
fn what_does_not_come_back() {
    let clock = ManualClock::new();
    let strict =
        SlidingWindowCounter::builder(10, Duration::from_secs(1)).strict().clock(clock.clone()).build().unwrap();
    let last = Meddler(|_| {
        clock.advance(Duration::from_secs(1));
        Err(denied(LATER))
    });
    assert!(all_of((&strict, last)).try_acquire_n(4).is_err());
    assert_eq!(strict.available(), 6);
    clock.advance(Duration::from_secs(1));
    assert_eq!(strict.available(), 10);

    // Nor to a later one, of which others have taken since. Kills: a roll-back to whichever window is open.
    let second = Duration::from_secs(1);
    let fixed = FixedWindowCounter::with_clock(10, second, clock.clone()).unwrap();
    let sliding = SlidingWindowCounter::with_clock(10, second, clock.clone()).unwrap();
    for counter in [&fixed as &dyn Limiter, &sliding, &strict, &(&fixed, 1), &Some(&sliding)] {
        clock.advance(3 * second);
        let last = Meddler(|_| {
            clock.advance(2 * second);
            assert_eq!(counter.try_acquire_n(5), Ok(()));
            Err(denied(LATER))
        });
        assert!(all_of((counter, &last)).try_acquire_n(4).is_err());
        assert_eq!(counter.available(), 5);
        clock.advance(3 * second);
        assert!(all_of((&None::<Bucket>, counter, &last)).try_acquire_n(4).is_err());
        assert_eq!(counter.available(), 5);
        clock.advance(3 * second);
        assert!(all_of([&None::<Bucket> as &dyn Limiter, counter, &last]).try_acquire_n(4).is_err());
        assert_eq!(counter.available(), 5);
    }

    let shared = PerKeyRateLimiter::<u32>::builder(Quota::per_hour(5)).max_keys(1).when_full(WhenFull::Share);
    let shared = shared.clock(clock.clone()).build().unwrap();
    assert!(shared.try_acquire(&1).is_ok());
    let last = Meddler(|_| Err(denied(LATER)));
    assert!(all_of((shared.key(&2), last)).try_acquire_n(4).is_err());
    assert!(shared.try_acquire_n(&3, 2).is_err());
}

/// A change of quota, or a key that starts afresh, between charge and roll-back: never more than the burst, and at most `n` too much.
#[test]
fn changed_between_charge_and_roll_back() {
    let clock = ManualClock::new();
    let a = bucket(Quota::per_second(10), &clock);
    let last = Meddler(|_| {
        a.set_quota(Quota::per_second(5)).unwrap();
        Err(denied(LATER))
    });
    assert!(all_of((&a, last)).try_acquire_n(7).is_err());
    assert_eq!(a.available(), 5);

    let keys = PerKeyRateLimiter::<u32>::builder(Quota::per_hour(10)).clock(clock.clone()).build().unwrap();
    let handle = keys.handle(1);
    let last = Meddler(|_| {
        assert!(keys.remove(&1));
        assert!(handle.try_acquire_n(5).is_ok());
        Err(denied(LATER))
    });
    assert!(all_of((&handle, keys.key(&1), last)).try_acquire_n(2).is_err());
    assert_eq!(handle.available(), 9);
}

/// Kills: a roll-back that is not that of a guard, or ends with the first panic.
#[test]
fn a_member_that_panics_keeps_nothing_of_the_others() {
    let clock = ManualClock::new();
    let [a, b] = [9, 7].map(|permits| bucket(Quota::per_hour(permits), &clock));
    let panics = Meddler(|n| panic!("asked for {n}"));
    let tuple = all_of((&a, &b, &panics));
    assert!(catch_unwind(AssertUnwindSafe(|| tuple.try_acquire_n(2))).is_err());
    assert_eq!((a.available(), b.available()), (9, 7));
    let list: [&dyn Limiter; 3] = [&a, &panics, &b];
    assert!(catch_unwind(AssertUnwindSafe(|| all_of(list).try_acquire_n(2))).is_err());
    assert_eq!((a.available(), b.available()), (9, 7));

    /// Takes, but does not give back.
    struct Greedy;
    impl Limiter for Greedy {
        fn try_acquire_n(&self, _n: u64) -> Result<(), RateLimitExceeded> {
            Ok(())
        }
        fn refund(&self, n: u64) {
            panic!("no {n} back")
        }
        fn available(&self) -> u64 {
            1
        }
        fn time_to_available(&self, _n: u64) -> Result<Duration, RateLimitExceeded> {
            Ok(Duration::ZERO)
        }
    }
    let last = Meddler(|_| Err(denied(LATER)));
    let all = all_of((&a, all_of((&b, Greedy)), &last));
    assert!(catch_unwind(AssertUnwindSafe(|| all.try_acquire_n(2))).is_err());
    assert_eq!((a.available(), b.available()), (9, 7));
    let all = all_of((&a, &b, Greedy));
    assert_eq!(all.try_acquire_n(2), Ok(()));
    assert!(catch_unwind(AssertUnwindSafe(|| all.refund(2))).is_err());
    assert_eq!((a.available(), b.available()), (9, 7));
}

/// Kills: members that are charged before all are looked at.
#[test]
fn what_is_counted() {
    let clock = ManualClock::new();
    let [a, b] = [3, 2]
        .map(|permits| TokenBucket::builder(Quota::per_hour(permits)).clock(clock.clone()).stats().build().unwrap());
    let counts = |bucket: &Bucket| bucket.stats().map(|stats| (stats.allowed_requests, stats.rejected_requests));
    let both = all_of((&a, &b));
    assert_eq!(both.try_acquire_n(2), Ok(()));
    assert_eq!((counts(&a), counts(&b)), (Some((1, 0)), Some((1, 0))));
    assert!(both.try_acquire().is_err()); // the second has none, which is seen by looking
    assert_eq!((counts(&a), counts(&b)), (Some((1, 0)), Some((1, 0))));
    b.refund(2);
    assert!(both.try_acquire_n(2).is_err()); // the first has one
    assert_eq!((counts(&a), counts(&b)), (Some((1, 1)), Some((1, 0))));
    // What is given back was counted.
    assert!(all_of((&b, Meddler(|_| Err(denied(LATER))))).try_acquire().is_err());
    assert_eq!((b.available(), counts(&b)), (2, Some((2, 0))));
}

/// Kills: a closed member that is asked for its permits alone; one that is said to be open, or to have permits, or to have granted.
#[test]
fn a_member_that_a_server_has_closed() {
    let clock = ManualClock::new();
    let adaptive = AdaptiveRateLimiter::builder().base_rate(100.0).clock(clock.clone()).build().unwrap();
    let bucket = bucket(Quota::per_hour(10), &clock);
    let all = all_of((&bucket, &adaptive));
    let there = || (bucket.available(), adaptive.available(), adaptive.stats().allowed_requests);
    assert_eq!((all.try_acquire_n(3), there()), (Ok(()), (7, 197, 1)));
    adaptive.record(Outcome::Throttled(Some(Duration::from_secs(2))));
    for denials in 1..=3 {
        assert_eq!((all.try_acquire(), there()), (Err(denied(Duration::from_secs(2))), (7, 0, 1)), "{denials}");
    }
    let asked = AtomicU64::new(0);
    let first = Meddler(|n| {
        asked.fetch_add(n, Ordering::Relaxed);
        Ok(())
    });
    assert!(all_of((&first, &adaptive)).try_acquire().is_err());
    clock.advance(Duration::from_secs(2));
    assert_eq!((all.try_acquire_n(2), there()), (Ok(()), (5, 198, 2)));
    assert_eq!(adaptive.try_acquire_n(198), Ok(()));
    assert!(all_of((&first, &adaptive)).try_acquire().is_err());
    assert_eq!(asked.load(Ordering::Relaxed), 0, "nobody else is asked");
}

/// Kills: taking by another reading than that of the look, which is most of the price.
#[test]
fn every_clock_is_read_once() {
    let clocks: [CountingClock; 6] = Default::default();
    let [a, b, c, d, e, f] = &clocks;
    let hour = Duration::from_secs(3_600);
    let bucket = |clock| TokenBucket::with_clock(Quota::per_hour(100), clock).unwrap();
    let buckets = [bucket(a), bucket(b), bucket(c)];
    let fixed = FixedWindowCounter::with_clock(100, hour, d).unwrap();
    let strict = SlidingWindowCounter::builder(100, hour).strict().clock(e).build().unwrap();
    let adaptive = AdaptiveRateLimiter::builder().base_rate(100.0).clock(f).build().unwrap();
    let [first, second, third] = &buckets;
    let all = all_of((first, (second, 3), third, &fixed, &strict, &adaptive));
    assert_eq!(all.try_acquire(), Ok(()));
    // Windows count in nanoseconds, the others in ticks.
    let readings = |call: &dyn Fn()| {
        let before = clocks.each_ref().map(CountingClock::reads_of_now);
        clocks.iter().for_each(|clock| _ = clock.readings());
        call();
        let of_now: Vec<_> = clocks.iter().zip(before).map(|(clock, before)| clock.reads_of_now() - before).collect();
        clocks.iter().zip(of_now).map(|(clock, of_now)| clock.readings() + of_now).collect::<Vec<_>>()
    };
    assert_eq!(readings(&|| assert_eq!(all.try_acquire_n(2), Ok(()))), [1; 6]);
    let list: [&dyn Limiter; 3] = [first, second, &fixed];
    assert_eq!(readings(&|| assert_eq!(all_of(&list[..]).try_acquire_n(2), Ok(()))), [1, 1, 0, 1, 0, 0]);
    assert_eq!(readings(&|| assert_eq!(all_of((&strict, first)).try_acquire_n(2), Ok(()))), [1, 0, 0, 0, 1, 0]);
}

/// Two composites over the same members, in either order, and calls to one member alone: nothing is lost, and nothing comes twice.
#[test]
fn threads_take_all_or_nothing() {
    let clock = ManualClock::new();
    const BURST: u64 = 30_000;
    let [a, b, c] = [(); 3].map(|()| bucket(Quota::per_hour(1).burst(BURST), &clock));
    let (both, turned) = (all_of((&a, (&b, 2))), all_of([(&b, 2), (&c, 1), (&a, 1)]));
    let taken = [(); 3].map(|()| AtomicU64::new(0));
    thread::scope(|scope| {
        for worker in 0..4 {
            let (both, turned, taken, c) = (&both, &turned, &taken, &c);
            scope.spawn(move || {
                for n in (1..=3).cycle().take(20_000) {
                    let (result, who) = match worker % 2 {
                        0 if n == 3 => (c.try_acquire_n(n), 2),
                        0 => (both.try_acquire_n(n), 0),
                        _ => (turned.try_acquire_n(n), 1),
                    };
                    if result.is_ok() {
                        taken[who].fetch_add(n, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let [by_both, by_turned, alone] = taken.map(AtomicU64::into_inner);
    assert_eq!(a.available(), BURST - by_both - by_turned);
    assert_eq!(b.available(), BURST - 2 * (by_both + by_turned));
    assert_eq!(c.available(), BURST - by_turned - alone);
    assert!(b.available() < 2, "it was asked for more than there was");
    assert!(clock.now().as_nanos() == 0 && Arc::new(both).available() == 0);
}
