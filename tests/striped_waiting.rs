//! Waiting for a striped bucket: in the line of its word, overtaken by what was drawn before and by nothing else.
//!
//! "Kills" names a change of the library that the test was seen to fail on.

#![cfg(feature = "async")]

mod support;

use std::sync::Mutex;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use sluicegate::RateLimitExceeded::{Denied, ExceedsCapacity};
use sluicegate::{Acquire, ManualClock, Quota, StripedTokenBucket};
use support::waiting::{Wakes, eventually, poll};
use support::workers::{elsewhere, stripes};

type Bucket = StripedTokenBucket<ManualClock>;

/// Of which every stripe holds 20, at one permit a millisecond.
fn burst() -> u64 {
    16 * stripes() * 20
}

const MS: Duration = Duration::from_millis(1);

fn with_initial(permits: u64) -> (Bucket, ManualClock) {
    let clock = ManualClock::new();
    let quota = Quota::per_second(1_000).burst(burst());
    (StripedTokenBucket::builder(quota).clock(clock.clone()).initial(permits).stats().build().unwrap(), clock)
}

/// Kills: a waiter that is served out of turn; one that the clock does not wake.
#[test]
fn futures_are_served_in_the_order_of_joining() {
    let (bucket, clock) = with_initial(0);
    let wakes: Vec<_> = (0..10).map(|_| Wakes::new()).collect();
    let mut waiting: Vec<Acquire<'_, _, _>> = (0..10).map(|_| bucket.acquire_n(3)).collect();
    for (one, wakes) in waiting.iter_mut().zip(&wakes) {
        assert!(poll(one, wakes).is_pending());
    }
    assert_eq!(bucket.time_to_available(1), Ok(31 * MS));
    for turn in 0..10 {
        clock.advance(2 * MS);
        for one in (turn..10).rev() {
            assert!(poll(&mut waiting[one], &wakes[one]).is_pending(), "turn {turn}, too early");
            wakes[one].take();
        }
        clock.advance(MS);
        assert_eq!(wakes[turn].take(), 1, "turn {turn}: the clock wakes the head");
        for one in (turn + 1..10).rev() {
            assert!(poll(&mut waiting[one], &wakes[one]).is_pending(), "turn {turn} is overtaken");
        }
        assert!(matches!(bucket.try_acquire(), Err(Denied { .. })), "and by nobody who does not wait");
        assert_eq!((bucket.try_acquire_up_to(5), elsewhere(|| bucket.try_acquire_up_to(5))), (0, 0));
        assert!(bucket.local().try_acquire().is_err());
        assert_eq!(poll(&mut waiting[turn], &wakes[turn]), Poll::Ready(Ok(())));
    }
    assert_eq!(bucket.available(), 0);
}

#[test]
fn threads_are_served_in_the_order_of_joining() {
    let (bucket, clock) = with_initial(0);
    let served = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for index in 0..8_u32 {
            let (bucket, served) = (&bucket, &served);
            scope.spawn(move || {
                bucket.blocking_acquire_n(2).unwrap();
                served.lock().unwrap().push(index);
            });
            eventually("joins", || bucket.time_to_available(1) == Ok((2 * index + 3) * MS));
        }
        for turn in 1..=8 {
            clock.advance(2 * MS);
            eventually("is served", || served.lock().unwrap().len() == turn);
        }
    });
    assert_eq!(*served.lock().unwrap(), (0..8).collect::<Vec<_>>());
}

/// What stripes hold is the head's. Kills: an estimate behind it that leaves that out, or counts it twice.
#[test]
fn who_cannot_wait_so_long_is_told_how_long() {
    let (bucket, clock) = with_initial(burst());
    assert_eq!(bucket.try_acquire_n(bucket.capacity()), Ok(()));
    let striped = bucket.available();
    let wakes = Wakes::new();
    let mut waiting = bucket.acquire_n(striped + 5);
    assert!(poll(&mut waiting, &wakes).is_pending());
    let due = (striped + 9) as u32;
    assert_eq!(bucket.blocking_acquire_timeout(striped + 4, due * MS - MS), Err(Denied { retry_after: due * MS }));
    clock.advance(2 * MS);
    assert_eq!(bucket.blocking_acquire_timeout(striped + 4, MS), Err(Denied { retry_after: (due - 2) * MS }));
}

/// Who waits is overtaken by what stripes hold, and by no permit more; and what it takes then is from the word alone.
///
/// Kills: a stripe that is filled while somebody waits; a call that takes from the word then.
#[test]
fn who_waits_is_overtaken_by_what_was_drawn_only() {
    let (bucket, clock) = with_initial(burst());
    let word = bucket.capacity();
    assert_eq!(bucket.try_acquire_n(word), Ok(()));
    let (wakes, striped) = (Wakes::new(), burst() - word);
    let mut waiting = bucket.acquire_n(striped + 5);
    assert!(poll(&mut waiting, &wakes).is_pending());
    clock.advance(50 * MS);
    // All of it from one thread, whose own stripe would be filled again if that were allowed.
    let overtaken = (0..).take_while(|_| bucket.try_acquire().is_ok()).count() as u64;
    assert_eq!(overtaken, striped);
    assert!(bucket.try_acquire().is_err() && bucket.try_acquire_n(3).is_err());
    assert_eq!(bucket.try_acquire_up_to(u64::MAX), 0);
    assert_eq!(bucket.available(), 50);
    clock.advance(Duration::from_millis(striped + 5 - 51));
    assert!(poll(&mut waiting, &wakes).is_pending());
    clock.advance(MS);
    assert_eq!(poll(&mut waiting, &wakes), Poll::Ready(Ok(())));
    assert_eq!(bucket.available(), 0);
}

/// Kills: a wait that leaves stripes alone that have it all.
#[test]
fn what_stripes_hold_is_not_waited_for() {
    let (bucket, _) = with_initial(burst());
    let word = bucket.capacity();
    assert_eq!(bucket.blocking_acquire_n(word), Ok(()));
    assert_eq!(bucket.blocking_acquire_timeout(burst() - word - 1, Duration::ZERO), Ok(()));
    assert_eq!(poll(&mut bucket.acquire(), &Wakes::new()), Poll::Ready(Ok(())));
    assert_eq!(bucket.available(), 0);
    assert_eq!((bucket.blocking_acquire_n(0), bucket.available()), (Ok(()), 0));
}

/// Kills: a line without its bound; a timeout that is not looked at before joining; a refusal that is not counted.
#[test]
fn a_wait_that_cannot_end_in_time_is_refused_at_once() {
    let clock = ManualClock::new();
    let quota = Quota::per_second(1_000).burst(burst());
    let builder = StripedTokenBucket::builder(quota).clock(clock.clone()).initial(0).stats();
    let bucket = builder.max_waiters(2).build().unwrap();
    let wakes = Wakes::new();
    let late = Err(Denied { retry_after: 4 * MS });
    assert_eq!(bucket.blocking_acquire_timeout(4, 4 * MS - Duration::from_nanos(1)), late);
    assert_eq!(poll(&mut bucket.acquire_timeout(4, 3 * MS), &wakes), Poll::Ready(late));
    let mut two = [bucket.acquire_n(4), bucket.acquire_n(2)];
    for one in &mut two {
        assert!(poll(one, &wakes).is_pending());
    }
    assert_eq!(poll(&mut bucket.acquire(), &wakes), Poll::Ready(Err(Denied { retry_after: 7 * MS })));
    let capacity = bucket.capacity();
    let exceeds = Err(ExceedsCapacity { requested: capacity + 1, capacity });
    assert_eq!(poll(&mut bucket.acquire_n(capacity + 1), &wakes), Poll::Ready(exceeds));
    assert_eq!(bucket.stats().unwrap().rejected_requests, 4);

    // One that goes leaves no trace.
    let [first, mut second] = two;
    drop(first);
    assert_eq!(bucket.time_to_available(1), Ok(3 * MS));
    clock.advance(2 * MS);
    assert_eq!(poll(&mut second, &wakes), Poll::Ready(Ok(())));
    assert_eq!((bucket.available(), bucket.stats().unwrap().allowed_requests), (0, 1));
    assert_eq!(bucket.stats().unwrap().total_wait_time, 2 * MS);
}

/// Kills: a refund, or a change of quota, that wakes nobody.
#[test]
fn whatever_brings_permits_wakes_the_head() {
    let (bucket, _) = with_initial(0);
    let wakes = Wakes::new();
    let mut waiting = bucket.acquire_n(5);
    assert!(poll(&mut waiting, &wakes).is_pending());
    wakes.take();
    bucket.refund(5);
    assert_eq!((wakes.take(), poll(&mut waiting, &wakes)), (1, Poll::Ready(Ok(()))));

    let mut waiting = bucket.acquire_n(50);
    assert!(poll(&mut waiting, &wakes).is_pending());
    wakes.take();
    bucket.set_quota(Quota::per_second(16)).unwrap();
    assert_eq!(wakes.take(), 1);
    assert_eq!(poll(&mut waiting, &wakes), Poll::Ready(Err(ExceedsCapacity { requested: 50, capacity: 16 })));
}

/// What a call is told to wait for is enough for a wait: also where it is stripes that hold a part of it.
///
/// Kills: an estimate before joining that leaves out what stripes hold; a waiter that takes from the word alone.
#[test]
fn the_time_to_retry_after_is_enough_for_a_timeout() {
    let (bucket, clock) = with_initial(burst());
    let word = bucket.capacity();
    assert_eq!(bucket.try_acquire_n(word), Ok(()));
    let n = burst() - word + 10;
    assert_eq!(bucket.time_to_available(n), Ok(10 * MS));
    let wakes = Wakes::new();
    let mut waiting = bucket.acquire_timeout(n, 10 * MS);
    assert!(poll(&mut waiting, &wakes).is_pending(), "refused");
    clock.advance(10 * MS);
    assert_eq!(poll(&mut waiting, &wakes), Poll::Ready(Ok(())));
}
