//! The baselines of the window counters: two counts and a time behind a `std` mutex, as people write them.

use core::fmt;
use core::time::Duration;
use std::sync::Mutex;

use crate::mutex::{Lock, Time};

/// Of [`MutexWindow`]: the window before does not count.
pub const FIXED: bool = false;
/// Of [`MutexWindow`]: the window before counts by the share of it that a window's length before now reaches into.
pub const SLIDING: bool = true;

/// A window counter behind a mutex on the time `T`: [`FIXED`] or [`SLIDING`].
///
/// A window begins where the one before it ends, or with the first call after an idle one.
pub struct MutexWindow<T: Time, const SLIDES: bool> {
    state: Mutex<State<T::Point>>,
    time: T,
    limit: u64,
    window: Duration,
    /// The same in seconds.
    seconds: f64,
}

/// What stands behind the lock.
#[derive(Clone, Copy, Debug)]
struct State<P> {
    /// Of the window that is open.
    end: P,
    current: u64,
    previous: u64,
}

/// What a denial found.
struct Full {
    /// Seconds until the window ends.
    left: f64,
    current: u64,
    previous: u64,
}

impl<T: Time, const SLIDES: bool> MutexWindow<T, SLIDES> {
    /// A counter whose window begins now, after one in which `previous` permits were taken.
    #[must_use]
    pub fn new(limit: u64, window: Duration, previous: u64, time: T) -> Self {
        let state = State { end: T::after(time.now(), window), current: 0, previous };
        Self { state: Mutex::new(state), time, limit, window, seconds: window.as_secs_f64() }
    }

    /// Takes a permit, or nothing.
    #[inline]
    pub fn try_acquire(&self) -> bool {
        self.take().is_ok()
    }

    /// The same; a denial tells how long until there is one.
    ///
    /// # Errors
    /// How long, if there is none now.
    #[inline]
    pub fn try_acquire_or_wait(&self) -> Result<(), Duration> {
        self.take().map_err(|full| Duration::from_secs_f64(self.wait(&full).max(0.0)))
    }

    #[inline]
    fn take(&self) -> Result<(), Full> {
        self.state.with(|state| {
            // Under the lock, so that time passes once and forwards.
            let now = self.time.now();
            if now >= state.end {
                let next = T::after(state.end, self.window);
                (state.end, state.previous) =
                    if now < next { (next, state.current) } else { (T::after(now, self.window), 0) };
                state.current = 0;
            }
            let left = T::seconds_between(now, state.end);
            let fits = if SLIDES {
                let weight = state.previous as f64 * (left / self.seconds);
                weight + (state.current + 1) as f64 <= self.limit as f64
            } else {
                state.current < self.limit
            };
            if fits {
                state.current += 1;
                Ok(())
            } else {
                Err(Full { left, current: state.current, previous: state.previous })
            }
        })
    }

    /// Seconds until there is a permit.
    #[inline]
    fn wait(&self, full: &Full) -> f64 {
        if !SLIDES {
            return full.left;
        }
        // Either this window's end comes near enough, or that of the next one, in which this one counts.
        let (left, weight, room) = if full.current < self.limit {
            (full.left, full.previous, self.limit - 1 - full.current)
        } else {
            (full.left + self.seconds, full.current, self.limit - 1)
        };
        left - room as f64 / weight as f64 * self.seconds
    }
}

impl<T: Time, const SLIDES: bool> fmt::Debug for MutexWindow<T, SLIDES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MutexWindow")
            .field("slides", &SLIDES)
            .field("limit", &self.limit)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use sluicegate::ManualClock;

    use super::{FIXED, MutexWindow, SLIDING};
    use crate::mutex::{InstantTime, Time};

    const WINDOW: Duration = Duration::from_secs(10);

    fn taken<T: Time, const SLIDES: bool>(counter: &MutexWindow<T, SLIDES>) -> usize {
        (0..1_000).take_while(|_| counter.try_acquire()).count()
    }

    /// Whatever the previous window was, and the end of this one is what a denial waits for.
    #[test]
    fn a_fixed_window_starts_with_all_of_them() {
        let clock = ManualClock::new();
        let counter: MutexWindow<_, FIXED> = MutexWindow::new(100, WINDOW, 100, clock.clone());
        clock.advance(Duration::from_secs(3));
        assert_eq!(taken(&counter), 100);
        assert_eq!(counter.try_acquire_or_wait(), Err(Duration::from_secs(7)));
        clock.advance(Duration::from_secs(7));
        assert_eq!(taken(&counter), 100);
        clock.advance(Duration::from_secs(60));
        assert_eq!(taken(&counter), 100);
    }

    /// The textbook's case: 100 in 10 s, all used in the last window, 3 s into this one: 30 more.
    #[test]
    fn a_sliding_window_weighs_the_one_before() {
        let clock = ManualClock::new();
        let counter: MutexWindow<_, SLIDING> = MutexWindow::new(100, WINDOW, 0, clock.clone());
        assert_eq!(taken(&counter), 100);
        // One of them is gone a tenth of a second into the next window.
        assert_eq!(counter.try_acquire_or_wait(), Err(Duration::from_millis(10_100)));
        clock.advance(Duration::from_secs(13));
        assert_eq!(taken(&counter), 30);
        assert_eq!(counter.try_acquire_or_wait(), Err(Duration::from_millis(100)));
        clock.advance(Duration::from_millis(101));
        assert_eq!(taken(&counter), 1);
        clock.advance(Duration::from_secs(60));
        assert_eq!(taken(&counter), 100);
    }

    #[test]
    fn starts_after_a_window_in_which_something_was_taken() {
        let clock = ManualClock::new();
        let counter: MutexWindow<_, SLIDING> = MutexWindow::new(100, WINDOW, 100, clock.clone());
        assert_eq!(taken(&counter), 0);
        clock.advance(Duration::from_secs(5));
        assert_eq!(taken(&counter), 50);
    }

    #[test]
    fn works_on_the_instant() {
        assert_eq!(taken(&MutexWindow::<_, FIXED>::new(2, WINDOW, 2, InstantTime)), 2);
        assert_eq!(taken(&MutexWindow::<_, SLIDING>::new(2, WINDOW, 0, InstantTime)), 2);
    }
}
