//! The exact model that G2, G3 and G5 are proved against is itself right: cases worked out by hand.

mod support;

use std::time::Duration;

use sluicegate::Quota;
use support::oracle::{Answer, Oracle};
use support::quotas::SECOND;

#[test]
fn fractions_of_a_nanosecond_are_kept() {
    let mut oracle = Oracle::new(&Quota::per_second(3).burst(2), 0);
    assert_eq!(oracle.try_acquire_n(2, 0), Answer::Granted);
    // A third of a second is no whole number of nanoseconds: rounded up, and the excess is not lost.
    assert_eq!(oracle.try_acquire_n(1, 333_333_333), Answer::Denied(1));
    assert_eq!(oracle.try_acquire_n(1, 333_333_334), Answer::Granted);
    assert_eq!(oracle.try_acquire_n(1, 666_666_666), Answer::Denied(1));
    assert_eq!(oracle.try_acquire_n(1, 666_666_667), Answer::Granted);
    assert_eq!(oracle.try_acquire_n(1, 999_999_999), Answer::Denied(1));
    assert_eq!(oracle.try_acquire_n(1, SECOND), Answer::Granted);
    assert_eq!(oracle.try_acquire_n(3, SECOND), Answer::Impossible);
}

#[test]
fn time_before_a_bucket_is_full_counts_and_time_after_does_not() {
    let mut oracle = Oracle::holding(&Quota::per_second(10).burst(10), 4, 5 * SECOND);
    assert_eq!(oracle.available(5 * SECOND), 4);
    assert_eq!(oracle.available(5 * SECOND + SECOND / 2), 9);
    assert_eq!(oracle.available(7 * SECOND), 10);
    assert_eq!(oracle.try_acquire_up_to(30, 7 * SECOND), 10);
    assert_eq!(oracle.available(7 * SECOND + SECOND / 10), 1);
}

/// An earlier reading finds what was there then less what was taken since, and a later one all of it again.
#[test]
fn a_clock_that_goes_back_finds_less() {
    let mut oracle = Oracle::new(&Quota::per_second(10).burst(10), SECOND);
    oracle.take(10, 3 * SECOND);
    assert_eq!(oracle.available(3 * SECOND), 0);
    assert_eq!(oracle.time_to_available(1, 2 * SECOND), Some(1_100_000_000));
    assert_eq!(oracle.time_to_available(1, 0), Some(3_100_000_000));
    assert_eq!(oracle.available(3 * SECOND + SECOND / 2), 5);
}

#[test]
fn debt_is_at_most_one_burst_and_is_repaid_first() {
    let mut oracle = Oracle::new(&Quota::per_second(10).burst(10), 0);
    assert_eq!(oracle.charge(15, 0), 15);
    assert_eq!(oracle.charge(15, 0), 5);
    assert_eq!(oracle.time_to_available(1, 0), Some(1_100_000_000));
    oracle.refund(12, 0);
    assert_eq!(oracle.available(0), 2);
    oracle.refund(12, 0);
    assert_eq!(oracle.available(0), 10);
}

#[test]
fn a_change_keeps_the_level_and_its_fraction() {
    let mut oracle = Oracle::holding(&Quota::per_second(3).burst(10), 1, 0);
    // 1 + 1/2.
    oracle.set_quota(&Quota::per(7, Duration::from_secs(1)).burst(100), SECOND / 6);
    assert_eq!(oracle.level(SECOND / 6) * 2 - oracle.parts(3), (-4).into(), "less 2/3 ns, twice");
    assert_eq!(oracle.available(SECOND / 6), 1);
    // Cut to the new burst, and it does not come back.
    let now = 2 * SECOND;
    oracle.set_quota(&Quota::per_second(2).burst(2), now);
    oracle.set_quota(&Quota::per_second(2).burst(50), now);
    assert_eq!(oracle.available(now), 2);
    assert_eq!(oracle.available(now + SECOND), 4);
    // Debt likewise.
    assert_eq!(oracle.charge(44, now), 44);
    oracle.set_quota(&Quota::per_second(1).burst(5), now);
    assert_eq!(oracle.time_to_available(1, now), Some(u128::from(6 * SECOND)));
}
