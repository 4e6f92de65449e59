//! What is counted by key, and all together: every call once, whichever way it came.
//!
//! "Kills" names a change of the library that the test was seen to fail on.

#![allow(missing_docs)]
#![cfg(feature = "per-key")]

mod support;

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use sluicegate::{ManualClock, PerKeyRateLimiter, PerKeyRateLimiterBuilder, Quota, RateLimiterStats, WhenFull};
use support::threads::Random;
#[cfg(feature = "async")]
use {std::task::Poll, support::waiting::Wakes, support::waiting::poll};

const MS: Duration = Duration::from_millis(1);

type Limiter = PerKeyRateLimiter<u32, ManualClock>;

fn builder(quota: Quota) -> (PerKeyRateLimiterBuilder<u32, ManualClock>, ManualClock) {
    let clock = ManualClock::new();
    (PerKeyRateLimiter::builder(quota).clock(clock.clone()).cleanup_interval(1_000 * MS), clock)
}

fn counting(quota: Quota) -> (Limiter, ManualClock) {
    let (builder, clock) = builder(quota);
    (builder.stats().build().unwrap(), clock)
}

/// Allowed and rejected.
fn of(stats: Option<RateLimiterStats>) -> Option<(u64, u64)> {
    let stats = stats?;
    assert_eq!(stats.total_requests, stats.allowed_requests + stats.rejected_requests);
    Some((stats.allowed_requests, stats.rejected_requests))
}

#[test]
fn nothing_is_counted_unless_it_was_asked_for() {
    for limiter in [builder(Quota::per_hour(1)).0, builder(Quota::per_hour(1)).0.quota_for(|_| None)] {
        let limiter = limiter.build().unwrap();
        let handle = limiter.handle(1);
        assert!(handle.try_acquire().is_ok() && limiter.try_acquire(&1).is_err());
        assert_eq!((limiter.stats(&1), limiter.key(&1).stats(), handle.stats()), (None, None, None));
        assert_eq!((limiter.all_stats(), limiter.total_stats()), (Vec::new(), None));
    }
}

/// Kills: a newcomer that is counted twice; a bucket's calls that are not the key's.
#[test]
fn every_call_is_counted_once_whichever_way_it_came() {
    let (limiter, _) = counting(Quota::per_hour(6));
    assert_eq!((limiter.stats(&1), of(limiter.total_stats())), (None, Some((0, 0))));
    let told = |counts| {
        assert_eq!((of(limiter.stats(&1)), of(limiter.total_stats())), (Some(counts), Some(counts)));
        assert_eq!(limiter.all_stats(), vec![(1, limiter.stats(&1).unwrap())]);
    };
    assert!(limiter.try_acquire(&1).is_ok()); // lets it in
    told((1, 0));
    assert!(limiter.try_acquire(&1).is_ok() && limiter.try_acquire_n(&1, 5).is_err());
    told((2, 1));
    assert!(limiter.try_acquire_n(&1, 7).is_err());
    told((2, 2));
    let handle = limiter.handle(1);
    told((2, 2));
    assert!(handle.try_acquire().is_ok() && limiter.try_acquire(&1).is_ok());
    told((4, 2));
    assert!(handle.try_acquire_n(3).is_err() && limiter.try_acquire_n(&1, 3).is_err());
    told((4, 4));
    assert!(handle.try_acquire_n(7).is_err() && limiter.try_acquire_n(&1, 7).is_err());
    told((4, 6));
    let reserved = (handle.try_reserve_owned(1).unwrap(), handle.try_reserve(3).is_err());
    told((5, 7));
    assert_eq!((reserved.0.commit(2), reserved.1), (2, true));
    told((5, 7));
    assert_eq!((handle.stats(), limiter.key(&1).stats()), (limiter.stats(&1), limiter.stats(&1)));
    // Neither nothing, nor what goes back, nor a look, nor what is not asked.
    assert!(handle.try_acquire_n(0).is_ok() && limiter.try_acquire_n(&1, 0).is_ok());
    let _ = (limiter.available(&1), limiter.time_to_available(&1, 1), limiter.requota(&1), handle.charge(2));
    limiter.refund(&1, 1);
    drop(handle);
    told((5, 7));
    assert!(limiter.try_acquire_n(&1, 6).is_err());
    told((5, 8));
    assert!(format!("{limiter:?}").contains("rejected_requests: 8"));
}

/// Who is not let in is counted in the totals, where its key is nobody's.
#[test]
fn newcomers_that_are_turned_away_are_in_the_totals() {
    for when_full in [WhenFull::Deny, WhenFull::Share] {
        let (builder, _) = builder(Quota::per_hour(2));
        let limiter = builder.max_keys(1).when_full(when_full).stats().build().unwrap();
        assert!(limiter.try_acquire_n(&1, 3).is_err());
        assert_eq!((of(limiter.total_stats()), limiter.len()), (Some((0, 1)), 0));
        assert!(limiter.try_acquire(&1).is_ok());
        let granted = u64::from(when_full == WhenFull::Share) * 2;
        assert_eq!((2..12).filter(|key| limiter.try_acquire(key).is_ok()).count() as u64, granted);
        assert_eq!(of(limiter.total_stats()), Some((1 + granted, 11 - granted)));
        #[cfg(feature = "async")]
        {
            assert!(limiter.blocking_acquire_timeout(&5, 1, MS).is_err());
            assert_eq!(of(limiter.total_stats()), Some((1 + granted, 12 - granted)));
        }
        assert_eq!((limiter.all_stats().len(), of(limiter.stats(&1)), limiter.stats(&5)), (1, Some((1, 0)), None));
    }
}

/// Kills: statistics that `remove` keeps.
#[test]
fn removal_and_forgetting_begin_anew_and_the_totals_go_on() {
    for held in [false, true] {
        let (limiter, clock) = counting(Quota::per_second(2));
        let handle = held.then(|| limiter.handle(1));
        assert!(limiter.try_acquire_n(&1, 2).is_ok() && limiter.try_acquire(&1).is_err());
        assert!(limiter.remove(&1));
        assert_eq!(of(limiter.stats(&1)), held.then_some((0, 0)));
        assert!(limiter.try_acquire(&1).is_ok());
        assert_eq!((of(limiter.stats(&1)), of(limiter.total_stats())), (Some((1, 0)), Some((2, 1))));
        limiter.clear();
        assert_eq!(of(limiter.stats(&1)), held.then_some((0, 0)));
        assert!(limiter.try_acquire_n(&1, 2).is_ok());
        drop(handle);
        assert_eq!(of(limiter.stats(&1)), Some((1, 0)));
        clock.advance(2_000 * MS);
        assert_eq!(limiter.cleanup(), 1);
        assert_eq!((limiter.stats(&1), limiter.all_stats().len()), (None, 0));
        assert!(limiter.try_acquire_n(&1, 3).is_err() && limiter.try_acquire(&1).is_ok());
        assert_eq!((of(limiter.stats(&1)), of(limiter.total_stats())), (Some((1, 0)), Some((4, 2))));
    }
}

/// Kills: a denial that is counted when it joins the line.
#[cfg(feature = "async")]
#[test]
fn a_wait_is_counted_once_with_its_time() {
    let (limiter, clock) = counting(Quota::per_second(10).burst(2));
    let wakes = Wakes::new();
    let told = |key, counts, waited: u32, all| {
        let (stats, totals) = (limiter.stats(&key).unwrap(), limiter.total_stats().unwrap());
        assert_eq!((of(Some(stats)), stats.total_wait_time), (Some(counts), waited * MS));
        assert_eq!(of(Some(totals)), Some(all));
    };
    assert_eq!(poll(&mut limiter.acquire_n(&1, 2), &wakes), Poll::Ready(Ok(())));
    told(1, (1, 0), 0, (1, 0));
    let mut waiting = limiter.acquire(&1);
    assert!((0..5).all(|_| poll(&mut waiting, &wakes).is_pending()));
    told(1, (1, 0), 0, (1, 0));
    clock.advance(100 * MS);
    assert_eq!(poll(&mut waiting, &wakes), Poll::Ready(Ok(())));
    told(1, (2, 0), 100, (2, 0));
    // Refused at once, on a key with a word and with a bucket.
    assert!(limiter.blocking_acquire_timeout(&1, 1, MS).is_err());
    told(1, (2, 1), 100, (2, 1));
    let handle = limiter.handle(1);
    assert!(limiter.blocking_acquire_timeout(&1, 1, MS).is_err() && limiter.blocking_acquire_n(&1, 3).is_err());
    told(1, (2, 3), 100, (2, 3));
    // Dropped: not at all.
    let mut waiting = limiter.acquire(&1);
    assert!(poll(&mut waiting, &wakes).is_pending());
    drop((waiting, handle));
    told(1, (2, 3), 100, (2, 3));
    // Out of time.
    let mut waiting = limiter.acquire_timeout(&1, 1, 100 * MS);
    assert!(poll(&mut waiting, &wakes).is_pending());
    limiter.handle(1).charge(1);
    clock.advance(100 * MS);
    assert!(matches!(poll(&mut waiting, &wakes), Poll::Ready(Err(_))));
    told(1, (2, 4), 200, (2, 4));
    // Another key's, which is not known yet; and a handle's.
    assert_eq!(limiter.blocking_acquire_n(&2, 2), Ok(()));
    assert!(limiter.blocking_acquire_n(&3, 3).is_err() && limiter.stats(&3).is_none());
    told(2, (1, 0), 0, (3, 5));
    let handle = limiter.handle(2);
    let mut waiting = handle.acquire_n(2);
    assert!(poll(&mut waiting, &wakes).is_pending());
    clock.advance(200 * MS);
    assert_eq!(poll(&mut waiting, &wakes), Poll::Ready(Ok(())));
    told(2, (2, 0), 200, (4, 5));
    assert_eq!(limiter.total_stats().unwrap().total_wait_time, 400 * MS);
}

/// Threads that call by the map, by handles that come and go, and wait: the sums are exact.
#[test]
fn the_sums_of_threads_are_exact() {
    const KEYS: usize = 5;
    const CALLS: usize = 20_000;
    let limiter = PerKeyRateLimiter::<u32>::builder(Quota::per_second(20_000).burst(10)).stats().build().unwrap();
    let counted: Vec<HashMap<u32, (u64, u64)>> = thread::scope(|scope| {
        let worker = |thread| {
            let limiter = &limiter;
            scope.spawn(move || {
                let (mut random, mut counts) = (Random::new(thread), HashMap::new());
                let mut held = limiter.handle(0);
                for _ in 0..CALLS {
                    let key = (random.next() % KEYS as u64) as u32;
                    let (key, outcome) = match random.next() % 8 {
                        0 => (key, limiter.handle(key).try_acquire()),
                        1 => {
                            held = limiter.handle(key);
                            (key, held.try_acquire())
                        }
                        2 => (key, limiter.handle(key).try_reserve_owned(2).map(drop)),
                        #[cfg(feature = "async")]
                        3 => (key, limiter.blocking_acquire_timeout(&key, 1, Duration::from_micros(20))),
                        4 => (key, limiter.try_acquire_n(&key, 11)),
                        _ => (key, limiter.try_acquire(&key)),
                    };
                    let (allowed, rejected) = counts.entry(key).or_default();
                    *(if outcome.is_ok() { allowed } else { rejected }) += 1;
                }
                drop(held);
                counts
            })
        };
        let threads: Vec<_> = (1..5).map(worker).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    // What a call beyond the burst counts for a key that nobody has let in is in the totals alone.
    let mut all = (0, 0);
    for key in 0..KEYS as u32 {
        let (allowed, rejected) = counted
            .iter()
            .filter_map(|counts| counts.get(&key))
            .fold((0, 0), |sum, counts| (sum.0 + counts.0, sum.1 + counts.1));
        let told = of(limiter.stats(&key)).unwrap();
        assert_eq!(told.0, allowed);
        assert!(told.1 <= rejected && told.1 + 20 > rejected, "{told:?} of {rejected}");
        all = (all.0 + allowed, all.1 + rejected);
    }
    assert_eq!(of(limiter.total_stats()), Some(all));
    assert_eq!(limiter.all_stats().len(), KEYS);
}
