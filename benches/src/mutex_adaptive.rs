//! The baseline of the adaptive limiter: a token bucket whose rate follows the errors, all of it behind one mutex, as
//! people write it.
//!
//! It does what sluicegate's does, with the mistakes left out that such code often has: one change a window, however many
//! errors; errors by the calls that were reported, not by those that were denied; and a change of rate keeps the tokens.

use core::fmt;
use core::time::Duration;
use std::time::Instant;

use crate::mutex::{self, InstantTime, Lock, Time};

/// `std::sync::Mutex` on `Instant`: what people write.
pub type StdAdaptive = MutexAdaptive<InstantTime, std::sync::Mutex<State<Instant>>>;
/// `parking_lot::Mutex` on `Instant`.
pub type ParkingLotAdaptive = MutexAdaptive<InstantTime, parking_lot::Mutex<State<Instant>>>;

/// When the rate changes, and by how much.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// In tokens a second: what it starts with.
    pub base_rate: f64,
    /// The lowest rate.
    pub min_rate: f64,
    /// The highest rate.
    pub max_rate: f64,
    /// The rate is reduced above this share of errors in a window, and raised otherwise.
    pub error_threshold: f64,
    /// What the rate is multiplied by to raise it.
    pub recovery_factor: f64,
    /// What the rate is multiplied by to reduce it.
    pub reduction_factor: f64,
    /// How long reports are counted.
    pub window: Duration,
    /// Fewer reports in a window change nothing.
    pub min_samples: u64,
}

impl Settings {
    /// sluicegate's defaults.
    #[must_use]
    pub const fn new(base_rate: f64) -> Self {
        Self {
            base_rate,
            min_rate: base_rate / 10.0,
            max_rate: base_rate * 2.0,
            error_threshold: 0.1,
            recovery_factor: 1.1,
            reduction_factor: 0.5,
            window: Duration::from_secs(10),
            min_samples: 10,
        }
    }

    /// The same, but no window changes the rate.
    #[must_use]
    pub const fn steady(rate: f64) -> Self {
        Self { min_rate: rate, max_rate: rate, ..Self::new(rate) }
    }

    /// The rate after a window in which `errors` of `samples` reports were errors.
    fn next(&self, rate: f64, samples: u64, errors: u64) -> f64 {
        if samples < self.min_samples {
            return rate;
        }
        let share = errors as f64 / samples as f64;
        let factor = if share > self.error_threshold { self.reduction_factor } else { self.recovery_factor };
        (rate * factor).clamp(self.min_rate, self.max_rate)
    }
}

/// What stands behind the lock.
#[derive(Clone, Copy, Debug)]
pub struct State<P> {
    bucket: mutex::State<P>,
    /// Of the bucket, and its burst: what comes in two seconds, and at least one.
    rate: f64,
    burst: f64,
    /// Of the running window: how many reports, how many of them errors, and when it ends.
    samples: u64,
    errors: u64,
    end: P,
}

/// An adaptive limiter behind the lock `L` on the time `T`.
pub struct MutexAdaptive<T: Time, L: Lock<State<T::Point>>> {
    state: L,
    time: T,
    settings: Settings,
}

impl<T: Time, L: Lock<State<T::Point>>> MutexAdaptive<T, L> {
    /// A full bucket at the base rate, and a window that begins now.
    #[must_use]
    pub fn new(settings: Settings, time: T) -> Self {
        let (now, rate) = (time.now(), settings.base_rate);
        let state = State {
            bucket: mutex::State::new(burst(rate), now),
            rate,
            burst: burst(rate),
            samples: 0,
            errors: 0,
            end: T::after(now, settings.window),
        };
        Self { state: L::new(state), time, settings }
    }

    /// Takes `n` tokens, or nothing.
    #[inline]
    pub fn try_acquire_n(&self, n: u64) -> bool {
        self.state.with(|state| {
            self.catch_up(state);
            state.bucket.take(n as f64).is_none()
        })
    }

    /// Counts a call that went well.
    #[inline]
    pub fn record_success(&self) {
        self.state.with(|state| state.samples += 1);
    }

    /// Counts a call that failed.
    #[inline]
    pub fn record_error(&self) {
        self.state.with(|state| {
            state.samples += 1;
            state.errors += 1;
        });
    }

    /// In tokens a second.
    pub fn current_rate(&self) -> f64 {
        self.state.with(|state| {
            self.catch_up(state);
            state.rate
        })
    }

    /// Adds what has come at the rate until now, and ends the window if it is over.
    #[inline]
    fn catch_up(&self, state: &mut State<T::Point>) {
        // Under the lock, so that time passes once and forwards.
        let now = self.time.now();
        state.bucket.earn::<T>(now, state.rate, state.burst);
        if now >= state.end {
            state.rate = self.settings.next(state.rate, state.samples, state.errors);
            state.burst = burst(state.rate);
            // Nothing has come since; this cuts off what is above a smaller burst.
            state.bucket.earn::<T>(now, state.rate, state.burst);
            (state.samples, state.errors) = (0, 0);
            state.end = T::after(now, self.settings.window);
        }
    }
}

fn burst(rate: f64) -> f64 {
    (2.0 * rate).floor().max(1.0)
}

impl<T: Time, L: Lock<State<T::Point>>> fmt::Debug for MutexAdaptive<T, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MutexAdaptive").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::thread;

    use sluicegate::ManualClock;

    use super::{MutexAdaptive, ParkingLotAdaptive, Settings, State, StdAdaptive};
    use crate::mutex::{InstantTime, Lock, Time};

    const WINDOW: Duration = Duration::from_secs(10);

    type OnStd = MutexAdaptive<ManualClock, std::sync::Mutex<State<u64>>>;
    type OnParkingLot = MutexAdaptive<ManualClock, parking_lot::Mutex<State<u64>>>;

    fn taken<T: Time, L: Lock<State<T::Point>>>(limiter: &MutexAdaptive<T, L>) -> usize {
        (0..1_000).take_while(|_| limiter.try_acquire_n(1)).count()
    }

    fn report<T: Time, L: Lock<State<T::Point>>>(limiter: &MutexAdaptive<T, L>, successes: usize, errors: usize) {
        (0..successes).for_each(|_| limiter.record_success());
        (0..errors).for_each(|_| limiter.record_error());
    }

    /// Ten threads report errors and ask, on both sides of a window's end.
    fn is_cut_once_a_window<L: Lock<State<u64>>>() {
        let clock = ManualClock::new();
        let limiter: MutexAdaptive<_, L> = MutexAdaptive::new(Settings::new(100.0), clock.clone());
        let storm = || {
            thread::scope(|scope| {
                for _ in 0..10 {
                    scope.spawn(|| {
                        for _ in 0..100 {
                            limiter.record_error();
                            limiter.try_acquire_n(1);
                        }
                    });
                }
            });
        };
        storm();
        assert_eq!(limiter.current_rate(), 100.0);
        clock.advance(WINDOW);
        storm();
        assert_eq!(limiter.current_rate(), 50.0);
        clock.advance(WINDOW);
        assert_eq!(limiter.current_rate(), 25.0);
    }

    #[test]
    fn both_locks_cut_once_a_window() {
        is_cut_once_a_window::<std::sync::Mutex<_>>();
        is_cut_once_a_window::<parking_lot::Mutex<_>>();
    }

    /// A half-second window at 10 a second: it brings 5, which a cut to 5 a second leaves there.
    #[test]
    fn a_change_keeps_the_level() {
        let clock = ManualClock::new();
        let settings = Settings { window: Duration::from_millis(500), ..Settings::new(10.0) };
        let limiter = OnStd::new(settings, clock.clone());
        assert_eq!(taken(&limiter), 20);
        report(&limiter, 0, 20);
        clock.advance(Duration::from_millis(500));
        assert_eq!(taken(&limiter), 5);
        assert_eq!(limiter.current_rate(), 5.0);
        clock.advance(Duration::from_millis(199));
        assert_eq!(taken(&limiter), 0);
        clock.advance(Duration::from_millis(1));
        assert_eq!(taken(&limiter), 1);
    }

    #[test]
    fn a_full_bucket_is_cut_to_the_smaller_burst() {
        let clock = ManualClock::new();
        let limiter = OnParkingLot::new(Settings::new(10.0), clock.clone());
        report(&limiter, 0, 10);
        clock.advance(WINDOW);
        assert_eq!(taken(&limiter), 10);
    }

    #[test]
    fn follows_the_share_of_errors_within_its_bounds() {
        let clock = ManualClock::new();
        let limiter = OnStd::new(Settings::new(100.0), clock.clone());
        let after = |successes, errors| {
            report(&limiter, successes, errors);
            clock.advance(WINDOW);
            limiter.current_rate()
        };
        // A tenth is not above the threshold.
        assert_eq!(after(9, 1), 100.0 * 1.1);
        assert_eq!(after(8, 2), 100.0 * 1.1 * 0.5);
        // Too few, and those of a window that is over do not count.
        assert_eq!(after(0, 9), 100.0 * 1.1 * 0.5);
        assert_eq!(after(0, 9), 100.0 * 1.1 * 0.5);
        assert_eq!((0..10).fold(0.0, |_, _| after(0, 10)), 10.0);
        assert_eq!((0..40).fold(0.0, |_, _| after(10, 0)), 200.0);
    }

    /// A window begins when the one before it is found to be over.
    #[test]
    fn a_window_lasts_as_long_after_a_late_end() {
        let clock = ManualClock::new();
        let limiter = OnStd::new(Settings::new(100.0), clock.clone());
        clock.advance(Duration::from_secs(12));
        assert_eq!(limiter.current_rate(), 100.0);
        report(&limiter, 0, 10);
        clock.advance(Duration::from_secs(9));
        assert_eq!(limiter.current_rate(), 100.0);
        clock.advance(Duration::from_secs(1));
        assert_eq!(limiter.current_rate(), 50.0);
    }

    #[test]
    fn works_on_the_instant() {
        let steady = Settings::steady(1.0 / 3_600.0);
        assert_eq!(taken(&StdAdaptive::new(steady, InstantTime)), 1);
        assert_eq!(taken(&ParkingLotAdaptive::new(steady, InstantTime)), 1);
    }
}
