//! What a bucket answers where permits are not there: never, or after how long.

use ::core::time::Duration;

use super::TokenBucket;
use super::core::View;
use crate::algorithm::token_bucket::{INSTANT, Take, WAIT};
use crate::clock::Clock;
use crate::error::RateLimitExceeded;
use crate::nanos::TickLength;

impl<C: Clock> TokenBucket<C> {
    /// From the view's reading of the clock until `n` permits are there.
    pub(crate) fn time_until(&self, view: &View, n: u64) -> Result<Duration, RateLimitExceeded> {
        let take = view.params.take(view.instant, view.ticks, n);
        if n == 0 || matches!(take, Take::Granted(_)) {
            return Ok(Duration::ZERO);
        }
        match self.refused(take, view, n) {
            RateLimitExceeded::Denied { retry_after } => Ok(retry_after),
            never => Err(never),
        }
    }

    /// What it comes to that `n` permits are not there on this view.
    pub(crate) fn refuse(&self, view: &View, n: u64) -> RateLimitExceeded {
        self.refused(view.params.take(view.instant, view.ticks, n), view, n)
    }

    /// What it comes to that this `take` of `n` permits was not granted.
    #[inline(always)]
    pub(crate) fn refused(&self, take: Take, view: &View, n: u64) -> RateLimitExceeded {
        match take {
            Take::Impossible => exceeds(n, view.params.capacity()),
            _ if view.instant & WAIT != 0 => RateLimitExceeded::Denied { retry_after: self.wait_in_line(n) },
            Take::Denied(target) => self.denied(view.params.wait(target, view.ticks)),
            // Not of a view on which they are not.
            Take::Granted(_) => self.denied(0),
        }
    }

    /// How long until `n` permits have come behind those for whom others wait, about; never zero, since they come first.
    #[cold]
    #[inline(never)]
    fn wait_in_line(&self, n: u64) -> Duration {
        self.core.update(&self.clock, |params, word, ticks| {
            let permits = self.line.demand().saturating_add(n);
            let wait = self.duration(params.wait_in_line(word & INSTANT, ticks, permits));
            (wait.max(Duration::from_nanos(1)), None)
        })
    }

    #[inline(always)]
    fn denied(&self, ticks: u64) -> RateLimitExceeded {
        RateLimitExceeded::Denied { retry_after: self.duration(ticks) }
    }

    #[inline(always)]
    fn duration(&self, ticks: u64) -> Duration {
        // Asked for always: if that depended on the wait, a wait that nobody reads would have to be computed.
        duration(self.clock.tick_length(), ticks)
    }
}

#[inline(always)]
pub(crate) fn duration(length: TickLength, ticks: u64) -> Duration {
    if ticks == u64::MAX {
        return Duration::MAX;
    }
    Duration::from_nanos(length.nanos_rounded_up(ticks))
}

/// An error for who asked for `n`, a part of which came from elsewhere.
pub(crate) fn asked(error: RateLimitExceeded, n: u64) -> RateLimitExceeded {
    match error {
        RateLimitExceeded::ExceedsCapacity { capacity, .. } => exceeds(n, capacity),
        other => other,
    }
}

#[inline]
pub(crate) fn exceeds(requested: u64, capacity: u64) -> RateLimitExceeded {
    RateLimitExceeded::ExceedsCapacity { requested, capacity }
}
