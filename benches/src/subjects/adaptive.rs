//! Adaptive limiters: ours and those that people write, next to the token bucket with the very same quota. The rate is
//! held where it is, so that all of them do the same work.

use core::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use sluicegate::{AdaptiveRateLimiter, Quota, TokenBucket};

use super::{Subject, Suite};
use crate::harness;
use crate::mutex::{InstantTime, Lock, Time};
use crate::mutex_adaptive::{MutexAdaptive, ParkingLotAdaptive, Settings, State, StdAdaptive};

/// The name of the subject that everything is compared with.
///
/// It has nobody to report to: where the others report, it acquires; what it does beside reports, its suite tells.
pub const TOKEN_BUCKET: &str = "token_bucket";

const STATS: &str = "token_bucket_stats";
const ADAPTIVE: &str = "adaptive";
const STD_MUTEX: &str = "std_mutex_instant";
const PARKING_LOT: &str = "parking_lot_instant";

/// All suites.
pub(super) fn suites() -> Vec<Suite> {
    Work::ALL
        .map(|work| {
            let subjects = match work {
                Work::Allow | Work::Deny | Work::AllowRecord => everybody(work),
                Work::Report => those_that_report(work),
                Work::AcquireBesideReports => beside_reports(work),
            };
            Suite { name: work.name(), subjects }
        })
        .into()
}

/// What is asked of every subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// Every call is granted, and for the first second the bucket is neither full nor empty: 10^9 a second out of a burst
    /// of twice as many, half of which is gone.
    Allow,
    /// Every call is denied: one an hour, and that one is gone.
    Deny,
    /// As [`Allow`](Self::Allow), and each grant is followed by the report of a success; token buckets only acquire.
    AllowRecord,
    /// Reports of successes, and nobody asks. The token bucket acquires instead.
    Report,
    /// As [`Allow`](Self::Allow), but every other thread reports successes instead; a single one acquires.
    ///
    /// The token bucket's reports go to a counter on a cache line of its own, which is what cannot get in the way. To show
    /// what does, there is a bucket whose other threads acquire, too.
    AcquireBesideReports,
}

impl Work {
    const ALL: [Self; 5] = [Self::Allow, Self::Deny, Self::AllowRecord, Self::Report, Self::AcquireBesideReports];

    const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::AllowRecord => "allow_record",
            Self::Report => "report",
            Self::AcquireBesideReports => "acquire_beside_reports",
        }
    }

    const fn load(self) -> Load {
        match self {
            Self::Deny => Load { per_second: 1.0 / 3_600.0, gone: 1 },
            _ => Load { per_second: 1e9, gone: 1_000_000_000 },
        }
    }
}

/// What every subject holds: a rate, and the burst that an adaptive limiter has at it.
#[derive(Clone, Copy, Debug)]
struct Load {
    per_second: f64,
    /// So many permits are taken before it is measured.
    gone: u64,
}

impl Load {
    fn quota(self) -> Quota {
        Quota::from_rate(self.per_second).burst((2.0 * self.per_second).floor().max(1.0) as u64)
    }

    fn bucket(self) -> TokenBucket {
        TokenBucket::new(self.quota()).expect("the suite's quota fits")
    }

    fn with_stats(self) -> TokenBucket {
        TokenBucket::builder(self.quota()).stats().build().expect("the suite's quota fits")
    }

    fn beside_counter(self) -> BesideCounter {
        BesideCounter { bucket: self.bucket(), reports: CachePadded::default() }
    }

    fn adaptive(self) -> AdaptiveRateLimiter {
        let rate = self.per_second;
        let builder = AdaptiveRateLimiter::builder().base_rate(rate).min_rate(rate).max_rate(rate);
        builder.build().expect("the suite's rate fits")
    }

    fn mutex<L: Lock<State<<InstantTime as Time>::Point>>>(self) -> MutexAdaptive<InstantTime, L> {
        MutexAdaptive::new(Settings::steady(self.per_second), InstantTime)
    }
}

/// The one face of all that acquires.
trait Takes: Sync {
    fn take(&self, n: u64) -> bool;
}

/// The one face of all that is told how calls went.
trait Reported: Takes {
    fn report(&self);
}

impl Takes for TokenBucket {
    #[inline(always)]
    fn take(&self, n: u64) -> bool {
        self.try_acquire_n(n).is_ok()
    }
}

impl Takes for AdaptiveRateLimiter {
    #[inline(always)]
    fn take(&self, n: u64) -> bool {
        self.try_acquire_n(n).is_ok()
    }
}

impl Reported for AdaptiveRateLimiter {
    #[inline(always)]
    fn report(&self) {
        self.record_success();
    }
}

impl<T: Time, L: Lock<State<T::Point>>> Takes for MutexAdaptive<T, L> {
    #[inline(always)]
    fn take(&self, n: u64) -> bool {
        self.try_acquire_n(n)
    }
}

impl<T: Time, L: Lock<State<T::Point>>> Reported for MutexAdaptive<T, L> {
    #[inline(always)]
    fn report(&self) {
        self.record_success();
    }
}

/// A token bucket, and a counter that shares nothing with it.
struct BesideCounter {
    bucket: TokenBucket,
    reports: CachePadded<AtomicU64>,
}

impl Takes for BesideCounter {
    #[inline(always)]
    fn take(&self, n: u64) -> bool {
        self.bucket.take(n)
    }
}

impl Reported for BesideCounter {
    #[inline(always)]
    fn report(&self) {
        // Ordering: Relaxed; a count publishes nothing.
        self.reports.fetch_add(1, Ordering::Relaxed);
    }
}

fn everybody(work: Work) -> Vec<Subject> {
    vec![
        acquires(TOKEN_BUCKET, work, Load::bucket),
        acquires(STATS, work, Load::with_stats),
        either(ADAPTIVE, work, Load::adaptive),
        either(STD_MUTEX, work, |load| -> StdAdaptive { load.mutex() }),
        either(PARKING_LOT, work, |load| -> ParkingLotAdaptive { load.mutex() }),
    ]
}

fn those_that_report(work: Work) -> Vec<Subject> {
    vec![
        acquires(TOKEN_BUCKET, work, Load::bucket),
        reports(ADAPTIVE, work, Load::adaptive),
        reports(STD_MUTEX, work, |load| -> StdAdaptive { load.mutex() }),
        reports(PARKING_LOT, work, |load| -> ParkingLotAdaptive { load.mutex() }),
    ]
}

fn beside_reports(work: Work) -> Vec<Subject> {
    vec![
        beside(TOKEN_BUCKET, work, Load::beside_counter),
        acquires("token_bucket_all_acquire", work, Load::bucket),
        beside(ADAPTIVE, work, Load::adaptive),
        beside(STD_MUTEX, work, |load| -> StdAdaptive { load.mutex() }),
        beside(PARKING_LOT, work, |load| -> ParkingLotAdaptive { load.mutex() }),
    ]
}

/// Acquires, and reports each grant where the suite wants that.
fn either<L: Reported + 'static>(name: &'static str, work: Work, make: fn(Load) -> L) -> Subject {
    if work == Work::AllowRecord { acquires_and_reports(name, work, make) } else { acquires(name, work, make) }
}

fn acquires<L: Takes + 'static>(name: &'static str, work: Work, make: fn(Load) -> L) -> Subject {
    subject(name, work, make, |limiter, threads, calls| {
        harness::run(limiter, threads, calls, |limiter: &L| limiter.take(1))
    })
}

fn acquires_and_reports<L: Reported + 'static>(name: &'static str, work: Work, make: fn(Load) -> L) -> Subject {
    subject(name, work, make, |limiter, threads, calls| {
        harness::run(limiter, threads, calls, |limiter: &L| {
            let granted = limiter.take(1);
            if granted {
                limiter.report();
            }
            granted
        })
    })
}

fn reports<L: Reported + 'static>(name: &'static str, work: Work, make: fn(Load) -> L) -> Subject {
    subject(name, work, make, |limiter, threads, calls| harness::run(limiter, threads, calls, report::<L>))
}

fn beside<L: Reported + 'static>(name: &'static str, work: Work, make: fn(Load) -> L) -> Subject {
    subject(name, work, make, |limiter, threads, calls| {
        harness::run_beside(limiter, threads, calls, |limiter: &L| limiter.take(1), report::<L>)
    })
}

/// A report is never turned down, and counts as granted.
#[inline(always)]
fn report<L: Reported>(limiter: &L) -> bool {
    limiter.report();
    true
}

fn subject<L: Takes + 'static>(
    name: &'static str,
    work: Work,
    make: fn(Load) -> L,
    time: fn(&L, usize, u64) -> harness::Measurement,
) -> Subject {
    let fresh = move || {
        let limiter = make(work.load());
        assert!(limiter.take(work.load().gone), "{name} starts with its burst");
        limiter
    };
    Subject::timed(name, work.name(), work != Work::Deny, fresh, time)
}

#[cfg(test)]
mod tests {
    use super::Work;

    #[test]
    fn all_have_the_quota_of_the_adaptive_limiter() {
        for load in Work::ALL.map(Work::load) {
            assert_eq!(load.adaptive().quota(), load.quota());
        }
    }
}
