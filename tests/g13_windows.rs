//! G13 for the window counters: no input panics, overflows or wraps. Proved with arbitrary numbers, durations and
//! clocks under overflow checks; what is refused is refused by a typed error that names the field, and charges nothing.

mod support;

use std::time::Duration;

use proptest::prelude::*;
use sluicegate::{
    ConfigError, FixedWindowCounter, FixedWindowCounterBuilder, ManualClock, Nanos, RateLimitExceeded,
    SlidingWindowCounter, SlidingWindowCounterBuilder,
};
use support::quotas::{cases, duration, number};
use support::windows::{LAWS, LONGEST, Law, SHORTEST, WindowCounter, any_shape, any_window, largest};

const NANOSECOND: Duration = Duration::from_nanos(1);

#[derive(Clone, Copy, Debug)]
enum Op {
    Set(u64),
    Advance(Duration),
    Acquire(u64),
    Refund(u64),
    Wait(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => number().prop_map(Op::Set),
        2 => duration().prop_map(Op::Advance),
        2 => number().prop_map(Op::Acquire),
        2 => (1_u64..20).prop_map(Op::Acquire),
        1 => number().prop_map(Op::Refund),
        1 => number().prop_map(Op::Wait),
    ]
}

fn law() -> impl Strategy<Value = Law> {
    prop::sample::select(LAWS.to_vec())
}

/// Mostly what is accepted, and anything.
fn shape() -> impl Strategy<Value = (Law, u64, Duration)> {
    prop_oneof![
        3 => law().prop_flat_map(|law| any_shape(law).prop_map(move |(limit, window)| (law, limit, window))),
        1 => (law(), number(), prop_oneof![any_window(), duration()]),
    ]
}

/// The error names a field, and says so first.
fn well_formed(error: &ConfigError) -> Result<(), TestCaseError> {
    prop_assert!(["limit", "window"].contains(&error.field()), "{:?}", error);
    prop_assert!(error.to_string().starts_with(error.field()), "{}", error);
    Ok(())
}

/// Checks that each answer makes sense by itself.
fn run(counter: &WindowCounter<ManualClock>, clock: &ManualClock, ops: &[Op]) -> Result<(), TestCaseError> {
    let limit = counter.limit();
    for &op in ops {
        let before = counter.available();
        prop_assert!(before <= limit);
        match op {
            Op::Set(to) => clock.set(Nanos::from_nanos(to)),
            Op::Advance(by) => clock.advance(by),
            Op::Acquire(n) => match counter.try_acquire_n(n) {
                Ok(()) => {
                    prop_assert!(n <= before);
                    prop_assert_eq!(counter.available(), before - n);
                }
                Err(error) => {
                    match error {
                        RateLimitExceeded::ExceedsCapacity { requested, capacity } => {
                            prop_assert!(n > limit && (requested, capacity) == (n, limit));
                        }
                        error => prop_assert!(n <= limit && n > before && error.retry_after() > Some(Duration::ZERO)),
                    }
                    prop_assert_eq!(counter.available(), before, "something was charged on {}", error);
                }
            },
            Op::Refund(n) => {
                counter.refund(n);
                prop_assert!((before..=before.saturating_add(n)).contains(&counter.available()));
            }
            Op::Wait(n) => match counter.time_to_available(n) {
                Ok(wait) => prop_assert_eq!(wait == Duration::ZERO, n <= before),
                Err(error) => {
                    prop_assert_eq!(error, RateLimitExceeded::ExceedsCapacity { requested: n, capacity: limit });
                }
            },
        }
        let told = format!("{counter:?}");
        prop_assert!(told.contains("WindowCounter"));
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(12_000))]

    #[test]
    fn any_call_at_any_time(
        (law, limit, window) in shape(), origin in number(), ops in prop::collection::vec(op(), 0..40),
    ) {
        let clock = ManualClock::new();
        clock.set(Nanos::from_nanos(origin));
        match WindowCounter::counting(law, limit, window, clock.clone()) {
            Ok(counter) => {
                prop_assert_eq!((counter.available(), counter.limit(), counter.window()), (limit, limit, window));
                run(&counter, &clock, &ops)?;
            }
            Err(error) => well_formed(&error)?,
        }
    }

    /// Every constructor agrees on what is usable, and with the documented range; the error tells the largest limit.
    #[test]
    fn the_range_is_as_documented((law, limit, window) in shape()) {
        let outcome = WindowCounter::new(law, limit, window, ManualClock::new()).map(|_| ());
        if law == Law::Fixed {
            prop_assert_eq!(FixedWindowCounter::new(limit, window).map(|_| ()), outcome);
            prop_assert_eq!(FixedWindowCounter::with_clock(limit, window, ManualClock::new()).map(|_| ()), outcome);
            let builder = FixedWindowCounterBuilder::new(limit, window, ManualClock::new());
            prop_assert_eq!(builder.stats().build().map(|_| ()), outcome);
        } else {
            let strict = law == Law::Strict;
            let new = if strict { SlidingWindowCounter::strict } else { SlidingWindowCounter::new };
            prop_assert_eq!(new(limit, window).map(|_| ()), outcome);
            let builder = SlidingWindowCounterBuilder::new(limit, window, ManualClock::new());
            prop_assert_eq!(if strict { builder.strict() } else { builder }.stats().build().map(|_| ()), outcome);
            if !strict {
                let with_clock = SlidingWindowCounter::with_clock(limit, window, ManualClock::new());
                prop_assert_eq!(with_clock.map(|_| ()), outcome);
            }
        }
        let expected = if !(SHORTEST..=LONGEST).contains(&window) {
            Err(("window", None))
        } else if limit == 0 {
            Err(("limit", None))
        } else if limit > largest(law, window) {
            Err(("limit", Some(largest(law, window))))
        } else {
            Ok(())
        };
        prop_assert_eq!(outcome.map_err(|error| (error.field(), error.largest())), expected);
    }
}

/// The largest limit fits, and works; one more does not, and the error tells the largest.
#[test]
fn the_largest_limit_is_the_largest() {
    let micros = Duration::from_micros;
    let documented = [
        (micros(1), 511, 31),
        (micros(1_000), 524_287, 32_767),
        (micros(1_000_000), 536_870_911, 33_554_431),
        (Duration::from_nanos(1_024), 511, 31),
        (Duration::from_nanos(1_025), 1_023, 63),
        (LONGEST, (1 << 58) - 1, (1 << 54) - 1),
    ];
    for (window, slack, strict) in documented {
        for (law, most) in [(Law::Fixed, slack), (Law::Interpolated, slack), (Law::Strict, strict)] {
            assert_eq!(largest(law, window), most);
            let clock = ManualClock::new();
            let error = WindowCounter::new(law, most + 1, window, clock.clone()).unwrap_err();
            assert_eq!((error.field(), error.largest()), ("limit", Some(most)), "{law:?} {window:?}");
            assert_eq!(
                error.to_string(),
                format!("limit is too large for this window; the largest that fits is {most}")
            );
            let counter = WindowCounter::new(law, most, window, clock.clone()).unwrap();
            for _ in 0..3 {
                assert_eq!(counter.try_acquire_n(most), Ok(()), "{law:?} {window:?}");
                assert_eq!(counter.available(), 0);
                clock.advance(2 * window);
            }
        }
    }
}

#[test]
fn errors_name_the_field_and_the_range() {
    for law in LAWS {
        let message =
            |limit, window| WindowCounter::new(law, limit, window, ManualClock::new()).unwrap_err().to_string();
        for window in [Duration::ZERO, SHORTEST - NANOSECOND, LONGEST + NANOSECOND, Duration::MAX] {
            // Of two errors the window's comes first.
            for limit in [0, 1, u64::MAX] {
                assert_eq!(message(limit, window), "window must be from 1 microsecond to 10 years");
            }
        }
        for window in [SHORTEST, LONGEST] {
            assert_eq!(message(0, window), "limit must be at least 1");
            assert!(WindowCounter::new(law, 1, window, ManualClock::new()).is_ok());
        }
    }
}

#[test]
fn valid_windows_are_constants() {
    static FIXED: FixedWindowCounter = FixedWindowCounter::const_new(5, LONGEST);
    static SLIDING: SlidingWindowCounter = SlidingWindowCounter::const_new(5, LONGEST);
    static STRICT: SlidingWindowCounter = SlidingWindowCounter::const_strict(5, LONGEST);
    const ZERO: Result<FixedWindowCounter, ConfigError> = FixedWindowCounter::new(0, SHORTEST);
    const NO_TIME: Result<SlidingWindowCounter, ConfigError> = SlidingWindowCounter::new(1, Duration::ZERO);
    const LARGE: Result<SlidingWindowCounter, ConfigError> = SlidingWindowCounter::strict(32, SHORTEST);
    const fn shape(counter: &SlidingWindowCounter) -> (u64, Duration) {
        (counter.limit(), counter.window())
    }
    let take = || [FIXED.try_acquire(), SLIDING.try_acquire(), STRICT.try_acquire()];
    std::thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| assert_eq!(take(), [Ok(()); 3]));
        }
    });
    // It is not ten years since the origin of the clock.
    assert!(take().iter().all(Result::is_err));
    assert_eq!((FIXED.limit(), shape(&SLIDING), shape(&STRICT)), (5, (5, LONGEST), (5, LONGEST)));
    let fields = [ZERO.unwrap_err().field(), NO_TIME.unwrap_err().field(), LARGE.unwrap_err().field()];
    assert_eq!(fields, ["limit", "window", "limit"]);
}

/// Outside of a `static` they panic with the words of the error.
#[test]
#[should_panic(expected = "limit is too large for this window")]
fn const_strict_panics_where_strict_returns_an_error() {
    let _ = SlidingWindowCounter::const_strict(32, SHORTEST);
}

#[test]
fn types_are_what_they_should_be() {
    fn shared<T: Send + Sync + std::fmt::Debug + 'static>() {}
    shared::<FixedWindowCounter>();
    shared::<FixedWindowCounter<ManualClock>>();
    shared::<FixedWindowCounterBuilder>();
    shared::<SlidingWindowCounter>();
    shared::<SlidingWindowCounter<ManualClock>>();
    shared::<SlidingWindowCounterBuilder>();
    for (law, name) in LAWS.into_iter().zip(["Fixed", "Interpolated", "Strict"]) {
        let counter = WindowCounter::counting(law, 321, Duration::from_secs(17), ManualClock::new()).unwrap();
        let told = format!("{counter:?}");
        for part in [name, "321", "17s", "total_requests"] {
            assert!(told.contains(part), "{told} has no {part}");
        }
    }
    let told = format!("{:?}", SlidingWindowCounter::builder(321, Duration::from_secs(17)).strict());
    assert!(told.contains("321") && told.contains("17s") && told.contains("strict: true"), "{told}");
    let told = format!("{:?}", FixedWindowCounter::builder(321, Duration::from_secs(17)));
    assert!(told.contains("321") && told.contains("17s"), "{told}");
}
