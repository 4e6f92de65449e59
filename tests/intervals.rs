//! The all-intervals check that G1 is proved with is itself right: it agrees with brute force over every interval.

mod support;

use proptest::prelude::*;
use support::intervals::{Call, worst_excess, worst_excess_net};
use support::quotas::cases;

/// The definition, word by word: every interval whose ends lie in the trace's range, all calls looked at anew.
fn brute_force(calls: &[Call], given_back: &[Call], permits: u64, period_nanos: u64) -> f64 {
    let all = || calls.iter().chain(given_back);
    let first = all().map(|call| call.start).min().unwrap_or(0);
    let last = all().map(|call| call.end).max().unwrap_or(0);
    let mut worst = i128::MIN;
    for from in first..=last {
        for to in from..=last {
            let inside = |call: &&Call| call.start >= from && call.end <= to;
            let overlaps = |call: &&Call| call.start <= to && call.end >= from;
            let granted: u64 = calls.iter().filter(inside).map(|call| call.permits).sum();
            let returned: u64 = given_back.iter().filter(overlaps).map(|call| call.permits).sum();
            let time = i128::from(to - from + 1);
            let net = i128::from(granted) - i128::from(returned);
            worst = worst.max(net * i128::from(period_nanos) - i128::from(permits) * time);
        }
    }
    // An interval in which nothing happened is always to be had, though maybe not in the trace's range.
    worst.max(-i128::from(permits)) as f64 / period_nanos as f64
}

fn calls(most: usize) -> impl Strategy<Value = Vec<Call>> {
    let call = (0_u64..40, 0_u64..10, 0_u64..6).prop_map(|(start, length, permits)| Call {
        start,
        end: start + length,
        permits,
    });
    prop::collection::vec(call, 0..most)
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn agrees_with_brute_force(calls in calls(12), permits in 1_u64..8, period in 1_u64..8) {
        prop_assert_eq!(worst_excess(&calls, permits, period), brute_force(&calls, &[], permits, period));
    }

    #[test]
    fn agrees_with_brute_force_with_give_backs(
        calls in calls(12), back in calls(6), permits in 1_u64..8, period in 1_u64..8,
    ) {
        let expected = brute_force(&calls, &back, permits, period);
        prop_assert_eq!(worst_excess_net(&calls, &back, permits, period), expected);
    }

    /// Nothing depends on where the clock's origin lies, nor on the order of the trace.
    #[test]
    fn origin_and_order_do_not_matter(calls in calls(12), permits in 1_u64..8, period in 1_u64..8) {
        let moved = |call: &Call| Call { start: u64::MAX - 49 + call.start, end: u64::MAX - 49 + call.end, ..*call };
        let far: Vec<Call> = calls.iter().rev().map(moved).collect();
        prop_assert_eq!(worst_excess(&far, permits, period), worst_excess(&calls, permits, period));
    }
}

#[test]
fn of_nothing_is_the_empty_interval() {
    assert_eq!(worst_excess(&[], 1, 4), -0.25);
}

/// A call that takes longer than it takes to earn its permits is no excess: the empty interval is worse.
#[test]
fn a_slow_call_is_no_excess() {
    assert_eq!(worst_excess(&[Call { start: 0, end: 1_000, permits: 1 }], 1, 10), -0.1);
}

/// Seven permits within 2 ns, of which the rate of 1/ns explains three, one being the nanosecond of rounding.
#[test]
fn finds_the_burst_in_the_middle() {
    let call = |time, permits| Call { start: time, end: time, permits };
    assert_eq!(worst_excess(&[call(0, 1), call(100, 4), call(102, 3), call(300, 2)], 1, 1), 4.0);
}

/// Years of nanoseconds at the largest rate, to the last bit.
#[test]
fn is_exact_at_the_ends_of_the_numbers() {
    let call = |time, permits| Call { start: time, end: time, permits };
    let year = 31_557_600_000_000_000;
    let calls = [call(0, 7), call(year, 4 * year + 1)];
    assert_eq!(worst_excess(&calls, 4, 1), (4 * year + 1 - 4) as f64);
    // At 4 permits/ns, in a year less 1 ns: 7 + 4 * year + 1 - 4 * (year - 1 + 1).
    assert_eq!(worst_excess(&[call(1, 7), call(year, 4 * year + 1)], 4 << 20, 1 << 20), (4 * year + 1 - 4) as f64);
    assert_eq!(worst_excess(&[call(0, 4 * year), call(year, 9)], 4, 1), (4 * year - 4) as f64);
}

/// A million calls take no noticeable time: the check is no worse than n log n.
#[test]
fn is_fast_enough_for_long_traces() {
    let calls: Vec<Call> = (0..1_000_000).map(|i| Call { start: 10 * i, end: 10 * i + 25, permits: 1 }).collect();
    // 1 in 10 ns, exactly the rate; but each call wants 25 ns to itself: n calls within 10 * (n - 1) + 25.
    assert_eq!(worst_excess(&calls, 1, 10), -0.1);
    // At half that rate half of them are too many: n - (10 * n + 16) / 20.
    assert_eq!(worst_excess(&calls, 1, 20), 1_000_000.0 - (10.0 * 999_999.0 + 26.0) / 20.0);
}
