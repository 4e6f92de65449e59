//! The waiting verbs, which every limiter has alike, said once.

/// The verbs of a limiter that is a [`Source`](super::Source). `$new` makes one with two permits a second.
macro_rules! waits {
    ($Limiter:ident, $new:literal) => {
        impl<C: Clock> $Limiter<C> {
            /// Waits for one permit. See [`acquire_n`](Self::acquire_n).
            ///
            /// # Errors
            /// [`Denied`](RateLimitExceeded::Denied) if the line is full (see `max_waiters` of the builder).
            ///
            /// ```
            #[doc = concat!("use sluicegate::{ManualClock, Quota, ", stringify!($Limiter), "};")]
            /// use std::time::Duration;
            ///
            #[doc = concat!("let limiter = ", $new, ";")]
            /// # futures_lite::future::block_on(async {
            /// assert_eq!(limiter.acquire().await, Ok(()));
            /// # });
            /// # Ok::<(), sluicegate::ConfigError>(())
            /// ```
            pub fn acquire(&self) -> Acquire<'_, C, Self> {
                Acquire::new(self, 1, None)
            }

            /// Waits for `n` permits, in the order of joining: the future joins the line when it is first polled. While
            /// somebody waits nobody overtakes; a large request is not starved by small ones. `n = 0` is `Ok` at once.
            ///
            /// Only the head of the line sleeps on time, on any runtime.
            ///
            /// # Errors
            /// [`ExceedsCapacity`](RateLimitExceeded::ExceedsCapacity) if `n` is more than one call can ever get, also
            /// when that comes to be so while it waits; [`Denied`](RateLimitExceeded::Denied) if the line is full.
            /// Nothing was charged.
            ///
            /// # Cancel safety
            /// Dropped before it is ready, the future leaves no trace: nothing was charged, and the next one is woken.
            ///
            /// ```
            #[doc = concat!("use sluicegate::{ManualClock, Quota, RateLimitExceeded, ", stringify!($Limiter), "};")]
            /// use std::time::Duration;
            ///
            #[doc = concat!("let limiter = ", $new, ";")]
            /// # futures_lite::future::block_on(async {
            /// assert_eq!(limiter.acquire_n(2).await, Ok(()));
            /// let never = limiter.acquire_n(3).await;
            /// assert_eq!(never, Err(RateLimitExceeded::ExceedsCapacity { requested: 3, capacity: 2 }));
            /// # });
            /// # Ok::<(), sluicegate::ConfigError>(())
            /// ```
            pub fn acquire_n(&self, n: u64) -> Acquire<'_, C, Self> {
                Acquire::new(self, n, None)
            }

            /// Waits for `n` permits, for `timeout` at most, by the limiter's clock; what is slept counts whatever the clock
            /// says.
            ///
            /// # Errors
            /// As [`acquire_n`](Self::acquire_n); and [`Denied`](RateLimitExceeded::Denied), at once, if the permits
            /// cannot come in time, given who waits before; or after `timeout`. Nothing was charged.
            ///
            /// # Cancel safety
            /// As [`acquire_n`](Self::acquire_n).
            ///
            /// ```
            #[doc = concat!("use sluicegate::{ManualClock, Quota, ", stringify!($Limiter), "};")]
            /// use std::time::Duration;
            ///
            #[doc = concat!("let limiter = ", $new, ";")]
            /// # futures_lite::future::block_on(async {
            /// assert_eq!(limiter.acquire_timeout(2, Duration::ZERO).await, Ok(()));
            /// assert!(limiter.acquire_timeout(2, Duration::ZERO).await.is_err());
            /// # });
            /// # Ok::<(), sluicegate::ConfigError>(())
            /// ```
            pub fn acquire_timeout(&self, n: u64, timeout: Duration) -> Acquire<'_, C, Self> {
                Acquire::new(self, n, Some(timeout))
            }

            /// Waits for one permit on this thread. See [`blocking_acquire_n`](Self::blocking_acquire_n).
            ///
            /// # Errors
            /// [`Denied`](RateLimitExceeded::Denied) if the line is full.
            ///
            /// ```
            #[doc = concat!("use sluicegate::{ManualClock, Quota, ", stringify!($Limiter), "};")]
            /// use std::time::Duration;
            ///
            #[doc = concat!("let limiter = ", $new, ";")]
            /// assert_eq!(limiter.blocking_acquire(), Ok(()));
            /// # Ok::<(), sluicegate::ConfigError>(())
            /// ```
            pub fn blocking_acquire(&self) -> Result<(), RateLimitExceeded> {
                self.blocking_acquire_n(1)
            }

            /// Waits for `n` permits on this thread, in one line with all that wait, tasks included.
            ///
            /// # Errors
            /// As [`acquire_n`](Self::acquire_n).
            ///
            /// # Blocking
            /// Parks the thread. In an async runtime use [`acquire`](Self::acquire): if all workers of a runtime park
            /// behind a task of its own, nobody polls that task, and since the line keeps its order all wait for ever.
            ///
            /// ```
            #[doc = concat!("use sluicegate::{ManualClock, Quota, ", stringify!($Limiter), "};")]
            /// use std::time::Duration;
            ///
            #[doc = concat!("let limiter = ", $new, ";")]
            /// assert_eq!(limiter.blocking_acquire_n(2), Ok(()));
            /// assert!(limiter.blocking_acquire_n(3).is_err());
            /// # Ok::<(), sluicegate::ConfigError>(())
            /// ```
            pub fn blocking_acquire_n(&self, n: u64) -> Result<(), RateLimitExceeded> {
                block_on(Place::new(self, n, None))
            }

            /// Waits for `n` permits on this thread, for `timeout` at most: see
            /// [`acquire_timeout`](Self::acquire_timeout).
            ///
            /// # Errors
            /// As [`acquire_timeout`](Self::acquire_timeout).
            ///
            /// # Blocking
            /// Parks the thread, for `timeout` at most.
            ///
            /// ```
            #[doc = concat!("use sluicegate::{ManualClock, Quota, ", stringify!($Limiter), "};")]
            /// use std::time::Duration;
            ///
            #[doc = concat!("let limiter = ", $new, ";")]
            /// assert_eq!(limiter.blocking_acquire_timeout(2, Duration::ZERO), Ok(()));
            /// assert!(limiter.blocking_acquire_timeout(1, Duration::ZERO).is_err());
            /// # Ok::<(), sluicegate::ConfigError>(())
            /// ```
            pub fn blocking_acquire_timeout(&self, n: u64, timeout: Duration) -> Result<(), RateLimitExceeded> {
                block_on(Place::new(self, n, Some(timeout)))
            }
        }
    };
}
pub(crate) use waits;
