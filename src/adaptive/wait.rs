//! Waiting for an adaptive limiter: in its bucket's line, and until it is open.

use ::core::time::Duration;

use super::AdaptiveRateLimiter;
use crate::clock::Clock;
use crate::error::RateLimitExceeded;
use crate::token_bucket::Look;
use crate::wait::{Acquire, Line, Place, Serve, Source, block_on, waits};

impl<C: Clock> Source for AdaptiveRateLimiter<C> {
    type View = Look;
    type Clock = C;

    fn clock(&self) -> &C {
        &self.bucket.clock
    }

    fn line(&self) -> &Line {
        &self.bucket.line
    }

    fn try_take(&self, n: u64) -> Result<(), RateLimitExceeded> {
        if n == 0 { Ok(()) } else { self.take_usually(n).unwrap_or_else(|| self.take_unusually(n)) }
    }

    fn look(&self) -> Look {
        Look { length: self.bucket.clock.tick_length(), view: self.look() }
    }

    /// A pause that was asked for after the look is seen too; what was decided before that stays.
    fn serve(&self, look: &mut Look, n: u64, others: bool) -> Serve {
        let closed = self.closed_for(&look.view, look.length, n);
        if closed.is_zero() {
            return self.bucket.serve(look, n, others);
        }
        // As of now, under the lock: whoever gave permits back before this has found no waker.
        if !self.bucket.core.refresh(&mut look.view) {
            return Serve::Stale;
        }
        Serve::Later(closed.max(self.bucket.estimate(look, 0, n)))
    }

    fn is_current(&self, look: &Look) -> bool {
        self.bucket.is_current(look)
    }

    fn capacity(&self, look: &Look) -> u64 {
        self.bucket.capacity(look)
    }

    fn estimate(&self, look: &Look, ahead: u64, n: u64) -> Duration {
        let closed = self.closed_for(&look.view, look.length, ahead.saturating_add(n));
        self.bucket.estimate(look, ahead, n).max(closed)
    }

    fn set_waiting(&self, waiting: bool) {
        self.bucket.set_waiting(waiting);
    }

    fn count(&self, n: u64, allowed: bool, waited: Duration) {
        self.counters.record_wait(allowed, n, waited);
    }
}

waits!(AdaptiveRateLimiter, "AdaptiveRateLimiter::builder().base_rate(1.0).clock(ManualClock::new()).build()?");
