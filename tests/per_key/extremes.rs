//! G13 by key: no clock, number or tick length panics, wraps, or lets anybody have more.

use std::time::Duration;

use proptest::prelude::*;
use sluicegate::{Clock, ManualClock, Nanos, PerKeyRateLimiter, Quota, RateLimitExceeded, TickLength, WhenFull};

use crate::support::clocks::Counter;
use crate::support::quotas::{LIFETIME, SECOND, UNIX_NOW, YEAR, any_quota, cases, duration, number};

#[derive(Clone, Copy, Debug)]
enum Op {
    Set(u64),
    Advance(Duration),
    Acquire(u64),
    Refund(u64),
    Wait(u64),
    Cleanup,
    Remove,
    Clear,
    Poll,
}

fn op() -> impl Strategy<Value = (u8, Op)> {
    let op = prop_oneof![
        2 => number().prop_map(Op::Set),
        2 => duration().prop_map(Op::Advance),
        6 => number().prop_map(Op::Acquire),
        3 => Just(Op::Acquire(1)),
        1 => number().prop_map(Op::Refund),
        1 => number().prop_map(Op::Wait),
        2 => Just(Op::Cleanup),
        1 => Just(Op::Remove),
        1 => Just(Op::Clear),
        1 => Just(Op::Poll),
    ];
    (0_u8..4, op)
}

proptest! {
    #![proptest_config(cases(8_000))]

    #[test]
    fn any_call_at_any_time(
        quota in any_quota(), origin in number(), interval in duration(), max_keys in 1_usize..4,
        shares in any::<bool>(), length in prop_oneof![Just((1, 1)), (number(), number())],
        ops in prop::collection::vec(op(), 0..60),
    ) {
        let Some(length) = TickLength::new(length.0, length.1) else { return Ok(()) };
        let (clock, capacity) = (Counter::new(length, origin), quota.capacity());
        let builder = PerKeyRateLimiter::<u8>::builder(quota).clock(&clock).max_keys(max_keys);
        let builder = builder.when_full(if shares { WhenFull::Share } else { WhenFull::Deny });
        let Ok(limiter) = builder.cleanup_interval(interval).build() else {
            prop_assert!(interval.is_zero());
            return Ok(());
        };
        for (key, op) in ops {
            let (before, known) = (limiter.available(&key), limiter.contains_key(&key));
            prop_assert!(before <= capacity);
            match op {
                Op::Set(to) => clock.set(to),
                Op::Advance(by) => clock.set(clock.ticks().wrapping_add(by.as_nanos() as u64)),
                Op::Acquire(n) => match limiter.try_acquire_n(&key, n) {
                    // Without a place: a share of what others have.
                    Ok(()) if shares && !limiter.contains_key(&key) => prop_assert!(n <= capacity),
                    Ok(()) => {
                        prop_assert!(n <= before);
                        prop_assert_eq!(limiter.available(&key), before - n);
                    }
                    Err(RateLimitExceeded::ExceedsCapacity { requested, capacity: told }) => {
                        prop_assert!(n > capacity && (requested, told) == (n, capacity));
                    }
                    Err(RateLimitExceeded::KeysExhausted { max_keys: told }) => {
                        prop_assert!(!shares && !known && told == max_keys);
                    }
                    Err(error) => {
                        prop_assert!(n <= capacity && error.retry_after() > Some(Duration::ZERO));
                        prop_assert!(n > before || !known && shares);
                    }
                },
                Op::Refund(n) => {
                    limiter.refund(&key, n);
                    prop_assert!(limiter.available(&key) >= before);
                }
                Op::Wait(n) => match limiter.time_to_available(&key, n) {
                    Ok(wait) => prop_assert_eq!(wait == Duration::ZERO, n <= before),
                    Err(error) => prop_assert_eq!(error, RateLimitExceeded::ExceedsCapacity { requested: n, capacity }),
                },
                Op::Cleanup => prop_assert!(limiter.cleanup() <= max_keys),
                Op::Remove => prop_assert_eq!(limiter.remove(&key), known),
                Op::Clear => limiter.clear(),
                Op::Poll => (0..64).for_each(|_| _ = limiter.try_acquire(&key)),
            }
            prop_assert!(limiter.len() <= max_keys);
            let told = format!("{limiter:?}");
            prop_assert!(told.starts_with("PerKeyRateLimiter"));
        }
    }
}

fn new(origin: u64, quota: Quota) -> (PerKeyRateLimiter<u64, ManualClock>, ManualClock) {
    let clock = ManualClock::new();
    clock.set(Nanos::from_nanos(origin));
    let builder = PerKeyRateLimiter::builder(quota).clock(clock.clone()).max_keys(10);
    (builder.cleanup_interval(Duration::from_millis(1)).build().unwrap(), clock)
}

/// Beyond the lifetime time stands still: a burst for each place, for ever, and nobody is forgotten who took any of it.
#[test]
fn where_time_ends_nobody_has_more_than_a_burst() {
    let ends = [(0, u64::MAX), (0, 80 * YEAR), (UNIX_NOW, UNIX_NOW + 80 * YEAR), (u64::MAX - 1, u64::MAX)];
    for (origin, end) in ends {
        let (limiter, clock) = new(origin, Quota::per_second(5));
        assert_eq!(limiter.try_acquire_n(&0, 5), Ok(()));
        for nanos in [end, end, end.saturating_add(SECOND), u64::MAX] {
            clock.set(Nanos::from_nanos(nanos));
            for key in 0..10 {
                (0..200).for_each(|_| _ = limiter.try_acquire(&key));
                assert_eq!(limiter.available(&key), 0);
                assert!(limiter.try_acquire_n(&key, u64::MAX).is_err());
                assert_eq!(limiter.try_acquire(&key).unwrap_err().retry_after(), Some(Duration::MAX));
            }
            assert_eq!((limiter.cleanup(), limiter.len()), (0, 10));
            assert_eq!(limiter.try_acquire(&10), Err(RateLimitExceeded::KeysExhausted { max_keys: 10 }));
        }
    }
}

/// One reading years ahead, at which all were forgotten who were full: back at the old time they have nothing until that
/// time has come. Nobody has more than before.
#[test]
fn a_reading_years_ahead_fails_closed() {
    for ahead in [30 * YEAR, LIFETIME, 40 * YEAR, u64::MAX] {
        let (limiter, clock) = new(0, Quota::per_second(5));
        assert!((0..5).all(|key| limiter.try_acquire_n(&key, 1 + key).is_ok()));
        clock.set(Nanos::from_nanos(ahead));
        assert_eq!(limiter.cleanup(), 5);
        for nanos in [0, 1, SECOND, YEAR] {
            clock.set(Nanos::from_nanos(nanos));
            assert!((0..5).all(|key| limiter.try_acquire(&key).is_err() && limiter.available(&key) == 0));
            assert!(limiter.is_empty());
        }
        clock.set(Nanos::from_nanos(ahead));
        assert_eq!(limiter.try_acquire_n(&0, 5), Ok(()));
    }
}

/// Of what came before the limiter was built there is nothing.
#[test]
fn a_clock_before_its_beginning_brings_nothing() {
    let (limiter, clock) = new(UNIX_NOW, Quota::per_second(5));
    for nanos in [0, 1, UNIX_NOW - SECOND, UNIX_NOW - 1, UNIX_NOW] {
        clock.set(Nanos::from_nanos(nanos));
        let _ = limiter.try_acquire_n(&0, 5);
        assert_eq!((limiter.available(&0), limiter.cleanup()), (0, 0));
    }
    clock.set(Nanos::from_nanos(UNIX_NOW + SECOND / 5));
    assert_eq!(limiter.available(&0), 1);
}
