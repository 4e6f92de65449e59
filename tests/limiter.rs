//! `Limiter`: every implementation, as an object, in other units and on hostile input.

mod support;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use sluicegate::{
    AdaptiveRateLimiter, AllOf, FixedWindowCounter, Limiter, ManualClock, PerKeyRateLimiter, Quota, RateLimitExceeded,
    SlidingWindowCounter, StripedTokenBucket, TokenBucket, all_of,
};
use support::quotas::cases;

const HOUR: Duration = Duration::from_secs(3_600);

fn denied(retry_after: Duration) -> Result<(), RateLimitExceeded> {
    Err(RateLimitExceeded::Denied { retry_after })
}

fn exceeds(requested: u64, capacity: u64) -> RateLimitExceeded {
    RateLimitExceeded::ExceedsCapacity { requested, capacity }
}

fn bucket(permits: u64, clock: &ManualClock) -> TokenBucket<ManualClock> {
    TokenBucket::with_clock(Quota::per_hour(permits), clock.clone()).expect("a valid quota")
}

/// Ten permits at first, and ten more within the hour: all that is promised of a limiter, by the trait alone.
fn ten_an_hour(limiter: &dyn Limiter, clock: &ManualClock) {
    assert_eq!(limiter.try_acquire_n(0), Ok(()));
    assert_eq!((limiter.available(), limiter.time_to_available(10)), (10, Ok(Duration::ZERO)));
    assert_eq!(limiter.try_acquire(), Ok(()));
    assert_eq!(limiter.try_acquire_n(8), Ok(()));
    assert_eq!(limiter.available(), 1);
    let wait = limiter.time_to_available(2).expect("it comes");
    assert!(wait > Duration::ZERO && wait <= 2 * HOUR);
    assert_eq!(limiter.try_acquire_n(2), denied(wait));
    assert_eq!(limiter.available(), 1);
    limiter.refund(4);
    assert_eq!(limiter.available(), 5);
    limiter.refund(u64::MAX);
    assert_eq!(limiter.available(), 10);
    assert_eq!(limiter.try_acquire_n(11), Err(exceeds(11, 10)));
    assert_eq!(limiter.time_to_available(11), Err(exceeds(11, 10)));
    assert_eq!(limiter.try_acquire_n(u64::MAX), Err(exceeds(u64::MAX, 10)));
    assert_eq!(limiter.try_acquire_n(10), Ok(()));
    let wait = limiter.time_to_available(1).expect("it comes");
    clock.advance(wait - Duration::from_nanos(1));
    assert_eq!(limiter.try_acquire(), denied(Duration::from_nanos(1)));
    clock.advance(Duration::from_nanos(1));
    assert_eq!(limiter.try_acquire(), Ok(()));
    assert_eq!(limiter.try_acquire_n(0), Ok(()));
}

#[test]
fn every_shared_limiter_is_one() {
    let each = |make: &dyn Fn(&ManualClock) -> Box<dyn Limiter>| {
        let clock = ManualClock::new();
        let limiter = make(&clock);
        ten_an_hour(&limiter, &clock);
        // And the same as the one member of a composite, as one of two, and in other units.
        let clock = ManualClock::new();
        ten_an_hour(&all_of((make(&clock),)), &clock);
        let clock = ManualClock::new();
        ten_an_hour(&all_of((make(&clock), make(&clock))), &clock);
        let clock = ManualClock::new();
        ten_an_hour(&all_of([make(&clock), make(&clock), make(&clock)]), &clock);
        let clock = ManualClock::new();
        ten_an_hour(&(Some(make(&clock)), 1), &clock);
        let clock = ManualClock::new();
        ten_an_hour(&all_of((Arc::new(make(&clock)), all_of(vec![make(&clock)]), None::<Box<dyn Limiter>>)), &clock);
    };
    each(&|clock| Box::new(bucket(10, clock)));
    each(&|clock| Box::new(FixedWindowCounter::with_clock(10, HOUR, clock.clone()).expect("it fits")));
    each(&|clock| Box::new(SlidingWindowCounter::with_clock(10, HOUR, clock.clone()).expect("it fits")));
    each(&|clock| {
        Box::new(SlidingWindowCounter::builder(10, HOUR).strict().clock(clock.clone()).build().expect("it fits"))
    });
    // Of ten permits no stripe has a share.
    each(&|clock| Box::new(StripedTokenBucket::with_clock(Quota::per_hour(10), clock.clone()).expect("it fits")));
    each(&|clock| {
        let limiter = AdaptiveRateLimiter::builder().base_rate(5.0).window(HOUR).clock(clock.clone()).build();
        Box::new(limiter.expect("it fits"))
    });
    each(&|clock| {
        let limiter = PerKeyRateLimiter::<u32>::builder(Quota::per_hour(10)).clock(clock.clone()).build();
        Box::new(limiter.expect("it fits").handle(7))
    });
    each(&|clock| {
        let limiter = PerKeyRateLimiter::<String>::builder(Quota::per_hour(10)).clock(clock.clone()).build();
        let limiter: &'static _ = Box::leak(Box::new(limiter.expect("it fits")));
        Box::new(limiter.key("alice"))
    });
}

#[test]
fn policies() {
    let clock = ManualClock::new();
    let quota = Quota::per_minute(60).burst(9);
    let bucket = TokenBucket::with_clock(quota, clock.clone()).expect("it fits");
    assert_eq!(Limiter::policy(&bucket), Some(quota));
    assert_eq!((&bucket, 4).policy(), Some(Quota::per(60, Duration::from_secs(240)).burst(2)));
    assert_eq!((&bucket, 0).policy(), None);
    assert_eq!((&bucket, u64::MAX).policy(), None);
    assert_eq!(Some(&bucket).policy(), Some(quota));
    assert_eq!(None::<&TokenBucket>.policy(), None);
    assert_eq!(all_of((&bucket,)).policy(), None);
    let window = FixedWindowCounter::with_clock(10, HOUR, clock.clone()).expect("it fits");
    assert_eq!(window.policy(), Some(Quota::per_hour(10)));
    let keys = PerKeyRateLimiter::<u32>::new(quota).expect("it fits");
    assert_eq!(keys.key(&1).policy(), Some(quota));
    assert_eq!(keys.handle(1).policy(), Some(quota));
    let tiers = PerKeyRateLimiter::<u32>::builder(quota).quota_for(|_| None).build().expect("it fits");
    assert_eq!(tiers.key(&1).policy(), None);
    let striped = StripedTokenBucket::with_clock(quota, clock.clone()).expect("it fits");
    assert_eq!(Limiter::policy(&striped), Some(quota));
    let adaptive = AdaptiveRateLimiter::builder().base_rate(5.0).clock(clock).build().expect("it fits");
    assert_eq!(Limiter::policy(&adaptive), Some(Quota::from_rate(5.0).burst(10)));
}

#[test]
fn no_members_admit_everything() {
    fn admits(limiter: &dyn Limiter) {
        for n in [0, 1, u64::MAX] {
            assert_eq!(limiter.try_acquire_n(n), Ok(()));
            assert_eq!(limiter.time_to_available(n), Ok(Duration::ZERO));
            limiter.refund(n);
        }
        assert_eq!(limiter.available(), u64::MAX);
    }
    let spent = bucket(1, &ManualClock::new());
    assert!(spent.try_acquire().is_ok());
    admits(&all_of(()));
    admits(&all_of(Vec::<TokenBucket>::new()));
    admits(&all_of([] as [&dyn Limiter; 0]));
    admits(&None::<TokenBucket>);
    admits(&(&spent, 0));
    admits(&all_of((all_of(()), None::<TokenBucket>, (&spent, 0))));
    assert_eq!(spent.available(), 0);
}

/// Kills: `n * k` that wraps, and a capacity in the member's units.
#[test]
fn so_many_permits_each() {
    let clock = ManualClock::new();
    let tokens = bucket(1_000, &clock);
    let calls = (&tokens, 300);
    assert_eq!(calls.available(), 3);
    assert_eq!(calls.try_acquire_n(4), Err(exceeds(4, 3)));
    assert_eq!(calls.time_to_available(4), Err(exceeds(4, 3)));
    assert_eq!(calls.try_acquire_n(2), Ok(()));
    assert_eq!(tokens.available(), 400);
    assert_eq!(calls.try_acquire_n(2), denied(Duration::from_secs(200 * 3_600 / 1_000)));
    calls.refund(1);
    assert_eq!(tokens.available(), 700);

    // 2^63 * 2 is 0 in 64 bits, and (2^63 + 1) * 2 is 2.
    for n in [1 << 63, (1 << 63) + 1, u64::MAX] {
        assert_eq!((&tokens, 2).try_acquire_n(n), Err(exceeds(n, 500)));
        assert_eq!((&tokens, 2).time_to_available(n), Err(exceeds(n, 500)));
        assert_eq!(all_of((&tokens, (&tokens, 2))).try_acquire_n(n), Err(exceeds(n, 500)));
        assert_eq!((None::<TokenBucket>, 2).try_acquire_n(n), Err(exceeds(n, u64::MAX / 2)));
    }
    assert_eq!(tokens.available(), 700);
    (&tokens, u64::MAX).refund(u64::MAX);
    assert_eq!(tokens.available(), 1_000);
    assert_eq!(((&tokens, 30), 20).try_acquire_n(2), Err(exceeds(2, 1)));
}

/// A rate limit of somebody else's, which answers with what it has.
#[derive(Debug)]
struct Others(u64);

impl Limiter for Others {
    fn try_acquire_n(&self, n: u64) -> Result<(), RateLimitExceeded> {
        if n <= self.0 { Ok(()) } else { Err(exceeds(n, self.0)) }
    }
    fn refund(&self, _n: u64) {}
    fn available(&self) -> u64 {
        self.0
    }
    fn time_to_available(&self, n: u64) -> Result<Duration, RateLimitExceeded> {
        self.try_acquire_n(n).map(|()| Duration::ZERO)
    }
}

#[test]
fn it_can_be_implemented() {
    let clock = ManualClock::new();
    let bucket = bucket(10, &clock);
    let both = all_of((&bucket, Others(3)));
    assert_eq!(both.try_acquire_n(4), Err(exceeds(4, 3)));
    assert_eq!(both.try_acquire_n(3), Ok(()));
    assert_eq!((both.available(), bucket.available()), (3, 7));
    assert_eq!(both.policy(), None);
    let objects: [&dyn Limiter; 2] = [&Others(9), &bucket];
    assert_eq!(all_of(&objects[..]).try_acquire_n(7), Ok(()));
    assert_eq!(bucket.available(), 0);
}

#[test]
fn composites_are_send_and_say_something() {
    fn shared<T: Send + Sync + Debug>(_: &T) {}
    let clock = ManualClock::new();
    let both: AllOf<(TokenBucket<ManualClock>, Arc<dyn Limiter>)> = all_of((bucket(10, &clock), Arc::new(Others(3))));
    shared(&both);
    assert_eq!(format!("{both:?}"), "AllOf { members: 2, available: 3, .. }");
    fn sent<T: Send>(_: &T) {}
    sent(&both.acquire());
    assert!(format!("{:?}", both.acquire_n(2)).contains("permits: 2"));
    // `take` and the like of other types are still theirs, with the trait in scope.
    let mut some = Some(bucket(1, &clock));
    assert!(some.take().is_some());
}

proptest! {
    #![proptest_config(cases(2_000))]

    /// No number panics, and what is denied is not charged.
    #[test]
    fn hostile_numbers(
        asked in prop::collection::vec((prop_oneof![0..20_u64, any::<u64>(), Just(u64::MAX)], 0..3_u8), 1..20),
        k in prop_oneof![0..5_u64, any::<u64>(), Just(u64::MAX)],
    ) {
        let clock = ManualClock::new();
        let (first, second) = (bucket(50, &clock), bucket(1 << 30, &clock));
        let composite = all_of((&first, (&second, k), all_of([(&first, 1), (&first, 0)])));
        for (n, what) in asked {
            let before = (first.available(), second.available());
            match what {
                0 => {
                    if composite.try_acquire_n(n).is_err() {
                        prop_assert_eq!((first.available(), second.available()), before);
                    }
                }
                1 => {
                    let there = composite.time_to_available(n) == Ok(Duration::ZERO);
                    prop_assert!(!there || n <= composite.available());
                }
                _ => composite.refund(n),
            }
        }
    }
}
