//! The others' window counters: `rate-net` has a fixed and a sliding one, in one limiter with its other algorithms, and
//! `pingora-limits` counts by window. `ratelimit`, `leaky-bucket`, `better-bucket` and governor have none.
//!
//! Both hold 2^32 - 1 a window at most here, of which a run takes little, too. Not here: `rate-net`'s log, which holds no more
//! than 65,536.

use core::time::Duration;

use clock_lib::SystemClock;
use pingora_limits::rate::Rate;
use rate_net::{Algorithm, Builder, DirectLimiter};

use super::{Limiter, Outcome, Subject, WINDOW, Work, plain};
use crate::shifted::Shifted;

const SLIDING: &str = "rate_net_sliding";

/// Those that can do that work, where nothing is to be weighed.
pub(super) fn plain_ones(work: Work) -> Vec<Subject> {
    let mut subjects = vec![
        plain("rate_net_fixed", work, |limit| rate_net(Algorithm::FixedWindow, limit, SystemClock::new())),
        plain(SLIDING, work, |limit| rate_net(Algorithm::SlidingWindowCounter, limit, SystemClock::new())),
    ];
    // It does not tell how long to wait.
    if work.outcome() != Outcome::DeniedAndRead {
        subjects.push(plain("pingora_limits", work, Window::new));
    }
    subjects
}

/// The one that weighs. Its windows begin with it, and its clock is an `Instant` with a shift.
pub(super) fn weighted(work: Work) -> Subject {
    Subject::new(SLIDING, work.name(), work.outcome(), move || with_past(work))
}

fn with_past(work: Work) -> DirectLimiter<Shifted> {
    let (clock, (used, measured)) = (Shifted::new(), work.past());
    let limiter = rate_net(Algorithm::SlidingWindowCounter, work.limit(), clock.clone());
    clock.advance(WINDOW / 4 * used);
    assert!(limiter.check_n(short(work.limit())).is_allow(), "nothing was taken yet");
    clock.advance(WINDOW / 4 * (measured - used));
    limiter
}

fn rate_net<C: clock_lib::Clock + Clone>(algorithm: Algorithm, limit: u64, clock: C) -> DirectLimiter<C> {
    let builder = Builder::new().algorithm(algorithm).quota(short(limit), WINDOW).clock(clock);
    builder.try_build_direct().expect("the suite's limit fits")
}

fn short(limit: u64) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX)
}

/// A count by window, held against a limit. What is denied is counted, too.
///
/// Nobody shares a counter where there is one key, so that one counter is enough.
struct Window {
    rate: Rate,
    limit: isize,
}

impl Window {
    fn new(limit: u64) -> Self {
        let limit = isize::try_from(short(limit)).unwrap_or(isize::MAX);
        Self { rate: Rate::new_with_estimator_config(WINDOW, 1, 1), limit }
    }
}

impl Limiter for Window {
    #[inline(always)]
    fn try_acquire(&self) -> bool {
        self.rate.observe(&(), 1) <= self.limit
    }

    /// Never asked: see [`plain_ones`].
    fn wait(&self) -> Option<Duration> {
        (!self.try_acquire()).then_some(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::{Work, with_past};

    /// Half of the previous window still counts, to within a thousandth. Kills: a past that is not there.
    #[test]
    fn the_past_is_weighed() {
        let (available, half) = (with_past(Work::AllowWeighted).peek().remaining(), 1 << 31);
        assert!(available.abs_diff(half) < half / 1_000, "{available}");
    }
}
