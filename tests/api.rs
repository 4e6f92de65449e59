//! Every name of the public surface, in the shape that is promised: what is narrowed or renamed does not compile here.
//!
//! Methods are called in closures of explicit types, so that they may take and return more than these say, never less.

// Everything stands at the root, and nothing there hides what the prelude has.
use std::error::Error;
use std::fmt::{Debug, Display};
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Waker};
use std::time::Duration;

use sluicegate::*;

type R = Result<(), RateLimitExceeded>;
type Keys = PerKeyRateLimiter<String>;
type Key<'a> = KeyRef<'a, String, str>;

const SECOND: Duration = Duration::from_secs(1);

fn is_shared<T: Debug + Send + Sync>() {}
fn is_error<E: Error + Display + Clone + PartialEq + Send + Sync + 'static>() {}
fn is_wait<F: Future<Output = R> + Send>(_: F) {}

#[test]
fn quota() {
    const TEN: Quota = Quota::per_second(10);
    const ALL: [Quota; 6] = [
        Quota::per_second(10),
        Quota::per_minute(10),
        Quota::per_hour(10),
        Quota::per_day(10),
        Quota::per(10, Duration::from_millis(1)),
        Quota::from_rate(2.5).burst(7),
    ];
    const PARTS: (u64, Duration, u64, f64) = (TEN.permits(), TEN.period(), TEN.capacity(), TEN.rate());
    fn is_quota<T: Copy + Debug + PartialEq + std::str::FromStr + Display>(_: &[T]) {}
    is_quota(&ALL);
    assert_eq!(PARTS, (10, SECOND, 10, 10.0));
    assert_eq!((ALL[5].rate(), ALL[5].capacity(), Quota::from_rate(2.5).capacity()), (2.5, 7, 2));
    assert_eq!(Quota::from_rate(0.3).capacity(), 1);
    assert_eq!("10/s".parse(), Ok(TEN));
    let error: ConfigError = TokenBucket::new(Quota::from_rate(f64::INFINITY)).unwrap_err();
    assert_eq!((error.field(), error.to_string().is_empty()), ("rate", false));
}

#[test]
fn outcome() {
    let outcomes = [
        RateLimitExceeded::Denied { retry_after: SECOND },
        RateLimitExceeded::ExceedsCapacity { requested: 2_u64, capacity: 1_u64 },
        RateLimitExceeded::KeysExhausted { max_keys: 1_usize },
    ];
    let times: Vec<(Option<Duration>, Option<u64>)> =
        outcomes.iter().map(|outcome| (outcome.retry_after(), outcome.retry_after_secs())).collect();
    assert_eq!(times, [(Some(SECOND), Some(1)), (None, None), (None, None)]);
    match outcomes[0] {
        RateLimitExceeded::Denied { .. } => {}
        RateLimitExceeded::ExceedsCapacity { .. } | RateLimitExceeded::KeysExhausted { .. } => unreachable!(),
        // It is non-exhaustive.
        _ => unreachable!(),
    }
}

#[test]
fn clocks() {
    const ZERO: Nanos = Nanos::from_nanos(0);
    static MONOTONIC: MonotonicClock = MonotonicClock::new();

    struct Own;
    impl Clock for Own {
        fn now(&self) -> Nanos {
            Nanos::from_nanos(7)
        }
    }
    fn is_clock<C: Clock>() {}
    fn is_copy<T: Copy + Ord + Debug>(_: T) {}
    is_clock::<&Own>();
    is_clock::<Arc<Own>>();
    is_clock::<Arc<dyn Clock>>();
    is_clock::<&dyn Clock>();
    is_copy(ZERO);
    assert!(!Own.wake_on_change(Waker::noop()) && Own.now().as_nanos() == 7);
    assert_eq!(size_of::<MonotonicClock>(), 0);
    assert!(MONOTONIC.now() >= ZERO);

    let coarse: io::Result<CoarseClock> = CoarseClock::start(Duration::from_millis(1));
    assert!(coarse.expect("a thread can be started").clone().now() >= ZERO);

    let manual = ManualClock::new();
    manual.clone().advance(SECOND);
    assert_eq!(manual.now().as_nanos(), 1_000_000_000);
    manual.set(ZERO);
    assert_eq!((manual.now(), manual.wake_on_change(Waker::noop())), (ZERO, true));
    #[cfg(feature = "tokio")]
    is_clock::<TokioClock>();
}

#[test]
fn construction() {
    const QUOTA: Quota = Quota::per_second(10);
    static NEW: Result<TokenBucket, ConfigError> = TokenBucket::new(QUOTA);
    static WINDOWS: (
        Result<FixedWindowCounter, ConfigError>,
        Result<SlidingWindowCounter, ConfigError>,
        Result<SlidingWindowCounter, ConfigError>,
    ) = (
        FixedWindowCounter::new(10, SECOND),
        SlidingWindowCounter::new(10, SECOND),
        SlidingWindowCounter::strict(10, SECOND),
    );
    static BUCKET: TokenBucket = TokenBucket::const_new(QUOTA);
    static FIXED: FixedWindowCounter = FixedWindowCounter::const_new(10, SECOND);
    static SLIDING: SlidingWindowCounter = SlidingWindowCounter::const_new(10, SECOND);
    static STRICT: SlidingWindowCounter = SlidingWindowCounter::const_strict(10, SECOND);
    static STRIPED: LazyLock<StripedTokenBucket> = LazyLock::new(|| StripedTokenBucket::new(QUOTA).expect("in range"));
    static ADAPTIVE: LazyLock<AdaptiveRateLimiter> =
        LazyLock::new(|| AdaptiveRateLimiter::builder().base_rate(10.0).build().expect("in range"));
    static KEYS: LazyLock<Keys> = LazyLock::new(|| PerKeyRateLimiter::new(QUOTA).expect("in range"));
    assert!(NEW.is_ok() && WINDOWS.0.is_ok() && WINDOWS.1.is_ok() && WINDOWS.2.is_ok());
    assert!(BUCKET.try_acquire().is_ok() && STRIPED.try_acquire().is_ok() && ADAPTIVE.try_acquire().is_ok());
    assert!(FIXED.try_acquire().is_ok() && SLIDING.try_acquire().is_ok() && STRICT.try_acquire().is_ok());
    assert!(KEYS.try_acquire("alice").is_ok());

    let clock = ManualClock::new();
    type Built<L> = Result<L, ConfigError>;
    let _: Built<TokenBucket<ManualClock>> = TokenBucket::with_clock(QUOTA, clock.clone());
    let _: Built<StripedTokenBucket<ManualClock>> = StripedTokenBucket::with_clock(QUOTA, clock.clone());
    let _: Built<FixedWindowCounter<ManualClock>> = FixedWindowCounter::with_clock(10, SECOND, clock.clone());
    let _: Built<SlidingWindowCounter<ManualClock>> = SlidingWindowCounter::with_clock(10, SECOND, clock.clone());
    let bucket = TokenBucket::builder(QUOTA).clock(clock.clone()).initial(1).max_waiters(2).stats();
    let _: Built<TokenBucket<ManualClock>> = bucket.build();
    let striped = StripedTokenBucket::builder(QUOTA).clock(clock.clone()).initial(1).max_waiters(2).stats();
    let _: Built<StripedTokenBucket<ManualClock>> = striped.build();
    let fixed = FixedWindowCounter::builder(10, SECOND).clock(clock.clone()).max_waiters(2).stats();
    let _: Built<FixedWindowCounter<ManualClock>> = fixed.build();
    let sliding = SlidingWindowCounter::builder(10, SECOND).strict().clock(clock.clone()).max_waiters(2).stats();
    let _: Built<SlidingWindowCounter<ManualClock>> = sliding.build();
}

/// Those of all that is shared.
macro_rules! verbs {
    ($($Limiter:ty),+) => {$(
        let _: fn(&$Limiter) -> R = |limiter| limiter.try_acquire();
        let _: fn(&$Limiter, u64) -> R = |limiter, n| limiter.try_acquire_n(n);
        let _: fn(&$Limiter) = |limiter| is_wait(limiter.acquire());
        let _: fn(&$Limiter, u64) = |limiter, n| is_wait(limiter.acquire_n(n));
        let _: fn(&$Limiter, u64, Duration) = |limiter, n, timeout| is_wait(limiter.acquire_timeout(n, timeout));
        let _: fn(&$Limiter) -> R = |limiter| limiter.blocking_acquire();
        let _: fn(&$Limiter, u64) -> R = |limiter, n| limiter.blocking_acquire_n(n);
        let _: fn(&$Limiter, u64, Duration) -> R = |limiter, n, timeout| limiter.blocking_acquire_timeout(n, timeout);
        let _: fn(&$Limiter, u64) = |limiter, n| limiter.refund(n);
        let _: fn(&$Limiter) -> u64 = |limiter| limiter.available();
        let _: fn(&$Limiter, u64) -> Result<Duration, RateLimitExceeded> = |limiter, n| limiter.time_to_available(n);
    )+};
}

/// Those of what has a quota that can be set.
macro_rules! bucket_verbs {
    ($($Bucket:ty),+) => {$(
        verbs!($Bucket);
        let _: fn(&$Bucket, u64) -> u64 = |bucket, n| bucket.try_acquire_up_to(n);
        let _: fn(&$Bucket) -> Quota = |bucket| bucket.quota();
        let _: fn(&$Bucket, Quota) -> Result<(), ConfigError> = |bucket, quota| bucket.set_quota(quota);
        let _: fn(&$Bucket) -> Option<RateLimiterStats> = |bucket| bucket.stats();
    )+};
}

/// Those of a bucket and a handle alone.
macro_rules! reserving_verbs {
    ($($Bucket:ty),+) => {$(
        let _: fn(&$Bucket, u64) -> u64 = |bucket, n| bucket.charge(n);
        let _: for<'a> fn(&'a $Bucket, u64) -> Result<Reservation<'a>, RateLimitExceeded> =
            |bucket, n| bucket.try_reserve(n);
        let _: fn(&$Bucket, u64) = |bucket, n| is_reserve(bucket.reserve(n));
    )+};
}

fn is_reserve<'a, F: Future<Output = Result<Reservation<'a>, RateLimitExceeded>> + Send>(_: F) {}

#[test]
fn verbs() {
    verbs!(FixedWindowCounter, SlidingWindowCounter, AdaptiveRateLimiter, Key<'_>);
    bucket_verbs!(TokenBucket, StripedTokenBucket, KeyHandle<String>);
    reserving_verbs!(TokenBucket, KeyHandle<String>);
    let _: for<'a> fn(&'a TokenBucket) -> Acquire<'a> = |bucket| bucket.acquire();
    let _: for<'a> fn(&'a TokenBucket, u64) -> Reserve<'a> = |bucket, n| bucket.reserve(n);
    let _: fn(Arc<TokenBucket>, u64) -> Result<OwnedReservation<MonotonicClock>, RateLimitExceeded> =
        |bucket, n| bucket.try_reserve_owned(n);
    let _: fn(&FixedWindowCounter) -> (u64, Duration) = |window| (window.limit(), window.window());
    let _: fn(&SlidingWindowCounter) -> (u64, Duration) = |window| (window.limit(), window.window());
    let _: fn(&FixedWindowCounter) -> Option<RateLimiterStats> = |window| window.stats();
    let _: fn(&SlidingWindowCounter) -> Option<RateLimiterStats> = |window| window.stats();
    let _: fn(&AdaptiveRateLimiter) -> Quota = |limiter| limiter.quota();
    let _: fn(&mut LocalTokenBucket<'_>) -> R = |local| local.try_acquire();
    let _: fn(&mut LocalTokenBucket<'_>, u64) -> R = |local, n| local.try_acquire_n(n);
    let _: fn(&mut LocalTokenBucket<'_>) -> R = |local| local.blocking_acquire();
    let _: fn(&mut OwnedLocalTokenBucket, u64) -> R = |local, n| local.blocking_acquire_n(n);
    let _: fn(&mut OwnedLocalTokenBucket, u64) -> R = |local, n| local.blocking_acquire_timeout(n, SECOND);
}

#[test]
fn verbs_at_work() -> Result<(), Box<dyn Error>> {
    let bucket = TokenBucket::builder(Quota::per_second(10)).clock(ManualClock::new()).stats().build()?;
    assert_eq!((bucket.try_acquire_n(0), bucket.try_acquire_up_to(4)), (Ok(()), 4));
    futures_lite::future::block_on(async {
        bucket.acquire().await?;
        bucket.acquire_n(2).await?;
        bucket.acquire_timeout(1, SECOND).await?;
        bucket.reserve(2).await.map(|reservation| reservation.cancel())
    })?;
    assert_eq!(bucket.available(), 2);
    bucket.set_quota(Quota::per_second(5))?;
    assert_eq!((bucket.quota(), bucket.available()), (Quota::per_second(5), 2));
    assert_eq!(bucket.time_to_available(3)?, Duration::from_millis(200));

    let reservation = bucket.try_reserve(2)?;
    assert_eq!((reservation.permits(), bucket.try_reserve(1).is_err()), (2, true));
    assert_eq!((reservation.commit(3), bucket.charge(10)), (3, 4));
    bucket.refund(u64::MAX);
    drop(bucket.try_reserve(5)?);
    let bucket = Arc::new(bucket);
    let owned: OwnedReservation<ManualClock> = Arc::clone(&bucket).try_reserve_owned(5)?;
    std::thread::spawn(move || owned.cancel()).join().expect("no panic");
    assert_eq!(bucket.available(), 5);
    assert!(bucket.stats().is_some_and(|stats| stats.total_requests > 0));
    Ok(())
}

#[test]
fn adaptive() -> Result<(), Box<dyn Error>> {
    let clock = ManualClock::new();
    let limiter: AdaptiveRateLimiter<ManualClock> = AdaptiveRateLimiter::builder()
        .base_rate(100.0)
        .min_rate(10.0)
        .max_rate(200.0)
        .error_threshold(0.1)
        .recovery_factor(1.1)
        .reduction_factor(0.5)
        .window(Duration::from_secs(10))
        .min_samples(10)
        .law(Law::ErrorRate)
        .on_change(|change: &RateChange| {
            let _: (f64, f64, ChangeReason) = (change.old_rate, change.new_rate, change.reason);
        })
        .clock(clock.clone())
        .build()?;
    let _ = Law::Cubic;
    limiter.record_success();
    limiter.record_error();
    for outcome in [Outcome::Success, Outcome::Error, Outcome::Throttled(None), Outcome::Ignored] {
        limiter.record(outcome);
    }
    assert_eq!(limiter.observe::<u8, &str>(Ok(1)), Ok(1));
    let outcome: fn(&Result<u8, u8>) -> Outcome = |_| Outcome::Success;
    assert_eq!(limiter.observe_with(Err(2), outcome), Err(2));
    let inner: Result<(), CallError<&str>> = limiter.call(|| Err("busy"));
    assert_eq!(inner, Err(CallError::Inner("busy")));
    let future = limiter.call_async(async { Err::<(), _>("busy") });
    fn is_send<T: Send>(_: &T) {}
    is_send(&future);
    assert_eq!(futures_lite::future::block_on(future), Err(CallError::Inner("busy")));
    limiter.record(Outcome::Throttled(Some(SECOND)));
    let limited: Result<(), CallError<&str>> = limiter.call(|| Ok(()));
    assert!(matches!(limited, Err(CallError::RateLimited(RateLimitExceeded::Denied { .. }))));

    clock.advance(Duration::from_secs(10));
    let stats: AdaptiveStats = limiter.stats();
    let calls: (u64, u64, u64, Duration) =
        (stats.total_requests, stats.allowed_requests, stats.rejected_requests, stats.total_wait_time);
    assert_eq!(calls, (3, 2, 1, Duration::ZERO));
    assert_eq!((limiter.current_rate(), stats.current_rate, stats.error_rate), (50.0, 50.0, 0.0));
    let change: RateChange = stats.last_change.expect("half of them failed");
    assert_eq!(change.reason, ChangeReason::Errors);
    assert_eq!(limiter.quota(), Quota::from_rate(50.0).burst(100));

    let defaults = AdaptiveRateLimiter::builder().base_rate(0.2).build()?;
    assert_eq!((defaults.current_rate(), defaults.quota().capacity()), (0.2, 1));
    Ok(())
}

#[test]
fn per_key() -> Result<(), Box<dyn Error>> {
    let clock = ManualClock::new();
    let limiter: PerKeyRateLimiter<String, ManualClock> = PerKeyRateLimiter::<String>::builder(Quota::per_second(10))
        .clock(clock.clone())
        .cleanup_interval(SECOND)
        .max_keys(2_usize)
        .when_full(WhenFull::Deny)
        .quota_for(|key: &String| (key == "vip").then_some(Quota::per_second(20)))
        .stats()
        .build()?;
    let _ = WhenFull::Share;
    assert_eq!(limiter.try_acquire("alice"), Ok(()));
    assert_eq!(limiter.try_acquire_n("vip", 20), Ok(()));
    assert_eq!(limiter.try_acquire("carol"), Err(RateLimitExceeded::KeysExhausted { max_keys: 2 }));
    futures_lite::future::block_on(async {
        limiter.acquire("alice").await?;
        limiter.acquire_n("alice", 1).await?;
        limiter.acquire_timeout("alice", 1, SECOND).await
    })?;
    let acquire: KeyAcquire<'_, String, str, ManualClock> = limiter.acquire("alice");
    is_wait(acquire);
    limiter.blocking_acquire("alice")?;
    limiter.blocking_acquire_n("alice", 1)?;
    limiter.blocking_acquire_timeout("alice", 1, SECOND)?;
    limiter.refund("alice", 2);
    assert_eq!((limiter.available("alice"), limiter.time_to_available("alice", 5)), (5, Ok(Duration::ZERO)));

    let alice: KeyRef<'_, String, str, ManualClock> = limiter.key("alice");
    assert_eq!(alice.try_acquire_n(5), Ok(()));
    let handle: KeyHandle<String, ManualClock> = limiter.handle("alice".to_owned());
    let mut local: LocalTokenBucket<'_, ManualClock> = handle.local();
    assert!(local.try_acquire().is_err());
    drop(local);
    handle.set_quota(Quota::per_second(1))?;
    let owned = handle.try_reserve_owned(1);
    assert!(owned.is_err());
    is_static(&handle);

    assert_eq!((limiter.len(), limiter.is_empty(), limiter.contains_key("alice")), (2, false, true));
    assert!(limiter.requota("alice"));
    assert_eq!((limiter.quota(), handle.quota()), (Quota::per_second(10), Quota::per_second(10)));
    let by_key: Option<RateLimiterStats> = limiter.stats("alice");
    let all: Vec<(String, RateLimiterStats)> = limiter.all_stats();
    let total: Option<RateLimiterStats> = limiter.total_stats();
    assert!(by_key.is_some() && all.len() == 2 && total.is_some_and(|total| total.total_requests == 12));
    assert!(limiter.remove("alice") && handle.available() == 10);
    drop(handle);
    clock.advance(Duration::from_secs(3));
    let swept: usize = limiter.cleanup();
    assert_eq!(swept, 2);
    limiter.clear();
    assert!(limiter.is_empty());

    // Keys that are looked up as they are, or by what they borrow.
    let by_address: PerKeyRateLimiter<IpAddr> = PerKeyRateLimiter::new(Quota::per_second(1))?;
    assert!(by_address.try_acquire(&IpAddr::from([127, 0, 0, 1])).is_ok());
    let by_bytes: PerKeyRateLimiter<Vec<u8>> = PerKeyRateLimiter::new(Quota::per_second(1))?;
    assert!(by_bytes.try_acquire(&b"alice"[..]).is_ok());

    // An unusable quota blocks its key.
    let blocked = Keys::builder(Quota::per_second(1)).quota_for(|_| Some(Quota::per_second(0))).build()?;
    let never = RateLimitExceeded::ExceedsCapacity { requested: 1, capacity: 0 };
    assert_eq!(blocked.try_acquire("mallory"), Err(never));
    assert_eq!(blocked.handle("mallory".to_owned()).quota().capacity(), 0);
    Ok(())
}

fn is_static<T: Send + Sync + 'static>(_: &T) {}

#[test]
fn striped_and_local() -> Result<(), Box<dyn Error>> {
    let bucket = Arc::new(StripedTokenBucket::with_clock(Quota::per_second(1_000), ManualClock::new())?);
    let capacity: u64 = bucket.capacity();
    assert!(capacity <= 1_000);
    let mut local: LocalTokenBucket<'_, ManualClock> = bucket.local();
    let mut owned: OwnedLocalTokenBucket<ManualClock> = Arc::clone(&bucket).local_owned();
    assert!(local.try_acquire().is_ok() && local.try_acquire_n(2).is_ok() && local.blocking_acquire().is_ok());
    let worker = std::thread::spawn(move || owned.blocking_acquire_n(3).and(owned.blocking_acquire_timeout(3, SECOND)));
    worker.join().expect("no panic")?;
    drop(local);
    assert_eq!(bucket.available(), 990);
    assert!(matches!(bucket.try_acquire_n(1_001), Err(RateLimitExceeded::ExceedsCapacity { .. })));
    Ok(())
}

#[test]
fn statistics() {
    fn is_plain<T: Copy + Default + PartialEq + Debug>(_: T) {}
    let stats = RateLimiterStats::default();
    is_plain(stats);
    let RateLimiterStats { total_requests, allowed_requests, rejected_requests, total_wait_time, .. } = stats;
    let numbers: [u64; 3] = [total_requests, allowed_requests, rejected_requests];
    assert_eq!((numbers, total_wait_time, stats.rejection_rate()), ([0; 3], Duration::ZERO, 0.0));
    #[cfg(feature = "serde")]
    {
        fn is_written<T: serde::Serialize>() {}
        is_written::<RateLimiterStats>();
        is_written::<Quota>();
    }
}

#[test]
fn everything_together() -> Result<(), Box<dyn Error>> {
    fn is_limiter<L: Limiter + ?Sized>() {}
    is_limiter::<dyn Limiter>();
    is_limiter::<TokenBucket>();
    is_limiter::<FixedWindowCounter>();
    is_limiter::<SlidingWindowCounter>();
    is_limiter::<StripedTokenBucket>();
    is_limiter::<AdaptiveRateLimiter>();
    is_limiter::<Key<'_>>();
    is_limiter::<KeyHandle<String>>();
    is_limiter::<&TokenBucket>();
    is_limiter::<Arc<TokenBucket>>();
    is_limiter::<Box<dyn Limiter>>();
    is_limiter::<Option<TokenBucket>>();
    is_limiter::<(TokenBucket, u64)>();
    is_limiter::<AllOf<Vec<Arc<dyn Limiter>>>>();
    let _: fn(&dyn Limiter, u64) -> R = |limiter, n| limiter.try_acquire_n(n);
    let _: fn(&dyn Limiter) -> R = |limiter| limiter.try_acquire();
    let _: fn(&dyn Limiter, u64) = |limiter, n| limiter.refund(n);
    let _: fn(&dyn Limiter) -> u64 = |limiter| limiter.available();
    let _: fn(&dyn Limiter, u64) -> Result<Duration, RateLimitExceeded> = |limiter, n| limiter.time_to_available(n);
    let _: fn(&dyn Limiter) -> Option<Quota> = |limiter| limiter.policy();

    /// What one has to write for a limiter of one's own.
    #[derive(Debug)]
    struct Own;
    impl Limiter for Own {
        fn try_acquire_n(&self, n: u64) -> R {
            if n < 2 { Ok(()) } else { Err(RateLimitExceeded::ExceedsCapacity { requested: n, capacity: 1 }) }
        }
        fn refund(&self, _: u64) {}
        fn available(&self) -> u64 {
            1
        }
        fn time_to_available(&self, n: u64) -> Result<Duration, RateLimitExceeded> {
            self.try_acquire_n(n).map(|()| Duration::ZERO)
        }
    }
    assert_eq!((Own.try_acquire(), Own.policy()), (Ok(()), None));

    let (requests, tokens) = (TokenBucket::new(Quota::per_second(10))?, TokenBucket::new(Quota::per_hour(6_000))?);
    let both = all_of((&requests, Own, (&tokens, 1200)));
    assert!(both.try_acquire().is_ok());
    futures_lite::future::block_on(both.acquire())?;
    assert_eq!(tokens.available(), 3_600);
    is_wait(both.acquire());
    is_shared::<AllOf<(&TokenBucket, (&TokenBucket, u64))>>();
    Ok(())
}

static SHARED: TokenBucket = TokenBucket::const_new(Quota::per_hour(2));
static BY_KEY: LazyLock<PerKeyRateLimiter<u64>> =
    LazyLock::new(|| PerKeyRateLimiter::new(Quota::per_hour(1)).expect("in range"));
static ADAPTIVE: LazyLock<AdaptiveRateLimiter> =
    LazyLock::new(|| AdaptiveRateLimiter::builder().base_rate(100.0).build().expect("in range"));

#[rate_limit(rate = 10.0, burst = 20)]
fn limited() -> R {
    Ok(())
}

#[rate_limit(rate = 10, per = "minute", wait)]
fn patient() -> u8 {
    1
}

#[rate_limit(limiter = SHARED, timeout = "100ms")]
async fn shared() -> R {
    Ok(())
}

#[rate_limit(limiter = BY_KEY, key = &user)]
fn by_key(user: u64) -> R {
    let _ = user;
    Ok(())
}

#[rate_limit(adaptive = ADAPTIVE)]
fn recorded(fails: bool) -> Result<(), CallError<u8>> {
    if fails { Err(CallError::Inner(7)) } else { Ok(()) }
}

#[test]
fn attribute() {
    assert_eq!((limited(), patient()), (Ok(()), 1));
    assert_eq!(futures_lite::future::block_on(shared()), Ok(()));
    assert_eq!((by_key(1), by_key(2)), (Ok(()), Ok(())));
    assert!(matches!(by_key(1), Err(RateLimitExceeded::Denied { .. })));
    assert_eq!((recorded(false), recorded(true)), (Ok(()), Err(CallError::Inner(7))));
    assert_eq!(ADAPTIVE.stats().window_errors, 1);
}

/// Compiles only for types that have not the trait: which of two implementations is meant would be ambiguous.
macro_rules! is_not {
    ($Trait:ident: $($Type:ty),+) => {{
        trait Ambiguous<A> {
            fn which() {}
        }
        impl<T: ?Sized> Ambiguous<()> for T {}
        impl<T: ?Sized + $Trait> Ambiguous<u8> for T {}
        $(<$Type as Ambiguous<_>>::which();)+
    }};
}

#[test]
fn everywhere() {
    is_error::<RateLimitExceeded>();
    is_error::<ConfigError>();
    is_error::<ParseQuotaError>();
    is_error::<CallError<std::num::ParseIntError>>();

    is_shared::<Quota>();
    is_shared::<Nanos>();
    is_shared::<(MonotonicClock, ManualClock)>();
    is_shared::<CoarseClock>();
    is_shared::<TokenBucket>();
    is_shared::<(FixedWindowCounter, SlidingWindowCounter)>();
    is_shared::<StripedTokenBucket>();
    is_shared::<(AdaptiveRateLimiter, AdaptiveStats, RateChange)>();
    is_shared::<(Outcome, Law, ChangeReason, WhenFull)>();
    is_shared::<(Keys, KeyHandle<String>)>();
    is_shared::<(Key<'_>, RateLimiterStats)>();
    is_shared::<(Reservation<'_>, OwnedReservation, OwnedKeyReservation<String>)>();
    is_shared::<(TokenBucketBuilder, StripedTokenBucketBuilder)>();
    is_shared::<(FixedWindowCounterBuilder, SlidingWindowCounterBuilder)>();
    is_shared::<(AdaptiveRateLimiterBuilder, PerKeyRateLimiterBuilder<String>)>();

    // They are shared by reference, so that there is one state.
    is_not!(Clone: TokenBucket, FixedWindowCounter, SlidingWindowCounter, StripedTokenBucket, AdaptiveRateLimiter, Keys);
    is_not!(Sync: LocalTokenBucket<'_>, OwnedLocalTokenBucket);

    // A worker's own: it may go to another thread, but not be in two.
    fn is_sent<T: Debug + Send>() {}
    is_sent::<(LocalTokenBucket<'_>, OwnedLocalTokenBucket)>();
    is_sent::<(Acquire<'_>, Reserve<'_>, KeyAcquire<'_, String, str>)>();

    // Dropped before it is ready, and polled once: nothing was charged.
    let bucket = TokenBucket::new(Quota::per_hour(1)).expect("in range");
    assert!(bucket.try_acquire().is_ok());
    let mut waiting = Box::pin(bucket.acquire());
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(waiting);
    assert_eq!(bucket.available(), 0);
}
