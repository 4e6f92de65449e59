//! The map of the models: one shard, whose lock loom and shuttle know. What `shards.rs` has, and no more.

use alloc::vec::Vec;
use core::borrow::Borrow;
use core::hash::Hash;
use core::ops::Range;

use super::store::{Enter, Piece};
use crate::sync::RwLock;

pub(super) struct Shards<K, V> {
    shard: RwLock<Vec<(K, V)>>,
}

impl<K: Eq + Hash, V> Shards<K, V> {
    pub(super) fn new() -> Self {
        Self { shard: RwLock::new(Vec::new()) }
    }

    /// No seed: a model must run alike each time.
    pub(super) fn hash<Q: ?Sized + Hash>(&self, _key: &Q) -> u64 {
        0
    }

    pub(super) fn shard(&self, _hash: u64) -> usize {
        0
    }

    pub(super) fn count(&self) -> usize {
        1
    }

    pub(super) fn with<Q, T>(&self, hash: u64, key: &Q, f: impl FnOnce(&V) -> T) -> Option<T>
    where
        Q: ?Sized + Eq,
        K: Borrow<Q>,
    {
        self.with_given(hash, key, f, |f, value| f(value))
    }

    pub(super) fn with_given<Q, G, T>(&self, _hash: u64, key: &Q, given: G, f: impl FnOnce(G, &V) -> T) -> Option<T>
    where
        Q: ?Sized + Eq,
        K: Borrow<Q>,
    {
        let shard = self.shard.read().unwrap();
        shard.iter().find(|(known, _)| known.borrow() == key).map(|(_, value)| f(given, value))
    }

    pub(super) fn with_mut<Q, T>(&self, _hash: u64, key: &Q, f: impl FnOnce(&mut V) -> T) -> Option<T>
    where
        Q: ?Sized + Eq,
        K: Borrow<Q>,
    {
        let mut shard = self.shard.write().unwrap();
        shard.iter_mut().find(|(known, _)| known.borrow() == key).map(|(_, value)| f(value))
    }

    pub(super) fn enter<T>(&self, _hash: u64, key: K, f: impl FnOnce(Option<&mut V>) -> Enter<V, T>) -> Result<T, K> {
        let mut shard = self.shard.write().unwrap();
        let known = shard.iter_mut().find(|(known, _)| *known == key).map(|(_, value)| value);
        match f(known) {
            Enter::Insert(value, result) => {
                shard.push((key, value));
                Ok(result)
            }
            Enter::Leave(result) => Ok(result),
            Enter::Again => Err(key),
        }
    }

    pub(super) fn remove_if(
        &self,
        _hash: u64,
        is: impl Fn(&K, &V) -> bool,
        f: impl FnOnce(&mut V) -> bool,
    ) -> Option<K> {
        let mut shard = self.shard.write().unwrap();
        let place = shard.iter().position(|(known, value)| is(known, value))?;
        f(&mut shard[place].1).then(|| shard.swap_remove(place).0)
    }

    pub(super) fn sweep(
        &self,
        _shard: usize,
        _places: Range<usize>,
        wait: bool,
        mut goes: impl FnMut(&V) -> bool,
        removed: &mut Vec<K>,
        released: impl FnOnce(usize),
    ) -> Option<Piece> {
        let mut shard = if wait { self.shard.write().unwrap() } else { self.shard.try_write().ok()? };
        let places = shard.len();
        let (gone, stays) = shard.drain(..).partition(|(_, value)| goes(value));
        *shard = stays;
        let gone: Vec<_> = gone;
        let dropped = gone.len();
        removed.extend(gone.into_iter().map(|(key, _)| key));
        released(dropped);
        Some(Piece { places, dropped, is_last: true })
    }

    pub(super) fn for_each(&self, mut f: impl FnMut(&K, &V)) {
        self.shard.read().unwrap().iter().for_each(|(key, value)| f(key, value));
    }
}
