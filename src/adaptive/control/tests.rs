//! What cannot be seen from outside: who is waited for.

use crate::adaptive::{AdaptiveRateLimiter, AdaptiveRateLimiterBuilder};
use crate::clock::{Clock, ManualClock};
use core::time::Duration;

/// A second window is due, and has an error.
fn due() -> AdaptiveRateLimiter<ManualClock> {
    let clock = ManualClock::new();
    let builder = AdaptiveRateLimiterBuilder::new(clock.clone()).base_rate(100.0).window(Duration::from_secs(1));
    let limiter = builder.min_samples(1).build().unwrap();
    limiter.record_error();
    clock.advance(Duration::from_secs(1));
    limiter
}

/// Before the first change the rate is the first one. Kills: a rate of nothing until then.
#[test]
fn the_rate_before_a_change_is_the_base_rate() {
    let limiter = AdaptiveRateLimiterBuilder::new(ManualClock::new()).base_rate(70.0).build().unwrap();
    assert_eq!((limiter.stats().current_rate, limiter.stats().last_change), (70.0, None));
}

/// One that looks at the quota and is stopped there holds up nobody; what was due stays due, and nothing is lost.
#[test]
fn an_ender_does_not_wait_for_a_look_at_the_quota() {
    let limiter = due();
    let stopped = limiter.bucket.core.hold_setter();
    assert!(limiter.try_acquire().is_ok());
    assert_eq!(limiter.current_rate(), 100.0);
    assert_eq!(limiter.stats().window_errors, 1);
    drop(stopped);
    assert_eq!(limiter.current_rate(), 50.0);
    assert_eq!(limiter.stats().last_change.map(|change| change.errors), Some(1));
}

/// Nor does anybody wait for one who is stopped while it ends a window.
#[test]
fn nobody_waits_for_an_ender() {
    let limiter = due();
    let stopped = limiter.control.turn.lock();
    assert!(limiter.try_acquire().is_ok());
    assert!(limiter.try_acquire_n(500).is_err());
    assert_eq!(limiter.current_rate(), 100.0);
    assert_eq!(limiter.stats().last_change, None);
    drop(stopped);
    assert_eq!(limiter.current_rate(), 50.0);
}

/// Who comes to end a window that has just been ended leaves the next one alone. Kills: an end that is not looked at again.
#[test]
fn a_late_ender_ends_nothing() {
    let limiter = due();
    let ticks = limiter.bucket.clock.ticks();
    assert_eq!(limiter.current_rate(), 50.0);
    limiter.record_error();
    limiter.end_window(ticks);
    assert_eq!((limiter.current_rate(), limiter.stats().window_errors), (50.0, 1));
}

/// While nobody can end the window because the setter's lock is held, its figures stay those of its time.
#[test]
fn a_window_that_stays_due_is_as_long_as_it_lasts() {
    let clock = ManualClock::new();
    let builder = AdaptiveRateLimiterBuilder::new(clock.clone()).base_rate(100.0).window(Duration::from_secs(1));
    let limiter = builder.law(crate::Law::Cubic).min_rate(1.0).build().unwrap();
    let fail = |calls: u32| {
        for _ in 0..calls {
            limiter.try_acquire().unwrap();
            limiter.record_error();
            clock.advance(Duration::from_millis(50));
        }
    };
    fail(20);
    let stopped = limiter.bucket.core.hold_setter();
    fail(180);
    drop(stopped);
    assert!((limiter.current_rate() - 0.7 * 20.0).abs() < 0.1, "20 a second were taken, always");
}
