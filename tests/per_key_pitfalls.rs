//! Defects that were found in the per-key limiter's handles and tiers, each as a test.
//!
//! "Kills" names a change of the library that the test fails on.

#![allow(missing_docs)]
#![cfg(feature = "per-key")]

mod support;

use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use sluicegate::RateLimitExceeded::Denied;
use sluicegate::{Clock, ManualClock, Nanos, PerKeyRateLimiter, Quota, WhenFull};
#[cfg(feature = "async")]
use support::waiting::{poll_with, runs};

const SECOND: Duration = Duration::from_secs(1);

type Limiter = PerKeyRateLimiter<u64, ManualClock>;

/// Runs what must not hang on a thread of its own, and fails if it does.
fn within_seconds(what: &str, call: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    let running = thread::spawn(move || {
        call();
        let _ = done.send(());
    });
    match is_done.recv_timeout(5 * SECOND) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what}: hangs"),
        _ => running.join().unwrap(),
    }
}

/// Neither a rate nor a period: there is no scale to look for with the old shift.
#[test]
fn requota_to_no_rate_at_all_blocks_the_key() {
    for quota in [Quota::from_rate(f64::NAN), Quota::from_rate(-1.0), Quota::per(0, Duration::ZERO)] {
        let nothing = Arc::new(AtomicBool::new(false));
        let answer = Arc::clone(&nothing);
        let limiter = PerKeyRateLimiter::<u64>::builder(Quota::per_second(5)).clock(ManualClock::new());
        let limiter = limiter.quota_for(move |_| answer.load(Ordering::Relaxed).then_some(quota)).build().unwrap();
        assert!(limiter.try_acquire(&1).is_ok());
        nothing.store(true, Ordering::Relaxed);
        assert!(catch_unwind(AssertUnwindSafe(|| limiter.requota(&1))).is_ok_and(|known| known), "{quota:?}");
        assert_eq!((limiter.available(&1), limiter.handle(1).quota().capacity()), (0, 0));
    }
}

/// A service whose connections have handles, and that calls by nothing else: they are those who call.
#[test]
fn those_who_call_by_handles_clean_up_too() {
    let clock = ManualClock::new();
    let limiter = PerKeyRateLimiter::<u64>::builder(Quota::per_second(100).burst(1)).clock(clock.clone());
    let limiter = limiter.cleanup_interval(SECOND).build().unwrap();
    let mut most = 0;
    for key in 0..300_000 {
        assert!(limiter.handle(key).try_acquire().is_ok());
        clock.advance(SECOND / 10_000);
        most = most.max(limiter.len());
    }
    assert!(most <= 30_000, "{most} of 10,000 in an interval");
}

type OnDrop = Arc<Mutex<Option<Box<dyn FnMut() + Send>>>>;

/// A key that calls when it is dropped.
struct Key(u64, OnDrop);

impl Clone for Key {
    fn clone(&self) -> Self {
        Self(self.0, Arc::clone(&self.1))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        if let Ok(mut call) = self.1.try_lock() {
            call.iter_mut().for_each(|call| call());
        }
    }
}

/// The last handle goes when `clear` has passed the key's shard, and not come to the keys in use: it owes all the same.
#[test]
fn a_key_whose_last_handle_goes_during_clear_is_cleared() {
    let call: OnDrop = Arc::default();
    let builder = PerKeyRateLimiter::<Key>::builder(Quota::per_hour(1)).clock(ManualClock::new());
    let limiter = builder.build().unwrap();
    assert!((1..=1_000).all(|n| limiter.try_acquire(&Key(n, Arc::clone(&call))).is_ok()));
    let handle = limiter.handle(Key(0, Arc::clone(&call)));
    assert!(handle.try_acquire().is_ok());
    let (mut held, mut left) = (Some(handle), 1_000);
    *call.lock().unwrap() = Some(Box::new(move || {
        left -= 1;
        if left == 0 {
            drop(held.take());
        }
    }));
    limiter.clear();
    *call.lock().unwrap() = None;
    assert_eq!(limiter.available(&Key(0, call)), 1);
}

/// It may call the limiter: also to ask again for another key, which need not even be known.
#[test]
fn quota_for_may_call_requota_for_another_key() {
    within_seconds("requota in quota_for", || {
        let cell: Arc<OnceLock<Weak<Limiter>>> = Arc::default();
        let inner = Arc::clone(&cell);
        let builder = PerKeyRateLimiter::<u64>::builder(Quota::per_hour(1)).clock(ManualClock::new());
        let limiter = builder.quota_for(move |&key| {
            if let Some(limiter) = inner.get().and_then(Weak::upgrade) {
                limiter.requota(&(key + 1_000));
            }
            None
        });
        let limiter = Arc::new(limiter.build().unwrap());
        cell.set(Arc::downgrade(&limiter)).unwrap();
        assert!(limiter.try_acquire(&1).is_ok());
    });
}

/// It may take its time, while other keys are asked for again.
#[test]
fn a_slow_question_is_not_asked_for_ever_because_of_other_keys() {
    let asked = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&asked);
    let builder = PerKeyRateLimiter::<u64>::builder(Quota::per_hour(10)).clock(ManualClock::new());
    let limiter = builder.quota_for(move |&key| {
        if key == 1 {
            count.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(20));
        }
        None
    });
    let limiter = Arc::new(limiter.build().unwrap());
    assert!(limiter.try_acquire(&2).is_ok());
    let stop = AtomicBool::new(false);
    let (limiter, stop) = (&limiter, &stop);
    thread::scope(|scope| {
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                // One that is known, and one that is not.
                let _ = (limiter.requota(&2), limiter.requota(&99));
                thread::sleep(Duration::from_millis(1));
            }
        });
        let (done, is_done) = mpsc::channel();
        scope.spawn(move || done.send(limiter.try_acquire(&1)));
        let outcome = is_done.recv_timeout(2 * SECOND);
        stop.store(true, Ordering::Relaxed);
        assert_eq!(outcome, Ok(Ok(())), "asked {} times", asked.load(Ordering::Relaxed));
    });
}

/// A key that is cut to a smaller burst has that, not a full one of the next quota.
#[test]
fn a_key_that_is_full_after_requota_is_not_forgotten_at_once() {
    let plan = Arc::new(AtomicU64::new(10));
    let answer = Arc::clone(&plan);
    let clock = ManualClock::new();
    let builder = PerKeyRateLimiter::<u64>::builder(Quota::per_second(1)).clock(clock.clone()).stats();
    let limiter = builder.quota_for(move |_| Some(Quota::per_second(answer.load(Ordering::Relaxed)))).build().unwrap();
    clock.advance(SECOND);
    assert!(limiter.try_acquire_n(&1, 4).is_ok());
    plan.store(3, Ordering::Relaxed);
    assert!(limiter.requota(&1));
    assert_eq!(limiter.available(&1), 3);
    plan.store(10, Ordering::Relaxed);
    assert!(limiter.requota(&1), "forgotten, and its statistics with it");
    assert_eq!(limiter.available(&1), 3, "two changes have granted");
}

/// A clock that can be broken for good.
#[derive(Clone, Default)]
struct Broken(ManualClock, Arc<AtomicBool>);

impl Clock for Broken {
    fn now(&self) -> Nanos {
        assert!(!self.1.load(Ordering::Relaxed), "a broken clock");
        self.0.now()
    }
}

/// What holds a key is dropped by the panic, and asks the clock again. Kills: a panic of its own there, which aborts the
/// process.
#[test]
fn a_clock_that_panics_for_good_unwinds_through_a_handle() {
    let clock = Broken::default();
    let limiter = PerKeyRateLimiter::<u64>::builder(Quota::per_hour(10)).clock(clock.clone()).build().unwrap();
    let call = AssertUnwindSafe(|| {
        let handle = limiter.handle(1);
        clock.1.store(true, Ordering::Relaxed);
        handle.try_acquire()
    });
    assert!(catch_unwind(call).is_err());
    clock.1.store(false, Ordering::Relaxed);
    assert_eq!((limiter.available(&1), limiter.len()), (10, 0));
}

// --- Places

/// Somebody makes handles of a key that is known and owes, where it has the only place. Kills: a known key that is found
/// without a place taken for a stranger, who is turned away, or has a share of what strangers have.
#[test]
fn a_known_key_is_no_stranger_while_its_handles_come_and_go() {
    for when_full in [WhenFull::Deny, WhenFull::Share] {
        let builder = PerKeyRateLimiter::<u64>::builder(Quota::per_day(1)).clock(ManualClock::new()).max_keys(1);
        let limiter = builder.when_full(when_full).build().unwrap();
        assert!(limiter.try_acquire(&1).is_ok());
        let (stop, started) = (AtomicBool::new(false), Instant::now());
        let odd = thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let handle = limiter.handle(1);
                    assert_eq!(handle.try_acquire(), Err(Denied { retry_after: Duration::from_secs(86_400) }));
                }
            });
            let mut odd = None;
            while odd.is_none() && started.elapsed() < SECOND / 3 {
                odd = Some(limiter.try_acquire(&1)).filter(|answer| !matches!(answer, Err(Denied { .. })));
            }
            stop.store(true, Ordering::Relaxed);
            odd
        });
        assert_eq!((odd, limiter.len()), (None, 1), "{when_full:?}");
    }
}

// --- Quotas

/// Asked again from a small burst to a large one and back: what was cut off does not come again, nor is the key forgotten
/// in between. Kills: a key that is full under the quota that it has now, and is therefore taken for one that never came.
#[test]
fn quotas_that_change_to_and_fro_grant_nothing() {
    let small = Arc::new(AtomicBool::new(false));
    let answer = Arc::clone(&small);
    let clock = ManualClock::new();
    clock.advance(10 * SECOND);
    let builder = PerKeyRateLimiter::<u64>::builder(Quota::per_day(10)).clock(clock.clone());
    let builder = builder.quota_for(move |_| answer.load(Ordering::Relaxed).then(|| Quota::per_day(10).burst(1)));
    let limiter = builder.build().unwrap();
    let mut granted = 0;
    for _ in 0..5 {
        // All but one, so that it is full under the small one.
        while limiter.available(&1) > 1 && limiter.try_acquire(&1).is_ok() {
            granted += 1;
        }
        for to in [true, false] {
            small.store(to, Ordering::Relaxed);
            limiter.requota(&1);
        }
    }
    granted += (0..20).filter(|_| limiter.try_acquire(&1).is_ok()).count();
    assert_eq!(granted, 10, "of 10 a day at one instant");
    // The same by a handle's own.
    let mut granted = 0;
    for _ in 0..5 {
        let handle = limiter.handle(2);
        handle.set_quota(Quota::per_day(10).burst(1)).unwrap();
        granted += handle.try_acquire_up_to(10);
        drop(handle);
        granted += (0..20).filter(|_| limiter.try_acquire(&2).is_ok()).count() as u64;
    }
    assert!((1..=10).contains(&granted), "{granted}");
}

/// Neither by a clean-up nor for a newcomer. Kills: a key that has no burst counts as full.
#[test]
fn a_blocked_key_is_not_forgotten_with_what_it_owes() {
    for flood in [false, true] {
        let blocked = Arc::new(AtomicBool::new(false));
        let answer = Arc::clone(&blocked);
        let clock = ManualClock::new();
        let builder = PerKeyRateLimiter::<u64>::builder(Quota::per_day(10)).clock(clock.clone()).max_keys(2);
        let builder = builder.cleanup_interval(SECOND);
        let is_blocked = move |key| key == 1 && answer.load(Ordering::Relaxed);
        let limiter = builder.quota_for(move |&key| is_blocked(key).then(|| Quota::per_day(0))).build().unwrap();
        assert!(limiter.try_acquire_n(&1, 10).is_ok());
        blocked.store(true, Ordering::Relaxed);
        assert!(limiter.requota(&1));
        clock.advance(10 * SECOND);
        if flood {
            (2..1_000).for_each(|key| _ = limiter.try_acquire(&key));
        }
        assert_eq!((limiter.cleanup(), limiter.contains_key(&1)), (0, true));
        blocked.store(false, Ordering::Relaxed);
        assert!(limiter.requota(&1));
        assert!(limiter.try_acquire(&1).is_err(), "twenty of ten a day within seconds");
    }
}

// --- A clock that steps

/// Moves on with each reading.
#[derive(Clone)]
struct Ticking(Arc<AtomicU64>);

impl Clock for Ticking {
    fn now(&self) -> Nanos {
        Nanos::from_nanos(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// Behind somebody who was dropped newcomers are denied, by a clock that runs on from there. Kills: one who asks it again until
/// it has caught up.
#[test]
fn a_newcomer_is_answered_when_the_clock_has_stepped_back() {
    within_seconds("a newcomer behind somebody who was dropped", || {
        const HOUR: u64 = 3_600_000_000_000;
        let time = Arc::new(AtomicU64::new(HOUR));
        let builder = PerKeyRateLimiter::<u64>::builder(Quota::per_second(10)).clock(Ticking(Arc::clone(&time)));
        let limiter = builder.build().unwrap();
        // In all shards.
        assert!((0..2_000).all(|key| limiter.try_acquire(&key).is_ok()));
        time.store(3 * HOUR, Ordering::Relaxed);
        assert_eq!(limiter.cleanup(), 2_000);
        for key in 0..100 {
            time.store(2 * HOUR, Ordering::Relaxed);
            assert!(matches!(limiter.try_acquire(&key), Err(Denied { .. })), "{key}");
            #[cfg(feature = "async")]
            assert!(matches!(limiter.blocking_acquire_timeout(&key, 1, Duration::ZERO), Err(Denied { .. })), "{key}");
            let readings = time.load(Ordering::Relaxed) - 2 * HOUR;
            assert!(readings < 10, "{readings} readings");
        }
        assert!(limiter.is_empty());
        time.store(3 * HOUR, Ordering::Relaxed);
        assert!((0..100).all(|key| limiter.try_acquire_n(&key, 10).is_ok()));
    });
}

/// A piece is swept by it, of one shard: newcomers elsewhere are none of those who were dropped there. Kills: one mark for
/// all shards.
#[test]
fn one_reading_far_ahead_turns_only_those_of_a_shard_away() {
    let clock = ManualClock::new();
    clock.advance(1_000 * SECOND);
    let limiter = PerKeyRateLimiter::<u64>::builder(Quota::per_second(10)).clock(clock.clone()).build().unwrap();
    assert!((0..200).all(|key| limiter.try_acquire(&key).is_ok()));
    clock.advance(Duration::from_secs(365 * 86_400));
    let _ = limiter.try_acquire(&0);
    clock.set(Nanos::from_nanos(1_001_000_000_000));
    let denied = (1_000..7_400).filter(|key| limiter.try_acquire(key).is_err()).count();
    let known = (1..200).filter(|key| limiter.try_acquire(key).is_err()).count();
    // Of 64 shards, or more: a hundred, and three.
    assert!(denied < 250 && known < 25, "{denied} newcomers, {known} of before");
}

// --- A waker that panics

/// It is woken by the reset. Kills: keys that `clear` has counted as in use, and forgets to count back.
#[cfg(feature = "async")]
#[test]
fn a_waker_that_panics_in_clear_leaves_no_key_in_use() {
    let clock = ManualClock::new();
    let limiter = PerKeyRateLimiter::<u64>::builder(Quota::per_second(1)).clock(clock.clone()).build().unwrap();
    assert!((1..=3).all(|key| limiter.try_acquire(&key).is_ok()));
    let held = [limiter.handle(2), limiter.handle(3)];
    let mut waiting = limiter.acquire(&1);
    assert!(poll_with(&mut waiting, &runs(|| panic!("a waker that panics"))).is_pending());
    let _ = catch_unwind(AssertUnwindSafe(|| limiter.clear()));
    assert!(held.iter().all(|handle| handle.available() == 1), "the others are reset all the same");
    let _ = catch_unwind(AssertUnwindSafe(|| drop(waiting)));
    drop(held);
    let _ = catch_unwind(AssertUnwindSafe(|| clock.advance(1_000 * SECOND)));
    limiter.cleanup();
    assert!(limiter.is_empty(), "in use for ever, though nobody has a handle or waits");
}
