//! Where the time comes from.

#[cfg(feature = "std")]
mod coarse;
#[cfg(feature = "std")]
mod manual;
mod monotonic;
#[cfg(feature = "tokio")]
mod tokio;

use alloc::sync::Arc;
use core::task::Waker;

#[cfg(feature = "std")]
pub use self::coarse::CoarseClock;
#[cfg(feature = "std")]
pub use self::manual::ManualClock;
pub use self::monotonic::MonotonicClock;
#[cfg(feature = "tokio")]
pub use self::tokio::TokioClock;
use crate::nanos::{Nanos, TickLength};

/// A source of time.
///
/// Only [`now`](Clock::now) must be written; the rest has defaults. A clock need not be monotonic: a reading that is
/// older than what a limiter has seen admits nothing extra, it only finds less. A limiter shared by threads reads
/// its clock from all of them at once. A clock must not change the quota of a limiter that reads it: it is read while that is
/// being changed.
///
/// ```
/// use sluicegate::{Clock, Nanos, Quota, TokenBucket};
/// use std::time::{SystemTime, UNIX_EPOCH};
///
/// /// Wall-clock time, for limits that shall follow it.
/// #[derive(Debug)]
/// struct UnixClock;
///
/// impl Clock for UnixClock {
///     fn now(&self) -> Nanos {
///         let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
///         Nanos::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
///     }
/// }
///
/// let bucket = TokenBucket::with_clock(Quota::per_hour(1), UnixClock)?;
/// assert!(bucket.try_acquire().is_ok());
/// assert!(bucket.try_acquire().is_err()); // the next permit comes in an hour
/// # Ok::<(), sluicegate::ConfigError>(())
/// ```
pub trait Clock: Send + Sync {
    /// The current time, since an arbitrary origin.
    fn now(&self) -> Nanos;

    /// Asks to wake `waker` when this clock is moved by hand.
    ///
    /// `true`: whoever moves the clock wakes it. `false`: time passes by itself, so that a waiter sleeps for real
    /// and looks again. A clock that returns `true` wakes outside of its own locks, and may keep the waker until
    /// the next move.
    ///
    /// ```
    /// use sluicegate::{Clock, ManualClock, MonotonicClock};
    /// use std::task::Waker;
    ///
    /// assert!(ManualClock::new().wake_on_change(Waker::noop()));
    /// assert!(!MonotonicClock::new().wake_on_change(Waker::noop()));
    /// ```
    fn wake_on_change(&self, waker: &Waker) -> bool {
        let _ = waker;
        false
    }

    /// The current time as a raw count, since an origin that may differ from [`now`](Clock::now)'s: nanoseconds,
    /// unless the clock says otherwise.
    ///
    /// A limiter converts this count into its own units with one multiplication, so a clock that would have to
    /// convert a hardware counter into nanoseconds first hands out the counter itself. Implement it together with
    /// [`tick_length`](Clock::tick_length) or not at all.
    ///
    /// ```
    /// use sluicegate::{Clock, Nanos, Quota, TickLength, TokenBucket};
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// /// A counter of 4 GHz.
    /// struct Counter(AtomicU64);
    ///
    /// impl Clock for Counter {
    ///     fn now(&self) -> Nanos {
    ///         Nanos::from_nanos(self.tick_length().nanos(self.ticks()))
    ///     }
    ///     fn ticks(&self) -> u64 {
    ///         self.0.load(Ordering::Acquire)
    ///     }
    ///     fn tick_length(&self) -> TickLength {
    ///         TickLength::new(1, 4).expect("a quarter of a nanosecond is in range")
    ///     }
    /// }
    ///
    /// let clock = Counter(AtomicU64::new(0));
    /// let bucket = TokenBucket::with_clock(Quota::per_second(1), &clock)?;
    /// assert!(bucket.try_acquire().is_ok());
    /// clock.0.store(3_999_999_999, Ordering::Release);
    /// assert!(bucket.try_acquire().is_err());
    /// clock.0.store(4_000_000_000, Ordering::Release); // a second later
    /// assert!(bucket.try_acquire().is_ok());
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[inline]
    fn ticks(&self) -> u64 {
        self.now().as_nanos()
    }

    /// How long one of [`ticks`](Clock::ticks) is; see the example there. It must never change.
    #[inline]
    fn tick_length(&self) -> TickLength {
        TickLength::NANOSECOND
    }

    /// What a task that waits on this clock sleeps on.
    #[doc(hidden)]
    #[cfg(feature = "async")]
    fn timer(&self, time: core::time::Duration) -> crate::wait::Timer {
        crate::wait::Timer::shared(time)
    }
}

macro_rules! forward {
    ($($wrapper:ty),*) => {$(
        impl<C: Clock + ?Sized> Clock for $wrapper {
            #[inline]
            fn now(&self) -> Nanos {
                (**self).now()
            }
            fn wake_on_change(&self, waker: &Waker) -> bool {
                (**self).wake_on_change(waker)
            }
            #[inline]
            fn ticks(&self) -> u64 {
                (**self).ticks()
            }
            #[inline]
            fn tick_length(&self) -> TickLength {
                (**self).tick_length()
            }
            #[cfg(feature = "async")]
            fn timer(&self, time: core::time::Duration) -> crate::wait::Timer {
                (**self).timer(time)
            }
        }
    )*};
}
forward!(&C, Arc<C>);
