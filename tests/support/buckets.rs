//! Token buckets on a clock that is moved by hand.

use sluicegate::{ManualClock, Nanos, Quota, TokenBucket};

/// A full bucket that nobody has called yet, at 0.
pub fn new_bucket(quota: Quota) -> (TokenBucket<ManualClock>, ManualClock) {
    let clock = ManualClock::new();
    (TokenBucket::with_clock(quota, clock.clone()).unwrap(), clock)
}

/// A full bucket whose time begins at `origin`: it counts from the first call.
pub fn started_at(quota: Quota, origin: u64) -> (TokenBucket<ManualClock>, ManualClock) {
    let (bucket, clock) = new_bucket(quota);
    clock.set(Nanos::from_nanos(origin));
    assert_eq!(bucket.available(), quota.capacity());
    (bucket, clock)
}
