//! The best per-key limiter that people write with locks: a hash map of token buckets in 64 parts, each behind a
//! `parking_lot` mutex on cache lines of its own.

use core::fmt;
use core::hash::{BuildHasher, Hash};

use crossbeam_utils::CachePadded;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use parking_lot::Mutex;
use sluicegate::MonotonicClock;

use crate::mutex::{State, Time};

/// Six bits of a hash choose one.
const SHARDS: usize = 64;

/// The keys of one shard. They are moved by a hash that is known, which the map of the standard library would draw again.
type Shard<K, P> = CachePadded<Mutex<HashTable<(K, State<P>)>>>;

/// A token bucket for each key on the time `T`; the keys of a shard share a lock.
///
/// It hashes as sluicegate's map does, and once a call. A key is there from its first call on.
pub struct ShardedKeyed<K, T: Time = MonotonicClock> {
    shards: Box<[Shard<K, T::Point>]>,
    hasher: RandomState,
    time: T,
    per_second: f64,
    burst: f64,
}

impl<K: Clone + Eq + Hash + Send, T: Time> ShardedKeyed<K, T> {
    /// Nobody is known yet; each key starts with `burst` tokens.
    #[must_use]
    pub fn new(per_second: f64, burst: f64, time: T) -> Self {
        let shards = (0..SHARDS).map(|_| CachePadded::new(Mutex::new(HashTable::new()))).collect();
        Self { shards, hasher: RandomState::default(), time, per_second, burst }
    }

    /// Takes `n` tokens of `key`'s, or nothing.
    #[inline]
    pub fn try_acquire_n(&self, key: &K, n: u64) -> bool {
        let hash = self.hasher.hash_one(key);
        // The table uses the lowest bits, and the seven highest ones.
        let mut shard = self.shards[(hash << 7 >> (u64::BITS - SHARDS.trailing_zeros())) as usize].lock();
        // Under the lock, so that time passes once and forwards.
        let now = self.time.now();
        let entry = shard.entry(hash, |(known, _)| known == key, |(known, _)| self.hasher.hash_one(known));
        let (_, bucket) = entry.or_insert_with(|| (key.clone(), State::new(self.burst, now))).into_mut();
        bucket.earn::<T>(now, self.per_second, self.burst);
        bucket.take(n as f64).is_none()
    }

    /// Forgets all keys whose bucket is full, shard by shard: only those of one shard wait meanwhile.
    pub fn retain_recent(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            let now = self.time.now();
            shard.retain(|(_, bucket)| {
                bucket.earn::<T>(now, self.per_second, self.burst);
                !bucket.is_full(self.burst)
            });
        }
    }

    /// How many keys are known, shard by shard.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Whether no key is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K, T: Time> fmt::Debug for ShardedKeyed<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardedKeyed")
            .field("per_second", &self.per_second)
            .field("burst", &self.burst)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use sluicegate::ManualClock;

    use super::{SHARDS, ShardedKeyed};

    #[test]
    fn each_key_has_a_burst_of_its_own() {
        let clock = ManualClock::new();
        let limiter = ShardedKeyed::new(4.0, 2.0, clock.clone());
        let taken = |key: &str| (0..10).take_while(|_| limiter.try_acquire_n(&key.to_owned(), 1)).count();
        assert!(limiter.is_empty());
        assert_eq!((taken("alice"), taken("alice"), taken("bob"), limiter.len()), (2, 0, 2, 2));
        clock.advance(Duration::from_millis(250));
        assert_eq!((taken("alice"), taken("bob")), (1, 1));
        clock.advance(Duration::from_millis(500));
        assert_eq!(taken("bob"), 2);
        limiter.retain_recent();
        assert_eq!((limiter.len(), taken("bob"), taken("alice")), (1, 0, 2));
    }

    /// A shard that got no key, or twice its share, would be found by one in a million of seeds.
    #[test]
    fn keys_are_spread_over_all_shards() {
        let limiter = ShardedKeyed::new(4.0, 2.0, ManualClock::new());
        let keys = 1_000 * SHARDS as u64;
        assert!((0..keys).all(|key| limiter.try_acquire_n(&key, 1)));
        assert_eq!(limiter.len() as u64, keys);
        assert!(limiter.shards.iter().all(|shard| (700..1_300).contains(&shard.lock().len())));
    }
}
