//! Token buckets: ours, governor, and the mutexes that people write, with quotas that all can hold.

use core::num::NonZeroU32;
use core::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use sluicegate::{CoarseClock, MonotonicClock, Quota, TokenBucket};

use super::{Limiter, Outcome, Subject, Suite};
use crate::mutex::{
    InstantTime, Lock, MutexBucket, ParkingLotInstant, ParkingLotMonotonic, State, StdInstant, StdMonotonic, Time,
};

/// The name of the peer that everything is compared with.
pub const GOVERNOR: &str = "governor";

/// All suites.
pub(super) fn suites() -> Vec<Suite> {
    Work::ALL.map(|work| Suite { name: work.name(), subjects: everybody(work) }).into()
}

/// Our bucket with and without statistics, where every call is granted.
#[must_use]
pub fn with_and_without_stats() -> Vec<Subject> {
    vec![subject("off", Work::Allow, Load::bucket), subject("on", Work::Allow, Load::with_stats)]
}

/// What is asked of every subject.
///
/// governor keeps a burst in 32 bits and its interval in whole nanoseconds, so the quotas stay within that.
#[derive(Clone, Copy, Debug)]
enum Work {
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

impl Work {
    const ALL: [Self; 4] = [Self::Allow, Self::AllowFull, Self::Deny, Self::DenyRetryAfter];

    const fn name(self) -> &'static str {
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

    const fn outcome(self) -> Outcome {
        match self {
            Self::Allow | Self::AllowFull => Outcome::Granted,
            Self::Deny => Outcome::Denied,
            Self::DenyRetryAfter => Outcome::DeniedAndRead,
        }
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

fn subject<L: Limiter>(name: &'static str, work: Work, make: impl Fn(Load) -> L + 'static) -> Subject {
    Subject::new(name, work.name(), work.outcome(), move || {
        let limiter = make(work.load());
        if work.outcome() != Outcome::Granted {
            assert!(limiter.try_acquire(), "{name} starts with its burst");
        }
        limiter
    })
}

fn everybody(work: Work) -> Vec<Subject> {
    vec![
        subject("sluicegate", work, Load::bucket),
        subject("sluicegate_coarse", work, Load::coarse),
        subject(GOVERNOR, work, Load::governor),
        subject("std_mutex_instant", work, |load| -> StdInstant { load.mutex(InstantTime) }),
        subject("std_mutex_monotonic", work, |load| -> StdMonotonic { load.mutex(MonotonicClock::new()) }),
        subject("parking_lot_instant", work, |load| -> ParkingLotInstant { load.mutex(InstantTime) }),
        subject("parking_lot_monotonic", work, |load| -> ParkingLotMonotonic { load.mutex(MonotonicClock::new()) }),
    ]
}
