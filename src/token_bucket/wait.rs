//! Waiting for a token bucket, and reserving from one.

use ::core::time::Duration;

use super::core::View;
use super::{TokenBucket, duration};
use crate::algorithm::token_bucket::{INSTANT, Take};
use crate::clock::Clock;
use crate::error::RateLimitExceeded;
use crate::nanos::TickLength;
use crate::reservation::Reserve;
use crate::wait::{Acquire, Line, Place, Serve, Source, block_on, waits};

/// What a waiter looks at: all that it asks the clock for, so that it asks nothing under the lock.
#[derive(Debug)]
#[allow(unreachable_pub)]
pub struct Look {
    pub(crate) view: View,
    pub(crate) length: TickLength,
}

impl<C: Clock> Source for TokenBucket<C> {
    type View = Look;
    type Clock = C;

    fn clock(&self) -> &C {
        &self.clock
    }

    fn line(&self) -> &Line {
        &self.line
    }

    fn try_take(&self, n: u64) -> Result<(), RateLimitExceeded> {
        if n == 0 { Ok(()) } else { self.take_uncounted(n) }
    }

    fn look(&self) -> Look {
        Look { length: self.clock.tick_length(), view: self.core.look(&self.clock) }
    }

    fn serve(&self, Look { view, length }: &mut Look, n: u64, others: bool) -> Serve {
        match self.core.serve(view, n, others) {
            Some(Take::Granted(_)) => Serve::Served,
            Some(Take::Denied(target)) => Serve::Later(duration(*length, view.params.wait(target, view.ticks))),
            Some(Take::Impossible) | None => Serve::Stale,
        }
    }

    fn is_current(&self, look: &Look) -> bool {
        self.core.is_current(&look.view)
    }

    fn capacity(&self, look: &Look) -> u64 {
        look.view.params.capacity()
    }

    fn estimate(&self, Look { view, length }: &Look, ahead: u64, n: u64) -> Duration {
        let permits = ahead.saturating_add(n);
        duration(*length, view.params.wait_in_line(view.instant & INSTANT, view.ticks, permits))
    }

    fn set_waiting(&self, waiting: bool) {
        self.core.set_waiting(waiting);
    }

    fn count(&self, _n: u64, allowed: bool, waited: Duration) {
        self.core.count_wait(allowed, waited);
    }
}

waits!(TokenBucket, "TokenBucket::with_clock(Quota::per_second(2), ManualClock::new())?");

impl<C: Clock> TokenBucket<C> {
    /// Waits for `n` permits in the line, and reserves them: see [`try_reserve`](Self::try_reserve).
    ///
    /// # Errors
    /// As [`acquire_n`](Self::acquire_n).
    ///
    /// # Cancel safety
    /// As [`acquire_n`](Self::acquire_n): dropped before it is ready, nothing was charged.
    ///
    /// ```
    /// use sluicegate::{Quota, TokenBucket};
    ///
    /// let bucket = TokenBucket::new(Quota::per_second(100))?;
    /// # futures_lite::future::block_on(async {
    /// let reservation = bucket.reserve(50).await.expect("they fit");
    /// assert_eq!(reservation.commit(20), 20);
    /// assert!(bucket.reserve(101).await.is_err());
    /// # });
    /// # Ok::<(), sluicegate::ConfigError>(())
    /// ```
    pub fn reserve(&self, n: u64) -> Reserve<'_, C> {
        Reserve::new(self, n)
    }
}
