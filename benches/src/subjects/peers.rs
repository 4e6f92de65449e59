//! The other token buckets that decide at once: `ratelimit`, `leaky-bucket`, `better-bucket` and `rate-net`, each on its own
//! default clock. And tokio's semaphore, a pool of permits without a rate, and so without a clock: what is left of the work
//! then. Nothing comes back into it, so that it is in two suites only.
//!
//! Not here: `pingora-limits`, which counts by key and in windows, and is measured there.

use core::time::Duration;

use better_bucket::Bucket;
use rate_net::DirectLimiter;
use ratelimit::{Ratelimiter, TryWaitError};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::bucket::{Load, Work, subject};
use super::{Limiter, Outcome, Subject};

/// Those that can do that work.
pub(super) fn subjects(work: Work) -> Vec<Subject> {
    let mut subjects = vec![
        subject("ratelimit", work, ratelimit),
        subject("better_bucket", work, better_bucket),
        subject("rate_net", work, rate_net),
    ];
    // It does not tell how long to wait.
    if work.outcome() != Outcome::DeniedAndRead {
        subjects.push(subject("leaky_bucket", work, leaky_bucket));
    }
    if matches!(work, Work::Allow | Work::Deny) {
        subjects.push(subject("tokio_semaphore", work, semaphore));
    }
    subjects
}

fn ratelimit(load: Load) -> Ratelimiter {
    let burst = u64::from(load.burst.get());
    let builder = Ratelimiter::builder(1).period(load.interval).max_tokens(burst).initial_available(burst);
    builder.build().expect("the suite's quota fits")
}

fn better_bucket(load: Load) -> Bucket {
    Bucket::builder().capacity(load.burst.get()).refill(1, load.interval).build().expect("the suite's quota fits")
}

fn rate_net(load: Load) -> DirectLimiter {
    let builder = rate_net::Builder::new().quota(1, load.interval).burst(load.burst.get());
    builder.try_build_direct().expect("the suite's quota fits")
}

/// It refills by the millisecond at most: as many at once as make the same rate.
fn leaky_bucket(load: Load) -> leaky_bucket::RateLimiter {
    let interval = load.interval.max(Duration::from_millis(1));
    let (refill, burst) = (interval.as_nanos() / load.interval.as_nanos(), load.burst.get() as usize);
    leaky_bucket::RateLimiter::builder().interval(interval).refill(refill as usize).max(burst).initial(burst).build()
}

fn semaphore(load: Load) -> Semaphore {
    Semaphore::new(load.burst.get() as usize)
}

impl Limiter for Ratelimiter {
    #[inline(always)]
    fn try_acquire(&self) -> bool {
        self.try_wait().is_ok()
    }

    #[inline(always)]
    fn wait(&self) -> Option<Duration> {
        match self.try_wait() {
            Ok(()) => None,
            Err(TryWaitError::Insufficient(wait)) => Some(wait),
            Err(_) => Some(Duration::MAX),
        }
    }
}

impl Limiter for Bucket {
    #[inline(always)]
    fn try_acquire(&self) -> bool {
        self.try_acquire(1)
    }

    #[inline(always)]
    fn wait(&self) -> Option<Duration> {
        self.acquire(1).retry_after()
    }
}

impl<C: clock_lib::Clock + Clone> Limiter for DirectLimiter<C> {
    #[inline(always)]
    fn try_acquire(&self) -> bool {
        self.check().is_allow()
    }

    #[inline(always)]
    fn wait(&self) -> Option<Duration> {
        self.check().retry_after()
    }
}

impl Limiter for leaky_bucket::RateLimiter {
    #[inline(always)]
    fn try_acquire(&self) -> bool {
        self.try_acquire(1)
    }

    /// Never asked: see [`subjects`].
    fn wait(&self) -> Option<Duration> {
        (!self.try_acquire(1)).then_some(Duration::MAX)
    }
}

/// What is taken does not come back.
impl Limiter for Semaphore {
    #[inline(always)]
    fn try_acquire(&self) -> bool {
        self.try_acquire().map(SemaphorePermit::forget).is_ok()
    }

    /// Never asked: see [`subjects`].
    fn wait(&self) -> Option<Duration> {
        self.try_acquire().map(SemaphorePermit::forget).is_err().then_some(Duration::MAX)
    }
}
