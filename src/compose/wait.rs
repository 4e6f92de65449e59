//! Waiting for a composite: by trying again.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::time::Instant;

use super::AllOf;
use super::members::Members;
use crate::error::RateLimitExceeded;
use crate::limiter::Limiter;
use crate::wait::{LONGEST_SLEEP, Sleeper, Step, Steps, Timer, block_on};

/// Nobody sleeps for less, and after each sleep in vain for twice as long, up to [`DOUBLINGS`]. So nobody spins: not in front of a
/// clock that stands still, nor where others are always faster.
const SHORTEST_SLEEP: Duration = Duration::from_micros(50);
/// Up to 12.8 ms.
const DOUBLINGS: u32 = 8;

impl<M: Members> AllOf<M> {
    /// Waits for one permit of each member. See [`acquire_n`](Self::acquire_n).
    ///
    /// # Errors
    /// As [`acquire_n`](Self::acquire_n).
    ///
    /// ```
    /// use sluicegate::{Quota, TokenBucket, all_of};
    ///
    /// let (a, b) = (TokenBucket::new(Quota::per_hour(5))?, TokenBucket::new(Quota::per_hour(9))?);
    /// # futures_lite::future::block_on(async {
    /// assert_eq!(all_of((&a, &b)).acquire().await, Ok(()));
    /// assert_eq!((a.available(), b.available()), (4, 8));
    /// # });
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn acquire(&self) -> AcquireAll<'_, M> {
        self.acquire_n(1)
    }

    /// Waits for `n` permits of each member: tries, and when that is denied tries again after `retry_after`, until all of them have
    /// them at once. In no order; it stands in no member's line, and does not learn of what others give back meanwhile.
    ///
    /// It sleeps for 50 microseconds at least, twice that after each sleep in vain, up to 13 ms, and for a minute at most. Where members have a clock
    /// that is moved by hand, it also tries again when that is moved. Tasks sleep on the timer of the first member's clock.
    /// In the statistics of the first member each try that it denies is a rejected call.
    ///
    /// # Errors
    /// [`ExceedsCapacity`](RateLimitExceeded::ExceedsCapacity) and [`KeysExhausted`](RateLimitExceeded::KeysExhausted), at once. Nothing was
    /// charged.
    ///
    /// # Cancel safety
    /// Between two tries it holds nothing: dropped before it is ready, it leaves no trace.
    ///
    /// ```
    /// use sluicegate::{Quota, RateLimitExceeded, TokenBucket, all_of};
    ///
    /// let (a, b) = (TokenBucket::new(Quota::per_second(1_000).burst(2))?, TokenBucket::new(Quota::per_second(500).burst(1))?);
    /// let both = all_of((&a, &b));
    /// # futures_lite::future::block_on(async {
    /// for _ in 0..3 {
    ///     assert_eq!(both.acquire_n(1).await, Ok(())); // one every two milliseconds
    /// }
    /// let never = both.acquire_n(2).await;
    /// assert_eq!(never, Err(RateLimitExceeded::ExceedsCapacity { requested: 2, capacity: 1 }));
    /// # });
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn acquire_n(&self, n: u64) -> AcquireAll<'_, M> {
        AcquireAll { sleeper: Sleeper::new(Tries::new(self, n, None)) }
    }

    /// Waits for `n` permits of each member, for `timeout` of real time at most; what is slept counts, whatever time passes for
    /// whom.
    ///
    /// # Errors
    /// As [`acquire_n`](Self::acquire_n); and [`Denied`](RateLimitExceeded::Denied), at once, if a member's permits cannot come in
    /// time; or after `timeout`. Nothing was charged.
    ///
    /// # Cancel safety
    /// As [`acquire_n`](Self::acquire_n).
    ///
    /// ```
    /// use sluicegate::{Quota, TokenBucket, all_of};
    /// use std::time::Duration;
    ///
    /// let (a, b) = (TokenBucket::new(Quota::per_hour(5))?, TokenBucket::new(Quota::per_hour(9))?);
    /// let both = all_of((&a, &b));
    /// # futures_lite::future::block_on(async {
    /// assert_eq!(both.acquire_timeout(5, Duration::ZERO).await, Ok(()));
    /// assert!(both.acquire_timeout(1, Duration::from_secs(60)).await.is_err()); // at once: it takes twelve minutes
    /// assert_eq!(b.available(), 4);
    /// # });
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn acquire_timeout(&self, n: u64, timeout: Duration) -> AcquireAll<'_, M> {
        AcquireAll { sleeper: Sleeper::new(Tries::new(self, n, Some(timeout))) }
    }

    /// Waits for one permit of each member on this thread. See [`blocking_acquire_n`](Self::blocking_acquire_n).
    ///
    /// # Errors
    /// As [`acquire_n`](Self::acquire_n).
    ///
    /// # Blocking
    /// Parks the thread.
    ///
    /// ```
    /// use sluicegate::{Quota, RateLimitExceeded, TokenBucket, all_of};
    ///
    /// let (a, b) = (TokenBucket::new(Quota::per_hour(5))?, TokenBucket::new(Quota::per_hour(1))?);
    /// assert_eq!(all_of((&a, &b)).blocking_acquire(), Ok(()));
    /// let never = all_of((&a, (&b, 2))).blocking_acquire();
    /// assert_eq!(never, Err(RateLimitExceeded::ExceedsCapacity { requested: 1, capacity: 0 }));
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn blocking_acquire(&self) -> Result<(), RateLimitExceeded> {
        self.blocking_acquire_n(1)
    }

    /// Waits for `n` permits of each member on this thread, as [`acquire_n`](Self::acquire_n) does.
    ///
    /// # Errors
    /// As [`acquire_n`](Self::acquire_n).
    ///
    /// # Blocking
    /// Parks the thread.
    ///
    /// ```
    /// use sluicegate::{Quota, TokenBucket, all_of};
    ///
    /// let (a, b) = (TokenBucket::new(Quota::per_second(5))?, TokenBucket::new(Quota::per_second(1_000).burst(1))?);
    /// let both = all_of((&a, &b));
    /// assert_eq!(both.blocking_acquire_n(1), Ok(()));
    /// assert_eq!(both.blocking_acquire_n(1), Ok(())); // a millisecond later
    /// assert!(both.blocking_acquire_n(2).is_err());
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn blocking_acquire_n(&self, n: u64) -> Result<(), RateLimitExceeded> {
        block_on(Tries::new(self, n, None))
    }

    /// Waits for `n` permits of each member on this thread, for `timeout` at most: see
    /// [`acquire_timeout`](Self::acquire_timeout).
    ///
    /// # Errors
    /// As [`acquire_timeout`](Self::acquire_timeout).
    ///
    /// # Blocking
    /// Parks the thread, for `timeout` at most.
    ///
    /// ```
    /// use sluicegate::{Quota, TokenBucket, all_of};
    /// use std::time::Duration;
    ///
    /// let (a, b) = (TokenBucket::new(Quota::per_hour(5))?, TokenBucket::new(Quota::per_hour(9))?);
    /// let both = all_of((&a, &b));
    /// assert_eq!(both.blocking_acquire_timeout(5, Duration::ZERO), Ok(()));
    /// assert!(both.blocking_acquire_timeout(1, Duration::from_secs(60)).is_err()); // at once: it takes twelve minutes
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn blocking_acquire_timeout(&self, n: u64, timeout: Duration) -> Result<(), RateLimitExceeded> {
        block_on(Tries::new(self, n, Some(timeout)))
    }
}

/// The future of [`AllOf::acquire`], [`AllOf::acquire_n`] and [`AllOf::acquire_timeout`]: ready when the permits are taken, or when they
/// will not be. Polled again after that, it is pending.
///
/// # Cancel safety
/// Dropped before it is ready, nothing was charged.
///
/// ```
/// use sluicegate::{AcquireAll, Quota, TokenBucket, all_of};
///
/// let (a, b) = (TokenBucket::new(Quota::per_hour(1))?, TokenBucket::new(Quota::per_hour(1))?);
/// let both = all_of((&a, &b));
/// let acquire: AcquireAll<'_, (&TokenBucket, &TokenBucket)> = both.acquire();
/// drop(acquire); // never polled: nothing was taken
/// assert_eq!(futures_lite::future::block_on(both.acquire()), Ok(()));
/// assert!(futures_lite::future::block_on(both.acquire_n(2)).is_err()); // more than ever fits
/// # Ok::<(), sluicegate::ConfigError>(())
/// ```
#[must_use = "futures do nothing unless they are polled"]
pub struct AcquireAll<'a, M: Members> {
    sleeper: Sleeper<Tries<'a, M>>,
}

impl<M: Members> Future for AcquireAll<'_, M> {
    type Output = Result<(), RateLimitExceeded>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.sleeper.poll(context)
    }
}

impl<M: Members> fmt::Debug for AcquireAll<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tries = &self.sleeper.steps;
        f.debug_struct("AcquireAll")
            .field("permits", &tries.n)
            .field("timeout", &tries.timeout)
            .field("sleeps", &tries.sleeps)
            .finish_non_exhaustive()
    }
}

/// Somebody who tries again and again.
struct Tries<'a, M: Members> {
    limiter: &'a AllOf<M>,
    n: u64,
    timeout: Option<Duration>,
    /// How often it slept.
    sleeps: u32,
    /// From the first one on, if there is a deadline.
    since: Option<Instant>,
    slept: Duration,
    is_done: bool,
}

impl<'a, M: Members> Tries<'a, M> {
    fn new(limiter: &'a AllOf<M>, n: u64, timeout: Option<Duration>) -> Self {
        Self { limiter, n, timeout, sleeps: 0, since: None, slept: Duration::ZERO, is_done: false }
    }

    /// What is left of the time, if it has an end.
    fn left(&mut self) -> Option<Duration> {
        let timeout = self.timeout?;
        let since = *self.since.get_or_insert_with(Instant::now);
        // What was slept counts too: a runtime's own time may pass faster.
        Some(timeout.saturating_sub(since.elapsed().max(self.slept)))
    }

    fn done(&mut self, outcome: Result<(), RateLimitExceeded>) -> Step {
        self.is_done = true;
        Step::Done(outcome)
    }

    /// Whether any of the clocks wakes `waker` when it is moved.
    fn wake_on_change(&self, waker: &Waker) -> bool {
        let mut wakes = false;
        self.limiter.composite_clocks(&mut |clock| wakes |= clock.wake_on_change(waker));
        wakes
    }
}

impl<M: Members> Steps for Tries<'_, M> {
    fn step(&mut self, waker: &Waker) -> Step {
        if self.is_done {
            return Step::Sleep(None);
        }
        let shortest = SHORTEST_SLEEP * (1 << self.sleeps.min(DOUBLINGS));
        let mut is_registered = false;
        loop {
            let left = self.left();
            let retry_after = match self.limiter.try_acquire_n(self.n) {
                Err(RateLimitExceeded::Denied { retry_after }) => retry_after,
                outcome => return self.done(outcome),
            };
            if left.is_some_and(|left| left.is_zero() || left < retry_after) {
                return self.done(Err(RateLimitExceeded::Denied { retry_after }));
            }
            // A clock that is moved by hand might have been, between the try and the registration: so after that, once more.
            if is_registered || !self.wake_on_change(waker) {
                let sleep = retry_after.max(shortest).min(left.unwrap_or(Duration::MAX));
                return Step::Sleep(Some(sleep.min(LONGEST_SLEEP)));
            }
            is_registered = true;
        }
    }

    fn slept(&mut self, time: Duration) {
        self.sleeps = self.sleeps.saturating_add(1);
        self.slept = self.slept.saturating_add(time);
    }

    fn timer(&self, time: Duration) -> Timer {
        let mut timer = None;
        self.limiter.composite_clocks(&mut |clock| {
            if timer.is_none() {
                timer = Some(clock.timer(time));
            }
        });
        timer.unwrap_or_else(|| Timer::shared(time))
    }
}
