//! Ways in which an adaptive limiter can go wrong that were found by trying, and must stay out.

#![allow(missing_docs)]

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread;
use std::time::Duration;

use sluicegate::{AdaptiveRateLimiter, AdaptiveRateLimiterBuilder, ChangeReason, Clock, Law, ManualClock, Nanos};
use sluicegate::{TickLength, TokenBucket};

const SECOND: Duration = Duration::from_secs(1);
const NANOS: u64 = 1_000_000_000;

fn builder<C: Clock>(clock: C) -> AdaptiveRateLimiterBuilder<C> {
    AdaptiveRateLimiterBuilder::new(clock).base_rate(100.0).window(SECOND)
}

/// So many calls a second that go well, evenly spaced.
fn healthy(limiter: &AdaptiveRateLimiter<ManualClock>, clock: &ManualClock, seconds: u64, a_second: u32) {
    for _ in 0..seconds * u64::from(a_second) {
        clock.advance(SECOND / a_second);
        limiter.try_acquire().expect("within the rate");
        limiter.record_success();
    }
}

/// A clock that does what the test says: readings in order, a panic, or a thread that is stopped while it asks.
#[derive(Default)]
struct Scripted {
    time: AtomicU64,
    readings: Mutex<VecDeque<Reading>>,
    on_tick_length: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

enum Reading {
    At(u64),
    Panic,
}

impl Clock for Scripted {
    fn now(&self) -> Nanos {
        let reading = self.readings.lock().unwrap().pop_front();
        match reading {
            Some(Reading::At(nanos)) => Nanos::from_nanos(nanos),
            Some(Reading::Panic) => panic!("a clock that panics"),
            None => Nanos::from_nanos(self.time.load(SeqCst)),
        }
    }

    fn tick_length(&self) -> TickLength {
        let stopped = self.on_tick_length.lock().unwrap().take();
        if let Some(meanwhile) = stopped {
            meanwhile();
        }
        TickLength::NANOSECOND
    }
}

/// What had no room was not given back: counted as if it had been, it makes a busy service look idle.
#[test]
fn a_refund_without_room_is_not_counted() {
    for refund in [0, 1_000_000, u64::MAX / 2, u64::MAX - 999_999] {
        let clock = ManualClock::new();
        let limiter = builder(clock.clone()).law(Law::Cubic).build().unwrap();
        healthy(&limiter, &clock, 1, 99);
        limiter.refund(refund);
        clock.advance(SECOND / 99);
        let rate = limiter.current_rate();
        assert!(rate > 100.0, "{rate} after refund({refund})");

        let limiter = builder(clock.clone()).min_utilisation(1.0).build().unwrap();
        (0..10).for_each(|_| limiter.record_success());
        limiter.refund(refund);
        clock.advance(SECOND);
        assert_eq!(limiter.current_rate(), 100.0, "nothing was used");
    }
}

/// The thread that ends a window is stopped for nine seconds half-way, while others go on: what they take and report is in
/// the next window, and so is the time.
#[test]
fn a_stopped_ender_splits_no_window() {
    let clock = Arc::new(Scripted::default());
    let limiter = Arc::new(builder(clock.clone()).max_rate(100.0).law(Law::Cubic).build().unwrap());
    let work = {
        let (limiter, clock) = (limiter.clone(), clock.clone());
        move |calls: u64| {
            for _ in 0..calls {
                clock.time.fetch_add(NANOS / 100, SeqCst);
                limiter.try_acquire().expect("within the rate");
                limiter.record_success();
            }
        }
    };
    work(199);
    clock.time.fetch_add(NANOS / 100, SeqCst);
    let meanwhile = move || thread::spawn(move || work(900)).join().unwrap();
    *clock.on_tick_length.lock().unwrap() = Some(Box::new(meanwhile));
    for _ in 0..2 {
        assert_eq!(limiter.current_rate(), 100.0);
        assert_eq!(limiter.stats().last_change, None);
    }
}

/// What is used while the listener takes its time is of a window as long as that.
#[test]
fn a_slow_listener_does_not_make_a_busy_window() {
    let slot: Arc<OnceLock<Weak<AdaptiveRateLimiter<ManualClock>>>> = Arc::default();
    let clock = ManualClock::new();
    let (listener_slot, listener_clock) = (slot.clone(), clock.clone());
    let limiter = builder(clock.clone())
        .max_rate(1_000.0)
        .min_utilisation(0.9)
        .on_change(move |change| {
            if change.old_rate == 100.0 {
                let limiter = listener_slot.get().and_then(Weak::upgrade).expect("it is there");
                let clock = &listener_clock;
                // Nine seconds with a fifth of the rate.
                thread::scope(|scope| {
                    scope.spawn(|| healthy(&limiter, clock, 9, 20));
                });
            }
        })
        .build()
        .unwrap();
    let limiter = Arc::new(limiter);
    slot.set(Arc::downgrade(&limiter)).expect("once");
    healthy(&limiter, &clock, 1, 100);
    assert_eq!(limiter.current_rate(), 100.0 * 1.1);
    assert_eq!(limiter.current_rate(), 100.0 * 1.1, "a fifth was used");
}

/// Time without calls is no time of success, nor do the calls before it count as few.
#[test]
fn cubic_over_an_idle_minute() {
    let clock = ManualClock::new();
    let limiter = builder(clock.clone()).law(Law::Cubic).build().unwrap();
    for _ in 0..100 {
        limiter.try_acquire().expect("within the rate");
        limiter.record_error();
        clock.advance(SECOND / 100);
    }
    assert_eq!(limiter.current_rate(), 70.0);
    healthy(&limiter, &clock, 1, 60);
    let _ = limiter.current_rate();
    healthy(&limiter, &clock, 1, 50);
    clock.advance(60 * SECOND);
    let rate = limiter.current_rate();
    // Two seconds after the cut of 100: 0.4 (2 - k)^3 + 100 with k = 4.217.
    assert!((rate - 95.6).abs() < 0.1, "{rate}: neither twice what an idle minute has, nor as after a minute");
}

/// A reading that is older than the one before must not shorten the window that begins.
#[test]
fn a_clock_back_during_a_change_does_not_bring_a_second_one() {
    let clock = Arc::new(Scripted::default());
    let limiter = builder(clock.clone()).window(10 * SECOND).min_samples(1).build().unwrap();
    limiter.record_error();
    clock.time.store(10 * NANOS, SeqCst);
    let readings = [10, 10, 10, 0].map(|seconds| Reading::At(seconds * NANOS));
    clock.readings.lock().unwrap().extend(readings);
    assert_eq!(limiter.current_rate(), 50.0);
    limiter.record_error();
    assert_eq!(limiter.current_rate(), 50.0);
    clock.time.store(20 * NANOS, SeqCst);
    assert_eq!(limiter.current_rate(), 25.0);
}

/// Whichever reading panics: one change at most, which nobody can bring about twice.
#[test]
fn a_clock_that_panics() {
    for good in 0..6 {
        let clock = Arc::new(Scripted::default());
        let limiter = builder(clock.clone()).build().unwrap();
        (0..10).for_each(|_| limiter.record_error());
        clock.time.store(NANOS, SeqCst);
        clock.readings.lock().unwrap().extend((0..good).map(|_| Reading::At(NANOS)).chain([Reading::Panic]));
        let _ = catch_unwind(AssertUnwindSafe(|| limiter.current_rate()));
        clock.readings.lock().unwrap().clear();

        (0..10).for_each(|_| limiter.record_error());
        assert!(limiter.current_rate() >= 50.0, "after {good} readings");
        clock.time.store(2 * NANOS, SeqCst);
        let rate = limiter.current_rate();
        assert!(rate == 50.0 || rate == 25.0, "{rate} after {good} readings: the reports are not lost");
        assert_eq!(limiter.quota().rate(), rate);
        assert_eq!(limiter.stats().current_rate, rate);
    }
}

/// At the last tick that there is, all windows are due. And a bucket whose time has run out stays empty through a change.
#[test]
fn at_the_end_of_time() {
    for years in [56, 200, 100_000] {
        let clock = ManualClock::new();
        let limiter = builder(clock.clone()).min_samples(1).build().unwrap();
        clock.advance(Duration::from_secs(years * 31_557_600));
        let mut granted = 0;
        for round in 0..10 {
            while limiter.try_acquire().is_ok() {
                granted += 1;
            }
            if round % 2 == 0 {
                limiter.record_error()
            } else {
                limiter.record_success()
            }
            let _ = limiter.current_rate();
        }
        assert!(granted <= 400, "{granted} at one instant, {years} years on; the largest burst is 400");
    }
}

/// The same of a bucket: what a change brings is a second life, not a second burst.
#[test]
fn a_change_beyond_the_horizon_grants_nothing() {
    let clock = ManualClock::new();
    let quota = sluicegate::Quota::per_second(100);
    let bucket = TokenBucket::with_clock(quota, clock.clone()).unwrap();
    assert!(bucket.try_acquire().is_ok());
    clock.advance(Duration::from_secs(200 * 31_557_600));
    while bucket.try_acquire().is_ok() {}
    bucket.set_quota(quota.burst(200)).unwrap();
    assert_eq!(bucket.available(), 0);
    clock.advance(SECOND);
    assert_eq!(bucket.available(), 100, "time runs again");
}

/// With twenty permits a call, ten calls do not come in a window at the rate that an outage leaves.
#[test]
fn weighted_calls_recover() {
    for n in [1, 5, 20] {
        let clock = ManualClock::new();
        let limiter = AdaptiveRateLimiterBuilder::new(clock.clone()).base_rate(100.0).build().unwrap();
        for tenth in 0..12_000 {
            clock.advance(SECOND / 10);
            while limiter.try_acquire_n(n).is_ok() {
                if tenth < 1_200 { limiter.record_error() } else { limiter.record_success() }
            }
        }
        assert_eq!(limiter.current_rate(), 200.0, "with {n} permits a call");
    }
}

/// The defaults of a base rate that is allowed are allowed.
#[test]
fn any_base_rate_has_its_bounds() {
    for base_rate in [1.0 / 31_622_400.0, 5.0 / 31_557_600.0, 3e9, 4e9] {
        let limiter = AdaptiveRateLimiter::builder().base_rate(base_rate).build().expect("in range");
        assert_eq!(limiter.current_rate(), base_rate);
    }
}

/// A look at it for a log line changes nothing.
#[test]
fn debug_ends_no_window() {
    let clock = ManualClock::new();
    let limiter = builder(clock.clone()).build().unwrap();
    (0..10).for_each(|_| limiter.record_error());
    clock.advance(SECOND);
    let text = format!("{limiter:?}");
    assert!(text.contains("rate: 100.0") && text.contains("errors: 10"), "{text}");
    assert_eq!(limiter.current_rate(), 50.0);
    assert_eq!(limiter.stats().last_change.map(|change| change.reason), Some(ChangeReason::Errors));
}

/// Kills: a bound on those who wait that is not kept.
#[test]
#[cfg(feature = "async")]
fn nobody_waits_where_nobody_may() {
    use futures_lite::future::{block_on, poll_once};

    for (waiters, is_refused) in [(0, true), (1, false)] {
        let builder = AdaptiveRateLimiter::builder().base_rate(1.0).clock(ManualClock::new());
        let limiter = builder.max_waiters(waiters).build().unwrap();
        assert_eq!(limiter.try_acquire_n(2), Ok(()));
        let answer = block_on(poll_once(limiter.acquire()));
        assert_eq!(answer.is_some_and(|answer| answer.is_err()), is_refused);
    }
}
