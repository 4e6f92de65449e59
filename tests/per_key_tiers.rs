//! Quotas by key: when they are asked for, which one rules, and what changes when it is asked for again.
//!
//! "Kills" names a change of the library that the test was seen to fail on.

#![allow(missing_docs)]
#![cfg(feature = "per-key")]

mod support;

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak, mpsc};
use std::thread;
use std::time::Duration;

use sluicegate::RateLimitExceeded::{Denied, ExceedsCapacity, KeysExhausted};
use sluicegate::{ManualClock, PerKeyRateLimiter, Quota};
use support::clocks::Stopped;
use support::threads::Random;

const SECOND: Duration = Duration::from_secs(1);

type Limiter = PerKeyRateLimiter<u32, ManualClock>;

/// Keys below 10 have the limiter's own quota, others as many as their number in a second; 666 is blocked.
fn by_number(key: &u32) -> Option<Quota> {
    match *key {
        0..10 => None,
        666 => Some(Quota::per_second(0)),
        number => Some(Quota::per_second(number.into())),
    }
}

/// A limiter that asks `by_number`, and how often it was asked.
fn tiered() -> (Limiter, ManualClock, Arc<AtomicU64>) {
    let (clock, asked) = (ManualClock::new(), Arc::new(AtomicU64::new(0)));
    let counts = Arc::clone(&asked);
    let builder = PerKeyRateLimiter::builder(Quota::per_second(5)).clock(clock.clone()).cleanup_interval(SECOND);
    let limiter = builder.quota_for(move |key| {
        counts.fetch_add(1, Ordering::Relaxed);
        by_number(key)
    });
    (limiter.build().unwrap(), clock, asked)
}

/// A limiter whose keys all have the quota that stands in the cell.
fn planned(own: Quota) -> (Limiter, ManualClock, Arc<Mutex<Option<Quota>>>) {
    let (clock, plan) = (ManualClock::new(), Arc::new(Mutex::new(None)));
    let answer = Arc::clone(&plan);
    let builder = PerKeyRateLimiter::builder(own).clock(clock.clone());
    (builder.quota_for(move |_| *answer.lock().unwrap()).build().unwrap(), clock, plan)
}

/// Runs what must not hang on a thread of its own, and fails if it does.
fn within_seconds(what: &str, call: impl FnOnce() + Send + 'static) {
    let (done, is_done) = mpsc::channel();
    let running = thread::spawn(move || {
        call();
        let _ = done.send(());
    });
    match is_done.recv_timeout(Duration::from_secs(20)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what}: hangs"),
        _ => running.join().unwrap(),
    }
}

// --- Asked

/// Kills: the limiter's own quota for all.
#[test]
fn a_key_is_asked_for_when_it_is_first_charged() {
    let (limiter, clock, asked) = tiered();
    let asks = |call: &dyn Fn(), times| {
        asked.store(0, Ordering::Relaxed);
        call();
        assert_eq!(asked.load(Ordering::Relaxed), times);
    };
    asks(&|| _ = (limiter.try_acquire_n(&20, 0), limiter.contains_key(&20), limiter.requota(&20)), 0);
    asks(&|| _ = (limiter.remove(&20), limiter.cleanup(), limiter.len(), limiter.quota()), 0);
    asks(&|| limiter.refund(&20, 7), 0);
    asks(&|| assert_eq!(limiter.try_acquire_n(&20, 15), Ok(())), 1);
    for _ in 0..3 {
        asks(&|| assert!(limiter.try_acquire_n(&20, 6).is_err() && limiter.try_acquire_n(&20, 21).is_err()), 0);
        asks(&|| _ = (limiter.available(&20), limiter.time_to_available(&20, 6), limiter.refund(&20, 0)), 0);
        asks(&|| assert_eq!(limiter.handle(20).try_acquire(), Ok(())), 0);
        asks(&|| drop(limiter.handle(20).try_reserve_owned(1)), 0);
        asks(&|| assert!(limiter.requota(&20)), 1);
    }
    asks(&|| drop(limiter.handle(30)), 1);
    // Forgotten, it is a newcomer.
    clock.advance(3 * SECOND);
    assert_eq!(limiter.cleanup(), 1);
    asks(&|| assert_eq!(limiter.try_acquire_n(&20, 20), Ok(())), 1);
    assert!(limiter.remove(&20));
    asks(&|| assert_eq!(limiter.try_acquire_n(&20, 20), Ok(())), 1);
}

#[test]
fn every_key_has_its_own_quota_and_none_is_the_limiter_s() {
    let (limiter, clock, _) = tiered();
    for key in [0, 9, 10, 11, 50, 1_000] {
        let capacity = if key < 10 { 5 } else { u64::from(key) };
        assert_eq!(
            (limiter.available(&key), limiter.time_to_available(&key, capacity)),
            (capacity, Ok(Duration::ZERO))
        );
        let never = ExceedsCapacity { requested: capacity + 1, capacity };
        assert_eq!(limiter.time_to_available(&key, capacity + 1), Err(never));
        assert_eq!(limiter.try_acquire_n(&key, capacity + 1), Err(never));
        assert!(!limiter.contains_key(&key));
        assert_eq!(limiter.try_acquire_n(&key, capacity), Ok(()));
        assert_eq!(limiter.try_acquire_n(&key, capacity + 1), Err(never));
        let quota = by_number(&key).unwrap_or(limiter.quota());
        assert_eq!(limiter.handle(key).quota(), quota);
        clock.advance(Duration::from_nanos(2_000_000_000_u64.div_ceil(capacity)));
        assert_eq!(limiter.available(&key), 2.min(capacity));
    }
    assert_eq!(limiter.quota(), Quota::per_second(5));
}

/// Kills: a quota that cannot be kept means the limiter's own.
#[test]
fn a_quota_that_cannot_be_kept_blocks_the_key() {
    let unusable = [
        Quota::per_second(0),
        Quota::per_second(5).burst(0),
        Quota::per(5, Duration::ZERO),
        Quota::per_second(u64::MAX),
        Quota::per_second(1).burst(u64::MAX),
        Quota::per(1, Duration::MAX),
        Quota::from_rate(f64::NAN),
    ];
    for quota in unusable {
        let (limiter, clock, plan) = planned(Quota::per_second(5));
        *plan.lock().unwrap() = Some(quota);
        for _ in 0..2 {
            for n in [1, 5, 6, u64::MAX] {
                let never = ExceedsCapacity { requested: n, capacity: 0 };
                assert_eq!(limiter.try_acquire_n(&1, n), Err(never), "{quota:?}");
                assert_eq!(limiter.time_to_available(&1, n), Err(never));
            }
            assert_eq!((limiter.try_acquire_n(&1, 0), limiter.available(&1), limiter.len()), (Ok(()), 0, 0));
            clock.advance(100 * SECOND);
        }
        let handle = limiter.handle(1);
        assert_eq!(handle.quota(), quota.burst(0));
        assert_eq!((handle.quota().capacity(), handle.available(), handle.charge(9)), (0, 0, 0));
        let never = Err(ExceedsCapacity { requested: 1, capacity: 0 });
        assert_eq!((handle.try_acquire(), handle.try_acquire_up_to(9), limiter.try_acquire(&1)), (never, 0, never));
        handle.refund(u64::MAX);
        assert_eq!(handle.available(), 0);
        // It is unblocked by a better answer, with nothing at first.
        *plan.lock().unwrap() = None;
        assert!(limiter.requota(&1));
        assert_eq!((handle.quota(), handle.available()), (Quota::per_second(5), 0));
        clock.advance(SECOND / 5);
        assert_eq!((limiter.try_acquire(&1), limiter.try_acquire(&1).is_err()), (Ok(()), true));
        // And blocked again, whatever it has.
        clock.advance(SECOND);
        *plan.lock().unwrap() = Some(quota);
        assert!(limiter.requota(&1));
        assert_eq!((limiter.try_acquire(&1), limiter.available(&1)), (never, 0));
        drop(handle);
        assert_eq!((limiter.try_acquire(&1), limiter.available(&1)), (never, 0));
    }
}

/// A newcomer whose answer is a block takes no place, and nobody's.
#[test]
fn a_blocked_newcomer_takes_no_place() {
    let builder = PerKeyRateLimiter::builder(Quota::per_second(5)).clock(ManualClock::new()).max_keys(1);
    let limiter = builder.quota_for(by_number).build().unwrap();
    (0..100).for_each(|_| assert!(limiter.try_acquire(&666).is_err()));
    assert_eq!((limiter.len(), limiter.try_acquire(&1)), (0, Ok(())));
    assert_eq!(limiter.try_acquire(&2), Err(KeysExhausted { max_keys: 1 }));
}

// --- Asked again

/// Kills: a change that starts the key afresh.
#[test]
fn requota_keeps_what_is_owed_and_what_is_there() {
    let (limiter, clock, plan) = planned(Quota::per_second(10));
    let set = |quota: Option<Quota>| *plan.lock().unwrap() = quota;
    assert!(!limiter.requota(&1) && limiter.is_empty());
    for held in [false, true] {
        limiter.clear();
        set(None);
        let handle = held.then(|| limiter.handle(1));
        assert_eq!(limiter.try_acquire_n(&1, 4), Ok(()));
        for (quota, available) in [
            (Some(Quota::per_second(1_000)), 6),
            (Some(Quota::per_hour(3_600)), 6),
            (None, 6),
            // Cut to the new burst; then less is there.
            (Some(Quota::per_second(4)), 4),
            (Some(Quota::per_second(4)), 3),
            (None, 3),
        ] {
            if available == 3 && quota.is_some() {
                assert_eq!(limiter.try_acquire(&1), Ok(()));
            }
            set(quota);
            assert!(limiter.requota(&1));
            assert_eq!(limiter.available(&1), available, "{quota:?}");
            let quota = quota.unwrap_or(limiter.quota());
            assert_eq!(limiter.handle(1).quota(), quota);
            let never = ExceedsCapacity { requested: quota.capacity() + 1, capacity: quota.capacity() };
            assert_eq!(limiter.try_acquire_n(&1, quota.capacity() + 1), Err(never));
        }
        // Time that has passed counts at the old rate, what comes at the new one.
        clock.advance(SECOND / 10);
        set(Some(Quota::per_second(100)));
        assert!(limiter.requota(&1));
        assert_eq!(limiter.available(&1), 4);
        clock.advance(SECOND / 10);
        assert_eq!(limiter.available(&1), 14);
        // Debt too: eight are owed.
        limiter.handle(1).charge(22);
        set(Some(Quota::per_second(8)));
        assert!(limiter.requota(&1));
        assert_eq!(limiter.try_acquire(&1), Err(Denied { retry_after: 9 * SECOND / 8 }));
        drop(handle);
        assert_eq!(limiter.time_to_available(&1, 1), Ok(9 * SECOND / 8));
        clock.advance(9 * SECOND / 8);
        assert_eq!((limiter.try_acquire(&1), limiter.try_acquire(&1).is_err()), (Ok(()), true));
    }
}

#[test]
fn without_quota_for_requota_says_who_is_known_and_changes_nothing() {
    let limiter = PerKeyRateLimiter::<u32>::builder(Quota::per_hour(3)).clock(ManualClock::new()).build().unwrap();
    assert!(!limiter.requota(&1));
    assert_eq!(limiter.try_acquire(&1), Ok(()));
    assert!(limiter.requota(&1) && !limiter.requota(&2));
    assert_eq!((limiter.available(&1), limiter.len()), (2, 1));
}

/// Kills: an answer that is put into force though it is out of date, for a newcomer or for a key that is known.
#[test]
fn an_answer_from_before_a_requota_is_not_put_into_force_after_it() {
    within_seconds("requota in quota_for", || {
        for known in [false, true] {
            let (plan, stop, limiter) =
                (Arc::new(AtomicU64::new(1)), Arc::new(AtomicBool::new(false)), Arc::new(OnceLock::new()));
            let (answer, stops, inner) = (Arc::clone(&plan), Arc::clone(&stop), Arc::clone(&limiter));
            let builder = PerKeyRateLimiter::<u32>::builder(Quota::per_hour(1)).clock(ManualClock::new());
            let built = builder.quota_for(move |_| {
                let quota = Quota::per_hour(answer.load(Ordering::SeqCst) * 10);
                if stops.swap(false, Ordering::SeqCst) {
                    // Between the answer and its use.
                    answer.store(2, Ordering::SeqCst);
                    let limiter = Weak::upgrade(inner.get().unwrap()).unwrap();
                    let limiter: Arc<PerKeyRateLimiter<u32, ManualClock>> = limiter;
                    assert_eq!(thread::spawn(move || limiter.requota(&1)).join().unwrap(), known);
                }
                Some(quota)
            });
            let built = Arc::new(built.build().unwrap());
            limiter.set(Arc::downgrade(&built)).unwrap();
            if known {
                assert_eq!(built.try_acquire(&1), Ok(()));
                stop.store(true, Ordering::SeqCst);
                assert!(built.requota(&1));
            } else {
                stop.store(true, Ordering::SeqCst);
                assert_eq!(built.try_acquire(&1), Ok(()));
            }
            assert_eq!(built.handle(1).quota(), Quota::per_hour(20), "known: {known}");
        }
    });
}

/// Many who ask again, each after a newer answer is there, while the key comes and goes: the newest rules in the end.
/// Kills: an answer that is put into force though it is out of date.
#[test]
fn the_newest_answer_rules_in_the_end() {
    let plan = Arc::new(AtomicU64::new(1));
    let answer = Arc::clone(&plan);
    let limiter = PerKeyRateLimiter::<u32>::builder(Quota::per_second(1)).quota_for(move |key| {
        let plan = answer.load(Ordering::SeqCst);
        if (plan + u64::from(*key)) % 3 == 0 {
            thread::yield_now();
        }
        Some(Quota::per_second(plan))
    });
    let limiter = limiter.build().unwrap();
    for round in 0..300 {
        thread::scope(|scope| {
            for thread in 0..3 {
                let (limiter, plan) = (&limiter, &plan);
                scope.spawn(move || {
                    let mut random = Random::new(round * 3 + thread + 1);
                    for _ in 0..10 {
                        let key = (random.next() % 2) as u32;
                        match random.next() % 6 {
                            0 => _ = limiter.remove(&key),
                            1 => drop(limiter.handle(key)),
                            2 => _ = limiter.handle(key).set_quota(Quota::per_second(3)),
                            _ => _ = limiter.try_acquire(&key),
                        }
                        plan.fetch_add(1, Ordering::SeqCst);
                        limiter.requota(&0);
                        limiter.requota(&1);
                    }
                });
            }
        });
        let quota = Quota::per_second(plan.load(Ordering::SeqCst));
        for key in 0..2 {
            assert_eq!(limiter.handle(key).quota(), quota, "round {round}");
        }
    }
}

// --- Asked without a lock

thread_local! {
    static ASKS: Cell<bool> = const { Cell::new(false) };
}

/// All verbs of the limiter that it is asked for, of the same key and of others, whose shards are all of them.
/// Kills: a question under the lock of the bucket's rule.
#[test]
fn quota_for_may_call_the_limiter() {
    within_seconds("a quota_for that calls", || {
        let cell: Arc<OnceLock<Weak<Limiter>>> = Arc::default();
        let inner = Arc::clone(&cell);
        let renews = Arc::new(AtomicU64::new(3));
        let left = Arc::clone(&renews);
        let builder = PerKeyRateLimiter::builder(Quota::per_hour(50)).clock(ManualClock::new()).max_keys(500);
        let limiter = builder.stats().quota_for(move |&key: &u32| {
            // A question in a question is answered at once.
            if ASKS.replace(true) {
                return Some(Quota::per_hour(100));
            }
            let limiter = inner.get().and_then(Weak::upgrade).unwrap();
            let held = limiter.handle(key ^ 1);
            for other in [key, key ^ 1, key + 1_000, key + 2_000, key % 7] {
                let _ = (limiter.try_acquire(&other), limiter.available(&other), limiter.time_to_available(&other, 3));
                limiter.refund(&other, 1);
                let handle = limiter.handle(other);
                let _ = (handle.clone().try_acquire(), handle.quota(), handle.set_quota(Quota::per_hour(9)));
                drop(handle.try_reserve_owned(1));
                let _ = (limiter.stats(&other), limiter.total_stats(), limiter.contains_key(&other), limiter.cleanup());
                #[cfg(feature = "async")]
                let _ = limiter.blocking_acquire_timeout(&other, 1, Duration::ZERO);
            }
            let _ = (limiter.remove(&(key + 2_000)), limiter.all_stats().len(), format!("{limiter:?}"));
            // What makes this very question out of date is asked a few times only.
            if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
                let _ = (limiter.requota(&key), limiter.requota(&(key ^ 1)), limiter.remove(&(key ^ 1)));
                limiter.clear();
            }
            drop(held);
            ASKS.set(false);
            Some(Quota::per_hour(100))
        });
        let limiter = Arc::new(limiter.build().unwrap());
        cell.set(Arc::downgrade(&limiter)).unwrap();
        for key in (0..200).step_by(2) {
            let _ = (limiter.try_acquire(&key), limiter.available(&(key + 300)), limiter.handle(key + 400));
            renews.store(1, Ordering::SeqCst);
            let handle = limiter.handle(key);
            assert_eq!(handle.quota(), Quota::per_hour(100), "{key}");
            assert!(limiter.requota(&key) && limiter.remove(&key));
            #[cfg(feature = "async")]
            let _ = limiter.blocking_acquire_timeout(&(key + 600), 101, Duration::ZERO);
        }
    });
}

#[test]
fn a_quota_for_that_panics_harms_nobody_but_its_own_call() {
    let panics = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&panics);
    let clock = Arc::new(Stopped::default());
    let builder = PerKeyRateLimiter::<u32>::builder(Quota::per_hour(3)).clock(Arc::clone(&clock)).max_keys(1);
    let limiter = builder.quota_for(move |_| {
        assert!(!asked.load(Ordering::Relaxed), "a quota_for that panics");
        Some(Quota::per_hour(5))
    });
    let limiter = Arc::new(limiter.build().unwrap());
    let fails = |call: fn(&PerKeyRateLimiter<u32, Arc<Stopped<'static>>>)| {
        panics.store(true, Ordering::Relaxed);
        let limiter = Arc::clone(&limiter);
        assert!(thread::spawn(move || call(&limiter)).join().is_err());
        panics.store(false, Ordering::Relaxed);
    };
    fails(|limiter| _ = limiter.try_acquire(&1));
    fails(|limiter| drop(limiter.handle(1)));
    fails(|limiter| _ = limiter.available(&1));
    assert_eq!((limiter.len(), Arc::strong_count(&clock)), (0, 2));
    assert_eq!(limiter.try_acquire_n(&1, 2), Ok(()));
    fails(|limiter| _ = limiter.requota(&1));
    assert_eq!((limiter.available(&1), limiter.len(), Arc::strong_count(&clock)), (3, 1, 2));
    let handle = limiter.handle(1);
    fails(|limiter| _ = limiter.requota(&1));
    fails(|limiter| _ = limiter.remove(&1));
    assert!(limiter.requota(&1) && handle.quota() == Quota::per_hour(5));
    drop(handle);
    assert!(limiter.remove(&1) && limiter.is_empty());
    assert_eq!(limiter.try_acquire_n(&2, 5), Ok(()));
}
