//! The other limiters by key: `rate-net`, and `pingora-limits` where the work is the same. `ratelimit`, `leaky-bucket` and
//! `better-bucket` have none.
//!
//! `pingora-limits` is a sketch. It keeps no keys but four rows of counters, of which keys share some: its memory is constant,
//! and a count may be too high, never too low. It decides as the others do, by what its key had so far against a limit,
//! and gets as many columns as there are keys. Letting keys in is nothing to it, so that it is not in that suite.

use core::cell::OnceCell;
use core::num::NonZeroU32;
use core::time::Duration;
use std::rc::Rc;

use crossbeam_utils::CachePadded;
use pingora_limits::rate::Rate;
use rate_net::{Eviction, RateLimiter};

use super::{BURST, INTERVAL, Key, Keyed, PINGORA, Sequence, Subject, Work, keys_of};
use crate::harness;

/// A key that is bytes, which it names without a copy on the heap.
pub trait Bytes: Key {
    /// The bytes.
    fn with<R>(&self, use_them: impl FnOnce(&[u8]) -> R) -> R;
}

impl Bytes for u64 {
    #[inline(always)]
    fn with<R>(&self, use_them: impl FnOnce(&[u8]) -> R) -> R {
        use_them(&self.to_ne_bytes())
    }
}

impl Bytes for String {
    #[inline(always)]
    fn with<R>(&self, use_them: impl FnOnce(&[u8]) -> R) -> R {
        use_them(self.as_bytes())
    }
}

impl<K: Bytes> Keyed<K> for RateLimiter {
    /// Without a bound, as the others. Cleans up when it is told to.
    fn make(_: Duration) -> Self {
        let builder = Self::builder().quota(1, INTERVAL).burst(BURST.get()).eviction(Eviction::unbounded());
        builder.try_build().expect("the quota fits")
    }

    #[inline(always)]
    fn take(&self, key: &K) -> bool {
        key.with(|bytes| self.check_bytes(bytes)).is_allow()
    }

    fn take_n(&self, key: &K, n: NonZeroU32) -> bool {
        key.with(|bytes| self.check_n_bytes(bytes, n.get())).is_allow()
    }

    fn count(&self) -> usize {
        self.tracked_keys()
    }
}

/// As many columns as keys, and 1,024 at least, which is what it has unless told otherwise. Its window is the time in which
/// a burst comes, which no run outlasts.
#[must_use]
pub fn sketch(keys: u32) -> Rate {
    const ROWS: usize = 4;
    Rate::new_with_estimator_config(INTERVAL * BURST.get(), ROWS, (keys as usize).next_power_of_two().max(1_024))
}

/// Every call names its key, and is granted: no count comes near to the limit.
pub(super) fn counted(work: Work, sequence: &Sequence) -> Subject {
    const LIMIT: isize = BURST.get() as isize;
    let (sequence, kept) = (Rc::clone(sequence), OnceCell::new());
    Subject::checked(PINGORA, work.name(), true, move |threads, calls| {
        let sequence = sequence.get_or_init(|| work.sequence());
        let time = |rate: &Rate| {
            let keys = |index| keys_of(sequence, work, index, threads);
            harness::run_keyed(rate, threads, calls, keys, |rate, key| rate.observe(&key, 1) <= LIMIT)
        };
        if work.is_kept() { time(kept.get_or_init(|| known(work.keys()))) } else { time(&known(work.keys())) }
    })
}

/// All of them counted once. On cache lines that it shares with nothing of the harness.
fn known(keys: u32) -> CachePadded<Rate> {
    let rate = CachePadded::new(sketch(keys));
    for key in 0..u64::from(keys) {
        assert!(rate.observe(&key, 1) > 0, "it was counted");
    }
    rate
}
