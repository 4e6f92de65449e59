//! G10: memory is bounded by `max_keys` under a flood of unique keys; without a bound by what comes in a few intervals,
//! since those who call clean up; and what was dropped is given back.
//!
//! Bytes are those of the whole process, so one test runs at a time. "Kills" names a change of the library that the
//! test was seen to fail on.

#![allow(missing_docs)]
#![cfg(feature = "per-key")]

#[path = "support/bytes.rs"]
mod bytes;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sluicegate::{Clock, ManualClock, PerKeyRateLimiter, Quota, RateLimitExceeded, WhenFull};

const SECOND: Duration = Duration::from_secs(1);

/// Room for a key and its word and a byte for each place, of which 7 in 16 are taken right after a shard has grown; a
/// shard that grows has the old places beside the new ones, and no shard is as good as the average. And 20 kB for the
/// shards.
fn bound(keys: usize) -> isize {
    (64 * keys + 20_000) as isize
}

// --- Floods

/// Kills: one place too many; any key dropped for a newcomer; a newcomer that is not charged.
#[test]
fn two_million_unique_keys_against_ten_thousand_places() {
    const MAX_KEYS: usize = 10_000;
    let bytes = Bytes::new();
    let (quota, clock) = (Quota::per_hour(100).burst(1), ManualClock::new());
    let limiter = PerKeyRateLimiter::<u64>::builder(quota).clock(clock.clone()).max_keys(MAX_KEYS).build().unwrap();
    let (let_in, stop, looks) = (AtomicU64::new(0), AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let flooding = (0..2_u64).map(|thread| {
            let (limiter, let_in) = (&limiter, &let_in);
            scope.spawn(move || {
                for n in 0..1_000_000 {
                    match limiter.try_acquire(&(thread << 32 | n)) {
                        Ok(()) => _ = let_in.fetch_add(1, Ordering::Relaxed),
                        Err(error) => assert_eq!(error, RateLimitExceeded::KeysExhausted { max_keys: MAX_KEYS }),
                    }
                    assert!(limiter.len() <= MAX_KEYS);
                }
            })
        });
        let flooding: Vec<_> = flooding.collect();
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                assert!(limiter.len() <= MAX_KEYS);
                assert!(bytes.live() <= bound(MAX_KEYS), "{} bytes", bytes.live());
                looks.fetch_add(1, Ordering::Relaxed);
            }
        });
        let over = flooding.into_iter().all(|thread| thread.join().is_ok());
        stop.store(true, Ordering::Relaxed);
        assert!(over);
    });
    assert_eq!((let_in.into_inner(), limiter.len()), (MAX_KEYS as u64, MAX_KEYS));
    assert!(looks.into_inner() > 100);
    println!("{} bytes at the most, {} bytes a key at the end", bytes.peak(), bytes.live() / MAX_KEYS as isize);
    assert!(bytes.peak() <= bound(MAX_KEYS), "{} bytes", bytes.peak());

    // When all are full again as many newcomers are let in, and again no more.
    clock.advance(36 * SECOND);
    assert!((0..MAX_KEYS as u64).all(|key| limiter.try_acquire(&(3 << 32 | key)).is_ok()));
    assert_eq!(limiter.len(), MAX_KEYS);
    assert_eq!(limiter.try_acquire(&(4 << 32)), Err(RateLimitExceeded::KeysExhausted { max_keys: MAX_KEYS }));
    assert!(bytes.peak() <= bound(MAX_KEYS), "{} bytes", bytes.peak());
    drop(limiter);
    assert!(bytes.live() < 20_000, "{} bytes are left", bytes.live());
}

/// Keys that own memory: what is turned away is freed. Kills: places that `clear` keeps.
#[test]
fn a_flood_of_strings_leaves_nothing() {
    const MAX_KEYS: usize = 1_000;
    let bytes = Bytes::new();
    let builder = PerKeyRateLimiter::<String>::builder(Quota::per_hour(1)).clock(ManualClock::new());
    let limiter = builder.max_keys(MAX_KEYS).build().unwrap();
    let empty = bytes.live();
    let mut name = String::new();
    for n in 0..200_000 {
        name.clear();
        std::fmt::Write::write_fmt(&mut name, format_args!("a name of thirty bytes: {n:6}")).unwrap();
        let _ = limiter.try_acquire(name.as_str());
    }
    // A String's three words are in the map, its text is not.
    assert!(bytes.peak() <= 2 * bound(MAX_KEYS) + 30 * MAX_KEYS as isize, "{} bytes", bytes.peak());
    limiter.clear();
    assert!(limiter.is_empty());
    // The test runner's own are among them: 10 kB when it is told of its first result meanwhile.
    let left = bytes.live() - empty;
    assert!(left < 20_000, "{left} bytes are left");
}

/// Kills: a bucket for each of them.
#[test]
fn those_without_a_place_share_one_bucket() {
    const MAX_KEYS: u64 = 10_000;
    let _bytes = Bytes::new();
    let clock = ManualClock::new();
    let builder = PerKeyRateLimiter::<u64>::builder(Quota::per_hour(100)).clock(clock.clone());
    let limiter = builder.max_keys(MAX_KEYS as usize).when_full(WhenFull::Share).build().unwrap();
    assert!((0..MAX_KEYS).all(|key| limiter.try_acquire_n(&key, 100).is_ok()));
    let mut next = MAX_KEYS;
    let mut share = |calls: u64| {
        let granted = (next..next + calls).filter(|key| match limiter.try_acquire(key) {
            Ok(()) => true,
            Err(error) => {
                assert!(error.retry_after().is_some(), "{error}");
                false
            }
        });
        let granted = granted.count();
        next += calls;
        granted
    };
    assert_eq!(share(100_000), 100);
    assert_eq!((limiter.len() as u64, limiter.available(&0)), (MAX_KEYS, 0));
    clock.advance(36 * SECOND - Duration::from_nanos(1));
    assert_eq!(share(1_000), 0);
    clock.advance(Duration::from_nanos(1));
    assert_eq!(share(1_000), 1, "one for all of them");
    // Exact, as any denial: of a bucket that nobody else asks meanwhile.
    let denied = limiter.try_acquire_n(&(1 << 40), 2).unwrap_err();
    assert_eq!(denied.retry_after(), Some(72 * SECOND));
    let never = RateLimitExceeded::ExceedsCapacity { requested: 101, capacity: 100 };
    assert_eq!(limiter.try_acquire_n(&(1 << 40), 101), Err(never));
    assert!(!limiter.contains_key(&(1 << 40)));
}

/// Every newcomer has to make room, on the real clock, from several threads: never one too many at any moment.
/// Kills: one place too many; a place that a denial keeps, or `remove`, or `clear`.
#[test]
fn pressure_from_several_threads_never_makes_one_key_too_many() {
    const MAX_KEYS: usize = 100;
    let bytes = Bytes::new();
    let builder = PerKeyRateLimiter::<u64>::builder(Quota::per_second(1_000_000).burst(1));
    let limiter = builder.cleanup_interval(Duration::from_millis(1)).max_keys(MAX_KEYS).build().unwrap();
    let granted: u64 = std::thread::scope(|scope| {
        let worker = |thread: u64| {
            let limiter = &limiter;
            scope.spawn(move || {
                let mut granted = 0;
                for n in 0..60_000 {
                    granted += u64::from(limiter.try_acquire(&(thread << 32 | n)).is_ok());
                    assert!(limiter.len() <= MAX_KEYS);
                    if n % 7 == 0 {
                        limiter.remove(&(thread << 32 | n));
                    }
                    if n % 10_000 == 0 {
                        limiter.clear();
                    }
                }
                granted
            })
        };
        let threads: Vec<_> = (0..4).map(worker).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!(granted > 10_000, "only {granted}");
    assert!(limiter.len() <= MAX_KEYS && bytes.peak() < bound(MAX_KEYS) + 20_000, "{} bytes", bytes.peak());
    limiter.clear();
    assert_eq!(limiter.len(), 0, "places are lost");
}

// --- Without a bound

/// So many keys in an interval, each used once. Their bucket is full after a hundredth of it.
const IN_AN_INTERVAL: u64 = 10_000;

fn churning(clock: impl Clock + Clone) -> PerKeyRateLimiter<u64, impl Clock + Clone> {
    let builder = PerKeyRateLimiter::<u64>::builder(Quota::per_second(100).burst(1)).clock(clock);
    builder.cleanup_interval(SECOND).build().unwrap()
}

/// A key stays for an interval at least, and the pass that finds it begins when the next one is over; during the pass,
/// which takes a call for two places, others come. Nobody calls `cleanup`.
/// Kills: no sweep by those who call, or by every 64th newcomer only; one pass and no other; a piece that is not moved
/// on.
#[test]
fn keys_used_once_go_while_others_come() {
    let bytes = Bytes::new();
    let clock = ManualClock::new();
    let limiter = churning(clock.clone());
    let step = SECOND / IN_AN_INTERVAL as u32;
    let mut most = 0;
    for key in 0..30 * IN_AN_INTERVAL {
        assert_eq!(limiter.try_acquire(&key), Ok(()));
        clock.advance(step);
        most = most.max(limiter.len());
    }
    println!("{:.2} intervals' keys at the most, {} bytes", most as f64 / IN_AN_INTERVAL as f64, bytes.peak());
    assert!(most as u64 >= IN_AN_INTERVAL);
    assert!(most as u64 <= 3 * IN_AN_INTERVAL, "{most}");
    assert!(bytes.peak() <= bound(3 * IN_AN_INTERVAL as usize), "{} bytes", bytes.peak());
}

/// The same where each key is used ten times: then there are calls enough for a short pass.
#[test]
fn keys_used_ten_times_go_while_others_come() {
    let _bytes = Bytes::new();
    let clock = ManualClock::new();
    let limiter = churning(clock.clone());
    let step = SECOND / IN_AN_INTERVAL as u32;
    let mut most = 0;
    for key in 0..15 * IN_AN_INTERVAL {
        assert_eq!(limiter.try_acquire(&key), Ok(()));
        (0..9).for_each(|_| assert!(limiter.try_acquire(&key).is_err()));
        clock.advance(step);
        most = most.max(limiter.len());
    }
    println!("{:.2} intervals' keys at the most", most as f64 / IN_AN_INTERVAL as f64);
    assert!(most as u64 <= 5 * IN_AN_INTERVAL / 2, "{most}");
}

/// A thread for each request, and one call of it: these too are those who call. Kills: a count of calls that begins at
/// zero in every thread.
#[test]
fn threads_of_one_call_each_clean_up_too() {
    const THREADS: u64 = 10_000;
    let _bytes = Bytes::new();
    let clock = ManualClock::new();
    let limiter = churning(clock.clone());
    let mut most = 0;
    for key in 0..THREADS {
        std::thread::scope(|scope| _ = scope.spawn(|| assert_eq!(limiter.try_acquire(&key), Ok(()))));
        // A thousand in an interval.
        clock.advance(SECOND / 1_000);
        most = most.max(limiter.len());
    }
    println!("{most} keys at the most, of a thousand in an interval");
    assert!(most < 5_000, "{most} of {THREADS} are never dropped");
}

/// Of two limiters called in turn by one thread, neither is forgotten: they share its calls, so it takes twice as long.
/// Kills: no sweep by those who call; one pass and no other; a piece that is not moved on.
#[test]
fn two_limiters_in_turn_are_both_cleaned_up() {
    let _bytes = Bytes::new();
    let clock = ManualClock::new();
    let limiters = [churning(clock.clone()), churning(clock.clone())];
    let mut most = 0;
    for key in 0..30 * IN_AN_INTERVAL {
        limiters.iter().for_each(|limiter| assert_eq!(limiter.try_acquire(&key), Ok(())));
        clock.advance(SECOND / IN_AN_INTERVAL as u32);
        most = most.max(limiters[0].len()).max(limiters[1].len());
    }
    println!("{:.2} intervals' keys at the most", most as f64 / IN_AN_INTERVAL as f64);
    assert!(most as u64 <= 12 * IN_AN_INTERVAL, "{limiters:?}");
}

// --- What is given back

const MANY: u64 = 200_000;

fn filled(clock: &ManualClock) -> PerKeyRateLimiter<u64, ManualClock> {
    let builder = PerKeyRateLimiter::<u64>::builder(Quota::per_second(1)).clock(clock.clone());
    let limiter = builder.cleanup_interval(SECOND).build().unwrap();
    assert!((0..MANY).all(|key| limiter.try_acquire(&key).is_ok()));
    limiter
}

/// Less than a fiftieth is left, and it is the shards. Kills: shards that never shrink.
#[test]
fn a_clean_up_gives_the_memory_back() {
    let bytes = Bytes::new();
    let clock = ManualClock::new();
    let limiter = filled(&clock);
    let full = bytes.live();
    println!("{} bytes a key", full as f64 / MANY as f64);
    assert!(full <= bound(MANY as usize));
    clock.advance(SECOND * 2);
    assert_eq!(limiter.cleanup() as u64, MANY);
    assert!(limiter.is_empty() && bytes.live() < full / 50, "{} of {full} bytes are left", bytes.live());
}

/// The same by one who calls, in no call more than a piece of 128 places. Kills: a whole shard in a piece; no
/// shrinking.
#[test]
fn those_who_call_give_the_memory_back_a_piece_at_a_time() {
    let bytes = Bytes::new();
    let clock = ManualClock::new();
    let limiter = filled(&clock);
    let full = bytes.live();
    clock.advance(SECOND * 2);
    let (mut calls, mut before) = (0, limiter.len());
    while limiter.len() > 1 {
        let _ = limiter.try_acquire(&MANY);
        let now = limiter.len();
        assert!(before.saturating_sub(now) <= 128, "{} at once", before - now);
        (calls, before) = (calls + 1, now);
        assert!(calls < 10 * MANY, "{now} are left");
    }
    println!("{calls} calls, two for a place at the most");
    // The last shards, at whose end it has not come.
    (0..200_000).for_each(|_| _ = limiter.try_acquire(&MANY));
    assert!(bytes.live() < full / 50, "{} of {full} bytes are left", bytes.live());
}

/// Where few stay, there is room for few: less than a tenth is left with one of a hundred.
#[test]
fn shards_that_are_mostly_empty_shrink() {
    let bytes = Bytes::new();
    let clock = ManualClock::new();
    let limiter = filled(&clock);
    let full = bytes.live();
    clock.advance(SECOND * 2);
    // These owe again.
    assert!((0..MANY).step_by(100).all(|key| limiter.try_acquire(&key).is_ok()));
    limiter.cleanup();
    assert_eq!(limiter.len() as u64, MANY / 100);
    assert!(bytes.live() < full / 10, "{} of {full} bytes are left", bytes.live());
    assert!((0..MANY).step_by(100).all(|key| limiter.contains_key(&key) && limiter.try_acquire(&key).is_err()));
}

/// Removed one by one, they are given back by the next clean-up; cleared, at once. Kills: shards that never shrink.
#[test]
fn what_is_removed_is_given_back() {
    let bytes = Bytes::new();
    let clock = ManualClock::new();
    let limiter = filled(&clock);
    let full = bytes.live();
    assert!((0..MANY).all(|key| limiter.remove(&key)));
    limiter.cleanup();
    assert!(limiter.is_empty() && bytes.live() < full / 50, "{} of {full} bytes are left", bytes.live());
    assert!((0..MANY).all(|key| limiter.try_acquire(&key).is_ok()));
    limiter.clear();
    assert!(limiter.is_empty() && bytes.live() < full / 50, "{} of {full} bytes are left", bytes.live());
}
