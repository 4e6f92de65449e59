//! Model checks of the live quota and of the first call: what races with a change of the parameters.
//!
//! Each model names the mutation of the sources that it was seen to kill; docs/DESIGN.md lists them all.

#![allow(missing_docs)]

mod support;

use std::time::Duration;

use sluicegate_loom::{Quota, TokenBucket};
use support::{ModelClock, bucket, drained, race, race_in_order, unstarted};

/// A power of two, so that all numbers are exact and the instant is the same before and after a change on one scale:
/// an exchange prepared before it can succeed after it.
const PERIOD: u64 = 128;

/// One permit in `period` ns.
const fn every(period: u64, burst: u64) -> Quota {
    Quota::per(1, Duration::from_nanos(period)).burst(burst)
}

/// Half as fast is on the same scale, a hundredth is not.
const SLOWER: u64 = 2 * PERIOD;
const OTHER_SCALE: u64 = 100 * PERIOD;

/// Two periods pass at the old rate, the quota changes, one passes at the new rate.
fn change_to<const NEW: u64>(bucket: &TokenBucket<ModelClock>, clock: &ModelClock) {
    clock.advance(2 * PERIOD);
    bucket.set_quota(every(NEW, 4)).unwrap();
    clock.advance(PERIOD);
}

/// 2 permits came before the change, PERIOD / NEW of one after it; nothing is lost, nothing comes twice.
fn all_is_there<const NEW: u64>(bucket: &TokenBucket<ModelClock>, _: &ModelClock, granted: u64, (): ()) {
    let missing = 4 + granted - 2;
    let expected = missing * NEW - PERIOD;
    let wait = bucket.time_to_available(4).unwrap().as_nanos() as u64;
    assert!(wait.abs_diff(expected) <= 1 + NEW / PERIOD, "{granted} granted, {wait} instead of {expected}");
}

/// Kills `reader-ignores-slot`.
#[test]
fn acquire_set_quota_same_scale() {
    race(
        "acquire_set_quota_same_scale",
        2,
        || drained(every(PERIOD, 4)),
        |bucket, _| u64::from(bucket.try_acquire_n(2).is_ok()) * 2,
        change_to::<SLOWER>,
        all_is_there::<SLOWER>,
    );
}

/// Kills `level-is-not-scaled`.
#[test]
fn acquire_set_quota_other_scale() {
    race(
        "acquire_set_quota_other_scale",
        2,
        || drained(every(PERIOD, 4)),
        |bucket, _| u64::from(bucket.try_acquire_n(2).is_ok()) * 2,
        change_to::<OTHER_SCALE>,
        all_is_there::<OTHER_SCALE>,
    );
}

/// Kills `reader-ignores-version`, and `clock-after-validation`: a reading from after a change to a slower quota, taken for time at the old rate.
#[test]
fn acquire_set_quota_slower() {
    race(
        "acquire_set_quota_slower",
        2,
        || drained(every(PERIOD, 4)),
        // Two and a half permits come in all; at the old rate it would be three.
        |bucket, _| assert!(bucket.try_acquire_n(3).is_err()),
        change_to::<SLOWER>,
        |_, _, (), ()| {},
    );
}

/// A full bucket has no use for the time that passes, so that time must not count at the new rate either. Kills
/// `change-keeps-its-reading`: a setter that loses to a take at a later reading and goes on with its own.
#[test]
fn acquire_set_quota_faster_while_full() {
    race(
        "acquire_set_quota_faster_while_full",
        2,
        || bucket(every(SLOWER, 2)),
        |bucket, _| bucket.set_quota(every(PERIOD, 2)).unwrap(),
        |bucket, clock| {
            clock.advance(2 * PERIOD);
            bucket.try_acquire_up_to(2)
        },
        |bucket, _, (), there| assert_eq!(there + bucket.available(), 2, "at one instant"),
    );
}

/// A look, which no exchange checks, sees the old parameters or the new ones, never a mixture. Kills
/// `field-stores-are-relaxed` and `field-loads-are-relaxed`.
#[test]
fn look_set_quota() {
    race(
        "look_set_quota",
        2,
        || drained(every(PERIOD, 4)),
        |bucket, _| bucket.time_to_available(4).unwrap().as_nanos() as u64,
        |bucket, _| bucket.set_quota(every(OTHER_SCALE, 8)).unwrap(),
        |_, _, wait, ()| assert!(wait == 4 * PERIOD || wait == 4 * OTHER_SCALE, "{wait}"),
    );
}

/// The trace that breaks a pointer beside a rescaled word: a full bucket, a change of scale, an exchange that was
/// prepared before it. Kills `scales-share-numbers`: 3 of 2 granted.
#[test]
fn take_all_change_of_scale() {
    race(
        "take_all_change_of_scale",
        2,
        || bucket(every(PERIOD, 2)),
        |bucket, _| u64::from(bucket.try_acquire_n(2).is_ok()) * 2,
        |bucket, _| {
            bucket.set_quota(every(OTHER_SCALE, 2)).unwrap();
            bucket.try_acquire_up_to(2)
        },
        |bucket, _, here, there| assert_eq!(here + there + bucket.available(), 2, "{here} + {there}"),
    );
}

/// The trace that breaks a parity in the word: the same with two changes. Kills `retry-keeps-decision`.
#[test]
fn acquire_two_changes_of_scale() {
    race_in_order(
        "acquire_two_changes_of_scale",
        2,
        || bucket(every(PERIOD, 2)),
        |bucket, _| u64::from(bucket.try_acquire_n(2).is_ok()) * 2,
        |bucket, _| {
            bucket.set_quota(every(OTHER_SCALE, 2)).unwrap();
            bucket.set_quota(every(2 * OTHER_SCALE, 2)).unwrap();
            bucket.try_acquire_up_to(2)
        },
        |bucket, _, here, there| assert_eq!(here + there + bucket.available(), 2, "{here} + {there}"),
    );
}

/// Kills `burst-arrives-full`: a larger burst that is there at once; and `debt-is-forgotten`.
#[test]
fn charge_set_quota() {
    race(
        "charge_set_quota",
        2,
        || {
            let shared = bucket(every(PERIOD, 2));
            shared.1.advance(10 * PERIOD);
            shared
        },
        |bucket, _| bucket.charge(3),
        |bucket, _| bucket.set_quota(every(PERIOD, 5)).unwrap(),
        |bucket, _, charged, ()| {
            assert_eq!(charged, 3);
            assert_eq!(bucket.available(), 0);
            assert_eq!(bucket.time_to_available(5), Ok(Duration::from_nanos(6 * PERIOD)));
        },
    );
}

/// Kills `setters-do-not-exclude`.
#[test]
fn set_quota_set_quota() {
    race(
        "set_quota_set_quota",
        2,
        || drained(every(PERIOD, 3)),
        |bucket, clock| {
            clock.advance(PERIOD);
            bucket.set_quota(every(SLOWER, 2)).unwrap();
        },
        |bucket, _| bucket.set_quota(every(OTHER_SCALE, 2)).unwrap(),
        |bucket, _, (), ()| {
            let last = bucket.quota();
            assert!(last == every(SLOWER, 2) || last == every(OTHER_SCALE, 2));
            // At most the one permit that came; what is missing to the burst comes at the rate of the last quota.
            let period = last.period().as_nanos() as u64;
            let wait = bucket.time_to_available(2).unwrap().as_nanos() as u64;
            assert!(wait >= period - 1 && wait <= 2 * period, "{wait} with {last:?}");
            assert!(bucket.available() <= 1);
        },
    );
}

/// Time passes at two rates; a caller that sees any of it sees all of it. Kills `reader-ignores-slot`.
#[test]
fn acquire_set_quota_set_quota() {
    race_in_order(
        "acquire_set_quota_set_quota",
        2,
        || {
            let shared = drained(every(PERIOD, 2));
            shared.1.advance(PERIOD);
            shared
        },
        |bucket, _| u64::from(bucket.try_acquire().is_ok()),
        |bucket, clock| {
            bucket.set_quota(every(SLOWER, 2)).unwrap();
            clock.advance(PERIOD);
            bucket.set_quota(every(PERIOD, 2)).unwrap();
        },
        |bucket, _, here, ()| {
            // One permit at the first rate, half of one at the second.
            let wait = bucket.time_to_available(2).unwrap().as_nanos() as u64;
            assert!(wait.abs_diff(PERIOD / 2 + here * PERIOD) <= 2, "{wait} after {here}");
        },
    );
}

/// Kills `setter-drops-refund`: a setter that writes over what came between its look and its exchange.
#[test]
fn refund_set_quota() {
    race(
        "refund_set_quota",
        2,
        || drained(every(PERIOD, 3)),
        |bucket, _| bucket.refund(1),
        |bucket, clock| {
            clock.advance(PERIOD);
            bucket.set_quota(every(SLOWER, 3)).unwrap();
        },
        |bucket, _, (), ()| {
            assert_eq!(bucket.available(), 2);
            assert!(bucket.time_to_available(3).unwrap().as_nanos().abs_diff(u128::from(SLOWER)) <= 2);
        },
    );
}

/// Kills `start-resets`: the one that starts the clock forgets what was taken before it could.
#[test]
fn first_calls() {
    race(
        "first_calls",
        3,
        || unstarted(every(PERIOD, 2)),
        |bucket, _| bucket.try_acquire_up_to(2),
        |bucket, clock| {
            clock.advance(PERIOD);
            bucket.try_acquire_up_to(2)
        },
        |bucket, _, here, there| {
            // A period may pass after the first call, or before it, or before the clock is started.
            assert!((2..=3).contains(&(here + there + bucket.available())), "{here} + {there}");
        },
    );
}

/// Kills `start-keeps-its-reading`: time that passed before a take of the whole burst counts after it.
#[test]
fn first_call_while_time_passes() {
    race(
        "first_call_while_time_passes",
        3,
        || unstarted(every(PERIOD, 1)),
        |bucket, _| {
            let _ = bucket.available();
        },
        |bucket, clock| {
            clock.advance(PERIOD);
            bucket.try_acquire_up_to(1)
        },
        |bucket, _, (), there| assert_eq!(there + bucket.available(), 1, "at one instant"),
    );
}

/// Kills `change-before-start`: a setter that comes before the first call and takes an empty slot for the old quota.
#[test]
fn first_call_set_quota() {
    race_in_order(
        "first_call_set_quota",
        1,
        || unstarted(every(PERIOD, 2)),
        |bucket, _| bucket.try_acquire_up_to(2),
        |bucket, _| bucket.set_quota(every(OTHER_SCALE, 1)).unwrap(),
        |bucket, _, here, ()| {
            // Two before the change, or the one that was left after it.
            let left = bucket.available();
            assert!(matches!((here, left), (2, 0) | (1, 0)), "{here} and {left}");
            assert_eq!(bucket.quota(), every(OTHER_SCALE, 1));
        },
    );
}
