//! So many permits in a window that slides: estimated, or never more in any of them.

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
use crate::window::SlidingWindowCounterBuilder;

/// A sliding window counter: it counts in aligned windows, and lets the one before count along. Two laws:
///
/// | | [`new`](Self::new), interpolated | [`strict`](Self::strict) |
/// |---|---|---|
/// | `n` are granted if | `previous * share + current + n <= limit`, the share being that of the previous window within a window's length before now | `previous + current + n <= limit`, where `previous` counts in full until its last grant is a window's length past, to a sixteenth of it |
/// | in any interval of a window's length | up to *twice* the limit | **never more than the limit** |
/// | in each aligned window | at most the limit | at most the limit |
/// | under more demand than the limit, it sustains | one permit a window less than the limit, if demand is even | from 1/2 to 16/17 of the limit, asked for one by one |
///
/// # Guarantee
/// Counted are the calls that lie wholly inside an interval of a window's length, on any number of threads, less what is
/// given back by calls that overlap it.
///
/// *Interpolated: at most `2 * limit`.* Each aligned window grants at most `limit`, and the interval meets no more than
/// two. It comes close to that: `limit` at the end of a window that was idle before, and almost as much again towards
/// the end of the next one, when the share of the first has shrunk. The estimate takes the grants of the previous
/// window for evenly spread, and errs when they are not.
///
/// *Strict: at most `limit`.* The interval meets two windows at most. The last grant in it either counted both in full,
/// so that they are within the limit together; or it found the last grant of the earlier one a window's length past, so
/// that none of those is in the interval. The price is that it admits less than the limit under saturation. How much
/// less depends on when permits are taken: a caller that takes the whole limit at once gets it again 17/16 of a window
/// later (0.94); one that takes a half early and a half late in a window gets nothing in the next one (0.5). Asked for
/// `n` at once it is up to `n - 1` a window less, as with every limit.
///
/// If less than the limit will do, a [`TokenBucket`](crate::TokenBucket) with `burst + rate * window <= limit` gives
/// the guarantee of the strict law more smoothly: it never grants more than `limit` in any interval of a window's length,
/// and sustains its `rate` whatever the rhythm of the calls. With half of the limit as burst that is half of the limit
/// in every window; with a smaller burst it is more.
///
/// What applies is the latest of the reading, the last grant, and the end of a window that somebody has begun to close: a
/// clock that steps back finds what is left there, and to a reading from before the open window the previous one counts
/// in full. So it may be denied what it would have found with a newer reading. A thread that read the clock, slept over
/// an edge or several and then acts is not: having lost its race it reads the clock again before it is denied.
///
/// What is given back while somebody closes the window may still count in the next one: then that grants less.
///
/// Windows are aligned to the origin of the clock. Time stops no earlier than 255 years after it: from then on no window
/// begins.
///
/// # Progress
/// Lock-free. A grant is one exchange of one word; the first one in a window raises a second word before. A denial
/// writes nothing, with one exception: a call that finds room in a new window, and loses it to others before it has it,
/// leaves the old window closed. Nothing allocates after construction. Statistics, if asked for, are counted apart.
///
/// # Memory ordering
/// None is promised: a granted permit does not publish what another thread did before it.
///
/// # Complexity
/// Constant, apart from retries of the exchange when threads collide.
///
/// # Source
/// The interpolated estimate is widely used since J. Desgats, "How we built rate limiting capable of scaling to millions
/// of domains", Cloudflare, 2017.
///
/// ```
/// use sluicegate::{ManualClock, SlidingWindowCounter};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let counter = SlidingWindowCounter::with_clock(100, Duration::from_secs(10), clock.clone())?;
/// assert_eq!(counter.try_acquire_n(100), Ok(()));
///
/// // 3 s into the next window, 70 % of the previous one still count.
/// clock.advance(Duration::from_secs(13));
/// assert_eq!(counter.available(), 30);
/// assert_eq!(counter.try_acquire_n(30), Ok(()));
/// let denied = counter.try_acquire().unwrap_err();
/// assert_eq!(denied.retry_after(), Some(Duration::from_millis(100)));
/// # Ok::<(), sluicegate::ConfigError>(())
/// ```
pub struct SlidingWindowCounter<C: Clock = MonotonicClock> {
    pub(super) core: Core,
    pub(super) clock: C,
}

/// The law, so that whoever inlines it knows that it slides.
#[inline(always)]
const fn law_of(strict: bool) -> Law {
    if strict { Law::Strict } else { Law::Interpolated }
}

#[cfg(feature = "std")]
impl SlidingWindowCounter {
    const_fn! {
        /// A counter on the [`MonotonicClock`] that interpolates the previous window: at most *twice* the limit in any
        /// interval of a window's length.
        ///
        /// # Errors
        /// [`ConfigError`] if `limit` is 0, if `window` is not from a microsecond to ten years, or if the limit is too
        /// large for the window: 536,870,911 fit in a second, 524,287 in a millisecond, 511 in a microsecond; the error
        /// tells the largest.
        ///
        /// ```
        /// use sluicegate::SlidingWindowCounter;
        /// use std::time::Duration;
        ///
        /// let counter = SlidingWindowCounter::new(100, Duration::from_secs(1))?;
        /// assert_eq!(counter.available(), 100);
        /// assert!(SlidingWindowCounter::new(0, Duration::from_secs(1)).is_err());
        /// # Ok::<(), sluicegate::ConfigError>(())
        /// ```
        pub const fn new(limit: u64, window: Duration) -> Result<Self, ConfigError> {
            Self::checked(limit, window, false)
        }
    }

    const_fn! {
        /// A counter on the [`MonotonicClock`] that never grants more than the limit in *any* interval of a window's
        /// length, and sustains from 1/2 to 16/17 of it under saturation.
        ///
        /// # Errors
        /// [`ConfigError`] if `limit` is 0, if `window` is not from a microsecond to ten years, or if the limit is too
        /// large for the window: 33,554,431 fit in a second, 32,767 in a millisecond, 31 in a microsecond; the error
        /// tells the largest.
        ///
        /// ```
        /// use sluicegate::SlidingWindowCounter;
        /// use std::time::Duration;
        ///
        /// let counter = SlidingWindowCounter::strict(100, Duration::from_secs(1))?;
        /// assert_eq!(counter.available(), 100);
        ///
        /// let error = SlidingWindowCounter::strict(u64::MAX, Duration::from_secs(1)).unwrap_err();
        /// assert_eq!((error.field(), error.largest()), ("limit", Some(33_554_431)));
        /// # Ok::<(), sluicegate::ConfigError>(())
        /// ```
        pub const fn strict(limit: u64, window: Duration) -> Result<Self, ConfigError> {
            Self::checked(limit, window, true)
        }
    }

    const_fn! {
        const fn checked(limit: u64, window: Duration, strict: bool) -> Result<Self, ConfigError> {
            match Params::new(law_of(strict), limit, window) {
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
        /// use sluicegate::SlidingWindowCounter;
        /// use std::time::Duration;
        ///
        /// static LIMIT: SlidingWindowCounter = SlidingWindowCounter::const_new(5_000, Duration::from_secs(1));
        /// assert!(LIMIT.try_acquire().is_ok());
        /// ```
        ///
        /// ```compile_fail
        /// use sluicegate::SlidingWindowCounter;
        /// use std::time::Duration;
        ///
        /// static LIMIT: SlidingWindowCounter = SlidingWindowCounter::const_new(5_000, Duration::ZERO);
        /// ```
        pub const fn const_new(limit: u64, window: Duration) -> Self {
            Self::const_checked(limit, window, false)
        }
    }

    const_fn! {
        /// [`strict`](Self::strict) for a `static`: what makes no counter fails to compile.
        ///
        /// # Panics
        /// Where [`strict`](Self::strict) returns an error; in a `static` or `const` that is a compile error with the
        /// same words. Outside of those use [`strict`](Self::strict).
        ///
        /// ```
        /// use sluicegate::SlidingWindowCounter;
        /// use std::time::Duration;
        ///
        /// static LIMIT: SlidingWindowCounter = SlidingWindowCounter::const_strict(5_000, Duration::from_secs(1));
        /// assert!(LIMIT.try_acquire().is_ok());
        /// ```
        ///
        /// ```compile_fail
        /// use sluicegate::SlidingWindowCounter;
        /// use std::time::Duration;
        ///
        /// // Fits interpolated, not strictly.
        /// static LIMIT: SlidingWindowCounter = SlidingWindowCounter::const_strict(100, Duration::from_micros(1));
        /// ```
        pub const fn const_strict(limit: u64, window: Duration) -> Self {
            Self::const_checked(limit, window, true)
        }
    }

    const_fn! {
        const fn const_checked(limit: u64, window: Duration, strict: bool) -> Self {
            match Params::new(law_of(strict), limit, window) {
                Ok(params) => Self { core: Core::new(params), clock: MonotonicClock::new() },
                Err(error) => panic!("{}", error.message()),
            }
        }
    }

    /// A counter with more to say: the strict law, another clock, statistics.
    ///
    /// ```
    /// use sluicegate::SlidingWindowCounter;
    /// use std::time::Duration;
    ///
    /// let counter = SlidingWindowCounter::builder(100, Duration::from_secs(1)).strict().stats().build()?;
    /// assert!(counter.stats().is_some());
    /// assert!(SlidingWindowCounter::builder(0, Duration::from_secs(1)).build().is_err());
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn builder(limit: u64, window: Duration) -> SlidingWindowCounterBuilder {
        SlidingWindowCounterBuilder::new(limit, window, MonotonicClock::new())
    }
}

impl<C: Clock> SlidingWindowCounter<C> {
    /// A counter on a clock of the caller's that interpolates; for the strict law see
    /// [`builder`](SlidingWindowCounter::builder).
    ///
    /// # Errors
    /// [`ConfigError`]: see [`new`](SlidingWindowCounter::new).
    ///
    /// ```
    /// use sluicegate::{ManualClock, SlidingWindowCounter};
    /// use std::time::Duration;
    ///
    /// let counter = SlidingWindowCounter::with_clock(2, Duration::from_secs(1), ManualClock::new())?;
    /// assert_eq!(counter.try_acquire_n(2), Ok(()));
    /// assert!(SlidingWindowCounter::with_clock(2, Duration::ZERO, ManualClock::new()).is_err());
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn with_clock(limit: u64, window: Duration, clock: C) -> Result<Self, ConfigError> {
        Self::with_law(limit, window, clock, false)
    }

    pub(super) fn with_law(limit: u64, window: Duration, clock: C, strict: bool) -> Result<Self, ConfigError> {
        Ok(Self { core: Core::new(Params::new(law_of(strict), limit, window)?), clock })
    }

    #[inline(always)]
    pub(super) const fn law(&self) -> Law {
        law_of(self.core.params().is_strict())
    }
}

verbs!(SlidingWindowCounter);
