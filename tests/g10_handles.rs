//! G10, with tiers, statistics, handles and waiting: memory is bounded by `max_keys` and by what is held, and what is held
//! no more is given back.
//!
//! Bytes are those of the whole process, so one test runs at a time. "Kills" names a change of the library that the
//! test was seen to fail on.

#![allow(missing_docs)]
#![cfg(all(feature = "per-key", feature = "async"))]

#[path = "support/bytes.rs"]
mod bytes;
mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sluicegate::{
    KeyHandle, ManualClock, PerKeyRateLimiter, PerKeyRateLimiterBuilder, Quota, RateLimitExceeded, WhenFull,
};
use support::waiting::{Wakes, poll};

const SECOND: Duration = Duration::from_secs(1);

type Builder = PerKeyRateLimiterBuilder<u64, ManualClock>;

fn builder(quota: Quota, clock: &ManualClock) -> Builder {
    PerKeyRateLimiter::builder(quota).clock(clock.clone()).cleanup_interval(SECOND)
}

/// Room for a key, its word and two pointers, as `tests/g10_memory.rs` reckons, and what the pointers lead to; and 60 kB for
/// shards, counters and quotas.
fn bound(keys: usize, stats: bool) -> isize {
    (keys * (128 + if stats { 48 } else { 0 }) + 60_000) as isize
}

/// With both, fewer with either; millions come in `tests/g10_memory.rs`. Kills: one place too many.
#[test]
fn half_a_million_unique_keys_with_statistics_and_tiers() {
    const MAX_KEYS: usize = 10_000;
    for (stats, tiers) in [(false, true), (true, false), (true, true)] {
        let (bytes, clock) = (Bytes::new(), ManualClock::new());
        let keys = if stats && tiers { 250_000 } else { 50_000 };
        let quota = Quota::per_hour(100).burst(1);
        let built = builder(quota, &clock).max_keys(MAX_KEYS);
        let built = if stats { built.stats() } else { built };
        // Three tiers and the limiter's own.
        let quotas = |&key: &u64| (key % 4 > 0).then(|| Quota::per_hour(100 + key % 4).burst(1));
        let limiter = if tiers { built.quota_for(quotas) } else { built }.build().unwrap();
        let let_in = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for thread in 0..2_u64 {
                let (limiter, let_in) = (&limiter, &let_in);
                scope.spawn(move || {
                    for n in 0..keys {
                        match limiter.try_acquire(&(thread << 32 | n)) {
                            Ok(()) => _ = let_in.fetch_add(1, Ordering::Relaxed),
                            Err(error) => assert_eq!(error, RateLimitExceeded::KeysExhausted { max_keys: MAX_KEYS }),
                        }
                        assert!(limiter.len() <= MAX_KEYS);
                    }
                });
            }
        });
        assert_eq!((let_in.into_inner(), limiter.len()), (MAX_KEYS as u64, MAX_KEYS));
        println!("stats {stats}, tiers {tiers}: {} bytes a key", bytes.peak() / MAX_KEYS as isize);
        assert!(bytes.peak() <= bound(MAX_KEYS, stats), "{} bytes", bytes.peak());
        // When all are full again as many newcomers are let in, and again no more.
        clock.advance(36 * SECOND);
        assert!((0..MAX_KEYS as u64).all(|key| limiter.try_acquire(&(3 << 32 | key)).is_ok()));
        assert_eq!(limiter.try_acquire(&(4 << 32)), Err(RateLimitExceeded::KeysExhausted { max_keys: MAX_KEYS }));
        if let Some(totals) = limiter.total_stats() {
            assert_eq!((totals.total_requests, totals.allowed_requests), (2 * keys + 10_001, 2 * MAX_KEYS as u64));
        }
        assert!(bytes.peak() <= bound(MAX_KEYS, stats), "{} bytes", bytes.peak());
        limiter.clear();
        assert!(bytes.live() < bound(0, stats), "{} bytes are left", bytes.live());
        drop(limiter);
        assert!(bytes.live() < 20_000, "{} bytes are left", bytes.live());
    }
}

/// A quota for each key: what nobody has is dropped. Kills: tiers that stay.
#[test]
fn quotas_that_nobody_has_are_given_back() {
    let (bytes, clock) = (Bytes::new(), ManualClock::new());
    let limiter = builder(Quota::per_second(1), &clock).max_keys(100);
    let limiter = limiter.quota_for(|&key| Some(Quota::per_second(1_000).burst(key + 1))).build().unwrap();
    for key in 0..100_000 {
        assert!(limiter.try_acquire(&key).is_ok());
        clock.advance(SECOND / 1_000);
    }
    assert!(limiter.len() <= 100 && bytes.peak() < 200_000, "{} bytes", bytes.peak());
    // Nor those that were only asked for.
    (0..100_000).for_each(|key| assert_eq!(limiter.available(&key), key + 1));
    assert!(bytes.peak() < 200_000, "{} bytes", bytes.peak());
}

const HELD: u64 = 20_000;

/// But for less than a hundredth. Kills: a key that stays in use when it is not; a slab that keeps its places.
#[test]
fn buckets_are_given_back_when_nobody_holds_them() {
    for stats in [false, true] {
        let (bytes, clock) = (Bytes::new(), ManualClock::new());
        let built = builder(Quota::per_hour(10), &clock);
        let limiter = if stats { built.stats() } else { built }.build().unwrap();
        assert!((0..HELD).all(|key| limiter.try_acquire(&key).is_ok()));
        let words = bytes.live();
        let mut few = 0;
        for _ in 0..3 {
            let handles: Vec<_> = (0..HELD).map(|key| limiter.handle(key)).collect();
            let clones = handles.clone();
            let held = bytes.live() - words;
            few = held / 100;
            println!("{} bytes a handle", held / HELD as isize);
            assert!(held > 300 * HELD as isize && held < 1_000 * HELD as isize, "{held} bytes");
            drop(handles);
            assert!(bytes.live() - words > 300 * HELD as isize, "they are held");
            // From the first to the last, and the other way round.
            if stats {
                clones.into_iter().rev().for_each(drop)
            } else {
                drop(clones)
            }
            assert!(bytes.live() - words < few, "{} bytes are left of {held}", bytes.live() - words);
        }
        // For a moment each, there is one at a time.
        let before = bytes.peak();
        (0..HELD).for_each(|key| assert!(limiter.handle(key).try_acquire().is_ok() && limiter.requota(&key)));
        let (more, left) = (bytes.peak() - before, bytes.live() - words);
        assert!(more < few && left < few, "{more} bytes more, {left} are left");
    }
}

/// The same of those who wait: whether they are served, refused, or go.
#[test]
fn waiting_leaves_no_memory_behind() {
    let (bytes, clock) = (Bytes::new(), ManualClock::new());
    let limiter = builder(Quota::per_second(1), &clock).build().unwrap();
    let keys: Vec<u64> = (0..2_000).collect();
    let wakes = Wakes::new();
    assert!(keys.iter().all(|key| limiter.try_acquire(key).is_ok()));
    let words = bytes.live();
    for serve in [false, true, false, true] {
        let mut waiting: Vec<_> = keys.iter().map(|key| limiter.acquire(key)).collect();
        assert!(waiting.iter_mut().all(|one| poll(one, &wakes).is_pending()));
        assert!(keys.iter().all(|key| limiter.blocking_acquire_timeout(key, 1, Duration::ZERO).is_err()));
        assert!(bytes.live() - words > 500 * 2_000);
        if serve {
            clock.advance(SECOND);
            assert!(waiting.iter_mut().all(|one| poll(one, &wakes).is_ready()));
        }
        drop(waiting);
        // What the clock keeps of wakers aside.
        assert!(bytes.live() - words < 100_000, "{} bytes are left", bytes.live() - words);
    }
    assert!(keys.iter().all(|key| limiter.try_acquire(key).is_err()));
}

/// Handles of keys that nobody charges: one at a time is known. Charged ones go when they are full and others need their
/// places.
#[test]
fn a_flood_of_handles_for_a_moment_leaves_nothing() {
    let (bytes, clock) = (Bytes::new(), ManualClock::new());
    let limiter = builder(Quota::per_second(1), &clock).max_keys(10).build().unwrap();
    assert!((0..9).all(|key| limiter.try_acquire(&key).is_ok()));
    for key in 10..100_000 {
        let handle = limiter.handle(key);
        assert_eq!((handle.available(), limiter.len()), (1, 10));
        drop(handle);
        assert_eq!(limiter.len(), 9);
    }
    assert!(bytes.peak() < 60_000, "{} bytes", bytes.peak());
    clock.advance(SECOND);
    for key in 10..100_000 {
        assert!(limiter.handle(key).try_acquire().is_ok());
        clock.advance(SECOND / 5);
        assert!(limiter.len() <= 10, "{}", limiter.len());
    }
    assert!(bytes.peak() < 60_000, "{} bytes", bytes.peak());
}

/// Each is charged, all but ten without a place: dropped at once, or held, when only who holds them pays for them.
/// Kills: a handle that is let in beyond the bound.
#[test]
fn a_flood_of_charged_handles_is_bounded() {
    const MAX_KEYS: u64 = 10;
    for when_full in [WhenFull::Deny, WhenFull::Share] {
        for stats in [false, true] {
            let (bytes, clock) = (Bytes::new(), ManualClock::new());
            let built = builder(Quota::per_hour(2), &clock).max_keys(MAX_KEYS as usize).when_full(when_full);
            let limiter = if stats { built.stats() } else { built }.build().unwrap();
            let charge = |handle: &KeyHandle<u64, ManualClock>, key| {
                // The places, and under `Share` a burst for all others.
                let granted = key < MAX_KEYS || when_full == WhenFull::Share && key < MAX_KEYS + 2;
                assert_eq!(handle.try_acquire().is_ok(), granted, "{when_full:?} {key}");
                assert!(limiter.len() <= MAX_KEYS as usize);
            };
            (0..100_000).for_each(|key| charge(&limiter.handle(key), key));
            assert!(bytes.peak() < 80_000, "{} bytes", bytes.peak());
            let words = bytes.live();
            let held: Vec<_> = (100_000..110_000).map(|key| limiter.handle(key)).collect();
            held.iter().for_each(|handle| charge(handle, 100_000));
            let of_each = (bytes.live() - words) / 10_000;
            assert!(of_each < if when_full == WhenFull::Share { 64 } else { 1_000 }, "{of_each} bytes of each");
            drop(held);
            assert!(bytes.live() - words < 20_000, "{} bytes are left", bytes.live() - words);
            // When there is room the next one is the key's own.
            clock.advance(1_800 * SECOND);
            let own = limiter.handle(100_000);
            assert_eq!((own.try_acquire(), limiter.try_acquire(&100_000), own.available()), (Ok(()), Ok(()), 0));
            // All of a shard that are full may go for it.
            assert!(limiter.contains_key(&100_000) && limiter.len() <= MAX_KEYS as usize, "{}", limiter.len());
        }
    }
}
