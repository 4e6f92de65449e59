//! Model checks of the live quota and of the first call: what races with a change of the parameters.
//!
//! Each model names the mutation of the sources that it was seen to kill; docs/DESIGN.md lists them all.

#![allow(missing_docs)]

mod support;

use std::time::Duration;

use loom::thread;
use sluicegate_loom::Quota;
use support::{bucket, model, unstarted};

const PERIOD: u64 = 100;

/// One permit in `period` ns.
const fn every(period: u64, burst: u64) -> Quota {
    Quota::per(1, Duration::from_nanos(period)).burst(burst)
}

/// Half as fast is on the same scale, a hundredth is not.
const SLOWER: u64 = 2 * PERIOD;
const OTHER_SCALE: u64 = 100 * PERIOD;

/// An empty bucket; a period passes at the old rate, the quota changes, another one passes at the new rate.
fn acquire_set_quota(new_period: u64) {
    let (bucket, clock) = bucket(every(PERIOD, 4));
    assert!(bucket.try_acquire_n(4).is_ok());
    let (other, there_clock) = (bucket.clone(), clock.clone());
    let there = thread::spawn(move || {
        there_clock.advance(2 * PERIOD);
        other.set_quota(every(new_period, 4)).unwrap();
        there_clock.advance(PERIOD);
    });
    let granted = u64::from(bucket.try_acquire_n(2).is_ok()) * 2;
    there.join().unwrap();
    // 2 came before the change, PERIOD / new_period of one after it; nothing is lost, nothing comes twice.
    let missing = 4 + granted - 2;
    let expected = missing * new_period - PERIOD;
    let wait = bucket.time_to_available(4).unwrap().as_nanos() as u64;
    assert!(wait.abs_diff(expected) <= 1 + new_period / PERIOD, "{granted} granted, {wait} instead of {expected}");
}

/// Kills `reader-ignores-version` and `reader-ignores-slot`.
#[test]
fn acquire_set_quota_same_scale() {
    model("acquire_set_quota_same_scale", 2, || acquire_set_quota(SLOWER));
}

/// Kills `clock-after-validation`: a reading from after a change to a slower quota, taken for time at the old rate.
#[test]
fn acquire_set_quota_slower() {
    model("acquire_set_quota_slower", 2, || {
        let (bucket, clock) = bucket(every(PERIOD, 4));
        assert!(bucket.try_acquire_n(4).is_ok());
        let (other, there_clock) = (bucket.clone(), clock.clone());
        let there = thread::spawn(move || {
            there_clock.advance(2 * PERIOD);
            other.set_quota(every(SLOWER, 4)).unwrap();
            there_clock.advance(PERIOD);
        });
        // Two and a half permits come in all; at the old rate it would be three.
        assert!(bucket.try_acquire_n(3).is_err());
        there.join().unwrap();
    });
}

/// Kills `level-is-not-scaled`.
#[test]
fn acquire_set_quota_other_scale() {
    model("acquire_set_quota_other_scale", 2, || acquire_set_quota(OTHER_SCALE));
}

/// The trace that breaks a pointer beside a rescaled word, and a parity in it: a full bucket, two changes, an
/// exchange that was prepared before them. Kills `scales-share-numbers`: 3 of 2 granted.
#[test]
fn acquire_two_changes_of_scale() {
    model("acquire_two_changes_of_scale", 2, || {
        let (bucket, _clock) = bucket(every(PERIOD, 2));
        let other = bucket.clone();
        let there = thread::spawn(move || {
            other.set_quota(every(OTHER_SCALE, 2)).unwrap();
            let granted = u64::from(other.try_acquire().is_ok());
            other.refund(granted);
            other.set_quota(every(OTHER_SCALE, 1)).unwrap();
            other.try_acquire_up_to(2)
        });
        let here = u64::from(bucket.try_acquire().is_ok());
        let there = there.join().unwrap();
        // One call is charged under one quota or another: 2 before the change, or 1 after it.
        assert!(here + there + bucket.available() <= 2, "{here} + {there}");
    });
}

/// Kills `burst-arrives-full`: a larger burst that is there at once; and `debt-is-forgotten`.
#[test]
fn charge_set_quota() {
    model("charge_set_quota", 2, || {
        let (bucket, clock) = bucket(every(PERIOD, 2));
        clock.advance(10 * PERIOD);
        let other = bucket.clone();
        let there = thread::spawn(move || other.set_quota(every(PERIOD, 5)).unwrap());
        let charged = bucket.charge(3);
        there.join().unwrap();
        assert_eq!(charged, 3);
        assert_eq!(bucket.available(), 0);
        assert_eq!(bucket.time_to_available(5), Ok(Duration::from_nanos(6 * PERIOD)));
    });
}

/// Kills `setters-do-not-exclude`.
#[test]
fn set_quota_set_quota() {
    model("set_quota_set_quota", 2, || {
        let (bucket, clock) = bucket(every(PERIOD, 3));
        assert!(bucket.try_acquire_n(3).is_ok());
        let (other, there_clock) = (bucket.clone(), clock.clone());
        let there = thread::spawn(move || {
            there_clock.advance(PERIOD);
            other.set_quota(every(SLOWER, 2)).unwrap();
        });
        bucket.set_quota(every(OTHER_SCALE, 2)).unwrap();
        there.join().unwrap();
        let last = bucket.quota();
        assert!(last == every(SLOWER, 2) || last == every(OTHER_SCALE, 2));
        // At most the one permit that came, and what is missing to the burst comes at the rate of the last quota.
        let period = last.period().as_nanos() as u64;
        let wait = bucket.time_to_available(2).unwrap().as_nanos() as u64;
        assert!(wait >= period - 1 && wait <= 2 * period, "{wait} with {last:?}");
        assert!(bucket.available() <= 1);
    });
}

/// Kills `setters-do-not-exclude` and the orderings of the slots.
#[test]
fn acquire_set_quota_set_quota() {
    model("acquire_set_quota_set_quota", 1, || {
        let (bucket, clock) = bucket(every(PERIOD, 2));
        assert!(bucket.try_acquire_n(2).is_ok());
        clock.advance(PERIOD);
        let other = bucket.clone();
        let there = thread::spawn(move || {
            other.set_quota(every(SLOWER, 2)).unwrap();
            clock.advance(PERIOD);
            other.set_quota(every(PERIOD, 2)).unwrap();
        });
        let here = u64::from(bucket.try_acquire().is_ok());
        there.join().unwrap();
        // One permit at the first rate, half of one at the second.
        let wait = bucket.time_to_available(2).unwrap().as_nanos() as u64;
        assert!(wait.abs_diff(PERIOD / 2 + here * PERIOD) <= 2, "{wait} after {here}");
    });
}

/// Kills `setter-drops-refund`: a setter that writes over what came between its look and its exchange.
#[test]
fn refund_set_quota() {
    model("refund_set_quota", 2, || {
        let (bucket, clock) = bucket(every(PERIOD, 3));
        assert!(bucket.try_acquire_n(3).is_ok());
        let (other, there_clock) = (bucket.clone(), clock.clone());
        let there = thread::spawn(move || {
            there_clock.advance(PERIOD);
            other.set_quota(every(SLOWER, 3)).unwrap();
        });
        bucket.refund(1);
        there.join().unwrap();
        assert_eq!(bucket.available(), 2);
        assert!(bucket.time_to_available(3).unwrap().as_nanos().abs_diff(u128::from(SLOWER)) <= 2);
    });
}

/// Kills `start-resets` and `time-runs-before-the-start`: the one that starts the clock forgets what was taken before it could.
#[test]
fn first_calls() {
    model("first_calls", 3, || {
        let (bucket, clock) = unstarted(every(PERIOD, 2));
        let other = bucket.clone();
        let there = thread::spawn(move || {
            clock.advance(PERIOD);
            u64::from(other.try_acquire().is_ok()) + u64::from(other.try_acquire().is_ok())
        });
        let here = u64::from(bucket.try_acquire().is_ok()) + u64::from(bucket.try_acquire().is_ok());
        let granted = here + there.join().unwrap();
        // A period may pass after the first call, or before it, or before the clock is started.
        assert!((2..=3).contains(&(granted + bucket.available())), "{granted}");
    });
}

/// Kills `change-before-start`: a setter that comes before the first call and takes an empty slot for the old quota.
#[test]
fn first_call_set_quota() {
    model("first_call_set_quota", 1, || {
        let (bucket, _clock) = unstarted(every(PERIOD, 2));
        let other = bucket.clone();
        let there = thread::spawn(move || other.set_quota(every(OTHER_SCALE, 1)).unwrap());
        let here = bucket.try_acquire_up_to(2);
        there.join().unwrap();
        // Two before the change, or the one that was left after it.
        let left = bucket.available();
        assert!(matches!((here, left), (2, 0) | (1, 0)), "{here} and {left}");
        assert_eq!(bucket.quota(), every(OTHER_SCALE, 1));
    });
}
