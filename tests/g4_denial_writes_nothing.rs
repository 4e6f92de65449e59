//! G4: a denial writes nothing. Seen from outside: whatever is asked in vain, and from however many threads, every
//! later answer and the nanosecond of the next grant stay the same, and each call costs one reading of the clock.

mod support;

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use sluicegate::{Clock, ManualClock, Nanos, Quota, RateLimitExceeded, TokenBucket};
use support::clocks::CountingClock;
use support::quotas::{SECOND, UNIX_NOW, any_quota, cases, magnitude};
use support::windows::{LAWS, Law, WindowCounter};

/// All that can be asked without taking anything, at several readings.
fn looks<C: Clock>(bucket: &TokenBucket<C>, clock: &ManualClock) -> impl Debug + PartialEq + use<C> {
    let (now, capacity) = (clock.now().as_nanos(), bucket.quota().capacity());
    let looks: Vec<_> = [0, 1, 1_000, 1 << 30, 1 << 50]
        .into_iter()
        .map(|ahead| {
            clock.set(Nanos::from_nanos(now.saturating_add(ahead)));
            (bucket.available(), [1, capacity / 2, capacity].map(|n| bucket.time_to_available(n)))
        })
        .collect();
    clock.set(Nanos::from_nanos(now));
    looks
}

proptest! {
    #![proptest_config(cases(5_000))]

    #[test]
    fn what_is_denied_leaves_no_trace(
        quota in any_quota(),
        origin in prop_oneof![Just(0), Just(UNIX_NOW), magnitude(62)],
        ahead in magnitude(55),
        charged in magnitude(41),
        asked in prop::collection::vec((magnitude(41), -2_i64..3), 1..50),
    ) {
        let clock = ManualClock::new();
        clock.set(Nanos::from_nanos(origin));
        let bucket = TokenBucket::with_clock(quota, clock.clone()).unwrap();
        let _ = bucket.available();
        let now = origin.saturating_add(ahead);
        clock.set(Nanos::from_nanos(now));
        bucket.charge(charged);
        let before = looks(&bucket, &clock);

        // More than is there, at readings around this one: each of them denied.
        for (more, by) in asked {
            clock.set(Nanos::from_nanos(now.saturating_add_signed(by)));
            let n = bucket.available() + more;
            prop_assert!(bucket.try_acquire_n(n).is_err());
            if bucket.available() == 0 {
                prop_assert_eq!(bucket.try_acquire_up_to(more), 0);
            }
            let _ = bucket.time_to_available(n);
            prop_assert_eq!(bucket.try_acquire_n(u64::MAX).unwrap_err().retry_after(), None);
        }
        clock.set(Nanos::from_nanos(now));
        prop_assert_eq!(looks(&bucket, &clock), before);
    }
}

/// Four threads are denied as fast as they can, while the clock creeps up to the nanosecond of the next grant.
#[test]
fn many_denied_threads_never_delay_the_next_grant() {
    let clock = ManualClock::new();
    // 1/3 s is no whole number of nanoseconds.
    let bucket = TokenBucket::with_clock(Quota::per_second(3).burst(2), clock.clone()).unwrap();
    assert!(bucket.try_acquire_n(2).is_ok());
    let (denials, done) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    // Two are never there.
                    assert!(matches!(bucket.try_acquire_n(2), Err(RateLimitExceeded::Denied { .. })));
                    assert!(bucket.try_acquire_n(3).is_err());
                    denials.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // Ends the threads also when an assertion fails.
        let _done = OnDrop(|| done.store(true, Ordering::Relaxed));
        for k in 1..=100_u64 {
            let due = (k * 1_000_000_000).div_ceil(3);
            clock.set(Nanos::from_nanos(due - 1));
            let before = denials.load(Ordering::Relaxed);
            while denials.load(Ordering::Relaxed) == before {
                std::thread::yield_now();
            }
            assert_eq!(bucket.try_acquire().unwrap_err().retry_after(), Some(Duration::from_nanos(1)));
            clock.set(Nanos::from_nanos(due));
            assert_eq!(bucket.try_acquire(), Ok(()), "grant {k}");
        }
    });
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// The clock is most of the price of a call: one reading, of its own ticks, whatever is asked and answered.
#[test]
fn a_call_reads_the_clock_once() {
    let clock = CountingClock::default();
    let bucket = TokenBucket::with_clock(Quota::per_second(10), &clock).unwrap();
    assert_eq!(clock.readings(), 0, "a bucket is made without a clock");
    assert_eq!(bucket.try_acquire(), Ok(()));
    assert!(clock.readings() <= 3, "the first call also starts the bucket's time, and looks again");

    let once = |what, call: &dyn Fn()| {
        call();
        assert_eq!(clock.readings(), 1, "{what}");
    };
    for round in 0..3 {
        once("granted", &|| assert_eq!(bucket.try_acquire_n(2), Ok(())));
        once("some", &|| assert!(bucket.try_acquire_up_to(1) == 1));
        once("looked", &|| assert!(bucket.available() < 10));
        once("waited", &|| assert!(bucket.time_to_available(10).is_ok()));
        once("refunded", &|| bucket.refund(1));
        once("charged", &|| assert_eq!(bucket.charge(9), 9));
        once("denied", &|| assert!(bucket.try_acquire().is_err()));
        once("denied many", &|| assert!(bucket.try_acquire_n(10).is_err()));
        once("none", &|| assert_eq!(bucket.try_acquire_up_to(5), 0));
        // Also after changes of quota, which may leave the bucket on the other set of parameters.
        clock.time.advance(Duration::from_secs(10));
        bucket.set_quota(Quota::per_second(10 + round)).unwrap();
        clock.time.advance(Duration::from_secs(10));
        let _ = clock.readings();
    }
    assert_eq!(bucket.try_acquire_n(0), Ok(()));
    assert_eq!(bucket.try_acquire_up_to(0), 0);
    assert_eq!(clock.readings(), 0, "nothing was asked for");
    assert_eq!(clock.reads_of_now(), 0, "a limiter converts the clock's own count, once");
}

/// The same of a window that slides: after the first window, one permit at a time comes back.
#[test]
fn many_denied_threads_never_delay_the_next_grant_of_a_window() {
    let clock = ManualClock::new();
    // A tenth of the window is no whole number of nanoseconds, nor is a ninth.
    let counter = WindowCounter::new(Law::Interpolated, 10, Duration::from_nanos(16_001), clock.clone()).unwrap();
    assert_eq!(counter.try_acquire_n(10), Ok(()));
    let (denials, done) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    // Two are never there.
                    assert!(matches!(counter.try_acquire_n(2), Err(RateLimitExceeded::Denied { .. })));
                    denials.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _done = OnDrop(|| done.store(true, Ordering::Relaxed));
        for grant in 0..100 {
            let wait = counter.time_to_available(1).unwrap();
            clock.advance(wait - Duration::from_nanos(1));
            let before = denials.load(Ordering::Relaxed);
            while denials.load(Ordering::Relaxed) == before {
                std::thread::yield_now();
            }
            assert_eq!(counter.try_acquire().unwrap_err().retry_after(), Some(Duration::from_nanos(1)));
            clock.advance(Duration::from_nanos(1));
            assert_eq!(counter.try_acquire(), Ok(()), "grant {grant}");
        }
    });
    // Nine or ten in each window.
    assert!((11..=12).contains(&(clock.now().as_nanos() / 16_001)));
}

/// One reading, of nanoseconds, whatever is asked and answered: in the window, in a new one, and with a clock that has
/// stepped back.
#[test]
fn a_call_of_a_window_reads_the_clock_once() {
    let clock = CountingClock::default();
    for law in LAWS {
        let counter = WindowCounter::new(law, 10, Duration::from_secs(1), &clock).unwrap();
        let once = |what, call: &dyn Fn()| {
            let before = clock.reads_of_now();
            call();
            assert_eq!(clock.reads_of_now() - before, 1, "{law:?}: {what}");
        };
        for reading in [0, 1, SECOND, 5 * SECOND, 2 * SECOND, UNIX_NOW, u64::MAX] {
            clock.time.set(Nanos::from_nanos(reading));
            once("asked", &|| _ = counter.try_acquire_n(8));
            once("denied", &|| assert!(counter.try_acquire_n(10).is_err()));
            once("looked", &|| _ = counter.available());
            once("waited", &|| assert!(counter.time_to_available(10).is_ok()));
            once("refunded", &|| counter.refund(3));
        }
        let before = clock.reads_of_now();
        assert_eq!(counter.try_acquire_n(0), Ok(()));
        assert!(counter.try_acquire_n(11).is_err());
        assert_eq!(clock.reads_of_now(), before, "nothing can be had");
    }
    assert_eq!(clock.readings(), 0, "windows are aligned to nanoseconds, not to ticks");
}
