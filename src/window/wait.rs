//! Waiting for a window counter.

use ::core::time::Duration;

use super::{FixedWindowCounter, SlidingWindowCounter};
use crate::algorithm::window::View;
use crate::clock::Clock;
use crate::error::RateLimitExceeded;
use crate::wait::{Acquire, Line, Place, Serve, Source, block_on, waits};

macro_rules! source {
    ($Counter:ident) => {
        impl<C: Clock> Source for $Counter<C> {
            type View = View;
            type Clock = C;

            fn clock(&self) -> &C {
                &self.clock
            }

            fn line(&self) -> &Line {
                self.core.line()
            }

            fn try_take(&self, n: u64) -> Result<(), RateLimitExceeded> {
                if n == 0 { Ok(()) } else { self.core.acquire(self.law(), &self.clock, n) }
            }

            fn look(&self) -> View {
                self.core.look(self.law(), &self.clock)
            }

            fn serve(&self, view: &mut View, n: u64, others: bool) -> Serve {
                self.core.serve(self.law(), view, n, others)
            }

            fn is_current(&self, _view: &View) -> bool {
                true
            }

            fn capacity(&self, _view: &View) -> u64 {
                self.limit()
            }

            fn estimate(&self, view: &View, ahead: u64, n: u64) -> Duration {
                self.core.estimate(self.law(), view, ahead, n)
            }

            fn set_waiting(&self, waiting: bool) {
                self.core.set_waiting(waiting);
            }

            fn count(&self, _n: u64, allowed: bool, waited: Duration) {
                self.core.count_wait(allowed, waited);
            }
        }
    };
}

source!(FixedWindowCounter);
waits!(FixedWindowCounter, "FixedWindowCounter::with_clock(2, Duration::from_secs(1), ManualClock::new())?");

source!(SlidingWindowCounter);
waits!(SlidingWindowCounter, "SlidingWindowCounter::with_clock(2, Duration::from_secs(1), ManualClock::new())?");
