//! The clock of a tokio runtime: under paused time an hour passes as soon as there is nothing else to do.

#![cfg(feature = "tokio")]

use std::sync::Arc;
use std::time::Duration;

use sluicegate::{FixedWindowCounter, Quota, RateLimitExceeded, SlidingWindowCounter, TokenBucket, TokioClock, all_of};
use tokio::time::{Instant, advance, sleep};

const HOUR: Duration = Duration::from_secs(3_600);

fn drained(quota: Quota) -> Arc<TokenBucket<TokioClock>> {
    Arc::new(TokenBucket::builder(quota).clock(TokioClock::new()).initial(0).stats().build().unwrap())
}

/// The runtime's timer counts milliseconds, rounded up.
fn assert_about(elapsed: Duration, expected: Duration) {
    let late = elapsed.checked_sub(expected).unwrap_or_else(|| panic!("{elapsed:?} is before {expected:?}"));
    assert!(late < Duration::from_secs(1), "{elapsed:?} instead of {expected:?}");
}

#[tokio::test(start_paused = true)]
async fn hours_pass_in_no_time() {
    let real = std::time::Instant::now();
    let bucket = drained(Quota::per_hour(1));
    let started = Instant::now();
    for hours in 1..=5 {
        bucket.acquire().await.unwrap();
        assert_about(started.elapsed(), hours * HOUR);
    }
    assert_about(bucket.stats().unwrap().total_wait_time, 5 * HOUR);
    assert!(real.elapsed() < Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn tasks_are_served_in_order_each_at_its_time() {
    let bucket = drained(Quota::per_hour(1));
    let started = Instant::now();
    let tasks: Vec<_> = (1..=10)
        .map(|hours| {
            let bucket = Arc::clone(&bucket);
            tokio::spawn(async move {
                bucket.acquire().await.unwrap();
                assert_about(started.elapsed(), hours * HOUR);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_passes_in_the_time_of_the_runtime() {
    let bucket = drained(Quota::per_hour(1));
    let waits = tokio::spawn({
        let bucket = Arc::clone(&bucket);
        async move { (bucket.acquire_timeout(1, HOUR).await, Instant::now()) }
    });
    let started = Instant::now();
    sleep(HOUR / 2).await;
    // Now it comes too late.
    assert_eq!(bucket.charge(1), 1);
    let (outcome, ended) = waits.await.unwrap();
    assert!(matches!(outcome, Err(RateLimitExceeded::Denied { .. })), "{outcome:?}");
    assert_about(ended - started, HOUR);
    assert_about(bucket.time_to_available(1).unwrap() + Duration::from_millis(900), HOUR);
}

#[tokio::test(start_paused = true)]
async fn time_that_is_advanced_by_hand_serves_a_waiter() {
    let bucket = drained(Quota::per_hour(1));
    let waits = tokio::spawn({
        let bucket = Arc::clone(&bucket);
        async move { bucket.acquire().await }
    });
    tokio::task::yield_now().await;
    advance(2 * HOUR).await;
    assert_eq!(waits.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn windows_pass_as_well() {
    let fixed = FixedWindowCounter::with_clock(1, HOUR, TokioClock::new()).unwrap();
    let sliding = SlidingWindowCounter::with_clock(1, HOUR, TokioClock::new()).unwrap();
    let started = Instant::now();
    for _ in 0..3 {
        fixed.acquire().await.unwrap();
    }
    assert_about(started.elapsed(), 2 * HOUR);
    sliding.acquire().await.unwrap();
    sliding.acquire().await.unwrap();
    assert!(started.elapsed() >= 3 * HOUR, "one of one, so an hour at least");
}

#[tokio::test(start_paused = true)]
async fn a_reservation_is_waited_for_and_settled() {
    let bucket = drained(Quota::per_hour(10));
    let started = Instant::now();
    let reservation = bucket.reserve(5).await.unwrap();
    assert_about(started.elapsed(), HOUR / 2);
    assert_eq!(reservation.commit(7), 7);
    bucket.acquire().await.unwrap();
    assert_about(started.elapsed(), HOUR * 8 / 10);
}

/// In a test that is not paused: real time, and the timer of the runtime.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_time_passes_too() {
    let bucket = drained(Quota::per_second(100).burst(1));
    let started = Instant::now();
    for _ in 0..5 {
        bucket.acquire().await.unwrap();
    }
    assert!(started.elapsed() >= Duration::from_millis(49));
}

#[test]
fn outside_of_a_runtime_it_is_real_time() {
    let bucket = drained(Quota::per_second(100).burst(1));
    bucket.blocking_acquire().unwrap();
    futures_lite::future::block_on(bucket.acquire()).unwrap();
    assert!(bucket.stats().unwrap().total_wait_time >= Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn a_composite_is_waited_for_in_the_time_of_the_runtime() {
    let (slow, fast) = (drained(Quota::per_hour(1)), drained(Quota::per_minute(1)));
    let (real, started) = (std::time::Instant::now(), Instant::now());
    let both = all_of((&fast, &slow));
    for hours in 1..=3 {
        assert_eq!(both.acquire().await, Ok(()));
        assert_about(started.elapsed(), hours * HOUR);
    }
    let denied = both.acquire_timeout(1, HOUR / 2).await.unwrap_err();
    assert!(denied.retry_after() > Some(HOUR / 2));
    assert_eq!(both.acquire_timeout(1, 2 * HOUR).await, Ok(()));
    assert!(real.elapsed() < Duration::from_secs(60));
}
