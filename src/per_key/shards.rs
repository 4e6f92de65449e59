//! The map: shards of a `DashMap`, looked into by a hash that was made once.
//!
//! Closures that are given run under a shard's lock: none of the caller's code may be in them, but for the hash and the
//! equality of keys. Keys that go are handed out, to be dropped without the lock.

use alloc::vec::Vec;
use core::borrow::Borrow;
use core::hash::{BuildHasher, Hash};
use core::ops::Range;

use dashmap::{DashMap, SharedValue};
use foldhash::fast::RandomState;

use super::store::{Enter, Piece};

/// Values by key.
pub(super) struct Shards<K, V> {
    map: DashMap<K, V, RandomState>,
}

impl<K: Eq + Hash, V> Shards<K, V> {
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, core::num::NonZero::get);
        let shards = cores.saturating_mul(4).next_power_of_two().clamp(64, 1_024);
        Self { map: DashMap::with_hasher_and_shard_amount(RandomState::default(), shards) }
    }

    /// The hash that the other methods want.
    #[inline(always)]
    pub(super) fn hash<Q: ?Sized + Hash>(&self, key: &Q) -> u64 {
        self.map.hasher().hash_one(key)
    }

    /// The one that keys of this hash are in.
    #[inline(always)]
    pub(super) fn shard(&self, hash: u64) -> usize {
        self.map.determine_shard(hash as usize)
    }

    /// How many shards there are.
    pub(super) fn count(&self) -> usize {
        self.map.shards().len()
    }

    /// Runs `f` on a key's value, if there is one, together with others that do; it cannot be dropped meanwhile.
    #[inline(always)]
    pub(super) fn with<Q, T>(&self, hash: u64, key: &Q, f: impl FnOnce(&V) -> T) -> Option<T>
    where
        Q: ?Sized + Eq,
        K: Borrow<Q>,
    {
        self.with_given(hash, key, f, |f, value| f(value))
    }

    /// The same, with what `f` needs besides: a function can be inlined always, which a closure that is called in two places
    /// is not.
    #[inline(always)]
    pub(super) fn with_given<Q, G, T>(&self, hash: u64, key: &Q, given: G, f: impl FnOnce(G, &V) -> T) -> Option<T>
    where
        Q: ?Sized + Eq,
        K: Borrow<Q>,
    {
        let shard = self.map.shards()[self.shard(hash)].read();
        let (_, value) = shard.get(hash, |(known, _)| known.borrow() == key)?;
        Some(f(given, value.get()))
    }

    /// Runs `f` on a key's value, if there is one, alone.
    pub(super) fn with_mut<Q, T>(&self, hash: u64, key: &Q, f: impl FnOnce(&mut V) -> T) -> Option<T>
    where
        Q: ?Sized + Eq,
        K: Borrow<Q>,
    {
        let mut shard = self.map.shards()[self.shard(hash)].write();
        shard.get_mut(hash, |(known, _)| known.borrow() == key).map(|(_, value)| f(value.get_mut()))
    }

    /// Runs `f` on the value of `key`, if there is one, alone, and does what it says; hands `key` back if that is `Again`.
    pub(super) fn enter<T>(&self, hash: u64, key: K, f: impl FnOnce(Option<&mut V>) -> Enter<V, T>) -> Result<T, K> {
        let mut shard = self.map.shards()[self.shard(hash)].write();
        let known = shard.get_mut(hash, |(known, _)| *known == key);
        match f(known.map(|(_, value)| value.get_mut())) {
            Enter::Insert(value, result) => {
                shard.insert(hash, (key, SharedValue::new(value)), |(known, _)| self.hash(known));
                Ok(result)
            }
            Enter::Leave(result) => {
                // Before the key is dropped: that is the caller's code.
                drop(shard);
                drop(key);
                Ok(result)
            }
            Enter::Again => Err(key),
        }
    }

    /// Removes the one that `is` it, if `f` says so when it is alone with its value; hands out its key.
    pub(super) fn remove_if(
        &self,
        hash: u64,
        is: impl Fn(&K, &V) -> bool,
        f: impl FnOnce(&mut V) -> bool,
    ) -> Option<K> {
        let mut shard = self.map.shards()[self.shard(hash)].write();
        let (_, value) = shard.get_mut(hash, |(known, value)| is(known, value.get()))?;
        if !f(value.get_mut()) {
            return None;
        }
        shard.remove_entry(hash, |(known, value)| is(known, value.get())).map(|(key, _)| key)
    }

    /// Moves into `removed`, which is empty, what `goes` among these places of a shard; `None` if somebody is at that shard,
    /// unless `wait`.
    ///
    /// `released` is told how many went, before a shard that is mostly empty makes the hashes of its keys anew.
    pub(super) fn sweep(
        &self,
        shard: usize,
        places: Range<usize>,
        wait: bool,
        mut goes: impl FnMut(&V) -> bool,
        removed: &mut Vec<K>,
        released: impl FnOnce(usize),
    ) -> Option<Piece> {
        let lock = self.map.shards().get(shard)?;
        let mut shard = if wait { lock.write() } else { lock.try_write()? };
        let end = shard.buckets().min(places.end);
        for place in places.start..end {
            #[allow(unsafe_code)]
            // SAFETY: `end` is at most the number of buckets, and the write guard keeps that as it is: removing does
            // not move or resize. `bucket` and `remove` are asked only for a place that is full, and it is not used after.
            unsafe {
                if shard.is_bucket_full(place) {
                    let bucket = shard.bucket(place);
                    if goes(bucket.as_ref().1.get()) {
                        removed.push(shard.remove(bucket).0.0);
                    }
                }
            }
        }
        let dropped = removed.len();
        released(dropped);
        let is_last = end >= shard.buckets();
        // Room for twice as many as there are, if each has more than eight places. Not by the capacity: places of the removed
        // that are only marked are not in it.
        if is_last && shard.len() < shard.buckets() / 8 {
            let room = shard.len() * 2;
            shard.shrink_to(room, |(known, _)| self.hash(known));
        }
        Some(Piece { places: end.saturating_sub(places.start), dropped, is_last })
    }

    /// Runs `f` on all, a shard at a time.
    pub(super) fn for_each(&self, mut f: impl FnMut(&K, &V)) {
        self.map.iter().for_each(|entry| f(entry.key(), entry.value()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// To room for twice those who stay, if a shard has places for eight times as many. Kills: one that shrinks for fewer, or
    /// never, or to any other room.
    #[test]
    fn a_shard_that_is_mostly_empty_shrinks() {
        for (stays, places) in [(100, 256), (32, 256), (31, 128), (14, 32), (0, 1)] {
            let shards = Shards::<usize, usize>::new();
            let of_first = (0..).filter(|key| shards.shard(shards.hash(key)) == 0);
            for (index, key) in of_first.take(200).enumerate() {
                assert!(shards.enter(shards.hash(&key), key, |_| Enter::Insert(index, ())).is_ok());
            }
            let buckets = || shards.map.shards()[0].read().buckets();
            assert_eq!(buckets(), 256);
            let (mut removed, mut dropped) = (Vec::new(), 0);
            let goes = |&index: &usize| index >= stays;
            let first = shards.sweep(0, 0..128, true, goes, &mut removed, |_| {});
            assert!(first.is_some_and(|piece| !piece.is_last && piece.places == 128) && buckets() == 256);
            removed.clear();
            let last = shards.sweep(0, 128..usize::MAX, true, goes, &mut removed, |keys| dropped = keys);
            assert!(last.is_some_and(|piece| piece.is_last && piece.dropped == dropped));
            assert_eq!((removed.len(), buckets()), (dropped, places), "{stays} stay");
        }
    }
}
