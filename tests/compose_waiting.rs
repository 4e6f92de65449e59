//! Waiting for a composite: by trying again, in no order.

mod support;

use std::pin::pin;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::future::block_on;
use sluicegate::{
    AdaptiveRateLimiter, Clock, FixedWindowCounter, Limiter, ManualClock, Nanos, PerKeyRateLimiter, Quota,
    RateLimitExceeded, SlidingWindowCounter, StripedTokenBucket, TokenBucket, all_of,
};
use support::clocks::CountingClock;
use support::waiting::{HOUR, SOON, Wakes, eventually, poll};

const MILLI: Duration = Duration::from_millis(1);

fn bucket(permits: u64, clock: &ManualClock) -> TokenBucket<ManualClock> {
    TokenBucket::with_clock(Quota::per_hour(permits), clock.clone()).expect("a valid quota")
}

fn real(per_second: u64) -> TokenBucket {
    TokenBucket::new(Quota::per_second(per_second).burst(1)).expect("a valid quota")
}

/// Kills: a clock that is moved by hand, and wakes nobody.
#[test]
fn a_clock_that_is_moved_wakes() {
    let clock = ManualClock::new();
    let [a, b] = [2, 1].map(|permits| bucket(permits, &clock));
    let both = all_of((&a, &b));
    let wakes = Wakes::new();
    let mut first = both.acquire();
    assert_eq!(poll(&mut first, &wakes), Poll::Ready(Ok(())));
    assert_eq!(poll(&mut first, &wakes), Poll::Pending, "it is over");

    let mut second = both.acquire();
    assert_eq!(poll(&mut second, &wakes), Poll::Pending);
    assert_eq!(wakes.take(), 0);
    assert_eq!((a.available(), b.available()), (1, 0), "nothing is taken meanwhile");
    clock.advance(HOUR - MILLI);
    assert_eq!(wakes.take(), 1);
    assert_eq!(poll(&mut second, &wakes), Poll::Pending);
    clock.advance(MILLI);
    assert_eq!(wakes.take(), 1);
    assert_eq!(poll(&mut second, &wakes), Poll::Ready(Ok(())));
    assert_eq!((a.available(), b.available()), (1, 0));

    let mut third = both.acquire();
    assert_eq!(poll(&mut third, &wakes), Poll::Pending);
    drop(third);
    clock.advance(HOUR);
    assert_eq!((a.available(), b.available()), (2, 1), "no trace of who went");
}

/// Whatever the member is. Kills: a kind of member whose clock is not asked to wake; one of no permits whose is.
#[test]
fn every_member_s_clock_wakes() {
    fn wakes(member: impl Limiter, clock: &ManualClock) -> u64 {
        let wakes = Wakes::new();
        let nothing = bucket(1, &ManualClock::new());
        let all = all_of((&nothing, &member));
        // Some of these have a member that never is empty.
        for _ in 0..9 {
            let _ = all.try_acquire();
            nothing.refund(1);
        }
        assert!(nothing.try_acquire().is_ok());
        let mut waiting = all.acquire();
        assert_eq!(poll(&mut waiting, &wakes), Poll::Pending);
        clock.advance(MILLI);
        wakes.take()
    }

    let clock = &ManualClock::new();
    let quota = Quota::per_hour(2);
    let keys = PerKeyRateLimiter::<u32>::builder(quota).clock(clock.clone()).build().unwrap();
    let bucket = &bucket(2, clock);
    assert_eq!([wakes(bucket, clock), wakes(Some(bucket), clock), wakes(None::<&TokenBucket>, clock)], [1, 1, 0]);
    assert_eq!([wakes((bucket, 2), clock), wakes((bucket, 1), clock), wakes((bucket, 0), clock)], [1, 1, 0]);
    assert_eq!([wakes(keys.key(&1), clock), wakes(keys.handle(2), clock)], [1, 1]);
    assert_eq!(wakes(StripedTokenBucket::with_clock(quota, clock.clone()).unwrap(), clock), 1);
    assert_eq!(wakes(FixedWindowCounter::with_clock(2, HOUR, clock.clone()).unwrap(), clock), 1);
    assert_eq!(wakes(SlidingWindowCounter::with_clock(2, HOUR, clock.clone()).unwrap(), clock), 1);
    assert_eq!(wakes(AdaptiveRateLimiter::builder().base_rate(2.0).clock(clock.clone()).build().unwrap(), clock), 1);
}

/// Kills: a clock that moves between the try and the registration, and wakes nobody.
#[test]
fn a_clock_that_is_moved_before_it_is_registered_at() {
    struct Jumps(ManualClock);
    impl Clock for Jumps {
        fn now(&self) -> Nanos {
            self.0.now()
        }
        fn wake_on_change(&self, waker: &std::task::Waker) -> bool {
            self.0.advance(HOUR);
            self.0.wake_on_change(waker)
        }
    }
    let a = TokenBucket::with_clock(Quota::per_hour(1), Jumps(ManualClock::new())).expect("a valid quota");
    assert_eq!(a.try_acquire(), Ok(()));
    assert_eq!(poll(&mut all_of((&a,)).acquire(), &Wakes::new()), Poll::Ready(Ok(())));
}

#[test]
fn threads_wait_too() {
    let clock = ManualClock::new();
    let [a, b] = [2, 1].map(|permits| bucket(permits, &clock));
    let both = all_of((&a, &b));
    assert_eq!(both.blocking_acquire(), Ok(()));
    thread::scope(|scope| {
        let waits = scope.spawn(|| both.blocking_acquire_n(1));
        thread::sleep(10 * MILLI);
        assert!(!waits.is_finished());
        clock.advance(HOUR);
        eventually("it was woken", || waits.is_finished());
        assert_eq!(waits.join().expect("no panic"), Ok(()));
    });
    // In real time: five permits of each at 1,000 and 500 a second.
    let (c, d) = (real(1_000), real(500));
    let both = all_of((&c, &d));
    let started = Instant::now();
    for _ in 0..6 {
        assert_eq!(both.blocking_acquire(), Ok(()));
    }
    assert!(started.elapsed() >= 9 * MILLI);
    let started = Instant::now();
    block_on(async {
        for _ in 0..5 {
            assert_eq!(both.acquire_timeout(1, SOON).await, Ok(()));
        }
    });
    assert!(started.elapsed() >= 7 * MILLI);
}

#[test]
fn what_is_refused_at_once() {
    let clock = ManualClock::new();
    let [a, b] = [4, 1].map(|permits| bucket(permits, &clock));
    let both = all_of((&a, &b));
    let denied = Err(RateLimitExceeded::Denied { retry_after: HOUR });
    let started = Instant::now();
    block_on(async {
        let never = Err(RateLimitExceeded::ExceedsCapacity { requested: 2, capacity: 1 });
        assert_eq!(both.acquire_n(2).await, never);
        assert_eq!(both.acquire_timeout(0, Duration::ZERO).await, Ok(()));
        assert_eq!(both.acquire_timeout(1, Duration::ZERO).await, Ok(()));
        assert_eq!(both.acquire_timeout(1, Duration::ZERO).await, denied);
        assert_eq!(both.acquire_timeout(1, HOUR - MILLI).await, denied);
        let keys = PerKeyRateLimiter::<u32>::builder(Quota::per_hour(5)).max_keys(1).build().expect("it fits");
        assert_eq!(keys.try_acquire(&1), Ok(()));
        let exhausted = Err(RateLimitExceeded::KeysExhausted { max_keys: 1 });
        assert_eq!(all_of((keys.key(&2), &a)).acquire().await, exhausted);
    });
    assert_eq!(both.blocking_acquire_timeout(1, HOUR - MILLI), denied);
    assert!(started.elapsed() < SOON);
    assert_eq!((a.available(), b.available()), (3, 0));
}

/// A member that says it will be there at once, and never is.
struct Soon;

impl Limiter for Soon {
    fn try_acquire_n(&self, _n: u64) -> Result<(), RateLimitExceeded> {
        Err(RateLimitExceeded::Denied { retry_after: Duration::ZERO })
    }
    fn refund(&self, _n: u64) {}
    fn available(&self) -> u64 {
        u64::MAX
    }
    fn time_to_available(&self, _n: u64) -> Result<Duration, RateLimitExceeded> {
        Ok(Duration::ZERO)
    }
}

/// Kills: waits of no time at all, which are a spin.
#[test]
fn nobody_spins() {
    // A clock that stands still a nanosecond before it is due, and wakes nobody.
    let clock = CountingClock::default();
    let a = TokenBucket::with_clock(Quota::per_second(1_000_000_000).burst(1), &clock).expect("a valid quota");
    assert_eq!(a.try_acquire(), Ok(()));
    let _ = clock.readings();
    let timeout = Duration::from_millis(150);
    let both = all_of((&a, Soon));
    for blocking in [false, true] {
        let started = Instant::now();
        let outcome = if blocking {
            both.blocking_acquire_timeout(1, timeout)
        } else {
            block_on(both.acquire_timeout(1, timeout))
        };
        assert_eq!(outcome, Err(RateLimitExceeded::Denied { retry_after: Duration::from_nanos(1) }));
        assert!(started.elapsed() >= timeout);
        // 50 us, 100 us, .. 12.8 ms, and then every 12.8 ms: each try reads the clock once or twice.
        assert!(clock.readings() < 100);
    }
    assert!(block_on(all_of([Soon]).acquire_timeout(1, 5 * MILLI)).is_err());
}

/// Whoever stands in a member's line comes first.
#[test]
fn a_line_is_not_overtaken() {
    let clock = ManualClock::new();
    let [a, b] = [2, 2].map(|permits| bucket(permits, &clock));
    assert_eq!(a.try_acquire_n(2), Ok(()));
    let wakes = Wakes::new();
    let mut in_line = pin!(a.acquire_n(2));
    assert_eq!(poll(&mut in_line, &wakes), Poll::Pending);
    let both = all_of((&b, &a));
    let mut composite = both.acquire();
    assert_eq!(poll(&mut composite, &wakes), Poll::Pending);
    clock.advance(HOUR);
    assert_eq!(poll(&mut composite, &wakes), Poll::Pending, "the two are for who stands in line");
    assert_eq!(poll(&mut in_line, &wakes), Poll::Ready(Ok(())));
    clock.advance(HOUR);
    assert_eq!(poll(&mut composite, &wakes), Poll::Ready(Ok(())));
    assert_eq!((a.available(), b.available()), (1, 1));
}
