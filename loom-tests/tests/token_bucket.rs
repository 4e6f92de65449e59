//! Model checks of the token bucket: each pair of verbs, with a clock that moves meanwhile.
//!
//! Each model names the mutation of the sources that it was seen to kill; docs/DESIGN.md lists them all.

#![allow(missing_docs)]

mod support;

use std::time::Duration;

use loom::thread;
use sluicegate_loom::Quota;
use support::{bucket, drained, model, race};

const PERIOD: u64 = 100;

/// One permit in 100 ns.
const fn quota(burst: u64) -> Quota {
    Quota::per(1, Duration::from_nanos(PERIOD)).burst(burst)
}

/// Kills `cas-stores`: the exchange replaced by a store, so that both threads get the one permit.
#[test]
fn acquire_acquire() {
    race(
        "acquire_acquire",
        3,
        || bucket(quota(1)),
        |bucket, _| bucket.try_acquire().is_ok(),
        |bucket, _| bucket.try_acquire().is_ok(),
        |_, _, here, there| assert_ne!(here, there),
    );
}

/// Kills `retry-keeps-decision`: after a lost exchange the old instant is written over the observed one.
#[test]
fn acquire_acquire_acquire() {
    model("acquire_acquire_acquire", 3, || {
        let (bucket, _clock) = bucket(quota(2));
        let spawn = || {
            let bucket = bucket.clone();
            thread::spawn(move || u64::from(bucket.try_acquire().is_ok()))
        };
        let others = [spawn(), spawn()];
        let mut granted = u64::from(bucket.try_acquire().is_ok());
        for other in others {
            granted += other.join().unwrap();
        }
        assert_eq!(granted, 2);
    });
}

/// Kills `stale-is-full`, and `time-is-recredited`: a grant that starts from the floor of its own reading whatever the word says, as
/// buckets do that store the time of the last refill from a clock read before another thread's exchange.
#[test]
fn acquire_acquire_while_time_passes() {
    race(
        "acquire_acquire_while_time_passes",
        3,
        || drained(quota(2)),
        |bucket, _| u64::from(bucket.try_acquire().is_ok()),
        |bucket, clock| {
            clock.advance(PERIOD);
            let first = u64::from(bucket.try_acquire().is_ok());
            clock.advance(PERIOD);
            first + u64::from(bucket.try_acquire().is_ok())
        },
        |bucket, _, here, there| {
            // Two permits have come, and nothing was full meanwhile: what was not granted is still there.
            assert_eq!(here + there + bucket.available(), 2);
            assert!(here + there >= 1, "the second call of the one thread finds one of them at least");
        },
    );
}

/// Kills `retry-keeps-decision`: the refund or the permit that lost the race is lost.
#[test]
fn acquire_refund() {
    race(
        "acquire_refund",
        3,
        || {
            let shared = bucket(quota(2));
            assert!(shared.0.try_acquire().is_ok());
            shared
        },
        |bucket, _| assert!(bucket.try_acquire().is_ok()),
        |bucket, _| bucket.refund(2),
        |bucket, _, (), ()| {
            // Refunded after: 0 + 2. Refunded before: 1 + 1 - 1.
            let left = bucket.available();
            assert!(left == 1 || left == 2, "{left}");
            assert_eq!(bucket.try_acquire_n(3).unwrap_err().retry_after(), None);
            assert!(bucket.try_acquire_n(left).is_ok());
            assert!(bucket.try_acquire().is_err());
        },
    );
}

/// Kills `refund-writes-when-full`: a refund to a full bucket that raises the instant to its own, later reading, so
/// that a caller with an older one is denied by a bucket that was never anything but full.
#[test]
fn acquire_refund_while_time_passes() {
    race(
        "acquire_refund_while_time_passes",
        3,
        || bucket(quota(1)),
        |bucket, _| assert!(bucket.try_acquire().is_ok()),
        |bucket, clock| {
            clock.advance(PERIOD);
            bucket.refund(1);
        },
        |_, _, (), ()| {},
    );
}

/// Kills `up-to-ignores-level` and `retry-keeps-decision`: the number taken is not the one that was there.
#[test]
fn acquire_up_to() {
    race(
        "acquire_up_to",
        3,
        || bucket(quota(3)),
        |bucket, _| if bucket.try_acquire_n(2).is_ok() { 2 } else { 0 },
        |bucket, clock| {
            clock.advance(PERIOD);
            bucket.try_acquire_up_to(3)
        },
        |bucket, _, here, there| {
            let left = bucket.available();
            // Either the permit that came found the bucket full, or it is one more.
            assert!((3..=4).contains(&(here + there + left)), "{here} + {there} + {left}");
            assert!(there >= 1);
        },
    );
}

/// Kills `debt-has-no-limit`: debt beyond one burst.
#[test]
fn acquire_charge() {
    race(
        "acquire_charge",
        3,
        || bucket(quota(2)),
        |bucket, _| if bucket.try_acquire_n(2).is_ok() { 2 } else { 0 },
        |bucket, clock| {
            clock.advance(PERIOD);
            bucket.charge(4)
        },
        |bucket, clock, here, charged| {
            // The level ends at -2 in any order, one burst of debt; the permit that came was there to be charged
            // unless the bucket was full until after it.
            assert!(matches!((here, charged), (2, 2 | 3) | (0, 4)), "{here}, {charged}");
            clock.advance(3 * PERIOD - 1);
            assert!(bucket.try_acquire().is_err());
            clock.advance(1);
            assert!(bucket.try_acquire().is_ok());
        },
    );
}

/// Kills `stale-look-wraps`: under a reading older than the word the level is negative, not huge.
#[test]
fn look_while_time_passes() {
    race(
        "look_while_time_passes",
        3,
        || drained(quota(2)),
        |bucket, _| (bucket.available(), bucket.time_to_available(1).unwrap()),
        |bucket, clock| {
            clock.advance(PERIOD);
            assert!(bucket.try_acquire().is_ok());
        },
        |_, _, (seen, wait), ()| {
            // A reading may be old, and the level that of another moment, but it is never more than ever was.
            assert!(seen <= 1);
            assert!(wait <= Duration::from_nanos(2 * PERIOD));
        },
    );
}
