//! An adaptive limiter whose window ends while a thread is stopped, or code of the caller's panics.

#![allow(missing_docs)]

use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use sluicegate::{
    AdaptiveRateLimiter, AdaptiveRateLimiterBuilder, Clock, Law, ManualClock, Nanos, Outcome, TickLength,
};

const SECOND: Duration = Duration::from_secs(1);
const NANOS: u64 = 1_000_000_000;

type Meanwhile = Box<dyn FnOnce() + Send>;

/// A clock in which a thread can be stopped while others go on, or which panics.
#[derive(Default)]
struct Hooked {
    time: AtomicU64,
    /// After so many readings what comes next is done, between the reading and its return.
    after_reading: Mutex<Option<(u64, Meanwhile)>>,
    on_tick_length: Mutex<Option<Meanwhile>>,
    /// Whether the next readings panic.
    panics: Mutex<VecDeque<bool>>,
}

impl Clock for Hooked {
    fn now(&self) -> Nanos {
        let panics = self.panics.lock().unwrap().pop_front();
        assert!(panics != Some(true), "a clock that panics");
        let time = self.time.load(SeqCst);
        let mut hook = self.after_reading.lock().unwrap();
        let meanwhile = match hook.take() {
            Some((0, meanwhile)) => Some(meanwhile),
            Some((readings, meanwhile)) => {
                *hook = Some((readings - 1, meanwhile));
                None
            }
            None => None,
        };
        drop(hook);
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        Nanos::from_nanos(time)
    }

    fn tick_length(&self) -> TickLength {
        let meanwhile = self.on_tick_length.lock().unwrap().take();
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        TickLength::NANOSECOND
    }
}

fn builder<C: Clock>(clock: C) -> AdaptiveRateLimiterBuilder<C> {
    AdaptiveRateLimiterBuilder::new(clock).base_rate(100.0).max_rate(1_000.0).window(SECOND)
}

/// So many calls that go well, at so many a second.
fn work(limiter: &Arc<AdaptiveRateLimiter<Arc<Hooked>>>, clock: &Arc<Hooked>, calls: u64, a_second: u64) -> Meanwhile {
    let (limiter, clock) = (limiter.clone(), clock.clone());
    let work = move || {
        for _ in 0..calls {
            clock.time.fetch_add(NANOS / a_second, SeqCst);
            limiter.try_acquire().expect("within the rate");
            limiter.record_success();
        }
    };
    // In another thread, or the one that is stopped would be found to be itself.
    Box::new(move || thread::spawn(work).join().unwrap())
}

/// A service of which a fifth is used; the gate wants nine tenths.
fn a_fifth_is_used() -> (Arc<AdaptiveRateLimiter<Arc<Hooked>>>, Arc<Hooked>) {
    let clock = Arc::new(Hooked::default());
    let limiter = Arc::new(builder(clock.clone()).min_utilisation(0.9).build().unwrap());
    work(&limiter, &clock, 19, 20)();
    clock.time.fetch_add(NANOS / 20, SeqCst);
    (limiter, clock)
}

#[test]
fn an_ender_that_is_stopped_makes_no_busy_window() {
    let (limiter, clock) = a_fifth_is_used();
    *clock.on_tick_length.lock().unwrap() = Some(work(&limiter, &clock, 180, 20));
    for _ in 0..3 {
        assert_eq!(limiter.current_rate(), 100.0);
    }
}

#[test]
fn nor_does_one_that_is_stopped_between_clock_and_counters() {
    let (limiter, clock) = a_fifth_is_used();
    // The first reading finds it due.
    *clock.after_reading.lock().unwrap() = Some((1, work(&limiter, &clock, 180, 20)));
    for _ in 0..3 {
        assert_eq!(limiter.current_rate(), 100.0);
    }
}

/// What is taken while a change is made is of neither window.
#[test]
fn permits_of_a_slow_change() {
    let clock = Arc::new(Hooked::default());
    let limiter = Arc::new(builder(clock.clone()).min_utilisation(0.5).build().unwrap());
    work(&limiter, &clock, 99, 100)();
    clock.time.fetch_add(NANOS / 100, SeqCst);
    *clock.after_reading.lock().unwrap() = Some((2, work(&limiter, &clock, 90, 100)));
    assert_eq!(limiter.current_rate(), 100.0 * 1.1);
    work(&limiter, &clock, 10, 100)();
    clock.time.fetch_add(NANOS, SeqCst);
    assert_eq!(limiter.current_rate(), 100.0 * 1.1, "ten of 110 were used");
}

/// Ten errors, and the window over.
fn due() -> (AdaptiveRateLimiter<Arc<Hooked>>, Arc<Hooked>) {
    let clock = Arc::new(Hooked::default());
    let limiter = builder(clock.clone()).build().unwrap();
    (0..10).for_each(|_| limiter.record_error());
    clock.time.store(NANOS, SeqCst);
    (limiter, clock)
}

/// Lets the reading after so many panic.
fn panic_after(readings: usize, limiter: &AdaptiveRateLimiter<Arc<Hooked>>, clock: &Hooked) {
    clock.panics.lock().unwrap().extend((0..readings).map(|_| false).chain([true]));
    assert!(catch_unwind(AssertUnwindSafe(|| limiter.current_rate())).is_err());
}

#[test]
fn a_panic_before_the_change_leaves_the_window_due() {
    let (limiter, clock) = due();
    panic_after(2, &limiter, &clock);
    assert_eq!(limiter.current_rate(), 50.0);
    assert_eq!(limiter.stats().last_change.map(|change| change.errors), Some(10));
}

#[test]
fn a_panic_after_the_change_counts_no_report_twice() {
    let (limiter, clock) = due();
    panic_after(3, &limiter, &clock);
    assert_eq!(limiter.stats().current_rate, 50.0);
    (0..10).for_each(|_| limiter.record_success());
    assert_eq!(limiter.current_rate(), 50.0, "one change a window");
    clock.time.store(2 * NANOS, SeqCst);
    assert_eq!(limiter.current_rate(), 50.0 * 1.1);
    assert_eq!(limiter.stats().last_change.map(|change| (change.samples, change.errors)), Some((10, 0)));
}

struct Counting(AtomicU64);

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn is_pending<F: Future>(future: &mut Pin<Box<F>>, waker: &Waker) -> bool {
    future.as_mut().poll(&mut Context::from_waker(waker)).is_pending()
}

#[test]
fn nor_does_it_keep_who_waits_asleep() {
    let (limiter, clock) = due();
    clock.time.store(0, SeqCst);
    assert!(limiter.try_acquire_n(200).is_ok());
    let wakes = Arc::new(Counting(AtomicU64::new(0)));
    let waker = Waker::from(wakes.clone());
    let mut wait = Box::pin(limiter.acquire_n(200));
    assert!(is_pending(&mut wait, &waker));
    clock.time.store(NANOS, SeqCst);
    panic_after(3, &limiter, &clock);
    assert_eq!(wakes.0.load(SeqCst), 1, "200 are more than the burst now");
    assert!(!is_pending(&mut wait, &waker));
}

/// Under the gate: one permit was used, the others were given back.
#[test]
fn a_refund_counts_although_a_waker_panics() {
    struct Panicking;
    impl Wake for Panicking {
        fn wake(self: Arc<Self>) {
            panic!("a waker that panics");
        }
    }
    let clock = ManualClock::new();
    let limiter = builder(clock.clone()).min_utilisation(0.5).build().unwrap();
    assert!(limiter.try_acquire_n(200).is_ok());
    let waker = Waker::from(Arc::new(Panicking));
    let mut wait = Box::pin(limiter.acquire_n(200));
    assert!(is_pending(&mut wait, &waker));
    assert!(catch_unwind(AssertUnwindSafe(|| limiter.refund(199))).is_err());
    drop(wait);
    (0..10).for_each(|_| limiter.record_success());
    assert_eq!(limiter.available(), 199);
    let _ = catch_unwind(AssertUnwindSafe(|| clock.advance(SECOND)));
    assert_eq!(limiter.current_rate(), 100.0);
}

/// Calls in flight fail while the limiter is closed, so that nothing is granted: that says nothing of what was sent.
#[test]
fn late_errors_in_a_pause_do_not_make_cubic_forget() {
    let clock = ManualClock::new();
    let limiter = builder(clock.clone()).law(Law::Cubic).min_rate(0.01).build().unwrap();
    for _ in 0..100 {
        clock.advance(SECOND / 100);
        limiter.try_acquire().expect("within the rate");
        limiter.record_error();
    }
    limiter.record(Outcome::Throttled(Some(3 * SECOND)));
    clock.advance(SECOND);
    let cut = limiter.current_rate();
    assert!(cut > 65.0, "{cut}");
    (0..10).for_each(|_| limiter.record_error());
    clock.advance(SECOND);
    assert_eq!(limiter.current_rate(), 0.7 * cut);
}

/// Few reports at a rate that could have brought enough are dropped, however much is used; they do not wait for more.
#[test]
fn few_reports_do_not_keep_a_window_open() {
    let clock = ManualClock::new();
    let limiter = AdaptiveRateLimiter::builder().base_rate(100.0).clock(clock.clone()).build().unwrap();
    (0..9).for_each(|_| limiter.record_error());
    for _ in 0..2_000 {
        clock.advance(SECOND / 100);
        limiter.try_acquire().expect("within the rate");
    }
    assert_eq!(limiter.stats().window_samples, 0);
    limiter.record_error();
    clock.advance(20 * SECOND);
    assert_eq!(limiter.current_rate(), 100.0, "nine errors and one do not make ten");
}

/// There is one burst at the reopening, so whoever stands behind it waits for the rate.
#[test]
fn demand_beyond_a_burst_comes_after_the_reopening() {
    let clock = ManualClock::new();
    let limiter = AdaptiveRateLimiter::builder().base_rate(10.0).clock(clock.clone()).build().unwrap();
    limiter.record(Outcome::Throttled(Some(3 * SECOND)));
    let mut wait = Box::pin(limiter.acquire_n(20));
    assert!(is_pending(&mut wait, Waker::noop()));
    assert_eq!(limiter.time_to_available(10), Ok(4 * SECOND));
}
