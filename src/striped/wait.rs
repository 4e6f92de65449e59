//! Waiting for a striped bucket: in the line of its word.

use ::core::time::Duration;

use super::StripedTokenBucket;
use crate::clock::Clock;
use crate::error::RateLimitExceeded;
use crate::sync::{Ordering, fence};
use crate::token_bucket::Look;
use crate::wait::{Acquire, Line, Place, Serve, Source, block_on, waits};

impl<C: Clock> Source for StripedTokenBucket<C> {
    type View = Look;
    type Clock = C;

    fn clock(&self) -> &C {
        &self.centre.clock
    }

    fn line(&self) -> &Line {
        &self.centre.line
    }

    fn try_take(&self, n: u64) -> Result<(), RateLimitExceeded> {
        if n == 0 { Ok(()) } else { self.take_uncounted(n) }
    }

    fn look(&self) -> Look {
        Source::look(&self.centre)
    }

    fn serve(&self, look: &mut Look, n: u64, others: bool) -> Serve {
        let served = self.centre.serve(look, n, others);
        if !matches!(served, Serve::Later(_)) {
            return served;
        }
        // Ordering: SeqCst pairs with the fence in `Drained::end`: stock is seen here, or WAIT in `tell_head` by who puts it there;
        // that one wakes the head when the lock is free.
        fence(Ordering::SeqCst);
        if self.stripes.are_empty() {
            return served;
        }
        // The head has what stripes hold, too: nobody else can give it to it.
        let served = self.gather_with(n, |rest| match self.centre.serve(look, rest, others) {
            Serve::Served => Ok(()),
            refused => Err(refused),
        });
        served.map_or_else(|refused| refused, |()| Serve::Served)
    }

    fn is_current(&self, look: &Look) -> bool {
        Source::is_current(&self.centre, look)
    }

    fn capacity(&self, look: &Look) -> u64 {
        Source::capacity(&self.centre, look)
    }

    fn estimate(&self, look: &Look, ahead: u64, n: u64) -> Duration {
        let stock = self.stripes.stock();
        let of_ahead = stock.min(ahead);
        self.centre.estimate(look, ahead - of_ahead, n.saturating_sub(stock - of_ahead))
    }

    fn set_waiting(&self, waiting: bool) {
        self.centre.set_waiting(waiting);
    }

    fn count(&self, n: u64, allowed: bool, waited: Duration) {
        Source::count(&self.centre, n, allowed, waited);
    }
}

waits!(StripedTokenBucket, "StripedTokenBucket::with_clock(Quota::per_second(2), ManualClock::new())?");
