//! Who lets tasks wait: ours, the peers that do, and tokio's semaphore, into which a task puts permits at the same rate: the
//! least that a line costs. `ratelimit`, `better-bucket` and `pingora-limits` have no waiting.

use core::future::Future;
use core::num::NonZeroU32;
use core::time::Duration;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use governor::DefaultDirectRateLimiter;
use rate_net::DirectLimiter;
use sluicegate::{
    Clock, FixedWindowCounter, Limiter, MonotonicClock, Quota, StripedTokenBucket, TokenBucket, TokioClock,
};
use tokio::sync::Semaphore;

use crate::served::{Runtime, Served, serve};
use crate::standing::{Standing, stand};

/// One permit an interval, and a burst.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) interval: Duration,
    pub(crate) burst: u32,
}

impl Load {
    /// 100,000 a second, and ten milliseconds of them: so a timer may be late, and nothing is lost.
    pub(crate) const BUSY: Self = Self { interval: Duration::from_micros(10), burst: 1_000 };
    /// Nobody is served while it is measured.
    pub(crate) const SHUT: Self = Self { interval: Duration::from_secs(3_600), burst: 1 };

    fn ours(self) -> Quota {
        Quota::per(1, self.interval).burst(u64::from(self.burst))
    }
}

/// A limiter that tasks wait for.
pub(crate) trait Waiting: Send + Sync + Sized + 'static {
    /// With nothing left in it.
    fn spent(load: Load) -> Self;
    /// Until there is a permit, and takes it.
    fn wait(self: Arc<Self>) -> impl Future<Output = ()> + Send + 'static;
    /// Puts in `permits` permits at [`Load::BUSY`]'s rate, where nothing comes by itself.
    fn feed(self: Arc<Self>, permits: usize) -> Option<impl Future<Output = ()> + Send + 'static> {
        let _ = permits;
        None::<core::future::Ready<()>>
    }
}

/// By name.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) serve: fn(Runtime, usize) -> Served,
    pub(crate) stand: fn(usize) -> Standing,
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Subject").field(&self.name).finish()
    }
}

impl Subject {
    const fn of<W: Waiting>(name: &'static str) -> Self {
        Self { name, serve: serve::<W>, stand: stand::<W> }
    }
}

/// The name of the one that everything can be compared with.
pub(crate) const SEMAPHORE: &str = "tokio_semaphore";

pub(crate) const SUBJECTS: [Subject; 8] = [
    Subject::of::<TokenBucket>("sluicegate"),
    Subject::of::<TokenBucket<TokioClock>>("sluicegate_tokio_clock"),
    Subject::of::<StripedTokenBucket>("sluicegate_striped"),
    Subject::of::<FixedWindowCounter>("sluicegate_fixed_window"),
    Subject::of::<DefaultDirectRateLimiter>("governor"),
    Subject::of::<leaky_bucket::RateLimiter>("leaky_bucket"),
    Subject::of::<DirectLimiter>("rate_net"),
    Subject::of::<Fed>(SEMAPHORE),
];

/// Takes all there is, one by one what cannot be had at once.
fn drained<L: Limiter>(limiter: L) -> L {
    let there = limiter.available();
    if limiter.try_acquire_n(there).is_err() {
        assert!((0..there).all(|_| limiter.try_acquire().is_ok()), "it starts with its burst");
    }
    limiter
}

impl<C: Clock + Default + 'static> Waiting for TokenBucket<C> {
    fn spent(load: Load) -> Self {
        drained(Self::with_clock(load.ours(), C::default()).expect("the quota fits"))
    }

    async fn wait(self: Arc<Self>) {
        self.acquire().await.expect("the line has no end");
    }
}

impl Waiting for StripedTokenBucket {
    fn spent(load: Load) -> Self {
        drained(Self::new(load.ours()).expect("the quota fits"))
    }

    async fn wait(self: Arc<Self>) {
        self.acquire().await.expect("the line has no end");
    }
}

/// A burst a window.
impl Waiting for FixedWindowCounter<MonotonicClock> {
    fn spent(load: Load) -> Self {
        drained(Self::new(u64::from(load.burst), load.interval * load.burst).expect("the limit fits"))
    }

    async fn wait(self: Arc<Self>) {
        self.acquire().await.expect("the line has no end");
    }
}

impl Waiting for DefaultDirectRateLimiter {
    fn spent(load: Load) -> Self {
        let burst = NonZeroU32::new(load.burst).expect("a burst is above zero");
        let quota = governor::Quota::with_period(load.interval).expect("the interval is above zero");
        let limiter = Self::direct(quota.allow_burst(burst));
        assert!(limiter.check_n(burst).is_ok_and(|full| full.is_ok()), "it starts with its burst");
        limiter
    }

    async fn wait(self: Arc<Self>) {
        self.until_ready().await;
    }
}

/// It is fair unless told otherwise: first come, first served. Each of its refills is late by a timer's grain, and what is lost
/// so is least where a whole burst comes at once.
impl Waiting for leaky_bucket::RateLimiter {
    fn spent(load: Load) -> Self {
        let burst = load.burst as usize;
        Self::builder().interval(load.interval * load.burst).refill(burst).max(burst).initial(0).build()
    }

    async fn wait(self: Arc<Self>) {
        self.acquire_one().await;
    }
}

impl Waiting for DirectLimiter {
    fn spent(load: Load) -> Self {
        let builder = rate_net::Builder::new().quota(1, load.interval).burst(load.burst);
        let limiter = builder.try_build_direct().expect("the quota fits");
        assert!(limiter.check_n(load.burst).is_allow(), "it starts with its burst");
        limiter
    }

    async fn wait(self: Arc<Self>) {
        self.try_until_ready().await.expect("one is within the burst");
    }
}

/// A line, and permits that come from outside.
pub(crate) struct Fed(Semaphore);

impl Waiting for Fed {
    fn spent(_: Load) -> Self {
        Self(Semaphore::new(0))
    }

    async fn wait(self: Arc<Self>) {
        self.0.acquire().await.expect("it is open").forget();
    }

    /// By the millisecond, all that are due by then.
    fn feed(self: Arc<Self>, permits: usize) -> Option<impl Future<Output = ()> + Send + 'static> {
        Some(async move {
            let (start, mut given) = (Instant::now(), 0);
            while given < permits {
                tokio::time::sleep(Duration::from_millis(1)).await;
                let due = (start.elapsed().as_nanos() / Load::BUSY.interval.as_nanos()) as usize;
                self.0.add_permits(due.min(permits) - given);
                given = due.min(permits);
            }
        })
    }
}
