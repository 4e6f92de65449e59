//! Waiting by key: in the key's own line, on tasks and threads, and as if nobody had waited when that is over.
//!
//! "Kills" names a change of the library that the test was seen to fail on.

#![allow(missing_docs)]
#![cfg(all(feature = "per-key", feature = "async"))]

mod support;

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use futures_lite::future::block_on;
use sluicegate::RateLimitExceeded::{Denied, ExceedsCapacity, KeysExhausted};
use sluicegate::{
    KeyAcquire, ManualClock, PerKeyRateLimiter, PerKeyRateLimiterBuilder, Quota, RateLimitExceeded, WhenFull,
};
use support::waiting::{SOON, Wakes, eventually, poll, poll_with, runs};

const MS: Duration = Duration::from_millis(1);

/// Shared, so that who holds a clone can be counted: the limiter, the test, and each bucket of a key in use.
type Time = Arc<ManualClock>;
type Limiter = PerKeyRateLimiter<u32, Time>;
type Waiting<'a> = KeyAcquire<'a, u32, u32, Time>;

fn builder(quota: Quota) -> (PerKeyRateLimiterBuilder<u32, Time>, Time) {
    let clock = Time::default();
    (PerKeyRateLimiter::builder(quota).clock(Arc::clone(&clock)), clock)
}

/// Key 1 is empty, on a clock that stands still.
fn drained(quota: Quota) -> (Limiter, Time) {
    let (builder, clock) = builder(quota);
    let limiter = builder.build().unwrap();
    assert_eq!(limiter.try_acquire_n(&1, quota.capacity()), Ok(()));
    (limiter, clock)
}

/// Keys that have a bucket now.
fn buckets(clock: &Time) -> usize {
    Arc::strong_count(clock) - 2
}

fn join<'a>(limiter: &'a Limiter, key: &'a u32, n: u64, wakes: &Arc<Wakes>) -> Waiting<'a> {
    let mut waiting = limiter.acquire_n(key, n);
    assert!(poll(&mut waiting, wakes).is_pending(), "{n} are there, or refused");
    waiting
}

fn denied<T>(retry_after: Duration) -> Result<T, RateLimitExceeded> {
    Err(Denied { retry_after })
}

// --- Order

/// Kills: a word that is not marked.
#[test]
fn futures_are_served_in_order_and_nobody_overtakes() {
    let (limiter, clock) = drained(Quota::per_second(10).burst(2));
    let handle = limiter.handle(1);
    let wakes: Vec<_> = (0..5).map(|_| Wakes::new()).collect();
    let mut waiting: Vec<_> = wakes.iter().map(|wakes| join(&limiter, &1, 1, wakes)).collect();
    for turn in 0..5 {
        clock.advance(100 * MS);
        assert_eq!(wakes[turn].take(), 1, "turn {turn}: the clock wakes the head");
        // It is there, but for the head.
        assert!(limiter.try_acquire(&1).is_err() && handle.try_acquire().is_err());
        assert_eq!((handle.try_acquire_up_to(1), limiter.key(&1).try_acquire().is_err()), (0, true));
        for (one, wakes) in waiting.iter_mut().zip(&wakes).skip(turn + 1).rev() {
            assert!(poll(one, wakes).is_pending(), "turn {turn} is overtaken");
        }
        assert_eq!(poll(&mut waiting[turn], &wakes[turn]), Poll::Ready(Ok(())));
        assert_eq!(handle.available(), 0);
    }
    drop((waiting, handle));
    assert_eq!((limiter.time_to_available(&1, 1), buckets(&clock)), (Ok(100 * MS), 0));
}

#[test]
fn threads_are_served_in_order_with_tasks_and_handles_in_one_line() {
    let (limiter, clock) = drained(Quota::per_second(10).burst(1));
    let served = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for index in 0..9 {
            let (limiter, served) = (&limiter, &served);
            scope.spawn(move || {
                let outcome = match index % 3 {
                    0 => limiter.blocking_acquire(&1),
                    1 => block_on(limiter.acquire(&1)),
                    _ => limiter.handle(1).blocking_acquire(),
                };
                served.lock().unwrap().push((index, outcome));
            });
            eventually("joins", || limiter.time_to_available(&1, 1) == Ok((index + 2) * 100 * MS));
        }
        for turn in 1..=9 {
            clock.advance(100 * MS);
            eventually("is served", || served.lock().unwrap().len() == turn);
        }
    });
    assert_eq!(*served.lock().unwrap(), (0..9).map(|index| (index, Ok(()))).collect::<Vec<_>>());
    assert_eq!(buckets(&clock), 0);
}

#[test]
fn keys_do_not_wait_for_each_other() {
    let (limiter, clock) = drained(Quota::per_second(10).burst(5));
    assert_eq!(limiter.try_acquire_n(&2, 5), Ok(()));
    let wakes = [Wakes::new(), Wakes::new()];
    let mut large = join(&limiter, &1, 5, &wakes[0]);
    let mut small = join(&limiter, &2, 1, &wakes[1]);
    assert_eq!(limiter.try_acquire_n(&3, 5), Ok(()));
    assert_eq!(buckets(&clock), 2);
    clock.advance(100 * MS);
    assert_eq!(poll(&mut small, &wakes[1]), Poll::Ready(Ok(())));
    assert_eq!(block_on(limiter.acquire(&4)), Ok(()));
    assert_eq!(limiter.try_acquire(&3), Ok(()));
    assert!(poll(&mut large, &wakes[0]).is_pending());
    clock.advance(400 * MS);
    assert_eq!(poll(&mut large, &wakes[0]), Poll::Ready(Ok(())));
    assert_eq!(buckets(&clock), 0);
}

/// In real time: a thousand tasks of a hundred keys, each key at its own rate.
#[test]
fn tasks_of_many_keys_come_through_in_real_time() {
    let limiter = Arc::new(PerKeyRateLimiter::<u32>::new(Quota::per_second(100).burst(1)).unwrap());
    let started = Instant::now();
    let tasks = (0..1_000).map(|n| {
        let limiter = Arc::clone(&limiter);
        smol::spawn(async move { limiter.acquire(&(n % 100)).await })
    });
    let tasks: Vec<_> = tasks.collect();
    assert!(tasks.into_iter().all(|task| block_on(task).is_ok()));
    let elapsed = started.elapsed();
    assert!((89 * MS..SOON).contains(&elapsed), "nine permits at 100/s came in {elapsed:?}");
}

// --- What brings permits

/// Kills: a reset that wakes nobody.
#[test]
fn refund_requota_remove_and_clear_wake_the_head() {
    type Bring = fn(&Limiter);
    let bring: [(&str, Bring); 4] = [
        ("refund", |limiter| limiter.refund(&1, 1)),
        ("refund by handle", |limiter| limiter.handle(1).refund(1)),
        ("remove", |limiter| assert!(limiter.remove(&1))),
        ("clear", |limiter| limiter.clear()),
    ];
    for (what, bring) in bring {
        let (limiter, clock) = drained(Quota::per_hour(3));
        let wakes = Wakes::new();
        let mut waiting = join(&limiter, &1, 1, &wakes);
        wakes.take();
        bring(&limiter);
        assert!(wakes.take() > 0, "{what}");
        assert_eq!(poll(&mut waiting, &wakes), Poll::Ready(Ok(())), "{what}");
        assert_eq!(buckets(&clock), 0, "{what}");
    }
}

/// Kills: a change of quota that wakes nobody.
#[test]
fn who_waits_for_more_than_the_new_burst_is_told() {
    let quota = Arc::new(Mutex::new(Quota::per_hour(10)));
    let (builder, clock) = builder(Quota::per_hour(1));
    let answer = Arc::clone(&quota);
    let limiter = builder.quota_for(move |_| Some(*answer.lock().unwrap())).build().unwrap();
    assert_eq!(limiter.try_acquire_n(&1, 10), Ok(()));
    let wakes = [Wakes::new(), Wakes::new(), Wakes::new()];
    let mut waiting = [1, 5, 4].map(|n| limiter.acquire_n(&1, n));
    assert!(waiting.iter_mut().zip(&wakes).all(|(one, wakes)| poll(one, wakes).is_pending()));
    wakes.iter().for_each(|wakes| _ = wakes.take());
    *quota.lock().unwrap() = Quota::per_hour(10).burst(4);
    assert!(limiter.requota(&1));
    assert_eq!((wakes[1].take() > 0, wakes[2].take()), (true, 0));
    let never = Err(ExceedsCapacity { requested: 5, capacity: 4 });
    assert_eq!(poll(&mut waiting[1], &wakes[1]), Poll::Ready(never));
    assert!(poll(&mut waiting[2], &wakes[2]).is_pending() && poll(&mut waiting[0], &wakes[0]).is_pending());
    // Blocked: all are told.
    *quota.lock().unwrap() = Quota::per_hour(0);
    assert!(limiter.requota(&1));
    for (index, n) in [(0, 1), (2, 4)] {
        assert!(wakes[index].take() > 0);
        let never = Err(ExceedsCapacity { requested: n, capacity: 0 });
        assert_eq!(poll(&mut waiting[index], &wakes[index]), Poll::Ready(never));
    }
    assert_eq!(buckets(&clock), 0);
    assert_eq!(limiter.try_acquire(&1), Err(ExceedsCapacity { requested: 1, capacity: 0 }));
    assert_eq!(limiter.blocking_acquire(&1), Err(ExceedsCapacity { requested: 1, capacity: 0 }));
}

/// The end of the last handle, whose quota is over with it.
#[test]
fn who_waits_sees_the_end_of_a_handle_s_quota() {
    let (limiter, clock) = drained(Quota::per_second(10).burst(2));
    let handle = limiter.handle(1);
    handle.set_quota(Quota::per_hour(5)).unwrap();
    let wakes = [Wakes::new(), Wakes::new()];
    let mut waiting = [join(&limiter, &1, 1, &wakes[0]), join(&limiter, &1, 3, &wakes[1])];
    wakes.iter().for_each(|wakes| _ = wakes.take());
    drop(handle);
    assert!(wakes[0].take() > 0 && wakes[1].take() > 0);
    assert!(poll(&mut waiting[0], &wakes[0]).is_pending());
    let never = Err(ExceedsCapacity { requested: 3, capacity: 2 });
    assert_eq!(poll(&mut waiting[1], &wakes[1]), Poll::Ready(never));
    clock.advance(100 * MS);
    assert!(wakes[0].take() > 0);
    assert_eq!(poll(&mut waiting[0], &wakes[0]), Poll::Ready(Ok(())));
}

// --- Dropped

/// Kills: a key that stays in use when nobody waits for it any more.
#[test]
fn a_dropped_future_leaves_no_trace() {
    let (limiter, clock) = drained(Quota::per_second(10));
    clock.advance(300 * MS);
    let before = format!("{limiter:?} {:?}", limiter.time_to_available(&1, 4));
    let wakes = Wakes::new();
    let waiting: Vec<_> = (5..10).map(|n| join(&limiter, &1, n, &wakes)).collect();
    assert!(limiter.try_acquire(&1).is_err(), "somebody waits");
    assert_eq!(buckets(&clock), 1);
    drop(waiting);
    assert_eq!(buckets(&clock), 0);
    assert_eq!(format!("{limiter:?} {:?}", limiter.time_to_available(&1, 4)), before);
    assert_eq!((limiter.available(&1), limiter.try_acquire_n(&1, 3)), (3, Ok(())));
    // Never polled, it has not even let the key in.
    drop(limiter.acquire(&2));
    assert!(!limiter.contains_key(&2));
}

/// Kills: a future that keeps its key's bucket when it is over.
#[test]
fn the_next_one_is_woken_when_the_head_is_dropped() {
    let (limiter, clock) = drained(Quota::per_second(10).burst(5));
    let wakes = [Wakes::new(), Wakes::new()];
    let head = join(&limiter, &1, 5, &wakes[0]);
    let mut next = join(&limiter, &1, 1, &wakes[1]);
    clock.advance(100 * MS);
    assert!(poll(&mut next, &wakes[1]).is_pending());
    wakes[1].take();
    drop(head);
    assert!(wakes[1].take() > 0);
    assert_eq!(poll(&mut next, &wakes[1]), Poll::Ready(Ok(())));
    assert!(poll(&mut next, &wakes[1]).is_pending(), "it is over");
    assert_eq!(buckets(&clock), 0, "and holds nothing, though it lives");
}

/// A waker may call the limiter, for the same key, where it is woken.
#[test]
fn a_waker_may_call_the_limiter() {
    let (limiter, clock) = drained(Quota::per_second(10).burst(5));
    let limiter = Arc::new(limiter);
    let head = join(&limiter, &1, 5, &Wakes::new());
    let called = Arc::clone(&limiter);
    let waker = runs(move || {
        let _ = (called.try_acquire(&1), called.available(&1), called.handle(1).try_acquire_n(2));
        let _ = (called.requota(&1), called.cleanup(), called.blocking_acquire_timeout(&1, 1, Duration::ZERO));
        called.refund(&1, 1);
    });
    let mut next = limiter.acquire(&1);
    assert!(poll_with(&mut next, &waker).is_pending());
    clock.advance(300 * MS);
    drop(head);
    assert!(limiter.remove(&1));
    assert_eq!(poll_with(&mut next, &waker), Poll::Ready(Ok(())));
    assert_eq!(buckets(&clock), 0);
}

// --- Timeouts

#[test]
fn a_wait_that_cannot_end_in_time_is_refused_at_once() {
    for head_waits in [false, true] {
        let (limiter, clock) = drained(Quota::per_second(10).burst(1));
        let wakes = Wakes::new();
        let head = head_waits.then(|| join(&limiter, &1, 1, &wakes));
        let wait = if head_waits { 200 * MS } else { 100 * MS };
        for timeout in [Duration::ZERO, 5 * MS, wait - Duration::from_nanos(1)] {
            assert_eq!(poll(&mut limiter.acquire_timeout(&1, 1, timeout), &wakes), Poll::Ready(denied(wait)));
            assert_eq!(limiter.blocking_acquire_timeout(&1, 1, timeout), denied(wait));
            assert_eq!(limiter.key(&1).blocking_acquire_timeout(1, timeout), denied(wait));
        }
        let mut exact = limiter.acquire_timeout(&1, 1, wait);
        assert!(poll(&mut exact, &wakes).is_pending());
        drop((head, exact));
        assert_eq!((limiter.time_to_available(&1, 1), buckets(&clock)), (Ok(100 * MS), 0));
    }
}

#[test]
fn a_timeout_that_passes_leaves_the_line() {
    let (limiter, clock) = drained(Quota::per_second(10).burst(1));
    let (wakes, handle) = (Wakes::new(), limiter.handle(1));
    let mut timed = limiter.acquire_timeout(&1, 1, 100 * MS);
    assert!(poll(&mut timed, &wakes).is_pending());
    assert_eq!(handle.charge(1), 1);
    clock.advance(100 * MS);
    assert_eq!(poll(&mut timed, &wakes), Poll::Ready(denied(100 * MS)));
    clock.advance(100 * MS);
    assert_eq!(limiter.try_acquire(&1), Ok(()), "nobody waits, and nothing was charged");
    // On a thread, in real time.
    let limiter: PerKeyRateLimiter<u32> = PerKeyRateLimiter::new(Quota::per_second(25).burst(1)).unwrap();
    assert_eq!(limiter.blocking_acquire(&1), Ok(()));
    assert_eq!(limiter.blocking_acquire_timeout(&1, 1, SOON), Ok(()));
    assert_eq!(block_on(limiter.key(&1).acquire_timeout(1, SOON)), Ok(()));
    assert!(limiter.blocking_acquire_timeout(&1, 1, MS).is_err());
}

// --- Who does not wait

#[test]
fn nothing_and_too_much_are_answered_at_once() {
    let (limiter, clock) = drained(Quota::per_hour(5));
    let wakes = Wakes::new();
    let _head = join(&limiter, &1, 5, &wakes);
    for key in [1, 2] {
        let known = limiter.contains_key(&key);
        assert_eq!((poll(&mut limiter.acquire_n(&key, 0), &wakes), limiter.blocking_acquire_n(&key, 0)), {
            (Poll::Ready(Ok(())), Ok(()))
        });
        let never = Err(ExceedsCapacity { requested: 6, capacity: 5 });
        assert_eq!(poll(&mut limiter.acquire_n(&key, 6), &wakes), Poll::Ready(never));
        assert_eq!(poll(&mut limiter.acquire_timeout(&key, 6, SOON), &wakes), Poll::Ready(never));
        assert_eq!((limiter.blocking_acquire_n(&key, 6), limiter.key(&key).blocking_acquire_n(6)), (never, never));
        assert_eq!(limiter.contains_key(&key), known);
    }
    // What is there is taken at once, and lets the key in; it has no bucket for that.
    assert_eq!(poll(&mut limiter.key(&2).acquire_n(5), &wakes), Poll::Ready(Ok(())));
    assert_eq!((limiter.available(&2), limiter.len(), buckets(&clock)), (0, 2, 1));
}

#[test]
fn a_newcomer_without_a_place_is_refused_at_once() {
    let (builder, clock) = builder(Quota::per_hour(5));
    let limiter = builder.max_keys(1).build().unwrap();
    assert_eq!(limiter.blocking_acquire_n(&1, 5), Ok(()));
    let exhausted = Err(KeysExhausted { max_keys: 1 });
    let wakes = Wakes::new();
    for _ in 0..3 {
        assert_eq!(poll(&mut limiter.acquire(&2), &wakes), Poll::Ready(exhausted));
        assert_eq!(limiter.blocking_acquire(&2), exhausted);
        assert_eq!(limiter.blocking_acquire_timeout(&2, 1, SOON), exhausted);
    }
    let mut known = join(&limiter, &1, 1, &wakes);
    assert_eq!((limiter.len(), buckets(&clock)), (1, 1));
    clock.advance(Duration::from_secs(720));
    assert_eq!(poll(&mut known, &wakes), Poll::Ready(Ok(())));
    assert_eq!(limiter.blocking_acquire(&2), exhausted);
}

/// Kills: a bucket for each of them.
#[test]
fn newcomers_without_a_place_wait_in_one_line() {
    let (builder, clock) = builder(Quota::per_second(10).burst(2));
    let limiter = builder.max_keys(1).when_full(WhenFull::Share).build().unwrap();
    // The share has one too.
    assert_eq!(buckets(&clock), 1);
    assert_eq!(limiter.try_acquire_n(&1, 2), Ok(()));
    assert_eq!(limiter.blocking_acquire_n(&2, 2), Ok(()));
    let wakes = [Wakes::new(), Wakes::new(), Wakes::new()];
    let mut waiting = [join(&limiter, &3, 1, &wakes[0]), join(&limiter, &4, 2, &wakes[1])];
    let mut other = join(&limiter, &1, 2, &wakes[2]);
    assert_eq!(limiter.try_acquire(&5), denied(400 * MS), "behind three that others wait for");
    assert_eq!(poll(&mut limiter.acquire_timeout(&6, 1, 300 * MS), &wakes[0]), Poll::Ready(denied(400 * MS)));
    clock.advance(100 * MS);
    assert!(poll(&mut waiting[1], &wakes[1]).is_pending());
    assert_eq!(poll(&mut waiting[0], &wakes[0]), Poll::Ready(Ok(())));
    clock.advance(100 * MS);
    assert_eq!(poll(&mut other, &wakes[2]), Poll::Ready(Ok(())), "it has a place, and a line of its own");
    assert!(poll(&mut waiting[1], &wakes[1]).is_pending());
    clock.advance(100 * MS);
    assert_eq!(poll(&mut waiting[1], &wakes[1]), Poll::Ready(Ok(())));
    assert_eq!((limiter.len(), buckets(&clock)), (1, 1));
    assert!(limiter.contains_key(&1));
}

#[test]
fn a_future_is_sent_and_says_something() {
    fn is<T: Send + Debug + Unpin>(_: &T) {}
    let (limiter, _) = drained(Quota::per_hour(5));
    let mut waiting = limiter.acquire_timeout(&1, 3, Duration::from_secs(7_200));
    is(&waiting);
    let told = format!("{waiting:?}");
    assert!(told.contains("permits: 3") && told.contains("is_waiting: false"), "{told}");
    assert!(poll(&mut waiting, &Wakes::new()).is_pending());
    assert!(format!("{waiting:?}").contains("is_waiting: true"));
    // The limiter's shares of it are its own: the future may be the last one that uses the key.
    thread::scope(|scope| _ = scope.spawn(move || drop(waiting)));
    assert_eq!(limiter.available(&1), 0);
}
