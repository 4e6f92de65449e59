//! The baselines: the token bucket that people write, tokens and a time behind a mutex.
//!
//! Two locks by two clocks make four of them: `std` or `parking_lot`, [`Instant`] or sluicegate's own clock. The
//! latter pair shows how much of the difference the clock makes.

use core::fmt;
use core::time::Duration;
use std::sync::PoisonError;
use std::time::Instant;

use sluicegate::{Clock, MonotonicClock};

/// `std::sync::Mutex` on `Instant`: what people write.
pub type StdInstant = MutexBucket<InstantTime, std::sync::Mutex<State<Instant>>>;
/// `std::sync::Mutex` on sluicegate's default clock.
pub type StdMonotonic = MutexBucket<MonotonicClock, std::sync::Mutex<State<u64>>>;
/// `parking_lot::Mutex` on `Instant`.
pub type ParkingLotInstant = MutexBucket<InstantTime, parking_lot::Mutex<State<Instant>>>;
/// `parking_lot::Mutex` on sluicegate's default clock.
pub type ParkingLotMonotonic = MutexBucket<MonotonicClock, parking_lot::Mutex<State<u64>>>;

/// A source of time, and what it counts in.
pub trait Time: Sync {
    /// A reading.
    type Point: Copy + Send + Ord;
    /// The current time.
    fn now(&self) -> Self::Point;
    /// The seconds between two readings; 0 if they are the wrong way round.
    fn seconds_between(earlier: Self::Point, later: Self::Point) -> f64;
    /// What a reading is `by` later.
    fn after(point: Self::Point, by: Duration) -> Self::Point;
}

/// The standard library's monotonic time.
#[derive(Clone, Copy, Debug, Default)]
pub struct InstantTime;

impl Time for InstantTime {
    type Point = Instant;

    #[inline]
    fn now(&self) -> Instant {
        Instant::now()
    }

    #[inline]
    fn seconds_between(earlier: Instant, later: Instant) -> f64 {
        later.duration_since(earlier).as_secs_f64()
    }

    #[inline]
    fn after(point: Instant, by: Duration) -> Instant {
        point + by
    }
}

impl<C: Clock> Time for C {
    type Point = u64;

    #[inline]
    fn now(&self) -> u64 {
        Clock::now(self).as_nanos()
    }

    #[inline]
    fn seconds_between(earlier: u64, later: u64) -> f64 {
        later.saturating_sub(earlier) as f64 * 1e-9
    }

    #[inline]
    fn after(point: u64, by: Duration) -> u64 {
        point + by.as_nanos() as u64
    }
}

/// A mutex.
pub trait Lock<S>: Sync {
    /// Around `state`.
    fn new(state: S) -> Self;
    /// Runs `op` under the lock.
    fn with<R>(&self, op: impl FnOnce(&mut S) -> R) -> R;
}

impl<S: Send> Lock<S> for std::sync::Mutex<S> {
    fn new(state: S) -> Self {
        Self::new(state)
    }

    #[inline]
    fn with<R>(&self, op: impl FnOnce(&mut S) -> R) -> R {
        op(&mut self.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S: Send> Lock<S> for parking_lot::Mutex<S> {
    fn new(state: S) -> Self {
        Self::new(state)
    }

    #[inline]
    fn with<R>(&self, op: impl FnOnce(&mut S) -> R) -> R {
        op(&mut self.lock())
    }
}

/// What stands behind the lock.
#[derive(Clone, Copy, Debug)]
pub struct State<P> {
    tokens: f64,
    last: P,
}

impl<P: Copy> State<P> {
    pub(crate) const fn new(tokens: f64, now: P) -> Self {
        Self { tokens, last: now }
    }

    /// Adds what has come until `now`.
    #[inline]
    pub(crate) fn earn<T: Time<Point = P>>(&mut self, now: P, per_second: f64, burst: f64) {
        let earned = T::seconds_between(self.last, now) * per_second;
        self.tokens = (self.tokens + earned).min(burst);
        self.last = now;
    }

    /// Whether there is nothing to add until it is used again.
    #[inline]
    pub(crate) fn is_full(&self, burst: f64) -> bool {
        self.tokens >= burst
    }

    /// Takes `n` tokens, or tells how much is missing.
    #[inline]
    pub(crate) fn take(&mut self, n: f64) -> Option<f64> {
        if self.tokens >= n {
            self.tokens -= n;
            None
        } else {
            Some(n - self.tokens)
        }
    }
}

/// A token bucket behind the lock `L` on the time `T`.
pub struct MutexBucket<T: Time, L: Lock<State<T::Point>>> {
    state: L,
    time: T,
    per_second: f64,
    burst: f64,
}

impl<T: Time, L: Lock<State<T::Point>>> MutexBucket<T, L> {
    /// A full bucket.
    #[must_use]
    pub fn new(per_second: f64, burst: f64, time: T) -> Self {
        let state = L::new(State::new(burst, time.now()));
        Self { state, time, per_second, burst }
    }

    /// Takes a token, or nothing.
    #[inline]
    pub fn try_acquire(&self) -> bool {
        self.take(1.0).is_none()
    }

    /// The same; a denial tells how long until there is one.
    ///
    /// # Errors
    /// How long, if there is none now.
    #[inline]
    pub fn try_acquire_or_wait(&self) -> Result<(), Duration> {
        self.try_acquire_n_or_wait(1.0)
    }

    /// The same for `n` tokens.
    ///
    /// # Errors
    /// How long until there are as many, if there are not now.
    #[inline]
    pub fn try_acquire_n_or_wait(&self, n: f64) -> Result<(), Duration> {
        match self.take(n) {
            None => Ok(()),
            Some(missing) => Err(Duration::from_secs_f64(missing / self.per_second)),
        }
    }

    /// Takes `n` tokens, or tells how much is missing.
    #[inline]
    fn take(&self, n: f64) -> Option<f64> {
        self.state.with(|state| {
            // Under the lock, so that time passes once and forwards.
            state.earn::<T>(self.time.now(), self.per_second, self.burst);
            state.take(n)
        })
    }
}

impl<T: Time, L: Lock<State<T::Point>>> fmt::Debug for MutexBucket<T, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MutexBucket")
            .field("per_second", &self.per_second)
            .field("burst", &self.burst)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use sluicegate::ManualClock;

    use super::{Lock, MutexBucket, ParkingLotInstant, State, StdInstant};

    /// Starts full, is cut at the burst, earns fractions of a token and tells what is missing.
    fn keeps_its_quota<L: Lock<State<u64>>>() {
        let clock = ManualClock::new();
        let bucket: MutexBucket<_, L> = MutexBucket::new(4.0, 2.0, clock.clone());
        let taken = || (0..10).take_while(|_| bucket.try_acquire()).count();
        assert_eq!(taken(), 2);
        clock.advance(Duration::from_millis(125));
        assert_eq!(bucket.try_acquire_or_wait(), Err(Duration::from_millis(125)));
        clock.advance(Duration::from_millis(125));
        assert_eq!(bucket.try_acquire_or_wait(), Ok(()));
        assert_eq!(taken(), 0);
        clock.advance(Duration::from_secs(60));
        assert_eq!(taken(), 2);
    }

    #[test]
    fn both_locks_keep_the_quota() {
        keeps_its_quota::<std::sync::Mutex<_>>();
        keeps_its_quota::<parking_lot::Mutex<_>>();
    }

    #[test]
    fn works_on_the_instant() {
        let (std, parking_lot) =
            (StdInstant::new(1e-3, 1.0, super::InstantTime), ParkingLotInstant::new(1e-3, 1.0, super::InstantTime));
        assert!(std.try_acquire() && parking_lot.try_acquire());
        assert!(!std.try_acquire() && !parking_lot.try_acquire());
    }
}
