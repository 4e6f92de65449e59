//! Who is asked: every limiter on a clock that the suite moves, and on its own.

use core::num::NonZeroU32;
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use better_bucket::{Bucket, BucketConfig, BucketCore};
use clock_lib::ManualClock as ClockLib;
use governor::clock::{Clock as _, FakeRelativeClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use rate_net::{DirectLimiter, Gcra};
use ratelimit::{Ratelimiter, TryWaitError};
use sluicegate::{Limiter, ManualClock, Quota, RateLimitExceeded, StripedTokenBucket, TokenBucket};
use sluicegate_benches::mutex::{MutexBucket, State, StdInstant};
use tokio::runtime::Runtime;

/// What a limiter is to hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) permits: u64,
    pub(crate) period: Duration,
    pub(crate) burst: u64,
}

/// What one call got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Granted,
    /// And how long to wait, of those who tell.
    Denied(Option<Duration>),
    /// Denied, and told that waiting never helps.
    Never,
    /// The call's type has no room for so many, or for so few.
    Inexpressible,
}

/// Why there is no limiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// The types have no room for it.
    Inexpressible,
    /// An error from its constructor.
    Refused,
}

/// A limiter on a clock that the suite moves.
pub(crate) trait Simulated {
    fn advance(&mut self, by: Duration);
    fn take(&self, n: u64) -> Answer;
}

/// On a clock that the suite moves, full.
pub(crate) type Simulation = Result<Box<dyn Simulated>, Unfit>;
/// A call of a limiter, full, on its own clock: whether it was granted.
pub(crate) type Call = Box<dyn Fn() -> bool + Send + Sync>;

/// Makes one.
pub(crate) type Simulate = fn(Asked) -> Simulation;

/// One limiter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    /// Its name in results.
    pub(crate) name: &'static str,
    /// `None`: nothing but time itself moves its clock, or it would do what another line does.
    simulated: Option<Simulate>,
    /// `None`: it has no clock of its own.
    pub(crate) real: Option<fn(Asked) -> Option<Call>>,
}

pub(crate) const PEERS: [Peer; 12] = [
    Peer { name: "sluicegate", simulated: Some(ours::<TokenBucket<_>>), real: Some(real_ours) },
    Peer { name: "sluicegate_striped", simulated: Some(ours::<StripedTokenBucket<_>>), real: Some(real_striped) },
    Peer { name: "governor", simulated: Some(governor), real: Some(real_governor) },
    Peer { name: "ratelimit", simulated: Some(ratelimit), real: Some(real_ratelimit) },
    Peer { name: "leaky_bucket", simulated: Some(leaky_bucket), real: Some(real_leaky_bucket) },
    Peer { name: "leaky_bucket_unfair", simulated: None, real: Some(real_leaky_bucket_unfair) },
    Peer { name: "better_bucket", simulated: Some(better_bucket), real: Some(real_better_bucket) },
    Peer { name: "rate_net", simulated: Some(rate_net), real: Some(real_rate_net) },
    Peer { name: "rate_net_gcra", simulated: Some(rate_net_gcra), real: None },
    Peer { name: "pingora_limits", simulated: None, real: Some(real_pingora) },
    Peer { name: "pingora_limits_a_second_old", simulated: None, real: Some(real_pingora_aged) },
    Peer { name: "std_mutex", simulated: Some(std_mutex), real: Some(real_std_mutex) },
];

/// Those on a clock that the suite moves.
pub(crate) fn simulated() -> impl Iterator<Item = (&'static str, Simulate)> {
    PEERS.into_iter().filter_map(|peer| Some((peer.name, peer.simulated?)))
}

impl Asked {
    pub(crate) fn per_second(permits: u64, burst: u64) -> Self {
        Self { permits, period: Duration::from_secs(1), burst }
    }

    fn ours(self) -> Quota {
        Quota::per(self.permits, self.period).burst(self.burst)
    }

    /// Of one permit, in seconds.
    pub(crate) fn interval(self) -> f64 {
        self.period.as_secs_f64() / self.permits as f64
    }

    /// Permits and burst in 32 bits.
    fn short(self) -> Result<(u32, u32), Unfit> {
        u32::try_from(self.permits).ok().zip(u32::try_from(self.burst).ok()).ok_or(Unfit::Inexpressible)
    }
}

/// A limiter and what moves its clock.
struct On<L, T> {
    limiter: L,
    time: T,
}

trait Make: Limiter + Sized + 'static {
    fn make(quota: Quota, clock: ManualClock) -> Option<Self>;
}

impl Make for TokenBucket<ManualClock> {
    fn make(quota: Quota, clock: ManualClock) -> Option<Self> {
        Self::with_clock(quota, clock).ok()
    }
}

impl Make for StripedTokenBucket<ManualClock> {
    fn make(quota: Quota, clock: ManualClock) -> Option<Self> {
        Self::with_clock(quota, clock).ok()
    }
}

fn ours<L: Make>(asked: Asked) -> Simulation {
    let time = ManualClock::new();
    let limiter = L::make(asked.ours(), time.clone()).ok_or(Unfit::Refused)?;
    Ok(Box::new(On { limiter, time }))
}

impl<L: Make> Simulated for On<L, ManualClock> {
    fn advance(&mut self, by: Duration) {
        self.time.advance(by);
    }

    fn take(&self, n: u64) -> Answer {
        match self.limiter.try_acquire_n(n) {
            Ok(()) => Answer::Granted,
            Err(RateLimitExceeded::Denied { retry_after }) => Answer::Denied(Some(retry_after)),
            Err(_) => Answer::Never,
        }
    }
}

type Governor =
    governor::RateLimiter<NotKeyed, InMemoryState, FakeRelativeClock, NoOpMiddleware<governor::nanos::Nanos>>;

/// Its interval is in whole nanoseconds, whichever way it is made.
fn governor_quota(asked: Asked) -> Result<governor::Quota, Unfit> {
    let (permits, burst) = asked.short()?;
    let (permits, burst) = NonZeroU32::new(permits).zip(NonZeroU32::new(burst)).ok_or(Unfit::Inexpressible)?;
    let quota = governor::Quota::with_period(asked.period / permits.get()).ok_or(Unfit::Refused)?;
    Ok(quota.allow_burst(burst))
}

fn governor(asked: Asked) -> Simulation {
    let time = FakeRelativeClock::default();
    Ok(Box::new(On { limiter: Governor::direct_with_clock(governor_quota(asked)?, time.clone()), time }))
}

impl Simulated for On<Governor, FakeRelativeClock> {
    fn advance(&mut self, by: Duration) {
        self.time.advance(by);
    }

    fn take(&self, n: u64) -> Answer {
        let Some(n) = u32::try_from(n).ok().and_then(NonZeroU32::new) else { return Answer::Inexpressible };
        match self.limiter.check_n(n) {
            Ok(Ok(())) => Answer::Granted,
            Ok(Err(denied)) => Answer::Denied(Some(denied.wait_time_from(self.time.now()))),
            Err(_) => Answer::Never,
        }
    }
}

/// Nanoseconds, for the peers that bring no clock for tests.
#[derive(Clone, Debug, Default)]
struct Counter(Arc<AtomicU64>);

impl Counter {
    fn advance(&self, by: Duration) {
        // Ordering: Relaxed, here and below; one thread.
        self.0.fetch_add(by.as_nanos() as u64, Ordering::Relaxed);
    }
}

impl ratelimit::Clock for Counter {
    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

fn ratelimit(asked: Asked) -> Simulation {
    let time = Counter::default();
    let builder = ratelimit::Builder::with_clock(asked.permits, time.clone());
    let builder = builder.period(asked.period).max_tokens(asked.burst).initial_available(asked.burst);
    Ok(Box::new(On { limiter: builder.build().map_err(|_| Unfit::Refused)?, time }))
}

impl Simulated for On<Ratelimiter<Counter>, Counter> {
    fn advance(&mut self, by: Duration) {
        self.time.advance(by);
    }

    fn take(&self, n: u64) -> Answer {
        match self.limiter.try_wait_n(n) {
            Ok(()) => Answer::Granted,
            Err(TryWaitError::Insufficient(wait)) => Answer::Denied(Some(wait)),
            Err(_) => Answer::Never,
        }
    }
}

/// Refilled in the shortest whole number of milliseconds that brings a whole number of permits, so that the rate is exact.
fn leaky_builder(asked: Asked) -> Result<leaky_bucket::Builder, Unfit> {
    let (mut permits, mut millis) = (asked.permits, asked.period.as_millis() as u64);
    if permits == 0 || millis == 0 {
        // Both panic, as documented: the caller looks at how.
        leaky_bucket::RateLimiter::builder().refill(permits as usize).interval(asked.period);
    }
    let (mut divisor, mut rest) = (permits, millis);
    while rest != 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    (permits, millis) = (permits / divisor, millis / divisor);
    let burst = usize::try_from(asked.burst).map_err(|_| Unfit::Inexpressible)?;
    let mut builder = leaky_bucket::RateLimiter::builder();
    builder.refill(permits as usize).interval(Duration::from_millis(millis)).max(burst).initial(burst);
    Ok(builder)
}

fn leaky_bucket(asked: Asked) -> Simulation {
    let builder = leaky_builder(asked)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let time = runtime.expect("a runtime needs nothing that is scarce");
    let limiter = {
        let _paused = time.enter();
        builder.build()
    };
    Ok(Box::new(On { limiter, time }))
}

impl Simulated for On<leaky_bucket::RateLimiter, Runtime> {
    fn advance(&mut self, by: Duration) {
        self.time.block_on(tokio::time::advance(by));
    }

    fn take(&self, n: u64) -> Answer {
        let Ok(n) = usize::try_from(n) else { return Answer::Inexpressible };
        let _paused = self.time.enter();
        if self.limiter.try_acquire(n) { Answer::Granted } else { Answer::Denied(None) }
    }
}

fn better_config(asked: Asked) -> Result<BucketConfig, Unfit> {
    let (permits, burst) = asked.short()?;
    BucketConfig::new(burst, permits, asked.period, burst).map_err(|_| Unfit::Refused)
}

fn better_bucket(asked: Asked) -> Simulation {
    Ok(Box::new(On { limiter: BucketCore::new(better_config(asked)?, Duration::ZERO), time: Duration::ZERO }))
}

impl Simulated for On<BucketCore, Duration> {
    fn advance(&mut self, by: Duration) {
        self.time += by;
    }

    fn take(&self, n: u64) -> Answer {
        let Ok(n) = u32::try_from(n) else { return Answer::Inexpressible };
        denied(self.limiter.acquire_at(n, self.time).retry_after())
    }
}

/// Of those who tell a wait without end where waiting never helps.
fn denied(retry_after: Option<Duration>) -> Answer {
    match retry_after {
        None => Answer::Granted,
        Some(Duration::MAX) => Answer::Never,
        wait => Answer::Denied(wait),
    }
}

fn rate_net_builder(asked: Asked) -> Result<rate_net::Builder, Unfit> {
    let (permits, burst) = asked.short()?;
    Ok(rate_net::Builder::new().quota(permits, asked.period).burst(burst))
}

/// Its default algorithm.
fn rate_net(asked: Asked) -> Simulation {
    let time = Arc::new(ClockLib::new());
    let limiter = rate_net_builder(asked)?.clock(Arc::clone(&time)).try_build_direct().map_err(|_| Unfit::Refused)?;
    Ok(Box::new(On { limiter, time }))
}

impl Simulated for On<DirectLimiter<Arc<ClockLib>>, Arc<ClockLib>> {
    fn advance(&mut self, by: Duration) {
        self.time.advance(by);
    }

    fn take(&self, n: u64) -> Answer {
        let Ok(n) = u32::try_from(n) else { return Answer::Inexpressible };
        denied(self.limiter.check_n(n).retry_after())
    }
}

/// Its other one that decides by itself.
fn rate_net_gcra(asked: Asked) -> Simulation {
    let (permits, burst) = asked.short()?;
    let quota = rate_net::Quota::rate(permits, asked.period).map_err(|_| Unfit::Refused)?.with_burst(burst);
    Ok(Box::new(On { limiter: Gcra::try_new(quota).map_err(|_| Unfit::Refused)?, time: Duration::ZERO }))
}

impl Simulated for On<Gcra, Duration> {
    fn advance(&mut self, by: Duration) {
        self.time += by;
    }

    fn take(&self, n: u64) -> Answer {
        let Ok(n) = u32::try_from(n) else { return Answer::Inexpressible };
        denied(self.limiter.check_n_at(n, self.time).retry_after())
    }
}

type StdMutex = MutexBucket<ManualClock, std::sync::Mutex<State<u64>>>;

fn std_mutex(asked: Asked) -> Simulation {
    let time = ManualClock::new();
    let limiter = StdMutex::new(1.0 / asked.interval(), asked.burst as f64, time.clone());
    Ok(Box::new(On { limiter, time }))
}

impl Simulated for On<StdMutex, ManualClock> {
    fn advance(&mut self, by: Duration) {
        self.time.advance(by);
    }

    fn take(&self, n: u64) -> Answer {
        match self.limiter.try_acquire_n_or_wait(n as f64) {
            Ok(()) => Answer::Granted,
            Err(wait) => Answer::Denied(Some(wait)),
        }
    }
}

fn real_ours(asked: Asked) -> Option<Call> {
    let bucket = TokenBucket::new(asked.ours()).ok()?;
    Some(Box::new(move || bucket.try_acquire().is_ok()))
}

fn real_striped(asked: Asked) -> Option<Call> {
    let bucket = StripedTokenBucket::new(asked.ours()).ok()?;
    Some(Box::new(move || bucket.try_acquire().is_ok()))
}

fn real_governor(asked: Asked) -> Option<Call> {
    let bucket = governor::DefaultDirectRateLimiter::direct(governor_quota(asked).ok()?);
    Some(Box::new(move || bucket.check().is_ok()))
}

fn real_ratelimit(asked: Asked) -> Option<Call> {
    let builder = Ratelimiter::builder(asked.permits).period(asked.period);
    let bucket = builder.max_tokens(asked.burst).initial_available(asked.burst).build().ok()?;
    Some(Box::new(move || bucket.try_wait().is_ok()))
}

fn real_leaky_bucket(asked: Asked) -> Option<Call> {
    let bucket = leaky_builder(asked).ok()?.build();
    Some(Box::new(move || bucket.try_acquire(1)))
}

/// Its other mode, which has a path without a lock.
fn real_leaky_bucket_unfair(asked: Asked) -> Option<Call> {
    let bucket = leaky_builder(asked).ok()?.fair(false).build();
    Some(Box::new(move || bucket.try_acquire(1)))
}

fn real_better_bucket(asked: Asked) -> Option<Call> {
    let bucket = Bucket::from_config(better_config(asked).ok()?);
    Some(Box::new(move || bucket.try_acquire(1)))
}

fn real_rate_net(asked: Asked) -> Option<Call> {
    let limiter = rate_net_builder(asked).ok()?.try_build_direct().ok()?;
    Some(Box::new(move || limiter.check().is_allow()))
}

/// As a fixed window in which as many come as the burst: the same rate, and a limit of one burst.
fn real_pingora(asked: Asked) -> Option<Call> {
    let rate = pingora_limits::rate::Rate::new(Duration::from_secs_f64(asked.interval() * asked.burst as f64));
    let limit = isize::try_from(asked.burst).ok()?;
    Some(Box::new(move || rate.observe(&0_u8, 1) <= limit))
}

/// The same when its first second is over, within which it may panic where the window is shorter.
fn real_pingora_aged(asked: Asked) -> Option<Call> {
    let call = real_pingora(asked);
    thread::sleep(Duration::from_millis(1_100));
    call
}

fn real_std_mutex(asked: Asked) -> Option<Call> {
    let bucket = StdInstant::new(1.0 / asked.interval(), asked.burst as f64, sluicegate_benches::mutex::InstantTime);
    Some(Box::new(move || bucket.try_acquire()))
}
