//! Window counters with more to say than a limit and a window.

use ::core::fmt;
use ::core::time::Duration;

use super::{FixedWindowCounter, SlidingWindowCounter};
use crate::clock::{Clock, MonotonicClock};
use crate::error::ConfigError;

/// Builds a [`FixedWindowCounter`]; made by [`FixedWindowCounter::builder`].
///
/// With the feature `serde` it is read and written as a struct, so that a settings file may hold it, without
/// the clock.
///
/// ```
/// use sluicegate::{FixedWindowCounter, ManualClock};
/// use std::time::Duration;
///
/// let counter = FixedWindowCounter::builder(50, Duration::from_secs(1))
///     .clock(ManualClock::new()) // default: MonotonicClock
///     .stats() // default: nothing is counted
///     .build()?;
/// assert_eq!(counter.available(), 50);
/// # Ok::<(), sluicegate::ConfigError>(())
/// ```
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, bound(serialize = "", deserialize = "C: Clock + Default")))]
#[must_use = "a builder does nothing until `build`"]
pub struct FixedWindowCounterBuilder<C: Clock = MonotonicClock> {
    limit: u64,
    #[cfg_attr(feature = "serde", serde(with = "crate::quota::period"))]
    window: Duration,
    #[cfg_attr(feature = "serde", serde(skip))]
    clock: C,
    #[cfg_attr(feature = "serde", serde(default))]
    stats: bool,
    #[cfg(feature = "async")]
    max_waiters: Option<usize>,
}

impl<C: Clock> FixedWindowCounterBuilder<C> {
    /// The same as [`FixedWindowCounter::builder`] on another clock; the way to begin where there is no default one.
    ///
    /// ```
    /// use sluicegate::{FixedWindowCounterBuilder, ManualClock};
    /// use std::time::Duration;
    ///
    /// let counter = FixedWindowCounterBuilder::new(1, Duration::from_secs(1), ManualClock::new()).build()?;
    /// assert!(counter.try_acquire().is_ok());
    /// assert!(counter.try_acquire().is_err());
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn new(limit: u64, window: Duration, clock: C) -> Self {
        Self {
            limit,
            window,
            clock,
            stats: false,
            #[cfg(feature = "async")]
            max_waiters: None,
        }
    }

    /// Decides by `clock` instead of the one it has.
    pub fn clock<D: Clock>(self, clock: D) -> FixedWindowCounterBuilder<D> {
        FixedWindowCounterBuilder {
            limit: self.limit,
            window: self.window,
            clock,
            stats: self.stats,
            #[cfg(feature = "async")]
            max_waiters: self.max_waiters,
        }
    }

    /// Counts calls: by each thread in words of its own, without a locked instruction, so that it costs next to nothing;
    /// and about half a kilobyte a core, 8 KiB at most.
    pub fn stats(self) -> Self {
        Self { stats: true, ..self }
    }

    /// Refuses whoever would wait when so many do: at once, with an estimate of how long it would have been. Default: no
    /// bound.
    ///
    /// ```
    /// use sluicegate::{FixedWindowCounter, ManualClock, RateLimitExceeded};
    /// use std::time::Duration;
    ///
    /// let builder = FixedWindowCounter::builder(1, Duration::from_secs(1)).clock(ManualClock::new());
    /// let counter = builder.max_waiters(0).build()?;
    /// assert_eq!(counter.blocking_acquire(), Ok(())); // it is there
    /// assert!(matches!(counter.blocking_acquire(), Err(RateLimitExceeded::Denied { .. }))); // nobody may wait
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[cfg(feature = "async")]
    pub fn max_waiters(self, waiters: usize) -> Self {
        Self { max_waiters: Some(waiters), ..self }
    }

    /// The counter.
    ///
    /// # Errors
    /// [`ConfigError`]: see [`FixedWindowCounter::new`].
    ///
    /// ```
    /// use sluicegate::FixedWindowCounter;
    /// use std::time::Duration;
    ///
    /// let error = FixedWindowCounter::builder(600, Duration::from_micros(1)).build().unwrap_err();
    /// assert_eq!(error.to_string(), "limit is too large for this window; the largest that fits is 511");
    /// ```
    pub fn build(self) -> Result<FixedWindowCounter<C>, ConfigError> {
        let mut counter = FixedWindowCounter::with_clock(self.limit, self.window, self.clock)?;
        #[cfg(feature = "async")]
        if let Some(waiters) = self.max_waiters {
            counter.core.set_max_waiters(waiters);
        }
        if self.stats {
            counter.core.start_counting();
        }
        Ok(counter)
    }
}

impl<C: Clock> fmt::Debug for FixedWindowCounterBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixedWindowCounterBuilder")
            .field("limit", &self.limit)
            .field("window", &self.window)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

/// Builds a [`SlidingWindowCounter`]; made by [`SlidingWindowCounter::builder`].
///
/// With the feature `serde` it is read and written as a struct, so that a settings file may hold it, without
/// the clock.
///
/// ```
/// use sluicegate::{ManualClock, SlidingWindowCounter};
/// use std::time::Duration;
///
/// let counter = SlidingWindowCounter::builder(50, Duration::from_secs(1))
///     .strict() // default: interpolated
///     .clock(ManualClock::new()) // default: MonotonicClock
///     .stats() // default: nothing is counted
///     .build()?;
/// assert_eq!(counter.available(), 50);
/// # Ok::<(), sluicegate::ConfigError>(())
/// ```
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, bound(serialize = "", deserialize = "C: Clock + Default")))]
#[must_use = "a builder does nothing until `build`"]
pub struct SlidingWindowCounterBuilder<C: Clock = MonotonicClock> {
    limit: u64,
    #[cfg_attr(feature = "serde", serde(with = "crate::quota::period"))]
    window: Duration,
    #[cfg_attr(feature = "serde", serde(skip))]
    clock: C,
    #[cfg_attr(feature = "serde", serde(default))]
    strict: bool,
    #[cfg_attr(feature = "serde", serde(default))]
    stats: bool,
    #[cfg(feature = "async")]
    max_waiters: Option<usize>,
}

impl<C: Clock> SlidingWindowCounterBuilder<C> {
    /// The same as [`SlidingWindowCounter::builder`] on another clock; the way to begin where there is no default one.
    ///
    /// ```
    /// use sluicegate::{ManualClock, SlidingWindowCounterBuilder};
    /// use std::time::Duration;
    ///
    /// let counter = SlidingWindowCounterBuilder::new(1, Duration::from_secs(1), ManualClock::new()).build()?;
    /// assert!(counter.try_acquire().is_ok());
    /// assert!(counter.try_acquire().is_err());
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn new(limit: u64, window: Duration, clock: C) -> Self {
        Self {
            limit,
            window,
            clock,
            strict: false,
            stats: false,
            #[cfg(feature = "async")]
            max_waiters: None,
        }
    }

    /// Never more than the limit in any interval of a window's length: see [`SlidingWindowCounter::strict`].
    pub fn strict(self) -> Self {
        Self { strict: true, ..self }
    }

    /// Decides by `clock` instead of the one it has.
    pub fn clock<D: Clock>(self, clock: D) -> SlidingWindowCounterBuilder<D> {
        SlidingWindowCounterBuilder {
            limit: self.limit,
            window: self.window,
            clock,
            strict: self.strict,
            stats: self.stats,
            #[cfg(feature = "async")]
            max_waiters: self.max_waiters,
        }
    }

    /// Counts calls: by each thread in words of its own, without a locked instruction, so that it costs next to nothing;
    /// and about half a kilobyte a core, 8 KiB at most.
    pub fn stats(self) -> Self {
        Self { stats: true, ..self }
    }

    /// Refuses whoever would wait when so many do: at once, with an estimate of how long it would have been. Default: no
    /// bound.
    ///
    /// ```
    /// use sluicegate::{ManualClock, RateLimitExceeded, SlidingWindowCounter};
    /// use std::time::Duration;
    ///
    /// let builder = SlidingWindowCounter::builder(1, Duration::from_secs(1)).clock(ManualClock::new());
    /// let counter = builder.max_waiters(0).build()?;
    /// assert_eq!(counter.blocking_acquire(), Ok(())); // it is there
    /// assert!(matches!(counter.blocking_acquire(), Err(RateLimitExceeded::Denied { .. }))); // nobody may wait
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[cfg(feature = "async")]
    pub fn max_waiters(self, waiters: usize) -> Self {
        Self { max_waiters: Some(waiters), ..self }
    }

    /// The counter.
    ///
    /// # Errors
    /// [`ConfigError`]: see [`SlidingWindowCounter::new`] and [`SlidingWindowCounter::strict`].
    ///
    /// ```
    /// use sluicegate::SlidingWindowCounter;
    /// use std::time::Duration;
    ///
    /// let builder = SlidingWindowCounter::builder(500, Duration::from_micros(1));
    /// let error = builder.strict().build().unwrap_err();
    /// assert_eq!(error.to_string(), "limit is too large for this window; the largest that fits is 31");
    /// ```
    pub fn build(self) -> Result<SlidingWindowCounter<C>, ConfigError> {
        let mut counter = SlidingWindowCounter::with_law(self.limit, self.window, self.clock, self.strict)?;
        #[cfg(feature = "async")]
        if let Some(waiters) = self.max_waiters {
            counter.core.set_max_waiters(waiters);
        }
        if self.stats {
            counter.core.start_counting();
        }
        Ok(counter)
    }
}

impl<C: Clock> fmt::Debug for SlidingWindowCounterBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlidingWindowCounterBuilder")
            .field("limit", &self.limit)
            .field("window", &self.window)
            .field("strict", &self.strict)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}
