//! G9, for those who are let in: a reading that is older than the time at which a key was forgotten wins nothing, and
//! nobody whose clock runs on is denied because others were forgotten meanwhile. `g9_eviction` has the rest.
//!
//! "Kills" names a change of the library that the test was seen to fail on.

#![allow(missing_docs)]
#![cfg(feature = "per-key")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sluicegate::{Clock, ManualClock, Nanos, PerKeyRateLimiter, Quota, RateLimitExceeded};
use support::clocks::Stopped;
use support::quotas::SECOND;

type OnStopped<'a> = Arc<PerKeyRateLimiter<u32, Arc<Stopped<'a>>>>;

/// A key whose burst was taken at second 1 by others, and a call for it that is stopped after its reading of that time,
/// until the key is full again and forgotten. Were it new then, its grant would leave it full as soon as time has
/// caught up: three bursts in the time in which one comes. Kills: a newcomer that starts at 0.
#[test]
fn a_stale_reading_across_an_eviction_wins_nothing() {
    let forget: [fn(&OnStopped); 2] = [
        |limiter| assert_eq!(limiter.cleanup(), 1),
        // By pressure, as far as it takes to find it.
        |limiter| assert!((1..1_000).any(|other| limiter.try_acquire(&other).is_ok())),
    ];
    for forget in forget {
        let clock = Arc::new(Stopped::default());
        let limiter = PerKeyRateLimiter::builder(Quota::per_second(10)).clock(Arc::clone(&clock)).max_keys(1);
        let limiter = Arc::new(limiter.cleanup_interval(Duration::from_millis(100)).build().unwrap());
        clock.time.set(Nanos::from_nanos(SECOND));
        assert_eq!(limiter.try_acquire_n(&0, 10), Ok(()));
        let (others, time) = (Arc::clone(&limiter), clock.time.clone());
        clock.after_reading(1, move || {
            time.advance(Duration::from_millis(1_200));
            forget(&others);
            assert!(!others.contains_key(&0));
            others.clear();
        });
        // Denied, or granted at the time that it is now: never at one at which the burst was taken already.
        let granted = if limiter.try_acquire_n(&0, 10).is_ok() { 10 } else { 0 };
        assert!(clock.was_stopped());
        assert_eq!(granted + limiter.available(&0), 10);
    }
}

/// Kills: a newcomer that starts at 0.
#[test]
fn a_clock_set_back_after_an_eviction_finds_no_more_than_before() {
    let clock = ManualClock::new();
    let builder = PerKeyRateLimiter::<u32>::builder(Quota::per_second(10)).clock(clock.clone());
    let limiter = builder.cleanup_interval(Duration::from_secs(1)).build().unwrap();
    clock.set(Nanos::from_nanos(SECOND));
    assert_eq!(limiter.try_acquire_n(&1, 10), Ok(()));
    clock.set(Nanos::from_nanos(3 * SECOND));
    assert_eq!(limiter.cleanup(), 1);
    // As if it was remembered: full at second 2, and not before.
    for (nanos, available) in [(SECOND, 0), (1_500_000_000, 5), (2 * SECOND, 10), (3 * SECOND, 10)] {
        clock.set(Nanos::from_nanos(nanos));
        assert_eq!(limiter.available(&1), available, "at {nanos}");
        assert!(limiter.try_acquire_n(&1, available + 1).is_err());
        assert!(!limiter.contains_key(&1));
    }
}

/// Lets keys of every shard in, and forgets them when they are full, after this reading and so many more.
fn forget_all(limiter: &OnStopped<'static>, clock: &Arc<Stopped<'static>>, more: u32) {
    let keys = 0..20_000;
    assert!(keys.clone().all(|key| limiter.try_acquire(&key).is_ok()));
    clock.time.advance(Duration::from_millis(101));
    assert_eq!(limiter.cleanup(), keys.len());
    if more > 0 {
        let (limiter, stopped) = (Arc::clone(limiter), Arc::clone(clock));
        clock.after_reading(1, move || forget_all(&limiter, &stopped, more - 1));
    }
}

/// Its key is its own alone, and new: that other keys are forgotten between its reading and its charge is none of its
/// business, for its clock runs on, however often that happens. Kills: no second reading of the clock; no third.
#[test]
fn a_newcomer_is_not_denied_because_another_key_was_forgotten() {
    let clock = Arc::new(Stopped::default());
    let limiter = PerKeyRateLimiter::builder(Quota::per_second(10).burst(1)).clock(Arc::clone(&clock));
    let limiter = Arc::new(limiter.cleanup_interval(Duration::from_nanos(1)).build().unwrap());
    let (others, stopped) = (Arc::clone(&limiter), Arc::clone(&clock));
    clock.after_reading(1, move || forget_all(&others, &stopped, 3));
    assert_eq!(limiter.try_acquire(&u32::MAX), Ok(()));
    assert!(clock.was_stopped());
}

/// A clock of which each reading is later than the one before.
#[derive(Debug)]
struct Passing(AtomicU64);

impl Clock for Passing {
    fn now(&self) -> Nanos {
        Nanos::from_nanos(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// One whose clock was set back learns so instead of asking until it has caught up. Kills: asking again without a bound.
#[test]
fn a_newcomer_whose_clock_was_set_back_is_denied() {
    let clock = Passing(AtomicU64::new(SECOND));
    let limiter = PerKeyRateLimiter::builder(Quota::per_second(10).burst(1)).clock(&clock);
    let limiter = limiter.cleanup_interval(Duration::from_nanos(1)).build().unwrap();
    let keys = 0..20_000_u32;
    assert!(keys.clone().all(|key| limiter.try_acquire(&key).is_ok()));
    clock.0.fetch_add(SECOND, Ordering::Relaxed);
    assert_eq!(limiter.cleanup(), keys.len());
    clock.0.store(SECOND, Ordering::Relaxed);
    assert!(matches!(limiter.try_acquire(&u32::MAX), Err(RateLimitExceeded::Denied { .. })));
    assert!(clock.0.load(Ordering::Relaxed) < SECOND + 10, "it was asked again and again");
}

/// The same with threads: each key is used once, so none is ever denied. Kills: no second reading of the clock.
#[test]
fn threads_with_keys_used_once_are_never_denied() {
    let limiter = PerKeyRateLimiter::<u64>::builder(Quota::per_second(1_000_000).burst(1)).max_keys(1_000);
    let limiter = limiter.cleanup_interval(Duration::from_millis(1)).build().unwrap();
    let calls: Vec<(u64, u64)> = std::thread::scope(|scope| {
        let worker = |thread: u64| {
            let limiter = &limiter;
            scope.spawn(move || {
                let answers = (0..100_000).map(|n| limiter.try_acquire(&(thread << 32 | n)));
                answers.fold((0, 0), |(granted, denied), answer| match answer {
                    Ok(()) => (granted + 1, denied),
                    Err(RateLimitExceeded::Denied { .. }) => (granted, denied + 1),
                    Err(_) => (granted, denied),
                })
            })
        };
        let threads: Vec<_> = (0..4).map(worker).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (granted, denied) = calls.iter().fold((0, 0), |sum, calls| (sum.0 + calls.0, sum.1 + calls.1));
    assert!(granted > 10_000, "only {granted}");
    assert_eq!(denied, 0, "of {granted} granted: they were new");
}
