//! What is kept of a key: the word of a token bucket, and nothing else unless keys differ or are counted.
//!
//! ```text
//!  63      62     61                                                             0
//! +-------+------+---------------------------------------------------------------+
//! | 0     | 0    | instant, in units: see `algorithm::token_bucket`              |
//! +-------+------+---------------------------------------------------------------+
//! | MOVED | 0    | where the key's own bucket stands: see `promoted`             |
//! +-------+------+---------------------------------------------------------------+
//! ```
//!
//! A word without MOVED is changed by exchange under its shard's read guard. It gets MOVED, loses it and is dropped under
//! the write guard, so nothing is ever granted on one that was dropped, and never on two states of one key. With MOVED it
//! lies after every instant, as WAIT does in a bucket: the arithmetic denies, so that whoever is granted need not ask.

use alloc::sync::Arc;

use super::tier::Tier;
use crate::algorithm::token_bucket::{Params, Take};
use crate::counters::KeyTally;
use crate::sync::{AtomicU64, Ordering};
use crate::word::cas;

/// The key has a bucket of its own now.
const MOVED: u64 = 1 << 63;

/// What came of a request to a key's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Granted,
    /// So many ticks until it is granted.
    Denied(u64),
    /// The most that there ever is.
    Impossible(u64),
}

/// The key has a bucket of its own: ask that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moved;

impl Decision {
    /// What `take` comes to under `params` at tick `ticks`.
    #[inline(always)]
    pub(super) fn new(take: Take, params: &Params, ticks: u64) -> Self {
        match take {
            Take::Granted(_) => Self::Granted,
            Take::Denied(target) => Self::Denied(params.wait(target, ticks)),
            Take::Impossible => Self::Impossible(params.capacity()),
        }
    }
}

/// What the map holds of a key.
pub(super) trait Entry {
    fn new(word: u64, tier: Option<Arc<Tier>>, tally: Option<Arc<KeyTally>>) -> Self;

    fn word(&self) -> &AtomicU64;

    /// Its quota, if that is not the limiter's.
    fn tier(&self) -> Option<&Arc<Tier>>;

    fn tally(&self) -> Option<&Arc<KeyTally>>;

    /// What its instants mean: that of `own`, unless it has a quota of its own.
    #[inline(always)]
    fn params<'a>(&'a self, own: &'a Params) -> &'a Params {
        self.tier().map_or(own, |tier| &tier.params)
    }

    /// Makes its word the instant of a quota.
    fn settle(&mut self, instant: u64, tier: Option<Arc<Tier>>);
}

/// Of a limiter whose keys all have one quota, and are not counted.
#[repr(transparent)]
pub(super) struct Plain(AtomicU64);

/// Of any other.
pub(super) struct Full {
    word: AtomicU64,
    tier: Option<Arc<Tier>>,
    tally: Option<Arc<KeyTally>>,
}

impl Entry for Plain {
    fn new(word: u64, _tier: Option<Arc<Tier>>, _tally: Option<Arc<KeyTally>>) -> Self {
        Self(AtomicU64::new(word))
    }

    #[inline(always)]
    fn word(&self) -> &AtomicU64 {
        &self.0
    }

    #[inline(always)]
    fn tier(&self) -> Option<&Arc<Tier>> {
        None
    }

    #[inline(always)]
    fn tally(&self) -> Option<&Arc<KeyTally>> {
        None
    }

    fn settle(&mut self, instant: u64, _tier: Option<Arc<Tier>>) {
        *self = Self(AtomicU64::new(instant));
    }
}

impl Entry for Full {
    fn new(word: u64, tier: Option<Arc<Tier>>, tally: Option<Arc<KeyTally>>) -> Self {
        Self { word: AtomicU64::new(word), tier, tally }
    }

    #[inline(always)]
    fn word(&self) -> &AtomicU64 {
        &self.word
    }

    #[inline(always)]
    fn tier(&self) -> Option<&Arc<Tier>> {
        self.tier.as_ref()
    }

    #[inline(always)]
    fn tally(&self) -> Option<&Arc<KeyTally>> {
        self.tally.as_ref()
    }

    fn settle(&mut self, instant: u64, tier: Option<Arc<Tier>>) {
        self.word = AtomicU64::new(instant);
        self.tier = tier;
    }
}

/// Takes `n` permits, or nothing.
#[inline(always)]
pub(super) fn take(word: &AtomicU64, params: &Params, ticks: u64, n: u64) -> Result<Decision, Moved> {
    // Ordering: Relaxed; a word is self-contained, and whoever dropped, inserted or moved it held the shard's write guard.
    let mut instant = word.load(Ordering::Relaxed);
    loop {
        let take = params.take(instant, ticks, n);
        let Take::Granted(next) = take else {
            if instant & MOVED != 0 {
                return Err(Moved);
            }
            return Ok(Decision::new(take, params, ticks));
        };
        match cas(word, instant, next) {
            Ok(_) => return Ok(Decision::Granted),
            Err(observed) => instant = observed,
        }
    }
}

/// Gives `n` permits back, never above the burst.
pub(super) fn give_back(word: &AtomicU64, params: &Params, ticks: u64, n: u64) -> Result<(), Moved> {
    // Ordering: Relaxed, as in `take`.
    let mut instant = word.load(Ordering::Relaxed);
    if instant & MOVED != 0 {
        return Err(Moved);
    }
    while let Some(next) = params.give_back(instant, ticks, n) {
        match cas(word, instant, next) {
            Ok(_) => break,
            Err(observed) => instant = observed,
        }
    }
    Ok(())
}

/// The instant that it stands at, or where its bucket stands.
#[inline]
pub(super) fn look(word: &AtomicU64) -> Result<u64, usize> {
    // Ordering: Relaxed, as in `take`.
    let word = word.load(Ordering::Relaxed);
    if word & MOVED == 0 { Ok(word) } else { Err((word & !MOVED) as usize) }
}

/// Says where its bucket stands, under the write guard.
pub(super) fn mark_moved(word: &AtomicU64, place: usize) {
    // Ordering: Relaxed, as in `take`: the guard orders it.
    word.store(moved_to(place), Ordering::Relaxed);
}

/// The word of one whose bucket stands at `place`.
pub(super) fn moved_to(place: usize) -> u64 {
    MOVED | place as u64
}
