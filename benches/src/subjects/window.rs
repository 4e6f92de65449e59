//! Window counters: ours, the peers', those that people write, and our token bucket with as many permits in as much time.

mod peers;

use core::time::Duration;

use sluicegate::{
    Clock, FixedWindowCounter, MonotonicClock, Quota, SlidingWindowCounter, SlidingWindowCounterBuilder, TokenBucket,
};

use super::{Limiter, Ours, Outcome, Subject, Suite};
use crate::mutex::{InstantTime, Time};
use crate::mutex_window::{FIXED, MutexWindow, SLIDING};
use crate::shifted::Shifted;

/// The name of the subject that everything is compared with.
pub const TOKEN_BUCKET: &str = "token_bucket";

/// A window that no run comes to the end of, nor to the end of a sixteenth: the first one begins with the process.
const WINDOW: Duration = Duration::from_secs(30 * 86_400);

/// All suites.
pub(super) fn suites() -> Vec<Suite> {
    Work::ALL
        .map(|work| {
            let subjects = if work.is_weighted() { those_that_weigh(work) } else { everybody(work) };
            Suite { name: work.name(), subjects }
        })
        .into()
}

/// What is asked of every subject.
///
/// Where the window before this one is empty, as it is unless told otherwise, a sliding counter has nothing to weigh.
#[derive(Clone, Copy, Debug)]
enum Work {
    /// Every call is granted: 2^40 a window, of which a run takes little.
    Allow,
    /// The same, but the whole limit was used in the window before: `previous + current + n` is above the limit at every
    /// call, and yet all are granted, because the previous window counts for less by now.
    AllowWeighted,
    /// Every call is denied: one a window, and that one is gone.
    Deny,
    /// The same, but it was used in the window before, and enough of that still counts.
    DenyWeighted,
    /// As [`Deny`](Self::Deny), and the caller looks at how long it has to wait.
    DenyRetryAfter,
}

impl Work {
    const ALL: [Self; 5] = [Self::Allow, Self::AllowWeighted, Self::Deny, Self::DenyWeighted, Self::DenyRetryAfter];

    const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::AllowWeighted => "allow_weighted",
            Self::Deny => "deny",
            Self::DenyWeighted => "deny_weighted",
            Self::DenyRetryAfter => "deny_retry_after",
        }
    }

    const fn outcome(self) -> Outcome {
        match self {
            Self::Allow | Self::AllowWeighted => Outcome::Granted,
            Self::Deny | Self::DenyWeighted => Outcome::Denied,
            Self::DenyRetryAfter => Outcome::DeniedAndRead,
        }
    }

    const fn is_weighted(self) -> bool {
        matches!(self, Self::AllowWeighted | Self::DenyWeighted)
    }

    const fn limit(self) -> u64 {
        match self {
            Self::Allow | Self::AllowWeighted => 1 << 40,
            Self::Deny | Self::DenyWeighted | Self::DenyRetryAfter => 1,
        }
    }

    /// For what is weighed: when the limit was used, and when it is measured, in quarters of a window.
    ///
    /// To be granted, half of the previous window still counts, and its last grant is more than a window past. To be
    /// denied, three quarters of it count, and its last grant is less than a window past.
    const fn past(self) -> (u32, u32) {
        if matches!(self.outcome(), Outcome::Granted) { (0, 6) } else { (2, 5) }
    }
}

fn bucket<C: Clock>(limit: u64, clock: C) -> TokenBucket<C> {
    TokenBucket::with_clock(Quota::per(limit, WINDOW), clock).expect("the suite's quota fits")
}

fn fixed<C: Clock>(limit: u64, clock: C) -> FixedWindowCounter<C> {
    FixedWindowCounter::with_clock(limit, WINDOW, clock).expect("the suite's limit fits")
}

fn sliding<C: Clock>(limit: u64, clock: C) -> SlidingWindowCounter<C> {
    SlidingWindowCounter::with_clock(limit, WINDOW, clock).expect("the suite's limit fits")
}

fn strict<C: Clock>(limit: u64, clock: C) -> SlidingWindowCounter<C> {
    SlidingWindowCounterBuilder::new(limit, WINDOW, clock).strict().build().expect("the suite's limit fits")
}

fn everybody(work: Work) -> Vec<Subject> {
    [
        plain(TOKEN_BUCKET, work, |limit| bucket(limit, MonotonicClock::new())),
        plain("fixed_window", work, |limit| fixed(limit, MonotonicClock::new())),
        plain("sliding_window", work, |limit| sliding(limit, MonotonicClock::new())),
        plain("sliding_window_strict", work, |limit| strict(limit, MonotonicClock::new())),
        plain("std_mutex_fixed_instant", work, |limit| mutex::<_, FIXED>(limit, 0, InstantTime)),
        plain("std_mutex_fixed_monotonic", work, |limit| mutex::<_, FIXED>(limit, 0, MonotonicClock::new())),
        plain("std_mutex_sliding_instant", work, |limit| mutex::<_, SLIDING>(limit, 0, InstantTime)),
        plain("std_mutex_sliding_monotonic", work, |limit| mutex::<_, SLIDING>(limit, 0, MonotonicClock::new())),
    ]
    .into_iter()
    .chain(peers::plain_ones(work))
    .collect()
}

/// The limit is used up where calls are to be denied.
fn plain<L: Limiter>(name: &'static str, work: Work, make: impl Fn(u64) -> L + 'static) -> Subject {
    Subject::new(name, work.name(), work.outcome(), move || {
        let limiter = make(work.limit());
        if work.outcome() != Outcome::Granted {
            assert!(limiter.try_acquire(), "{name} starts with its limit");
        }
        limiter
    })
}

/// The token bucket weighs nothing, and is there for comparison, on the same clock. By the time it is measured it is
/// full where calls are granted, and short of a permit where they are denied. Fixed windows forget, and are not there.
fn those_that_weigh(work: Work) -> Vec<Subject> {
    vec![
        weighted(TOKEN_BUCKET, work, bucket),
        weighted("sliding_window", work, sliding),
        weighted("sliding_window_strict", work, strict),
        weighted_mutex("std_mutex_sliding_instant", work, || InstantTime),
        weighted_mutex("std_mutex_sliding_monotonic", work, Shifted::new),
        peers::weighted(work),
    ]
}

fn weighted<L: Ours + 'static>(name: &'static str, work: Work, make: fn(u64, Shifted) -> L) -> Subject {
    Subject::new(name, work.name(), work.outcome(), move || with_past(work, make))
}

fn with_past<L: Ours>(work: Work, make: fn(u64, Shifted) -> L) -> L {
    let (clock, (used, measured)) = (Shifted::new(), work.past());
    let limiter = make(work.limit(), clock.clone());
    clock.advance(WINDOW / 4 * used);
    limiter.take(work.limit()).expect("nothing was taken yet");
    clock.advance(WINDOW / 4 * (measured - used));
    limiter
}

/// An `Instant` cannot be shifted. So the window begins now, after one in which half of the limit was taken, which
/// weighs as much as the whole one later; the one permit is taken either way.
fn weighted_mutex<T: Time + 'static>(name: &'static str, work: Work, time: fn() -> T) -> Subject {
    let previous = work.limit().div_ceil(2);
    Subject::new(name, work.name(), work.outcome(), move || mutex::<T, SLIDING>(work.limit(), previous, time()))
}

fn mutex<T: Time, const SLIDES: bool>(limit: u64, previous: u64, time: T) -> MutexWindow<T, SLIDES> {
    MutexWindow::new(limit, WINDOW, previous, time)
}

impl<T: Time, const SLIDES: bool> Limiter for MutexWindow<T, SLIDES> {
    #[inline(always)]
    fn try_acquire(&self) -> bool {
        self.try_acquire()
    }

    #[inline(always)]
    fn wait(&self) -> Option<Duration> {
        self.try_acquire_or_wait().err()
    }
}

#[cfg(test)]
mod tests {
    use super::{Work, sliding, strict, with_past};

    /// Half of the previous window still counts, to within a thousandth, and by the strict law nothing of it.
    #[test]
    fn the_past_is_weighed() {
        let (work, half) = (Work::AllowWeighted, Work::AllowWeighted.limit() / 2);
        let available = with_past(work, sliding).available();
        assert!(available.abs_diff(half) < half / 1_000, "{available}");
        assert_eq!(with_past(work, strict).available(), work.limit());
    }
}
