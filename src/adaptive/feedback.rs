//! What came of the calls: reports, and calls that report by themselves.

use core::error::Error;
use core::fmt;
use core::future::Future;
use core::time::Duration;

use super::AdaptiveRateLimiter;
use crate::clock::Clock;
use crate::error::RateLimitExceeded;

/// What came of a call that was admitted.
///
/// ```
/// use sluicegate::{AdaptiveRateLimiter, ManualClock, Outcome};
/// use std::time::Duration;
///
/// fn outcome(status: u16, retry_after: Option<Duration>) -> Outcome {
///     match status {
///         429 | 503 => Outcome::Throttled(retry_after),
///         500.. => Outcome::Error,
///         // The caller's own mistakes say nothing about the service.
///         400.. => Outcome::Ignored,
///         _ => Outcome::Success,
///     }
/// }
///
/// let limiter = AdaptiveRateLimiter::builder().base_rate(10.0).clock(ManualClock::new()).build()?;
/// limiter.record(outcome(200, None));
/// limiter.record(outcome(404, None));
/// limiter.record(outcome(503, Some(Duration::from_secs(2))));
/// assert_eq!((limiter.stats().window_samples, limiter.stats().window_errors), (2, 1));
/// assert_eq!(limiter.try_acquire().unwrap_err().retry_after(), Some(Duration::from_secs(2)));
/// # Ok::<(), sluicegate::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Outcome {
    /// The service did what was asked.
    Success,
    /// The service failed, in a way that too much load may be the cause of.
    Error,
    /// The service said that it is too much. It counts as an error; and if the server said for how long (HTTP's `Retry-After`, RFC
    /// 9110, section 10.2.3), the limiter is closed until then, by its own clock and from now.
    Throttled(#[cfg_attr(feature = "serde", serde(with = "crate::quota::optional_period"))] Option<Duration>),
    /// Nothing follows from the call: it is no sample.
    Ignored,
}

impl<C: Clock> AdaptiveRateLimiter<C> {
    /// Reports what came of a call. Each admitted call is reported once, by whatever thread.
    ///
    /// One addition to one word, which mostly no other thread writes; no clock is read but for a Retry-After.
    ///
    /// ```
    /// use sluicegate::{AdaptiveRateLimiter, Outcome};
    ///
    /// let limiter = AdaptiveRateLimiter::builder().base_rate(10.0).build()?;
    /// limiter.record(Outcome::Error);
    /// limiter.record(Outcome::Ignored);
    /// assert_eq!(limiter.stats().error_rate, 1.0);
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[inline]
    pub fn record(&self, outcome: Outcome) {
        match outcome {
            Outcome::Success => self.counters.report(true),
            Outcome::Error | Outcome::Throttled(None) => self.counters.report(false),
            Outcome::Throttled(Some(retry_after)) => {
                self.counters.report(false);
                self.close_for(retry_after);
            }
            Outcome::Ignored => {}
        }
    }

    /// Reports a call that went well: [`record`](Self::record) with [`Outcome::Success`].
    #[inline]
    pub fn record_success(&self) {
        self.record(Outcome::Success);
    }

    /// Reports a call that failed: [`record`](Self::record) with [`Outcome::Error`].
    #[inline]
    pub fn record_error(&self) {
        self.record(Outcome::Error);
    }

    #[cold]
    fn close_for(&self, time: Duration) {
        let clock = &self.bucket.clock;
        self.gate.close_until(clock.ticks().saturating_add(clock.tick_length().ticks(time)));
    }

    /// Reports `Ok` as a success and `Err` as an error, and hands the result back.
    ///
    /// # Errors
    /// The result's own.
    ///
    /// ```
    /// use sluicegate::AdaptiveRateLimiter;
    ///
    /// fn parse(limiter: &AdaptiveRateLimiter, answer: &str) -> Result<u32, std::num::ParseIntError> {
    ///     limiter.observe(answer.parse())
    /// }
    ///
    /// let limiter = AdaptiveRateLimiter::builder().base_rate(10.0).build()?;
    /// assert_eq!(parse(&limiter, "7"), Ok(7));
    /// assert!(parse(&limiter, "seven").is_err());
    /// assert_eq!(limiter.stats().error_rate, 0.5);
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[inline]
    pub fn observe<T, E>(&self, result: Result<T, E>) -> Result<T, E> {
        self.observe_with(result, outcome_of)
    }

    /// Reports what `outcome` makes of the result, and hands the result back: where `Ok` and `Err` alone do not tell, as of
    /// clients that return `Ok` for a status of 500, and of errors that are nobody's fault.
    ///
    /// # Errors
    /// The result's own.
    ///
    /// ```
    /// use sluicegate::{AdaptiveRateLimiter, Outcome};
    ///
    /// let limiter = AdaptiveRateLimiter::builder().base_rate(10.0).build()?;
    /// let response: Result<u16, std::io::Error> = Ok(500);
    /// let response = limiter.observe_with(response, |response| match response {
    ///     Ok(500..) | Err(_) => Outcome::Error,
    ///     Ok(_) => Outcome::Success,
    /// });
    /// assert_eq!(response.unwrap(), 500);
    /// assert_eq!(limiter.stats().window_errors, 1);
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    #[inline]
    pub fn observe_with<T, E>(
        &self,
        result: Result<T, E>,
        outcome: impl FnOnce(&Result<T, E>) -> Outcome,
    ) -> Result<T, E> {
        self.record(outcome(&result));
        result
    }

    /// Takes a permit, runs `f`, and reports whether it went well. Never waits.
    ///
    /// If `f` panics, the call is reported as the builder's [`abandoned`](super::AdaptiveRateLimiterBuilder::abandoned)
    /// says: by default not at all. The permit stays taken.
    ///
    /// # Errors
    /// [`RateLimited`](CallError::RateLimited) if there is no permit; then `f` did not run, and nothing is reported.
    /// [`Inner`](CallError::Inner) with the error of `f`.
    ///
    /// ```
    /// use sluicegate::{AdaptiveRateLimiter, CallError};
    ///
    /// let limiter = AdaptiveRateLimiter::builder().base_rate(1.0).build()?;
    /// assert_eq!(limiter.call(|| Ok::<_, &str>("done")), Ok("done"));
    /// assert_eq!(limiter.call(|| Err::<(), _>("no such host")), Err(CallError::Inner("no such host")));
    /// // The burst of one a second is 2.
    /// assert!(matches!(limiter.call(|| Ok::<_, &str>("done")), Err(CallError::RateLimited(_))));
    /// assert_eq!(limiter.stats().window_samples, 2);
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn call<T, E>(&self, f: impl FnOnce() -> Result<T, E>) -> Result<T, CallError<E>> {
        self.try_acquire().map_err(CallError::RateLimited)?;
        let running = self.start();
        let result = f();
        running.end(outcome_of(&result));
        result.map_err(CallError::Inner)
    }

    /// Takes a permit when it is first polled, awaits `f`, and reports whether it went well. Never waits for a permit.
    ///
    /// # Errors
    /// As [`call`](Self::call); `f` is not polled where there is no permit.
    ///
    /// # Cancel safety
    /// Dropped, or if `f` panics, the call is reported as the builder's
    /// [`abandoned`](super::AdaptiveRateLimiterBuilder::abandoned) says: by default not at all. The permit stays taken,
    /// for the request may have been sent. Dropped before it is first polled, nothing was taken.
    ///
    /// ```
    /// use sluicegate::AdaptiveRateLimiter;
    ///
    /// async fn fetch(page: u32) -> Result<String, std::io::Error> {
    ///     Ok(format!("page {page}"))
    /// }
    ///
    /// let limiter = AdaptiveRateLimiter::builder().base_rate(1.0).build()?;
    /// # futures_lite::future::block_on(async {
    /// assert_eq!(limiter.call_async(fetch(1)).await.expect("there are two permits"), "page 1");
    /// assert!(limiter.call_async(fetch(2)).await.is_ok());
    /// assert!(limiter.call_async(fetch(3)).await.is_err());
    /// # });
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub async fn call_async<T, E>(&self, f: impl Future<Output = Result<T, E>>) -> Result<T, CallError<E>> {
        self.try_acquire().map_err(CallError::RateLimited)?;
        let running = self.start();
        let result = f.await;
        running.end(outcome_of(&result));
        result.map_err(CallError::Inner)
    }

    /// A call for which a permit was taken begins.
    pub(crate) fn start(&self) -> Running<'_, C> {
        Running(Some(self))
    }
}

fn outcome_of<T, E>(result: &Result<T, E>) -> Outcome {
    if result.is_ok() { Outcome::Success } else { Outcome::Error }
}

/// A call under way; dropped, it was abandoned.
pub(crate) struct Running<'a, C: Clock>(Option<&'a AdaptiveRateLimiter<C>>);

impl<C: Clock> Running<'_, C> {
    pub(crate) fn end(mut self, outcome: Outcome) {
        if let Some(limiter) = self.0.take() {
            limiter.record(outcome);
        }
    }
}

impl<C: Clock> Drop for Running<'_, C> {
    fn drop(&mut self) {
        if let Some(limiter) = self.0 {
            limiter.record(limiter.abandoned);
        }
    }
}

/// Why [`call`](AdaptiveRateLimiter::call) brought no result.
///
/// ```
/// use sluicegate::{CallError, RateLimitExceeded};
/// use std::error::Error;
/// use std::time::Duration;
///
/// let failed = CallError::Inner("7x".parse::<u8>().unwrap_err());
/// assert_eq!(failed.to_string(), "invalid digit found in string");
///
/// let limited = CallError::<std::io::Error>::RateLimited(RateLimitExceeded::Denied { retry_after: Duration::from_secs(1) });
/// assert_eq!(limited.to_string(), "rate limit exceeded, retry after 1s");
/// assert!(limited.rate_limited().is_some() && failed.rate_limited().is_none());
/// # assert!(limited.source().is_none() && failed.source().is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError<E> {
    /// There was no permit; nothing was called.
    RateLimited(RateLimitExceeded),
    /// What was called has failed.
    Inner(E),
}

impl<E> CallError<E> {
    /// The denial, if that is what it is.
    #[must_use]
    pub const fn rate_limited(&self) -> Option<&RateLimitExceeded> {
        match self {
            Self::RateLimited(exceeded) => Some(exceeded),
            Self::Inner(_) => None,
        }
    }
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RateLimited(exceeded) => exceeded.fmt(f),
            Self::Inner(error) => error.fmt(f),
        }
    }
}

/// Transparent: it says what the error within says, and its source is that one's.
impl<E: Error> Error for CallError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::RateLimited(exceeded) => exceeded.source(),
            Self::Inner(error) => error.source(),
        }
    }
}

impl<E> From<RateLimitExceeded> for CallError<E> {
    fn from(exceeded: RateLimitExceeded) -> Self {
        Self::RateLimited(exceeded)
    }
}
