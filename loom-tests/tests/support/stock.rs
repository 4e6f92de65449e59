//! Buckets with stripes in a model: two stripes, and a burst of which each may hold four permits.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use loom::sync::Arc;
use sluicegate_loom::{OwnedLocalTokenBucket, Quota, StripedTokenBucket, StripedTokenBucketBuilder, set_thread_number};

use super::{ModelClock, Shared};

pub type Striped = StripedTokenBucket<ModelClock>;
pub type Local = OwnedLocalTokenBucket<ModelClock>;

pub const PERIOD: u64 = 100;

/// What is divided into 120 permits in the word and [`BATCH`] in each stripe.
pub const BURST: u64 = 128;
pub const BATCH: u64 = 4;
pub const CENTRE: u64 = BURST - 2 * BATCH;
/// Of which stripes get nothing.
pub const SMALL: u64 = 16;

/// One permit in 100 ns.
pub const fn quota(burst: u64) -> Quota {
    Quota::per(1, Duration::from_nanos(PERIOD)).burst(burst)
}

fn build(clock: &ModelClock, permits: u64) -> Striped {
    let builder = StripedTokenBucketBuilder::new(quota(BURST), clock.clone()).initial(permits);
    let bucket = builder.build().expect("a valid quota");
    let _ = bucket.available();
    bucket
}

/// A bucket that has started with so many permits, and its clock: what is above [`CENTRE`] is in the stripes.
pub fn holding(permits: u64) -> Shared<Striped> {
    let clock = ModelClock::meeting_at(0);
    (Arc::new(build(&clock, permits)), clock)
}

/// A bucket whose stripe 0 holds `first` permits and whose stripe 1 holds `second`, up to a batch less one, and the word
/// `left`; the same thread draws for both.
pub fn stocked(first: u64, second: u64, left: u64) -> Shared<Striped> {
    let filled = u64::from(first > 0) + u64::from(second > 0);
    let shared = holding(filled * (BATCH + 1) + left);
    for (stripe, stock) in [(0, first), (1, second)] {
        if stock > 0 {
            set_thread_number(stripe);
            assert_eq!(shared.0.try_acquire(), Ok(()));
            assert_eq!(take_each(&shared.0, BATCH - stock), BATCH - stock);
        }
    }
    assert_eq!(shared.0.available(), first + second + left);
    shared
}

/// Calls for one permit each, and tells how many were granted.
pub fn take_each(bucket: &Striped, calls: u64) -> u64 {
    (0..calls).map(|_| granted(bucket, 1)).sum()
}

pub fn granted(bucket: &Striped, n: u64) -> u64 {
    if bucket.try_acquire_n(n).is_ok() { n } else { 0 }
}

/// All that is there, whoever looks; and each stripe can be filled and used again.
pub fn rest(bucket: &Striped) -> u64 {
    let there = bucket.available();
    assert_eq!(bucket.try_acquire_up_to(u64::MAX), there);
    assert_eq!(bucket.available(), 0);
    there
}

/// Afterwards each stripe is filled again by who finds it empty, so nobody is said to be at it.
pub fn assert_fills(bucket: &Striped, clock: &ModelClock) {
    let _ = rest(bucket);
    for stripe in 0..2 {
        set_thread_number(stripe);
        clock.advance((BATCH + 1) * PERIOD);
        assert_eq!(granted(bucket, 1), 1);
        // Below what the word alone may hold: a stripe has its share.
        clock.advance(BURST * PERIOD);
        assert_eq!(bucket.available(), CENTRE + BATCH * (stripe as u64 + 1), "stripe {stripe} was not filled");
    }
}

/// A bucket and locals of it, each for a thread that takes it.
pub struct WithLocals {
    pub bucket: std::sync::Arc<Striped>,
    locals: [Mutex<Option<Local>>; 2],
}

impl WithLocals {
    /// The one that was made for a thread: once.
    pub fn local(&self, of: usize) -> Local {
        let mut local = self.locals[of].lock().unwrap_or_else(PoisonError::into_inner);
        local.take().expect("it is taken once")
    }
}

/// A bucket of so many permits with `N` locals, which hold as much of them as they may.
pub fn lent<const N: usize>(permits: u64) -> Shared<WithLocals> {
    let clock = ModelClock::meeting_at(0);
    let bucket = std::sync::Arc::new(build(&clock, permits));
    let local = |of| Mutex::new((of < N).then(|| bucket.clone().local_owned()));
    let locals = [local(0), local(1)];
    (Arc::new(WithLocals { bucket, locals }), clock)
}

pub fn granted_by(local: &mut Local, n: u64) -> u64 {
    if local.try_acquire_n(n).is_ok() { n } else { 0 }
}
