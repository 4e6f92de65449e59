//! Workers' own stocks: what they hold, what comes back, and when they are of no use any more.
//!
//! "Kills" names a change of the library that the test was seen to fail on.

mod support;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use sluicegate::RateLimitExceeded::{Denied, ExceedsCapacity};
use sluicegate::{LocalTokenBucket, ManualClock, OwnedLocalTokenBucket, Quota, StripedTokenBucket};
use support::clocks::CountingClock;
use support::workers::{batch, elsewhere, least_divided, stripes};

type Bucket = StripedTokenBucket<ManualClock>;

/// Of which every stripe holds 20, and every local.
fn burst() -> u64 {
    16 * stripes() * 20
}

fn full() -> (Bucket, ManualClock) {
    let clock = ManualClock::new();
    (StripedTokenBucket::with_clock(Quota::per_second(burst()), clock.clone()).unwrap(), clock)
}

fn due(permits: u64) -> Duration {
    Duration::from_nanos((permits * 1_000_000_000).div_ceil(burst()))
}

// --- Stock

/// What a stock holds is not there for others, and is not lost.
///
/// Kills: a stock that is not taken out of the word; one that is lost when it is dropped; a budget that does not come back.
#[test]
fn a_stock_comes_out_of_the_bucket_and_back() {
    let (bucket, _) = full();
    let mut local = bucket.local();
    assert_eq!((bucket.available(), bucket.capacity()), (burst() - 20, burst() - stripes() * 20 - 20));
    for left in (0..20).rev() {
        assert_eq!(local.try_acquire(), Ok(()));
        assert_eq!(bucket.available(), burst() - 20, "{left} left: it is the stock that is used");
    }
    assert_eq!(local.try_acquire(), Ok(())); // with the next stock
    assert_eq!(bucket.available(), burst() - 41);
    drop(local);
    assert_eq!((bucket.available(), bucket.capacity()), (burst() - 21, burst() - stripes() * 20));
}

/// As long as a stock lasts no clock is read. Kills: a look at the clock at every call.
#[test]
fn a_stock_needs_no_clock() {
    let clock = Arc::new(CountingClock::default());
    let bucket = StripedTokenBucket::with_clock(Quota::per_second(burst()), Arc::clone(&clock)).unwrap();
    let mut local = bucket.local();
    clock.readings();
    assert!((0..20).all(|_| local.try_acquire().is_ok()));
    assert_eq!(clock.readings(), 0);
    assert_eq!(local.try_acquire(), Ok(()));
    assert!(clock.readings() > 0);
}

/// All of the burst but what others hold is one worker's, if nobody else comes: the stripes' stock too.
///
/// Kills: a worker that is denied while a stripe has a permit; a wait that leaves out the stock; a stock that is lost to a denial.
#[test]
fn a_worker_gets_what_is_there() {
    let (bucket, clock) = full();
    let mut local = bucket.local();
    assert!((0..burst()).all(|_| local.try_acquire().is_ok()));
    assert_eq!(local.try_acquire(), Err(Denied { retry_after: due(1) }));
    assert_eq!(elsewhere(|| bucket.try_acquire()), Err(Denied { retry_after: due(1) }));
    clock.advance(due(7));
    assert_eq!(local.try_acquire(), Ok(())); // and six in stock
    assert_eq!(bucket.available(), 0);
    let wait = local.try_acquire_n(9).unwrap_err().retry_after().unwrap();
    assert!(wait.abs_diff(due(3)) <= Duration::from_nanos(2), "{wait:?} for three");
    clock.advance(wait - Duration::from_nanos(1));
    assert!(local.try_acquire_n(9).is_err());
    clock.advance(Duration::from_nanos(1));
    assert_eq!(local.try_acquire_n(9), Ok(()));
    assert!(local.try_acquire().is_err() && local.try_acquire_n(0).is_ok());
    let exceeds = local.try_acquire_n(burst()).unwrap_err();
    assert_eq!(exceeds, ExceedsCapacity { requested: burst(), capacity: bucket.capacity() });
}

/// More than the stock holds is taken from the stock and the rest from the bucket, as one.
#[test]
fn n_above_the_stock_is_taken_together() {
    let (bucket, _) = full();
    let mut local = bucket.local();
    assert_eq!(local.try_acquire_n(bucket.capacity() / 2), Ok(()));
    assert_eq!(local.try_acquire_n(33), Ok(()));
    drop(local);
    assert_eq!(bucket.available(), burst() - (burst() - stripes() * 20 - 20) / 2 - 33);
}

/// Locals that find no more to hold work all the same, and no better than the bucket; one that is dropped makes room.
///
/// Kills: loans without a limit; a loan that is given back when there was none; a budget that does not come back.
#[test]
fn when_the_burst_feeds_no_more_a_local_works_on_the_shared_bucket() {
    let (bucket, clock) = full();
    // A quarter of the burst, a sixteenth of which is in stripes.
    let fed = 3 * stripes() as usize;
    let mut locals: Vec<_> = (0..fed).map(|_| bucket.local()).collect();
    assert_eq!(bucket.capacity(), burst() * 3 / 4);
    let before = bucket.available();
    let mut unfed = bucket.local();
    assert_eq!((bucket.capacity(), bucket.available()), (burst() * 3 / 4, before));
    assert_eq!(unfed.try_acquire_n(3), Ok(()));
    assert_eq!(bucket.available(), before - 3);
    drop(unfed);
    assert_eq!((bucket.capacity(), bucket.available()), (burst() * 3 / 4, before - 3));
    locals.pop();
    assert_eq!(bucket.capacity(), burst() * 3 / 4 + 20);
    locals.push(bucket.local());
    assert_eq!(bucket.capacity(), burst() * 3 / 4);
    for _ in 0..1_000 {
        drop(bucket.local());
    }
    drop(locals);
    assert_eq!((bucket.capacity(), bucket.available()), (burst() - stripes() * 20, burst() - 3));
    clock.advance(Duration::from_secs(1));
    assert!(bucket.available() >= burst() - 3, "time fills the word, but no stripe");
}

/// Kills: a batch of a burst too small to be divided.
#[test]
fn of_a_small_burst_there_is_no_stock() {
    let clock = ManualClock::new();
    for burst in [1, 2, 16, least_divided() - 1] {
        let bucket = StripedTokenBucket::with_clock(Quota::per_second(10).burst(burst), clock.clone()).unwrap();
        let mut locals: Vec<_> = (0..5).map(|_| bucket.local()).collect();
        assert_eq!((bucket.capacity(), bucket.available()), (burst, burst));
        assert_eq!(locals[0].try_acquire_n(burst), Ok(()));
        let wait = Duration::from_millis(100);
        assert_eq!(locals[1].try_acquire(), Err(Denied { retry_after: wait }));
        drop(locals);
        assert_eq!(bucket.available(), 0);
    }
}

/// Made and dropped over and over they take nothing of what comes. Kills: a stock that is lost when it is dropped.
#[test]
fn coming_and_going_costs_no_rate() {
    let (bucket, clock) = full();
    assert_eq!(bucket.try_acquire_up_to(u64::MAX), burst());
    let mut granted = 0;
    // A thousand seconds' worth of moments that are no multiple of a permit.
    for _ in 0..20_000 {
        clock.advance(Duration::from_nanos(1_234_567));
        let mut local = bucket.local();
        granted += (0..).take_while(|_| local.try_acquire().is_ok()).count() as u64;
    }
    let exact = 20_000 * 1_234_567 * burst() / 1_000_000_000;
    assert!((exact - exact / 10_000..=exact).contains(&granted), "{granted} of {exact}");
}

/// Who waits waits for what the stock has not. Kills: the stock that is waited for as well.
#[test]
#[cfg(feature = "async")]
fn the_stock_is_not_waited_for() {
    let (bucket, _) = full();
    let mut local = bucket.local();
    assert_eq!(bucket.try_acquire_up_to(u64::MAX), burst() - 20);
    for n in [21, 30, burst() / 2] {
        let denied = Err(Denied { retry_after: due(n - 20) });
        assert_eq!((local.try_acquire_n(n), local.blocking_acquire_timeout(n, Duration::ZERO)), (denied, denied));
    }
    assert_eq!(local.blocking_acquire_timeout(20, Duration::ZERO), Ok(()));
}

// --- Changes

/// Kills: stock of before a change that is still used; that is put back into a bucket that has been cut.
#[test]
fn a_change_of_quota_drops_the_stock() {
    let (bucket, clock) = full();
    let (mut used, dropped) = (bucket.local(), bucket.local());
    assert_eq!(used.try_acquire(), Ok(()));
    bucket.set_quota(Quota::per_second(16)).unwrap();
    assert_eq!(bucket.available(), 16);
    drop(dropped);
    assert_eq!(bucket.available(), 16, "a late deposit");
    assert!((0..16).all(|_| used.try_acquire().is_ok()));
    assert!(used.try_acquire().is_err() && bucket.try_acquire().is_err());

    // And then it holds what the new quota says.
    bucket.set_quota(Quota::per_second(burst())).unwrap();
    clock.advance(Duration::from_secs(2));
    assert_eq!(used.try_acquire(), Ok(()));
    assert_eq!(bucket.capacity(), burst() - stripes() * 20 - 20);
    drop(used);
    assert_eq!((bucket.capacity(), bucket.available()), (burst() - stripes() * 20, burst() - stripes() * 20 - 1));
}

/// A loan of before a change ends no new one. Kills: a loan that is taken back whatever its generation.
#[test]
fn an_old_loan_is_not_taken_for_a_new_one() {
    let (bucket, _) = full();
    let old = bucket.local();
    bucket.set_quota(Quota::per_second(burst())).unwrap();
    let _new = bucket.local();
    let before = (bucket.available(), bucket.capacity());
    drop(old);
    assert_eq!((bucket.available(), bucket.capacity()), before);
}

/// What is forgotten is missing, and not for ever. Kills: a loan that a change of quota does not end.
#[test]
fn a_forgotten_stock_comes_back_with_the_next_quota() {
    let (bucket, clock) = full();
    for _ in 0..100 {
        std::mem::forget(bucket.local());
    }
    assert_eq!(bucket.capacity(), burst() * 3 / 4);
    bucket.set_quota(Quota::per_second(burst())).unwrap();
    clock.advance(Duration::from_secs(1));
    assert_eq!(bucket.capacity(), burst() - stripes() * batch(burst()));
    assert_eq!(bucket.try_acquire_n(bucket.capacity()), Ok(()));
}

// --- Threads

/// Another thread may have it; two may not.
#[test]
fn it_moves_to_a_thread_and_is_not_shared() {
    fn moves<T: Send>() {}
    moves::<LocalTokenBucket<'static>>();
    moves::<OwnedLocalTokenBucket<ManualClock>>();
    // Ambiguous, so that it does not compile, if it is `Sync`.
    trait Ambiguous<A> {
        fn check() {}
    }
    impl<T: ?Sized> Ambiguous<()> for T {}
    impl<T: ?Sized + Sync> Ambiguous<u8> for T {}
    <LocalTokenBucket<'static> as Ambiguous<_>>::check();
    <OwnedLocalTokenBucket as Ambiguous<_>>::check();

    let bucket = Arc::new(full().0);
    let mut owned = Arc::clone(&bucket).local_owned();
    assert_eq!(owned.try_acquire_n(2), Ok(()));
    let mut owned = thread::spawn(move || owned.try_acquire_n(30).map(|()| owned)).join().unwrap().unwrap();
    assert_eq!(owned.try_acquire(), Ok(()));
    let text = format!("{owned:?} {:?}", bucket.local());
    for part in ["OwnedLocalTokenBucket", " LocalTokenBucket", "stock", "budget"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    drop(owned);
    assert_eq!(bucket.available(), burst() - 33);
    assert_eq!(Arc::strong_count(&bucket), 1);
}

/// Kills: a stock that is lost when its thread ends.
#[test]
fn many_threads_get_the_burst_together() {
    let bucket = StripedTokenBucket::new(Quota::per_day(burst())).unwrap();
    let granted: u64 = thread::scope(|scope| {
        let work = || {
            let mut local = bucket.local();
            (0..).take_while(|_| local.try_acquire().is_ok()).count() as u64
        };
        let workers: Vec<_> = (0..16).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert!(granted <= burst() + 1);
    // Each may have been denied while the others held a stock.
    assert!(granted + 16 * 20 >= burst(), "{granted} of {}", burst());
    assert!(bucket.available() + granted >= burst());
}

#[cfg(feature = "async")]
mod waiting {
    use super::*;
    use crate::support::waiting::{HOUR, eventually};

    /// Kills: a wait that does not use the stock first; one that is counted twice, or not.
    #[test]
    fn blocking_verbs_take_what_is_there_and_wait_for_what_is_not() {
        let clock = ManualClock::new();
        let quota = Quota::per_second(burst());
        let bucket = Arc::new(StripedTokenBucket::builder(quota).clock(clock.clone()).stats().build().unwrap());
        let mut local = Arc::clone(&bucket).local_owned();
        assert_eq!((local.blocking_acquire(), local.blocking_acquire_n(0)), (Ok(()), Ok(())));
        assert_eq!(local.blocking_acquire_n(bucket.capacity() / 2), Ok(()));
        while local.try_acquire().is_ok() {}
        let before = bucket.stats().unwrap();
        assert_eq!(
            local.blocking_acquire_timeout(1, due(1) - Duration::from_nanos(1)),
            Err(Denied { retry_after: due(1) })
        );
        let capacity = bucket.capacity();
        assert_eq!(local.blocking_acquire_n(burst()), Err(ExceedsCapacity { requested: burst(), capacity }));

        let worker = thread::spawn(move || {
            let outcome = (local.blocking_acquire(), local.blocking_acquire_timeout(2, HOUR));
            (outcome, local.try_acquire())
        });
        eventually("joins", || bucket.time_to_available(1).is_ok_and(|wait| wait.abs_diff(due(2)) < due(1) / 2));
        clock.advance(due(1));
        eventually("joins again", || bucket.stats().unwrap().allowed_requests == before.allowed_requests + 1);
        eventually("joins again", || bucket.time_to_available(1).unwrap() > due(2));
        assert!(bucket.try_acquire().is_err(), "nobody overtakes it");
        clock.advance(due(2));
        let (outcome, after) = worker.join().unwrap();
        assert_eq!(outcome, (Ok(()), Ok(())));
        assert!(after.is_err());
        let stats = bucket.stats().unwrap();
        assert_eq!(stats.allowed_requests, before.allowed_requests + 2);
        // One in vain, one for too many, one after, and one here.
        assert_eq!(stats.rejected_requests, before.rejected_requests + 4);
        assert!(stats.total_wait_time >= due(3) - Duration::from_nanos(3));
    }

    /// Whoever waits gets what a worker leaves. Kills: a stock that is given back and wakes nobody.
    #[test]
    fn a_stock_that_comes_back_wakes_who_waits() {
        let (bucket, _clock) = full();
        let local = bucket.local();
        assert_eq!(bucket.try_acquire_up_to(u64::MAX), burst() - 20);
        thread::scope(|scope| {
            let waits = scope.spawn(|| bucket.blocking_acquire_n(15));
            eventually("joins", || bucket.time_to_available(1).unwrap() > due(15));
            drop(local);
            assert_eq!(waits.join().unwrap(), Ok(()));
        });
        assert_eq!(bucket.available(), 5);
    }
}

#[cfg(feature = "per-key")]
mod of_a_key {
    use sluicegate::{KeyHandle, PerKeyRateLimiter};

    use super::*;

    type Limiter = PerKeyRateLimiter<u32, ManualClock>;

    fn limiter() -> (Limiter, KeyHandle<u32, ManualClock>, ManualClock) {
        let clock = ManualClock::new();
        let limiter = PerKeyRateLimiter::builder(Quota::per_second(burst())).clock(clock.clone()).build().unwrap();
        let handle = limiter.handle(7);
        (limiter, handle, clock)
    }

    /// Kills: a stock that is not carved out of the key's burst; one that is lost when it is dropped.
    #[test]
    fn it_comes_out_of_the_keys_burst_and_back() {
        let (limiter, handle, _) = limiter();
        let mut local = handle.local();
        assert_eq!((local.try_acquire(), limiter.available(&7)), (Ok(()), burst() - 20));
        assert_eq!(limiter.available(&8), burst(), "another key");
        assert!((0..burst() - 1).all(|_| local.try_acquire().is_ok()));
        assert!(local.try_acquire().is_err() && limiter.try_acquire(&7).is_err());
        handle.refund(30);
        assert_eq!(local.try_acquire(), Ok(()));
        drop(local);
        assert_eq!(limiter.available(&7), 29);
        assert_eq!(limiter.try_acquire_n(&7, 29), Ok(()));
    }

    /// What ends a key's state, or changes its quota, drops the stock; no permit of before is used after it.
    ///
    /// Kills: a way to change a key's bucket that does not end its loans.
    #[test]
    fn what_changes_the_key_drops_its_stock() {
        type Change = fn(&Limiter, &KeyHandle<u32, ManualClock>);
        let changes: [(&str, u64, Change); 5] = [
            ("set_quota", 16, |_, handle| handle.set_quota(Quota::per_second(16)).unwrap()),
            ("requota", burst() - 20, |limiter, handle| {
                // Of another quota, so that it has something to ask for.
                handle.set_quota(Quota::per_second(2 * burst())).unwrap();
                assert!(limiter.requota(&7));
            }),
            ("remove", burst(), |limiter, _| assert!(limiter.remove(&7))),
            ("clear", burst(), |limiter, _| limiter.clear()),
            ("remove, then set_quota", 16, |limiter, handle| {
                assert!(limiter.remove(&7));
                handle.set_quota(Quota::per_second(16)).unwrap();
            }),
        ];
        for (name, there, change) in changes {
            for drops in [false, true] {
                let (limiter, handle, _) = limiter();
                let mut local = handle.local();
                assert_eq!(limiter.available(&7), burst() - 20);
                change(&limiter, &handle);
                assert_eq!(handle.available(), there, "{name}");
                if drops {
                    drop(local);
                    assert_eq!(handle.available(), there, "{name}: a late deposit");
                } else {
                    let granted = (0..).take_while(|_| local.try_acquire().is_ok()).count() as u64;
                    assert_eq!(granted, there, "{name}: stock of before was used");
                }
            }
        }
    }

    /// What is owed stays owed, however many stocks come and go, and can be no more than one burst.
    ///
    /// Kills: a debt that is cut to the burst without what is lent.
    #[test]
    fn a_stock_that_comes_and_goes_forgives_no_debt() {
        let (_, handle, _) = limiter();
        assert_eq!(handle.charge(2 * burst()), 2 * burst());
        let before = handle.time_to_available(1).unwrap();
        for _ in 0..10 {
            let mut locals: Vec<_> = (0..20).map(|_| handle.local()).collect();
            assert!(locals[0].try_acquire().is_err());
        }
        assert!(handle.time_to_available(1).unwrap().abs_diff(before) < due(1), "{before:?} before");
        assert_eq!(handle.charge(1_000), 0, "one burst is owed already");
    }

    /// The last handle gone, the key is the map's again: with all that a stock had left, and without what it took.
    ///
    /// Kills: a loan that outlives the bucket; a key that stays beside the map.
    #[test]
    fn a_key_without_handles_is_the_maps_again() {
        let (limiter, handle, clock) = limiter();
        let mut local = handle.local();
        assert!((0..25).all(|_| local.try_acquire().is_ok()));
        drop(local);
        drop(handle);
        assert_eq!(limiter.cleanup(), 0);
        assert_eq!(limiter.available(&7), burst() - 25);
        assert_eq!(limiter.try_acquire_n(&7, burst() - 25), Ok(()));
        assert!(limiter.try_acquire(&7).is_err());

        let again = limiter.handle(7);
        std::mem::forget(again.local());
        drop(again);
        clock.advance(Duration::from_secs(3_600));
        limiter.cleanup();
        assert_eq!(limiter.available(&7), burst(), "a forgotten stock of one that is gone");
        assert_eq!(limiter.try_acquire_n(&7, burst()), Ok(()));
    }
}
