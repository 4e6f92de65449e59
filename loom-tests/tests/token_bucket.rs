//! Model checks of the token bucket: each pair of verbs, with a clock that moves meanwhile.
//!
//! Each model names the mutation of the sources that it was seen to kill; docs/DESIGN.md lists them all.

#![allow(missing_docs)]

mod support;

use std::time::Duration;

use loom::thread;
use sluicegate_loom::Quota;
use support::{bucket, model};

const PERIOD: u64 = 100;

/// One permit in 100 ns.
const fn quota(burst: u64) -> Quota {
    Quota::per(1, Duration::from_nanos(PERIOD)).burst(burst)
}

/// Kills `cas-stores`: the exchange replaced by a store, so that both threads get the one permit.
#[test]
fn acquire_acquire() {
    model("acquire_acquire", 3, || {
        let (bucket, _clock) = bucket(quota(1));
        let other = bucket.clone();
        let there = thread::spawn(move || other.try_acquire().is_ok());
        let here = bucket.try_acquire().is_ok();
        assert_eq!(u8::from(here) + u8::from(there.join().unwrap()), 1);
    });
}

/// Kills `retry-keeps-decision`: after a lost exchange the old instant is written over the observed one.
#[test]
fn acquire_acquire_acquire() {
    model("acquire_acquire_acquire", 2, || {
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

/// Kills `time-is-recredited`: a grant that starts from the floor of its own reading whatever the word says, as
/// buckets do that store the time of the last refill from a clock read before another thread's exchange.
#[test]
fn acquire_acquire_while_time_passes() {
    model("acquire_acquire_while_time_passes", 3, || {
        let (bucket, clock) = bucket(quota(2));
        assert!(bucket.try_acquire_n(2).is_ok());
        let other = bucket.clone();
        let there = thread::spawn(move || {
            clock.advance(PERIOD);
            let first = u64::from(other.try_acquire().is_ok());
            clock.advance(PERIOD);
            first + u64::from(other.try_acquire().is_ok())
        });
        let here = u64::from(bucket.try_acquire().is_ok());
        let granted = here + there.join().unwrap();
        // Two permits have come, and nothing was full meanwhile: what was not granted is still there.
        assert_eq!(granted + bucket.available(), 2);
        assert!(granted >= 1, "the second call of the other thread finds one of them at least");
    });
}

/// Kills `retry-keeps-decision`: the refund or the permit that lost the race is lost.
#[test]
fn acquire_refund() {
    model("acquire_refund", 3, || {
        let (bucket, _clock) = bucket(quota(2));
        assert!(bucket.try_acquire().is_ok());
        let other = bucket.clone();
        let there = thread::spawn(move || other.refund(2));
        assert!(bucket.try_acquire().is_ok());
        there.join().unwrap();
        // Refunded after: 0 + 2. Refunded before: 1 + 1 - 1.
        let left = bucket.available();
        assert!(left == 1 || left == 2, "{left}");
        assert_eq!(bucket.try_acquire_n(3).unwrap_err().retry_after(), None);
        assert!(bucket.try_acquire_n(left).is_ok());
        assert!(bucket.try_acquire().is_err());
    });
}

/// Kills `refund-writes-when-full`: a refund to a full bucket that raises the instant to its own, later reading, so
/// that a caller with an older one is denied by a bucket that was never anything but full.
#[test]
fn acquire_refund_while_time_passes() {
    model("acquire_refund_while_time_passes", 3, || {
        let (bucket, clock) = bucket(quota(1));
        let other = bucket.clone();
        let there = thread::spawn(move || {
            clock.advance(PERIOD);
            other.refund(1);
        });
        assert!(bucket.try_acquire().is_ok());
        there.join().unwrap();
    });
}

/// Kills `up-to-ignores-level` and `retry-keeps-decision`: the number taken is not the one that was there.
#[test]
fn acquire_up_to() {
    model("acquire_up_to", 3, || {
        let (bucket, clock) = bucket(quota(3));
        let other = bucket.clone();
        let there = thread::spawn(move || {
            clock.advance(PERIOD);
            other.try_acquire_up_to(3)
        });
        let here = if bucket.try_acquire_n(2).is_ok() { 2 } else { 0 };
        let there = there.join().unwrap();
        let granted = here + there;
        let left = bucket.available();
        // Either the permit that came found the bucket full, or it is one more.
        assert!((3..=4).contains(&(granted + left)), "{here} + {there} + {left}");
        assert!(there >= 1);
    });
}

/// Kills `debt-has-no-limit`: debt beyond one burst.
#[test]
fn acquire_charge() {
    model("acquire_charge", 3, || {
        let (bucket, clock) = bucket(quota(2));
        let other = bucket.clone();
        let there = thread::spawn(move || other.charge(4));
        let here = if bucket.try_acquire_n(2).is_ok() { 2 } else { 0 };
        let charged = there.join().unwrap();
        // The level ends at -2 in either order: one burst of debt.
        assert!(matches!((here, charged), (2, 2) | (0, 4)), "{here}, {charged}");
        clock.advance(3 * PERIOD - 1);
        assert!(bucket.try_acquire().is_err());
        clock.advance(1);
        assert!(bucket.try_acquire().is_ok());
    });
}

/// Kills `stale-is-full`: a reading older than the word, taken for a bucket that nobody has used for long.
#[test]
fn look_while_time_passes() {
    model("look_while_time_passes", 3, || {
        let (bucket, clock) = bucket(quota(2));
        assert!(bucket.try_acquire_n(2).is_ok());
        let other = bucket.clone();
        let there = thread::spawn(move || {
            clock.advance(PERIOD);
            other.try_acquire().is_ok()
        });
        // A reading may be old, and the level that of another moment, but it is never more than ever was.
        let seen = bucket.available();
        let wait = bucket.time_to_available(1).unwrap();
        assert!(seen <= 1);
        assert!(wait <= Duration::from_nanos(2 * PERIOD));
        assert!(there.join().unwrap());
    });
}
