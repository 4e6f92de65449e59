//! G13 for the adaptive limiter: no input panics, overflows or wraps. Proved with arbitrary floats, numbers, durations
//! and clocks under overflow checks; what is refused is refused by a typed error that names the field.
//!
//! "Kills" names a change of the library that the test was seen to fail on.

#![allow(missing_docs)]

mod support;

use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::time::Duration;

use proptest::num::f64 as floats;
use proptest::prelude::*;
use sluicegate::{
    AdaptiveRateLimiter, AdaptiveRateLimiterBuilder, AdaptiveStats, CallError, ChangeReason, ConfigError, Law,
    ManualClock, Nanos, Outcome, Quota, RateChange, RateLimitExceeded, TokenBucket,
};
use support::quotas::{YEAR, cases, duration, number};

const SECOND: Duration = Duration::from_secs(1);
const LAWS: [Law; 2] = [Law::ErrorRate, Law::Cubic];
/// The least and the largest rate that a quota can have.
const SLOWEST: f64 = 1e9 / YEAR as f64;
const FASTEST: f64 = 4e9;

type Limiter = AdaptiveRateLimiter<ManualClock>;
type Builder = AdaptiveRateLimiterBuilder<ManualClock>;

fn float() -> impl Strategy<Value = f64> {
    let special = [0.0, -0.0, f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, 5e-324];
    let edges = [f64::MAX, f64::MIN, f64::EPSILON, 1.0, 0.999_999_999_999_999_9, 1.000_000_000_000_000_2, -1.0, 1e-9];
    let rates = [SLOWEST, FASTEST, 4_000_000_000.000_001, 9_007_199_254_740_993.0, 1.9e19];
    prop_oneof![
        3 => floats::ANY,
        3 => (-40.0_f64..50.0).prop_map(f64::exp),
        3 => 0.0_f64..2.0,
        2 => prop::sample::select([&special[..], &edges, &rates].concat()),
    ]
}

fn usable_rate() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (SLOWEST.ln()..FASTEST.ln()).prop_map(f64::exp),
        1 => prop::sample::select(vec![SLOWEST, FASTEST, 1.0, 0.5, 100.0]),
    ]
    .prop_map(|rate| rate.clamp(SLOWEST, FASTEST))
}

fn window() -> impl Strategy<Value = Duration> {
    prop_oneof![
        2 => duration(),
        2 => (1_u64..20_000_000_000).prop_map(Duration::from_nanos),
        1 => prop::sample::select(vec![Duration::from_nanos(1), Duration::MAX, SECOND]),
    ]
}

fn samples() -> impl Strategy<Value = u64> {
    prop_oneof![2 => 0_u64..20, 1 => number(), 1 => Just(u64::MAX)]
}

fn law() -> impl Strategy<Value = Law> {
    prop::sample::select(LAWS.to_vec())
}

fn builder() -> (Builder, ManualClock) {
    let clock = ManualClock::new();
    (AdaptiveRateLimiter::builder().clock(clock.clone()), clock)
}

/// As a bucket sees it.
fn is_a_rate(rate: f64) -> bool {
    TokenBucket::with_clock(Quota::from_rate(rate).burst(1), ManualClock::new()).is_ok()
}

const FIELDS: [&str; 8] = [
    "base_rate",
    "min_rate",
    "max_rate",
    "error_threshold",
    "recovery_factor",
    "reduction_factor",
    "window",
    "min_utilisation",
];

/// The error names a field, and says so first.
fn well_formed(error: &ConfigError) -> Result<(), TestCaseError> {
    prop_assert!(FIELDS.contains(&error.field()), "{:?}", error);
    prop_assert!(error.to_string().starts_with(error.field()), "{}", error);
    prop_assert!(error.to_string().len() > error.field().len() + 5, "says nothing: {}", error);
    Ok(())
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Set(u64),
    Advance(Duration),
    Acquire(u64),
    Refund(u64),
    Wait(u64),
    Record(u64, Outcome),
    Call(bool),
    Join(u64, Option<Duration>),
    Poll,
    Leave,
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        3 => Just(Outcome::Success),
        3 => Just(Outcome::Error),
        1 => Just(Outcome::Ignored),
        1 => prop::option::of(duration()).prop_map(Outcome::Throttled),
        1 => prop::option::of((0_u64..1_000_000_000).prop_map(Duration::from_nanos)).prop_map(Outcome::Throttled),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        1 => number().prop_map(Op::Set),
        1 => duration().prop_map(Op::Advance),
        4 => (0_u64..20_000_000_000).prop_map(|nanos| Op::Advance(Duration::from_nanos(nanos))),
        2 => number().prop_map(Op::Acquire),
        3 => (1_u64..20).prop_map(Op::Acquire),
        1 => number().prop_map(Op::Refund),
        1 => number().prop_map(Op::Wait),
        4 => (1_u64..25, outcome()).prop_map(|(count, outcome)| Op::Record(count, outcome)),
        1 => any::<bool>().prop_map(Op::Call),
        1 => (number(), prop::option::of(duration())).prop_map(|(n, timeout)| Op::Join(n, timeout)),
        1 => (1_u64..5).prop_map(|n| Op::Join(n, None)),
        1 => Just(Op::Poll),
        1 => Just(Op::Leave),
    ]
}

#[cfg(feature = "async")]
mod waiting {
    use sluicegate::{Acquire, ManualClock};

    use super::Limiter;
    pub(super) use crate::support::waiting::{Wakes, poll};

    pub(super) type Waiting<'a> = Vec<Acquire<'a, ManualClock, Limiter>>;
}

/// Checks that each answer makes sense by itself.
fn run(limiter: &Limiter, clock: &ManualClock, ops: &[Op], rates: (f64, f64)) -> Result<(), TestCaseError> {
    #[cfg(feature = "async")]
    let (mut line, wakes) = (waiting::Waiting::new(), waiting::Wakes::new());
    for &op in ops {
        let before = limiter.available();
        let (rate, quota) = (limiter.current_rate(), limiter.quota());
        let capacity = ((2.0 * rate) as u64).max(1);
        prop_assert!(rate >= rates.0 && rate <= rates.1, "{} in {:?}", rate, rates);
        prop_assert_eq!((quota.capacity(), quota), (capacity, Quota::from_rate(rate).burst(capacity)));
        prop_assert!(before <= capacity);
        match op {
            Op::Set(to) => clock.set(Nanos::from_nanos(to)),
            Op::Advance(by) => clock.advance(by),
            Op::Acquire(n) => match limiter.try_acquire_n(n) {
                Ok(()) => prop_assert!(n <= before, "{} of {}", n, before),
                Err(RateLimitExceeded::ExceedsCapacity { requested, capacity: told }) => {
                    prop_assert!(n > capacity && (requested, told) == (n, capacity));
                }
                Err(error) => {
                    prop_assert!(n <= capacity && error.retry_after() > Some(Duration::ZERO));
                    prop_assert_eq!(limiter.available(), before, "something was charged on {}", error);
                }
            },
            Op::Refund(n) => {
                limiter.refund(n);
                prop_assert!((before..=before.saturating_add(n)).contains(&limiter.available()));
            }
            Op::Wait(n) => match limiter.time_to_available(n) {
                Ok(wait) => prop_assert!(n <= capacity && (wait > Duration::ZERO || n <= before)),
                Err(error) => prop_assert_eq!(error, RateLimitExceeded::ExceedsCapacity { requested: n, capacity }),
            },
            Op::Record(count, outcome) => (0..count).for_each(|_| limiter.record(outcome)),
            Op::Call(is_ok) => match limiter.call(|| if is_ok { Ok(()) } else { Err(()) }) {
                Ok(()) => prop_assert!(is_ok && before > 0),
                Err(CallError::Inner(())) => prop_assert!(!is_ok && before > 0),
                Err(CallError::RateLimited(error)) => prop_assert!(error.retry_after() > Some(Duration::ZERO)),
            },
            #[cfg(feature = "async")]
            Op::Join(n, timeout) => {
                let mut one =
                    timeout.map_or_else(|| limiter.acquire_n(n), |timeout| limiter.acquire_timeout(n, timeout));
                if waiting::poll(&mut one, &wakes).is_pending() {
                    line.push(one);
                }
            }
            #[cfg(feature = "async")]
            Op::Poll => line.retain_mut(|one| waiting::poll(one, &wakes).is_pending()),
            #[cfg(feature = "async")]
            Op::Leave => drop(line.pop()),
            #[cfg(not(feature = "async"))]
            Op::Join(n, timeout) => {
                let _ = (n, timeout);
            }
            #[cfg(not(feature = "async"))]
            Op::Poll | Op::Leave => {}
        }
        let stats = limiter.stats();
        prop_assert!((0.0..=1.0).contains(&stats.error_rate) && stats.window_errors <= stats.window_samples);
        prop_assert_eq!(stats.total_requests, stats.allowed_requests + stats.rejected_requests);
        let told = format!("{limiter:?} {stats:?}");
        prop_assert!(told.starts_with("AdaptiveRateLimiter"));
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(12_000))]

    /// What is refused is refused for a reason that is documented, and everything else is accepted.
    #[test]
    fn any_setting_is_accepted_or_named(
        base in prop_oneof![float(), usable_rate()], min in prop::option::of(float()), max in prop::option::of(float()),
        (threshold, recovery, reduction, utilisation) in (float(), float(), float(), float()),
        // Which of the others are left as they are.
        mask in 0_u32..64, window in window(), (samples, law) in (samples(), law()),
    ) {
        let (mut builder, _clock) = builder();
        builder = builder.base_rate(base).min_samples(samples).law(law).abandoned(Outcome::Throttled(Some(window)));
        let mut bad = BTreeSet::new();
        let mut check = |holds: bool, field: &'static str| if !holds { bad.insert(field); };
        check(is_a_rate(base), "base_rate");
        // What is not said is made to fit.
        let (least, most) = (min.unwrap_or(base), max.unwrap_or(base));
        check(min.is_none() || is_a_rate(least) && least <= base, "min_rate");
        check(max.is_none() || is_a_rate(most) && most >= base, "max_rate");
        if let Some(min) = min {
            builder = builder.min_rate(min);
        }
        if let Some(max) = max {
            builder = builder.max_rate(max);
        }
        if mask & 1 == 0 {
            builder = builder.error_threshold(threshold);
            check(threshold > 0.0 && threshold < 1.0, "error_threshold");
        }
        if mask & 2 == 0 {
            builder = builder.recovery_factor(recovery);
            check(recovery > 1.0 && recovery < f64::INFINITY, "recovery_factor");
        }
        if mask & 4 == 0 {
            builder = builder.reduction_factor(reduction);
            check(reduction > 0.0 && reduction < 1.0, "reduction_factor");
        }
        if mask & 8 == 0 {
            builder = builder.min_utilisation(utilisation);
            check((0.0..=1.0).contains(&utilisation), "min_utilisation");
        }
        if mask & 16 == 0 {
            builder = builder.window(window);
            check(window > Duration::ZERO, "window");
        }
        let told = format!("{builder:?}");
        prop_assert!(told.starts_with("AdaptiveRateLimiterBuilder"));
        match builder.build() {
            Ok(limiter) => {
                prop_assert!(bad.is_empty(), "accepted with a bad {:?}", bad);
                prop_assert_eq!(limiter.current_rate(), base);
            }
            Err(error) => {
                well_formed(&error)?;
                prop_assert!(bad.contains(error.field()), "{} is not among {:?}", error, bad);
            }
        }
    }

    #[test]
    fn any_call_at_any_time(
        base in usable_rate(), (low, high) in (usable_rate(), usable_rate()), origin in number(),
        (threshold, utilisation) in (0.001_f64..0.999, prop_oneof![Just(0.0), 0.0_f64..=1.0]),
        recovery in prop_oneof![1.001_f64..3.0, Just(f64::MAX), Just(1.000_000_000_000_000_2)],
        reduction in prop_oneof![0.001_f64..0.999, Just(f64::MIN_POSITIVE), Just(5e-324)],
        window in window(), (samples, law) in (samples(), law()), ops in prop::collection::vec(op(), 0..60),
    ) {
        let (builder, clock) = builder();
        clock.set(Nanos::from_nanos(origin));
        let rates = (low.min(base), high.max(base));
        let limiter = builder.base_rate(base).min_rate(rates.0).max_rate(rates.1).error_threshold(threshold)
            .recovery_factor(recovery).reduction_factor(reduction).min_utilisation(utilisation)
            .window(window.max(Duration::from_nanos(1))).min_samples(samples).law(law).build().unwrap();
        run(&limiter, &clock, &ops, rates)?;
    }
}

/// Each field's own bad values, alone.
#[test]
fn errors_name_the_field() {
    const NAN: f64 = f64::NAN;
    const INF: f64 = f64::INFINITY;
    type Set = fn(Builder, f64) -> Builder;
    let not_rates: &[f64] = &[NAN, -NAN, INF, -INF, 0.0, -0.0, -1.0, -100.0, 5e-324, 1e-9, 4.1e9, f64::MAX];
    let rates = |more: &[f64]| [not_rates, more].concat();
    let table: [(&str, Set, Vec<f64>); 7] = [
        ("base_rate", Builder::base_rate, rates(&[])),
        ("min_rate", Builder::min_rate, rates(&[100.000_000_1, 101.0, 200.0])),
        ("max_rate", Builder::max_rate, rates(&[99.999_999_9, 99.0, 10.0])),
        ("error_threshold", Builder::error_threshold, vec![0.0, -0.0, 1.0, 1.1, -0.1, NAN, INF, -INF]),
        ("recovery_factor", Builder::recovery_factor, vec![1.0, 0.999, 0.0, -1.1, NAN, INF, -INF]),
        ("reduction_factor", Builder::reduction_factor, vec![1.0, 1.001, 0.0, -0.0, -0.5, NAN, INF, -INF]),
        ("min_utilisation", Builder::min_utilisation, vec![1.001, -0.001, -1.0, NAN, INF, -INF]),
    ];
    for (field, set, values) in table {
        for value in values {
            for law in LAWS {
                let error = set(builder().0.base_rate(100.0).law(law), value).build().unwrap_err();
                assert_eq!(error.field(), field, "{value}: {error}");
                well_formed(&error).unwrap();
            }
        }
    }
    let field = |builder: Builder| builder.build().unwrap_err().field();
    assert_eq!(field(builder().0), "base_rate");
    assert_eq!(field(builder().0.min_rate(1.0).max_rate(10.0)), "base_rate");
    assert_eq!(field(builder().0.base_rate(100.0).window(Duration::ZERO)), "window");
    // And what is at the edge is fine.
    let edges = builder().0.base_rate(100.0).min_rate(100.0).max_rate(100.0).window(Duration::from_nanos(1));
    assert!(edges.min_utilisation(1.0).error_threshold(f64::MIN_POSITIVE).build().is_ok());
}

#[test]
fn the_slowest_and_the_fastest_rate_work() {
    for law in LAWS {
        for (base, min, max) in [(SLOWEST, SLOWEST, FASTEST), (FASTEST, SLOWEST, FASTEST), (1.0, SLOWEST, FASTEST)] {
            let (builder, clock) = builder();
            let builder = builder.base_rate(base).min_rate(min).max_rate(max).law(law).window(SECOND).min_samples(1);
            let limiter = builder.recovery_factor(1e6).reduction_factor(1e-6).build().unwrap();
            for round in 0..60 {
                let taken = limiter.available();
                assert_eq!(limiter.try_acquire_n(taken), Ok(()));
                // Four good ones, four bad ones.
                limiter.record(if round / 4 % 2 == 0 { Outcome::Success } else { Outcome::Error });
                clock.advance(if round % 8 == 0 { Duration::from_nanos(YEAR / 10) } else { SECOND });
                let rate = limiter.current_rate();
                assert!((min..=max).contains(&rate), "{law:?}: {rate}");
                assert_eq!(limiter.quota().capacity(), ((2.0 * rate) as u64).max(1));
                if law == Law::ErrorRate && round % 8 == 3 {
                    assert_eq!(rate, FASTEST);
                }
                if law == Law::ErrorRate && round % 8 == 7 {
                    assert_eq!(rate, SLOWEST);
                }
            }
        }
    }
}

/// More is given back than a window took, or than a number can say: that is no use of the rate. Kills: what was given
/// back subtracted as it was asked for, which wraps.
#[test]
fn what_is_given_back_is_no_use() {
    for n in [1, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 63) + 1, u64::MAX - 1, u64::MAX] {
        let (builder, clock) = builder();
        let limiter = builder.base_rate(100.0).min_utilisation(0.5).window(SECOND).build().unwrap();
        assert_eq!(limiter.try_acquire_n(150), Ok(()));
        clock.advance(SECOND);
        assert_eq!(limiter.current_rate(), 100.0, "with no sample");
        for _ in 0..3 {
            limiter.refund(n);
        }
        (0..20).for_each(|_| limiter.record_success());
        clock.advance(SECOND);
        assert_eq!(limiter.current_rate(), 100.0, "{n} given back, none taken");
        // What had no room was never given back: it does not count against what is taken.
        limiter.refund(n);
        assert_eq!(limiter.try_acquire_n(60), Ok(()));
        limiter.refund(5);
        (0..20).for_each(|_| limiter.record_success());
        clock.advance(SECOND);
        assert_eq!(limiter.current_rate(), 100.0 * 1.1);
    }
}

/// At the clock's last reading time stands still: a window that was due ends, and none after it. Kills: no
/// second look at the window under the turn.
#[test]
fn at_the_end_of_time_the_rate_stays() {
    for law in LAWS {
        let (builder, clock) = builder();
        let limiter = builder.base_rate(100.0).window(SECOND).law(law).min_samples(1).build().unwrap();
        limiter.record_error();
        clock.set(Nanos::from_nanos(u64::MAX));
        let rate = limiter.current_rate();
        assert!(rate < 100.0);
        for _ in 0..20 {
            limiter.record_error();
            let _ = (limiter.try_acquire(), limiter.stats(), limiter.time_to_available(1));
        }
        assert_eq!((limiter.current_rate(), limiter.stats().window_samples), (rate, 20));
    }
}

/// A clock that steps back, whatever is reported meanwhile: nothing changes until it has caught up.
#[test]
fn under_a_clock_that_has_stepped_back_the_rate_stays() {
    let (builder, clock) = builder();
    clock.set(Nanos::from_nanos(YEAR));
    let limiter = builder.base_rate(100.0).window(SECOND).build().unwrap();
    for back in [0, 1, YEAR / 2, YEAR - 1, YEAR + 999_999_999] {
        clock.set(Nanos::from_nanos(back));
        (0..20).for_each(|_| limiter.record_error());
        assert_eq!(limiter.current_rate(), 100.0, "at {back}");
    }
    clock.set(Nanos::from_nanos(YEAR + 1_000_000_000));
    assert_eq!((limiter.current_rate(), limiter.stats().last_change.unwrap().samples), (50.0, 100));
}

#[test]
fn types_are_what_they_should_be() {
    fn shared<T: Send + Sync + std::fmt::Debug + 'static>() {}
    shared::<AdaptiveRateLimiter>();
    shared::<Limiter>();
    shared::<AdaptiveRateLimiterBuilder>();
    shared::<Builder>();
    shared::<(AdaptiveStats, RateChange, ChangeReason, Law, Outcome, CallError<ConfigError>)>();

    let (builder, clock) = builder();
    let builder = builder.base_rate(321.0).min_rate(12.0).window(Duration::from_secs(17)).law(Law::ErrorRate);
    let told = format!("{builder:?}");
    for part in ["321", "12", "17s", "ErrorRate"] {
        assert!(told.contains(part), "{told} has no {part}");
    }
    let limiter = builder.on_change(|_| panic!("told")).build().unwrap();
    (0..40).for_each(|_| limiter.record_error());
    assert_eq!(limiter.try_acquire_n(3), Ok(()));
    let told = format!("{limiter:?}");
    for part in ["AdaptiveRateLimiter", "321", "ErrorRate", "40"] {
        assert!(told.contains(part), "{told} has no {part}");
    }

    // Usable after a panic without an assertion that it is.
    clock.advance(Duration::from_secs(17));
    assert!(catch_unwind(|| limiter.current_rate()).is_err());
    assert_eq!(limiter.current_rate(), 160.5);
    let moved = move || limiter.stats();
    let stats = catch_unwind(moved).unwrap();
    let told = format!("{stats:?} {}", stats.last_change.unwrap());
    for part in ["160.5", "Errors", "allowed_requests: 1", "too many errors", "40 errors in 40 calls"] {
        assert!(told.contains(part), "{told} has no {part}");
    }
    assert_eq!(AdaptiveStats::default().rejection_rate(), 0.0);
}
