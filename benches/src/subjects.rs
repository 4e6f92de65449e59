//! Who is measured, and on which work: every limiter behind one face, in families that do the same.

pub mod adaptive;
pub mod bucket;
pub mod compose;
pub mod keyed;
mod peers;
pub mod window;

use core::fmt;
use core::hint::black_box;
use core::time::Duration;

use clap::ValueEnum;
use crossbeam_utils::CachePadded;
use sluicegate::{Clock, FixedWindowCounter, RateLimitExceeded, SlidingWindowCounter, StripedTokenBucket, TokenBucket};

use crate::harness::{self, Measurement};

/// Limiters that are measured on the same work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Family {
    /// Token buckets.
    Bucket,
    /// Window counters, and the token bucket for comparison.
    Window,
    /// Limiters whose rate follows the errors, and the token bucket for comparison.
    Adaptive,
    /// Limiters with a bucket for each key.
    Keyed,
    /// Ours that count or have quotas by key, and the plain one for comparison.
    KeyedKinds,
    /// Two token buckets together.
    Compose,
}

impl Family {
    /// All families.
    pub const ALL: [Self; 6] =
        [Self::Bucket, Self::Window, Self::Adaptive, Self::Keyed, Self::KeyedKinds, Self::Compose];

    /// What they are measured on, with all that it takes.
    #[must_use]
    pub fn suites(self) -> Vec<Suite> {
        match self {
            Self::Bucket => bucket::suites(),
            Self::Window => window::suites(),
            Self::Adaptive => adaptive::suites(),
            Self::Keyed => keyed::suites(),
            Self::KeyedKinds => keyed::kinds::suites(),
            Self::Compose => compose::suites(),
        }
    }

    /// The name of the subject that everybody is compared with. It is in every suite.
    #[must_use]
    pub const fn reference(self) -> &'static str {
        match self {
            Self::Bucket => bucket::GOVERNOR,
            Self::Window => window::TOKEN_BUCKET,
            Self::Adaptive => adaptive::TOKEN_BUCKET,
            Self::Keyed => keyed::GOVERNOR,
            Self::KeyedKinds => keyed::OURS,
            Self::Compose => compose::TWO_CALLS,
        }
    }
}

/// One kind of work, and who is measured on it.
#[derive(Debug)]
pub struct Suite {
    /// Its name in results.
    pub name: &'static str,
    /// A few words a subject; nothing is measured yet.
    pub subjects: Vec<Subject>,
}

/// What every call gets, and what the caller makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Granted,
    Denied,
    /// Denied, and the caller looks at how long it has to wait.
    DeniedAndRead,
}

/// The one face.
trait Limiter: Sync {
    fn try_acquire(&self) -> bool;
    /// `None` if granted, else how long to wait.
    fn wait(&self) -> Option<Duration>;
}

/// Those of this library.
trait Ours: Sync {
    fn take(&self, n: u64) -> Result<(), RateLimitExceeded>;
}

macro_rules! ours {
    ($($Limiter:ident),*) => {$(
        impl<C: Clock> Ours for $Limiter<C> {
            #[inline(always)]
            fn take(&self, n: u64) -> Result<(), RateLimitExceeded> {
                self.try_acquire_n(n)
            }
        }
    )*};
}
ours!(TokenBucket, StripedTokenBucket, FixedWindowCounter, SlidingWindowCounter);

impl<O: Ours> Limiter for O {
    #[inline(always)]
    fn try_acquire(&self) -> bool {
        self.take(1).is_ok()
    }

    #[inline(always)]
    fn wait(&self) -> Option<Duration> {
        self.take(1).err().map(|denied| denied.retry_after().unwrap_or(Duration::MAX))
    }
}

/// A limiter in a suite, ready to be measured as often as one likes.
pub struct Subject {
    name: &'static str,
    measure: Box<dyn Fn(usize, u64) -> Measurement>,
}

impl Subject {
    /// `make` gives a fresh limiter on which every call has that outcome.
    fn new<L: Limiter>(
        name: &'static str,
        suite: &'static str,
        outcome: Outcome,
        make: impl Fn() -> L + 'static,
    ) -> Self {
        let granted = outcome == Outcome::Granted;
        Self::timed(name, suite, granted, make, move |limiter: &L, threads, calls| match outcome {
            Outcome::Granted | Outcome::Denied => {
                harness::run(limiter, threads, calls, |limiter| limiter.try_acquire())
            }
            Outcome::DeniedAndRead => {
                harness::run(limiter, threads, calls, |limiter| black_box(limiter.wait()).is_none())
            }
        })
    }

    /// `make` gives a fresh limiter, and `time` runs the harness on it: all calls are granted, or none.
    ///
    /// Boxed at the level of a run: within it everything is one type, and inlined.
    fn timed<L: Sync>(
        name: &'static str,
        suite: &'static str,
        granted: bool,
        make: impl Fn() -> L + 'static,
        time: impl Fn(&L, usize, u64) -> Measurement + 'static,
    ) -> Self {
        Self::checked(name, suite, granted, move |threads, calls_per_thread| {
            // On cache lines that it shares with nothing of the harness.
            let limiter = CachePadded::new(make());
            time(&limiter, threads, calls_per_thread)
        })
    }

    /// `time` runs the harness on a limiter, and all calls are granted, or none.
    fn checked(
        name: &'static str,
        suite: &'static str,
        granted: bool,
        time: impl Fn(usize, u64) -> Measurement + 'static,
    ) -> Self {
        let measure = move |threads, calls_per_thread| {
            let found = time(threads, calls_per_thread);
            let expected = if granted { found.decisions } else { 0 };
            assert_eq!(found.admitted, expected, "{name}, {suite}, {threads} threads");
            found
        };
        Self { name, measure: Box::new(measure) }
    }

    /// Its name in results.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Times `calls_per_thread` calls on each of `threads` threads, on a fresh limiter unless its suite says otherwise:
    /// see [`harness::run`].
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

#[cfg(test)]
mod tests {
    use super::{Family, bucket};

    /// The admitted counts are asserted by the subjects themselves.
    #[test]
    fn every_subject_does_what_the_suite_wants() {
        let suites = Family::ALL.into_iter().flat_map(Family::suites);
        for subject in suites.flat_map(|suite| suite.subjects).chain(bucket::with_and_without_stats()) {
            assert_eq!(subject.measure(2, 5_000).decisions, 10_000);
        }
    }

    #[test]
    fn the_reference_is_in_every_suite() {
        for family in Family::ALL {
            for suite in family.suites() {
                assert!(suite.subjects.iter().any(|subject| subject.name() == family.reference()), "{}", suite.name);
            }
        }
    }
}
