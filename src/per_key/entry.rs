//! What is kept of a key: the word of a token bucket, and nothing else.
//!
//! ```text
//!  63     62     61                                                             0
//! +------+------+---------------------------------------------------------------+
//! | 0    | 0    | instant, in units: see `algorithm::token_bucket`              |
//! +------+------+---------------------------------------------------------------+
//! ```
//!
//! All keys have the limiter's parameters, which never change. A word is changed under its shard's read guard and dropped
//! under the write guard, so nothing is ever granted on one that was dropped.

use crate::algorithm::token_bucket::{Params, Take};
use crate::sync::{AtomicU64, Ordering};
use crate::word::cas;

/// Takes `n` permits, or nothing.
#[inline(always)]
pub(super) fn take(word: &AtomicU64, params: &Params, ticks: u64, n: u64) -> Take {
    // Ordering: Relaxed; a word is self-contained, and whoever dropped or inserted it held the shard's write guard.
    let mut instant = word.load(Ordering::Relaxed);
    loop {
        let take = params.take(instant, ticks, n);
        let Take::Granted(next) = take else {
            return take;
        };
        match cas(word, instant, next) {
            Ok(_) => return take,
            Err(observed) => instant = observed,
        }
    }
}

/// Gives `n` permits back, never above the burst.
pub(super) fn give_back(word: &AtomicU64, params: &Params, ticks: u64, n: u64) {
    // Ordering: Relaxed, as in `take`.
    let mut instant = word.load(Ordering::Relaxed);
    while let Some(next) = params.give_back(instant, ticks, n) {
        match cas(word, instant, next) {
            Ok(_) => return,
            Err(observed) => instant = observed,
        }
    }
}

/// The instant that it stands at.
#[inline]
pub(super) fn instant(word: &AtomicU64) -> u64 {
    // Ordering: Relaxed, as in `take`.
    word.load(Ordering::Relaxed)
}
