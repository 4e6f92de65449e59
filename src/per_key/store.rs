//! The map: shards of a `DashMap`, looked into by the hash that was made once.

use alloc::vec::Vec;
use core::borrow::Borrow;
use core::hash::{BuildHasher, Hash};

use crossbeam_utils::CachePadded;
use dashmap::{DashMap, SharedValue};
use foldhash::fast::RandomState;

use crate::algorithm::token_bucket::{Params, Take};
use crate::per_key::entry;
use crate::sync::{AtomicU64, Ordering};
use crate::word::{cas, raise};

/// A piece of a sweep looks at so many places: that is how long a shard is held.
const PIECE: usize = 128;

/// Words by key, at most so many.
pub(super) struct Store<K> {
    map: DashMap<K, AtomicU64, RandomState>,
    max_keys: u64,
    /// The keys that there are, and those for whom a place is reserved.
    keys: CachePadded<AtomicU64>,
    /// No key was dropped at a later floor: that is what a newcomer starts from, so that one who was dropped is as far
    /// as before, whatever the clock of whoever comes next says.
    swept: AtomicU64,
}

/// A place for a key.
struct Reserved<'a, K>(&'a Store<K>);

impl<K> Drop for Reserved<'_, K> {
    fn drop(&mut self) {
        self.0.release(1);
    }
}

/// What became of a newcomer.
pub(super) enum Newcomer {
    /// It was let in, or somebody else had let it in: what its request came to.
    Known(Take),
    /// The reading is older than the last sweep, so that it would be denied.
    Stale(Take),
    /// All places are taken.
    Full,
}

/// Where a sweep goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) shard: usize,
    pub(super) place: usize,
}

/// What a piece of it came to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Swept {
    /// Looked at.
    pub(super) places: usize,
    /// Keys.
    pub(super) dropped: usize,
}

impl<K> Store<K> {
    pub(super) fn len(&self) -> usize {
        // Ordering: Relaxed; stale as soon as it is told.
        self.keys.load(Ordering::Relaxed) as usize
    }

    pub(super) fn max_keys(&self) -> usize {
        self.max_keys as usize
    }

    fn release(&self, places: usize) {
        // Ordering: Relaxed; a count publishes nothing.
        self.keys.fetch_sub(places as u64, Ordering::Relaxed);
    }
}

impl<K: Eq + Hash> Store<K> {
    pub(super) fn new(max_keys: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, core::num::NonZero::get);
        let shards = cores.saturating_mul(4).next_power_of_two().clamp(64, 1_024);
        Self {
            map: DashMap::with_hasher_and_shard_amount(RandomState::default(), shards),
            max_keys: max_keys as u64,
            keys: CachePadded::new(AtomicU64::new(0)),
            swept: AtomicU64::new(0),
        }
    }

    /// The hash that the other methods want.
    #[inline(always)]
    pub(super) fn hash<Q: ?Sized + Hash>(&self, key: &Q) -> u64 {
        self.map.hasher().hash_one(key)
    }

    #[inline(always)]
    fn shard(&self, hash: u64) -> usize {
        self.map.determine_shard(hash as usize)
    }

    /// Runs `f` on a key's word, if there is one; it cannot be dropped meanwhile.
    #[inline(always)]
    pub(super) fn with<Q, T>(&self, hash: u64, key: &Q, f: impl FnOnce(&AtomicU64) -> T) -> Option<T>
    where
        Q: ?Sized + Eq,
        K: Borrow<Q>,
    {
        let shard = self.map.shards()[self.shard(hash)].read();
        shard.get(hash, |(known, _)| known.borrow() == key).map(|(_, word)| f(word.get()))
    }

    /// The instant of one that nobody knows, or knows any more.
    pub(super) fn fresh(&self) -> u64 {
        // Ordering: Acquire pairs with the raise in `sweep`. Under a shard's guard it is not older than what was dropped
        // there; for a look it need not be exact.
        self.swept.load(Ordering::Acquire)
    }

    /// Lets `key` in with its first charge, unless that is denied or there is no place.
    pub(super) fn insert(&self, hash: u64, key: K, params: &Params, ticks: u64, n: u64) -> Newcomer {
        let Some(reserved) = self.reserve() else {
            return Newcomer::Full;
        };
        let mut shard = self.map.shards()[self.shard(hash)].write();
        let known =
            shard.get(hash, |(known, _)| *known == key).map(|(_, word)| entry::take(word.get(), params, ticks, n));
        let take = known.unwrap_or_else(|| params.take(self.fresh(), ticks, n));
        let is_new = known.is_none();
        match take {
            Take::Granted(next) if is_new => {
                let word = SharedValue::new(AtomicU64::new(next));
                shard.insert(hash, (key, word), |(known, _)| self.hash(known));
                core::mem::forget(reserved);
            }
            _ => {}
        }
        // Before the key is dropped: that is the caller's code.
        drop(shard);
        match take {
            Take::Denied(_) if is_new => Newcomer::Stale(take),
            _ => Newcomer::Known(take),
        }
    }

    /// Takes a place, if there is one; given back if it is dropped.
    fn reserve(&self) -> Option<Reserved<'_, K>> {
        // Ordering: Relaxed; a guess for the exchange to check.
        let mut keys = self.keys.load(Ordering::Relaxed);
        while keys < self.max_keys {
            match cas(&self.keys, keys, keys + 1) {
                Ok(_) => return Some(Reserved(self)),
                Err(observed) => keys = observed,
            }
        }
        None
    }

    pub(super) fn remove<Q>(&self, hash: u64, key: &Q) -> bool
    where
        Q: ?Sized + Eq,
        K: Borrow<Q>,
    {
        // Dropped without the guard: it is the caller's code.
        let removed =
            self.map.shards()[self.shard(hash)].write().remove_entry(hash, |(known, _)| known.borrow() == key);
        self.release(usize::from(removed.is_some()));
        removed.is_some()
    }

    pub(super) fn clear(&self) {
        for shard in self.map.shards() {
            let removed = core::mem::take(&mut *shard.write());
            self.release(removed.len());
        }
    }

    /// Drops the keys among the next [`PIECE`] places that are as good as new at tick `ticks`, and have been for `idle`
    /// units; moves the cursor on, behind the last shard to the first. `None`: somebody is at that shard, unless `wait`.
    /// The keys are to be dropped without a lock: that is the caller's code.
    pub(super) fn sweep(
        &self,
        cursor: &mut Cursor,
        params: &Params,
        ticks: u64,
        idle: u64,
        wait: bool,
        removed: &mut Vec<K>,
    ) -> Option<Swept> {
        let lock = self.map.shards().get(cursor.shard)?;
        let mut shard = if wait { lock.write() } else { lock.try_write()? };
        let end = shard.buckets().min(cursor.place.saturating_add(PIECE));
        let before = removed.len();
        for place in cursor.place..end {
            #[allow(unsafe_code)]
            // SAFETY: `end` is at most the number of buckets, and the write guard keeps that as it is: removing does
            // not move or resize. `bucket` and `remove` are asked only for a place that is full, and it is not used after.
            unsafe {
                if shard.is_bucket_full(place) {
                    let bucket = shard.bucket(place);
                    if params.is_idle(entry::instant(bucket.as_ref().1.get()), ticks, idle) {
                        if removed.len() == before {
                            raise(&self.swept, params.fresh_instant(ticks));
                        }
                        removed.push(shard.remove(bucket).0.0);
                    }
                }
            }
        }
        let swept = Swept { places: end.saturating_sub(cursor.place), dropped: removed.len() - before };
        // Before the hashes of the caller's keys are made anew, which might panic.
        self.release(swept.dropped);
        if end < shard.buckets() {
            cursor.place = end;
        } else {
            // Room for twice as many as there are, if it has that many times over.
            if shard.len() < shard.capacity() / 8 {
                let room = shard.len() * 2;
                shard.shrink_to(room, |(known, _)| self.hash(known));
            }
            *cursor = Cursor { shard: (cursor.shard + 1) % self.map.shards().len(), place: 0 };
        }
        Some(swept)
    }
}
