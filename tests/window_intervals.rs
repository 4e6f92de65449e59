//! The checks that the bounds of the window counters are proved with are themselves right: they agree with brute force.

mod support;

use proptest::prelude::*;
use support::intervals::Call;
use support::quotas::cases;
use support::windows::{most_in_any_interval, most_in_any_window};

/// The definition, word by word: the calls inside `[from, from + window)`, less those that overlap it.
fn net(calls: &[Call], given_back: &[Call], from: i64, window: u64) -> i128 {
    let to = from + window as i64;
    let inside = |call: &&Call| call.start as i64 >= from && call.end as i64 <= to;
    let overlaps = |call: &&Call| (call.start as i64) < to && call.end as i64 > from;
    let sum = |calls: Vec<&Call>| calls.iter().map(|call| i128::from(call.permits)).sum::<i128>();
    sum(calls.iter().filter(inside).collect()) - sum(given_back.iter().filter(overlaps).collect())
}

/// Calls that last from one nanosecond on, up to the end of time 60.
fn calls(most: usize) -> impl Strategy<Value = Vec<Call>> {
    let call = (0_u64..48, 1_u64..12, 0_u64..6).prop_map(|(start, length, permits)| Call {
        start,
        end: start + length,
        permits,
    });
    prop::collection::vec(call, 0..most)
}

proptest! {
    #![proptest_config(cases(3_000))]

    #[test]
    fn agree_with_brute_force(calls in calls(14), back in calls(5), window in 1_u64..20) {
        let rolling = (-20..80).map(|from| net(&calls, &back, from, window)).max().unwrap();
        prop_assert_eq!(most_in_any_interval(&calls, &back, window), rolling.max(0));
        let aligned = (0..60).map(|index| net(&calls, &back, index * window as i64, window)).max().unwrap();
        prop_assert_eq!(most_in_any_window(&calls, &back, window), aligned.max(0));
    }
}

/// Two grants are in one interval if the moment after the later one is no more than a window from the earlier one.
#[test]
fn an_interval_is_half_open() {
    let at = |start| Call { start, end: start + 1, permits: 1 };
    assert_eq!(most_in_any_interval(&[at(5), at(14)], &[], 10), 2);
    assert_eq!(most_in_any_interval(&[at(5), at(15)], &[], 10), 1);
    assert_eq!(most_in_any_window(&[at(5), at(14)], &[], 10), 1);
    assert_eq!(most_in_any_window(&[at(10), at(19), at(20)], &[], 10), 2);
    assert_eq!(most_in_any_interval(&[], &[at(3)], 10), 0);
}
