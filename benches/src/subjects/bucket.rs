//! Token buckets: ours, the peers', and the mutexes that people write, with quotas that all can hold.
//!
//! What our striped bucket, and a worker's stock of it, cost depends on how many permits are drawn at once, and so on the burst.
//! With the largest one that governor can hold they hardly ever draw; what
//! drawing costs is in the binary `utilisation`.

use core::hint::black_box;
use core::num::NonZeroU32;
use core::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use sluicegate::{CoarseClock, LocalTokenBucket, MonotonicClock, Quota, StripedTokenBucket, TokenBucket};

use super::{Limiter, Outcome, Subject, Suite, peers};
use crate::harness;
use crate::mutex::{
    InstantTime, Lock, MutexBucket, ParkingLotInstant, ParkingLotMonotonic, State, StdInstant, StdMonotonic, Time,
};

/// The name of the peer that everything is compared with.
pub const GOVERNOR: &str = "governor";
/// Of the bucket of one word.
pub const OURS: &str = "sluicegate";
/// Of the striped bucket.
pub const STRIPED: &str = "sluicegate_striped";
/// Of the same where each thread has a stock of its own.
pub const LOCAL: &str = "sluicegate_local";
/// Of what no stock can be faster than: a thread's own number, in memory, is counted down.
pub const COUNTDOWN: &str = "countdown";

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
pub(super) enum Work {
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
    /// Every call is denied: one an hour, and a burst of 100,000 that is spent. That is large enough to be divided.
    DenySpent,
}

impl Work {
    const ALL: [Self; 5] = [Self::Allow, Self::AllowFull, Self::Deny, Self::DenyRetryAfter, Self::DenySpent];

    const MODERATE: NonZeroU32 = NonZeroU32::MIN.saturating_add(100_000 - 1);

    const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::AllowFull => "allow_full",
            Self::Deny => "deny",
            Self::DenyRetryAfter => "deny_retry_after",
            Self::DenySpent => "deny_spent",
        }
    }

    const fn load(self) -> Load {
        match self {
            Self::Allow => Load { interval: Duration::from_millis(1), burst: NonZeroU32::MAX },
            Self::AllowFull => {
                Load { interval: Duration::from_nanos(1), burst: NonZeroU32::MIN.saturating_add((1 << 30) - 1) }
            }
            Self::Deny | Self::DenyRetryAfter => Load { interval: Duration::from_secs(3_600), burst: NonZeroU32::MIN },
            Self::DenySpent => Load { interval: Duration::from_secs(3_600), burst: Self::MODERATE },
        }
    }

    pub(super) const fn outcome(self) -> Outcome {
        match self {
            Self::Allow | Self::AllowFull => Outcome::Granted,
            Self::Deny | Self::DenySpent => Outcome::Denied,
            Self::DenyRetryAfter => Outcome::DeniedAndRead,
        }
    }
}

/// A quota that every subject can hold: one permit an interval, and a burst.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) interval: Duration,
    pub(super) burst: NonZeroU32,
}

impl Load {
    fn ours(self) -> Quota {
        Quota::per(1, self.interval).burst(u64::from(self.burst.get()))
    }

    fn bucket(self) -> TokenBucket {
        TokenBucket::new(self.ours()).expect("the suite's quota fits")
    }

    fn striped(self) -> StripedTokenBucket {
        StripedTokenBucket::new(self.ours()).expect("the suite's quota fits")
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

pub(super) fn subject<L: Limiter>(name: &'static str, work: Work, make: impl Fn(Load) -> L + 'static) -> Subject {
    Subject::new(name, work.name(), work.outcome(), move || spent(name, work, make(work.load())))
}

/// With nothing left in it, if every call is to be denied.
fn spent<L: Limiter>(name: &str, work: Work, limiter: L) -> L {
    if work.outcome() != Outcome::Granted {
        for _ in 0..work.load().burst.get() {
            assert!(limiter.try_acquire(), "{name} starts with its burst");
        }
    }
    limiter
}

/// Each thread has a stock of its own, of a striped bucket that all share.
fn local(work: Work) -> Subject {
    let make = move || spent(LOCAL, work, work.load().striped());
    let granted = work.outcome() == Outcome::Granted;
    Subject::timed(LOCAL, work.name(), granted, make, move |bucket: &StripedTokenBucket, threads, calls| {
        let own = || bucket.local();
        match work.outcome() {
            Outcome::Granted | Outcome::Denied => {
                harness::run_each(threads, calls, own, |local: &mut LocalTokenBucket<'_>| local.try_acquire().is_ok())
            }
            Outcome::DeniedAndRead => harness::run_each(threads, calls, own, |local: &mut LocalTokenBucket<'_>| {
                let wait = local.try_acquire().err().map(|denied| denied.retry_after().unwrap_or(Duration::MAX));
                black_box(wait).is_none()
            }),
        }
    })
}

/// What the harness itself costs: all that is not a limiter.
fn countdown(work: Work) -> Subject {
    Subject::timed(
        COUNTDOWN,
        work.name(),
        true,
        || (),
        |(), threads, calls| {
            harness::run_each(
                threads,
                calls,
                || u64::MAX,
                |left: &mut u64| {
                    *left -= 1;
                    *left > 0
                },
            )
        },
    )
}

fn everybody(work: Work) -> Vec<Subject> {
    let floor = (work.outcome() == Outcome::Granted).then(|| countdown(work));
    let limiters = [
        subject(OURS, work, Load::bucket),
        subject(STRIPED, work, Load::striped),
        local(work),
        subject("sluicegate_coarse", work, Load::coarse),
        subject(GOVERNOR, work, Load::governor),
        subject("std_mutex_instant", work, |load| -> StdInstant { load.mutex(InstantTime) }),
        subject("std_mutex_monotonic", work, |load| -> StdMonotonic { load.mutex(MonotonicClock::new()) }),
        subject("parking_lot_instant", work, |load| -> ParkingLotInstant { load.mutex(InstantTime) }),
        subject("parking_lot_monotonic", work, |load| -> ParkingLotMonotonic { load.mutex(MonotonicClock::new()) }),
    ];
    limiters.into_iter().chain(peers::subjects(work)).chain(floor).collect()
}
