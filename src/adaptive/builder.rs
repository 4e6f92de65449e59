//! An adaptive limiter, described.

use ::alloc::boxed::Box;
use ::core::fmt;
use ::core::time::Duration;

use crossbeam_utils::CachePadded;

use super::control::{Control, Listener, quota_of};
use super::gate::Gate;
use super::{AdaptiveRateLimiter, Law, Outcome, RateChange};
use crate::algorithm::law::Tuning;
use crate::algorithm::token_bucket::Scale;
use crate::clock::{Clock, MonotonicClock};
use crate::counters::Counters;
use crate::error::ConfigError;
use crate::token_bucket::TokenBucketBuilder;

/// Builds an [`AdaptiveRateLimiter`]; made by [`AdaptiveRateLimiter::builder`].
///
/// With the feature `serde` it is read and written as a struct, so that a settings file may hold it, without
/// the clock and `on_change`.
///
/// ```
/// use sluicegate::{AdaptiveRateLimiter, Law, ManualClock, Outcome};
/// use std::time::Duration;
///
/// let limiter = AdaptiveRateLimiter::builder()
///     .base_rate(100.0) // permits a second; the one that must be said
///     .min_rate(10.0) // default: a tenth of base_rate
///     .max_rate(200.0) // default: twice base_rate
///     .error_threshold(0.1) // default: reduce above a tenth of errors
///     .recovery_factor(1.1) // default
///     .reduction_factor(0.5) // default
///     .window(Duration::from_secs(10)) // default
///     .min_samples(10) // default
///     .min_utilisation(0.5) // default: 0.0, off
///     .law(Law::ErrorRate) // default
///     .abandoned(Outcome::Error) // default: Outcome::Ignored
///     .on_change(|change| println!("{change}")) // default: nobody is told
///     .clock(ManualClock::new()) // default: MonotonicClock
///     .build()?;
/// assert_eq!(limiter.current_rate(), 100.0);
/// # Ok::<(), sluicegate::ConfigError>(())
/// ```
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[cfg_attr(feature = "serde", serde(bound(serialize = "", deserialize = "C: Clock + Default")))]
#[must_use = "a builder does nothing until `build`"]
pub struct AdaptiveRateLimiterBuilder<C: Clock = MonotonicClock> {
    base_rate: Option<f64>,
    min_rate: Option<f64>,
    max_rate: Option<f64>,
    error_threshold: f64,
    recovery_factor: f64,
    reduction_factor: f64,
    #[cfg_attr(feature = "serde", serde(with = "crate::quota::period"))]
    window: Duration,
    min_samples: u64,
    min_utilisation: f64,
    law: Law,
    abandoned: Outcome,
    #[cfg_attr(feature = "serde", serde(skip))]
    listener: Option<Listener>,
    #[cfg(feature = "async")]
    max_waiters: Option<usize>,
    #[cfg_attr(feature = "serde", serde(skip))]
    clock: C,
}

/// Without a `base_rate`, which [`build`](AdaptiveRateLimiterBuilder::build) wants.
impl<C: Clock + Default> Default for AdaptiveRateLimiterBuilder<C> {
    fn default() -> Self {
        Self::new(C::default())
    }
}

impl<C: Clock> AdaptiveRateLimiterBuilder<C> {
    /// The same as [`AdaptiveRateLimiter::builder`] on another clock; the way to begin where there is no default one.
    ///
    /// ```
    /// use sluicegate::{AdaptiveRateLimiterBuilder, ManualClock};
    ///
    /// let limiter = AdaptiveRateLimiterBuilder::new(ManualClock::new()).base_rate(5.0).build()?;
    /// assert_eq!(limiter.available(), 10);
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn new(clock: C) -> Self {
        Self {
            base_rate: None,
            min_rate: None,
            max_rate: None,
            error_threshold: 0.1,
            recovery_factor: 1.1,
            reduction_factor: 0.5,
            window: Duration::from_secs(10),
            min_samples: 10,
            min_utilisation: 0.0,
            law: Law::default(),
            abandoned: Outcome::Ignored,
            listener: None,
            #[cfg(feature = "async")]
            max_waiters: None,
            clock,
        }
    }

    /// Decides by `clock` instead of the one it has.
    pub fn clock<D: Clock>(self, clock: D) -> AdaptiveRateLimiterBuilder<D> {
        AdaptiveRateLimiterBuilder {
            base_rate: self.base_rate,
            min_rate: self.min_rate,
            max_rate: self.max_rate,
            error_threshold: self.error_threshold,
            recovery_factor: self.recovery_factor,
            reduction_factor: self.reduction_factor,
            window: self.window,
            min_samples: self.min_samples,
            min_utilisation: self.min_utilisation,
            law: self.law,
            abandoned: self.abandoned,
            listener: self.listener,
            #[cfg(feature = "async")]
            max_waiters: self.max_waiters,
            clock,
        }
    }

    /// The rate to begin with, in permits a second. Required.
    pub fn base_rate(self, permits_per_second: f64) -> Self {
        Self { base_rate: Some(permits_per_second), ..self }
    }

    /// The rate never falls below this. Default: a tenth of the base rate, or one permit a year if that is more.
    ///
    /// It is also what keeps probing a service that is down.
    pub fn min_rate(self, permits_per_second: f64) -> Self {
        Self { min_rate: Some(permits_per_second), ..self }
    }

    /// The rate never rises above this. Default: twice the base rate, or 4e9 if that is less.
    pub fn max_rate(self, permits_per_second: f64) -> Self {
        Self { max_rate: Some(permits_per_second), ..self }
    }

    /// A window is overloaded if more than this share of its outcomes are errors, throttled ones included. Between 0 and
    /// 1, both excluded. Default: 0.1.
    pub fn error_threshold(self, share: f64) -> Self {
        Self { error_threshold: share, ..self }
    }

    /// What the rate is multiplied by after a window that was not overloaded: above 1. Default: 1.1.
    pub fn recovery_factor(self, factor: f64) -> Self {
        Self { recovery_factor: factor, ..self }
    }

    /// What the rate is multiplied by after a window that was overloaded: between 0 and 1, both excluded. Default: 0.5.
    /// [`Law::Cubic`] has factors of its own.
    pub fn reduction_factor(self, factor: f64) -> Self {
        Self { reduction_factor: factor, ..self }
    }

    /// How long a window is at least. Default: 10 s.
    pub fn window(self, window: Duration) -> Self {
        Self { window, ..self }
    }

    /// With fewer outcomes a window changes nothing. Default: 10. With 0 a window without any is like one without errors.
    pub fn min_samples(self, samples: u64) -> Self {
        Self { min_samples: samples, ..self }
    }

    /// The rate rises only if at least this share of a window's permits was used: those that came at the current rate, so
    /// that a burst from stock counts for more than 1. From 0.0, which is the default and turns it off, to 1.0.
    ///
    /// With little demand a healthy service says nothing about how much it could take: without this the rate rises to the
    /// largest one meanwhile, and is found out to be too much when the demand comes.
    pub fn min_utilisation(self, share: f64) -> Self {
        Self { min_utilisation: share, ..self }
    }

    /// How the rate follows from the outcomes. Default: [`Law::ErrorRate`].
    pub fn law(self, law: Law) -> Self {
        Self { law, ..self }
    }

    /// What a [`call`](AdaptiveRateLimiter::call) that panicked, or a
    /// [`call_async`](AdaptiveRateLimiter::call_async) that was dropped before its end, is reported as. Default:
    /// [`Outcome::Ignored`].
    pub fn abandoned(self, outcome: Outcome) -> Self {
        Self { abandoned: outcome, ..self }
    }

    /// Tells of every change of the rate: one call at a time and in order, on the thread that ended the window. It runs when
    /// the change is complete, so it may use the limiter; until it returns no window ends, and its caller
    /// waits for it. A panic goes through to that caller.
    pub fn on_change(self, listener: impl Fn(&RateChange) + Send + Sync + 'static) -> Self {
        Self { listener: Some(Box::new(listener)), ..self }
    }

    /// Refuses whoever would wait when so many do: at once, with an estimate of how long it would have been. Default: no
    /// bound.
    ///
    /// ```
    /// use sluicegate::{AdaptiveRateLimiter, ManualClock, RateLimitExceeded};
    ///
    /// let limiter = AdaptiveRateLimiter::builder().base_rate(1.0).clock(ManualClock::new()).max_waiters(0).build()?;
    /// assert_eq!(limiter.blocking_acquire_n(2), Ok(())); // they are there
    /// assert!(matches!(limiter.blocking_acquire(), Err(RateLimitExceeded::Denied { .. }))); // nobody may wait
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[cfg(feature = "async")]
    pub fn max_waiters(self, waiters: usize) -> Self {
        Self { max_waiters: Some(waiters), ..self }
    }

    /// The limiter, with a full burst of the base rate. The first window begins now.
    ///
    /// # Errors
    /// [`ConfigError`] naming the field: a rate that is missing, not a positive number or out of a [`Quota`](crate::Quota)'s
    /// range; `min_rate` above `base_rate`, or `max_rate` below it; a factor on the wrong side of 1; a threshold that is
    /// not between 0 and 1; a utilisation that is not from 0 to 1; a window of zero.
    ///
    /// ```
    /// use sluicegate::AdaptiveRateLimiter;
    ///
    /// let builder = AdaptiveRateLimiter::builder().base_rate(100.0);
    /// assert_eq!(builder.min_rate(101.0).build().unwrap_err().to_string(), "min_rate must be at most base_rate");
    /// let builder = AdaptiveRateLimiter::builder().base_rate(f64::NAN);
    /// assert_eq!(builder.build().unwrap_err().field(), "base_rate");
    /// ```
    pub fn build(self) -> Result<AdaptiveRateLimiter<C>, ConfigError> {
        let base_rate = self.base_rate.ok_or(ConfigError::new("base_rate", "base_rate is required"))?;
        let tuning = self.tuning(base_rate)?;
        let quota = quota_of(base_rate);
        let builder = TokenBucketBuilder::new(quota, self.clock).initial(quota.capacity());
        #[cfg(feature = "async")]
        let builder = match self.max_waiters {
            Some(waiters) => builder.max_waiters(waiters),
            None => builder,
        };
        let bucket = builder.build()?;

        let window = bucket.clock.tick_length().ticks(self.window);
        let now = bucket.clock.ticks();
        Ok(AdaptiveRateLimiter {
            gate: CachePadded::new(Gate::new(now.saturating_add(window))),
            control: Control::new(tuning, base_rate, window, now, self.listener),
            counters: Counters::new(),
            abandoned: self.abandoned,
            bucket,
        })
    }

    fn tuning(&self, base_rate: f64) -> Result<Tuning, ConfigError> {
        check_rate(base_rate, "base_rate", "base_rate must be from 1 permit a year to 4e9 permits a second")?;
        let min_rate = self.min_rate.unwrap_or((base_rate / 10.0).max(SLOWEST));
        check_rate(min_rate, "min_rate", "min_rate must be from 1 permit a year to 4e9 permits a second")?;
        check(min_rate <= base_rate, "min_rate", "min_rate must be at most base_rate")?;
        let max_rate = self.max_rate.unwrap_or((base_rate * 2.0).min(FASTEST));
        check_rate(max_rate, "max_rate", "max_rate must be from 1 permit a year to 4e9 permits a second")?;
        check(max_rate >= base_rate, "max_rate", "max_rate must be at least base_rate")?;

        let Self { error_threshold, recovery_factor, reduction_factor, min_utilisation, .. } = *self;
        let is_share = error_threshold > 0.0 && error_threshold < 1.0;
        check(is_share, "error_threshold", "error_threshold must be between 0 and 1")?;
        let is_rise = recovery_factor > 1.0 && recovery_factor.is_finite();
        check(is_rise, "recovery_factor", "recovery_factor must be above 1, and finite")?;
        let is_fall = reduction_factor > 0.0 && reduction_factor < 1.0;
        check(is_fall, "reduction_factor", "reduction_factor must be between 0 and 1")?;
        let is_share = (0.0..=1.0).contains(&min_utilisation);
        check(is_share, "min_utilisation", "min_utilisation must be from 0 to 1")?;
        check(!self.window.is_zero(), "window", "window must be above zero")?;

        Ok(Tuning {
            law: self.law,
            min_rate,
            max_rate,
            error_threshold,
            recovery_factor,
            reduction_factor,
            min_samples: self.min_samples,
            min_utilisation,
        })
    }
}

/// The rates of what a [`Quota`](crate::Quota) can be.
const SLOWEST: f64 = 1.0 / 31_622_400.0;
const FASTEST: f64 = 4e9;

/// Whether a bucket can keep it: every rate between two that it can keep, too.
fn check_rate(rate: f64, field: &'static str, message: &'static str) -> Result<(), ConfigError> {
    check(Scale::finest(&quota_of(rate)).is_ok(), field, message)
}

fn check(holds: bool, field: &'static str, message: &'static str) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError::new(field, message)) }
}

impl<C: Clock> fmt::Debug for AdaptiveRateLimiterBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdaptiveRateLimiterBuilder")
            .field("base_rate", &self.base_rate)
            .field("min_rate", &self.min_rate)
            .field("max_rate", &self.max_rate)
            .field("window", &self.window)
            .field("law", &self.law)
            .finish_non_exhaustive()
    }
}
