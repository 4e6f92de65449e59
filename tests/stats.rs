//! Statistics, for who asks for them: every call that asked for something is counted once, as allowed or rejected, and
//! no thread's count is lost.

mod support;

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use sluicegate::{ManualClock, Quota, RateLimiterStats, TokenBucket};
use support::windows::{LAWS, WindowCounter};

fn counted(stats: Option<RateLimiterStats>) -> (u64, u64, u64) {
    let stats = stats.expect("built with .stats()");
    (stats.total_requests, stats.allowed_requests, stats.rejected_requests)
}

fn new_bucket(quota: Quota) -> (TokenBucket<ManualClock>, ManualClock) {
    let clock = ManualClock::new();
    (TokenBucket::builder(quota).clock(clock.clone()).stats().build().unwrap(), clock)
}

#[test]
fn counts_calls_not_permits() {
    let (bucket, clock) = new_bucket(Quota::per_second(10));
    assert_eq!(counted(bucket.stats()), (0, 0, 0));
    assert_eq!(bucket.try_acquire_n(7), Ok(()));
    assert_eq!(counted(bucket.stats()), (1, 1, 0));
    assert!(bucket.try_acquire_n(7).is_err());
    assert_eq!(counted(bucket.stats()), (2, 1, 1));
    assert!(bucket.try_acquire_n(11).is_err(), "what never helps is rejected too");
    assert_eq!(counted(bucket.stats()), (3, 1, 2));
    assert_eq!(bucket.try_acquire_up_to(10), 3, "some are as good as all");
    assert_eq!(counted(bucket.stats()), (4, 2, 2));
    assert_eq!(bucket.try_acquire_up_to(10), 0);
    assert_eq!(counted(bucket.stats()), (5, 2, 3));
    clock.advance(Duration::from_secs(1));
    assert_eq!(bucket.try_acquire(), Ok(()));
    assert_eq!(counted(bucket.stats()), (6, 3, 3));
    assert_eq!(bucket.stats().unwrap().total_wait_time, Duration::ZERO);
}

#[test]
fn what_asks_for_nothing_is_not_counted() {
    let (bucket, _clock) = new_bucket(Quota::per_second(10));
    assert_eq!(bucket.try_acquire_n(0), Ok(()));
    assert_eq!(bucket.try_acquire_up_to(0), 0);
    assert_eq!(bucket.charge(25), 20);
    assert_eq!(bucket.try_acquire_n(0), Ok(()), "nothing is there to be had even in debt");
    bucket.refund(1);
    let _ = (bucket.available(), bucket.time_to_available(3), bucket.quota());
    bucket.set_quota(Quota::per_second(3)).unwrap();
    assert_eq!(counted(bucket.stats()), (0, 0, 0));
}

#[test]
fn the_rejection_rate_is_a_share_of_calls() {
    let (bucket, _clock) = new_bucket(Quota::per_second(1_000).burst(30));
    assert_eq!(bucket.stats().unwrap().rejection_rate(), 0.0, "of nothing");
    assert_eq!(RateLimiterStats::default().rejection_rate(), 0.0);
    assert_eq!(bucket.try_acquire_n(30), Ok(()));
    assert_eq!(bucket.stats().unwrap().rejection_rate(), 0.0);
    for _ in 0..3 {
        assert!(bucket.try_acquire_n(10).is_err());
    }
    assert_eq!(bucket.stats().unwrap().rejection_rate(), 0.75);
    assert_eq!(bucket.stats(), bucket.stats(), "to look changes nothing");
}

/// Long enough that the threads do run side by side, and more of them than there are stripes of counters to share.
#[test]
fn threads_lose_no_count() {
    const THREADS: u64 = 8;
    const CALLS: u64 = 200_000;
    let (bucket, clock) = new_bucket(Quota::per_second(1_000).burst(1_000));
    let barrier = Barrier::new(THREADS as usize);
    let granted: u64 = thread::scope(|scope| {
        let calls = || {
            barrier.wait();
            let granted = (0..CALLS).filter(|call| {
                if call % 100 == 0 {
                    clock.advance(Duration::from_millis(1));
                }
                bucket.try_acquire().is_ok()
            });
            granted.count() as u64
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(calls)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!(granted > 1_000 && granted < THREADS * CALLS);
    assert_eq!(counted(bucket.stats()), (THREADS * CALLS, granted, THREADS * CALLS - granted));
}

/// Counts survive the threads that made them.
#[test]
fn one_thread_after_another() {
    let (bucket, _clock) = new_bucket(Quota::per_second(10));
    thread::scope(|scope| {
        for _ in 0..100 {
            let _ = scope.spawn(|| bucket.try_acquire().is_ok()).join().unwrap();
        }
    });
    assert_eq!(counted(bucket.stats()), (100, 10, 90));
}

#[test]
fn nothing_is_counted_unasked() {
    let bucket = TokenBucket::new(Quota::per_second(10)).unwrap();
    assert_eq!(bucket.try_acquire(), Ok(()));
    assert_eq!(bucket.stats(), None);
}

/// The same for the window counters: calls, not permits, and not what asks for nothing.
#[test]
fn windows_count_as_buckets_do() {
    for law in LAWS {
        let clock = ManualClock::new();
        let window = Duration::from_secs(1);
        let counter = WindowCounter::counting(law, 10, window, clock.clone()).unwrap();
        assert_eq!(counted(counter.stats()), (0, 0, 0));
        assert_eq!(counter.try_acquire_n(7), Ok(()));
        assert_eq!(counted(counter.stats()), (1, 1, 0));
        assert!(counter.try_acquire_n(7).is_err());
        assert_eq!(counted(counter.stats()), (2, 1, 1));
        assert!(counter.try_acquire_n(11).is_err(), "what never helps is rejected too");
        assert_eq!(counted(counter.stats()), (3, 1, 2));
        clock.advance(2 * window);
        assert_eq!(counter.try_acquire(), Ok(()));
        assert_eq!(counted(counter.stats()), (4, 2, 2));
        assert_eq!(counter.try_acquire_n(0), Ok(()));
        counter.refund(1);
        let _ = (counter.available(), counter.time_to_available(3), counter.limit(), counter.window());
        assert_eq!(counted(counter.stats()), (4, 2, 2));
        assert_eq!(counter.stats().unwrap().rejection_rate(), 0.5);
        assert_eq!(WindowCounter::new(law, 10, window, clock).unwrap().stats(), None, "unasked");
    }
}
