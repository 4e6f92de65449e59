//! A clock that stands still until it is moved by hand.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::task::Waker;
use core::time::Duration;

use crate::clock::Clock;
use crate::nanos::Nanos;
use crate::sync::{AtomicU64, Mutex, Ordering};
use crate::wake::wake_all;
use crate::word::cas;

/// A clock that is moved by hand, for tests: of this crate and of its users.
///
/// It starts at 0. Clones share the same time. Moving it wakes whoever waits on it, also backwards.
///
/// ```
/// use sluicegate::{ManualClock, Quota, TokenBucket};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let bucket = TokenBucket::with_clock(Quota::per_minute(1), clock.clone())?;
/// assert!(bucket.try_acquire().is_ok());
///
/// clock.advance(Duration::from_nanos(59_999_999_999));
/// assert!(bucket.try_acquire().is_err());
/// clock.advance(Duration::from_nanos(1));
/// assert!(bucket.try_acquire().is_ok());
/// # Ok::<(), sluicegate::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct ManualClock {
    shared: Arc<Shared>,
}

struct Shared {
    nanos: AtomicU64,
    wakers: Mutex<Vec<Waker>>,
}

impl ManualClock {
    /// A clock that shows 0.
    #[must_use]
    pub fn new() -> Self {
        let shared = Shared { nanos: AtomicU64::new(0), wakers: Mutex::new(Vec::new()) };
        Self { shared: Arc::new(shared) }
    }

    /// Moves the clock forward; it stops at `u64::MAX` nanoseconds.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        // Ordering: Relaxed; only a guess for the exchange to check.
        let mut now = self.shared.nanos.load(Ordering::Relaxed);
        while let Err(moved) = cas(&self.shared.nanos, now, now.saturating_add(by)) {
            now = moved;
        }
        self.wake();
    }

    /// Sets the clock, backwards too.
    ///
    /// ```
    /// use sluicegate::{ManualClock, Nanos, Quota, TokenBucket};
    ///
    /// let clock = ManualClock::new();
    /// let bucket = TokenBucket::with_clock(Quota::per_second(1), clock.clone())?;
    /// clock.set(Nanos::from_nanos(1_800_000_000_000_000_000)); // a Unix time, in 2027
    /// assert!(bucket.try_acquire().is_ok());
    /// clock.set(Nanos::from_nanos(0));
    /// assert!(bucket.try_acquire().is_err()); // a step back brings nothing
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn set(&self, to: Nanos) {
        // Ordering: Release pairs with the Acquire in `now`: who sees the new time sees what was done before it came.
        self.shared.nanos.store(to.as_nanos(), Ordering::Release);
        self.wake();
    }

    /// Wakes everybody, outside of the lock: a waker may well move the clock or register again.
    fn wake(&self) {
        let wakers = core::mem::take(&mut *self.wakers());
        wake_all(wakers);
    }

    fn wakers(&self) -> impl core::ops::DerefMut<Target = Vec<Waker>> + '_ {
        // A poisoned list is as good as any: a push or a take either happened or not.
        self.shared.wakers.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    #[inline]
    fn now(&self) -> Nanos {
        // Ordering: Acquire pairs with the Release in `set` and in the exchange of `advance`.
        Nanos::from_nanos(self.shared.nanos.load(Ordering::Acquire))
    }

    fn wake_on_change(&self, waker: &Waker) -> bool {
        // Cloned, and what it replaces dropped, outside of the lock: both are the caller's code.
        let mut new = Some(waker.clone());
        let mut wakers = self.wakers();
        if !wakers.iter().any(|known| known.will_wake(waker)) {
            wakers.extend(new.take());
        }
        drop(wakers);
        true
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualClock").field("now", &self.now()).finish_non_exhaustive()
    }
}
