//! Who is measured, and on which work: every limiter behind one face, every suite with a quota that all can hold.

use core::fmt;
use core::hint::black_box;
use core::num::NonZeroU32;
use core::time::Duration;

use crossbeam_utils::CachePadded;
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use sluicegate::{Clock, CoarseClock, MonotonicClock, Quota, TokenBucket};

use crate::harness::{self, Measurement};
use crate::mutex::{
    InstantTime, Lock, MutexBucket, ParkingLotInstant, ParkingLotMonotonic, State, StdInstant, StdMonotonic, Time,
};

/// The name of the peer that everything is compared with.
pub const GOVERNOR: &str = "governor";

/// What is asked of every subject.
///
/// governor keeps a burst in 32 bits and its interval in whole nanoseconds, so the quotas stay within that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// Every call is granted, and the bucket is neither full nor empty: 1,000 a second out of a burst of 2^32 - 1.
    ///
    /// More calls than permits come, as under load, and a run is too short to empty the bucket.
    Allow,
    /// Every call is granted and finds the bucket full: 10^9 a second and a burst of 2^30.
    ///
    /// Fewer calls than permits come, as on a quiet day.
    AllowFull,
    /// Every call is denied: one an hour, and that one is gone.
    Deny,
    /// The same, and the caller looks at how long it has to wait.
    DenyRetryAfter,
}

impl Suite {
    /// All suites.
    pub const ALL: [Self; 4] = [Self::Allow, Self::AllowFull, Self::Deny, Self::DenyRetryAfter];

    /// Its name in results.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::AllowFull => "allow_full",
            Self::Deny => "deny",
            Self::DenyRetryAfter => "deny_retry_after",
        }
    }

    const fn load(self) -> Load {
        match self {
            Self::Allow => Load { interval: Duration::from_millis(1), burst: NonZeroU32::MAX },
            Self::AllowFull => {
                Load { interval: Duration::from_nanos(1), burst: NonZeroU32::MIN.saturating_add((1 << 30) - 1) }
            }
            Self::Deny | Self::DenyRetryAfter => Load { interval: Duration::from_secs(3_600), burst: NonZeroU32::MIN },
        }
    }

    const fn denies(self) -> bool {
        matches!(self, Self::Deny | Self::DenyRetryAfter)
    }
}

/// A quota that every subject can hold: one permit an interval, and a burst.
#[derive(Clone, Copy, Debug)]
struct Load {
    interval: Duration,
    burst: NonZeroU32,
}

impl Load {
    fn ours(self) -> Quota {
        Quota::per(1, self.interval).burst(u64::from(self.burst.get()))
    }

    fn bucket(self) -> TokenBucket {
        TokenBucket::new(self.ours()).expect("the suite's quota fits")
    }

    fn with_stats(self) -> TokenBucket {
        TokenBucket::builder(self.ours()).stats().build().expect("the suite's quota fits")
    }

    fn coarse(self) -> TokenBucket<CoarseClock> {
        // A clock of its own: its upkeep thread then runs only while this subject is measured.
        let clock = CoarseClock::start(Duration::from_millis(1)).expect("a thread can be started");
        TokenBucket::with_clock(self.ours(), clock).expect("the suite's quota fits")
    }

    fn governor(self) -> Governor {
        let quota = governor::Quota::with_period(self.interval).expect("the interval is above zero");
        Governor::direct(quota.allow_burst(self.burst))
    }

    fn mutex<T: Time, L: Lock<State<T::Point>>>(self, time: T) -> MutexBucket<T, L> {
        MutexBucket::new(1.0 / self.interval.as_secs_f64(), f64::from(self.burst.get()), time)
    }
}

type Governor = governor::RateLimiter<NotKeyed, InMemoryState, DefaultClock, NoOpMiddleware>;

/// The one face.
trait Limiter: Sync {
    fn try_acquire(&self) -> bool;
    /// `None` if granted, else how long to wait.
    fn wait(&self) -> Option<Duration>;
}

impl<C: Clock> Limiter for TokenBucket<C> {
    #[inline(always)]
    fn try_acquire(&self) -> bool {
        self.try_acquire().is_ok()
    }

    #[inline(always)]
    fn wait(&self) -> Option<Duration> {
        self.try_acquire().err().map(|denied| denied.retry_after().unwrap_or(Duration::MAX))
    }
}

impl Limiter for Governor {
    #[inline(always)]
    fn try_acquire(&self) -> bool {
        self.check().is_ok()
    }

    /// Reads the clock once more, as its documentation does: it tells a point in time.
    #[inline(always)]
    fn wait(&self) -> Option<Duration> {
        self.check().err().map(|denied| denied.wait_time_from(self.clock().now()))
    }
}

impl<T: Time, L: Lock<State<T::Point>>> Limiter for MutexBucket<T, L> {
    #[inline(always)]
    fn try_acquire(&self) -> bool {
        self.try_acquire()
    }

    #[inline(always)]
    fn wait(&self) -> Option<Duration> {
        self.try_acquire_or_wait().err()
    }
}

/// A limiter in a suite, ready to be measured as often as one likes.
pub struct Subject {
    name: &'static str,
    measure: Box<dyn Fn(usize, u64) -> Measurement>,
}

impl Subject {
    /// Boxed at the level of a run: within it everything is one type, and inlined.
    fn new<L: Limiter>(name: &'static str, suite: Suite, make: impl Fn(Load) -> L + 'static) -> Self {
        let measure = move |threads, calls_per_thread| {
            // On cache lines that it shares with nothing of the harness.
            let limiter = CachePadded::new(make(suite.load()));
            if suite.denies() {
                assert!(limiter.try_acquire(), "{name} starts with its burst");
            }
            let found = match suite {
                Suite::Allow | Suite::AllowFull | Suite::Deny => {
                    harness::run(&*limiter, threads, calls_per_thread, |limiter: &L| limiter.try_acquire())
                }
                Suite::DenyRetryAfter => harness::run(&*limiter, threads, calls_per_thread, |limiter: &L| {
                    black_box(limiter.wait()).is_none()
                }),
            };
            let expected = if suite.denies() { 0 } else { found.decisions };
            assert_eq!(found.admitted, expected, "{name}, {}, {threads} threads", suite.name());
            found
        };
        Self { name, measure: Box::new(measure) }
    }

    /// Its name in results.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Makes a fresh limiter and times `calls_per_thread` calls on each of `threads` threads: see [`harness::run`].
    ///
    /// # Panics
    /// If anything was admitted that should have been denied, or the other way round.
    #[must_use]
    pub fn measure(&self, threads: usize, calls_per_thread: u64) -> Measurement {
        (self.measure)(threads, calls_per_thread)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Subject").field(&self.name).finish()
    }
}

/// Everybody.
#[must_use]
pub fn all(suite: Suite) -> Vec<Subject> {
    vec![
        Subject::new("sluicegate", suite, Load::bucket),
        Subject::new("sluicegate_coarse", suite, Load::coarse),
        Subject::new(GOVERNOR, suite, Load::governor),
        Subject::new("std_mutex_instant", suite, |load| -> StdInstant { load.mutex(InstantTime) }),
        Subject::new("std_mutex_monotonic", suite, |load| -> StdMonotonic { load.mutex(MonotonicClock::new()) }),
        Subject::new("parking_lot_instant", suite, |load| -> ParkingLotInstant { load.mutex(InstantTime) }),
        Subject::new("parking_lot_monotonic", suite, |load| -> ParkingLotMonotonic {
            load.mutex(MonotonicClock::new())
        }),
    ]
}

/// The names of everybody.
#[must_use]
pub fn names() -> Vec<&'static str> {
    all(Suite::Allow).iter().map(Subject::name).collect()
}

/// Our bucket with and without statistics.
#[must_use]
pub fn with_and_without_stats(suite: Suite) -> Vec<Subject> {
    vec![Subject::new("off", suite, Load::bucket), Subject::new("on", suite, Load::with_stats)]
}

#[cfg(test)]
mod tests {
    use super::{Suite, all, with_and_without_stats};

    /// The admitted counts are asserted by the subjects themselves.
    #[test]
    fn every_subject_does_what_the_suite_wants() {
        for suite in Suite::ALL {
            for subject in all(suite).into_iter().chain(with_and_without_stats(suite)) {
                assert_eq!(subject.measure(2, 5_000).decisions, 10_000);
            }
        }
    }
}
