//! So many permits in each aligned window.

use ::core::fmt;
use ::core::time::Duration;

use super::core::Core;
use super::verbs::verbs;
use crate::algorithm::window::{Law, Params};
use crate::clock::{Clock, MonotonicClock};
use crate::error::{ConfigError, RateLimitExceeded};
use crate::stats::RateLimiterStats;
#[cfg(feature = "std")]
use crate::sync::const_fn;
#[cfg(feature = "std")]
use crate::window::FixedWindowCounterBuilder;

/// A fixed window counter: at most `limit` permits in each window, which starts with all of them there.
///
/// Windows are aligned to the origin of the clock: on one that tells Unix time, `Duration::from_secs(60)` are the
/// minutes of the wall clock (UTC).
///
/// # Guarantee
/// Calls that lie wholly inside one aligned window are granted at most `limit` permits, less what is given back, on any
/// number of threads. A call that straddles an edge counts on one side of it.
///
/// Across an edge that is *twice* the limit at once: `limit` at the end of one window, `limit` at the start of the next.
/// If that is too much, see [`SlidingWindowCounter`](crate::SlidingWindowCounter), or take a
/// [`TokenBucket`](crate::TokenBucket) with `burst + rate * window <= limit`: it never grants more than `limit` in any
/// interval of a window's length, and spreads the grants over it.
///
/// What applies is the latest of the reading and the window of the last grant: a clock that steps back finds what is
/// left of that window, nothing is counted in an earlier one, and no new window begins until the clock has caught up. A
/// thread that read the clock, slept over an edge or several and then acts takes from the window that it finds.
///
/// Time stops no earlier than 255 years after the clock's origin: from then on no window begins.
///
/// # Progress
/// Lock-free. A grant is one exchange of one word; a denial writes nothing. Nothing allocates after construction.
/// Statistics, if asked for, are counted apart.
///
/// # Memory ordering
/// None is promised: a granted permit does not publish what another thread did before it.
///
/// # Complexity
/// Constant, apart from retries of the exchange when threads collide.
///
/// ```
/// use sluicegate::{ManualClock, FixedWindowCounter};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let counter = FixedWindowCounter::with_clock(100, Duration::from_secs(10), clock.clone())?;
/// clock.advance(Duration::from_secs(3));
/// assert_eq!(counter.try_acquire_n(100), Ok(()));
///
/// let denied = counter.try_acquire().unwrap_err();
/// assert_eq!(denied.retry_after(), Some(Duration::from_secs(7))); // the end of the window
/// clock.advance(Duration::from_secs(7));
/// assert_eq!(counter.available(), 100);
/// # Ok::<(), sluicegate::ConfigError>(())
/// ```
pub struct FixedWindowCounter<C: Clock = MonotonicClock> {
    pub(super) core: Core,
    pub(super) clock: C,
}

#[cfg(feature = "std")]
impl FixedWindowCounter {
    const_fn! {
        /// A counter on the [`MonotonicClock`].
        ///
        /// # Errors
        /// [`ConfigError`] if `limit` is 0, if `window` is not from a microsecond to ten years, or if the limit is too
        /// large for the window: 536,870,911 fit in a second, 524,287 in a millisecond, 511 in a microsecond; the error
        /// tells the largest.
        ///
        /// ```
        /// use sluicegate::FixedWindowCounter;
        /// use std::time::Duration;
        ///
        /// let counter = FixedWindowCounter::new(100, Duration::from_secs(1))?;
        /// assert_eq!(counter.available(), 100);
        ///
        /// let error = FixedWindowCounter::new(u64::MAX, Duration::from_secs(1)).unwrap_err();
        /// assert_eq!((error.field(), error.largest()), ("limit", Some(536_870_911)));
        /// # Ok::<(), sluicegate::ConfigError>(())
        /// ```
        pub const fn new(limit: u64, window: Duration) -> Result<Self, ConfigError> {
            match Params::new(Law::Fixed, limit, window) {
                Ok(params) => Ok(Self { core: Core::new(params), clock: MonotonicClock::new() }),
                Err(error) => Err(error),
            }
        }
    }

    const_fn! {
        /// [`new`](Self::new) for a `static`: what makes no counter fails to compile.
        ///
        /// # Panics
        /// Where [`new`](Self::new) returns an error; in a `static` or `const` that is a compile error with the same
        /// words. Outside of those use [`new`](Self::new).
        ///
        /// ```
        /// use sluicegate::FixedWindowCounter;
        /// use std::time::Duration;
        ///
        /// static LIMIT: FixedWindowCounter = FixedWindowCounter::const_new(5_000, Duration::from_secs(1));
        /// assert!(LIMIT.try_acquire().is_ok());
        /// ```
        ///
        /// ```compile_fail
        /// use sluicegate::FixedWindowCounter;
        /// use std::time::Duration;
        ///
        /// static LIMIT: FixedWindowCounter = FixedWindowCounter::const_new(0, Duration::from_secs(1));
        /// ```
        pub const fn const_new(limit: u64, window: Duration) -> Self {
            match Params::new(Law::Fixed, limit, window) {
                Ok(params) => Self { core: Core::new(params), clock: MonotonicClock::new() },
                Err(error) => panic!("{}", error.message()),
            }
        }
    }

    /// A counter with more to say: another clock, statistics.
    ///
    /// ```
    /// use sluicegate::FixedWindowCounter;
    /// use std::time::Duration;
    ///
    /// let counter = FixedWindowCounter::builder(100, Duration::from_secs(1)).stats().build()?;
    /// assert!(counter.stats().is_some());
    /// assert!(FixedWindowCounter::builder(0, Duration::from_secs(1)).build().is_err());
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn builder(limit: u64, window: Duration) -> FixedWindowCounterBuilder {
        FixedWindowCounterBuilder::new(limit, window, MonotonicClock::new())
    }
}

impl<C: Clock> FixedWindowCounter<C> {
    /// A counter on a clock of the caller's.
    ///
    /// # Errors
    /// [`ConfigError`]: see [`new`](FixedWindowCounter::new).
    ///
    /// ```
    /// use sluicegate::{FixedWindowCounter, ManualClock};
    /// use std::time::Duration;
    ///
    /// let counter = FixedWindowCounter::with_clock(2, Duration::from_secs(1), ManualClock::new())?;
    /// assert_eq!(counter.try_acquire_n(2), Ok(()));
    /// assert!(FixedWindowCounter::with_clock(2, Duration::ZERO, ManualClock::new()).is_err());
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn with_clock(limit: u64, window: Duration, clock: C) -> Result<Self, ConfigError> {
        Ok(Self { core: Core::new(Params::new(Law::Fixed, limit, window)?), clock })
    }

    #[inline(always)]
    pub(super) const fn law(&self) -> Law {
        Law::Fixed
    }
}

verbs!(FixedWindowCounter);
