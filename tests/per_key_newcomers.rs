//! Rare ways of the per-key limiter: newcomers behind somebody who was dropped or who come in meanwhile, and answers about nothing.
//!
//! "Kills" names a change of the library that the test was seen to fail on.

#![allow(missing_docs)]
#![cfg(feature = "per-key")]

#[cfg(feature = "async")]
mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread;
use std::time::Duration;

use sluicegate::RateLimitExceeded::{Denied, KeysExhausted};
use sluicegate::{Clock, ManualClock, Nanos, PerKeyRateLimiter, Quota};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: u64 = 3_600_000_000_000;

type Limiter<C = ManualClock> = PerKeyRateLimiter<u32, C>;

/// Tells one other time first, as to a thread that was stopped behind its reading.
#[derive(Clone, Default)]
struct Stoppable {
    now: Arc<AtomicU64>,
    first: Arc<AtomicU64>,
}

impl Stoppable {
    fn set(&self, first: u64, now: u64) {
        self.first.store(first, Ordering::Relaxed);
        self.now.store(now, Ordering::Relaxed);
    }
}

impl Clock for Stoppable {
    fn now(&self) -> Nanos {
        let first = self.first.swap(0, Ordering::Relaxed);
        Nanos::from_nanos(if first > 0 { first } else { self.now.load(Ordering::Relaxed) })
    }
}

/// One that counts, where in every shard somebody who was full for an hour has been dropped at the third hour.
fn swept() -> (Limiter<Stoppable>, Stoppable) {
    let clock = Stoppable::default();
    clock.set(0, HOUR);
    let limiter = PerKeyRateLimiter::builder(Quota::per_second(10)).clock(clock.clone()).stats().build().unwrap();
    assert!((0..2_000).all(|key| limiter.try_acquire(&key).is_ok()));
    clock.set(0, 3 * HOUR);
    assert_eq!(limiter.cleanup(), 2_000);
    (limiter, clock)
}

/// It asks the clock again. Kills: a denial on a reading from before the drop, though there is a newer one.
#[test]
fn a_newcomer_with_an_old_reading_is_not_denied() {
    let (limiter, clock) = swept();
    for key in 0..100 {
        clock.set(2 * HOUR, 3 * HOUR);
        assert_eq!(limiter.try_acquire_n(&key, 10), Ok(()), "{key}");
    }
}

/// Kills: a newcomer's denial that is not counted; one that is counted though it waits.
#[test]
fn a_denied_newcomer_is_counted_once() {
    let (limiter, clock) = swept();
    let rejected = || limiter.total_stats().unwrap().rejected_requests;
    clock.set(0, 2 * HOUR);
    assert!(matches!(limiter.try_acquire(&1), Err(Denied { .. })));
    assert_eq!(rejected(), 1);
    #[cfg(feature = "async")]
    {
        let wakes = support::waiting::Wakes::new();
        let mut waiting = limiter.acquire(&2);
        assert!(support::waiting::poll(&mut waiting, &wakes).is_pending());
        assert_eq!(rejected(), 1, "it waits");
        assert!(limiter.blocking_acquire_timeout(&3, 1, Duration::ZERO).is_err());
        assert_eq!(rejected(), 2);
    }
}

/// Kills: a sweep that takes whom it leaves for somebody it drops.
#[test]
fn a_sweep_that_drops_nobody_denies_nobody() {
    let clock = ManualClock::new();
    let builder = PerKeyRateLimiter::builder(Quota::per_hour(10)).cleanup_interval(SECOND).clock(clock.clone());
    let limiter: Limiter = builder.build().unwrap();
    clock.set(Nanos::from_nanos(HOUR));
    assert!((0..2_000).all(|key| limiter.try_acquire(&key).is_ok()));
    assert_eq!(limiter.cleanup(), 0);
    clock.set(Nanos::from_nanos(0));
    assert!((2_000..2_100).all(|key| limiter.try_acquire_n(&key, 10).is_ok()));
}

/// The limiter, whose question for the first key runs `meanwhile` once, between the answer and its use.
fn asking(
    max_keys: usize,
    meanwhile: impl Fn(&Arc<Limiter>) + Send + Sync + 'static,
) -> (Arc<Limiter>, Arc<AtomicU64>) {
    let (cell, asked): (Arc<OnceLock<Weak<Limiter>>>, _) = (Arc::default(), AtomicBool::new(false));
    let burst = Arc::new(AtomicU64::new(5));
    let (inner, answer) = (Arc::clone(&cell), Arc::clone(&burst));
    let builder = PerKeyRateLimiter::builder(Quota::per_hour(1)).clock(ManualClock::new()).max_keys(max_keys);
    let limiter = builder.quota_for(move |_| {
        let quota = Quota::per_hour(1).burst(answer.load(Ordering::SeqCst));
        if !asked.swap(true, Ordering::SeqCst) {
            meanwhile(&inner.get().and_then(Weak::upgrade).unwrap());
        }
        Some(quota)
    });
    let limiter = Arc::new(limiter.build().unwrap());
    cell.set(Arc::downgrade(&limiter)).unwrap();
    (limiter, burst)
}

/// Kills: a place that is held by one who asks.
#[test]
fn others_may_have_the_place_while_a_newcomer_asks() {
    let other = Arc::new(Mutex::new(None));
    let answer = Arc::clone(&other);
    let (limiter, _) = asking(1, move |limiter| *answer.lock().unwrap() = Some(limiter.try_acquire(&2)));
    assert_eq!(limiter.try_acquire(&1), Err(KeysExhausted { max_keys: 1 }));
    assert_eq!((*other.lock().unwrap(), limiter.len()), (Some(Ok(())), 1));
}

/// Kills: a handle that lets in a key once more which came in while it was asked for.
#[test]
fn a_key_that_comes_in_while_it_is_asked_for_keeps_what_it_took() {
    let (limiter, _) = asking(9, |limiter| assert_eq!(limiter.try_acquire_n(&1, 2), Ok(())));
    assert_eq!((limiter.handle(1).available(), limiter.len()), (3, 1));
}

/// Kills: a handle that lets a key in by an answer from before a `requota`.
#[test]
fn a_handle_begins_by_the_newest_answer() {
    let plan: Arc<OnceLock<Arc<AtomicU64>>> = Arc::default();
    let burst = Arc::clone(&plan);
    let (limiter, answer) = asking(9, move |limiter| {
        burst.get().unwrap().store(7, Ordering::SeqCst);
        thread::scope(|scope| assert!(!scope.spawn(|| limiter.requota(&1)).join().unwrap()));
    });
    plan.set(answer).unwrap();
    assert_eq!(limiter.handle(1).quota().capacity(), 7);
}

/// Nothing is there at once, for who owes and for who is blocked. Kills: the time until nothing owed is.
#[test]
fn nothing_is_available_at_once() {
    let (blocked, clock) = (Arc::new(AtomicBool::new(false)), ManualClock::new());
    let answer = Arc::clone(&blocked);
    clock.advance(SECOND);
    let limiter: Limiter = PerKeyRateLimiter::builder(Quota::per_second(10))
        .clock(clock.clone())
        .quota_for(move |_| answer.load(Ordering::Relaxed).then_some(Quota::per_second(0)))
        .build()
        .unwrap();
    assert_eq!(limiter.handle(1).charge(20), 20);
    let times = || [0, 1].map(|n| limiter.time_to_available(&1, n).ok());
    assert_eq!(times(), [Some(Duration::ZERO), Some(11 * SECOND / 10)]);
    blocked.store(true, Ordering::Relaxed);
    assert!(limiter.requota(&1));
    assert_eq!(times(), [Some(Duration::ZERO), None]);
    // Where the clock steps back, too.
    clock.set(Nanos::from_nanos(0));
    assert_eq!(times(), [Some(Duration::ZERO), None]);
}

/// Kills: the places of buckets in use that go with one of many.
#[test]
fn of_many_handles_one_goes() {
    let limiter: Limiter = PerKeyRateLimiter::builder(Quota::per_hour(9)).clock(ManualClock::new()).build().unwrap();
    let mut handles: Vec<_> = (0..100).map(|key| limiter.handle(key)).collect();
    assert!(handles.iter().all(|handle| handle.try_acquire_n(4).is_ok()));
    drop(handles.remove(0));
    for (key, handle) in (1..).zip(&handles) {
        assert_eq!((limiter.try_acquire_n(&key, 3), handle.available()), (Ok(()), 2), "{key}");
    }
    assert_eq!(limiter.available(&0), 5);
}

/// Kills: a name that says so by itself.
#[test]
fn a_key_ref_asks_and_waits_as_the_limiter_does() {
    let (limiter, burst) = asking(9, |_| {});
    let one = limiter.key(&1);
    assert!(!one.requota(), "not known");
    assert_eq!(one.try_acquire_n(5), Ok(()));
    burst.store(7, Ordering::SeqCst);
    assert!(one.requota());
    assert!(
        one.try_acquire_n(6)
            .is_err_and(|error| !matches!(error, sluicegate::RateLimitExceeded::ExceedsCapacity { .. }))
    );
    #[cfg(feature = "async")]
    {
        assert_eq!((limiter.key(&2).blocking_acquire(), limiter.available(&2)), (Ok(()), 6));
        assert_eq!((limiter.key(&2).blocking_acquire_n(2), limiter.available(&2)), (Ok(()), 4));
        assert!(limiter.key(&2).blocking_acquire_n(8).is_err());
    }
}
