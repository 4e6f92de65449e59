//! The exact model that the window counters are compared with is itself right: cases worked out by hand.

mod support;

use std::time::Duration;

use sluicegate::RateLimitExceeded;
use support::quotas::SECOND;
use support::window_oracle::WindowOracle;
use support::windows::{LAWS, Law};

const TEN: Duration = Duration::from_secs(10);

fn denied(nanos: u64) -> Result<(), RateLimitExceeded> {
    Err(RateLimitExceeded::Denied { retry_after: Duration::from_nanos(nanos) })
}

#[test]
fn a_fixed_window_forgets_at_its_edge() {
    let mut oracle = WindowOracle::new(Law::Fixed, 5, TEN);
    assert_eq!(oracle.try_acquire_n(4, 13 * SECOND), Ok(()));
    assert_eq!(oracle.try_acquire_n(2, 13 * SECOND), denied(7 * SECOND));
    assert_eq!(oracle.available(20 * SECOND - 1), 1);
    assert_eq!(oracle.available(20 * SECOND), 5);
    assert_eq!(oracle.time_to_available(6, 0).unwrap_err().retry_after(), None);
}

/// 7 of 10, a third of a window ago: 7 * 2/3 = 4 2/3 count, so that 5 are there.
#[test]
fn an_interpolated_window_counts_a_share_in_whole_numbers() {
    let mut oracle = WindowOracle::new(Law::Interpolated, 10, Duration::from_nanos(3_000));
    assert_eq!(oracle.try_acquire_n(7, 2_999), Ok(()));
    assert_eq!(oracle.available(3_000), 3);
    assert_eq!(oracle.available(4_000), 5);
    // 7 * (3000 - into) <= 4 * 3000 from 1286 on.
    assert_eq!(oracle.time_to_available(6, 4_000), Ok(Duration::from_nanos(286)));
    assert_eq!(oracle.try_acquire_n(6, 4_285), denied(1));
    assert_eq!(oracle.try_acquire_n(6, 4_286), Ok(()));
    // The rest must wait for the next window, where the 6 shrink: 6 * (3000 - into) <= 1 * 3000.
    assert_eq!(oracle.time_to_available(9, 5_000), Ok(Duration::from_nanos(3_500)));
    assert_eq!(oracle.available(9_000), 10, "two windows on, all is forgotten");
}

/// The last of 8 grants in sixteenth 4 (from 2.5 s on): they count until sixteenth 21 begins, at 13.125 s.
#[test]
fn a_strict_window_counts_until_its_last_grant_is_a_window_past() {
    let mut oracle = WindowOracle::new(Law::Strict, 10, TEN);
    assert_eq!(oracle.try_acquire_n(6, 0), Ok(()));
    assert_eq!(oracle.try_acquire_n(2, 2 * SECOND + SECOND / 2), Ok(()));
    assert_eq!(oracle.available(13 * SECOND), 2);
    assert_eq!(oracle.try_acquire_n(3, 13 * SECOND), denied(SECOND / 8));
    assert_eq!(oracle.available(13 * SECOND + SECOND / 8 - 1), 2);
    assert_eq!(oracle.available(13 * SECOND + SECOND / 8), 10);
    // A grant in the last sixteenth counts to the end of the next window.
    assert_eq!(oracle.try_acquire_n(10, 20 * SECOND - 1), Ok(()));
    assert_eq!(oracle.available(30 * SECOND - 1), 0);
    assert_eq!(oracle.available(30 * SECOND), 10);
}

#[test]
fn a_clock_that_goes_back_finds_the_window_of_the_last_grant_and_all_of_the_one_before() {
    for (law, left) in [(Law::Fixed, 7), (Law::Interpolated, 3), (Law::Strict, 3)] {
        let mut oracle = WindowOracle::new(law, 10, TEN);
        assert_eq!(oracle.try_acquire_n(4, 9 * SECOND), Ok(()));
        assert_eq!(oracle.try_acquire_n(3, 14 * SECOND), Ok(()));
        assert_eq!(oracle.available(3 * SECOND), left, "{law:?}");
        assert_eq!(oracle.try_acquire_n(left, 0), Ok(()));
        assert_eq!(oracle.available(14 * SECOND), if law == Law::Interpolated { 1 } else { 0 });
    }
}

#[test]
fn only_the_open_window_is_given_back_to() {
    for law in LAWS {
        let mut oracle = WindowOracle::new(law, 10, TEN);
        assert_eq!(oracle.try_acquire_n(8, 9 * SECOND), Ok(()));
        oracle.refund(3, 9 * SECOND);
        assert_eq!(oracle.available(9 * SECOND), 5);
        oracle.refund(1, 10 * SECOND);
        assert_eq!(oracle.available(10 * SECOND), if law == Law::Fixed { 10 } else { 5 });
        assert_eq!(oracle.try_acquire_n(1, 10 * SECOND), Ok(()));
        // Also under a clock that goes back, and to no more than nothing.
        oracle.refund(u64::MAX, 0);
        assert_eq!(oracle.available(10 * SECOND), if law == Law::Fixed { 10 } else { 5 });
    }
}

#[test]
fn time_stops() {
    for law in LAWS {
        let mut oracle = WindowOracle::new(law, 3, TEN);
        let last = oracle.last();
        assert!(last > 255 * 31_557_600 * SECOND);
        // 2^63 less twice 2^34 ns, in the middle of a window.
        assert_eq!(last, 9_223_372_002_495_037_440);
        assert_eq!(oracle.try_acquire_n(3, u64::MAX), Ok(()));
        let never = Err(RateLimitExceeded::Denied { retry_after: Duration::MAX });
        assert_eq!(oracle.try_acquire_n(1, u64::MAX), never);
        assert_eq!(oracle.try_acquire_n(1, last), never);
        assert_eq!(oracle.try_acquire_n(1, 0), never);
    }
}
