//! G3: `retry_after` is exact in the clock's own nanoseconds while nobody waits: one earlier the same call is still
//! denied, at it it is granted. Proved by doing both after random histories: in debt, at Unix time, behind the clock
//! of the first call.

mod support;

use std::time::Duration;

use proptest::prelude::*;
use sluicegate::{Clock, ManualClock, Nanos, Quota, RateLimitExceeded, TickLength, TokenBucket};
use support::buckets::started_at;
use support::clocks::{Counter, CountingClock};
use support::quotas::{
    LIFETIME, Permits, SECOND, UNIX_NOW, any_quota, cases, fitted, magnitude, modest_quota, permits,
};

/// A step of a history: the clock goes so far forward or back, then something is taken, charged or given back.
type Step = (i64, u8, Permits);

fn history() -> impl Strategy<Value = Vec<Step>> {
    let moves = prop_oneof![
        1 => Just(0_i64),
        4 => magnitude(45).prop_map(|by| by as i64),
        1 => magnitude(56).prop_map(|by| by as i64),
        1 => magnitude(45).prop_map(|by| -(by as i64)),
    ];
    prop::collection::vec((moves, 0_u8..5, permits()), 0..12)
}

/// The clock's reading after the history.
fn live(bucket: &TokenBucket<ManualClock>, clock: &ManualClock, origin: u64, history: &[Step]) -> u64 {
    let mut now = origin;
    for &(by, verb, permits) in history {
        let n = permits.of(bucket.quota().capacity());
        now = now.saturating_add_signed(by).min(origin + LIFETIME / 2);
        clock.set(Nanos::from_nanos(now));
        match verb {
            0 | 1 => _ = bucket.try_acquire_n(n),
            2 => _ = bucket.try_acquire_up_to(n),
            3 => _ = bucket.charge(n),
            _ => bucket.refund(n),
        }
    }
    now
}

/// Drives a copy of the clock to just before the end of the wait for `n` permits, and to it.
fn check(bucket: &TokenBucket<ManualClock>, clock: &ManualClock, now: u64, n: u64) -> Result<(), TestCaseError> {
    clock.set(Nanos::from_nanos(now));
    let wait = match bucket.time_to_available(n) {
        Ok(wait) => wait,
        Err(error) => {
            let capacity = bucket.quota().capacity();
            prop_assert_eq!(error, RateLimitExceeded::ExceedsCapacity { requested: n, capacity });
            prop_assert_eq!(bucket.try_acquire_n(n), Err(error));
            return Ok(());
        }
    };
    prop_assert_eq!(bucket.time_to_available(0), Ok(Duration::ZERO));
    if wait == Duration::ZERO {
        prop_assert!(bucket.available() >= n);
        prop_assert_eq!(bucket.try_acquire_n(n), Ok(()));
        bucket.refund(n);
        return Ok(());
    }
    let denied = bucket.try_acquire_n(n).unwrap_err();
    prop_assert_eq!(denied, RateLimitExceeded::Denied { retry_after: wait });
    if wait == Duration::MAX {
        // Never, as far as the bucket's time reaches.
        clock.set(Nanos::from_nanos(u64::MAX));
        prop_assert!(bucket.available() < n);
        return Ok(());
    }
    let nanos = u64::try_from(wait.as_nanos()).unwrap();
    clock.set(Nanos::from_nanos(now + nanos - 1));
    let early = RateLimitExceeded::Denied { retry_after: Duration::from_nanos(1) };
    prop_assert_eq!(bucket.try_acquire_n(n), Err(early), "{} permits, 1 ns before {:?}", n, wait);
    prop_assert!(bucket.available() < n);
    prop_assert_eq!(bucket.time_to_available(n), Ok(Duration::from_nanos(1)));
    clock.set(Nanos::from_nanos(now + nanos));
    prop_assert_eq!(bucket.time_to_available(n), Ok(Duration::ZERO));
    prop_assert!(bucket.available() >= n);
    prop_assert_eq!(bucket.try_acquire_n(n), Ok(()), "{} permits, after {:?}", n, wait);
    Ok(())
}

proptest! {
    #![proptest_config(cases(8_000))]

    #[test]
    fn exact_after_any_history(
        quota in prop_oneof![any_quota(), modest_quota()],
        origin in prop_oneof![Just(0), Just(UNIX_NOW), magnitude(62)],
        history in history(),
        numbers in prop::collection::vec(permits(), 1..4),
    ) {
        let (bucket, clock) = started_at(quota, origin);
        let now = live(&bucket, &clock, origin, &history);
        for n in numbers {
            check(&bucket, &clock, now, n.of(quota.capacity()))?;
        }
    }

    /// Of every depth of debt, up to one burst of it and one burst wanted.
    #[test]
    fn exact_in_debt(
        quota in any_quota(), origin in prop_oneof![Just(0), Just(UNIX_NOW)], ahead in magnitude(50),
        owed in magnitude(41), n in permits(),
    ) {
        let (bucket, clock) = started_at(quota, origin);
        let now = origin + ahead;
        clock.set(Nanos::from_nanos(now));
        prop_assert_eq!(bucket.charge(owed), owed.min(2 * quota.capacity()));
        check(&bucket, &clock, now, n.of(quota.capacity()))?;
        bucket.charge(u64::MAX);
        check(&bucket, &clock, now, quota.capacity())?;
    }

    /// A clock that is set back, also to before the first call, waits for itself to come back.
    #[test]
    fn exact_when_the_clock_is_behind(
        quota in any_quota(), ahead in magnitude(50), behind in magnitude(58), n in permits(),
    ) {
        let (bucket, clock) = started_at(quota, UNIX_NOW);
        clock.set(Nanos::from_nanos(UNIX_NOW + ahead));
        prop_assert_eq!(bucket.try_acquire_up_to(u64::MAX), quota.capacity());
        check(&bucket, &clock, UNIX_NOW.saturating_sub(behind), n.of(quota.capacity()))?;
    }

    /// Under a clock that counts in something shorter, the wait is rounded up to whole nanoseconds: it is granted
    /// then, and not yet at the tick before the exact one.
    #[test]
    fn rounded_up_under_a_clock_with_ticks_of_its_own(
        quota in any_quota(), ticks in 1_000_u64..7_990, start in magnitude(60), ahead in magnitude(40), n in permits(),
    ) {
        let length = TickLength::new(1_000, ticks).unwrap();
        let clock = Counter::new(length, start);
        let bucket = TokenBucket::with_clock(quota, &clock).unwrap();
        prop_assert_eq!(bucket.available(), quota.capacity());
        clock.set(start + ahead);
        prop_assert_eq!(bucket.charge(quota.capacity()), quota.capacity());
        let n = n.of(quota.capacity()).min(quota.capacity());
        let wait = bucket.time_to_available(n).unwrap();
        if wait == Duration::MAX {
            return Ok(());
        }
        let nanos = u64::try_from(wait.as_nanos()).unwrap();

        // Whole ticks that are at least `nanos` long, and those that are surely shorter than all but the last one.
        let at = (start + ahead).saturating_add((u128::from(nanos) * u128::from(ticks)).div_ceil(1_000) as u64);
        let before = start + ahead + ((u128::from(nanos) - 1) * u128::from(ticks) / 1_000) as u64;
        clock.set(before.saturating_sub(1));
        prop_assert!(bucket.try_acquire_n(n).is_err(), "early by a nanosecond");
        clock.set(at + 1);
        prop_assert_eq!(bucket.try_acquire_n(n), Ok(()));
    }
}

#[test]
fn exact_for_every_number_of_permits() {
    let quotas = [
        Quota::per_second(3).burst(50),
        Quota::per_second(7).burst(50),
        Quota::per(50, Duration::from_nanos(17)).burst(200),
        Quota::per_second(999_999_937).burst(50),
        Quota::per(11, Duration::from_secs(13 * 86_400)).burst(50),
    ];
    for quota in quotas {
        for n in 1..=quota.capacity() {
            let (bucket, clock) = started_at(quota, 17);
            bucket.charge(u64::MAX);
            check(&bucket, &clock, 17, n).unwrap();
        }
    }
}

#[test]
fn whole_seconds_are_rounded_up_and_at_least_one() {
    let (bucket, clock) = started_at(Quota::per_second(1).burst(10), 0);
    bucket.charge(12);
    let secs = |ahead: u64| {
        clock.set(Nanos::from_nanos(ahead));
        bucket.try_acquire().unwrap_err().retry_after_secs()
    };
    // The next permit comes in three seconds.
    assert_eq!(secs(0), Some(3));
    assert_eq!(secs(1), Some(3));
    assert_eq!(secs(SECOND - 1), Some(3));
    assert_eq!(secs(SECOND), Some(2));
    assert_eq!(secs(2 * SECOND + 1), Some(1));
    assert_eq!(secs(3 * SECOND - 1), Some(1));
    assert!(bucket.try_acquire_n(11).unwrap_err().retry_after_secs().is_none());

    let secs = |retry_after| RateLimitExceeded::Denied { retry_after }.retry_after_secs();
    assert_eq!(secs(Duration::ZERO), Some(1));
    assert_eq!(secs(Duration::MAX), Some(u64::MAX));
    assert_eq!(RateLimitExceeded::KeysExhausted { max_keys: 3 }.retry_after_secs(), None);
}

/// What would come only after the end of the bucket's time has no finite wait.
#[test]
fn saturates_where_it_would_not_fit() {
    let quota = fitted(Quota::per(1, Duration::from_secs(31_600_000)).burst(u64::MAX)).unwrap();
    let (bucket, clock) = started_at(quota, 0);
    assert!(bucket.try_acquire_n(quota.capacity()).is_ok());
    assert_eq!(bucket.time_to_available(1), Ok(quota.period()));
    // A whole burst takes longer than the bucket's time lasts, and more so if as much is owed.
    assert_eq!(bucket.time_to_available(quota.capacity()), Ok(Duration::MAX));
    bucket.charge(u64::MAX);
    assert_eq!(bucket.try_acquire_n(quota.capacity()).unwrap_err().retry_after(), Some(Duration::MAX));

    // Nor at the end of the clock's numbers.
    clock.set(Nanos::from_nanos(u64::MAX));
    let late = TokenBucket::with_clock(Quota::per_hour(1), clock.clone()).unwrap();
    assert!(late.try_acquire().is_ok());
    assert_eq!(late.time_to_available(1), Ok(Duration::MAX));
    assert_eq!(clock.now(), Nanos::from_nanos(u64::MAX));
}

/// Where nobody waits the wait is told from the reading that the denial was made on. Kills: a denial by a second reading.
#[test]
fn a_denial_reads_the_clock_once() {
    let clock = CountingClock::default();
    let bucket = TokenBucket::with_clock(Quota::per_second(10), &clock).unwrap();
    assert_eq!(bucket.try_acquire_n(10), Ok(()));
    clock.readings();
    assert_eq!(bucket.try_acquire(), Err(RateLimitExceeded::Denied { retry_after: Duration::from_millis(100) }));
    assert_eq!(clock.readings(), 1);
    assert_eq!((bucket.time_to_available(2), clock.readings()), (Ok(Duration::from_millis(200)), 1));
}
