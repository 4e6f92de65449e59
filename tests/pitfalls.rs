//! Each test here is an error that another limiter made, by its name: DESIGN.md lists them beside the promises. What
//! loom can show better (torn refills, stale exchanges) has its model in `loom-tests`.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sluicegate::{Clock, ManualClock, Nanos, Quota, RateLimitExceeded, TokenBucket};
use support::buckets::new_bucket;
use support::quotas::{SECOND, UNIX_NOW, YEAR};

/// A clock whose first reading of each pair is held back: a thread that was stopped between clock and exchange.
struct Held {
    time: ManualClock,
    /// The next reading, if not 0, instead of the time.
    held: AtomicU64,
}

impl Clock for Held {
    fn now(&self) -> Nanos {
        match self.held.swap(0, Ordering::Relaxed) {
            0 => self.time.now(),
            held => Nanos::from_nanos(held),
        }
    }
}

/// A call that read the clock before another one took permits at a later time, and decides after it: had it stored its
/// own time as the last refill, the time between the two would count again for whoever comes next.
#[test]
fn stale_clock_reading_does_not_recredit_time() {
    let clock = Arc::new(Held { time: ManualClock::new(), held: AtomicU64::new(0) });
    clock.time.set(Nanos::from_nanos(SECOND));
    let bucket = TokenBucket::with_clock(Quota::per_second(10).burst(10), Arc::clone(&clock)).unwrap();
    assert_eq!(bucket.try_acquire_n(10), Ok(()));
    clock.time.set(Nanos::from_nanos(2 * SECOND));
    assert_eq!(bucket.try_acquire_n(9), Ok(()));
    for stale in [1, SECOND / 2, SECOND, SECOND + 1, SECOND * 3 / 2, 2 * SECOND - 1] {
        clock.held.store(stale, Ordering::Relaxed);
        assert!(bucket.try_acquire_n(2).is_err(), "a reading of {stale} ns found more");
        clock.held.store(stale, Ordering::Relaxed);
        bucket.refund(0);
        clock.held.store(stale, Ordering::Relaxed);
        assert_eq!(bucket.try_acquire_up_to(2), 0);
    }
    assert_eq!(bucket.try_acquire_up_to(10), 1);
    assert_eq!(bucket.try_acquire_up_to(10), 0);
}

/// The same where the stale call does take something: what it takes is taken from now, and no time comes twice.
#[test]
fn stale_grant_does_not_set_the_bucket_back() {
    let (bucket, clock) = new_bucket(Quota::per_second(10).burst(10));
    assert_eq!(bucket.available(), 10);
    clock.set(Nanos::from_nanos(10 * SECOND));
    assert_eq!(bucket.try_acquire_n(1), Ok(()));
    // At 9.9 s eight were there: one permit's time less and one taken.
    clock.set(Nanos::from_nanos(9_900_000_000));
    assert_eq!(bucket.try_acquire_up_to(20), 8);
    clock.set(Nanos::from_nanos(10 * SECOND));
    assert_eq!(bucket.try_acquire_up_to(20), 1);
}

/// Permits and time in one word, the time in few bits: a reading a moment in the past wraps to weeks ahead.
#[test]
fn stale_reading_does_not_look_like_weeks() {
    for origin in [0, 1, UNIX_NOW] {
        let (bucket, clock) = new_bucket(Quota::per_hour(1_000).burst(1_000));
        clock.set(Nanos::from_nanos(origin + 10 * SECOND));
        assert_eq!(bucket.try_acquire_n(1_000), Ok(()));
        for back in [1, 1_000, 1_000_000, SECOND, 10 * SECOND, origin + 10 * SECOND] {
            clock.set(Nanos::from_nanos(origin + 10 * SECOND - back));
            assert_eq!(bucket.available(), 0, "{back} ns in the past");
            assert!(bucket.try_acquire().is_err(), "{back} ns in the past");
            assert_eq!(bucket.try_acquire_up_to(1_000), 0);
        }
    }
}

/// A refill floored to whole permits, and `now` stored: a caller that polls at 1.9 times the permit's time gets one
/// each time, not 1.9.
#[test]
fn refill_keeps_fractions() {
    for share in [1, 3, 10, 50, 90, 99, 101, 110, 150, 190, 199, 250] {
        let (bucket, clock) = new_bucket(Quota::per_second(1_000));
        let mut granted = bucket.try_acquire_up_to(u64::MAX) - 1_000;
        for _ in 0..10_000 {
            clock.advance(Duration::from_nanos(10_000 * share));
            granted += bucket.try_acquire_up_to(u64::MAX);
        }
        assert_eq!(granted, 100 * share, "polled at {share} % of a permit's time");
    }
}

/// A denied call that stores its own time throws away what has accrued since the last grant.
#[test]
fn polling_faster_than_the_rate_starves_nobody() {
    let (bucket, clock) = new_bucket(Quota::per_second(1).burst(1));
    assert!(bucket.try_acquire().is_ok());
    let granted = (0..30_000).filter(|_| {
        clock.advance(Duration::from_micros(100));
        bucket.try_acquire().is_ok()
    });
    assert_eq!(granted.count(), 3);
}

/// 3.33 ns taken for 3 ns are 11 % more than 3e8/s, 1.43 taken for 1 are 43 % more than 7e8/s.
#[test]
fn emission_interval_is_not_rounded_to_nanoseconds() {
    for rate in [300_000_000, 700_000_000, 999_999_937, 1_100_000_000, 3_999_999_999] {
        let (bucket, clock) = new_bucket(Quota::per_second(rate).burst(1 << 20));
        let mut granted = bucket.try_acquire_up_to(u64::MAX) - (1 << 20);
        for _ in 0..10_000 {
            clock.advance(Duration::from_micros(100));
            granted += bucket.try_acquire_up_to(u64::MAX);
        }
        assert_eq!(granted, rate, "in a second");
    }
}

/// A multiplier rounded down makes the first permit at 100/s come at 10.000001 ms.
#[test]
fn first_grant_is_not_a_nanosecond_late() {
    let (bucket, clock) = new_bucket(Quota::per_second(100));
    assert_eq!(bucket.try_acquire_n(100), Ok(()));
    let denied = RateLimitExceeded::Denied { retry_after: Duration::from_millis(10) };
    assert_eq!(bucket.try_acquire(), Err(denied));
    clock.set(Nanos::from_nanos(9_999_999));
    assert!(bucket.try_acquire().is_err());
    clock.set(Nanos::from_nanos(10_000_000));
    assert_eq!(bucket.try_acquire(), Ok(()));
}

/// `n * interval` before the comparison with the burst wraps, and grants what nobody has.
#[test]
fn huge_n_is_refused_before_multiplication() {
    let quotas = [
        Quota::per_second(10),
        Quota::per_day(1),
        Quota::per_second(4_000_000_000).burst(1 << 40),
        Quota::per(1, Duration::from_nanos(YEAR)),
    ];
    for quota in quotas {
        let (bucket, clock) = new_bucket(quota);
        let capacity = quota.capacity();
        for when in [0, SECOND, YEAR, u64::MAX] {
            clock.set(Nanos::from_nanos(when));
            let powers = (0..64).map(|bit| 1_u64 << bit);
            let wrapping = powers.flat_map(|n| [n - 1, n, n + 1, u64::MAX / n, u64::MAX - n]);
            for n in wrapping.chain([capacity + 1]).filter(|&n| n > capacity) {
                let never = RateLimitExceeded::ExceedsCapacity { requested: n, capacity };
                assert_eq!(bucket.try_acquire_n(n), Err(never));
                assert_eq!(bucket.time_to_available(n), Err(never));
            }
        }
        clock.set(Nanos::from_nanos(0));
        assert_eq!(bucket.try_acquire_up_to(u64::MAX), capacity);
    }
}

/// Neither a bit more after a long rest, nor a bit less through rounding.
#[test]
fn idle_bucket_is_exactly_full() {
    for quota in [Quota::per_second(3).burst(7), Quota::per_second(999_983).burst(5), Quota::per_minute(7).burst(11)] {
        let (bucket, clock) = new_bucket(quota);
        let mut now = 0;
        for idle in [0, 100 * SECOND, 3_600 * SECOND + 7, YEAR + 1, 30 * YEAR + 3] {
            now += idle;
            clock.set(Nanos::from_nanos(now));
            assert_eq!(bucket.try_acquire_up_to(u64::MAX), quota.capacity(), "{quota:?} after {idle} ns");
            assert!(bucket.try_acquire().is_err());
        }
    }
}

/// A bucket that is full is so for the next caller too: a look, a refund or a denied call takes nothing.
#[test]
fn a_look_does_not_start_the_clock_anew() {
    let (bucket, clock) = new_bucket(Quota::per_hour(2));
    assert_eq!(bucket.try_acquire_n(2), Ok(()));
    for _ in 0..3_599 {
        clock.advance(Duration::from_millis(500));
        let _ = (bucket.available(), bucket.time_to_available(2), bucket.try_acquire_n(2));
        bucket.refund(0);
        assert!(bucket.try_acquire().is_err());
    }
    clock.advance(Duration::from_millis(500));
    assert_eq!(bucket.try_acquire(), Ok(()));
}

/// A new quota that swaps in a new bucket hands out its whole burst.
#[test]
fn quota_change_is_not_a_full_bucket() {
    let (bucket, _clock) = new_bucket(Quota::per_second(10));
    assert_eq!(bucket.try_acquire_n(10), Ok(()));
    for rate in [10, 11, 1_000, 4_000_000_000, 1, 10] {
        bucket.set_quota(Quota::per_second(rate)).unwrap();
        assert_eq!(bucket.available(), 0, "after a change to {rate}/s");
        assert!(bucket.try_acquire().is_err());
    }
}

/// The time until a change counted at the new rate: a burst for whoever raises the rate after a quiet hour.
#[test]
fn quota_change_does_not_revalue_the_past() {
    let (bucket, clock) = new_bucket(Quota::per_hour(1).burst(100_000));
    assert_eq!(bucket.try_acquire_n(100_000), Ok(()));
    clock.advance(Duration::from_secs(3 * 3_600));
    bucket.set_quota(Quota::per_second(1_000).burst(100_000)).unwrap();
    assert_eq!(bucket.available(), 3);
}

/// A setter whose clock has gone back far beyond what can be owed must not count all of that time a second time. The
/// change counts from the first moment at which what is taken can have been owed, here a second before the end.
#[test]
fn quota_change_under_a_stale_reading_recredits_no_time() {
    for new in [Quota::per_second(10), Quota::per_second(11), Quota::per_second(14).burst(10), Quota::per_second(1)] {
        let (bucket, clock) = new_bucket(Quota::per_second(10));
        assert_eq!(bucket.available(), 10);
        clock.set(Nanos::from_nanos(1_000 * SECOND));
        assert_eq!(bucket.try_acquire_n(10), Ok(()));
        clock.set(Nanos::from_nanos(0));
        bucket.set_quota(new).unwrap();
        assert_eq!(bucket.available(), 0);
        clock.set(Nanos::from_nanos(1_000 * SECOND));
        assert!(bucket.available() <= new.permits().saturating_sub(10), "{new:?}: {}", bucket.available());
    }
}

/// A refund to a bucket that is full, seen under a clock that is ahead of the others: writing "full now" raises the
/// instant for those who are behind, so that the refund would charge them.
#[test]
fn a_refund_under_a_clock_ahead_does_not_charge() {
    let (bucket, clock) = new_bucket(Quota::per_second(10));
    assert_eq!(bucket.try_acquire_n(4), Ok(()));
    clock.set(Nanos::from_nanos(YEAR));
    bucket.refund(1);
    bucket.refund(u64::MAX);
    clock.set(Nanos::from_nanos(0));
    assert_eq!(bucket.available(), 6);
    // One that does have room gives back, and no more than that.
    bucket.refund(1);
    assert_eq!(bucket.available(), 7);
}

/// `refund` above the burst, or of more than was ever taken, is no credit.
#[test]
fn a_refund_is_no_credit() {
    let (bucket, clock) = new_bucket(Quota::per_second(10));
    for n in [1, 10, 11, 1 << 40, u64::MAX] {
        bucket.refund(n);
        assert_eq!(bucket.available(), 10);
        assert_eq!(bucket.try_acquire_n(3), Ok(()));
        bucket.refund(n.max(3));
        assert_eq!(bucket.try_acquire_up_to(u64::MAX), 10);
        clock.advance(Duration::from_secs(1));
    }
}

/// The largest charge there is, again and again, is a debt of one burst, not one that wraps into credit.
#[test]
fn a_charge_does_not_wrap() {
    for quota in
        [Quota::per_second(10), Quota::per_second(4_000_000_000).burst(1 << 40), Quota::per_day(1).burst(7_000)]
    {
        let (bucket, clock) = new_bucket(quota);
        assert_eq!(bucket.charge(u64::MAX), 2 * quota.capacity());
        for when in [0, 1, SECOND] {
            clock.set(Nanos::from_nanos(when));
            bucket.charge(u64::MAX);
            assert_eq!((bucket.charge(u64::MAX), bucket.available()), (0, 0));
        }
        bucket.refund(2 * quota.capacity());
        assert!(bucket.available() <= quota.capacity());
    }
}

/// Time since the Unix epoch leaves few bits for anything else; time counts from the bucket's own beginning.
#[test]
fn unix_time_is_a_clock_like_any_other() {
    for origin in [UNIX_NOW, u64::MAX - 40 * YEAR / 2, 1 << 63] {
        let (bucket, clock) = new_bucket(Quota::per_second(100));
        clock.set(Nanos::from_nanos(origin));
        assert_eq!(bucket.try_acquire_n(100), Ok(()));
        clock.set(Nanos::from_nanos(origin + 9_999_999));
        assert!(bucket.try_acquire().is_err());
        clock.set(Nanos::from_nanos(origin + 10_000_000));
        assert_eq!(bucket.try_acquire(), Ok(()));
    }
}

/// At the end of its time a bucket gives no more; it does not start again, full.
#[test]
fn the_end_of_time_fails_closed() {
    for quota in [Quota::per_second(10), Quota::per_day(1), Quota::per_second(4_000_000_000)] {
        for end in [100 * YEAR, u64::MAX] {
            let (bucket, clock) = new_bucket(quota);
            assert_eq!(bucket.available(), quota.capacity());
            clock.set(Nanos::from_nanos(end));
            let mut granted = 0;
            for back in (0..1_000).rev() {
                clock.set(Nanos::from_nanos(end - back * SECOND));
                granted += bucket.try_acquire_up_to(u64::MAX);
            }
            assert_eq!(granted, quota.capacity(), "{quota:?}: time goes on");
            assert_eq!(bucket.time_to_available(1), Ok(Duration::MAX));
        }
    }
}

/// A wait as a slot in the future, handed out by moving the word on: B and C hold the seconds 1 and 2, B goes, D is given
/// the second 2 as well, and two come at one instant.
#[test]
fn a_wait_that_is_given_up_moves_nobody_onto_another_ones_slot() {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Waker};

    fn is_served<F: Future<Output = Result<(), RateLimitExceeded>> + Unpin>(wait: &mut F) -> bool {
        Pin::new(wait).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    let (bucket, clock) = new_bucket(Quota::per_second(1));
    assert_eq!(bucket.try_acquire(), Ok(()));
    let (mut b, mut c, mut d) = (bucket.acquire(), bucket.acquire(), bucket.acquire());
    assert!(!is_served(&mut b) && !is_served(&mut c));
    clock.advance(Duration::from_millis(500));
    drop(b);
    assert!(!is_served(&mut d));
    clock.advance(Duration::from_millis(500));
    assert!(!is_served(&mut d) && is_served(&mut c) && !is_served(&mut d));
    clock.advance(Duration::from_millis(999));
    assert!(!is_served(&mut d));
    clock.advance(Duration::from_millis(1));
    assert!(is_served(&mut d));
    assert!(bucket.try_acquire().is_err());
}
