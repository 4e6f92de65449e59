//! The keys that there are: at most so many, swept piece by piece.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::hash::Hash;

use crossbeam_utils::CachePadded;

use super::entry::{self, Entry};
use super::shards::Shards;
use crate::algorithm::token_bucket::Params;
use crate::sync::{AtomicU64, Ordering};
use crate::word::{cas, raise};

/// A piece of a sweep looks at so many places: that is how long a shard is held.
const PIECE: usize = 128;

/// Entries by key.
pub(super) struct Store<K, E> {
    shards: Shards<K, E>,
    max_keys: u64,
    /// The keys that there are, and those for whom a place is reserved.
    keys: CachePadded<AtomicU64>,
    /// Of each shard: no key was dropped there that was not full at this tick. A newcomer starts as one that was full then, so
    /// that one who was dropped is as far as before, whatever the clock of whoever comes next says.
    swept: Box<[AtomicU64]>,
}

/// A place for a key; given back if it is dropped.
pub(super) struct Reserved<'a, K, E>(&'a Store<K, E>);

impl<K, E> Drop for Reserved<'_, K, E> {
    fn drop(&mut self) {
        self.0.release(1);
    }
}

/// What is to be done about a key.
pub(super) enum Enter<V, T> {
    /// To be let in, with this value: it had none.
    Insert(V, T),
    Leave(T),
    /// To come again.
    Again,
}

/// What a piece of a sweep of one shard came to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Piece {
    /// Looked at.
    pub(super) places: usize,
    /// Keys.
    pub(super) dropped: usize,
    /// That was the last one of the shard.
    pub(super) is_last: bool,
}

/// Where a sweep goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) shard: usize,
    pub(super) place: usize,
}

impl<K, E> Store<K, E> {
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

    /// Takes a place, if there is one.
    pub(super) fn reserve(&self) -> Option<Reserved<'_, K, E>> {
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
}

impl<K: Eq + Hash, E: Entry> Store<K, E> {
    pub(super) fn new(max_keys: usize) -> Self {
        let shards = Shards::new();
        Self {
            swept: (0..shards.count()).map(|_| AtomicU64::new(0)).collect(),
            shards,
            max_keys: max_keys as u64,
            keys: CachePadded::new(AtomicU64::new(0)),
        }
    }

    /// The instant under `params` of a key with this hash that nobody knows, or knows any more.
    pub(super) fn fresh(&self, hash: u64, params: &Params) -> u64 {
        // Ordering: Acquire pairs with the raise in `sweep`. Under the shard's guard it is not older than what was dropped
        // there; for a look it need not be exact.
        params.fresh_instant(self.swept[self.shards.shard(hash)].load(Ordering::Acquire))
    }

    /// The hash that the other methods want.
    #[inline(always)]
    pub(super) fn hash<Q: ?Sized + Hash>(&self, key: &Q) -> u64 {
        self.shards.hash(key)
    }

    /// Runs `f` on a key's entry, if there is one; it cannot be dropped meanwhile.
    #[inline(always)]
    pub(super) fn with<Q, T>(&self, hash: u64, key: &Q, f: impl FnOnce(&E) -> T) -> Option<T>
    where
        Q: ?Sized + Eq,
        K: Borrow<Q>,
    {
        self.shards.with(hash, key, f)
    }

    /// The same, with what `f` needs besides: see [`Shards::with_given`].
    #[inline(always)]
    pub(super) fn with_given<Q, G, T>(&self, hash: u64, key: &Q, given: G, f: impl FnOnce(G, &E) -> T) -> Option<T>
    where
        Q: ?Sized + Eq,
        K: Borrow<Q>,
    {
        self.shards.with_given(hash, key, given, f)
    }

    /// The same, alone.
    pub(super) fn with_mut<Q, T>(&self, hash: u64, key: &Q, f: impl FnOnce(&mut E) -> T) -> Option<T>
    where
        Q: ?Sized + Eq,
        K: Borrow<Q>,
    {
        self.shards.with_mut(hash, key, f)
    }

    /// Runs `f` on the entry of `key`, if there is one, alone, and does what it says, on a place that is reserved; hands
    /// `key` back if that is [`Enter::Again`].
    pub(super) fn enter<T>(
        &self,
        hash: u64,
        key: K,
        reserved: &mut Option<Reserved<'_, K, E>>,
        f: impl FnOnce(Option<&mut E>) -> Enter<E, T>,
    ) -> Result<T, K> {
        self.shards.enter(hash, key, |known| {
            let enter = f(known);
            if matches!(enter, Enter::Insert(..)) {
                // It is taken for as long as the key is there.
                core::mem::forget(reserved.take());
            }
            enter
        })
    }

    /// Removes the key that `is` it, if `f` says so when it is alone with its entry; hands it out.
    pub(super) fn remove_if(
        &self,
        hash: u64,
        is: impl Fn(&K, &E) -> bool,
        f: impl FnOnce(&mut E) -> bool,
    ) -> Option<K> {
        let removed = self.shards.remove_if(hash, is, f);
        self.release(usize::from(removed.is_some()));
        removed
    }

    /// Runs `f` on all keys, a shard at a time.
    pub(super) fn for_each(&self, f: impl FnMut(&K, &E)) {
        self.shards.for_each(f);
    }

    /// Drops the keys among the next [`PIECE`] places that were full at tick `full_at`, under `own` unless they have a quota
    /// of their own; moves the cursor on, behind the last shard to the first. `None`: somebody is at that shard, unless
    /// `wait`. The keys are to be dropped without a lock: that is the caller's code.
    pub(super) fn sweep(
        &self,
        cursor: &mut Cursor,
        own: &Params,
        full_at: u64,
        wait: bool,
        removed: &mut Vec<K>,
    ) -> Option<Piece> {
        let swept = self.swept.get(cursor.shard)?;
        let goes = |entry: &E| {
            let Ok(instant) = entry::look(entry.word()) else {
                return false;
            };
            // One that is closed is remembered: it is not to have a burst when it is opened again.
            if entry.tier().is_some_and(|tier| tier.is_closed()) {
                return false;
            }
            let goes = instant <= entry.params(own).fresh_instant(full_at);
            // Before it is gone.
            // Ordering: Relaxed; under the shard's guard, as all that raise it.
            if goes && swept.load(Ordering::Relaxed) < full_at {
                raise(swept, full_at);
            }
            goes
        };
        self.sweep_what(cursor, PIECE, wait, goes, removed)
    }

    /// Drops all keys but those in use, of which it tells the places under the shard's guard.
    pub(super) fn clear(&self, mut in_use: impl FnMut(usize)) {
        let mut cursor = Cursor::default();
        loop {
            // Dropped without the lock.
            let mut removed = Vec::new();
            let goes = |entry: &E| entry::look(entry.word()).map_err(&mut in_use).is_ok();
            self.sweep_what(&mut cursor, usize::MAX, true, goes, &mut removed);
            if cursor == Cursor::default() {
                return;
            }
        }
    }

    fn sweep_what(
        &self,
        cursor: &mut Cursor,
        places: usize,
        wait: bool,
        goes: impl FnMut(&E) -> bool,
        removed: &mut Vec<K>,
    ) -> Option<Piece> {
        let places = cursor.place..cursor.place.saturating_add(places);
        let piece = self.shards.sweep(cursor.shard, places, wait, goes, removed, |keys| self.release(keys))?;
        if piece.is_last {
            *cursor = Cursor { shard: (cursor.shard + 1) % self.shards.count(), place: 0 };
        } else {
            cursor.place += piece.places;
        }
        Some(piece)
    }
}
