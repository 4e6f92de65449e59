//! What there is without std, on a clock as a program without an operating system has one: `tests/no_std.rs` runs it.

use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

use sluicegate::{
    AdaptiveRateLimiterBuilder, Clock, FixedWindowCounter, FixedWindowCounterBuilder, Nanos, Outcome, Quota,
    RateLimitExceeded, SlidingWindowCounter, SlidingWindowCounterBuilder, StripedTokenBucket, TokenBucket,
    TokenBucketBuilder,
};

/// Milliseconds that a timer's interrupt counts.
pub static MILLIS: AtomicU32 = AtomicU32::new(0);

/// Reads them.
#[derive(Clone, Copy, Debug, Default)]
pub struct SysTick;

impl Clock for SysTick {
    fn now(&self) -> Nanos {
        Nanos::from_nanos(u64::from(MILLIS.load(Ordering::Relaxed)) * 1_000_000)
    }
}

fn pass(millis: u32) {
    MILLIS.fetch_add(millis, Ordering::Relaxed);
}

/// Runs each limiter once; who calls it at the same time disturbs.
pub fn all() {
    buckets();
    windows();
    adaptive();
    text();
}

fn buckets() {
    let bucket = TokenBucket::with_clock(Quota::per_second(10).burst(2), SysTick).expect("in range");
    assert_eq!(bucket.try_acquire_n(2), Ok(()));
    let retry_after = Duration::from_millis(100);
    assert_eq!(bucket.try_acquire(), Err(RateLimitExceeded::Denied { retry_after }));
    pass(100);
    bucket.try_reserve(1).expect("it has come").cancel();
    assert_eq!(bucket.charge(1), 1);
    bucket.set_quota(Quota::per_second(1)).expect("in range");
    assert!(TokenBucket::with_clock(Quota::per_second(0), SysTick).is_err());

    let bucket = TokenBucketBuilder::new(Quota::per_second(10), SysTick).initial(1).stats().build().expect("in range");
    assert_eq!((bucket.try_acquire_up_to(5), bucket.try_acquire().is_err()), (1, true));
    assert_eq!(bucket.stats().map(|stats| stats.rejection_rate()), Some(0.5));

    let striped = StripedTokenBucket::with_clock(Quota::per_second(100_000), SysTick).expect("in range");
    assert_eq!(striped.local().try_acquire(), Ok(()));
    assert_eq!(striped.available(), 99_999);
}

fn windows() {
    let second = Duration::from_secs(1);
    pass(1_000 - MILLIS.load(Ordering::Relaxed) % 1_000);
    let fixed = FixedWindowCounter::with_clock(3, second, SysTick).expect("in range");
    let sliding = SlidingWindowCounter::with_clock(3, second, SysTick).expect("in range");
    let strict = SlidingWindowCounterBuilder::new(3, second, SysTick).strict().build().expect("in range");
    assert!(fixed.try_acquire_n(3).is_ok() && sliding.try_acquire_n(3).is_ok() && strict.try_acquire_n(3).is_ok());
    pass(1_500);
    assert_eq!((fixed.available(), sliding.available(), strict.available()), (3, 1, 3));
    assert!(FixedWindowCounterBuilder::new(0, second, SysTick).build().is_err());
}

fn adaptive() {
    let limiter = AdaptiveRateLimiterBuilder::new(SysTick).base_rate(100.0).min_samples(1).build().expect("in range");
    assert!(limiter.call(|| Err::<(), _>("busy")).is_err());
    limiter.record(Outcome::Error);
    pass(10_000);
    assert_eq!(limiter.current_rate(), 50.0);
}

fn text() {
    assert_eq!("5000/h burst 200".parse(), Ok(Quota::per_hour(5_000).burst(200)));
    assert!("5000/x".parse::<Quota>().is_err());
}
