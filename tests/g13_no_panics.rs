//! G13: no input panics, overflows or wraps. Proved with arbitrary numbers, floats, durations and clocks under overflow
//! checks; what is refused is refused by a typed error that names the field, and charges nothing.

mod support;

use std::error::Error;
use std::time::Duration;

use proptest::num::f64 as floats;
use proptest::prelude::*;
use sluicegate::{
    Clock, ConfigError, ManualClock, MonotonicClock, Nanos, Quota, RateLimitExceeded, TickLength, TokenBucket,
};
use support::clocks::Counter;
use support::quotas::{SECOND, YEAR, any_quota, cases, duration, magnitude, number};

fn float() -> impl Strategy<Value = f64> {
    let special =
        [0.0, -0.0, f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, 5e-324, f64::MAX];
    let edges = [f64::EPSILON, 1e-9, 4e9, 9_007_199_254_740_992.0, 9_007_199_254_740_993.0, 1.8e19, 1.9e19];
    prop_oneof![
        3 => floats::ANY,
        3 => (-40.0_f64..50.0).prop_map(f64::exp),
        1 => prop::sample::select([&special[..], &edges].concat()),
    ]
}

fn quota() -> impl Strategy<Value = Quota> {
    prop_oneof![
        4 => (number(), duration(), number()).prop_map(|(permits, period, burst)| Quota::per(permits, period).burst(burst)),
        1 => (number(), duration()).prop_map(|(permits, period)| Quota::per(permits, period)),
        1 => number().prop_map(Quota::per_second),
        1 => number().prop_map(Quota::per_day),
        2 => float().prop_map(Quota::from_rate),
        1 => (float(), number()).prop_map(|(rate, burst)| Quota::from_rate(rate).burst(burst)),
        6 => any_quota(),
    ]
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Set(u64),
    Advance(Duration),
    Acquire(u64),
    UpTo(u64),
    Refund(u64),
    Charge(u64),
    Wait(u64),
    Change(Quota),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => number().prop_map(Op::Set),
        2 => duration().prop_map(Op::Advance),
        3 => number().prop_map(Op::Acquire),
        2 => number().prop_map(Op::UpTo),
        1 => number().prop_map(Op::Refund),
        1 => number().prop_map(Op::Charge),
        1 => number().prop_map(Op::Wait),
        2 => quota().prop_map(Op::Change),
    ]
}

/// The error names a field, and says so first.
fn well_formed(error: &ConfigError) -> Result<(), TestCaseError> {
    prop_assert!(["permits", "period", "rate", "burst", "initial"].contains(&error.field()), "{:?}", error);
    prop_assert!(error.to_string().starts_with(error.field()), "{}", error);
    Ok(())
}

/// Runs the calls and checks that each answer makes sense by itself.
fn run<C: Clock>(
    bucket: &TokenBucket<C>,
    set: impl Fn(u64),
    advance: impl Fn(Duration),
    ops: &[Op],
) -> Result<(), TestCaseError> {
    for &op in ops {
        let capacity = bucket.quota().capacity();
        let before = bucket.available();
        prop_assert!(before <= capacity);
        match op {
            Op::Set(to) => set(to),
            Op::Advance(by) => advance(by),
            Op::Acquire(n) => match bucket.try_acquire_n(n) {
                Ok(()) => {
                    prop_assert!(n <= before);
                    prop_assert_eq!(bucket.available(), before - n);
                }
                Err(error) => {
                    match error {
                        RateLimitExceeded::ExceedsCapacity { requested, capacity: told } => {
                            prop_assert!(n > capacity && (requested, told) == (n, capacity));
                        }
                        error => {
                            prop_assert!(n <= capacity && n > before && error.retry_after() > Some(Duration::ZERO))
                        }
                    }
                    prop_assert_eq!(bucket.available(), before, "something was charged on {}", error);
                }
            },
            Op::UpTo(n) => prop_assert_eq!(bucket.try_acquire_up_to(n), n.min(before)),
            Op::Refund(n) => {
                bucket.refund(n);
                prop_assert!(bucket.available() >= before);
            }
            Op::Charge(n) => {
                let charged = bucket.charge(n);
                prop_assert!(charged <= n && charged <= 2 * capacity);
                prop_assert_eq!(bucket.available(), before.saturating_sub(charged));
            }
            Op::Wait(n) => match bucket.time_to_available(n) {
                Ok(wait) => prop_assert_eq!(wait == Duration::ZERO, n <= before),
                Err(error) => prop_assert_eq!(error, RateLimitExceeded::ExceedsCapacity { requested: n, capacity }),
            },
            Op::Change(quota) => {
                let old = bucket.quota();
                match bucket.set_quota(quota) {
                    Ok(()) => prop_assert_eq!(bucket.quota(), quota),
                    Err(error) => {
                        well_formed(&error)?;
                        prop_assert_eq!((bucket.quota(), bucket.available()), (old, before));
                    }
                }
            }
        }
        let told = format!("{bucket:?}");
        prop_assert!(told.starts_with("TokenBucket"));
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(12_000))]

    #[test]
    fn any_call_at_any_time(
        quota in quota(), origin in number(), initial in prop::option::of(number()),
        ops in prop::collection::vec(op(), 0..40),
    ) {
        let clock = ManualClock::new();
        clock.set(Nanos::from_nanos(origin));
        let builder = TokenBucket::builder(quota).clock(clock.clone()).stats();
        let built = match initial {
            Some(permits) => builder.initial(permits).build(),
            None => builder.build(),
        };
        match built {
            Ok(bucket) => {
                prop_assert_eq!(bucket.available(), initial.unwrap_or(quota.capacity()));
                run(&bucket, |to| clock.set(Nanos::from_nanos(to)), |by| clock.advance(by), &ops)?;
            }
            Err(error) => well_formed(&error)?,
        }
    }

    /// The same under a counter of any speed.
    #[test]
    fn any_tick_length(
        quota in any_quota(), length in (number(), number()), origin in number(), ops in prop::collection::vec(op(), 0..40),
    ) {
        let Some(length) = TickLength::new(length.0, length.1) else {
            prop_assert!(length.0 > length.1 || u128::from(length.0) * 8 <= u128::from(length.1));
            return Ok(());
        };
        let clock = Counter::new(length, origin);
        let bucket = TokenBucket::with_clock(quota, &clock).unwrap();
        run(&bucket, |to| clock.set(to), |by| clock.set(clock.ticks().wrapping_add(by.as_nanos() as u64)), &ops)?;
    }

    #[test]
    fn any_tick_length_converts(nanos in number(), ticks in number(), count in number()) {
        if let Some(length) = TickLength::new(nanos, ticks) {
            let exact = u128::from(count) * u128::from(nanos) / u128::from(ticks);
            let (down, up) = (u128::from(length.nanos(count)), u128::from(length.nanos_rounded_up(count)));
            // The length itself is rounded down, by less than 2^-63.
            prop_assert!(down <= exact && exact <= down + 2, "{} of {}", down, exact);
            prop_assert!(up == down || up == down + 1);
        }
    }

    /// Every constructor agrees on what is a usable quota, and the error tells the largest burst that is.
    #[test]
    fn largest_is_the_largest(quota in quota()) {
        let outcome = TokenBucket::with_clock(quota, ManualClock::new()).map(|_| ());
        prop_assert_eq!(TokenBucket::new(quota).map(|_| ()), outcome);
        prop_assert_eq!(TokenBucket::builder(quota).build().map(|_| ()), outcome);
        let Err(error) = outcome else { return Ok(()) };
        well_formed(&error)?;
        if let Some(largest) = error.largest() {
            prop_assert_eq!(error.field(), "burst");
            prop_assert!(largest < quota.capacity());
            prop_assert!(error.to_string().ends_with(&largest.to_string()));
            prop_assert!(TokenBucket::new(quota.burst(largest)).is_ok(), "{} does not fit", largest);
            let more = TokenBucket::new(quota.burst(largest + 1)).map(|_| ()).unwrap_err();
            prop_assert_eq!((more.field(), more.largest()), ("burst", Some(largest)));
        }
    }

    /// What is in range is accepted, with any burst that fills within 55 years, and what is not is refused.
    #[test]
    fn the_range_is_as_documented(permits in magnitude(62), period in number(), burst in magnitude(40)) {
        let period = period.max(1);
        let fills = burst as f64 / permits as f64 * period as f64;
        let quota = Quota::per(permits, Duration::from_nanos(period)).burst(burst);
        let error = TokenBucket::new(quota).err();
        let (permits, period) = (u128::from(permits), u128::from(period));
        if permits > 4 * period || permits * u128::from(YEAR) < period {
            prop_assert_eq!(error.map(|error| error.field()), Some("rate"));
        } else if fills < 55.0 * 31_557_600.0 * 1e9 {
            prop_assert_eq!(error, None);
        } else if let Some(error) = error {
            prop_assert_eq!(error.field(), "burst");
        }
    }

    /// The fraction that is kept is the float that was given.
    #[test]
    fn a_rate_is_kept_to_the_last_bit(rate in prop_oneof![
        (-17.26_f64..22.11).prop_map(f64::exp),
        (1_u32..=4_000_000_000).prop_map(f64::from),
        (1_u32..10_000, 1_u32..10_000).prop_map(|(over, under)| f64::from(over) / f64::from(under)),
        (1_u64 << 52..1_u64 << 53, -77_i32..-20).prop_map(|(mantissa, exponent)| mantissa as f64 * f64::from(exponent).exp2()),
    ]) {
        let quota = Quota::from_rate(rate);
        prop_assert_eq!(quota.rate().to_bits(), rate.to_bits());
        if (3.2e-8..=4e9).contains(&rate) {
            prop_assert!(TokenBucket::new(quota).is_ok(), "{:?}", quota);
            prop_assert_eq!(quota.capacity(), (rate.floor() as u64).max(1));
        }
    }

    #[test]
    fn any_float_makes_a_quota_or_an_error(rate in float(), burst in prop::option::of(number())) {
        let quota = burst.map_or(Quota::from_rate(rate), |burst| Quota::from_rate(rate).burst(burst));
        prop_assert!(quota.rate() >= 0.0);
        match TokenBucket::new(quota) {
            Ok(bucket) => prop_assert!(bucket.quota().rate() == rate),
            Err(error) => {
                well_formed(&error)?;
                if !(3.16e-8..=4e9).contains(&rate) {
                    prop_assert_eq!(error.field(), "rate");
                }
            }
        }
    }
}

/// What was written as a decimal or as a fraction of small numbers is kept as just that.
#[test]
fn a_rate_is_the_simplest_fraction() {
    let parts = |rate: f64| {
        let quota = Quota::from_rate(rate);
        assert_eq!(quota.rate(), rate);
        (quota.permits(), quota.period().as_secs())
    };
    for (rate, fraction) in [(0.1, (1, 10)), (0.3, (3, 10)), (0.7, (7, 10)), (2.5, (5, 2)), (1e-7, (1, 10_000_000))] {
        assert_eq!(parts(rate), fraction);
    }
    let gcd = |mut one: u32, mut other: u32| {
        while other > 0 {
            (one, other) = (other, one % other);
        }
        one
    };
    for over in 1..600 {
        for under in 1..600 {
            let common = gcd(over, under);
            let simplest = (u64::from(over / common), u64::from(under / common));
            assert_eq!(parts(f64::from(over) / f64::from(under)), simplest);
        }
    }
}

#[test]
fn errors_name_the_field_and_the_range() {
    let message = |quota: Quota| TokenBucket::new(quota).unwrap_err().to_string();
    assert_eq!(message(Quota::per_second(0)), "permits must be at least 1");
    assert_eq!(message(Quota::per(1, Duration::ZERO)), "period must be above zero");
    assert_eq!(message(Quota::per_second(1).burst(0)), "burst must be at least 1 permit");
    assert_eq!(message(Quota::per_second(u64::MAX)), "rate must be from 1 permit a year to 4e9 permits a second");
    for rate in [f64::NAN, -0.0, 0.0, -1.0, f64::NEG_INFINITY] {
        assert_eq!(message(Quota::from_rate(rate)), "rate must be a positive, finite number of permits a second");
    }
    for rate in [f64::INFINITY, f64::MAX, 4.1e9, 1e-8, 1e-300, 5e-324] {
        assert!(message(Quota::from_rate(rate)).starts_with("rate must be "), "{rate}");
    }
    let most = Quota::per_second(4_000_000_000).burst((1 << 40) + 1);
    assert_eq!(message(most), "burst must be at most 2^40 permits; the largest that fits is 1099511627776");
}

#[test]
fn initial_is_at_most_the_burst() {
    let quota = Quota::per_second(5).burst(8);
    let build = |permits| TokenBucket::builder(quota).clock(ManualClock::new()).initial(permits).build();
    for permits in 0..=8 {
        assert_eq!(build(permits).unwrap().available(), permits);
    }
    for permits in [9, 1 << 40, u64::MAX] {
        let error = build(permits).unwrap_err();
        assert_eq!((error.field(), error.largest()), ("initial", Some(8)));
    }
    // Of two errors the quota's comes first.
    let error = TokenBucket::builder(Quota::per_second(0)).initial(9).build().unwrap_err();
    assert_eq!(error.field(), "permits");
}

#[test]
fn initial_fills_from_build_on() {
    let clock = ManualClock::new();
    clock.set(Nanos::from_nanos(77));
    let bucket = TokenBucket::builder(Quota::per_second(10)).clock(clock.clone()).initial(0).build().unwrap();
    clock.advance(Duration::from_millis(300));
    assert_eq!(bucket.available(), 3);
    assert!(TokenBucket::builder(Quota::per_second(10)).build().unwrap().stats().is_none());
    assert!(TokenBucket::builder(Quota::per_second(10)).stats().build().unwrap().stats().is_some());
}

#[test]
fn valid_quotas_are_constants() {
    static SECOND_: TokenBucket = TokenBucket::const_new(Quota::per_second(10));
    static YEAR_: TokenBucket = TokenBucket::const_new(Quota::per(1, Duration::from_nanos(YEAR)).burst(50));
    static FRACTION: TokenBucket = TokenBucket::const_new(Quota::from_rate(0.1).burst(3));
    static MOST: TokenBucket = TokenBucket::const_new(Quota::per_second(4_000_000_000).burst(1 << 40));
    const CHECKED: Result<TokenBucket, ConfigError> = TokenBucket::new(Quota::per_minute(0));
    for (bucket, capacity) in [(&SECOND_, 10), (&YEAR_, 50), (&FRACTION, 3), (&MOST, 1 << 40)] {
        assert_eq!(bucket.try_acquire_n(capacity), Ok(()));
        assert!(bucket.try_acquire_n(capacity).is_err());
        assert_eq!(bucket.quota().capacity(), capacity);
    }
    assert_eq!(CHECKED.unwrap_err().field(), "permits");
}

/// What API.md promises of every public type.
#[test]
fn types_are_what_they_should_be() {
    fn shared<T: Send + Sync + std::fmt::Debug + 'static>() {}
    fn error<T: Error + Clone + PartialEq + Send + Sync + 'static>() {}
    shared::<TokenBucket>();
    shared::<TokenBucket<ManualClock>>();
    shared::<Quota>();
    shared::<MonotonicClock>();
    shared::<ManualClock>();
    shared::<sluicegate::CoarseClock>();
    shared::<sluicegate::TokenBucketBuilder>();
    shared::<sluicegate::RateLimiterStats>();
    error::<ConfigError>();
    error::<RateLimitExceeded>();
    let denied = RateLimitExceeded::Denied { retry_after: Duration::from_nanos(SECOND) };
    assert!(denied.source().is_none() && denied.to_string().contains("1s"));
    let told = format!("{:?}", TokenBucket::new(Quota::per_second(321)).unwrap());
    assert!(told.contains("TokenBucket") && told.contains("321"), "{told}");
}
