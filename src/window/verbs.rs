//! What every window counter can do, said once.

/// The verbs, and `Debug`, of a counter with a `core`, a `clock` and a `law()`.
///
/// The examples hold for all of them: they stay within one window and have none before it.
macro_rules! verbs {
    ($Counter:ident) => {
        impl<C: Clock> $Counter<C> {
            /// Takes one permit, or nothing.
            ///
            /// # Errors
            /// [`Denied`](RateLimitExceeded::Denied) with the exact time after which the same call succeeds, if nobody
            /// else comes, counted from the call's last reading of the clock. Nothing was charged.
            ///
            /// ```
            #[doc = concat!("use sluicegate::{ManualClock, ", stringify!($Counter), "};")]
            /// use std::time::Duration;
            ///
            /// let clock = ManualClock::new();
            #[doc = concat!(
                "let counter = ", stringify!($Counter), "::with_clock(2, Duration::from_secs(1), clock.clone())?;"
            )]
            /// assert!(counter.try_acquire().is_ok());
            /// assert!(counter.try_acquire().is_ok());
            ///
            /// let wait = counter.try_acquire().unwrap_err().retry_after().expect("it comes");
            /// clock.advance(wait - Duration::from_nanos(1));
            /// assert!(counter.try_acquire().is_err());
            /// clock.advance(Duration::from_nanos(1));
            /// assert!(counter.try_acquire().is_ok());
            /// # Ok::<(), sluicegate::ConfigError>(())
            /// ```
            #[inline(always)]
            pub fn try_acquire(&self) -> Result<(), RateLimitExceeded> {
                self.try_acquire_n(1)
            }

            /// Takes `n` permits, or nothing. `n = 0` is `Ok` and takes nothing.
            ///
            /// # Errors
            /// [`Denied`](RateLimitExceeded::Denied) if they are not there now, or while somebody waits in line;
            /// [`ExceedsCapacity`](RateLimitExceeded::ExceedsCapacity) if `n` is above the limit, so that they never
            /// will be. Nothing was charged.
            ///
            /// ```
            #[doc = concat!("use sluicegate::{ManualClock, RateLimitExceeded, ", stringify!($Counter), "};")]
            /// use std::time::Duration;
            ///
            #[doc = concat!(
                "let counter = ", stringify!($Counter), "::with_clock(10, Duration::from_secs(1), ManualClock::new())?;"
            )]
            /// assert_eq!(counter.try_acquire_n(8), Ok(()));
            /// assert!(matches!(counter.try_acquire_n(3), Err(RateLimitExceeded::Denied { .. })));
            /// assert!(matches!(counter.try_acquire_n(11), Err(RateLimitExceeded::ExceedsCapacity { .. })));
            /// assert_eq!(counter.try_acquire_n(2), Ok(())); // the two are still there
            /// # Ok::<(), sluicegate::ConfigError>(())
            /// ```
            #[inline(always)]
            pub fn try_acquire_n(&self, n: u64) -> Result<(), RateLimitExceeded> {
                self.core.try_acquire_n(self.law(), &self.clock, n)
            }

            /// Gives `n` permits back to the window that is open: its count is lowered, never below zero.
            ///
            /// The counter does not know when a permit was taken, so give back only what was taken in the same window.
            /// If the open window has counted nothing yet, nothing comes of it: what earlier windows granted stays
            /// granted. The same for a call that is overtaken by the end of its window.
            ///
            /// ```
            #[doc = concat!("use sluicegate::{ManualClock, ", stringify!($Counter), "};")]
            /// use std::time::Duration;
            ///
            /// let clock = ManualClock::new();
            #[doc = concat!(
                "let counter = ", stringify!($Counter), "::with_clock(10, Duration::from_secs(1), clock.clone())?;"
            )]
            /// assert_eq!(counter.try_acquire_n(4), Ok(()));
            /// counter.refund(1);
            /// assert_eq!(counter.available(), 7);
            /// counter.refund(u64::MAX);
            /// assert_eq!(counter.available(), 10);
            ///
            /// assert_eq!(counter.try_acquire_n(10), Ok(()));
            /// clock.advance(Duration::from_secs(1));
            /// let available = counter.available();
            /// counter.refund(5); // too late: dropped
            /// assert_eq!(counter.available(), available);
            /// # Ok::<(), sluicegate::ConfigError>(())
            /// ```
            #[inline]
            pub fn refund(&self, n: u64) {
                self.core.refund(self.law(), &self.clock, n);
            }

            /// The permits that are there now. Stale as soon as it is told. While somebody waits in line they are kept for
            /// the line, so that a `try_` verb denies all the same.
            ///
            /// ```
            #[doc = concat!("use sluicegate::{ManualClock, ", stringify!($Counter), "};")]
            /// use std::time::Duration;
            ///
            #[doc = concat!(
                "let counter = ", stringify!($Counter), "::with_clock(10, Duration::from_secs(1), ManualClock::new())?;"
            )]
            /// assert_eq!(counter.try_acquire_n(8), Ok(()));
            /// assert_eq!(counter.available(), 2);
            /// assert!(counter.try_acquire_n(counter.available() + 1).is_err());
            /// # Ok::<(), sluicegate::ConfigError>(())
            /// ```
            #[must_use]
            #[inline]
            pub fn available(&self) -> u64 {
                self.core.available(self.law(), &self.clock)
            }

            /// How long until `n` permits are there, if nobody else comes: exactly, in the clock's own nanoseconds;
            /// zero if they are there now, and `Duration::MAX` where time stops before. While others wait in line it is an
            /// estimate that counts the demand ahead, as if every window brought the limit, and never zero.
            ///
            /// # Errors
            /// [`ExceedsCapacity`](RateLimitExceeded::ExceedsCapacity) if `n` is above the limit, so that they never
            /// will be.
            ///
            /// ```
            #[doc = concat!("use sluicegate::{ManualClock, ", stringify!($Counter), "};")]
            /// use std::time::Duration;
            ///
            /// let clock = ManualClock::new();
            #[doc = concat!(
                "let counter = ", stringify!($Counter), "::with_clock(10, Duration::from_secs(1), clock.clone())?;"
            )]
            /// assert_eq!(counter.time_to_available(10), Ok(Duration::ZERO));
            /// assert_eq!(counter.try_acquire_n(10), Ok(()));
            ///
            /// clock.advance(counter.time_to_available(3)?);
            /// assert_eq!(counter.try_acquire_n(3), Ok(()));
            /// assert!(counter.time_to_available(11).is_err());
            /// # Ok::<(), Box<dyn std::error::Error>>(())
            /// ```
            #[inline]
            pub fn time_to_available(&self, n: u64) -> Result<Duration, RateLimitExceeded> {
                self.core.time_to_available(self.law(), &self.clock, n)
            }

            /// The permits a window.
            ///
            /// ```
            #[doc = concat!("use sluicegate::", stringify!($Counter), ";")]
            /// use std::time::Duration;
            ///
            #[doc = concat!("let counter = ", stringify!($Counter), "::new(10, Duration::from_secs(1))?;")]
            /// assert_eq!(counter.limit(), 10);
            /// assert!(counter.try_acquire_n(counter.limit() + 1).is_err());
            /// # Ok::<(), sluicegate::ConfigError>(())
            /// ```
            #[must_use]
            pub const fn limit(&self) -> u64 {
                self.core.params().limit()
            }

            /// How long a window is.
            ///
            /// ```
            #[doc = concat!("use sluicegate::", stringify!($Counter), ";")]
            /// use std::time::Duration;
            ///
            #[doc = concat!("let counter = ", stringify!($Counter), "::new(10, Duration::from_secs(1))?;")]
            /// assert_eq!(counter.window(), Duration::from_secs(1));
            #[doc = concat!("assert!(", stringify!($Counter), "::new(10, Duration::ZERO).is_err());")]
            /// # Ok::<(), sluicegate::ConfigError>(())
            /// ```
            #[must_use]
            pub const fn window(&self) -> Duration {
                self.core.params().window()
            }

            /// What was counted; `None` unless built with `.stats()`.
            ///
            /// ```
            #[doc = concat!("use sluicegate::{ManualClock, ", stringify!($Counter), "};")]
            /// use std::time::Duration;
            ///
            #[doc = concat!(
                "let counter = ", stringify!($Counter), "::builder(1, Duration::from_secs(1)).clock(ManualClock::new())"
            )]
            ///     .stats()
            ///     .build()?;
            /// let _ = (counter.try_acquire(), counter.try_acquire());
            /// assert_eq!(counter.stats().expect("built with .stats()").rejection_rate(), 0.5);
            /// # Ok::<(), sluicegate::ConfigError>(())
            /// ```
            #[must_use]
            pub fn stats(&self) -> Option<RateLimiterStats> {
                self.core.stats()
            }
        }

        /// For composites.
        impl<C: Clock> $Counter<C> {
            /// Whether `n` permits are there, and the reading of the clock at which they are; not counted.
            #[inline(always)]
            pub(crate) fn peek(&self, n: u64) -> Result<u64, RateLimitExceeded> {
                self.core.peek(self.law(), &self.clock, n)
            }

            /// Takes them at that reading, if they are still there; a call that is denied is not counted.
            #[inline(always)]
            pub(crate) fn take_at(&self, n: u64, clock: &impl Clock) -> bool {
                self.core.take_at(self.law(), clock, n)
            }

            /// One of the clock, in nanoseconds.
            #[inline(always)]
            pub(crate) fn reading(&self) -> u64 {
                self.clock.now().as_nanos()
            }

            /// Gives back what was taken at that reading, if its window is still that of the last grant.
            #[inline]
            pub(crate) fn refund_of(&self, n: u64, reading: u64) {
                self.core.refund_of(self.law(), &self.clock, n, Some(reading));
            }
        }

        impl<C: Clock> fmt::Debug for $Counter<C> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($Counter))
                    .field("law", &self.law())
                    .field("limit", &self.limit())
                    .field("window", &self.window())
                    .field("available", &self.available())
                    .field("stats", &self.stats())
                    .finish_non_exhaustive()
            }
        }
    };
}
pub(crate) use verbs;
