//! Handles: a key's own bucket, beside the map that leads to the same one.
//!
//! "Kills" names a change of the library that the test was seen to fail on.

#![allow(missing_docs)]
#![cfg(feature = "per-key")]

mod support;

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use sluicegate::RateLimitExceeded::{Denied, ExceedsCapacity, KeysExhausted};
use sluicegate::{
    Clock, KeyHandle, ManualClock, Nanos, OwnedKeyReservation, PerKeyRateLimiter, PerKeyRateLimiterBuilder, Quota,
    WhenFull,
};

/// Shared, so that who holds a clone can be counted: the limiter, the test, and each bucket of a key in use.
type Time = Arc<ManualClock>;
type Limiter = PerKeyRateLimiter<u32, Time>;

const SECOND: Duration = Duration::from_secs(1);

fn builder(quota: Quota) -> (PerKeyRateLimiterBuilder<u32, Time>, Time) {
    let clock = Time::default();
    (PerKeyRateLimiter::builder(quota).clock(Arc::clone(&clock)).cleanup_interval(SECOND), clock)
}

fn new(quota: Quota) -> (Limiter, Time) {
    let (builder, clock) = builder(quota);
    (builder.build().unwrap(), clock)
}

/// Keys that have a bucket now.
fn buckets(clock: &Time) -> usize {
    Arc::strong_count(clock) - 2
}

// --- One state

/// Kills: a word that is not marked; a bucket that starts full instead of where the word stood.
#[test]
fn what_one_takes_is_missing_by_the_other() {
    let (limiter, clock) = new(Quota::per_second(10));
    assert_eq!(limiter.try_acquire_n(&1, 4), Ok(()));
    let handle = limiter.handle(1);
    assert_eq!((handle.available(), limiter.available(&1), limiter.available(&2)), (6, 6, 10));
    assert_eq!(handle.try_acquire_n(3), Ok(()));
    assert_eq!((handle.available(), limiter.available(&1)), (3, 3));
    assert_eq!(limiter.try_acquire_n(&1, 3), Ok(()));
    assert_eq!((handle.try_acquire(), limiter.try_acquire(&1)), {
        let denied = Err(Denied { retry_after: SECOND / 10 });
        (denied, denied)
    });
    limiter.refund(&1, 2);
    assert_eq!(handle.try_acquire_up_to(5), 2);
    handle.refund(1);
    assert_eq!(limiter.try_acquire(&1), Ok(()));
    assert_eq!(handle.charge(7), 7);
    assert_eq!(limiter.time_to_available(&1, 1), Ok(8 * SECOND / 10));
    assert_eq!(limiter.time_to_available(&1, 1), handle.time_to_available(1));
    assert_eq!(limiter.time_to_available(&1, 11), handle.time_to_available(11));
    clock.advance(SECOND);
    assert_eq!((handle.available(), limiter.key(&1).available()), (3, 3));
    let never = Err(ExceedsCapacity { requested: 11, capacity: 10 });
    assert_eq!((handle.try_acquire_n(11), limiter.try_acquire_n(&1, 11)), (never, never));
    assert_eq!((handle.try_acquire_n(0), limiter.try_acquire_n(&1, 0)), (Ok(()), Ok(())));
    assert_eq!((limiter.len(), buckets(&clock)), (1, 1));
}

#[test]
fn handles_and_clones_of_a_key_are_one_bucket_and_of_others_are_apart() {
    let (limiter, clock) = new(Quota::per_hour(3));
    let handle = limiter.handle(1);
    let (again, other) = (handle.clone(), limiter.handle(2));
    let third = limiter.handle(1);
    assert!([&handle, &again, &third].iter().all(|handle| handle.try_acquire().is_ok()));
    assert!([&handle, &again, &third].iter().all(|handle| handle.try_acquire().is_err()));
    assert_eq!((other.available(), buckets(&clock), limiter.len()), (3, 2, 2));
    drop((handle, again));
    assert_eq!((third.available(), buckets(&clock)), (0, 2));
    drop((third, other));
    assert_eq!((limiter.available(&1), limiter.len(), buckets(&clock)), (0, 1, 0));
}

#[test]
fn a_handle_goes_to_another_thread_and_outlives_its_limiter() {
    fn is<T: Send + Sync + Debug + 'static>(_: &T) {}
    let (limiter, clock) = new(Quota::per_hour(5));
    let handle = limiter.handle(1);
    is(&handle);
    let worker = handle.clone();
    assert_eq!(thread::spawn(move || worker.try_acquire_n(3)).join().unwrap(), Ok(()));
    assert_eq!(limiter.available(&1), 2);
    drop(limiter);
    let last = thread::spawn(move || {
        assert_eq!(handle.try_acquire_n(2), Ok(()));
        let reserved = handle.clone().try_reserve_owned(1);
        assert!(reserved.is_err() && handle.try_acquire().is_err());
        format!("{handle:?}")
    });
    let told = last.join().unwrap();
    assert!(told.contains("KeyHandle") && told.contains("available: 0"), "{told}");
    assert_eq!(Arc::strong_count(&clock), 1, "nothing is left");
}

// --- Removed

/// Kills: a key in use that is taken out of the map; one that is left as it is.
#[test]
fn a_removed_key_starts_afresh_in_place() {
    for clear in [false, true] {
        let (limiter, clock) = new(Quota::per_hour(3));
        let handle = limiter.handle(1);
        for _ in 0..3 {
            assert_eq!((handle.charge(3), limiter.available(&1)), (3, 0));
            if clear {
                limiter.clear()
            } else {
                assert!(limiter.remove(&1))
            }
            assert_eq!((handle.available(), limiter.available(&1)), (3, 3));
            assert_eq!((handle.try_acquire(), limiter.try_acquire(&1), handle.try_acquire()), (Ok(()), Ok(()), Ok(())));
            assert!(limiter.try_acquire(&1).is_err() && handle.try_acquire().is_err());
            assert_eq!((limiter.len(), buckets(&clock)), (1, 1));
            clock.advance(Duration::from_nanos(7));
        }
        drop(handle);
        assert_eq!((limiter.available(&1), buckets(&clock)), (0, 0));
        assert!(limiter.remove(&1) && !limiter.remove(&1));
        assert_eq!(limiter.try_acquire_n(&1, 3), Ok(()));
    }
}

#[test]
fn a_key_that_is_removed_and_let_in_again_has_nothing_of_before() {
    let (limiter, _) = new(Quota::per_hour(3));
    let old = limiter.handle(1);
    assert_eq!(old.charge(6), 6);
    drop(old);
    assert!(limiter.remove(&1) && limiter.is_empty());
    let new = limiter.handle(1);
    assert_eq!((new.available(), limiter.len()), (3, 1));
    assert!(new.try_acquire_n(3).is_ok() && limiter.try_acquire(&1).is_err());
}

// --- The last one goes

/// Kills: debt that ends with the last handle.
#[test]
fn what_is_owed_when_the_last_handle_goes_is_owed_by_the_map() {
    let (limiter, clock) = new(Quota::per_second(1).burst(10));
    let handle = limiter.handle(1);
    assert_eq!(handle.charge(25), 20); // a burst, and one of debt
    drop(handle);
    for second in 0..10 {
        assert_eq!(limiter.cleanup(), 0);
        let wait = SECOND * (11 - second);
        assert_eq!(limiter.try_acquire(&1), Err(Denied { retry_after: wait }), "{second}");
        assert_eq!(limiter.handle(1).time_to_available(1), Ok(wait));
        clock.advance(SECOND);
    }
    clock.advance(SECOND - Duration::from_nanos(1));
    assert!(limiter.try_acquire(&1).is_err());
    clock.advance(Duration::from_nanos(1));
    assert_eq!(limiter.try_acquire(&1), Ok(()));
    // Full after ten seconds, and for another one.
    clock.advance(11 * SECOND - Duration::from_nanos(1));
    assert_eq!((limiter.cleanup(), limiter.len()), (0, 1));
    clock.advance(Duration::from_nanos(1));
    assert_eq!((limiter.cleanup(), limiter.len()), (1, 0));
}

/// While it is held the key stays, however long it is full; when it is not, it goes as any other.
/// Kills: a clean-up that drops a key in use.
#[test]
fn a_key_is_not_forgotten_while_it_has_a_handle() {
    let (limiter, clock) = new(Quota::per_second(10));
    let handle = limiter.handle(1);
    assert_eq!(handle.try_acquire(), Ok(()));
    for _ in 0..5 {
        clock.advance(100 * SECOND);
        let others = limiter.len() - 1;
        assert_eq!((limiter.cleanup(), limiter.contains_key(&1)), (others, true));
        (0..1_000).for_each(|_| _ = limiter.try_acquire(&2));
    }
    assert!(handle.try_acquire_n(10).is_ok() && limiter.try_acquire(&1).is_err());
    clock.advance(100 * SECOND);
    drop(handle);
    assert!(limiter.contains_key(&1) && limiter.cleanup() > 0 && !limiter.contains_key(&1));
}

/// Kills: a key that was never charged stays.
#[test]
fn a_handle_that_was_not_charged_leaves_nobody() {
    let (limiter, clock) = new(Quota::per_second(10));
    clock.advance(SECOND);
    drop(limiter.handle(1));
    assert!(limiter.is_empty() && !limiter.contains_key(&1) && !limiter.remove(&1));
    let handle = limiter.handle(1);
    assert!(limiter.contains_key(&1) && handle.try_acquire_n(11).is_err() && handle.try_acquire_n(0).is_ok());
    assert!(limiter.try_acquire_n(&1, 11).is_err());
    clock.advance(SECOND);
    assert_eq!((handle.available(), limiter.available(&1)), (10, 10));
    drop(handle);
    assert!(limiter.is_empty());
    // One that was charged by the map stays.
    let handle = limiter.handle(1);
    assert_eq!(limiter.try_acquire(&1), Ok(()));
    drop(handle);
    assert_eq!((limiter.len(), limiter.available(&1), buckets(&clock)), (1, 9, 0));
}

// --- A quota of the handle's

/// Kills: a handle's quota that ends with any handle instead of the last one.
#[test]
fn a_quota_that_a_handle_sets_ends_with_the_last_handle() {
    let (limiter, clock) = new(Quota::per_second(10));
    let (handle, other) = (limiter.handle(1), limiter.handle(1));
    let set = Quota::per_second(100).burst(50);
    handle.set_quota(set).unwrap();
    assert_eq!(
        (other.quota(), limiter.quota(), limiter.handle(2).quota()),
        (set, Quota::per_second(10), limiter.quota())
    );
    assert_eq!((other.available(), limiter.available(&1)), (10, 10), "it fills at the new rate");
    clock.advance(SECOND / 10);
    assert_eq!(limiter.available(&1), 20);
    drop(handle);
    assert_eq!((other.quota(), limiter.available(&1)), (set, 20));
    assert_eq!(limiter.try_acquire_n(&1, 15), Ok(()));
    let clone = other.clone();
    drop(other);
    assert_eq!((clone.quota(), clone.available()), (set, 5));
    drop(clone);
    assert_eq!((limiter.available(&1), buckets(&clock)), (5, 0));
    clock.advance(SECOND / 10);
    assert_eq!(limiter.available(&1), 6);
    assert_eq!(limiter.handle(1).quota(), Quota::per_second(10));
    let never = Err(ExceedsCapacity { requested: 11, capacity: 10 });
    assert_eq!(limiter.try_acquire_n(&1, 11), never);
}

#[test]
fn a_quota_that_a_handle_sets_ends_with_requota_and_remove() {
    let (limiter, _) = new(Quota::per_second(10));
    let handle = limiter.handle(1);
    for remove in [false, true, false] {
        handle.set_quota(Quota::per_second(3)).unwrap();
        assert_eq!((handle.quota(), limiter.available(&1)), (Quota::per_second(3), 3));
        assert!(if remove { limiter.remove(&1) } else { limiter.requota(&1) });
        // Requota gives nothing, removal does.
        let available = if remove { 10 } else { 3 };
        assert_eq!((handle.quota(), handle.available()), (Quota::per_second(10), available));
    }
    assert!(handle.set_quota(Quota::per_second(0)).is_err());
    assert_eq!(handle.quota(), Quota::per_second(10));
}

/// While a reservation, but no handle, keeps the bucket, the rule holds; and for the next handle.
/// Kills: a handle's quota that stays.
#[test]
fn a_reservation_does_not_keep_a_handle_s_quota() {
    let (limiter, clock) = new(Quota::per_second(10));
    let handle = limiter.handle(1);
    handle.set_quota(Quota::per_second(4)).unwrap();
    let reservation = handle.try_reserve_owned(1).unwrap();
    assert_eq!(limiter.try_acquire_n(&1, 5), Err(ExceedsCapacity { requested: 5, capacity: 4 }));
    drop(handle);
    assert_eq!(buckets(&clock), 1);
    assert_eq!(limiter.try_acquire_n(&1, 11), Err(ExceedsCapacity { requested: 11, capacity: 10 }));
    assert_eq!((limiter.handle(1).quota(), limiter.available(&1)), (Quota::per_second(10), 3));
    reservation.cancel();
    assert_eq!((limiter.available(&1), buckets(&clock)), (4, 0));
}

// --- A full house

/// Kills: a key in use that is dropped for a newcomer; debt that ends with the last handle.
#[test]
fn a_handle_with_a_place_stays_in_a_flood() {
    const MAX_KEYS: u32 = 100;
    for when_full in [WhenFull::Deny, WhenFull::Share] {
        let (builder, clock) = builder(Quota::per_second(1).burst(2));
        let limiter = builder.max_keys(MAX_KEYS as usize).when_full(when_full).build().unwrap();
        assert!((10..MAX_KEYS).all(|key| limiter.try_acquire_n(&key, 2).is_ok()));
        let handles: Vec<_> = (1_000..1_010).map(|key| limiter.handle(key)).collect();
        assert_eq!(limiter.len(), MAX_KEYS as usize);
        assert!(handles.iter().all(|handle| handle.try_acquire_n(2).is_ok()));
        assert!((1_000..1_010).all(|key| limiter.available(&key) == 0), "of their own, not a share");
        for wave in 1..50 {
            clock.advance(SECOND / 2);
            (0..2_000).for_each(|key| _ = limiter.try_acquire(&(10_000 * wave + key)));
            limiter.cleanup();
            assert!((1_000..1_010).all(|key| limiter.contains_key(&key)));
            assert!(limiter.len() <= MAX_KEYS as usize);
        }
        // They are full, and were all along: kept for those who hold them.
        assert!(handles.iter().all(|handle| handle.available() == 2));
        assert!(handles.iter().all(|handle| handle.try_acquire_n(2).is_ok()));
        drop(handles);
        assert!((1_000..1_010).all(|key| limiter.available(&key) == 0), "debtors are not forgotten");
        clock.advance(10 * SECOND);
        (0..2_000).for_each(|key| _ = limiter.try_acquire(&(10_000_000 + key)));
        assert!(limiter.len() <= MAX_KEYS as usize, "{}", limiter.len());
    }
}

/// Who is not let in holds nothing, for as long as it lives, and so do its clones; a handle that is got when there is room
/// is the key's own. Kills: a handle that is let in beyond the bound; one without a place that has a burst of its own.
#[test]
fn a_handle_without_a_place_holds_nothing() {
    let (builder, clock) = builder(Quota::per_second(5));
    let limiter = builder.max_keys(2).build().unwrap();
    assert!((0..2).all(|key| limiter.try_acquire_n(&key, 5).is_ok()));
    let (handle, other) = (limiter.handle(7), limiter.handle(7));
    let clone = handle.clone();
    let holds_nothing = || {
        for handle in [&handle, &other, &clone] {
            for n in [1, 5, 6, u64::MAX] {
                let never = ExceedsCapacity { requested: n, capacity: 0 };
                assert_eq!((handle.try_acquire_n(n), handle.time_to_available(n)), (Err(never), Err(never)));
                assert_eq!(handle.try_reserve_owned(n).unwrap_err(), never);
                #[cfg(feature = "async")]
                assert_eq!(handle.blocking_acquire_n(n), Err(never));
            }
            assert_eq!((handle.try_acquire_n(0), handle.time_to_available(0)), (Ok(()), Ok(Duration::ZERO)));
            assert_eq!((handle.try_acquire_up_to(9), handle.charge(9)), (0, 0));
            handle.refund(u64::MAX);
            assert_eq!((handle.available(), handle.quota().capacity()), (0, 0));
        }
    };
    holds_nothing();
    assert_eq!((limiter.len(), limiter.contains_key(&7)), (2, false));
    assert_eq!(limiter.try_acquire(&7), Err(KeysExhausted { max_keys: 2 }));
    // Those who are known have their own.
    assert_eq!((limiter.handle(1).quota(), limiter.handle(1).available()), (limiter.quota(), 0));
    clock.advance(SECOND);
    let own = limiter.handle(7);
    // If the two shared a shard, both went.
    assert_eq!((own.quota(), own.available()), (limiter.quota(), 5));
    assert!(limiter.contains_key(&7) && limiter.len() <= 2);
    assert!(own.try_acquire_n(2).is_ok() && limiter.try_acquire_n(&7, 2).is_ok());
    holds_nothing();
    limiter.clear();
    holds_nothing();
    assert_eq!(own.try_acquire_n(5), Ok(()));
    drop((handle, other, clone));
    assert_eq!((limiter.available(&7), own.available()), (0, 0));
    assert_eq!((limiter.handle(7).try_acquire().is_err(), limiter.len()), (true, 1));
    drop((own, limiter));
    assert_eq!(Arc::strong_count(&clock), 1, "nothing is left");
}

/// Under `Share` it has a share of what newcomers have. Kills: a handle that is let in beyond the bound; a bucket for each.
#[test]
fn a_handle_without_a_place_shares() {
    let (builder, clock) = builder(Quota::per_second(5));
    let limiter = builder.max_keys(2).when_full(WhenFull::Share).build().unwrap();
    assert!((0..2).all(|key| limiter.try_acquire_n(&key, 5).is_ok()));
    let (one, other) = (limiter.handle(7), limiter.handle(8));
    let clone = one.clone();
    assert_eq!((one.quota(), one.available(), limiter.len()), (limiter.quota(), 5, 2));
    assert_eq!((one.try_acquire(), other.try_acquire(), clone.try_acquire()), (Ok(()), Ok(()), Ok(())));
    assert_eq!((limiter.try_acquire(&9), other.try_acquire()), (Ok(()), Ok(())));
    let denied = Err(Denied { retry_after: SECOND / 5 });
    assert_eq!((one.try_acquire(), limiter.try_acquire(&7), limiter.handle(9).try_acquire()), (denied, denied, denied));
    assert!(!limiter.contains_key(&7) && !limiter.contains_key(&8));
    clock.advance(SECOND);
    // The two are full, and so is the share.
    let own = limiter.handle(7);
    assert_eq!((own.try_acquire_n(5), one.available(), limiter.available(&7)), (Ok(()), 5, 0));
    assert_eq!((one.try_acquire_n(3), other.available(), own.available()), (Ok(()), 2, 0));
    drop((one, clone));
    assert_eq!((other.available(), limiter.contains_key(&7)), (2, true));
    assert!(limiter.len() <= 2);
    drop((other, own, limiter));
    assert_eq!(Arc::strong_count(&clock), 1, "nothing is left");
}

/// It takes a free place, and one of somebody who is as good as new, before it is without.
#[test]
fn a_handle_takes_a_place_that_can_be_made() {
    let (builder, clock) = builder(Quota::per_second(1));
    let limiter = builder.max_keys(2).build().unwrap();
    assert!((0..2).all(|key| limiter.try_acquire(&key).is_ok()));
    clock.advance(SECOND);
    let handle = limiter.handle(2);
    // One of them is full and goes, and the other one with it if they share a shard.
    assert!(limiter.contains_key(&2) && (1..=2).contains(&limiter.len()));
    assert_eq!(limiter.try_acquire(&3), Ok(()));
    assert_eq!(limiter.len(), 2);
    assert_eq!(limiter.try_acquire(&4), Err(KeysExhausted { max_keys: 2 }));
    drop(handle);
    assert_eq!((limiter.len(), limiter.try_acquire(&4)), (1, Ok(())));
}

// --- Reservations

/// Kills: debt that ends with the last user; a clean-up that drops a key in use.
#[test]
fn a_reservation_is_settled_after_the_handle_is_gone() {
    type Settle = fn(OwnedKeyReservation<u32, Time>) -> u64;
    let settle: [(Settle, u64, u64); 5] = [
        (|reservation| reservation.commit(6), 6, 4),
        (|reservation| reservation.commit(2), 2, 8),
        (|reservation| reservation.commit(9), 9, 1),
        (|reservation| (reservation.cancel(), 0).1, 0, 10),
        (|reservation| (drop(reservation), 0).1, 0, 10),
    ];
    for (settle, charged, left) in settle {
        let (limiter, clock) = new(Quota::per_hour(10));
        let reservation = limiter.handle(1).try_reserve_owned(6).unwrap();
        assert_eq!((reservation.permits(), limiter.available(&1), buckets(&clock)), (6, 4, 1));
        assert_eq!(limiter.cleanup(), 0);
        let settled = thread::spawn(move || settle(reservation));
        assert_eq!(settled.join().unwrap(), charged);
        assert_eq!((limiter.available(&1), buckets(&clock)), (left, 0));
        assert_eq!(limiter.len(), usize::from(left < 10));
    }
}

#[test]
fn a_reservation_outlives_removal_and_the_limiter() {
    let (limiter, clock) = new(Quota::per_hour(10));
    let reservation = limiter.handle(1).try_reserve_owned(6).unwrap();
    assert!(limiter.remove(&1));
    assert_eq!(limiter.available(&1), 10);
    // Of a debt that starts afresh nothing is missing: what goes back has no room.
    assert_eq!(reservation.commit(8), 8);
    assert_eq!(limiter.available(&1), 8);
    let reservation = limiter.handle(1).try_reserve_owned(6).unwrap();
    drop(limiter);
    assert_eq!(reservation.commit(30), 18, "as much as is left, and a burst of debt");
    assert_eq!(Arc::strong_count(&clock), 1);
}

// --- A clock that panics

/// At the reading after so many.
#[derive(Debug, Default)]
struct Fragile {
    time: ManualClock,
    left: AtomicU32,
}

impl Clock for Fragile {
    fn now(&self) -> Nanos {
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.saturating_sub(1), Ordering::Relaxed);
        assert!(left != 1, "a clock that panics");
        self.time.now()
    }
}

/// Whichever reading panics: nothing that was taken is forgotten, and the key is one of a word again.
#[test]
fn a_clock_that_panics_once_loses_nothing() {
    type Call = fn(&PerKeyRateLimiter<u32, Arc<Fragile>>);
    let calls: [Call; 5] = [
        |limiter| drop(limiter.handle(1)),
        |limiter| assert!(limiter.handle(1).try_acquire_n(11).is_err()),
        |limiter| limiter.handle(1).set_quota(Quota::per_hour(20)).unwrap(),
        |limiter| assert!(limiter.requota(&1)),
        |limiter| drop(limiter.handle(1).clone().try_reserve_owned(6)),
    ];
    for (which, call) in calls.into_iter().enumerate() {
        let mut kept = 0;
        for reading in 1..12 {
            let clock = Arc::new(Fragile::default());
            let limiter = PerKeyRateLimiter::builder(Quota::per_hour(10)).clock(Arc::clone(&clock)).build().unwrap();
            assert_eq!(limiter.try_acquire_n(&1, 5), Ok(()));
            clock.left.store(reading, Ordering::Relaxed);
            let panics = catch_unwind(AssertUnwindSafe(|| call(&limiter))).is_err();
            let is_reached = clock.left.swap(0, Ordering::Relaxed) == 0;
            assert!(is_reached || !panics, "{which} {reading}");
            kept += u32::from(is_reached && !panics);
            // A call that finds the key without users makes it a word.
            assert!(limiter.try_acquire_n(&1, 6).is_err(), "{which} {reading}");
            assert_eq!(Arc::strong_count(&clock), 2, "{which} {reading}");
            assert_eq!((limiter.available(&1), limiter.len()), (5, 1), "{which} {reading}");
            let handle: KeyHandle<_, _> = limiter.handle(1);
            assert_eq!((handle.quota(), handle.try_acquire_n(5)), (Quota::per_hour(10), Ok(())));
        }
        // All go on but those of who leaves, who may be dropped by a panic: of the last user, and of a last handle whose quota
        // ends.
        assert_eq!(kept, if which == 2 { 2 } else { 1 }, "{which}");
    }
}

// --- A clock that calls back

type Call = Arc<dyn Fn() + Send + Sync>;

/// Calls once when it is read, but not for readings of that call.
#[derive(Clone, Default)]
struct Calling {
    time: ManualClock,
    call: Arc<Mutex<Option<Call>>>,
}

impl Clock for Calling {
    fn now(&self) -> Nanos {
        let call = self.call.lock().unwrap().take();
        if let Some(call) = call {
            call();
            *self.call.lock().unwrap() = Some(call);
        }
        self.time.now()
    }
}

/// For the same key, at every reading of every verb; but for the change of a quota, which asks the clock while others who
/// want to change it wait. Kills: a clock that is asked under the shard's guard.
#[test]
fn a_clock_may_call_the_limiter() {
    let (done, is_done) = mpsc::channel();
    let running = thread::spawn(move || {
        let clock = Calling::default();
        let builder = PerKeyRateLimiter::<u32>::builder(Quota::per_hour(1_000)).clock(clock.clone()).max_keys(10);
        let builder = builder.stats().quota_for(|&key| (key == 1).then(|| Quota::per_hour(2_000)));
        let limiter = Arc::new(builder.build().unwrap());
        let called = Arc::downgrade(&limiter);
        let others = Arc::new(AtomicBool::new(true));
        let only_others = Arc::clone(&others);
        *clock.call.lock().unwrap() = Some(Arc::new(move || {
            let Some(limiter) = called.upgrade() else { return };
            if only_others.load(Ordering::Relaxed) {
                // So many are in all shards; the key itself stays as it is.
                return (100..400).for_each(|key| assert!(!limiter.contains_key(&key)));
            }
            for key in [1, 2] {
                let handle = limiter.handle(key);
                assert!(limiter.try_acquire(&key).is_ok() && handle.clone().try_acquire().is_ok());
                drop(handle.try_reserve_owned(1));
                let _ = (limiter.available(&key), limiter.time_to_available(&key, 1), limiter.requota(&key));
                let _ = (limiter.stats(&key), limiter.all_stats(), format!("{limiter:?} {handle:?}"));
                limiter.refund(&key, 3);
                drop(handle);
                let _ = (limiter.cleanup(), limiter.remove(&key), limiter.remove(&(key + 10)));
            }
            limiter.clear();
        }));
        for (key, only_others) in [(1, true), (2, true), (1, false), (2, false)] {
            others.store(only_others, Ordering::Relaxed);
            let handle = limiter.handle(key);
            assert!(limiter.try_acquire(&key).is_ok() && handle.try_acquire().is_ok());
            handle.try_reserve_owned(1).unwrap().commit(2);
            handle.refund(1);
            drop((handle.clone(), handle));
            assert!(limiter.try_acquire(&key).is_ok());
            let _ = (limiter.available(&key), limiter.time_to_available(&key, 1), limiter.requota(&key));
            limiter.refund(&key, 1);
            let _ = (limiter.remove(&key), limiter.cleanup());
            #[cfg(feature = "async")]
            {
                assert_eq!(limiter.blocking_acquire_n(&key, 1), Ok(()));
                let _ = limiter.blocking_acquire_timeout(&key, 1_000, Duration::ZERO);
            }
        }
        *clock.call.lock().unwrap() = None;
        let _ = done.send(());
    });
    if is_done.recv_timeout(20 * SECOND) == Err(mpsc::RecvTimeoutError::Timeout) {
        panic!("a clock that calls: hangs");
    }
    running.join().unwrap();
}
