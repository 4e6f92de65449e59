//! Clean-up by those who call, a piece at a time: the epoch moves once an interval, and with it one pass begins.

use alloc::vec::Vec;
use core::cell::Cell;
use core::hash::Hash;

use super::entry::Entry;
use super::store::{Cursor, Store};
use crate::algorithm::token_bucket::Params;
use crate::sync::{AtomicU64, Lock, Ordering};

/// During a pass each thread sweeps a piece at every so many-th of its calls.
const CALLS: u32 = 64;

/// A call that lets a key in counts for so many: a pass must be faster than keys come.
pub(super) const NEWCOMER: u32 = 16;

/// So many places a newcomer may look through for room, and once through all shards at the most.
const ROOM_PLACES: usize = 1_024;

/// After so many times that somebody was at the shard, the sweep waits for it.
const PATIENCE: u64 = 8;

/// Where the pass is, and when the next one begins.
#[derive(Debug)]
pub(super) struct Cleanup {
    /// In ticks: as long as a key must have been full, and from one pass to the next.
    interval: u64,
    /// The tick at which the next piece is due: at once during a pass.
    due: AtomicU64,
    /// Held by who sweeps a piece. What follows is read and written under it.
    turn: Lock,
    shard: AtomicU64,
    place: AtomicU64,
    misses: AtomicU64,
    /// Held by who makes room. Where that was done last is read and written under it.
    room_turn: Lock,
    room: [AtomicU64; 2],
}

std::thread_local! {
    /// Full at first, so that threads of a few calls each do their part too.
    static COUNT: Cell<u32> = const { Cell::new(CALLS) };
}

impl Cleanup {
    pub(super) fn new(interval: u64, now: u64) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            interval,
            due: AtomicU64::new(now.saturating_add(interval)),
            turn: Lock::new(),
            shard: zero(),
            place: zero(),
            misses: zero(),
            room_turn: Lock::new(),
            room: [zero(), zero()],
        }
    }

    /// Drops keys that are as good as new, however short they have been, from where it stopped the last time; looks at so
    /// many places at most. Tells whether there is room now, unless somebody else takes it.
    #[cold]
    #[inline(never)]
    pub(super) fn make_room<K: Eq + Hash, E: Entry>(&self, store: &Store<K, E>, own: &Params, ticks: u64) -> bool {
        // Dropped last, without the turn.
        let mut removed = Vec::new();
        // Waited for, since it is held for some pieces at most: or newcomers would be turned away because others came.
        let _turn = self.room_turn.lock();
        // Ordering: Relaxed throughout; the turn orders them.
        let [shard, place] = self.room.each_ref().map(|number| number.load(Ordering::Relaxed) as usize);
        let mut cursor = Cursor { shard, place };
        let start = cursor;
        let mut looked_at = 0;
        let is_room = loop {
            let swept = store.sweep(&mut cursor, own, ticks, true, &mut removed).unwrap_or_default();
            looked_at += swept.places;
            if swept.dropped > 0 {
                break true;
            }
            if looked_at >= ROOM_PLACES || cursor == start {
                break false;
            }
        };
        for (number, value) in self.room.iter().zip([cursor.shard, cursor.place]) {
            // Ordering: as above.
            number.store(value as u64, Ordering::Relaxed);
        }
        is_room
    }

    /// Whoever was full at this tick has been so for long enough at tick `ticks`.
    fn full_at(&self, ticks: u64) -> u64 {
        ticks.saturating_sub(self.interval)
    }

    /// Whether this call should sweep a piece. It counts for so many.
    #[inline(always)]
    pub(super) fn is_due(&self, ticks: u64, weight: u32) -> bool {
        // Ordering: Relaxed; a guess, which is checked under the turn.
        if ticks < self.due.load(Ordering::Relaxed) {
            return false;
        }
        // Counted only while there is something to do: of two limiters that are called in turn, the count would always
        // be the same one's.
        let count = COUNT.get() + weight;
        COUNT.set(if count < CALLS { count } else { 0 });
        count >= CALLS
    }

    /// One piece of a pass, if nobody else is at it.
    #[cold]
    #[inline(never)]
    pub(super) fn sweep_piece<K: Eq + Hash, E: Entry>(&self, store: &Store<K, E>, own: &Params, ticks: u64) {
        // Dropped last, without the turn.
        let mut removed = Vec::new();
        let Some(_turn) = self.turn.try_lock() else {
            return;
        };
        // Ordering: Relaxed throughout; the turn orders them.
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let save = |number: &AtomicU64, value| number.store(value, Ordering::Relaxed);
        if ticks < load(&self.due) {
            return;
        }
        let mut cursor = Cursor { shard: load(&self.shard) as usize, place: load(&self.place) as usize };
        let misses = load(&self.misses);
        if store.sweep(&mut cursor, own, self.full_at(ticks), misses >= PATIENCE, &mut removed).is_none() {
            return save(&self.misses, misses + 1);
        }
        save(&self.misses, 0);
        save(&self.shard, cursor.shard as u64);
        save(&self.place, cursor.place as u64);
        if cursor.shard == 0 && cursor.place == 0 {
            save(&self.due, ticks.saturating_add(self.interval));
        }
    }

    /// A whole pass, piece by piece; tells how many were dropped.
    pub(super) fn sweep_all<K: Eq + Hash, E: Entry>(&self, store: &Store<K, E>, own: &Params, ticks: u64) -> usize {
        let (mut cursor, mut dropped) = (Cursor::default(), 0);
        loop {
            let mut removed = Vec::new();
            let swept = store.sweep(&mut cursor, own, self.full_at(ticks), true, &mut removed);
            dropped += swept.unwrap_or_default().dropped;
            if cursor.shard == 0 && cursor.place == 0 {
                return dropped;
            }
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::per_key::PerKeyRateLimiter;
    use crate::per_key::inner::each;
    use crate::quota::Quota;

    /// From the tick on at which it is due, and then by every 64th call, or every fourth newcomer; at once by a new thread.
    /// Kills: any other count, or tick.
    #[test]
    fn some_calls_clean_up() {
        let cleanup = Cleanup::new(100, 5);
        let due = |calls: usize, weight| (0..calls).map(|_| cleanup.is_due(105, weight)).collect::<Vec<_>>();
        let last_of = |calls: usize| (1..=calls).map(|call| call == calls).collect::<Vec<_>>();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                assert!(!cleanup.is_due(104, 1));
                assert_eq!(due(1, 1), [true]);
                for _ in 0..2 {
                    assert_eq!(due(64, 1), last_of(64));
                    assert_eq!(due(4, NEWCOMER), last_of(4));
                }
            });
        });
    }

    /// Kills: a piece before its time, or none in time; one that waits for others, or loses patience never; a pass that is over
    /// at another place than its end; a search for room that goes through all there are.
    #[test]
    fn a_piece_is_a_part() {
        const KEYS: usize = 20_000;
        let clock = ManualClock::new();
        let builder = PerKeyRateLimiter::builder(Quota::per_hour(10)).clock(clock.clone());
        let limiter: PerKeyRateLimiter<usize, _> = builder.build().unwrap();
        assert!((0..KEYS).all(|key| limiter.try_acquire(&key).is_ok()));
        let (cleanup, own) = (&limiter.inner.cleanup, &limiter.inner.rules.own().params);
        // Ordering: Relaxed; one thread.
        let pass = || [&cleanup.shard, &cleanup.place].map(|number| number.load(Ordering::Relaxed));
        let room = || cleanup.room.each_ref().map(|number| number.load(Ordering::Relaxed));
        each!(&limiter.inner.stores, store => {
            let due = cleanup.due.load(Ordering::Relaxed);
            cleanup.sweep_piece(store, own, due - 1);
            assert_eq!(pass(), [0, 0]);
            cleanup.sweep_piece(store, own, due);
            assert_ne!(pass(), [0, 0]);
            let misses = || cleanup.misses.load(Ordering::Relaxed);
            let miss = |key: &usize| store.with(store.hash(key), key, |_| cleanup.sweep_piece(store, own, due));
            // One who is at the shard where a pass begins.
            let key = (0..KEYS).find(|key| {
                cleanup.shard.store(0, Ordering::Relaxed);
                cleanup.place.store(0, Ordering::Relaxed);
                miss(key).is_some() && misses() > 0
            });
            let key = key.expect("no shard is empty");
            let before = pass();
            for missed in 2..=PATIENCE {
                assert_eq!((miss(&key), misses(), pass()), (Some(()), missed, before));
            }
            cleanup.sweep_piece(store, own, due);
            assert!(misses() == 0 && pass() != before);
            while pass() != [0, 0] {
                assert_eq!(cleanup.due.load(Ordering::Relaxed), due, "at once during a pass");
                cleanup.sweep_piece(store, own, due);
            }
            assert_eq!(cleanup.due.load(Ordering::Relaxed), due + cleanup.interval);
            // Nobody is full.
            assert!(!cleanup.make_room(store, own, clock.ticks()));
            assert_ne!(room(), [0, 0]);
            while room() != [0, 0] {
                assert!(!cleanup.make_room(store, own, clock.ticks()));
            }
        });
        assert_eq!(limiter.len(), KEYS);
    }
}
